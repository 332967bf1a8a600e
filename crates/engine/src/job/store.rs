//! The jobs of a service on disk: one small JSON file, replaced whole.

use std::path::PathBuf;
use std::sync::Arc;

use dede_model::error::{Error, Fault, Result};
use dede_model::progress::Figures;
use dede_storage::files::{read_text, write_atomically};
use serde::{Deserialize, Serialize};

use super::result::JobResult;
use super::status::{JobStatus, JobView};
use super::{JobId, JobState};

/// Largest file read back, bytes.
const LIMIT: u64 = 256 << 20;
/// Points of each history that are kept of a job from before a restart.
const KEPT_POINTS: usize = 1000;

/// Where the jobs of one service are kept.
#[derive(Debug, Clone)]
pub struct JobStore {
    path: PathBuf,
}

/// What is kept of one job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredJob {
    /// Number within the service.
    pub id: JobId,
    state: JobState,
    seconds: f64,
    error: Option<Failure>,
    result: Option<JobResult>,
}

/// An error in the few kinds that a training can end with.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", content = "text", rename_all = "snake_case")]
enum Failure {
    BadInput(String),
    BadParameter(String),
    Internal(String),
}

impl Failure {
    fn of(error: &Error) -> Self {
        match error {
            Error::BadInput(fault) => Self::BadInput(fault.to_string()),
            Error::BadParameter(fault) => Self::BadParameter(fault.to_string()),
            Error::InvalidName(_)
            | Error::EmptyName
            | Error::ServiceNotFound(_)
            | Error::NothingToDelete(_)
            | Error::ServiceExists(_)
            | Error::AliasNotFound(_)
            | Error::AliasConflict(_)
            | Error::MoveNotFound(_)
            | Error::MoveConflict(_)
            | Error::Peer(_)
            | Error::PeerAway(_)
            | Error::Forbidden(_)
            | Error::UnknownBackend(_)
            | Error::UnknownConnector(_)
            | Error::Malformed(_)
            | Error::BadChain(_)
            | Error::BadAction(_)
            | Error::JobNotFound
            | Error::NotTrainedYet(_)
            | Error::Overloaded(_)
            | Error::TooLarge(_)
            | Error::DeadlineExceeded(_)
            | Error::NotLoaded(_)
            | Error::Cancelled(_)
            | Error::Io { .. }
            | Error::Internal(_) => Self::Internal(error.to_string()),
        }
    }

    fn error(&self) -> Error {
        match self {
            Self::BadInput(text) => Error::BadInput(Fault::new(text)),
            Self::BadParameter(text) => Error::BadParameter(Fault::new(text)),
            Self::Internal(text) => Error::Internal(text.clone()),
        }
    }
}

impl StoredJob {
    /// What to keep of a job.
    pub fn of(view: &JobView) -> Self {
        Self {
            id: view.id,
            state: view.status.state,
            seconds: view.seconds,
            error: view.status.error.as_ref().map(Failure::of),
            result: view.status.result.as_deref().map(|result| result.thinned(KEPT_POINTS)),
        }
    }

    /// The job as a status request sees it.
    pub fn view(&self) -> JobView {
        let status = JobStatus {
            state: self.state,
            error: self.error.as_ref().map(Failure::error),
            result: self.result.clone().map(Arc::new),
            seconds: Some(self.seconds),
        };
        JobView { id: self.id, status, seconds: self.seconds, figures: Figures::default() }
    }

    fn interrupted(mut self) -> Self {
        if !self.state.is_over() {
            self.state = JobState::Error;
            let text = "interrupted: the server stopped while this job was going on; resume:true goes on from its last checkpoint";
            self.error = Some(Failure::Internal(text.into()));
        }
        self
    }
}

impl JobStore {
    /// A store in this file, which need not exist.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// What was kept; jobs that never ended are interrupted ones now.
    ///
    /// A file that cannot be read or is damaged counts as empty, with an error in the log: jobs of the past are not worth a
    /// service.
    pub fn load(&self) -> Vec<StoredJob> {
        let parsed = read_text(&self.path, LIMIT).map_err(Error::from).and_then(|text| match text {
            None => Ok(Vec::new()),
            Some(text) => serde_json::from_str(&text).map_err(|error| Error::Internal(error.to_string())),
        });
        let jobs: Vec<StoredJob> = parsed.unwrap_or_else(|error| {
            tracing::error!(path = %self.path.display(), %error, "damaged record of jobs, starting without");
            Vec::new()
        });
        jobs.into_iter().map(StoredJob::interrupted).collect()
    }

    /// Replaces what is kept.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, jobs: &[StoredJob]) -> Result<()> {
        let bytes = serde_json::to_vec(jobs).map_err(|error| Error::Internal(error.to_string()))?;
        write_atomically(&self.path, &bytes).map_err(Error::from)
    }

    /// Removes the file.
    pub fn remove(&self) {
        match std::fs::remove_file(&self.path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => tracing::error!(path = %self.path.display(), %error, "cannot remove the record of jobs"),
        }
    }
}
