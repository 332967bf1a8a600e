//! Uploads in chunks: a file that grows, known by an id, in the directory of its repository. The file is all the state there is, so
//! that an upload goes on after a restart; the hash is kept beside it in memory and made again where it is missing.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;

use super::BlobStore;
use super::blobs::copy;
use super::durable::{lock, remove};
use super::error::{Result, StoreError};
use crate::digest::{Digest, Hasher};
use crate::oci::RepositoryName;
use crate::text::parsed_text;

/// As for the index: no repository is named like this.
pub(super) const UPLOADS: &str = "_uploads";

parsed_text! {
    /// A random UUID in lower-case hex.
    UploadId,
    "upload id",
    "a UUID in lower-case hex",
    is_uuid
}

impl UploadId {
    fn random() -> Result<Self> {
        let mut bytes = [0u8; 16];
        let mut filled = 0;
        while filled < bytes.len() {
            let flags = rustix::rand::GetRandomFlags::empty();
            let more = rustix::rand::getrandom(&mut bytes[filled..], flags);
            filled += more.map_err(StoreError::system("read random bytes"))?;
        }
        // Version 4, variant 1.
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let mut text = String::with_capacity(36);
        for (index, byte) in bytes.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.push_str(&format!("{byte:02x}"));
        }
        Ok(Self(text))
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        })
}

/// The hash of what an upload's file holds, as far as this process knows. No file stays open between requests, so that uploads that
/// nobody goes on with cost next to nothing.
pub(super) type Slot = Arc<Mutex<Hasher>>;

impl BlobStore {
    /// Begins an upload.
    ///
    /// # Errors
    /// What the system says.
    pub fn begin_upload(&self, repository: &RepositoryName) -> Result<UploadId> {
        let id = UploadId::random()?;
        // Known from now on, so that the upload is found when it has to expire.
        self.repository(repository)?;
        let path = self.upload_path(repository, &id);
        let created =
            fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).and_then(|()| File::create_new(&path));
        created.map_err(StoreError::io("begin an upload"))?;
        Ok(id)
    }

    /// How many bytes of an upload have come.
    ///
    /// # Errors
    /// [`StoreError::UnknownUpload`].
    pub fn upload_offset(&self, repository: &RepositoryName, id: &UploadId) -> Result<u64> {
        let metadata = fs::metadata(self.upload_path(repository, id)).map_err(|error| unknown(id, error))?;
        Ok(metadata.len())
    }

    /// Adds what a reader gives and returns the new offset. `start` is where the sender believes the chunk to begin.
    ///
    /// # Errors
    /// [`StoreError::UnknownUpload`], [`StoreError::OutOfOrder`], [`StoreError::Busy`]; [`StoreError::Source`] when the reader fails:
    /// what it gave before is kept.
    pub fn append(
        &self,
        repository: &RepositoryName,
        id: &UploadId,
        start: Option<u64>,
        reader: impl Read,
    ) -> Result<u64> {
        self.with_upload(repository, id, |mut file, hasher, _| {
            let expected = hasher.length();
            if let Some(found) = start.filter(|&start| start != expected) {
                return Err(StoreError::OutOfOrder { expected, found });
            }
            copy(reader, &mut file, hasher, "write an upload")?;
            Ok(hasher.length())
        })
    }

    /// Makes a blob of an upload, which the repository then shows.
    ///
    /// # Errors
    /// [`StoreError::UnknownUpload`], [`StoreError::Busy`]; [`StoreError::DigestMismatch`], after which the upload is still there.
    pub fn finish_upload(&self, repository: &RepositoryName, id: &UploadId, expected: Digest) -> Result<()> {
        let lease = self.lease();
        lease.hold(expected);
        self.with_upload(repository, id, |file, hasher, path| {
            let found = hasher.clone().digest();
            if found != expected {
                return Err(StoreError::DigestMismatch { expected, found });
            }
            self.blobs.adopt(expected, file, path)
        })?;
        lock(&self.uploads).remove(id);
        self.show(repository, &[expected], &lease)
    }

    /// Ends an upload without a blob.
    ///
    /// # Errors
    /// [`StoreError::UnknownUpload`].
    pub fn abort_upload(&self, repository: &RepositoryName, id: &UploadId) -> Result<()> {
        lock(&self.uploads).remove(id);
        match remove(&self.upload_path(repository, id)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(StoreError::UnknownUpload(id.clone())),
            Err(error) => Err(unknown(id, error)),
        }
    }

    /// Aborts the uploads of a repository to which nothing was added for so long.
    pub(super) fn expire_uploads(&self, repository: &RepositoryName, idle: Duration) -> Result<usize> {
        let mut expired = 0;
        for (id, age) in self.uploads_of(repository)? {
            if age < idle {
                continue;
            }
            match self.abort_upload(repository, &id) {
                Ok(()) => expired += 1,
                // It ended meanwhile.
                Err(StoreError::UnknownUpload(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(expired)
    }

    /// The uploads of a repository and the time since something was added to each.
    fn uploads_of(&self, repository: &RepositoryName) -> Result<Vec<(UploadId, Duration)>> {
        let context = || StoreError::io(format!("list the uploads of {repository}"));
        let entries = match fs::read_dir(self.repository_root().join(repository.as_str()).join(UPLOADS)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(context()(error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(context())?;
            let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
            // One that ends meanwhile is none.
            let modified = entry.metadata().and_then(|metadata| metadata.modified()).ok();
            found.extend(id.zip(modified.map(|time| time.elapsed().unwrap_or_default())));
        }
        Ok(found)
    }

    /// Works on an upload alone. Nobody waits for it: a second request for the same upload is told so.
    fn with_upload<T>(
        &self,
        repository: &RepositoryName,
        id: &UploadId,
        work: impl FnOnce(&File, &mut Hasher, &Path) -> Result<T>,
    ) -> Result<T> {
        // Before there is an entry for it: ids are for anybody to make up.
        self.upload_offset(repository, id)?;
        let slot = Arc::clone(lock(&self.uploads).entry(id.clone()).or_default());
        let mut hasher = match slot.try_lock() {
            Ok(hasher) => hasher,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(StoreError::Busy(format!("upload {id}"))),
        };
        let path = self.upload_path(repository, id);
        let file = resume(&path, &mut hasher).map_err(|error| unknown(id, error))?;
        work(&file, &mut hasher, &path)
    }

    fn upload_path(&self, repository: &RepositoryName, id: &UploadId) -> PathBuf {
        self.repository_root().join(repository.as_str()).join(UPLOADS).join(id.as_str())
    }
}

/// Opens an upload's file at its end, with the hash of what is in it.
fn resume(path: &Path, hasher: &mut Hasher) -> io::Result<File> {
    let mut file = File::options().read(true).append(true).open(path)?;
    // Another length: this process is new, or a write failed halfway.
    if file.metadata()?.len() != hasher.length() {
        *hasher = Hasher::new();
        hasher.update_reader(&mut file)?;
    }
    Ok(file)
}

fn unknown(id: &UploadId, error: io::Error) -> StoreError {
    if error.kind() == io::ErrorKind::NotFound {
        return StoreError::UnknownUpload(id.clone());
    }
    StoreError::io(format!("open upload {id}"))(error)
}
