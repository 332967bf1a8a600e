//! Everything that can go wrong below HTTP, by kind.
//!
//! Each error says what was expected, what was found and where. The HTTP status, `dd_code` and message of each kind
//! are in one table of the server; nothing here knows them.

use std::fmt;
use std::sync::Arc;

/// Result of anything in the core and of every connector and backend.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A complaint about one parameter, file or line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where: `parameters.input.width`, `line 3, column sw`, a file, a layer; may be empty.
    pub at: String,
    /// What was expected and what was found.
    pub reason: String,
}

impl Fault {
    /// A complaint with its place.
    pub fn at(at: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { at: at.into(), reason: reason.into() }
    }

    /// A complaint about the request as a whole.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { at: String::new(), reason: reason.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at.is_empty() {
            formatter.write_str(&self.reason)
        } else {
            write!(formatter, "{} ({})", self.reason, self.at)
        }
    }
}

/// The kinds of failure. `Clone`, because a finished job keeps its error and answers it again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A service or alias name that cannot be one.
    #[error("invalid name: {0}")]
    InvalidName(Fault),
    /// PUT or PATCH without a name.
    #[error("a service needs a name")]
    EmptyName,
    /// No service and no alias of that name.
    #[error("service not found: {0}")]
    ServiceNotFound(String),
    /// DELETE of a name that no service has; answered without a `dd_code`.
    #[error("no such service: {0}")]
    NothingToDelete(String),
    /// The name is taken, by a service or by an alias.
    #[error("service exists: {0}")]
    ServiceExists(String),
    /// No alias of that name.
    #[error("alias not found: {0}")]
    AliasNotFound(String),
    /// A change of an alias, or of what it points to, that the present state forbids.
    #[error("{0}")]
    AliasConflict(String),
    /// No such move.
    #[error("move not found: {0}")]
    MoveNotFound(String),
    /// A move that the present state forbids: another goes on, or this one is over.
    #[error("{0}")]
    MoveConflict(String),
    /// Another server answers what it should not.
    #[error("{0}")]
    Peer(String),
    /// Another server cannot be reached, or is not ready: it may be later.
    #[error("{0}")]
    PeerAway(String),
    /// Something this server does for no client, or not for this one.
    #[error("{0}")]
    Forbidden(String),
    /// `mllib` names nothing in this server.
    #[error("unknown mllib: {0}")]
    UnknownBackend(String),
    /// `parameters.input.connector` names nothing that this mllib can use.
    #[error("unknown input connector: {0}")]
    UnknownConnector(String),
    /// A request whose structure is wrong: a mandatory member is missing or has another type.
    #[error("{0}")]
    Malformed(Fault),
    /// The input connector refuses its parameters or its data.
    #[error("{0}")]
    BadInput(Fault),
    /// The mllib refuses its parameters, the repository or the model files.
    #[error("{0}")]
    BadParameter(Fault),
    /// A chain whose calls do not fit together.
    #[error("{0}")]
    BadChain(Fault),
    /// An action of a chain that refuses its parameters, or what it is to work on.
    #[error("{0}")]
    BadAction(Fault),
    /// A request that takes more memory than there is for all of them.
    #[error("{0}")]
    TooLarge(String),
    /// No such job.
    #[error("job not found")]
    JobNotFound,
    /// Predict while the first training of a service runs: there is nothing to predict with yet.
    #[error("service {0} is in its first training")]
    NotTrainedYet(String),
    /// The queue of a service, or of the server, is full.
    #[error("{0}")]
    Overloaded(String),
    /// The time that a request allows was over before it computed.
    #[error("{0}")]
    DeadlineExceeded(String),
    /// A service whose network is not in memory, because another took its place there.
    #[error(
        "service {0} is not loaded: another took its place in memory; rolling back its alias loads it again, or delete it and create it anew"
    )]
    NotLoaded(String),
    /// The request's client left, or the server is stopping.
    #[error("cancelled: {0}")]
    Cancelled(String),
    /// Files that cannot be read or written.
    #[error("{context}: {source}")]
    Io {
        /// Verb and object, with the path.
        context: String,
        /// What the system said.
        source: Arc<std::io::Error>,
    },
    /// Anything that is our fault.
    #[error("{0}")]
    Internal(String),
}

impl From<dede_storage::Error> for Error {
    fn from(error: dede_storage::Error) -> Self {
        Self::Io { context: error.context, source: Arc::new(error.source) }
    }
}

/// Roots are of repositories alone.
impl From<dede_storage::Misplaced> for Error {
    fn from(misplaced: dede_storage::Misplaced) -> Self {
        Self::bad_parameter_at("model.repository", misplaced.to_string())
    }
}

impl Error {
    /// Whether the server, or a model, is to blame, and not what was asked.
    pub fn is_fault(&self) -> bool {
        matches!(self, Self::Internal(_) | Self::Io { .. })
    }

    /// The connector's complaint.
    pub fn bad_input(reason: impl Into<String>) -> Self {
        Self::BadInput(Fault::new(reason))
    }

    /// The connector's complaint, with its place.
    pub fn bad_input_at(at: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::BadInput(Fault::at(at, reason))
    }

    /// The mllib's complaint.
    pub fn bad_parameter(reason: impl Into<String>) -> Self {
        Self::BadParameter(Fault::new(reason))
    }

    /// The mllib's complaint, with its place.
    pub fn bad_parameter_at(at: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::BadParameter(Fault::at(at, reason))
    }

    /// A complaint about how the calls of a chain fit together.
    pub fn bad_chain(reason: impl Into<String>) -> Self {
        Self::BadChain(Fault::new(reason))
    }

    /// The complaint of an action.
    pub fn bad_action(reason: impl Into<String>) -> Self {
        Self::BadAction(Fault::new(reason))
    }

    /// The complaint of an action, with its place.
    pub fn bad_action_at(at: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::BadAction(Fault::at(at, reason))
    }

    /// For `map_err` on file operations: `context` is verb and object, "write /models/a/config.json".
    pub fn io(context: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let context = context.into();
        move |source| Self::Io { context, source: Arc::new(source) }
    }
}
