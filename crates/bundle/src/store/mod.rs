//! The blob store: content-addressed files on a directory, and the repositories that show them. The half of a registry that knows no
//! HTTP; all of it blocks, and all of it may be called from many threads.
//!
//! What clients push is counted against a quota, as it comes. What moves bring is counted too, and never refused for it: it is the
//! operator's own, and fails where the disk is full.
//!
//! ```text
//! sha256/<hex>                              blobs, read-only
//! temporary/                                files being written or removed; emptied when the store is opened
//! partial/<hex>                             files being put together from chunks, or from their beginning on
//! chunks/<hex>                              chunk lists of blobs
//! repositories/<name>/_index.json           manifests, tags and blobs of a repository, and what changed of them
//! uploads/<id>-<hex>                        unfinished uploads, with the digest of the name of each one's repository
//! ```

mod attach;
mod blobs;
mod collect;
mod durable;
mod error;
mod index;
mod journal;
mod lease;
mod manifests;
mod partial;
mod place;
mod publish;
mod repositories;
mod resumed;
mod room;
mod unfinished;
mod upload;
mod upload_id;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fs::{File, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use blobs::Blobs;
use index::Repository;
use lease::Holds;
use room::{Charge, Room};
use unfinished::Unfinished;

pub use attach::Attachment;
pub use blobs::BlobWriter;
pub use collect::Collected;
pub use error::{Result, StoreError};
pub use lease::Lease;
pub use manifests::{ManifestContent, PushedManifest, TagPage};
pub use place::Placed;
pub use upload_id::UploadId;

use crate::digest::Digest;
use crate::oci::RepositoryName;

/// Bytes that the indexes of all repositories may take in memory, and as many on the disk.
const MOST_RECORDS: u64 = 256 << 20;

/// Counted bytes of content that is about to be put, until it is dropped.
#[derive(Debug)]
#[must_use = "dropping it lets go of the room"]
pub struct Reservation {
    _charge: Charge,
}

/// See the module.
#[derive(Debug)]
pub struct BlobStore {
    root: PathBuf,
    blobs: Blobs,
    holds: Arc<Holds>,
    /// An entry stays as long as a request works with it, so that all writers of a repository meet at the same lock.
    repositories: RwLock<HashMap<RepositoryName, Arc<Repository>>>,
    unfinished: Unfinished,
    /// Everything on the disk but partial files.
    room: Arc<Room>,
    /// The indexes of repositories, all of which are in memory.
    records: Arc<Room>,
    partials: Mutex<HashSet<Digest>>,
    collecting: Mutex<()>,
    /// Locked as long as this process uses the directory.
    _lock: File,
}

impl BlobStore {
    /// Opens a store, creating it where there is none.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process has it open; what the system says; an index that cannot be read.
    pub fn open(root: &Path) -> Result<Self> {
        let context = || StoreError::io("open the blob store");
        for directory in ["partial", "chunks", "repositories"] {
            std::fs::create_dir_all(root.join(directory)).map_err(context())?;
        }
        let file =
            File::options().create(true).truncate(false).write(true).open(root.join("lock")).map_err(context())?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse),
            Err(TryLockError::Error(error)) => return Err(context()(error)),
        }
        durable::remove_leftovers(&root.join("chunks")).map_err(context())?;
        let (room, records) =
            (Room::new("the registry", u64::MAX), Room::new("the list of what is in it", MOST_RECORDS));
        let rooms = [Arc::clone(&room), Arc::clone(&records)];
        Ok(Self {
            blobs: Blobs::open(root, Arc::clone(&room))?,
            repositories: RwLock::new(repositories::read_all(&root.join("repositories"), &rooms)?),
            unfinished: Unfinished::open(root.join("uploads"), &room)?,
            room,
            records,
            root: root.to_owned(),
            holds: Arc::default(),
            partials: Mutex::default(),
            collecting: Mutex::default(),
            _lock: file,
        })
    }

    /// Bounds what clients put: together with everything that is there it takes so many bytes at most.
    pub fn set_quota(&self, bytes: u64) {
        self.room.set_limit(bytes);
    }

    /// Bytes that are counted against the quota.
    pub fn taken(&self) -> u64 {
        self.room.taken()
    }

    /// Bytes that the disk has left for this store.
    ///
    /// # Errors
    /// What the system says.
    pub fn free_on_disk(&self) -> Result<u64> {
        let found = rustix::fs::statvfs(&self.root).map_err(StoreError::system("ask for room on the disk"))?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// Room for content that is about to be put for a client; to be dropped when it is there.
    ///
    /// # Errors
    /// [`StoreError::QuotaExceeded`].
    pub fn reserve(&self, bytes: u64) -> Result<Reservation> {
        self.with_room(|| self.room.claim(room::cost(bytes))).map(|charge| Reservation { _charge: charge })
    }

    fn rooms(&self) -> [Arc<Room>; 2] {
        [Arc::clone(&self.room), Arc::clone(&self.records)]
    }

    /// A lease that holds nothing yet.
    pub fn lease(&self) -> Lease {
        self.holds.lease()
    }

    /// Opens a blob, whichever repository may show it.
    ///
    /// # Errors
    /// [`StoreError::UnknownBlob`].
    pub fn read(&self, digest: &Digest) -> Result<File> {
        self.blobs.open_blob(digest)
    }

    /// Bytes of a blob; `None` when there is none.
    ///
    /// # Errors
    /// What the system says.
    pub fn size(&self, digest: &Digest) -> Result<Option<u64>> {
        self.blobs.size(digest)
    }

    /// Whether a blob is there.
    ///
    /// # Errors
    /// What the system says.
    pub fn contains(&self, digest: &Digest) -> Result<bool> {
        Ok(self.size(digest)?.is_some())
    }

    /// Puts bytes; the lease holds them from before they are there.
    ///
    /// # Errors
    /// What the system says.
    pub fn put_bytes(&self, bytes: &[u8], lease: &Lease) -> Result<Digest> {
        let digest = Digest::of(bytes);
        self.blobs.write(digest, bytes, lease)?;
        Ok(digest)
    }

    /// Puts what a reader gives, unless it is there already (nothing is read then).
    ///
    /// # Errors
    /// [`StoreError::DigestMismatch`], [`StoreError::Source`] for the reader's errors; nothing is left of either.
    pub fn put_reader(&self, expected: Digest, reader: impl Read, lease: &Lease) -> Result<()> {
        self.blobs.write(expected, reader, lease)
    }

    /// Begins to put a blob whose content comes piece by piece; `None` where it is there already.
    ///
    /// # Errors
    /// What the system says.
    pub fn begin_blob(&self, expected: Digest, lease: &Lease) -> Result<Option<BlobWriter>> {
        self.blobs.begin(expected, lease)
    }

    /// Puts what was written, under the lease that the blob was begun with.
    ///
    /// # Errors
    /// [`StoreError::DigestMismatch`], after which nothing is left; what the system says.
    pub fn finish_blob(&self, writer: BlobWriter, lease: &Lease) -> Result<()> {
        let expected = writer.expected();
        self.blobs.finish(writer)?;
        lease.note_verified(expected);
        Ok(())
    }

    /// Puts a file of a repository, sharing its extents where the file system can; later changes of the file do not reach the blob.
    ///
    /// # Errors
    /// As [`Self::put_reader`].
    pub fn put_file(&self, expected: Digest, file: &File, lease: &Lease) -> Result<()> {
        self.blobs.write_file(expected, file, lease)
    }

    /// Removes a blob at once, whichever repository shows it; whether it was there and free to go. The usual way for blobs to go is
    /// [`Self::collect`].
    ///
    /// # Errors
    /// What the system says.
    pub fn delete(&self, digest: &Digest) -> Result<bool> {
        match self.holds.unless_held(digest, || self.blobs.bury(digest)) {
            None => Ok(false),
            Some(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Some(buried) => {
                buried.map_err(StoreError::io(format!("remove blob {digest}")))?.remove()?;
                self.forget_chunks(digest)?;
                Ok(true)
            }
        }
    }

    fn repository_root(&self) -> PathBuf {
        self.root.join("repositories")
    }
}
