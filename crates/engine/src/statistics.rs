//! Counters of one service: what `service_stats` shows (contract.md 1.1).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Written by every predict, read at any time.
#[derive(Debug, Default)]
pub struct Statistics {
    successes: AtomicU64,
    failures: AtomicU64,
    faults: AtomicU64,
    items: AtomicU64,
    transform_us: AtomicU64,
    predict_us: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StatisticsSnapshot {
    /// Predicts answered.
    pub successes: u64,
    /// Predicts refused or failed.
    pub failures: u64,
    /// Items read, over all predicts.
    pub items: u64,
    /// Reading and transforming, in all.
    pub transform: Duration,
    /// Whole predicts, in all.
    pub predict: Duration,
}

impl Statistics {
    /// Counts items as soon as they are read, even if the predict fails later.
    pub fn transformed(&self, items: usize, took: Duration) {
        self.items.fetch_add(items as u64, Ordering::Relaxed);
        self.transform_us.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
    }

    /// Counts one finished predict.
    pub fn predicted(&self, success: bool, took: Duration) {
        let counter = if success { &self.successes } else { &self.failures };
        counter.fetch_add(1, Ordering::Relaxed);
        self.predict_us.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
    }

    /// Adds what rendering the answer of a predict took.
    pub fn rendered(&self, took: Duration) {
        self.predict_us.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
    }

    /// Counts a predict that failed by the service's own fault, not its client's.
    pub fn faulted(&self) {
        self.faults.fetch_add(1, Ordering::Relaxed);
    }

    /// Predicts that failed by the service's own fault.
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }

    /// The counters now. Each is exact; together they may be a request apart.
    pub fn snapshot(&self) -> StatisticsSnapshot {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StatisticsSnapshot {
            successes: load(&self.successes),
            failures: load(&self.failures),
            items: load(&self.items),
            transform: Duration::from_micros(load(&self.transform_us)),
            predict: Duration::from_micros(load(&self.predict_us)),
        }
    }
}
