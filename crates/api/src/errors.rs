//! The error table: every failure that has an answer of its own, and what that answer is (contract.md 1.0).
//!
//! Closed and in one place, so that a client's view of errors can be read on one page. The server decides which
//! internal error is which row.

use std::borrow::Cow;

use crate::answer::Status;

/// Characters of `dd_msg` at most: a detail may repeat names out of files, which are as long as their writer likes.
const MESSAGE_CHARACTERS: usize = 2000;

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The body is not JSON.
    NotJson,
    /// JSON of the wrong structure.
    Malformed,
    /// A boolean of a query string that is none.
    NotABoolean,
    /// The token is missing or wrong.
    Unauthorized,
    /// Not for this client.
    Forbidden,
    /// A name that does not exist, where DeepDetect sends no code.
    NotFound,
    /// No such alias.
    AliasNotFound,
    /// `mllib` is empty or not in this server.
    UnknownLibrary,
    /// No such service.
    ServiceNotFound,
    /// No such job.
    JobNotFound,
    /// The mllib cannot use this connector.
    ConnectorNotFound,
    /// The input connector refuses its parameters or data.
    ServiceInput,
    /// The mllib refuses its parameters or files.
    ServiceBadRequest,
    /// Any other failure.
    Internal,
    /// Predict during the first training.
    TrainPredictConflict,
    /// An action of a chain refuses its parameters, or what it is to work on.
    ActionBadParameter,
    /// The target of `output.network` cannot be reached.
    OutputNetwork,
    /// The name is taken.
    ServiceExists,
    /// An alias, or what it points to, forbids the change.
    AliasConflict,
    /// No such move.
    MoveNotFound,
    /// Another move, or the state of this one, forbids it.
    MoveConflict,
    /// A queue is full, or the server is stopping.
    Overloaded,
    /// A request came back to a server that forwarded it, or was forwarded too often.
    ForwardingLoop,
    /// Another server did not answer, or answered what it should not.
    PeerUnreachable,
    /// The time that a request allows was over.
    DeadlineExceeded,
    /// Too large a body.
    BodyTooLarge,
    /// Content-Encoding that is not spoken here.
    UnsupportedEncoding,
}

/// What stands in `dd_msg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    /// No `dd_msg`.
    None,
    /// Always the same.
    Fixed(&'static str),
    /// The detail of the failure.
    Detail,
    /// A fixed text, then the detail.
    Prefixed(&'static str),
}

/// The answer of one kind.
struct Row {
    code: u16,
    msg: &'static str,
    dd_code: Option<u16>,
    dd_msg: Message,
}

impl ErrorKind {
    /// All rows, in the order of the table.
    pub const ALL: [Self; 27] = [
        Self::NotJson,
        Self::Malformed,
        Self::NotABoolean,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::AliasNotFound,
        Self::UnknownLibrary,
        Self::ServiceNotFound,
        Self::JobNotFound,
        Self::ConnectorNotFound,
        Self::ServiceInput,
        Self::ServiceBadRequest,
        Self::Internal,
        Self::TrainPredictConflict,
        Self::OutputNetwork,
        Self::ActionBadParameter,
        Self::ServiceExists,
        Self::AliasConflict,
        Self::MoveNotFound,
        Self::MoveConflict,
        Self::Overloaded,
        Self::ForwardingLoop,
        Self::PeerUnreachable,
        Self::DeadlineExceeded,
        Self::BodyTooLarge,
        Self::UnsupportedEncoding,
    ];

    fn row(self) -> Row {
        use Message::{Detail, Fixed, None as Silent, Prefixed};
        let (code, msg, dd_code, dd_msg) = match self {
            Self::NotJson => (400, "BadRequest", None, Detail),
            Self::Malformed => (400, "BadRequest", Some(400), Detail),
            Self::NotABoolean => (400, "Bad request", Some(400), Detail),
            Self::Unauthorized => (401, "Unauthorized", None, Detail),
            Self::Forbidden => (403, "Forbidden", None, Detail),
            Self::NotFound => (404, "NotFound", None, Silent),
            Self::AliasNotFound => (404, "NotFound", None, Detail),
            Self::UnknownLibrary => (404, "NotFound", Some(1000), Fixed("Unknown Library")),
            Self::ServiceNotFound => (404, "NotFound", Some(1002), Fixed("Service Not Found")),
            Self::JobNotFound => (404, "NotFound", Some(1003), Fixed("Job Not Found")),
            Self::ConnectorNotFound => (404, "NotFound", Some(1004), Fixed("Input Connector Not Found")),
            Self::ServiceInput => (400, "BadRequest", Some(1005), Prefixed("Service Input Error")),
            Self::ServiceBadRequest => (400, "BadRequest", Some(1006), Prefixed("Service Bad Request Error")),
            Self::Internal => (500, "InternalError", Some(1007), Detail),
            Self::TrainPredictConflict => (409, "Conflict", Some(1008), Fixed("Train / Predict Conflict")),
            Self::OutputNetwork => (404, "Not Found", Some(1009), Fixed("Output Connector Network Error")),
            Self::ActionBadParameter => (400, "BadRequest", Some(1012), Detail),
            Self::ServiceExists => (409, "Conflict", Some(1014), Fixed("Service already exists")),
            Self::AliasConflict => (409, "Conflict", None, Detail),
            Self::MoveNotFound => (404, "NotFound", None, Detail),
            Self::MoveConflict => (409, "Conflict", None, Detail),
            Self::Overloaded => (503, "Service Unavailable", None, Detail),
            Self::ForwardingLoop => (508, "Loop Detected", None, Detail),
            Self::PeerUnreachable => (502, "Bad Gateway", None, Detail),
            Self::DeadlineExceeded => (504, "Gateway Timeout", None, Detail),
            Self::BodyTooLarge => (413, "Payload Too Large", None, Detail),
            Self::UnsupportedEncoding => (415, "Unsupported Media Type", None, Detail),
        };
        Row { code, msg, dd_code, dd_msg }
    }

    /// The `status` member of the answer. `detail` may be empty; rows with a fixed message ignore it.
    pub fn status(self, detail: &str) -> Status {
        let row = self.row();
        let detail = beginning(detail);
        let dd_msg = match row.dd_msg {
            Message::None => None,
            Message::Fixed(text) => Some(text.to_owned()),
            Message::Detail => (!detail.is_empty()).then(|| detail.into_owned()),
            Message::Prefixed(text) if detail.is_empty() => Some(text.to_owned()),
            Message::Prefixed(text) => Some(format!("{text}: {detail}")),
        };
        Status { code: row.code, msg: row.msg.into(), dd_code: row.dd_code, dd_msg }
    }
}

/// As much of a detail as an answer repeats.
fn beginning(detail: &str) -> Cow<'_, str> {
    match detail.char_indices().nth(MESSAGE_CHARACTERS) {
        None => detail.into(),
        Some((end, _)) => format!("{}...", &detail[..end]).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every row as it is answered, with and without a detail.
    const GOLDEN: &str = r#"
NotJson {"code":400,"msg":"BadRequest"} {"code":400,"msg":"BadRequest","dd_msg":"why"}
Malformed {"code":400,"msg":"BadRequest","dd_code":400} {"code":400,"msg":"BadRequest","dd_code":400,"dd_msg":"why"}
NotABoolean {"code":400,"msg":"Bad request","dd_code":400} {"code":400,"msg":"Bad request","dd_code":400,"dd_msg":"why"}
Unauthorized {"code":401,"msg":"Unauthorized"} {"code":401,"msg":"Unauthorized","dd_msg":"why"}
Forbidden {"code":403,"msg":"Forbidden"} {"code":403,"msg":"Forbidden","dd_msg":"why"}
NotFound {"code":404,"msg":"NotFound"} =
AliasNotFound {"code":404,"msg":"NotFound"} {"code":404,"msg":"NotFound","dd_msg":"why"}
UnknownLibrary {"code":404,"msg":"NotFound","dd_code":1000,"dd_msg":"Unknown Library"} =
ServiceNotFound {"code":404,"msg":"NotFound","dd_code":1002,"dd_msg":"Service Not Found"} =
JobNotFound {"code":404,"msg":"NotFound","dd_code":1003,"dd_msg":"Job Not Found"} =
ConnectorNotFound {"code":404,"msg":"NotFound","dd_code":1004,"dd_msg":"Input Connector Not Found"} =
ServiceInput {"code":400,"msg":"BadRequest","dd_code":1005,"dd_msg":"Service Input Error"} {"code":400,"msg":"BadRequest","dd_code":1005,"dd_msg":"Service Input Error: why"}
ServiceBadRequest {"code":400,"msg":"BadRequest","dd_code":1006,"dd_msg":"Service Bad Request Error"} {"code":400,"msg":"BadRequest","dd_code":1006,"dd_msg":"Service Bad Request Error: why"}
Internal {"code":500,"msg":"InternalError","dd_code":1007} {"code":500,"msg":"InternalError","dd_code":1007,"dd_msg":"why"}
TrainPredictConflict {"code":409,"msg":"Conflict","dd_code":1008,"dd_msg":"Train / Predict Conflict"} =
OutputNetwork {"code":404,"msg":"Not Found","dd_code":1009,"dd_msg":"Output Connector Network Error"} =
ActionBadParameter {"code":400,"msg":"BadRequest","dd_code":1012} {"code":400,"msg":"BadRequest","dd_code":1012,"dd_msg":"why"}
ServiceExists {"code":409,"msg":"Conflict","dd_code":1014,"dd_msg":"Service already exists"} =
AliasConflict {"code":409,"msg":"Conflict"} {"code":409,"msg":"Conflict","dd_msg":"why"}
MoveNotFound {"code":404,"msg":"NotFound"} {"code":404,"msg":"NotFound","dd_msg":"why"}
MoveConflict {"code":409,"msg":"Conflict"} {"code":409,"msg":"Conflict","dd_msg":"why"}
Overloaded {"code":503,"msg":"Service Unavailable"} {"code":503,"msg":"Service Unavailable","dd_msg":"why"}
ForwardingLoop {"code":508,"msg":"Loop Detected"} {"code":508,"msg":"Loop Detected","dd_msg":"why"}
PeerUnreachable {"code":502,"msg":"Bad Gateway"} {"code":502,"msg":"Bad Gateway","dd_msg":"why"}
DeadlineExceeded {"code":504,"msg":"Gateway Timeout"} {"code":504,"msg":"Gateway Timeout","dd_msg":"why"}
BodyTooLarge {"code":413,"msg":"Payload Too Large"} {"code":413,"msg":"Payload Too Large","dd_msg":"why"}
UnsupportedEncoding {"code":415,"msg":"Unsupported Media Type"} {"code":415,"msg":"Unsupported Media Type","dd_msg":"why"}
"#;

    #[test]
    fn every_row_is_answered_as_recorded() {
        let rows: Vec<&str> = GOLDEN.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(rows.len(), ErrorKind::ALL.len());
        for (kind, row) in ErrorKind::ALL.into_iter().zip(rows) {
            let json = |detail| serde_json::to_string(&kind.status(detail)).expect("serialises");
            let (bare, detailed) = (json(""), json("why"));
            let shown = if bare == detailed { "=" } else { &detailed };
            assert_eq!(format!("{kind:?} {bare} {shown}"), row);
        }
    }

    #[test]
    fn a_message_has_an_end() {
        let status = ErrorKind::ServiceBadRequest.status(&"é".repeat(MESSAGE_CHARACTERS + 1));
        let message = status.dd_msg.expect("a message");
        assert_eq!(message, format!("Service Bad Request Error: {}...", "é".repeat(MESSAGE_CHARACTERS)));
        let whole = "é".repeat(MESSAGE_CHARACTERS);
        assert_eq!(ErrorKind::Internal.status(&whole).dd_msg, Some(whole));
    }
}
