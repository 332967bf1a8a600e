//! How many requests wait and compute at once, for a whole server: the one place where a request waits for its turn.
//!
//! **Bounds.** A server takes [`Bounds::requests`] in all, whether they wait, compute or are forwarded to a peer, and each service as many
//! of these as its own limit says. A request beyond either bound is refused at once with [`Error::Overloaded`], which HTTP answers as 503
//! with `Retry-After`. [`Bounds::slots`] requests compute at once.
//!
//! **Fairness.** Requests of one service compute in the order of their arrival. A free slot goes to the services that wait in turn, one
//! request each. A service that has fewer than [`Bounds::own_slots`] computing need not wait for others: long requests of one service
//! never keep those of another from the cores.
//!
//! **Waiting** takes no thread. A request whose client leaves frees its place; one whose deadline passes is refused with
//! [`Error::DeadlineExceeded`] and computes nothing. This module must not know what is computed.

mod hold;
mod queue;
mod speed;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dede_model::error::{Error, Result};
use tokio::sync::oneshot;

pub use hold::{Hold, HoldCounts, Waiting};
use queue::{Grant, State as QueueState};
pub use queue::{Permit, Refused, ServiceQueue, Slot};
pub use speed::Speed;

/// Requests that may be at peers at once: each has a thread.
const FORWARDED: usize = 128;
/// Requests that wait for other machines at once, each with a thread: for what a URL names, or for the place that an answer is sent to.
const OUTBOUND: usize = 64;

/// What a server takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Requests that wait, compute or are forwarded.
    pub requests: usize,
    /// Requests of all services that compute at once.
    pub slots: usize,
    /// Requests of one service that compute at once, whatever others do.
    pub own_slots: usize,
}

impl Bounds {
    /// For a machine with this many computing threads: two slots for each, so that one request is read while another computes, and two
    /// for the one request more than threads that may compute. More would only take memory.
    pub fn of_machine(requests: usize, threads: usize) -> Self {
        Self { requests, slots: threads * 2 + 2, own_slots: threads.max(1) }
    }
}

/// The limiter of a server. Cheap to clone; all clones share one count.
#[derive(Debug, Clone)]
pub struct Limiter(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bounds: Bounds,
    state: Mutex<State>,
}

/// All queues under one lock, which is held for some instructions only.
#[derive(Debug, Default)]
struct State {
    /// Requests of services of this server.
    inside: usize,
    /// Requests that are at peers.
    forwarded: usize,
    /// Requests that wait for other machines.
    outbound: usize,
    /// Requests that have a slot.
    computing: usize,
    /// By place; `None` is free.
    queues: Vec<Option<QueueState>>,
    /// Places of the queues in which requests wait for a slot, the next one first; each once.
    turns: VecDeque<usize>,
}

/// A request that is at a peer; dropping it frees its place.
#[derive(Debug)]
pub struct Forwarded(Arc<Shared>);

/// A request that waits for another machine; dropping it frees its place.
#[derive(Debug)]
pub struct Outbound(Arc<Shared>);

impl Limiter {
    /// With these bounds.
    pub fn new(bounds: Bounds) -> Self {
        Self(Arc::new(Shared { bounds, state: Mutex::default() }))
    }

    /// A queue for one service, which takes at most `limit` requests.
    pub fn queue(&self, limit: usize) -> ServiceQueue {
        let mut state = self.0.locked();
        let queue = Some(QueueState::new(limit));
        let place = match state.queues.iter().position(Option::is_none) {
            Some(place) => {
                state.queues[place] = queue;
                place
            }
            None => {
                state.queues.push(queue);
                state.queues.len() - 1
            }
        };
        drop(state);
        ServiceQueue::new(Arc::clone(&self.0), place)
    }

    /// Counts a request that is forwarded to a peer.
    ///
    /// # Errors
    /// [`Error::Overloaded`].
    pub fn forward(&self) -> Result<Forwarded> {
        let mut state = self.0.locked();
        state.check_requests(&self.0.bounds)?;
        if state.forwarded >= FORWARDED {
            return Err(Error::Overloaded("too many requests are being forwarded by this server".into()));
        }
        state.forwarded += 1;
        drop(state);
        Ok(Forwarded(Arc::clone(&self.0)))
    }

    /// Counts a request that waits for another machine.
    ///
    /// # Errors
    /// [`Error::Overloaded`].
    pub fn outbound(&self) -> Result<Outbound> {
        let mut state = self.0.locked();
        if state.outbound >= OUTBOUND {
            return Err(Error::Overloaded(format!("{OUTBOUND} requests are waiting for other machines already")));
        }
        state.outbound += 1;
        drop(state);
        Ok(Outbound(Arc::clone(&self.0)))
    }

    /// Requests of services of this server that wait or compute.
    pub fn inside(&self) -> usize {
        self.0.locked().inside
    }
}

impl Drop for Forwarded {
    fn drop(&mut self) {
        self.0.locked().forwarded -= 1;
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        self.0.locked().outbound -= 1;
    }
}

impl Shared {
    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives free slots to the requests that are next, after one of the queue at `freed` came free.
    fn give_slots(self: &Arc<Self>, mut freed: Option<usize>) {
        loop {
            let granted = {
                let mut state = self.locked();
                if let Some(place) = freed.take() {
                    state.free_slot(place);
                }
                state.grant(&self.bounds)
            };
            let Some((place, waiter)) = granted else { return };
            // The client may have left since: its slot goes to the next.
            if let Err(grant) = waiter.send(Grant::new(Arc::clone(self), place)) {
                freed = Some(grant.unused());
            }
        }
    }
}

impl State {
    fn check_requests(&self, bounds: &Bounds) -> Result<()> {
        if self.inside + self.forwarded < bounds.requests {
            return Ok(());
        }
        Err(Error::Overloaded("too many requests are waiting on this server".into()))
    }

    /// The queue at a place, which is there for as long as a handle or a slot of it is.
    fn queue(&mut self, place: usize) -> &mut QueueState {
        self.queues[place].as_mut().expect("a queue outlives its handles and slots")
    }

    /// Takes a slot for a queue, where there is one for it.
    fn take_slot(&mut self, place: usize, bounds: &Bounds) -> bool {
        let is_free = self.computing < bounds.slots || self.queue(place).computing < bounds.own_slots;
        if is_free {
            self.queue(place).computing += 1;
            self.computing += 1;
        }
        is_free
    }

    fn free_slot(&mut self, place: usize) {
        self.computing -= 1;
        let queue = self.queue(place);
        queue.computing -= 1;
        if queue.is_closed && queue.computing == 0 {
            self.queues[place] = None;
        }
    }

    /// The service of a queue is gone. Its place stays until the slots are back that were on their way to its requests.
    fn close(&mut self, place: usize) {
        self.turns.retain(|turn| *turn != place);
        let queue = self.queue(place);
        queue.is_closed = true;
        if queue.computing == 0 {
            self.queues[place] = None;
        }
    }

    /// The next request that gets a slot, with the place of its queue.
    fn grant(&mut self, bounds: &Bounds) -> Option<(usize, oneshot::Sender<Grant>)> {
        for _ in 0..self.turns.len() {
            let place = self.turns.pop_front()?;
            self.queue(place).forget_those_who_left();
            if self.queue(place).waiting.is_empty() {
                continue;
            }
            if !self.take_slot(place, bounds) {
                self.turns.push_back(place);
                continue;
            }
            let queue = self.queue(place);
            let waiter = queue.waiting.pop_front()?;
            if !queue.waiting.is_empty() {
                self.turns.push_back(place);
            }
            return Some((place, waiter));
        }
        None
    }
}
