//! Uploads in chunks: content that comes in several requests and becomes a blob at the end. Bytes are counted before they are written;
//! an upload for which there is no room ends at once, and leaves nothing.

use std::fs::{self, File};
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::Path;
use std::sync::TryLockError;
use std::time::Duration;

use super::BlobStore;
use super::blobs::copy;
use super::error::{Result, StoreError};
use super::room::cost;
use super::unfinished::Progress;
use super::upload_id::UploadId;
use crate::digest::{Digest, Hasher};
use crate::oci::RepositoryName;

/// How long an upload is idle before it is removed for others when room or upload slots run short.
const IDLE: Duration = Duration::from_secs(600);

impl BlobStore {
    /// Begins an upload of a client, where that is known.
    ///
    /// # Errors
    /// [`StoreError::Crowded`] where too many uploads are unfinished; [`StoreError::QuotaExceeded`]; what the system says.
    pub fn begin_upload(&self, repository: &RepositoryName, client: Option<IpAddr>) -> Result<UploadId> {
        self.with_room(|| self.unfinished.begin(repository, client, self.room.claim(cost(0))?))
    }

    /// How many bytes of an upload have come.
    ///
    /// # Errors
    /// [`StoreError::UnknownUpload`].
    pub fn upload_offset(&self, repository: &RepositoryName, id: &UploadId) -> Result<u64> {
        let (path, _) = self.unfinished.find(repository, id)?;
        Ok(fs::metadata(path).map_err(|error| unknown(id, error))?.len())
    }

    /// Adds what a reader gives and returns the new offset. `start` is where the sender believes the chunk to begin, `length` what the
    /// sender announced.
    ///
    /// # Errors
    /// [`StoreError::UnknownUpload`], [`StoreError::OutOfOrder`], [`StoreError::Busy`]; [`StoreError::Source`] when the reader fails:
    /// what it gave before is kept. [`StoreError::QuotaExceeded`], or a full disk, after which the upload is gone.
    pub fn append(
        &self,
        repository: &RepositoryName,
        id: &UploadId,
        start: Option<u64>,
        length: Option<u64>,
        reader: impl Read,
    ) -> Result<u64> {
        let outcome = self.with_upload(repository, id, |mut file, Progress { hasher, charge }, _| {
            let expected = hasher.length();
            if let Some(found) = start.filter(|&start| start != expected) {
                return Err(StoreError::OutOfOrder { expected, found });
            }
            // Looked at and not counted: an announcement alone takes nothing from other clients.
            self.with_room(|| self.room.check(length.unwrap_or(0)))?;
            let mut end = expected;
            let admit = |count: usize| {
                end += count as u64;
                charge.grow(cost(end)).or_else(|_| self.with_room(|| charge.grow(cost(end))))
            };
            copy(reader, &mut file, hasher, "write an upload", admit)?;
            Ok(hasher.length())
        });
        if outcome.as_ref().is_err_and(StoreError::is_for_lack_of_room) {
            // The lack of room is what the sender has to hear.
            let _ = self.unfinished.remove(id);
        }
        outcome
    }

    /// Makes a blob of an upload, which the repository then shows.
    ///
    /// # Errors
    /// [`StoreError::UnknownUpload`], [`StoreError::Busy`]; [`StoreError::DigestMismatch`], after which the upload is still there.
    pub fn finish_upload(&self, repository: &RepositoryName, id: &UploadId, expected: Digest) -> Result<()> {
        let lease = self.lease();
        lease.hold(expected);
        self.with_upload(repository, id, |file, progress, path| {
            let found = progress.hasher.clone().digest();
            if found != expected {
                return Err(StoreError::DigestMismatch { expected, found });
            }
            self.blobs.adopt(expected, file, path, progress.charge.take())
        })?;
        self.unfinished.forget(id);
        self.show(repository, &[expected], &lease)
    }

    /// Ends an upload without a blob.
    ///
    /// # Errors
    /// [`StoreError::UnknownUpload`].
    pub fn abort_upload(&self, repository: &RepositoryName, id: &UploadId) -> Result<()> {
        self.unfinished.find(repository, id)?;
        if self.unfinished.remove(id)? { Ok(()) } else { Err(StoreError::UnknownUpload(id.clone())) }
    }

    /// Does something that needs room or an upload slot; where there is none, idle uploads are removed, and it is tried
    /// once more.
    pub(super) fn with_room<T>(&self, mut work: impl FnMut() -> Result<T>) -> Result<T> {
        match work() {
            Err(StoreError::QuotaExceeded { .. } | StoreError::Crowded(_))
                if self.unfinished.expire(None, IDLE)? > 0 =>
            {
                work()
            }
            outcome => outcome,
        }
    }

    /// Works on an upload exclusively. A second request for the same upload does not wait, but is refused.
    fn with_upload<T>(
        &self,
        repository: &RepositoryName,
        id: &UploadId,
        work: impl FnOnce(&File, &mut Progress, &Path) -> Result<T>,
    ) -> Result<T> {
        let (path, slot) = self.unfinished.find(repository, id)?;
        let mut progress = match slot.try_lock() {
            Ok(progress) => progress,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(StoreError::Busy(format!("upload {id}"))),
        };
        let file = resume(&path, &mut progress).map_err(|error| unknown(id, error))?;
        work(&file, &mut progress, &path)
    }
}

/// Opens an upload's file at its end, with the hash of what is in it.
fn resume(path: &Path, progress: &mut Progress) -> io::Result<File> {
    let mut file = File::options().read(true).append(true).open(path)?;
    // Another length: this process is new, or a write failed halfway.
    let length = file.metadata()?.len();
    if length != progress.hasher.length() {
        progress.hasher = Hasher::new();
        progress.hasher.update_reader(&mut file)?;
    }
    progress.charge.set(cost(length));
    Ok(file)
}

fn unknown(id: &UploadId, error: io::Error) -> StoreError {
    if error.kind() == io::ErrorKind::NotFound {
        return StoreError::UnknownUpload(id.clone());
    }
    StoreError::io(format!("open upload {id}"))(error)
}
