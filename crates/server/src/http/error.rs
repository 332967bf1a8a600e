//! Failures as answers: one exhaustive match from what went wrong to a row of the error table.

use axum::http::HeaderValue;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use dede_api::answer::{Answer, Status};
use dede_api::errors::ErrorKind;
use dede_api::requests::Malformed;
use dede_core::error::Error;

use super::reply;

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

    /// The `status` member.
    pub(crate) fn status(&self) -> Status {
        self.kind.status(&self.detail)
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
        Error::UnknownBackend(_) => ErrorKind::UnknownLibrary,
        Error::UnknownConnector(_) => ErrorKind::ConnectorNotFound,
        Error::BadInput(_) => ErrorKind::ServiceInput,
        Error::BadParameter(_) => ErrorKind::ServiceBadRequest,
        Error::JobNotFound => ErrorKind::JobNotFound,
        Error::NotTrainedYet(_) => ErrorKind::TrainPredictConflict,
        Error::Overloaded(_) | Error::Cancelled(_) => ErrorKind::Overloaded,
        Error::Io { .. } | Error::Internal(_) => ErrorKind::Internal,
    }
}
