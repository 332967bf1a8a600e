//! When a shadow may work: only while it delays no client.

use std::time::{Duration, Instant};

use crate::limiter::ServiceQueue;

/// While clients' requests keep all cores busy, a shadow may compute for one part in this many of the time.
const PARTS: u32 = 50;

/// The pace of one shadow.
pub(super) struct Pace {
    /// Cores.
    threads: usize,
    /// Knows how many requests there are.
    queue: ServiceQueue,
    /// Until when it rests while clients wait.
    rests_until: Instant,
}

impl Pace {
    pub(super) fn new(threads: usize, queue: ServiceQueue) -> Self {
        Self { threads, queue, rests_until: Instant::now() }
    }

    /// Whether clients' requests keep all cores busy.
    pub(super) fn is_crowded(&self) -> bool {
        self.queue.inside_everywhere() >= self.threads
    }

    /// Whether to begin with a copy now.
    pub(super) fn may_begin(&self) -> bool {
        !self.is_crowded() || Instant::now() >= self.rests_until
    }

    /// A copy took this much computing.
    pub(super) fn worked(&mut self, computed: Duration) {
        self.rests_until = Instant::now() + computed.saturating_mul(PARTS - 1);
    }
}
