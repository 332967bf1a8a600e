//! Time, as far as it decides what a move does: how long requests are compared, drained and waited for, how long a former
//! service is kept, and when each phase began.
//!
//! It is injected, so that tests of time need not wait. It must not know what is waited for.

#[cfg(test)]
pub(crate) mod controlled;

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The time, and waiting for it.
pub trait Clock: Send + Sync {
    /// Now, for spans of time.
    fn now(&self) -> Instant;

    /// Now, milliseconds since 1970.
    fn unix_ms(&self) -> u64;

    /// Waits until `signal` was raised more than `seen` times, or until `until`. It may return earlier.
    fn wait(&self, signal: &Signal, seen: u64, until: Instant);
}

/// The clocks of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn unix_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn wait(&self, signal: &Signal, seen: u64, until: Instant) {
        signal.wait(seen, until.saturating_duration_since(Instant::now()));
    }
}

/// Something that threads wait for beside the time.
#[derive(Debug, Clone, Default)]
pub struct Signal(Arc<Raised>);

#[derive(Debug, Default)]
struct Raised {
    count: Mutex<u64>,
    changed: Condvar,
}

impl Signal {
    /// How often it was raised so far.
    pub fn count(&self) -> u64 {
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the threads that wait for it.
    pub fn raise(&self) {
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.changed.notify_all();
    }

    fn wait(&self, seen: u64, patience: Duration) {
        let count = self.0.count.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.0.changed.wait_timeout_while(count, patience, |count| *count <= seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_was_raised_before_the_wait_is_not_missed() {
        let signal = Signal::default();
        let seen = signal.count();
        signal.raise();
        SystemClock.wait(&signal, seen, Instant::now() + Duration::from_secs(3600));
        assert_eq!(signal.count(), seen + 1);
    }

    #[test]
    fn a_wait_for_a_time_that_is_over_ends_at_once() {
        let signal = Signal::default();
        SystemClock.wait(&signal, signal.count(), Instant::now());
        assert_eq!(signal.count(), 0);
    }
}
