//! Waiting for something to change, on a thread or in a task: each change makes a new version, so that what changes
//! between a look and the wait is not missed.
//!
//! It owns the number of the version and those that wait for the next one. What changes, and under which lock, is its
//! owner's; it must not know.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use event_listener::{Event, Listener as _};

/// The version of something that changes. Who has seen none of it has seen version 0, and need not wait for the first.
#[derive(Debug)]
pub struct Watch {
    version: AtomicU64,
    changed: Event,
}

impl Default for Watch {
    fn default() -> Self {
        Self { version: AtomicU64::new(1), changed: Event::new() }
    }
}

impl Watch {
    /// The present version.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    /// Makes the next version, and wakes all that wait for it.
    pub fn advance(&self) {
        self.version.fetch_add(1, Ordering::SeqCst);
        self.changed.notify(usize::MAX);
    }

    /// Waits for a version after `seen`. It holds no thread.
    pub async fn changed_after(&self, seen: u64) {
        while self.version() <= seen {
            let next = self.changed.listen();
            // A change before this line is seen here, one after it wakes the listener.
            if self.version() <= seen {
                next.await;
            }
        }
    }

    /// Blocks until there is a version after `seen`, or until `deadline`.
    pub fn wait_after(&self, seen: u64, deadline: Option<Instant>) {
        while self.version() <= seen {
            let next = self.changed.listen();
            if self.version() > seen {
                return;
            }
            match deadline {
                None => next.wait(),
                Some(deadline) if next.wait_deadline(deadline).is_none() => return,
                Some(_) => {}
            }
        }
    }

    /// Waits until `look`, which is asked at each version, finds something. It holds no thread.
    pub async fn until<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        loop {
            let seen = self.version();
            if let Some(found) = look() {
                return found;
            }
            self.changed_after(seen).await;
        }
    }

    /// As [`Watch::until`], on a thread that may block.
    pub fn wait_until<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        loop {
            let seen = self.version();
            if let Some(found) = look() {
                return found;
            }
            self.wait_after(seen, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::AtomicUsize;
    use std::task::{Context, Waker};
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_change_between_the_look_and_the_wait_is_not_missed() {
        let watch = Watch::default();
        let seen = watch.version();
        watch.advance();
        watch.wait_after(seen, None);
        let mut context = Context::from_waker(Waker::noop());
        assert!(pin!(watch.changed_after(seen)).poll(&mut context).is_ready());
        assert!(pin!(watch.changed_after(0)).poll(&mut context).is_ready(), "the first version need not be waited for");
        assert!(pin!(watch.changed_after(seen + 1)).poll(&mut context).is_pending());
    }

    #[test]
    fn a_wait_ends_at_its_deadline() {
        let watch = Watch::default();
        for deadline in [Instant::now(), Instant::now() + Duration::from_millis(1)] {
            watch.wait_after(watch.version(), Some(deadline));
            assert!(Instant::now() >= deadline);
        }
    }

    #[test]
    fn threads_that_count_together_miss_no_change_of_each_other() {
        const THREADS: usize = 4;
        const TURNS: usize = 500;
        let (watch, turn) = (Watch::default(), AtomicUsize::new(0));
        thread::scope(|scope| {
            for own in 0..THREADS {
                let (watch, turn) = (&watch, &turn);
                scope.spawn(move || {
                    for round in 0..TURNS {
                        let mine = round * THREADS + own;
                        watch.wait_until(|| (turn.load(Ordering::SeqCst) == mine).then_some(()));
                        turn.store(mine + 1, Ordering::SeqCst);
                        watch.advance();
                    }
                });
            }
        });
        assert_eq!(turn.into_inner(), THREADS * TURNS);
    }
}
