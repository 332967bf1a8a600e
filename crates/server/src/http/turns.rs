//! Compute slots: how many requests of one service compute at once, and whether they are worth a thread of their own.
//!
//! A request waits here without a thread, in order of arrival, and costs nothing when its client leaves. More slots
//! than a few per thread would only take memory. Services do not wait for each other.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dede_core::service::ServiceId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests that take less than this are answered where they were received: handing them to another thread and back would
/// take about as long.
const QUICK: Duration = Duration::from_micros(300);
/// Longest time that counts as one sample, so that a single slow request does not decide.
const LONGEST_SAMPLE: Duration = Duration::from_millis(2);
/// One in how many parts a new sample weighs in the average.
const WEIGHT: u64 = 8;

/// The compute slots of each service that was asked.
#[derive(Debug)]
pub(crate) struct Turns {
    at_once: usize,
    services: Mutex<HashMap<ServiceId, Arc<Line>>>,
}

/// The compute slots of one service.
#[derive(Debug)]
pub(crate) struct Line {
    places: Arc<Semaphore>,
    /// Moving average of the time a request takes, nanoseconds.
    average_ns: AtomicU64,
}

impl Turns {
    /// For a machine with this many computing threads: two slots for each, so that one request is read while another
    /// computes, and two for the one request more than threads that may compute.
    pub(crate) fn new(threads: usize) -> Self {
        Self { at_once: threads * 2 + 2, services: Mutex::default() }
    }

    /// The compute slots of a service.
    pub(crate) fn line(&self, service: ServiceId) -> Arc<Line> {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(services.entry(service).or_insert_with(|| Arc::new(Line::new(self.at_once))))
    }

    /// Forgets a deleted service.
    pub(crate) fn forget(&self, service: ServiceId) {
        self.services.lock().unwrap_or_else(PoisonError::into_inner).remove(&service);
    }
}

impl Line {
    fn new(at_once: usize) -> Self {
        let slow = u64::try_from(LONGEST_SAMPLE.as_nanos()).unwrap_or(u64::MAX);
        Self { places: Arc::new(Semaphore::new(at_once)), average_ns: AtomicU64::new(slow) }
    }

    /// Waits for a slot; dropping the permit frees it.
    pub(crate) async fn wait(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    /// Whether the latest requests of this service were quick.
    pub(crate) fn is_quick(&self) -> bool {
        u128::from(self.average_ns.load(Ordering::Relaxed)) < QUICK.as_nanos()
    }

    /// Learns how long a request took. Losing a sample to another thread does no harm.
    pub(crate) fn took(&self, time: Duration) {
        let sample = u64::try_from(time.min(LONGEST_SAMPLE).as_nanos()).unwrap_or(u64::MAX);
        let average = self.average_ns.load(Ordering::Relaxed);
        self.average_ns.store(average - average / WEIGHT + sample / WEIGHT, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_quick_when_it_was_so_for_a_while() {
        let line = Line::new(2);
        assert!(!line.is_quick());
        (0..100).for_each(|_| line.took(Duration::from_micros(50)));
        assert!(line.is_quick());
        line.took(Duration::from_secs(10));
        assert!(line.is_quick(), "one slow request decides nothing");
        (0..20).for_each(|_| line.took(Duration::from_millis(1)));
        assert!(!line.is_quick());
    }
}
