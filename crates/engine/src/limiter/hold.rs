//! Requests to a service that wait while its network is exchanged: a bounded number of them, each until a deadline.
//!
//! It owns the requests that wait and the count of those it refused. It must not know why they wait, nor how time
//! passes: the caller brings the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dede_model::error::{Error, Result};
use event_listener::Event;

/// One pause, shared by all requests that wait for its end.
#[derive(Debug)]
pub struct Hold {
    began: Instant,
    until: Instant,
    limit: usize,
    waiting: AtomicUsize,
    held: AtomicU64,
    refused: AtomicU64,
    is_over: AtomicBool,
    over: Event,
}

/// A slot among the waiting requests; dropping it frees the slot.
#[derive(Debug)]
pub struct Waiting(Arc<Hold>);

/// What became of the requests that came during the pause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HoldCounts {
    /// Requests that waited.
    pub held: u64,
    /// Requests that were refused: the queue was full, or the deadline passed.
    pub refused: u64,
    /// How long the pause has lasted.
    pub lasted: Duration,
}

impl Hold {
    /// At most `limit` requests wait at once, and none after `until`.
    pub fn new(limit: usize, until: Instant) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            until,
            limit,
            waiting: AtomicUsize::new(0),
            held: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            over: Event::new(),
        })
    }

    /// When waiting requests give up.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Takes a slot.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when all slots are taken, or the deadline has passed.
    pub fn wait(self: &Arc<Self>) -> Result<Waiting> {
        if Instant::now() >= self.until {
            return Err(
                self.refuse("the network of this service is being exchanged, and that takes longer than planned")
            );
        }
        let more = |waiting: usize| (waiting < self.limit).then_some(waiting + 1);
        match self.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, more) {
            Ok(_) => {
                self.held.fetch_add(1, Ordering::Relaxed);
                Ok(Waiting(Arc::clone(self)))
            }
            Err(_) => Err(self.refuse("the network of this service is being exchanged, and too many requests wait")),
        }
    }

    /// Ends the pause: all waiting requests go on.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        self.over.notify(usize::MAX);
    }

    /// What became of requests so far.
    pub fn counts(&self) -> HoldCounts {
        let (held, refused) = (self.held.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed));
        HoldCounts { held, refused, lasted: self.began.elapsed() }
    }

    fn refuse(&self, reason: &str) -> Error {
        self.refused.fetch_add(1, Ordering::Relaxed);
        Error::Overloaded(reason.to_owned())
    }
}

impl Waiting {
    /// When to give up.
    pub fn until(&self) -> Instant {
        self.0.until
    }

    /// Waits until the pause is over; then the request has to be routed again.
    pub async fn over(&self) {
        loop {
            let listener = self.0.over.listen();
            if self.0.is_over.load(Ordering::Acquire) {
                return;
            }
            listener.await;
        }
    }

    /// The error for a request that has reached the deadline.
    pub fn give_up(self) -> Error {
        self.0.refuse("the network of this service is being exchanged, and that takes longer than planned")
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn places_are_bounded_and_counted() {
        let hold = Hold::new(1, Instant::now() + Duration::from_secs(60));
        let first = hold.wait().unwrap();
        assert!(matches!(hold.wait(), Err(Error::Overloaded(_))));
        assert!(matches!(first.give_up(), Error::Overloaded(_)));
        let _second = hold.wait().unwrap();
        let counts = hold.counts();
        assert_eq!((counts.held, counts.refused), (2, 2));
        let late = Hold::new(1, Instant::now());
        assert!(late.wait().is_err());
    }

    #[test]
    fn the_end_wakes_every_request_that_waits() {
        let hold = Hold::new(2, Instant::now() + Duration::from_secs(60));
        let waiting = hold.wait().unwrap();
        let mut over = pin!(waiting.over());
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(over.as_mut().poll(&mut context), Poll::Pending);
        hold.end();
        assert_eq!(over.as_mut().poll(&mut context), Poll::Ready(()));
    }
}
