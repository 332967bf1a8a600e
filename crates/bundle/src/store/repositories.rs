//! Which blobs a repository shows: putting, mounting, deleting.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::durable::remove_leftovers;
use super::error::{Result, StoreError};
use super::index::{Change, Index, Repository};
use super::journal::FILE;
use super::room::Room;
use super::{BlobStore, Lease};
use crate::digest::Digest;
use crate::oci::RepositoryName;

impl BlobStore {
    /// The repositories, sorted by name.
    pub fn repositories(&self) -> Vec<RepositoryName> {
        let known = self.all_repositories().into_iter().filter(|repository| repository.is_there());
        let mut names: Vec<_> = known.map(|repository| repository.name().clone()).collect();
        names.sort();
        names
    }

    /// Opens a blob that a repository shows, with its size.
    ///
    /// # Errors
    /// [`StoreError::UnknownRepository`], [`StoreError::UnknownBlob`].
    pub fn repository_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<(File, u64)> {
        if !self.look(repository, |index| index.blobs.contains_key(digest))? {
            return Err(StoreError::UnknownBlob(*digest));
        }
        let file = self.read(digest)?;
        let size = file.metadata().map_err(StoreError::io(format!("look at blob {digest}")))?.len();
        Ok((file, size))
    }

    /// Lets a repository show blobs that the lease holds and that are in the store.
    ///
    /// # Errors
    /// [`StoreError::UnknownBlob`].
    pub fn show(&self, repository: &RepositoryName, digests: &[Digest], lease: &Lease) -> Result<()> {
        lease.hold_all(digests.iter().copied());
        for digest in digests {
            if !self.contains(digest)? {
                return Err(StoreError::UnknownBlob(*digest));
            }
        }
        self.change(repository, |_| Ok(digests.iter().map(|digest| Change::PutBlob(*digest, now())).collect()))
    }

    /// Lets a repository show a blob that another one shows; whether that was possible.
    ///
    /// # Errors
    /// What the system says.
    pub fn mount(&self, from: &RepositoryName, to: &RepositoryName, digest: &Digest) -> Result<bool> {
        let lease = self.lease();
        lease.hold(*digest);
        let shown = self.look(from, |index| index.blobs.contains_key(digest)).unwrap_or(false);
        if !shown || !self.contains(digest)? {
            return Ok(false);
        }
        self.show(to, &[*digest], &lease)?;
        Ok(true)
    }

    /// Stops a repository from showing a blob; the blob itself goes with the next collection, unless something else needs it.
    ///
    /// # Errors
    /// [`StoreError::UnknownRepository`], [`StoreError::UnknownBlob`], and [`StoreError::BlobNeeded`] while a manifest of the
    /// repository needs it.
    pub fn delete_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<()> {
        self.change_known(repository, |index| {
            let user = index.manifests.iter().find(|(_, record)| record.references.contains(digest));
            if let Some((manifest, _)) = user {
                return Err(StoreError::BlobNeeded { blob: *digest, manifest: *manifest });
            }
            let is_shown = index.blobs.contains_key(digest);
            is_shown.then(|| vec![Change::DropBlob(*digest)]).ok_or(StoreError::UnknownBlob(*digest))
        })
    }

    /// Forgets a repository with its uploads; whether it was there.
    ///
    /// # Errors
    /// What the system says.
    pub fn delete_repository(&self, repository: &RepositoryName) -> Result<bool> {
        self.unfinished.expire(Some(repository), Duration::ZERO)?;
        self.clear(repository, |_| true)
    }

    /// Forgets a repository where `wanted` says so of what is in it; whether it did.
    pub(super) fn clear(&self, name: &RepositoryName, wanted: impl FnOnce(&Index) -> bool) -> Result<bool> {
        let Some(repository) = self.found(name) else { return Ok(false) };
        let cleared = repository.clear(wanted);
        drop(repository);
        self.forget(name);
        cleared
    }

    /// Changes a repository, known or new.
    pub(super) fn change(
        &self,
        name: &RepositoryName,
        decide: impl FnOnce(&Index) -> Result<Vec<Change>>,
    ) -> Result<()> {
        let repository = self.repository(name)?;
        let changed = repository.change(decide);
        drop(repository);
        if changed.is_err() {
            self.forget(name);
        }
        changed
    }

    /// Changes a repository in which something is.
    pub(super) fn change_known(
        &self,
        name: &RepositoryName,
        decide: impl FnOnce(&Index) -> Result<Vec<Change>>,
    ) -> Result<()> {
        self.look(name, |_| ())?;
        self.change(name, decide)
    }

    /// Forgets that there ever was a repository, unless something is in it or a request works on it: names are for any client to make up.
    fn forget(&self, name: &RepositoryName) {
        let mut all = self.repositories.write().unwrap_or_else(PoisonError::into_inner);
        // Requests get theirs from this map alone, so that none can begin with one that is counted as unused here.
        let is_unused = |known: &Arc<Repository>| Arc::strong_count(known) == 1 && !known.is_there();
        if all.get(name).is_some_and(is_unused) {
            all.remove(name);
        }
    }

    /// The repository to write to, known or new.
    fn repository(&self, name: &RepositoryName) -> Result<Arc<Repository>> {
        if let Some(repository) = self.found(name) {
            return Ok(repository);
        }
        // All that are on disk were read when the store was opened.
        let fresh = Arc::new(Repository::open(&self.repository_root(), name.clone(), &self.rooms())?);
        let mut all = self.repositories.write().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(all.entry(name.clone()).or_insert(fresh)))
    }

    fn found(&self, name: &RepositoryName) -> Option<Arc<Repository>> {
        self.repositories.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Looks at what a repository shows at present.
    pub(super) fn look<T>(&self, name: &RepositoryName, look: impl FnOnce(&Index) -> T) -> Result<T> {
        let known = self.found(name).and_then(|found| found.look(look));
        known.ok_or_else(|| StoreError::UnknownRepository(name.clone()))
    }

    pub(super) fn all_repositories(&self) -> Vec<Arc<Repository>> {
        self.repositories.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Finds the repositories on disk. Directories whose names are no repository names are none of ours.
pub(super) fn read_all(root: &Path, rooms: &[Arc<Room>]) -> Result<HashMap<RepositoryName, Arc<Repository>>> {
    let mut found = HashMap::new();
    let mut open = vec![String::new()];
    while let Some(prefix) = open.pop() {
        remove_leftovers(&root.join(&prefix)).map_err(StoreError::io("clear the repositories"))?;
        let entries = fs::read_dir(root.join(&prefix)).map_err(StoreError::io("list the repositories"))?;
        for entry in entries {
            let entry = entry.map_err(StoreError::io("list the repositories"))?;
            let component = entry.file_name();
            let path = Path::new(&prefix).join(&component);
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let Some(name) =
                path.to_str().and_then(|text| text.parse::<RepositoryName>().ok()).filter(|_| is_directory)
            else {
                continue;
            };
            let directory = root.join(name.as_str());
            if directory.join(FILE).is_file() {
                found.insert(name.clone(), Arc::new(Repository::open(root, name.clone(), rooms)?));
            }
            open.push(name.into());
        }
    }
    Ok(found)
}
