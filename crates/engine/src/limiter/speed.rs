//! How long requests of a service take: whether they are worth a thread of their own.
//!
//! It must not know what is measured.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Requests that take less than this are answered where they were received: handing them to another thread and back would
/// take about as long.
const QUICK: Duration = Duration::from_micros(300);
/// Longest time that counts as one sample, so that a single slow request does not decide.
const LONGEST_SAMPLE: Duration = Duration::from_millis(2);
/// One in how many parts a new sample weighs in the average.
const WEIGHT: u64 = 8;

/// The speed of one service; a new one is slow.
#[derive(Debug)]
pub struct Speed {
    /// Moving average of the time a request takes, nanoseconds.
    average_ns: AtomicU64,
}

impl Default for Speed {
    fn default() -> Self {
        Self { average_ns: AtomicU64::new(sample_ns(LONGEST_SAMPLE)) }
    }
}

impl Speed {
    /// Whether the latest requests were quick.
    pub fn is_quick(&self) -> bool {
        u128::from(self.average_ns.load(Ordering::Relaxed)) < QUICK.as_nanos()
    }

    /// Records how long a request took. Losing a sample to another thread does no harm.
    pub fn record(&self, time: Duration) {
        let average = self.average_ns.load(Ordering::Relaxed);
        self.average_ns.store(average - average / WEIGHT + sample_ns(time) / WEIGHT, Ordering::Relaxed);
    }
}

fn sample_ns(time: Duration) -> u64 {
    u64::try_from(time.min(LONGEST_SAMPLE).as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_quick_when_it_was_so_for_a_while() {
        let speed = Speed::default();
        assert!(!speed.is_quick());
        (0..100).for_each(|_| speed.record(Duration::from_micros(50)));
        assert!(speed.is_quick());
        speed.record(Duration::from_secs(10));
        assert!(speed.is_quick(), "one slow request decides nothing");
        (0..20).for_each(|_| speed.record(Duration::from_millis(1)));
        assert!(!speed.is_quick());
    }
}
