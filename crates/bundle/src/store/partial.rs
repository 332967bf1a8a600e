//! Blobs put together from chunks: the partial file that survives a restart, and the chunk lists of the blobs that are here.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use dede_storage::files::{remove, replace};

use super::durable::lock;
use super::error::{Result, StoreError};
use super::{BlobStore, Lease};
use crate::chunks::{AssemblyError, ChunkList, Plan, Report, assemble};
use crate::digest::Digest;

impl BlobStore {
    /// The chunks of a blob; made once, then read from disk.
    ///
    /// # Errors
    /// [`StoreError::UnknownBlob`], [`StoreError::Corrupt`].
    pub fn chunk_list(&self, digest: &Digest) -> Result<ChunkList> {
        let path = self.chunks_path(digest);
        let kept = fs::read(&path).ok().and_then(|bytes| ChunkList::parse(&bytes).ok());
        if let Some(list) = kept.filter(|list| list.digest() == *digest) {
            return Ok(list);
        }
        let list = ChunkList::of_reader(self.read(digest)?).map_err(StoreError::io(format!("read blob {digest}")))?;
        if list.digest() != *digest {
            return Err(self.corrupt(*digest)?);
        }
        replace(&path, &list.to_bytes()).map_err(StoreError::io(format!("keep the chunks of {digest}")))?;
        Ok(list)
    }

    /// Puts the plan's file into the store, from blobs that are here and from `fetch`; see [`assemble`]. What it leaves when it fails
    /// is used by the next call for the same file.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when the same file is being put together already; [`StoreError::Assembly`].
    pub fn assemble<R: Read>(
        &self,
        plan: &Plan,
        fetch: impl FnMut(Range<u64>) -> io::Result<R>,
        watch: impl FnMut(&Report) -> io::Result<()>,
        lease: &Lease,
    ) -> Result<Report> {
        let digest = plan.list().digest();
        lease.hold(digest);
        lease.hold_all(plan.sources());
        let _lock = PartialLock::take(&self.partials, digest)?;
        if let Some(size) = self.size(&digest)? {
            return Ok(Report { size, resumed: size, ..Report::default() });
        }
        let path = self.partial_path(&digest);
        let opened = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = opened.map_err(StoreError::io(format!("open the partial file of {digest}")))?;
        let local = |source: &Digest| File::open(self.blobs.path(source));
        match assemble(plan, &file, local, fetch, watch) {
            Ok(report) => {
                self.blobs.adopt(digest, &file, &path, self.room.charge(0))?;
                lease.note_verified(digest);
                Ok(report)
            }
            Err(error) => {
                if matches!(error, AssemblyError::Digest { .. }) {
                    remove(&path).map_err(StoreError::io(format!("remove the partial file of {digest}")))?;
                }
                Err(error.into())
            }
        }
    }

    pub(super) fn forget_chunks(&self, digest: &Digest) -> Result<()> {
        remove(&self.chunks_path(digest)).map(drop).map_err(StoreError::io(format!("forget the chunks of {digest}")))
    }

    /// Removes the partial files that no request works on, nor did for so long.
    pub(super) fn expire_partials(&self, idle: Duration) -> Result<usize> {
        let context = || StoreError::io("list the partial files");
        let mut expired = 0;
        for entry in fs::read_dir(self.root.join("partial")).map_err(context())? {
            let entry = entry.map_err(context())?;
            let name = entry.file_name();
            let Some(digest) = name.to_str().and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok()) else {
                continue;
            };
            // Locked, so that no request begins with the file while it is looked at. Held digests are a move's.
            let Ok(_lock) = PartialLock::take(&self.partials, digest) else { continue };
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let old = modified.is_ok_and(|time| time.elapsed().unwrap_or_default() >= idle);
            if old && self.holds.unless_held(&digest, || ()).is_some() {
                expired += usize::from(remove(&entry.path()).map_err(context())?);
            }
        }
        Ok(expired)
    }

    /// Removes the partial file of a digest that no request works on or holds; whether there was one.
    pub(super) fn forget_partial(&self, digest: &Digest) -> Result<bool> {
        let Ok(_lock) = PartialLock::take(&self.partials, *digest) else { return Ok(false) };
        if self.holds.unless_held(digest, || ()).is_none() {
            return Ok(false);
        }
        remove(&self.partial_path(digest)).map_err(StoreError::io(format!("remove the partial file of {digest}")))
    }

    fn chunks_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("chunks").join(digest.hex())
    }

    pub(super) fn partial_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("partial").join(digest.hex())
    }
}

/// The right to write one partial file.
pub(super) struct PartialLock<'a> {
    taken: &'a Mutex<HashSet<Digest>>,
    digest: Digest,
}

impl<'a> PartialLock<'a> {
    pub(super) fn take(taken: &'a Mutex<HashSet<Digest>>, digest: Digest) -> Result<Self> {
        if lock(taken).insert(digest) {
            Ok(Self { taken, digest })
        } else {
            Err(StoreError::Busy(format!("blob {digest}")))
        }
    }
}

impl Drop for PartialLock<'_> {
    fn drop(&mut self) {
        lock(self.taken).remove(&self.digest);
    }
}
