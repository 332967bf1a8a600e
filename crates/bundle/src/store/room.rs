//! Accounting of the bytes that the store takes and may take: counted before content is there, so that a limit holds
//! for concurrent requests too. It knows numbers, no files.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::{Result, StoreError};

/// What the smallest file takes on a disk; sizes are rounded up to it.
const BLOCK: u64 = 4096;

/// Bytes that a file of a size takes, as they are counted.
pub(super) fn cost(size: u64) -> u64 {
    size.max(1).checked_next_multiple_of(BLOCK).unwrap_or(size)
}

/// A limit and what is counted against it.
#[derive(Debug)]
pub(super) struct Room {
    /// What is limited, for people.
    what: &'static str,
    limit: AtomicU64,
    taken: AtomicU64,
}

impl Room {
    pub(super) fn new(what: &'static str, limit: u64) -> Arc<Self> {
        Arc::new(Self { what, limit: AtomicU64::new(limit), taken: AtomicU64::new(0) })
    }

    pub(super) fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Counts bytes, whatever the limit says: of content that is there already, or that the server's operator brings.
    pub(super) fn charge(self: &Arc<Self>, bytes: u64) -> Charge {
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        Charge { room: Arc::clone(self), bytes }
    }

    /// Counts bytes that a client wants to put.
    ///
    /// # Errors
    /// [`StoreError::QuotaExceeded`], and nothing is counted.
    pub(super) fn claim(self: &Arc<Self>, bytes: u64) -> Result<Charge> {
        let mut charge = self.charge(0);
        charge.grow(bytes)?;
        Ok(charge)
    }

    /// Whether so many bytes would be counted now; counts none.
    ///
    /// # Errors
    /// [`StoreError::QuotaExceeded`].
    pub(super) fn check(&self, bytes: u64) -> Result<()> {
        self.sum(self.taken(), bytes).map(drop).ok_or_else(|| self.exceeded(bytes))
    }

    /// Releases bytes that no [`Charge`] stands for.
    pub(super) fn free(&self, bytes: u64) {
        let lower = |taken: u64| Some(taken.saturating_sub(bytes));
        let _ = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, lower);
    }

    fn sum(&self, taken: u64, bytes: u64) -> Option<u64> {
        taken.checked_add(bytes).filter(|sum| *sum <= self.limit.load(Ordering::Relaxed))
    }

    fn exceeded(&self, wanted: u64) -> StoreError {
        StoreError::QuotaExceeded { what: self.what, limit: self.limit.load(Ordering::Relaxed), wanted }
    }
}

/// Counted bytes, until it is dropped.
#[derive(Debug)]
#[must_use = "dropping a charge lets go of its bytes"]
pub(super) struct Charge {
    room: Arc<Room>,
    bytes: u64,
}

impl Charge {
    /// Counts more, up to `bytes` in all.
    ///
    /// # Errors
    /// [`StoreError::QuotaExceeded`], and the count stays.
    pub(super) fn grow(&mut self, bytes: u64) -> Result<()> {
        let more = bytes.saturating_sub(self.bytes);
        let raise = |taken| self.room.sum(taken, more);
        match self.room.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, raise) {
            Ok(_) => {
                self.bytes += more;
                Ok(())
            }
            Err(_) => Err(self.room.exceeded(more)),
        }
    }

    /// Counts `bytes` instead, whatever the limit says.
    pub(super) fn set(&mut self, bytes: u64) {
        *self = self.room.charge(bytes);
    }

    /// Leaves the bytes counted: the code that removes what they stand for calls [`Room::free`].
    pub(super) fn keep(mut self) {
        self.bytes = 0;
    }

    /// All of its bytes, with none left here.
    pub(super) fn take(&mut self) -> Self {
        std::mem::replace(self, self.room.charge(0))
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.room.free(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_holds_and_what_goes_makes_room() {
        let room = Room::new("the test", 3 * BLOCK);
        let first = room.claim(cost(1)).unwrap();
        let mut second = room.claim(cost(BLOCK)).unwrap();
        second.grow(cost(BLOCK + 1)).unwrap();
        assert!(matches!(second.grow(3 * BLOCK), Err(StoreError::QuotaExceeded { limit, .. }) if limit == 3 * BLOCK));
        assert!(room.claim(1).is_err() && room.check(1).is_err() && room.claim(0).is_ok());
        assert_eq!(room.taken(), 3 * BLOCK, "what is refused is not counted");
        drop(first);
        room.check(BLOCK).unwrap();
        second.take().keep();
        drop(second);
        assert_eq!(room.taken(), 2 * BLOCK);
        let mut brought = room.charge(u64::MAX >> 1);
        assert!(room.claim(1).is_err());
        brought.set(BLOCK);
        room.free(u64::MAX);
        assert_eq!(room.taken(), 0);
        assert!(room.claim(u64::MAX).is_err());
    }

    #[test]
    fn threads_that_claim_at_once_never_get_more_than_there_is() {
        let room = Room::new("the test", 100);
        let got: usize = std::thread::scope(|scope| {
            let claim = || (0..50).filter_map(|_| room.claim(1).ok()).map(Charge::keep).count();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(claim)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!((got, room.taken()), (100, 100));
    }

    #[test]
    fn every_file_takes_whole_blocks() {
        for (size, expected) in [(0, BLOCK), (1, BLOCK), (BLOCK, BLOCK), (BLOCK + 1, 2 * BLOCK), (u64::MAX, u64::MAX)] {
            assert_eq!(cost(size), expected, "{size}");
        }
    }
}
