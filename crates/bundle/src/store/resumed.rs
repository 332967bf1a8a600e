//! Resumable transfers of blobs: content comes from its beginning on, over as many calls and processes as it takes.
//! What has come stays in a partial file, and the digest of the whole decides whether it is kept. It knows files and
//! readers; the caller knows where the content comes from.

use std::fs::File;
use std::io::{self, Read};

use dede_storage::files::remove;

use super::blobs::copy;
use super::error::{Result, StoreError};
use super::partial::PartialLock;
use super::{BlobStore, Lease};
use crate::blob::Blob;
use crate::digest::Hasher;

impl BlobStore {
    /// Puts a blob, unless it is there. `open` gives its content from an offset on: the one behind what an earlier call
    /// for the same digest left. What comes is kept where the reader fails, and where this process is killed.
    ///
    /// Where the whole has another digest, nothing of it is kept. If a part of it was left by an earlier call, which a crash of the
    /// machine may have damaged, all is asked for once more.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when the same blob is being put already; [`StoreError::Source`] for the reader's errors, and for content
    /// that ends early; [`StoreError::DigestMismatch`]; what the system says.
    pub fn put_resumed<R: Read>(&self, blob: Blob, mut open: impl FnMut(u64) -> R, lease: &Lease) -> Result<()> {
        lease.hold(blob.digest);
        let _lock = PartialLock::take(&self.partials, blob.digest)?;
        if self.size(&blob.digest)?.is_some() {
            return Ok(());
        }
        let (file, hasher) = self.left_of(blob)?;
        let was_resumed = hasher.length() > 0;
        match self.complete(blob, &file, hasher, &mut open) {
            Err(StoreError::DigestMismatch { .. }) if was_resumed => {
                let (file, hasher) = self.left_of(blob)?;
                self.complete(blob, &file, hasher, &mut open)?;
            }
            outcome => outcome?,
        }
        lease.note_verified(blob.digest);
        Ok(())
    }

    /// The partial file, at its end, with the hash of what is in it. One that is too long is emptied: it is of no use.
    fn left_of(&self, blob: Blob) -> Result<(File, Hasher)> {
        let context = || StoreError::io(format!("open the partial file of {}", blob.digest));
        let path = self.partial_path(&blob.digest);
        let mut file = File::options().read(true).append(true).create(true).open(path).map_err(context())?;
        if file.metadata().map_err(context())?.len() > blob.size {
            file.set_len(0).map_err(context())?;
        }
        let mut hasher = Hasher::new();
        hasher.update_reader(&mut file).map_err(context())?;
        Ok((file, hasher))
    }

    /// Brings what is missing, and makes a blob of the file.
    fn complete<R: Read>(
        &self,
        blob: Blob,
        mut file: &File,
        mut hasher: Hasher,
        open: &mut impl FnMut(u64) -> R,
    ) -> Result<()> {
        let Blob { digest: expected, size } = blob;
        let path = self.partial_path(&expected);
        let missing = size - hasher.length();
        if missing > 0 {
            let rest = open(hasher.length()).take(missing);
            copy(rest, &mut file, &mut hasher, &format!("write blob {expected}"), |_| Ok(()))?;
        }
        if hasher.length() < size {
            let text = format!("it ended after {} of {size} bytes", hasher.length());
            return Err(StoreError::Source(io::Error::new(io::ErrorKind::UnexpectedEof, text)));
        }
        let found = hasher.digest();
        if found != expected {
            remove(&path).map_err(StoreError::io(format!("remove the partial file of {expected}")))?;
            return Err(StoreError::DigestMismatch { expected, found });
        }
        self.blobs.adopt(expected, file, &path, self.room.charge(0))
    }
}
