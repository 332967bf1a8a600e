//! The queue of one service: what it takes, who waits in it, and the pause while its network is exchanged.
//!
//! It must not know other queues.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dede_model::error::{Error, Result};
use event_listener::{Event, Listener as _};
use tokio::sync::oneshot;

use super::hold::{Hold, HoldCounts};
use super::{Shared, Speed};

/// The queue of one service. Cheap to clone; all clones share one count.
#[derive(Debug, Clone)]
pub struct ServiceQueue(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    place: usize,
    speed: Speed,
    emptied: Event,
}

/// What the limiter keeps of a queue.
#[derive(Debug, Default)]
pub(super) struct State {
    limit: usize,
    inside: usize,
    pub(super) computing: usize,
    /// Requests that wait for a slot, the first one first.
    pub(super) waiting: VecDeque<oneshot::Sender<Grant>>,
    hold: Option<Arc<Hold>>,
    /// No request comes any more.
    pub(super) is_closed: bool,
    /// Requests refused because a bound was reached.
    refused: u64,
    began: Places,
}

/// One admitted request; dropping it frees its place.
#[derive(Debug)]
pub struct Permit {
    queue: Arc<Handle>,
    place: usize,
}

/// The right to compute; dropping it gives it to the next request.
#[derive(Debug)]
pub struct Slot {
    // Dropped first: the queue has to outlive it.
    _grant: Grant,
    _queue: Arc<Handle>,
}

/// A slot on its way to a request of the queue at `place`.
#[derive(Debug)]
pub(super) struct Grant {
    /// `None` where it was never used.
    shared: Option<Arc<Shared>>,
    place: usize,
}

/// Start times of the admitted requests by place; free places are used again.
#[derive(Debug, Default)]
struct Places {
    taken: Vec<Option<Instant>>,
    free: Vec<usize>,
}

/// Why a request was not admitted.
#[derive(Debug)]
pub enum Refused {
    /// A bound is reached: [`Error::Overloaded`].
    Full(Error),
    /// Admission is paused: the request may wait at this hold, and has to be routed again afterwards.
    Held(Arc<Hold>),
}

impl State {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Takes requests out whose clients left at the front, or anywhere where they are many.
    pub(super) fn forget_those_who_left(&mut self) {
        if self.waiting.len() >= self.limit.saturating_mul(2) {
            self.waiting.retain(|waiter| !waiter.is_closed());
        }
        while self.waiting.front().is_some_and(oneshot::Sender::is_closed) {
            self.waiting.pop_front();
        }
    }
}

impl ServiceQueue {
    pub(super) fn new(shared: Arc<Shared>, place: usize) -> Self {
        Self(Arc::new(Handle { shared, place, speed: Speed::default(), emptied: Event::new() }))
    }

    /// How long requests take.
    pub fn speed(&self) -> &Speed {
        &self.0.speed
    }

    /// Lets one request in.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn admit(&self) -> Result<Permit, Refused> {
        let Handle { shared, place, .. } = &*self.0;
        let mut state = shared.locked();
        let server = state.check_requests(&shared.bounds);
        let queue = state.queue(*place);
        if let Some(hold) = &queue.hold {
            return Err(Refused::Held(Arc::clone(hold)));
        }
        server.map_err(Refused::Full)?;
        if queue.inside >= queue.limit {
            queue.refused += 1;
            let text = format!("{} requests are waiting, the most this service takes", queue.limit);
            return Err(Refused::Full(Error::Overloaded(text)));
        }
        queue.inside += 1;
        let place = queue.began.take();
        state.inside += 1;
        drop(state);
        Ok(Permit { queue: Arc::clone(&self.0), place })
    }

    /// Requests refused so far because the limit was reached.
    pub fn refused(&self) -> u64 {
        self.read(|queue| queue.refused)
    }

    /// Requests inside now.
    pub fn inside(&self) -> usize {
        self.read(|queue| queue.inside)
    }

    /// Requests of all services inside now.
    pub fn inside_everywhere(&self) -> usize {
        self.0.shared.locked().inside
    }

    /// How long the requests inside have been there, the longest first.
    pub fn running(&self) -> Vec<Duration> {
        let began: Vec<Instant> = self.read(|queue| queue.began.taken.iter().flatten().copied().collect());
        let mut running: Vec<Duration> = began.iter().map(Instant::elapsed).collect();
        running.sort_unstable_by(|one, other| other.cmp(one));
        running
    }

    /// Pauses admission; as many requests as the limit allows may wait for its end, until this deadline.
    ///
    /// # Errors
    /// [`Error::MoveConflict`] when admission is paused already.
    pub fn hold(&self, until: Instant) -> Result<Arc<Hold>> {
        self.read(|queue| {
            if queue.hold.is_some() {
                return Err(Error::MoveConflict("the network of this service is being exchanged already".into()));
            }
            let begun = Hold::new(queue.limit, until);
            queue.hold = Some(Arc::clone(&begun));
            Ok(begun)
        })
    }

    /// Ends this hold: the requests that wait at it go on, and admission resumes unless another hold has been set
    /// since. Returns how many requests waited and how many were refused.
    pub fn release(&self, own: &Arc<Hold>) -> HoldCounts {
        self.read(|queue| {
            if queue.hold.as_ref().is_some_and(|hold| Arc::ptr_eq(hold, own)) {
                queue.hold = None;
            }
        });
        own.end();
        own.counts()
    }

    /// Waits until every admitted request of a paused service is answered; false when that takes longer.
    pub fn wait_until_empty(&self, deadline: Instant) -> bool {
        loop {
            let listener = self.0.emptied.listen();
            if self.inside() == 0 {
                return true;
            }
            if listener.wait_deadline(deadline).is_none() {
                return self.inside() == 0;
            }
        }
    }

    /// Requests that are remembered as waiting for a slot.
    #[cfg(test)]
    pub(super) fn read_waiting(&self) -> usize {
        self.read(|queue| queue.waiting.len())
    }

    fn read<T>(&self, read: impl FnOnce(&mut State) -> T) -> T {
        read(self.0.shared.locked().queue(self.0.place))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.locked().close(self.place);
    }
}

impl Permit {
    /// Waits for a slot, in turn.
    ///
    /// # Errors
    /// [`Error::DeadlineExceeded`].
    pub async fn slot(&self, deadline: Option<tokio::time::Instant>) -> Result<Slot> {
        let late = || Error::DeadlineExceeded("the time that the request allows was over before its turn came".into());
        if deadline.is_some_and(|deadline| tokio::time::Instant::now() >= deadline) {
            return Err(late());
        }
        let (shared, place) = (&self.queue.shared, self.queue.place);
        let receiver = {
            let mut state = shared.locked();
            state.queue(place).forget_those_who_left();
            let is_first = state.queue(place).waiting.is_empty();
            if is_first && state.take_slot(place, &shared.bounds) {
                return Ok(self.with(Grant::new(Arc::clone(shared), place)));
            }
            let (sender, receiver) = oneshot::channel();
            state.queue(place).waiting.push_back(sender);
            if is_first && !state.turns.contains(&place) {
                state.turns.push_back(place);
            }
            receiver
        };
        let gone = |_| Error::Internal("the queue of this service is gone".into());
        let granted = match deadline {
            None => receiver.await,
            Some(deadline) => tokio::time::timeout_at(deadline, receiver).await.map_err(|_| late())?,
        };
        granted.map(|grant| self.with(grant)).map_err(gone)
    }

    fn with(&self, grant: Grant) -> Slot {
        Slot { _grant: grant, _queue: Arc::clone(&self.queue) }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let is_empty = {
            let mut state = self.queue.shared.locked();
            state.inside -= 1;
            let queue = state.queue(self.queue.place);
            queue.began.give_back(self.place);
            queue.inside -= 1;
            queue.inside == 0 && queue.hold.is_some()
        };
        if is_empty {
            self.queue.emptied.notify(usize::MAX);
        }
    }
}

impl Grant {
    pub(super) fn new(shared: Arc<Shared>, place: usize) -> Self {
        Self { shared: Some(shared), place }
    }

    /// Takes it back unused; the place of its queue.
    pub(super) fn unused(mut self) -> usize {
        self.shared = None;
        self.place
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.give_slots(Some(self.place));
        }
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
