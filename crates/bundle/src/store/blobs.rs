//! Content-addressed files: each blob once, under its digest, read-only, verified when it was written. It knows no
//! repositories.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use dede_storage::draft::{Draft, unique};
use dede_storage::failpoint;
use dede_storage::files::{remove, sync_parent};

use super::durable::lock;
use super::error::{Result, StoreError};
use super::lease::Lease;
use super::room::{Charge, Room, cost};
use crate::digest::{BLOCK, Digest, Hasher};

/// Nothing writes to a blob, not even through a hard link in a repository.
const READ_ONLY: u32 = 0o444;

#[derive(Debug)]
pub(super) struct Blobs {
    directory: PathBuf,
    temporary: PathBuf,
    /// Held while a blob gets a second name in the directory of a service.
    linking: Mutex<()>,
    /// Held while a blob gets or loses its name, so that each is counted once.
    naming: Mutex<()>,
    room: Arc<Room>,
}

impl Blobs {
    /// Opens the directories and counts what is in them; half-written files of an earlier process are removed.
    pub(super) fn open(root: &Path, room: Arc<Room>) -> Result<Self> {
        let (directory, temporary) = (root.join("sha256"), root.join("temporary"));
        let blobs = Self { directory, temporary, linking: Mutex::default(), naming: Mutex::default(), room };
        let context = || StoreError::io("open the blob store");
        fs::create_dir_all(&blobs.directory).map_err(context())?;
        match fs::remove_dir_all(&blobs.temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(context()(error)),
            _ => fs::create_dir_all(&blobs.temporary).map_err(context())?,
        }
        for digest in blobs.list()? {
            blobs.room.charge(cost(blobs.size(&digest)?.unwrap_or(0))).keep();
        }
        Ok(blobs)
    }

    pub(super) fn path(&self, digest: &Digest) -> PathBuf {
        self.directory.join(digest.hex())
    }

    pub(super) fn open_blob(&self, digest: &Digest) -> Result<File> {
        File::open(self.path(digest)).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                return StoreError::UnknownBlob(*digest);
            }
            StoreError::io(format!("open blob {digest}"))(error)
        })
    }

    pub(super) fn size(&self, digest: &Digest) -> Result<Option<u64>> {
        match fs::metadata(self.path(digest)) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io(format!("look at blob {digest}"))(error)),
        }
    }

    /// Writes a blob from a reader of its content, unless it is there. The lease must hold it.
    pub(super) fn write(&self, expected: Digest, reader: impl Read, lease: &Lease) -> Result<()> {
        let Some(mut writer) = self.begin(expected, lease)? else { return Ok(()) };
        let context = writer.context();
        copy(reader, &mut writer.file, &mut writer.hasher, &context, |_| Ok(()))?;
        self.finish(writer)?;
        lease.note_verified(expected);
        Ok(())
    }

    /// Writes a blob from a file of its content, sharing its extents where the file system can.
    pub(super) fn write_file(&self, expected: Digest, source: &File, lease: &Lease) -> Result<()> {
        let Some(mut writer) = self.begin(expected, lease)? else { return Ok(()) };
        if rustix::fs::ioctl_ficlone(&writer.file, source).is_err() {
            drop(writer);
            return self.write(expected, source, lease);
        }
        let verified = writer.hasher.update_reader(&writer.file);
        verified.map_err(StoreError::io(format!("verify blob {expected}")))?;
        self.finish(writer)
    }

    /// Begins to write a blob, unless it is there. The lease holds it from here on.
    pub(super) fn begin(&self, expected: Digest, lease: &Lease) -> Result<Option<BlobWriter>> {
        lease.hold(expected);
        if self.size(&expected)?.is_some() {
            return Ok(None);
        }
        let path = self.temporary.join(unique());
        let file = File::options().read(true).write(true).create_new(true).open(&path);
        let file = file.map_err(StoreError::io(format!("create blob {expected}")))?;
        Ok(Some(BlobWriter { file, path, expected, hasher: Hasher::new() }))
    }

    /// Makes a blob of what was written, where that is its content.
    pub(super) fn finish(&self, writer: BlobWriter) -> Result<()> {
        let (expected, found) = (writer.expected, writer.hasher.clone().digest());
        if found != expected {
            return Err(StoreError::DigestMismatch { expected, found });
        }
        self.adopt(expected, &writer.file, &writer.path, self.room.charge(0))
    }

    /// Makes a blob of a file whose content has been verified; the file is gone from its place. A lease must hold it. `charge` is what
    /// was counted for it so far.
    pub(super) fn adopt(&self, digest: Digest, file: &File, path: &Path, mut charge: Charge) -> Result<()> {
        let context = || StoreError::io(format!("store blob {digest}"));
        let target = self.path(&digest);
        file.set_permissions(Permissions::from_mode(READ_ONLY)).map_err(context())?;
        file.sync_all().map_err(context())?;
        charge.set(cost(file.metadata().map_err(context())?.len()));
        failpoint("blob-written");
        {
            let _lock = lock(&self.naming);
            // Where another request was first, the same content takes its place; a directory that has that file's second name keeps it.
            let is_new = self.size(&digest)?.is_none();
            fs::rename(path, &target).map_err(context())?;
            if is_new {
                charge.keep();
            }
        }
        failpoint("blob-stored");
        sync_parent(&target).map_err(context())
    }

    /// Gives a blob's file a second name, unless it has one already or the file system cannot; whether it got it.
    pub(super) fn link(&self, digest: &Digest, draft: &Draft<'_>) -> Result<bool> {
        let path = self.path(digest);
        let _lock = lock(&self.linking);
        let links = fs::metadata(&path).map_err(StoreError::io(format!("look at blob {digest}")))?.nlink();
        Ok(links == 1 && draft.link(&path).is_ok())
    }

    /// Takes a blob out of sight with one rename; the rest of its removal is the result's.
    pub(super) fn bury(&self, digest: &Digest) -> io::Result<Buried> {
        let grave = self.temporary.join(unique());
        let _lock = lock(&self.naming);
        let size = fs::metadata(self.path(digest))?.len();
        fs::rename(self.path(digest), &grave)?;
        self.room.free(cost(size));
        Ok(Buried(grave))
    }

    /// All blobs.
    pub(super) fn list(&self) -> Result<Vec<Digest>> {
        let context = || StoreError::io("list the blobs");
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(context())? {
            let name = entry.map_err(context())?.file_name();
            // Files that are no blobs are not ours to touch.
            found.extend(name.to_str().and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok()));
        }
        Ok(found)
    }

    /// Seconds since a blob was written, and its size.
    pub(super) fn age(&self, digest: &Digest) -> io::Result<(std::time::Duration, u64)> {
        let metadata = fs::metadata(self.path(digest))?;
        Ok((metadata.modified()?.elapsed().unwrap_or_default(), metadata.len()))
    }
}

/// A blob out of sight. Freeing a large file takes a while, so this is done where no lock is held.
#[must_use]
pub(super) struct Buried(PathBuf);

impl Buried {
    pub(super) fn remove(self) -> Result<()> {
        remove(&self.0).map(drop).map_err(StoreError::io("remove a blob"))
    }
}

/// A blob that is written piece by piece, so that no thread is needed between two pieces. Its file is gone again unless
/// the blob is finished.
#[derive(Debug)]
#[must_use = "a blob that is not finished leaves nothing"]
pub struct BlobWriter {
    file: File,
    path: PathBuf,
    expected: Digest,
    hasher: Hasher,
}

impl BlobWriter {
    /// Writes the next bytes.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(StoreError::io(self.context()))?;
        self.hasher.update(bytes);
        Ok(())
    }

    pub(super) fn expected(&self) -> Digest {
        self.expected
    }

    fn context(&self) -> String {
        format!("write blob {}", self.expected)
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        // Adopted files are no longer there; what failed is what the caller reports.
        let _ = fs::remove_file(&self.path);
    }
}

/// Copies and hashes what is left of a reader; `admit` is called with a number of bytes before they are written. Errors
/// of the reader and of the writer are told apart: the first are the sender's.
pub(super) fn copy(
    mut reader: impl Read,
    writer: &mut impl Write,
    hasher: &mut Hasher,
    context: &str,
    mut admit: impl FnMut(usize) -> Result<()>,
) -> Result<()> {
    let mut block = vec![0; BLOCK];
    loop {
        let read = match reader.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(StoreError::Source(error)),
        };
        admit(read)?;
        writer.write_all(&block[..read]).map_err(StoreError::io(context))?;
        hasher.update(&block[..read]);
    }
}
