//! The thread that works on copies. It may block in a model for as long as the model takes: no request waits for it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use dede_model::priority;
use dede_storage::failpoint;

use super::pace::Pace;
use super::queue::{Copied, Queue};
use super::steady::input_changed;
use super::{Ledger, Observation, Shadowed};
use crate::rehearsal::rehearse;
use crate::service::{DryRun, Service};

/// How often it polls for copies, and whether the machine has time: waking it would take the thread that answers a
/// client longer than all the rest of an offer.
const SHORTEST_NAP: Duration = Duration::from_millis(1);
/// How often it looks when nothing came for a while.
const LONGEST_NAP: Duration = Duration::from_millis(32);

/// What the thread shares with the one that started it.
pub(super) struct Worker {
    pub(super) service: Arc<Service>,
    pub(super) queue: Queue,
    pub(super) ledger: Arc<Ledger>,
    ended: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Worker {
    pub(super) fn start(service: Arc<Service>, queue: Queue, ledger: Arc<Ledger>) -> io::Result<Arc<Self>> {
        let ended = AtomicBool::new(false);
        let worker = Arc::new(Self { service, queue, ledger, ended, thread: OnceLock::new() });
        let own = Arc::clone(&worker);
        let started = thread::Builder::new().name("shadow".into()).spawn(move || own.work())?;
        let _ = worker.thread.set(started.thread().clone());
        Ok(worker)
    }

    /// No more copies are taken, those that wait are dropped, and the thread ends after the one it works on.
    pub(super) fn end(&self) {
        if self.ended.swap(true, Ordering::SeqCst) {
            return;
        }
        self.ledger.drop_copies(self.queue.close());
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    fn work(&self) {
        priority::give_way();
        let mut pace = Pace::new(self.service.threads(), self.service.queue.clone());
        while let Some(copied) = self.next(&pace) {
            failpoint("copy");
            let before = priority::computed();
            self.compare(&copied, &pace);
            pace.worked(priority::computed().saturating_sub(before));
        }
    }

    fn next(&self, pace: &Pace) -> Option<Copied> {
        let mut nap = SHORTEST_NAP;
        while !self.ended.load(Ordering::SeqCst) {
            let is_empty = self.queue.is_empty();
            if !is_empty
                && pace.may_begin()
                && let Some(copied) = self.queue.pop()
            {
                return Some(copied);
            }
            thread::park_timeout(nap);
            nap = if is_empty { (nap * 2).min(LONGEST_NAP) } else { SHORTEST_NAP };
        }
        None
    }

    fn compare(&self, copied: &Copied, pace: &Pace) {
        let crowded = pace.is_crowded();
        let started = Instant::now();
        let answer = rehearse(&self.service, &copied.call);
        let took = started.elapsed();
        let undisturbed = !crowded && !pace.is_crowded();
        if input_changed(copied, &self.service, &answer) {
            self.ledger.changed.fetch_add(1, Ordering::SeqCst);
            return;
        }
        let counter = if answer.is_ok() { &self.ledger.compared } else { &self.ledger.failed };
        let (version, outputs) = match answer {
            Ok(DryRun { outputs, version, .. }) => (version, Ok(outputs)),
            Err(error) => ("".into(), Err(error)),
        };
        let shadowed = Shadowed { service: self.service.id, version, outputs, took, undisturbed };
        if let Some(observer) = &*self.ledger.observer.load() {
            let Copied { id, call, primary } = copied;
            let observation = Observation { id: *id, call, primary, shadowed: &shadowed };
            if catch_unwind(AssertUnwindSafe(|| observer.observe(&observation))).is_err() {
                tracing::error!(service = %self.service.name(), "a comparison ended in an internal error (panic), see above");
            }
        }
        // Counted last: a thread that sees the count also sees what was observed.
        counter.fetch_add(1, Ordering::SeqCst);
    }
}
