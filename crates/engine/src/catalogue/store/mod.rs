//! Where the desired state is kept, so that a restart finds it again: a file now. Another kind of store passes the tests in `tests`.
//!
//! A store must not know what a state means, nor what runs.

mod file;
#[cfg(test)]
pub(crate) mod memory;

use dede_model::error::Result;
use event_listener::EventListener;

use super::desired::DesiredState;
pub use file::FileStore;

/// Identity of what a store holds: another after each change of any writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revision(pub u64);

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is durable, and has this revision.
    Stored(Revision),
    /// Another writer was faster: nothing was changed, and what is there now is to be loaded.
    Lost,
}

/// Keeps one state. A handle belongs to one thread; several handles, also of other servers, may lead to the same state where the kind of
/// store allows that.
pub trait StateStore: Send {
    /// What is kept now; an empty state where nothing was stored yet.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged.
    fn load(&mut self) -> Result<(Revision, DesiredState)>;

    /// Replaces the whole state, durably, if it still has this revision. After an error it is not known whether the state was replaced.
    ///
    /// # Errors
    /// When it cannot be written.
    fn compare_and_put(&mut self, expected: Revision, state: &DesiredState) -> Result<Put>;

    /// Notified after each change that is stored from now on.
    fn watch(&self) -> EventListener;
}

#[cfg(test)]
mod tests;
