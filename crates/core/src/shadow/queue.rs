//! Copies that wait. Putting one in never waits for anybody; whatever does not fit is refused.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use super::{Primary, ShadowLimits};
use crate::outputs::Outputs;
use crate::service::PredictCall;

/// Attempts to get at the queue: others hold it for less than a microsecond, unless they are put to sleep just then.
const ATTEMPTS: usize = 16;

/// A request and its answer.
pub(super) struct Copied {
    pub(super) id: u64,
    pub(super) call: PredictCall,
    pub(super) primary: Primary,
}

/// No room, or closed.
#[derive(Debug)]
pub(super) struct Refused;

pub(super) struct Queue {
    limits: ShadowLimits,
    inner: Mutex<Inner>,
    /// Waiting now, to be looked at without the lock.
    length: AtomicUsize,
}

#[derive(Default)]
struct Inner {
    copies: VecDeque<(usize, Copied)>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    pub(super) fn new(limits: ShadowLimits) -> Self {
        Self { limits, inner: Mutex::default(), length: AtomicUsize::new(0) }
    }

    /// Puts a copy at the end.
    pub(super) fn push(&self, copied: Copied) -> Result<(), Refused> {
        let bytes = size(&copied);
        let mut inner = (0..ATTEMPTS).find_map(|_| self.try_lock()).ok_or(Refused)?;
        let fits = inner.copies.len() < self.limits.copies && inner.bytes.saturating_add(bytes) <= self.limits.bytes;
        if inner.closed || !fits {
            drop(inner);
            return Err(Refused);
        }
        inner.bytes += bytes;
        inner.copies.push_back((bytes, copied));
        self.length.store(inner.copies.len(), Ordering::SeqCst);
        Ok(())
    }

    /// Takes the copy that waits longest.
    pub(super) fn pop(&self) -> Option<Copied> {
        let mut inner = self.lock();
        let (bytes, copied) = inner.copies.pop_front()?;
        inner.bytes -= bytes;
        self.length.store(inner.copies.len(), Ordering::SeqCst);
        Some(copied)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length.load(Ordering::SeqCst) == 0
    }

    /// Refuses everything from now on; gives what waited.
    pub(super) fn close(&self) -> usize {
        let mut inner = self.lock();
        inner.closed = true;
        inner.bytes = 0;
        let waited = std::mem::take(&mut inner.copies);
        self.length.store(0, Ordering::SeqCst);
        drop(inner);
        waited.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Inner>> {
        match self.inner.try_lock() {
            Ok(inner) => Some(inner),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => {
                std::hint::spin_loop();
                None
            }
        }
    }
}

/// Memory of a copy, without what is small for certain.
fn size(copied: &Copied) -> usize {
    let texts = copied.call.data.iter().chain(&copied.call.ids);
    let values = match &*copied.primary.outputs {
        Outputs::Classification(tensor) | Outputs::Regression(tensor) => tensor.values().len(),
        Outputs::Features(rows) => rows.iter().map(Vec::len).sum(),
    };
    texts.map(|text| text.len() + size_of::<String>()).sum::<usize>() + values * size_of::<f32>()
}
