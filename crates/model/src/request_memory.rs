//! Memory that all requests take together: bodies, what they inflate and parse to, decoded items, answers. Counted where it grows, before
//! it does.
//!
//! It must not know what a request is for. What is small is not counted: it is bounded by the number of connections.

use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use event_listener::{Event, Listener as _};

use crate::caller::Caller;
use crate::error::{Error, Result};

/// Memory is counted in steps of this size, bytes; the first one of each request is not.
const STEP: u64 = 16 << 10;
/// How long work that gives memory back by itself is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// What stays between requests takes one part of so many.
const KEPT_PART: u64 = 4;

/// How much is read before it is counted, bytes.
const PIECE: u64 = 64 << 10;

/// Why something was not read.
#[derive(Debug)]
pub enum Unread {
    /// It broke off.
    Broken(std::io::Error),
    /// It is longer than so many bytes.
    TooLong(u64),
    /// There is no memory for it.
    Memory(Error),
}

impl Unread {
    /// As an error of the request.
    pub fn or<E: From<Error>>(self, complaint: impl FnOnce(String) -> E) -> E {
        match self {
            Self::Broken(error) => complaint(error.to_string()),
            Self::TooLong(most) => complaint(format!("more than {most} bytes")),
            Self::Memory(error) => error.into(),
        }
    }
}

/// What there is for all requests. Clones are the same memory.
#[derive(Debug, Clone)]
pub struct RequestMemory(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    total: u64,
    taken: AtomicU64,
    /// Of what is taken: what stays between requests.
    kept: AtomicU64,
    freed: Event,
}

impl Default for RequestMemory {
    /// As much as is asked for.
    fn default() -> Self {
        Self::new(u64::MAX)
    }
}

impl RequestMemory {
    /// So many bytes.
    pub fn new(total: u64) -> Self {
        Self(Arc::new(Pool { total, taken: AtomicU64::new(0), kept: AtomicU64::new(0), freed: Event::new() }))
    }

    /// The share of one request, nothing at first.
    pub fn share(&self) -> MemoryShare {
        MemoryShare { pool: Arc::clone(&self.0), bytes: Mutex::new(0), caller: OnceLock::new() }
    }
}

/// What one request takes; given back when it is dropped. Threads that work on one request share it.
#[derive(Debug)]
pub struct MemoryShare {
    pool: Arc<Pool>,
    bytes: Mutex<u64>,
    caller: OnceLock<Caller>,
}

impl MemoryShare {
    /// One of a memory without bounds, for what no client asks for.
    pub fn unbounded() -> Self {
        static UNBOUNDED: LazyLock<RequestMemory> = LazyLock::new(RequestMemory::default);
        UNBOUNDED.share()
    }

    /// The client that the memory is taken for.
    pub fn caller(&self) -> &Caller {
        self.caller.get_or_init(Caller::default)
    }

    /// Takes more.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where it is more than there is for all requests; [`Error::Overloaded`] where others have it now.
    pub fn grow(&self, more: u64) -> Result<()> {
        let mut bytes = self.locked();
        let after = bytes.saturating_add(more);
        if after > self.pool.total {
            let total = self.pool.total;
            let text = format!(
                "it takes more than {total} bytes of memory, all that there is for requests (--request-memory)"
            );
            return Err(Error::TooLarge(text));
        }
        if !self.pool.take(steps(after) - steps(*bytes)) {
            return Err(Error::Overloaded("too many large requests at once (--request-memory)".into()));
        }
        *bytes = after;
        Ok(())
    }

    /// Gives some back.
    pub fn shrink(&self, less: u64) {
        let given = {
            let mut bytes = self.locked();
            let before = *bytes;
            *bytes = before.saturating_sub(less);
            steps(before) - steps(*bytes)
        };
        self.pool.give_back(given);
    }

    /// Gives back what is beyond this.
    pub fn shrink_to(&self, bytes: u64) {
        self.shrink(self.bytes().saturating_sub(bytes));
    }

    /// Reads all of `reader`, at most `most` bytes, which then count.
    ///
    /// # Errors
    /// [`Unread`].
    pub fn read(&self, mut reader: impl Read, most: u64) -> Result<Vec<u8>, Unread> {
        let (mut bytes, mut counted) = (Vec::new(), 0);
        loop {
            // What a vector that grows takes is twice as much at most.
            self.grow(2 * PIECE).map_err(Unread::Memory)?;
            counted += 2 * PIECE;
            let more = reader.by_ref().take(PIECE).read_to_end(&mut bytes).map_err(Unread::Broken)?;
            if bytes.len() as u64 > most {
                return Err(Unread::TooLong(most));
            }
            if more == 0 {
                bytes.shrink_to_fit();
                self.shrink(counted - bytes.len() as u64);
                return Ok(bytes);
            }
        }
    }

    /// Takes memory for work that ends by itself and takes no more while it goes on; waits for other such work.
    ///
    /// # Errors
    /// As [`MemoryShare::grow`].
    pub fn borrow(&self, bytes: u64) -> Result<Borrowed<'_>> {
        let mut grown = self.grow(bytes);
        let deadline = Instant::now() + PATIENCE;
        while matches!(grown, Err(Error::Overloaded(_))) {
            let freed = self.pool.freed.listen();
            // It may have been given back before this one listened.
            grown = self.grow(bytes);
            if grown.is_ok() || freed.wait_deadline(deadline).is_none() {
                break;
            }
            grown = self.grow(bytes);
        }
        grown.map(|()| Borrowed { share: self, bytes })
    }

    /// As [`MemoryShare::borrow`] without waiting: for work that takes more while it goes on, where two would wait for each other.
    ///
    /// # Errors
    /// As [`MemoryShare::grow`].
    pub fn try_borrow(&self, bytes: u64) -> Result<Borrowed<'_>> {
        self.grow(bytes).map(|()| Borrowed { share: self, bytes })
    }

    /// A share beside this one, for what several requests use.
    ///
    /// # Errors
    /// As [`MemoryShare::grow`].
    pub fn beside(&self, bytes: u64) -> Result<Self> {
        let beside = Self { pool: Arc::clone(&self.pool), bytes: Mutex::new(0), caller: OnceLock::new() };
        beside.grow(bytes).map(|()| beside)
    }

    /// Lets this share stay between requests, until the result is dropped; `None` where that would leave too little to
    /// requests.
    pub fn keep(&self) -> Option<KeptMemory> {
        let bytes = self.bytes();
        let keep = |kept: u64| kept.checked_add(bytes).filter(|kept| *kept <= self.pool.total / KEPT_PART);
        let kept = self.pool.kept.fetch_update(Ordering::AcqRel, Ordering::Acquire, keep);
        kept.ok().map(|_| KeptMemory { pool: Arc::clone(&self.pool), bytes })
    }

    fn bytes(&self) -> u64 {
        *self.locked()
    }

    fn locked(&self) -> MutexGuard<'_, u64> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memory that stays between requests.
#[derive(Debug)]
pub struct KeptMemory {
    pool: Arc<Pool>,
    bytes: u64,
}

impl Drop for KeptMemory {
    fn drop(&mut self) {
        self.pool.kept.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        self.pool.give_back(steps(self.bytes()));
    }
}

impl Pool {
    fn take(&self, more: u64) -> bool {
        let take = |taken: u64| taken.checked_add(more).filter(|taken| *taken <= self.total);
        more == 0 || self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok()
    }

    fn give_back(&self, bytes: u64) {
        if bytes > 0 {
            self.taken.fetch_sub(bytes, Ordering::AcqRel);
            self.freed.notify(usize::MAX);
        }
    }
}

/// What counts of so many bytes.
fn steps(bytes: u64) -> u64 {
    bytes / STEP * STEP
}

/// Memory of a share for a while.
#[derive(Debug)]
pub struct Borrowed<'a> {
    share: &'a MemoryShare,
    bytes: u64,
}

impl Borrowed<'_> {
    /// Keeps so much of it for as long as the share.
    pub fn keep(mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        self.share.shrink(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_taken_and_given_back() {
        let memory = RequestMemory::new(10 * STEP);
        let (one, other) = (memory.share(), memory.share());
        one.grow(6 * STEP).expect("there is as much");
        assert!(matches!(other.grow(6 * STEP), Err(Error::Overloaded(_))), "not twice");
        assert!(matches!(other.grow(11 * STEP), Err(Error::TooLarge(_))), "never");
        one.shrink_to(STEP);
        other.grow(6 * STEP).expect("given back");
        drop(other);
        one.grow(9 * STEP).expect("all of it");
        assert!(matches!(one.grow(STEP), Err(Error::TooLarge(_))), "no more");
        drop(one);
        assert_eq!(memory.0.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_stays_leaves_most_to_requests() {
        let memory = RequestMemory::new(16 * STEP);
        let request = memory.share();
        let one = request.beside(3 * STEP).expect("there is as much");
        let other = request.beside(2 * STEP).expect("there is as much");
        let kept = one.keep().expect("less than a quarter");
        assert!(other.keep().is_none(), "more than a quarter together");
        drop(request);
        assert_eq!(memory.0.taken.load(Ordering::Relaxed), 5 * STEP, "they outlive the request");
        drop((kept, one));
        assert!(other.keep().is_some(), "there is place again");
        drop(other);
        assert_eq!(memory.0.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_is_borrowed_waits_for_what_is_lent() {
        let memory = RequestMemory::new(10 * STEP);
        let (one, other) = (memory.share(), memory.share());
        let lent = one.borrow(6 * STEP).expect("there is as much");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| other.borrow(6 * STEP).map(|borrowed| borrowed.keep(2 * STEP)));
            lent.keep(STEP);
            waiting.join().expect("no panic").expect("it waited");
        });
        assert_eq!(memory.0.taken.load(Ordering::Relaxed), 3 * STEP);
        assert!(matches!(other.borrow(11 * STEP), Err(Error::TooLarge(_))));
    }

    #[test]
    fn what_is_read_counts() {
        let memory = RequestMemory::new(64 * STEP);
        let share = memory.share();
        let bytes = share.read(std::io::repeat(1).take(10 * STEP), 10 * STEP).expect("as long as it may be");
        assert_eq!((bytes.len() as u64, memory.0.taken.load(Ordering::Relaxed)), (10 * STEP, 10 * STEP));
        assert!(matches!(share.read(std::io::repeat(1), STEP), Err(Unread::TooLong(STEP))));
        assert!(matches!(memory.share().read(std::io::repeat(1), u64::MAX), Err(Unread::Memory(_))));
    }

    #[test]
    fn threads_share_a_share() {
        let memory = RequestMemory::new(1000 * STEP);
        let share = memory.share();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for bytes in 1..2000 {
                        share.grow(bytes * 7).expect("there is as much");
                        share.shrink(bytes * 7);
                    }
                    share.grow(STEP / 2).expect("there is as much");
                });
            }
        });
        assert_eq!(memory.0.taken.load(Ordering::Relaxed), 2 * STEP);
    }
}
