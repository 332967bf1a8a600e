//! Time, as far as it decides what a move does: how long requests are compared, drained and waited for, how long a former
//! service is kept, and when each phase began.
//!
//! It is injected, so that tests of time need not wait. It must not know what is waited for.

#[cfg(test)]
pub(crate) mod controlled;

use std::pin::Pin;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use dede_model::watch::Watch;

/// A wait that holds no thread.
pub type Waiting<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// The time, and waiting for it.
pub trait Clock: Send + Sync {
    /// Now, for spans of time.
    fn now(&self) -> Instant;

    /// Now, milliseconds since 1970.
    fn unix_ms(&self) -> u64;

    /// Blocks until there is a version after `seen` of what changes, or until `until`. It may return earlier.
    fn wait(&self, changed: &Watch, seen: u64, until: Instant);

    /// As [`Clock::wait`], in a task.
    fn waiting<'a>(&'a self, changed: &'a Watch, seen: u64, until: Instant) -> Waiting<'a>;
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

    fn wait(&self, changed: &Watch, seen: u64, until: Instant) {
        changed.wait_after(seen, Some(until));
    }

    fn waiting<'a>(&'a self, changed: &'a Watch, seen: u64, until: Instant) -> Waiting<'a> {
        Box::pin(async move {
            // Whether it changed or the time is over is looked at by who waited.
            let _ = tokio::time::timeout_at(until.into(), changed.changed_after(seen)).await;
        })
    }
}
