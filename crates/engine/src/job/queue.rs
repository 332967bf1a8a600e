//! Runs the jobs of one service, one after the other, on a thread of its own.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use dede_model::error::{Error, Result};
use dede_model::progress::Progress;

use super::result::JobResult;
use super::status::{Job, JobView};
use super::store::{JobStore, StoredJob};
use super::{JobId, KEPT_JOBS};

/// Jobs that may wait for their turn.
const WAITING_LIMIT: usize = 16;

/// What a job does.
pub type Work = Box<dyn FnOnce(&Job) -> Result<JobResult> + Send>;

/// All jobs of one service.
pub struct JobQueue {
    store: JobStore,
    jobs: Mutex<Jobs>,
    saves: Mutex<Saves>,
    saved: Condvar,
}

/// Saves are numbered: one thread writes at a time, and what it writes is never older than what was asked for, so that an
/// early snapshot cannot replace a late one.
#[derive(Debug, Default)]
struct Saves {
    asked: u64,
    written: u64,
    writing: bool,
}

#[derive(Default)]
struct Jobs {
    live: BTreeMap<JobId, Arc<Job>>,
    /// Jobs from before a restart.
    past: BTreeMap<JobId, StoredJob>,
    waiting: VecDeque<(Arc<Job>, Work)>,
    running: bool,
    last: JobId,
    closed: bool,
    /// Why jobs are refused, by key: the text for a client that submits one.
    forbidden: BTreeMap<u64, String>,
}

impl JobQueue {
    /// Takes up what an earlier process left: jobs that were running then are over now, as interrupted.
    pub fn open(store: JobStore) -> Arc<Self> {
        let past: BTreeMap<_, _> = store.load().into_iter().map(|job| (job.id, job)).collect();
        let last = past.keys().next_back().copied().unwrap_or(0);
        let jobs = Jobs { past, last, ..Jobs::default() };
        Arc::new(Self { store, jobs: Mutex::new(jobs), saves: Mutex::default(), saved: Condvar::new() })
    }

    fn locked(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a job and starts it when no other runs.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when too many wait, [`Error::Cancelled`] when the service is being stopped, [`Error::MoveConflict`] while a
    /// move needs the service as it is.
    pub fn submit(self: &Arc<Self>, progress: Progress, work: Work) -> Result<Arc<Job>> {
        let (job, start) = {
            let mut jobs = self.locked();
            if jobs.closed {
                return Err(Error::Cancelled("the service is being stopped".into()));
            }
            if let Some(reason) = jobs.forbidden.values().next() {
                return Err(Error::MoveConflict(reason.clone()));
            }
            if jobs.waiting.len() >= WAITING_LIMIT {
                return Err(Error::Overloaded(format!("{WAITING_LIMIT} training jobs are waiting already")));
            }
            jobs.last += 1;
            let job = Arc::new(Job::new(jobs.last, progress));
            jobs.live.insert(job.id, Arc::clone(&job));
            jobs.waiting.push_back((Arc::clone(&job), work));
            (job, !std::mem::replace(&mut jobs.running, true))
        };
        self.save();
        if start {
            let queue = Arc::clone(self);
            let spawned = std::thread::Builder::new().name("training".into()).spawn(move || queue.drain());
            if let Err(error) = spawned {
                self.abandon(&Error::Internal(format!("cannot start a training thread: {error}")));
            }
        }
        Ok(job)
    }

    /// Ends every waiting job with an error.
    fn abandon(&self, error: &Error) {
        let waiting: Vec<_> = {
            let mut jobs = self.locked();
            jobs.running = false;
            jobs.waiting.drain(..).collect()
        };
        for (job, _) in &waiting {
            job.finish(Err(error.clone()));
        }
        self.locked().forget_oldest();
        self.save();
        waiting.iter().for_each(|(job, _)| job.announce());
    }

    fn drain(&self) {
        loop {
            let next = {
                let mut jobs = self.locked();
                let next = jobs.waiting.pop_front();
                jobs.running = next.is_some();
                next
            };
            let Some((job, work)) = next else { return };
            let outcome = if job.cancel.is_cancelled() {
                Ok(JobResult::default())
            } else {
                catch_unwind(AssertUnwindSafe(|| work(&job))).unwrap_or_else(|panic| Err(panicked(&*panic)))
            };
            if self.end(&job, outcome) {
                return;
            }
        }
    }

    /// Records the end of a job before it becomes visible. True when no other job waits: the service is not training
    /// any more then, and the next submission starts a thread of its own.
    fn end(&self, job: &Job, outcome: Result<JobResult>) -> bool {
        job.finish(outcome);
        self.locked().forget_oldest();
        self.save();
        let idle = {
            let mut jobs = self.locked();
            jobs.running = !jobs.waiting.is_empty();
            !jobs.running
        };
        job.announce();
        idle
    }

    /// Asks a job to stop. One that waits for its turn ends at once.
    ///
    /// # Errors
    /// [`Error::JobNotFound`] for a job that this process does not know.
    pub fn terminate(&self, id: JobId) -> Result<Arc<Job>> {
        let job = self.live(id).ok_or(Error::JobNotFound)?;
        job.terminate();
        let waited = {
            let mut jobs = self.locked();
            let place = jobs.waiting.iter().position(|(waiting, _)| waiting.id == id);
            place.and_then(|place| jobs.waiting.remove(place))
        };
        if waited.is_some() {
            job.finish(Ok(JobResult::default()));
            self.locked().forget_oldest();
            self.save();
            job.announce();
        }
        Ok(job)
    }

    /// Returns when what a restart must know is written. A failure is logged: a job does not fail for it.
    fn save(&self) {
        let mut saves = self.saves.lock().unwrap_or_else(PoisonError::into_inner);
        saves.asked += 1;
        let mine = saves.asked;
        let mut saves = self
            .saved
            .wait_while(saves, |saves| saves.writing && saves.written < mine)
            .unwrap_or_else(PoisonError::into_inner);
        if saves.written >= mine {
            return;
        }
        saves.writing = true;
        let covered = saves.asked;
        drop(saves);
        if let Err(error) = self.store.save(&self.records()) {
            tracing::error!(%error, "the jobs of a service cannot be recorded");
        }
        let mut saves = self.saves.lock().unwrap_or_else(PoisonError::into_inner);
        saves.written = covered;
        saves.writing = false;
        drop(saves);
        self.saved.notify_all();
    }

    fn records(&self) -> Vec<StoredJob> {
        let jobs = self.locked();
        let live = jobs.live.values().map(|job| StoredJob::of(&job.viewed(job.locked().clone())));
        jobs.past.values().cloned().chain(live).collect()
    }

    /// A job that this process ran.
    pub fn live(&self, id: JobId) -> Option<Arc<Job>> {
        self.locked().live.get(&id).cloned()
    }

    /// Any job that is still known.
    ///
    /// # Errors
    /// [`Error::JobNotFound`].
    pub fn view(&self, id: JobId) -> Result<JobView> {
        if let Some(job) = self.live(id) {
            return Ok(job.view());
        }
        self.locked().past.get(&id).map(StoredJob::view).ok_or(Error::JobNotFound)
    }

    /// Every job that is not over, by ascending number.
    pub fn going_on(&self) -> Vec<Arc<Job>> {
        self.locked().live.values().filter(|job| !job.is_settled()).cloned().collect()
    }

    /// Whether a job waits or runs.
    pub fn is_busy(&self) -> bool {
        self.locked().running
    }

    /// Accepts no more jobs, asks all to stop and waits for them.
    pub fn close(&self) {
        let live: Vec<Arc<Job>> = {
            let mut jobs = self.locked();
            jobs.closed = true;
            jobs.live.values().cloned().collect()
        };
        for job in &live {
            job.abandon();
            // One that is not known any more has ended.
            let _ = self.terminate(job.id);
        }
        for job in &live {
            job.join();
        }
    }

    /// Accepts jobs again, after a deletion that did not come about.
    pub fn reopen(&self) {
        self.locked().closed = false;
    }

    /// Accepts no jobs until [`JobQueue::allow`] with the same key; `reason` is what a client that submits one is told.
    ///
    /// # Errors
    /// [`Error::MoveConflict`] while a job waits or runs: nothing is forbidden then.
    pub fn forbid(&self, key: u64, reason: String) -> Result<()> {
        let mut jobs = self.locked();
        if jobs.running {
            return Err(Error::MoveConflict("a training of it goes on; wait for its end, or stop it".into()));
        }
        jobs.forbidden.insert(key, reason);
        Ok(())
    }

    /// Accepts jobs again, as far as this key is concerned.
    pub fn allow(&self, key: u64) {
        self.locked().forbidden.remove(&key);
    }

    /// Removes what the store holds, when the service is deleted.
    pub fn forget(&self) {
        self.store.remove();
    }
}

impl Jobs {
    fn forget_oldest(&mut self) {
        while self.past.len() + self.live.len() > KEPT_JOBS {
            if self.past.pop_first().is_some() {
                continue;
            }
            let over = self.live.iter().find(|(_, job)| job.locked().state.is_over()).map(|(id, _)| *id);
            match over {
                Some(id) => self.live.remove(&id),
                None => return,
            };
        }
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    Error::Internal(format!("training stopped by a bug: {}", text.unwrap_or_else(|| "panic".into())))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::{JobState, Training};
    use super::*;

    fn result() -> JobResult {
        let input = serde_json::json!({"label": "a"}).as_object().cloned().unwrap();
        JobResult::Trained(Box::new(Training { input, ..Training::default() }))
    }

    fn queue(directory: &tempfile::TempDir) -> Arc<JobQueue> {
        JobQueue::open(JobStore::new(directory.path().join("jobs.json")))
    }

    #[test]
    fn jobs_run_in_order_and_stay_readable() {
        let directory = tempfile::tempdir().unwrap();
        let queue = queue(&directory);
        let (release, wait) = mpsc::channel::<()>();
        let first = queue
            .submit(
                Progress::default(),
                Box::new(move |_| {
                    wait.recv().unwrap();
                    Ok(JobResult::default())
                }),
            )
            .unwrap();
        let second = queue.submit(Progress::default(), Box::new(|_| Ok(result()))).unwrap();
        assert_eq!((first.id, second.id), (1, 2));
        assert_eq!(queue.view(2).unwrap().status.state, JobState::Running);
        release.send(()).unwrap();
        assert_eq!(second.join().status.result, Some(Arc::new(result())));
        assert_eq!(queue.view(1).unwrap().status.state, JobState::Finished);
        assert!(matches!(queue.view(3), Err(Error::JobNotFound)));
    }

    #[test]
    fn a_panic_fails_the_job_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let queue = queue(&directory);
        let bad = queue.submit(Progress::default(), Box::new(|_| panic!("oh"))).unwrap();
        let status = bad.join().status;
        assert_eq!(status.state, JobState::Error);
        assert!(status.error.unwrap().to_string().contains("oh"));
        let good = queue.submit(Progress::default(), Box::new(|_| Ok(JobResult::default()))).unwrap();
        assert_eq!(good.join().status.state, JobState::Finished);
    }

    #[test]
    fn closing_terminates_running_and_waiting_jobs() {
        let directory = tempfile::tempdir().unwrap();
        let queue = queue(&directory);
        let (started, is_started) = mpsc::channel();
        let work: Work = Box::new(move |job| {
            started.send(()).unwrap();
            while !job.cancel.is_cancelled() {
                std::thread::yield_now();
            }
            Ok(JobResult::default())
        });
        let first = queue.submit(Progress::default(), work).unwrap();
        let second = queue.submit(Progress::default(), Box::new(|_| Ok(JobResult::default()))).unwrap();
        is_started.recv().unwrap();
        queue.close();
        assert_eq!(first.view().status.state, JobState::Terminated);
        assert_eq!(second.view().status.state, JobState::Terminated);
        assert!(queue.submit(Progress::default(), Box::new(|_| Ok(JobResult::default()))).is_err());
    }

    #[test]
    fn a_job_that_waits_is_stopped_without_waiting_for_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        let queue = queue(&directory);
        let (release, wait) = mpsc::channel::<()>();
        let work: Work = Box::new(move |_| {
            wait.recv().unwrap();
            Ok(JobResult::default())
        });
        let first = queue.submit(Progress::default(), work).unwrap();
        let second = queue.submit(Progress::default(), Box::new(|_| panic!("never runs"))).unwrap();
        assert_eq!(queue.terminate(2).unwrap().join().status.state, JobState::Terminated);
        assert_eq!(first.view().status.state, JobState::Running);
        assert!(!second.is_abandoned());
        release.send(()).unwrap();
        assert_eq!(first.join().status.state, JobState::Finished);
        assert!(!queue.is_busy(), "with the end of the last job the service is idle");
    }

    #[test]
    fn a_restart_keeps_finished_jobs_and_interrupts_running_ones() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("jobs.json");
        {
            let queue = queue(&directory);
            queue.submit(Progress::default(), Box::new(|_| Ok(result()))).unwrap().join();
            let (sender, receiver) = mpsc::channel::<()>();
            queue
                .submit(
                    Progress::default(),
                    Box::new(move |_| {
                        let _ = receiver.recv();
                        Ok(JobResult::default())
                    }),
                )
                .unwrap();
            // What a killed process leaves is what the file holds now; the second job never ends in it.
            let left = std::fs::read(&path).unwrap();
            drop(sender);
            queue.close();
            std::fs::write(&path, left).unwrap();
        }
        let queue = queue(&directory);
        let first = queue.view(1).unwrap();
        assert_eq!(first.status.state, JobState::Finished);
        assert_eq!(first.status.result, Some(Arc::new(result())));
        let second = queue.view(2).unwrap();
        assert_eq!(second.status.state, JobState::Error);
        assert!(second.status.error.unwrap().to_string().contains("interrupted"));
        assert_eq!(queue.submit(Progress::default(), Box::new(|_| Ok(JobResult::default()))).unwrap().id, 3);
    }
}
