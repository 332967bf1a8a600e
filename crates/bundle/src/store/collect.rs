//! Garbage collection: marks what manifests, repositories and leases need, then removes the rest, while requests go on.

use std::collections::HashSet;
use std::time::Duration;

use super::BlobStore;
use super::durable::lock;
use super::error::{Result, StoreError};
use super::index::{Change, Index};
use super::lease::Holds;
use super::repositories::now;
use crate::digest::Digest;

/// What a collection removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Uploads and partial files that were abandoned.
    pub unfinished: usize,
}

/// A guard that ends the collection, also after a panic.
struct Running<'a>(&'a Holds);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.end_collection();
    }
}

impl BlobStore {
    /// Removes blobs that no manifest, lease or recent upload needs. What is younger than `grace` stays: a client that has pushed
    /// blobs needs time to push their manifest. Moves that go on after a restart take their leases before the first collection.
    ///
    /// # Errors
    /// What the system says; what was removed until then is gone.
    pub fn collect(&self, grace: Duration) -> Result<Collected> {
        let unfinished = self.expire_partials(grace)? + self.unfinished.expire(None, grace)?;
        Ok(Collected { unfinished, ..self.collect_blobs(grace)? })
    }

    /// Removes blobs and partial files of an undone move at once, unless a manifest, a repository or a lease needs them. Nothing
    /// else is looked at: others may be pushing meanwhile.
    ///
    /// # Errors
    /// What the system says; what was removed until then is gone.
    pub fn discard(&self, digests: impl IntoIterator<Item = Digest>) -> Result<Collected> {
        let _one_at_a_time = lock(&self.collecting);
        self.holds.begin_collection();
        let _running = Running(&self.holds);
        let mut needed = HashSet::new();
        for repository in self.all_repositories() {
            let _ = repository.look(|index| needed.extend(index.keeps()));
        }
        let mut collected = Collected::default();
        for digest in digests {
            collected.unfinished += usize::from(self.forget_partial(&digest)?);
            if needed.contains(&digest) {
                continue;
            }
            if let Some(bytes) = self.sweep(&digest, Duration::ZERO)? {
                collected.blobs += 1;
                collected.bytes += bytes;
            }
        }
        Ok(collected)
    }

    pub(super) fn collect_blobs(&self, grace: Duration) -> Result<Collected> {
        let _one_at_a_time = lock(&self.collecting);
        self.holds.begin_collection();
        let _running = Running(&self.holds);
        let mut collected = Collected::default();
        let mut needed = HashSet::new();
        for repository in self.all_repositories() {
            self.forget_unneeded(&repository, grace)?;
            if repository.look(Index::is_empty) == Some(true) {
                let name = repository.name().clone();
                drop(repository);
                self.clear(&name, Index::is_empty)?;
                continue;
            }
            let _ = repository.look(|index| needed.extend(index.keeps()));
        }
        for digest in self.blobs.list()?.into_iter().filter(|digest| !needed.contains(digest)) {
            if let Some(bytes) = self.sweep(&digest, grace)? {
                collected.blobs += 1;
                collected.bytes += bytes;
            }
        }
        Ok(collected)
    }

    /// Blobs that were put long ago and that no manifest of their repository needs are not shown any longer.
    fn forget_unneeded(&self, repository: &super::Repository, grace: Duration) -> Result<()> {
        let limit = now().saturating_sub(grace.as_secs());
        repository.change(|index| {
            let needed = index.references();
            let old = index.blobs.iter().filter(|(digest, since)| **since <= limit && !needed.contains(*digest));
            let free = old.filter(|(digest, _)| self.holds.unless_held(digest, || ()).is_some());
            Ok(free.map(|(digest, _)| Change::DropBlob(*digest)).collect())
        })
    }

    /// Removes a blob that nothing was seen to need, unless it is held or young; its bytes if it went.
    fn sweep(&self, digest: &Digest, grace: Duration) -> Result<Option<u64>> {
        let context = || StoreError::io(format!("remove blob {digest}"));
        let gone = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
        let bytes = match self.blobs.age(digest) {
            Ok((age, bytes)) if age >= grace => bytes,
            Ok(_) => return Ok(None),
            Err(error) if gone(&error) => return Ok(None),
            Err(error) => return Err(context()(error)),
        };
        match self.holds.unless_held(digest, || self.blobs.bury(digest)) {
            None => Ok(None),
            Some(Err(error)) if gone(&error) => Ok(None),
            Some(Err(error)) => Err(context()(error)),
            Some(Ok(buried)) => {
                buried.remove()?;
                self.forget_chunks(digest)?;
                Ok(Some(bytes))
            }
        }
    }
}
