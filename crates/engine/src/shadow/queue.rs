//! Copies that wait, those of refused requests apart: they are few, and say the most. Putting one in never waits; what does not fit is
//! not taken.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use dede_model::parameters::Parameters;
use dede_model::parameters::Section;
use dede_model::picture::Picture;
use dede_model::tensor::NamedTensor;
use serde_json::Value;

use super::{Primary, ShadowLimits};
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
    /// Copies waiting now, readable without the lock.
    length: AtomicUsize,
}

#[derive(Default)]
struct Inner {
    /// Of requests that were answered.
    copies: VecDeque<(usize, Copied)>,
    /// Of requests that were refused; they go first.
    refused: VecDeque<(usize, Copied)>,
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
        let is_refused = copied.primary.outputs.is_err();
        let waiting = if is_refused { inner.refused.len() } else { inner.copies.len() };
        let fits = waiting < self.limits.copies && inner.bytes.saturating_add(bytes) <= self.limits.bytes;
        if inner.closed || !fits {
            drop(inner);
            return Err(Refused);
        }
        inner.bytes += bytes;
        let waiting = if is_refused { &mut inner.refused } else { &mut inner.copies };
        waiting.push_back((bytes, copied));
        self.length.store(inner.length(), Ordering::SeqCst);
        Ok(())
    }

    /// Takes the copy that waits longest, of a refused request where there is one.
    pub(super) fn pop(&self) -> Option<Copied> {
        let mut inner = self.lock();
        let (bytes, copied) = inner.refused.pop_front().or_else(|| inner.copies.pop_front())?;
        inner.bytes -= bytes;
        self.length.store(inner.length(), Ordering::SeqCst);
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
        let waited = (std::mem::take(&mut inner.copies), std::mem::take(&mut inner.refused));
        self.length.store(0, Ordering::SeqCst);
        drop(inner);
        waited.0.len() + waited.1.len()
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

impl Inner {
    fn length(&self) -> usize {
        self.copies.len() + self.refused.len()
    }
}

/// Memory of a copy, without what is small for certain.
fn size(copied: &Copied) -> usize {
    let texts = copied.call.data.iter().chain(&copied.call.ids);
    let bytes_of = |tensors: &[NamedTensor]| tensors.iter().map(|named| named.tensor.values().bytes()).sum::<u64>();
    let in_tensors = |tensors| usize::try_from(bytes_of(tensors)).unwrap_or(usize::MAX);
    let answer = copied.primary.outputs.as_ref().map_or(0, |outputs| outputs.bytes());
    let values = usize::try_from(answer).unwrap_or(usize::MAX).saturating_add(in_tensors(&copied.call.tensors));
    let Parameters { input, mllib, output } = &copied.call.parameters;
    let parameters: usize = [input, mllib, output].into_iter().map(members).sum();
    let reason = copied.primary.outputs.as_ref().err().map_or(0, |refusal| refusal.reason.len());
    let pictures: u64 = copied.call.pictures.iter().map(Picture::bytes).sum();
    let values = values.saturating_add(usize::try_from(pictures).unwrap_or(usize::MAX));
    let beside = texts.map(|text| text.len() + size_of::<String>()).sum::<usize>() + parameters + reason;
    values.saturating_add(beside)
}

fn members(object: &Section) -> usize {
    object.iter().map(|(name, value)| size_of::<String>() + name.len() + memory(value)).sum()
}

/// Of a value, as it lies in memory: small ones take many times what they take as text.
fn memory(value: &Value) -> usize {
    let below = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(memory).sum(),
        Value::Object(object) => members(object),
    };
    size_of::<Value>() + below
}
