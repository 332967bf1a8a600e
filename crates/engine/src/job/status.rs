//! One job: its state, its outcome, and waiting for its end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use dede_model::cancel::CancelToken;
use dede_model::error::{Error, Result};
use dede_model::progress::{Figures, Progress};
use dede_model::watch::Watch;

use super::result::JobResult;
use super::{JobId, JobState};

/// One training.
#[derive(Debug)]
pub struct Job {
    /// Number within the service.
    pub id: JobId,
    /// Live figures.
    pub progress: Progress,
    /// Asks it to stop.
    pub cancel: CancelToken,
    created: Instant,
    status: Mutex<JobStatus>,
    /// Over, and recorded as such.
    settled: AtomicBool,
    /// Advanced when it is settled.
    changed: Watch,
    /// Stopped because the service or the server stops, not by a client that wants the network trained so far.
    abandoned: AtomicBool,
}

/// State and outcome of a job.
#[derive(Debug, Clone)]
pub struct JobStatus {
    /// Where it is.
    pub state: JobState,
    /// Why it failed, in state [`JobState::Error`].
    pub error: Option<Error>,
    /// What it answers, once it is over and did not fail.
    pub result: Option<Arc<JobResult>>,
    /// Seconds from creation to end; `None` while it goes on.
    pub seconds: Option<f64>,
}

/// A job as a status request sees it: live, or from before a restart.
#[derive(Debug, Clone)]
pub struct JobView {
    /// Number within the service.
    pub id: JobId,
    /// State and outcome.
    pub status: JobStatus,
    /// Seconds so far, or in all.
    pub seconds: f64,
    /// Its figures.
    pub figures: Figures,
}

impl Job {
    pub(super) fn new(id: JobId, progress: Progress) -> Self {
        let status = JobStatus { state: JobState::Running, error: None, result: None, seconds: None };
        let created = Instant::now();
        Self {
            id,
            progress,
            cancel: CancelToken::default(),
            created,
            status: Mutex::new(status),
            settled: AtomicBool::new(false),
            changed: Watch::default(),
            abandoned: AtomicBool::new(false),
        }
    }

    pub(super) fn locked(&self) -> MutexGuard<'_, JobStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The job now. It counts as running until its end is recorded.
    pub fn view(&self) -> JobView {
        let mut status = self.locked().clone();
        if status.state.is_over() && !self.is_settled() {
            status = JobStatus { state: JobState::Running, error: None, result: None, seconds: None };
        }
        self.viewed(status)
    }

    pub(super) fn viewed(&self, status: JobStatus) -> JobView {
        let seconds = status.seconds.unwrap_or_else(|| self.created.elapsed().as_secs_f64());
        JobView { id: self.id, status, seconds, figures: self.progress.figures() }
    }

    /// Waits until the job is over and recorded. A client that waits holds no thread.
    pub async fn settled(&self) {
        self.changed.until(|| self.is_settled().then_some(())).await;
    }

    /// Blocks until the job is over and recorded.
    pub(super) fn join(&self) -> JobView {
        self.changed.wait_until(|| self.is_settled().then_some(()));
        self.view()
    }

    /// Asks the job to stop, wherever it is.
    pub(super) fn terminate(&self) {
        let mut status = self.locked();
        if !status.state.is_over() {
            status.state = JobState::Terminating;
            self.cancel.cancel();
        }
    }

    pub(super) fn finish(&self, outcome: Result<JobResult>) {
        let mut status = self.locked();
        status.seconds = Some(self.created.elapsed().as_secs_f64());
        match outcome {
            Ok(result) => {
                status.state = if self.cancel.is_cancelled() { JobState::Terminated } else { JobState::Finished };
                status.result = Some(Arc::new(result));
            }
            Err(error) => {
                status.state = JobState::Error;
                status.error = Some(error);
            }
        }
    }

    /// Wakes what waits for the end, once it is recorded.
    pub(super) fn announce(&self) {
        self.settled.store(true, Ordering::Release);
        self.changed.advance();
    }

    /// Notes that it is stopped because the service or the server is.
    pub(super) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
    }

    /// Whether it was stopped because the service or the server is: what it reached is kept for `resume`, and replaces
    /// nothing.
    pub fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    pub(super) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }
}
