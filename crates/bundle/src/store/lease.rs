//! Leases: what keeps blobs from being collected while no manifest names them yet. It knows digests and counts, no
//! files.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use super::durable::lock;
use crate::digest::Digest;

/// Which digests are held, and which of them were held at any time during the collection that runs.
#[derive(Debug, Default)]
pub(super) struct Holds {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    counts: HashMap<Digest, usize>,
    /// `Some` while a collection runs. A reference made after the collection looked at its manifest's repository was made under a
    /// hold, so it is in here even when the hold has ended by the time the blob's turn comes.
    touched: Option<HashSet<Digest>>,
}

impl Holds {
    pub(super) fn lease(self: &Arc<Self>) -> Lease {
        Lease { holds: Arc::clone(self), digests: Mutex::default(), verified: Mutex::default() }
    }

    /// Begins a collection; only one runs at a time.
    pub(super) fn begin_collection(&self) {
        let mut state = lock(&self.state);
        state.touched = Some(state.counts.keys().copied().collect());
    }

    /// Ends it.
    pub(super) fn end_collection(&self) {
        lock(&self.state).touched = None;
    }

    /// Runs `remove` unless the digest is held, or was since the collection began. The lock is kept meanwhile, so that no hold can
    /// begin between the look and the removal; `remove` has to be as short as one rename.
    pub(super) fn unless_held<T>(&self, digest: &Digest, remove: impl FnOnce() -> T) -> Option<T> {
        let state = lock(&self.state);
        let held = state.counts.contains_key(digest) || state.touched.as_ref().is_some_and(|set| set.contains(digest));
        (!held).then(remove)
    }
}

/// A promise that blobs stay in the store, there already or yet to come, until it is dropped. What puts blobs holds one, and drops
/// it when a manifest or a directory has what it needs. After a restart, leases are taken anew before the next collection.
#[derive(Debug)]
#[must_use = "dropping a lease releases its blobs"]
pub struct Lease {
    holds: Arc<Holds>,
    digests: Mutex<HashSet<Digest>>,
    /// Those whose content was hashed on its way into the store under this very lease.
    verified: Mutex<HashSet<Digest>>,
}

impl Lease {
    /// Adds a blob.
    pub fn hold(&self, digest: Digest) {
        if lock(&self.digests).insert(digest) {
            let mut state = lock(&self.holds.state);
            *state.counts.entry(digest).or_default() += 1;
            if let Some(touched) = &mut state.touched {
                touched.insert(digest);
            }
        }
    }

    /// Adds several.
    pub fn hold_all(&self, digests: impl IntoIterator<Item = Digest>) {
        digests.into_iter().for_each(|digest| self.hold(digest));
    }
}

impl Lease {
    pub(super) fn note_verified(&self, digest: Digest) {
        lock(&self.verified).insert(digest);
    }

    /// Whether it has just been brought under this lease, so that it need not be read once more.
    pub(super) fn has_verified(&self, digest: &Digest) -> bool {
        lock(&self.verified).contains(digest)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let digests = std::mem::take(&mut *lock(&self.digests));
        let mut state = lock(&self.holds.state);
        for digest in digests {
            if let Some(count) = state.counts.get_mut(&digest) {
                *count -= 1;
                if *count == 0 {
                    state.counts.remove(&digest);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_free_when_its_last_lease_is_gone() {
        let holds = Arc::new(Holds::default());
        let (blob, other) = (Digest::of(b"a"), Digest::of(b"b"));
        let (one, two) = (holds.lease(), holds.lease());
        one.hold_all([blob, blob]);
        two.hold(blob);
        drop(one);
        assert_eq!(holds.unless_held(&blob, || ()), None);
        assert_eq!(holds.unless_held(&other, || ()), Some(()));
        drop(two);
        assert_eq!(holds.unless_held(&blob, || ()), Some(()));
    }

    #[test]
    fn what_was_held_during_a_collection_outlives_it() {
        let holds = Arc::new(Holds::default());
        let (before, during) = (Digest::of(b"a"), Digest::of(b"b"));
        let lease = holds.lease();
        lease.hold(before);
        holds.begin_collection();
        drop(lease);
        holds.lease().hold(during);
        assert_eq!(holds.unless_held(&before, || ()), None);
        assert_eq!(holds.unless_held(&during, || ()), None);
        holds.end_collection();
        assert_eq!(holds.unless_held(&before, || ()), Some(()));
    }
}
