//! Failures as answers: one exhaustive match from what went wrong to a row of the error table.

use axum::http::HeaderValue;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use dede_api::answer::{Answer, Status};
use dede_api::errors::ErrorKind;
use dede_api::requests::Malformed;
use dede_model::error::Error;

use super::reply;

/// Characters of a text of an error that are sent: it may hold names of files, layers and columns of any length.
const LONGEST: usize = 2048;

/// A failure on its way to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    kind: ErrorKind,
    detail: String,
}

/// Result of a handler.
pub(crate) type Outcome<T = Response> = Result<T, Failure>;

impl Failure {
    /// A failure of the HTTP layer itself.
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    /// That of a request whose handling panicked. The panic itself was logged where it happened.
    pub(crate) fn panicked() -> Self {
        Self::new(ErrorKind::Internal, "the server made a mistake, see its log")
    }

    /// The `status` member.
    pub(crate) fn status(&self) -> Status {
        let end = self.detail.char_indices().nth(LONGEST).map(|(end, _)| end);
        match end {
            Some(end) => self.kind.status(&format!("{}...", &self.detail[..end])),
            None => self.kind.status(&self.detail),
        }
    }

    /// Whether a token would help.
    pub(crate) fn is_unauthorized(&self) -> bool {
        self.kind == ErrorKind::Unauthorized
    }

    /// Whether this is the row of an unknown job, which is answered with a head.
    pub(crate) fn is_job_not_found(&self) -> bool {
        self.kind == ErrorKind::JobNotFound
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = kind_of(&error);
        Self { kind, detail: error.to_string() }
    }
}

impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Self {
        Self { kind: ErrorKind::Malformed, detail: malformed.to_string() }
    }
}

impl From<dede_api::query::NotABoolean> for Failure {
    fn from(not: dede_api::query::NotABoolean) -> Self {
        Self { kind: ErrorKind::NotABoolean, detail: format!("{} must be a boolean value", not.0) }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if self.kind == ErrorKind::Internal {
            tracing::error!(target: "api", "{}", self.detail);
        }
        let mut response = reply::json(&Answer::bare(self.status()));
        if self.kind == ErrorKind::Overloaded {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// The row of every kind of error.
fn kind_of(error: &Error) -> ErrorKind {
    match error {
        Error::InvalidName(_) | Error::Malformed(_) => ErrorKind::Malformed,
        Error::EmptyName | Error::NothingToDelete(_) => ErrorKind::NotFound,
        Error::AliasNotFound(_) => ErrorKind::AliasNotFound,
        Error::ServiceNotFound(_) => ErrorKind::ServiceNotFound,
        Error::ServiceExists(_) => ErrorKind::ServiceExists,
        Error::AliasConflict(_) => ErrorKind::AliasConflict,
        Error::MoveNotFound(_) => ErrorKind::MoveNotFound,
        Error::MoveConflict(_) => ErrorKind::MoveConflict,
        Error::Peer(_) | Error::PeerAway(_) => ErrorKind::PeerUnreachable,
        Error::Forbidden(_) => ErrorKind::Forbidden,
        Error::UnknownBackend(_) => ErrorKind::UnknownLibrary,
        Error::UnknownConnector(_) => ErrorKind::ConnectorNotFound,
        Error::BadInput(_) => ErrorKind::ServiceInput,
        Error::BadParameter(_) => ErrorKind::ServiceBadRequest,
        Error::BadAction(_) => ErrorKind::ActionBadParameter,
        Error::TooLarge(_) => ErrorKind::BodyTooLarge,
        Error::JobNotFound => ErrorKind::JobNotFound,
        Error::NotTrainedYet(_) => ErrorKind::TrainPredictConflict,
        Error::Overloaded(_) | Error::NotLoaded(_) | Error::Cancelled(_) => ErrorKind::Overloaded,
        Error::DeadlineExceeded(_) => ErrorKind::DeadlineExceeded,
        // What does not fit together in a chain has this code, as in the original.
        Error::BadChain(_) | Error::Io { .. } | Error::Internal(_) => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dede_model::error::Fault;

    use super::*;

    /// Every kind of error, as a client sees it.
    #[test]
    fn every_error_has_its_row() {
        let io = Error::Io { context: "read x".into(), source: Arc::new(std::io::Error::other("gone")) };
        for (error, expected) in [
            (Error::InvalidName(Fault::at("service", "why")), "400 400 invalid name: why (service)"),
            (Error::EmptyName, "404 - -"),
            (Error::ServiceNotFound("a".into()), "404 1002 Service Not Found"),
            (Error::NothingToDelete("a".into()), "404 - -"),
            (Error::ServiceExists("a".into()), "409 1014 Service already exists"),
            (Error::AliasNotFound("a".into()), "404 - alias not found: a"),
            (Error::AliasConflict("why".into()), "409 - why"),
            (Error::MoveNotFound("m1".into()), "404 - move not found: m1"),
            (Error::MoveConflict("why".into()), "409 - why"),
            (Error::Peer("why".into()), "502 - why"),
            (Error::Forbidden("why".into()), "403 - why"),
            (Error::UnknownBackend("a".into()), "404 1000 Unknown Library"),
            (Error::UnknownConnector("a".into()), "404 1004 Input Connector Not Found"),
            (Error::Malformed(Fault::new("why")), "400 400 why"),
            (Error::bad_input("why"), "400 1005 Service Input Error: why"),
            (Error::bad_parameter_at("x", "why"), "400 1006 Service Bad Request Error: why (x)"),
            (Error::bad_chain("why"), "500 1007 why"),
            (Error::bad_action_at("x", "why"), "400 1012 why (x)"),
            (Error::TooLarge("why".into()), "413 - why"),
            (Error::JobNotFound, "404 1003 Job Not Found"),
            (Error::NotTrainedYet("a".into()), "409 1008 Train / Predict Conflict"),
            (Error::Overloaded("why".into()), "503 - why"),
            (Error::DeadlineExceeded("why".into()), "504 - why"),
            (
                Error::NotLoaded("a".into()),
                "503 - service a is not loaded: another took its place in memory; rolling back its alias loads it again, or delete it and create it anew",
            ),
            (Error::Cancelled("why".into()), "503 - cancelled: why"),
            (io, "500 1007 read x: gone"),
            (Error::Internal("why".into()), "500 1007 why"),
        ] {
            let shown = format!("{error:?}");
            let status = Failure::from(error).status();
            let code = status.dd_code.map_or_else(|| "-".to_owned(), |code| code.to_string());
            let text = status.dd_msg.unwrap_or_else(|| "-".to_owned());
            assert_eq!(format!("{} {code} {text}", status.code), expected, "{shown}");
        }
    }
}
