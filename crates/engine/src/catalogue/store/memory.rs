//! A state in memory, for tests: several writers, of which one can be made to lose races.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use dede_model::error::Result;
use event_listener::{Event, EventListener};

use super::{Put, Revision, StateStore};
use crate::catalogue::desired::DesiredState;

/// What another writer makes of a state.
type Interference = Box<dyn FnOnce(DesiredState) -> DesiredState + Send>;

/// A handle; clones lead to the same state.
#[derive(Clone, Default)]
pub(crate) struct MemoryStore(Arc<Shared>);

#[derive(Default)]
struct Shared {
    kept: Mutex<Kept>,
    changed: Event,
}

#[derive(Default)]
struct Kept {
    revision: u64,
    /// As a file would hold it.
    record: Option<Vec<u8>>,
    interferences: VecDeque<Interference>,
}

impl Kept {
    fn state(&self) -> Result<DesiredState> {
        let text = self.record.as_ref().map(|bytes| String::from_utf8_lossy(bytes));
        text.map_or_else(|| Ok(DesiredState::default()), |text| DesiredState::from_record(&text, "the memory"))
    }

    fn put(&mut self, state: &DesiredState) -> Result<Revision> {
        self.record = Some(state.to_record()?);
        self.revision += 1;
        Ok(Revision(self.revision))
    }
}

impl MemoryStore {
    /// The next writer loses against another one, which does this; the one after it against the next of these.
    pub(crate) fn lose_against(&self, interference: impl FnOnce(DesiredState) -> DesiredState + Send + 'static) {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner).interferences.push_back(Box::new(interference));
    }
}

impl StateStore for MemoryStore {
    fn load(&mut self) -> Result<(Revision, DesiredState)> {
        let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((Revision(kept.revision), kept.state()?))
    }

    fn compare_and_put(&mut self, expected: Revision, state: &DesiredState) -> Result<Put> {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(interference) = kept.interferences.pop_front() {
            let won = interference(kept.state()?);
            kept.put(&won)?;
        }
        if expected != Revision(kept.revision) {
            return Ok(Put::Lost);
        }
        let stored = kept.put(state)?;
        drop(kept);
        self.0.changed.notify(usize::MAX);
        Ok(Put::Stored(stored))
    }

    fn watch(&self) -> EventListener {
        self.0.changed.listen()
    }
}
