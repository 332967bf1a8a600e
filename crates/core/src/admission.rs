//! The admission queue of a service: it bounds how many requests may wait and run at once, and can pause admission.
//!
//! No request waits here: it is admitted or refused at once, and its permit counts until it is answered. While the
//! network is exchanged, no request is admitted; [`Admission::admit`] gives out the [`Hold`] to wait at instead.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event_listener::{Event, Listener as _};

use crate::error::{Error, Result};
use crate::hold::{Hold, HoldCounts};

/// Requests inside all services of this process, which share its cores.
static EVERYWHERE: AtomicUsize = AtomicUsize::new(0);

/// A bit of the count that is set while admission is paused: one atomic word, so that no request slips in between two
/// checks.
const HELD: usize = 1 << (usize::BITS - 1);

/// Requests that wait or run now, of all services of this process.
pub fn inside_everywhere() -> usize {
    EVERYWHERE.load(Ordering::Relaxed)
}

/// The admission queue of one service. Cheap to clone; all clones share one count.
#[derive(Debug, Clone)]
pub struct Admission {
    shared: Arc<Shared>,
    limit: usize,
}

#[derive(Debug, Default)]
struct Shared {
    /// Requests inside, and [`HELD`].
    inside: AtomicUsize,
    /// When each of the requests inside began.
    began: Mutex<Places>,
    hold: Mutex<Option<Arc<Hold>>>,
    emptied: Event,
    /// Requests refused because the limit was reached.
    refused: AtomicU64,
}

/// One admitted request; dropping it frees its slot.
#[derive(Debug)]
pub struct Permit {
    shared: Arc<Shared>,
    place: usize,
}

/// Start times of the admitted requests by slot; free slots are used again.
#[derive(Debug, Default)]
struct Places {
    taken: Vec<Option<Instant>>,
    free: Vec<usize>,
}

/// Why a request was not admitted.
#[derive(Debug)]
pub enum Refused {
    /// The limit is reached: [`Error::Overloaded`].
    Full(Error),
    /// Admission is paused: the request may wait at this hold, and has to be routed again afterwards.
    Held(Arc<Hold>),
}

impl Admission {
    /// At most `limit` requests at once.
    pub fn new(limit: usize) -> Self {
        Self { shared: Arc::default(), limit: limit.min(HELD - 1) }
    }

    /// Lets one request in.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn admit(&self) -> Result<Permit, Refused> {
        let more = |inside: usize| (inside < self.limit).then_some(inside + 1);
        loop {
            match self.shared.inside.fetch_update(Ordering::AcqRel, Ordering::Acquire, more) {
                Ok(_) => {
                    EVERYWHERE.fetch_add(1, Ordering::Relaxed);
                    return Ok(Permit { shared: Arc::clone(&self.shared), place: self.shared.began().take() });
                }
                Err(inside) if inside & HELD == 0 => {
                    self.shared.refused.fetch_add(1, Ordering::Relaxed);
                    let text = format!("{} requests are waiting, the most this service takes", self.limit);
                    return Err(Refused::Full(Error::Overloaded(text)));
                }
                Err(_) => {
                    if let Some(hold) = &*self.shared.hold() {
                        return Err(Refused::Held(Arc::clone(hold)));
                    }
                    // The hold ended between the two reads: try again.
                }
            }
        }
    }

    /// Requests refused so far because the limit was reached.
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// Requests inside now.
    pub fn inside(&self) -> usize {
        self.shared.inside.load(Ordering::Acquire) & !HELD
    }

    /// How long the requests inside have been there, the longest first.
    pub fn running(&self) -> Vec<Duration> {
        let mut running: Vec<Duration> = self.shared.began().taken.iter().flatten().map(Instant::elapsed).collect();
        running.sort_unstable_by(|one, other| other.cmp(one));
        running
    }

    /// Pauses admission; as many requests as the limit allows may wait for its end, until this deadline.
    ///
    /// # Errors
    /// [`Error::MoveConflict`] when admission is paused already.
    pub fn hold(&self, until: Instant) -> Result<Arc<Hold>> {
        let mut hold = self.shared.hold();
        if hold.is_some() {
            return Err(Error::MoveConflict("the network of this service is being exchanged already".into()));
        }
        let begun = Hold::new(self.limit, until);
        *hold = Some(Arc::clone(&begun));
        self.shared.inside.fetch_or(HELD, Ordering::AcqRel);
        Ok(begun)
    }

    /// Ends this hold: the requests that wait at it go on, and admission resumes unless another hold has been set
    /// since. Returns how many requests waited and how many were refused.
    pub fn release(&self, own: &Arc<Hold>) -> HoldCounts {
        {
            let mut hold = self.shared.hold();
            if hold.as_ref().is_some_and(|hold| Arc::ptr_eq(hold, own)) {
                self.shared.inside.fetch_and(!HELD, Ordering::AcqRel);
                *hold = None;
            }
        }
        own.end();
        own.counts()
    }

    /// Waits until every admitted request of a paused service is answered; false when that takes longer.
    pub fn wait_until_empty(&self, deadline: Instant) -> bool {
        loop {
            let listener = self.shared.emptied.listen();
            if self.inside() == 0 {
                return true;
            }
            if listener.wait_deadline(deadline).is_none() {
                return self.inside() == 0;
            }
        }
    }
}

impl Shared {
    fn hold(&self) -> MutexGuard<'_, Option<Arc<Hold>>> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn began(&self) -> MutexGuard<'_, Places> {
        self.began.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    fn take(&mut self) -> usize {
        let now = Some(Instant::now());
        match self.free.pop() {
            Some(place) => {
                self.taken[place] = now;
                place
            }
            None => {
                self.taken.push(now);
                self.taken.len() - 1
            }
        }
    }

    fn give_back(&mut self, place: usize) {
        self.taken[place] = None;
        self.free.push(place);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared.began().give_back(self.place);
        if self.shared.inside.fetch_sub(1, Ordering::AcqRel) == HELD | 1 {
            self.shared.emptied.notify(usize::MAX);
        }
        EVERYWHERE.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_and_leaving_makes_room() {
        let admission = Admission::new(2);
        let first = admission.admit().unwrap();
        let _second = admission.admit().unwrap();
        assert!(matches!(admission.admit(), Err(Refused::Full(Error::Overloaded(_)))));
        assert_eq!(admission.refused(), 1);
        assert!(matches!(admission.running()[..], [longest, other] if longest >= other));
        drop(first);
        assert_eq!((admission.inside(), admission.running().len()), (1, 1));
        assert!(admission.admit().is_ok());
    }

    #[test]
    fn nobody_begins_while_it_is_held_and_the_last_one_out_is_noticed() {
        let admission = Admission::new(2);
        let inside = admission.admit().unwrap();
        let later = Instant::now() + Duration::from_secs(60);
        let own = admission.hold(later).unwrap();
        assert!(admission.hold(later).is_err(), "one at a time");
        assert_eq!(admission.inside(), 1);
        assert!(!admission.wait_until_empty(Instant::now()));
        let Err(Refused::Held(hold)) = admission.admit() else { panic!("admitted") };
        let _waiting = hold.wait().unwrap();
        std::thread::scope(|scope| {
            let emptied = scope.spawn(|| admission.wait_until_empty(later));
            drop(inside);
            assert!(emptied.join().unwrap());
        });
        admission.release(&Hold::new(1, later));
        assert!(matches!(admission.admit(), Err(Refused::Held(_))), "another hold is not ended");
        let counts = admission.release(&own);
        assert_eq!((counts.held, counts.refused), (1, 0));
        assert!(admission.admit().is_ok());
    }
}
