//! Training jobs of one service: their states, their order, and what is kept of them.
//!
//! Jobs of a service run one after the other; those of different services run side by side. `queue` runs them,
//! `store` keeps the last ones across a restart, `result` is what one leaves. What a job does is given as a
//! closure: this module must not know training.

mod queue;
mod result;
mod status;
mod store;

pub use queue::{JobQueue, Work};
pub use result::{FormerResult, JobResult, Training};
pub use status::{Job, JobStatus, JobView};
pub use store::{JobStore, StoredJob};

use serde::{Deserialize, Serialize};

/// Number of a job within its service, from 1.
pub type JobId = u64;

/// Finished jobs kept per service.
pub const KEPT_JOBS: usize = 100;

/// The states of a job (contract.md 1.6, 1.7). One owner: its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Waiting for its turn or training.
    Running,
    /// Asked to stop, and stopping.
    Terminating,
    /// Done.
    Finished,
    /// Stopped on request.
    Terminated,
    /// Failed; the error is kept.
    Error,
}

impl JobState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Terminating => "terminating",
            Self::Finished => "finished",
            Self::Terminated => "terminated",
            Self::Error => "error",
        }
    }

    /// Whether nothing more will happen.
    pub fn is_over(self) -> bool {
        match self {
            Self::Running | Self::Terminating => false,
            Self::Finished | Self::Terminated | Self::Error => true,
        }
    }
}
