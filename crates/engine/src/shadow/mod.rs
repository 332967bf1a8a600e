//! A second service that gets copies of an alias's requests: its answers are compared and thrown away.
//!
//! The thread that answers a client offers a copy once the answer is computed, or refused, and never waits: a copy that finds no room is
//! dropped and counted. One thread of the lowest priority works on the copies, refused requests first, when the machine has time. This
//! module must not know what is compared, nor aliases.

mod pace;
mod queue;
mod steady;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use dede_model::error::{Error, Result};
use dede_model::outputs::Outputs;
use queue::{Copied, Queue};
use worker::Worker;

use crate::percent::Percent;
use crate::service::{PredictCall, Service, ServiceId};

/// How much may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShadowLimits {
    /// Copies of answered requests, and as many of refused ones.
    pub copies: usize,
    /// Bytes of all of them, inputs and answers.
    pub bytes: usize,
}

impl Default for ShadowLimits {
    fn default() -> Self {
        Self { copies: 64, bytes: 64 << 20 }
    }
}

/// The answer a client got.
#[derive(Clone)]
pub struct Primary {
    /// The service that gave it; asked again where the shadow finds that the input has changed.
    pub service: Arc<Service>,
    /// Version of that service.
    pub version: Arc<str>,
    /// What its model said, or why the client was refused.
    pub outputs: std::result::Result<Arc<Outputs>, Refusal>,
    /// Reading and computing.
    pub took: Duration,
}

/// Why a client was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// As the client was told.
    pub reason: String,
    /// The service is to blame, not the request.
    pub is_fault: bool,
}

/// The answer of the shadow, which no client gets.
#[derive(Debug)]
pub struct Shadowed {
    /// The service that gave it.
    pub service: ServiceId,
    /// Version of that service; empty when it failed.
    pub version: Arc<str>,
    /// What its model said, or why not.
    pub outputs: Result<Outputs>,
    /// Reading and computing, at the lowest priority.
    pub took: Duration,
    /// No client's request was waiting when it began and when it ended: only then `took` can be compared.
    pub undisturbed: bool,
}

/// One request, answered by both.
pub struct Observation<'a> {
    /// Number of the copy, growing, for as long as the alias lives.
    pub id: u64,
    /// The request.
    pub call: &'a PredictCall,
    /// The answer a client got.
    pub primary: &'a Primary,
    /// The answer of the shadow, which no client gets.
    pub shadowed: &'a Shadowed,
}

/// Compares the answers.
pub trait ShadowObserver: Send + Sync {
    /// Called for each copy that was worked on, one after the other, on a thread that may take its time.
    fn observe(&self, observation: &Observation<'_>);
}

/// What became of copies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShadowCounts {
    /// All that were offered.
    pub offered: u64,
    /// Answered by the shadow.
    pub compared: u64,
    /// Given up.
    pub dropped: u64,
    /// Copies that the shadow failed on.
    pub failed: u64,
    /// Copies that say nothing, because their input changed meanwhile: a file or a page that came or went.
    pub changed: u64,
}

/// What outlives a single shadow: counters, and the observer.
#[derive(Default)]
pub(crate) struct Ledger {
    offered: AtomicU64,
    compared: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    changed: AtomicU64,
    observer: ArcSwapOption<Arc<dyn ShadowObserver>>,
}

impl Ledger {
    pub(crate) fn counts(&self) -> ShadowCounts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ShadowCounts {
            offered: load(&self.offered),
            compared: load(&self.compared),
            dropped: load(&self.dropped),
            failed: load(&self.failed),
            changed: load(&self.changed),
        }
    }

    pub(crate) fn set_observer(&self, observer: Option<Arc<dyn ShadowObserver>>) {
        self.observer.store(observer.map(Arc::new));
    }

    fn drop_copies(&self, count: usize) {
        self.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// A running shadow; it ends when it is dropped.
pub struct Shadow {
    percent: AtomicU8,
    worker: Arc<Worker>,
}

impl Shadow {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`Error::Io`] when there is none to be had.
    pub(crate) fn start(
        service: Arc<Service>,
        percent: Percent,
        limits: ShadowLimits,
        ledger: Arc<Ledger>,
    ) -> Result<Self> {
        let worker = Worker::start(service, Queue::new(limits), ledger).map_err(Error::io("start a thread"))?;
        Ok(Self { percent: AtomicU8::new(percent.get()), worker })
    }

    /// The service that gets the copies.
    pub fn service(&self) -> ServiceId {
        self.worker.service.id
    }

    pub(crate) fn set_percent(&self, percent: Percent) {
        self.percent.store(percent.get(), Ordering::Relaxed);
    }

    pub(crate) fn percent(&self) -> Percent {
        Percent::new(self.percent.load(Ordering::Relaxed)).unwrap_or(Percent::ALL)
    }

    /// Ends it; copies that wait are dropped.
    pub(crate) fn end(&self) {
        self.worker.end();
    }

    /// Takes a request that was answered. Never waits, whatever the shadow does.
    pub fn offer(&self, call: PredictCall, primary: Primary) {
        let ledger = &self.worker.ledger;
        let id = ledger.offered.fetch_add(1, Ordering::Relaxed);
        if self.worker.queue.push(Copied { id, call, primary }).is_err() {
            ledger.drop_copies(1);
        }
    }
}

impl Drop for Shadow {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests;
