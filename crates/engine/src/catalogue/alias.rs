//! An alias as requests meet it: what is recorded of it, and its runtime state.

use std::ops::Deref;
use std::sync::Arc;

use super::desired::{AliasEntry, Share};
use super::traffic::Traffic;
use crate::shadow::ShadowCounts;

/// An alias at one moment.
#[derive(Debug, Clone)]
pub struct Alias {
    entry: Arc<AliasEntry>,
    /// Rotations and the running shadow; the same for as long as the alias lives.
    pub(super) traffic: Arc<Traffic>,
}

impl Alias {
    /// The next state of an alias, or of a new one.
    pub(super) fn after(former: Option<&Self>, entry: &Arc<AliasEntry>) -> Self {
        let former = former.filter(|former| entry.continues(&former.entry));
        let traffic = former.map(|former| Arc::clone(&former.traffic)).unwrap_or_default();
        Self { entry: Arc::clone(entry), traffic }
    }

    /// The canary now: the recorded one, or the temporary one of a move.
    pub fn present_canary(&self) -> Option<Share> {
        self.traffic.canary_override().or(self.canary)
    }

    /// Counts of the copies for its shadows, since the server started.
    pub fn shadow_counts(&self) -> ShadowCounts {
        self.traffic.ledger.counts()
    }
}

/// What is recorded of it.
impl Deref for Alias {
    type Target = AliasEntry;

    fn deref(&self) -> &AliasEntry {
        &self.entry
    }
}
