//! Bringing blobs into the directories of services: by shared extents, else by a read-only hard link, else by a copy. Every way ends in
//! a verified, durable file under its name.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use dede_storage::draft::Draft;
use dede_storage::failpoint;

use super::blobs::copy;
use super::error::{Result, StoreError};
use super::{BlobStore, Lease};
use crate::digest::{Digest, Hasher};
use crate::directory::{Directory, DirectoryError};
use crate::file_name::FileName;
use crate::modelpack::Role;

/// Below this, sharing saves nothing.
const SMALL: u64 = 64 << 10;

/// How a file came to its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// Its own file on the same extents.
    Reflinked,
    /// The blob's own file, read-only. Only one directory has it, so that damage done to it reaches no other.
    Linked,
    /// Its own file.
    Copied,
}

impl BlobStore {
    /// Places a blob in a directory, replacing what is there; done again, it changes nothing. Weights may share the blob's content,
    /// other files are the service's own. What the lease has not brought itself is verified.
    ///
    /// # Errors
    /// [`StoreError::UnknownBlob`]; [`StoreError::Corrupt`], after which the blob has to be put again; [`StoreError::Directory`] where
    /// the target is reached through a link.
    pub fn place(
        &self,
        digest: &Digest,
        directory: &Directory,
        name: &FileName,
        role: Role,
        lease: &Lease,
    ) -> Result<Placed> {
        lease.hold(*digest);
        let blob = self.read(digest)?;
        let metadata = blob.metadata().map_err(StoreError::io(format!("look at blob {digest}")))?;
        let target = Target { digest: *digest, name, parent: directory.parent(name)? };
        let shared = role == Role::Weight && metadata.len() >= SMALL;
        let placed = if shared && is_same_file(directory, name, &metadata) {
            self.verify(*digest, &blob).map(|()| Placed::Linked)
        } else if shared {
            self.share(&blob, &target, lease)
        } else {
            self.copy(&blob, &target, if role == Role::Weight { 0o444 } else { 0o644 })
        };
        match placed {
            Err(StoreError::DigestMismatch { .. }) => Err(self.corrupt(*digest)?),
            other => other,
        }
    }

    /// Takes a damaged blob out of the store and says so.
    pub(super) fn corrupt(&self, digest: Digest) -> Result<StoreError> {
        match self.blobs.bury(&digest) {
            Ok(buried) => buried.remove()?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io(format!("remove blob {digest}"))(error)),
        }
        Ok(StoreError::Corrupt(digest))
    }

    fn share(&self, blob: &File, target: &Target<'_>, lease: &Lease) -> Result<Placed> {
        let is_verified = lease.has_verified(&target.digest);
        let draft = target.draft();
        let file = draft.create(0o444).map_err(StoreError::system(target.context()))?;
        if rustix::fs::ioctl_ficlone(&file, blob).is_ok() {
            if !is_verified {
                self.verify(target.digest, &file)?;
            }
            return target.publish(draft, Some(&file)).map(|()| Placed::Reflinked);
        }
        drop((draft, file));
        let draft = target.draft();
        if !self.blobs.link(&target.digest, &draft)? {
            return self.copy(blob, target, 0o444);
        }
        if !is_verified {
            self.verify(target.digest, &draft.open().map_err(StoreError::system(target.context()))?)?;
        }
        target.publish(draft, None).map(|()| Placed::Linked)
    }

    fn copy(&self, blob: &File, target: &Target<'_>, mode: u32) -> Result<Placed> {
        let draft = target.draft();
        let mut file = draft.create(mode).map_err(StoreError::system(target.context()))?;
        let mut hasher = Hasher::new();
        copy(blob, &mut file, &mut hasher, &target.context(), |_| Ok(()))?;
        expect(target.digest, hasher)?;
        target.publish(draft, Some(&file)).map(|()| Placed::Copied)
    }

    fn verify(&self, expected: Digest, mut file: &File) -> Result<()> {
        use std::io::Seek;
        let mut hasher = Hasher::new();
        let read = file.rewind().and_then(|()| hasher.update_reader(file));
        read.map_err(StoreError::io(format!("verify blob {expected}")))?;
        expect(expected, hasher)
    }
}

fn expect(expected: Digest, hasher: Hasher) -> Result<()> {
    let found = hasher.digest();
    if found == expected { Ok(()) } else { Err(StoreError::DigestMismatch { expected, found }) }
}

struct Target<'a> {
    digest: Digest,
    name: &'a FileName,
    parent: (OwnedFd, &'a str),
}

impl Target<'_> {
    fn draft(&self) -> Draft<'_> {
        Draft::new(&self.parent.0)
    }

    fn publish(&self, draft: Draft<'_>, written: Option<&File>) -> Result<()> {
        if let Some(file) = written {
            file.sync_all().map_err(StoreError::io(self.context()))?;
        }
        failpoint("drafted");
        draft.publish(self.parent.1).map_err(StoreError::system(self.context()))
    }

    fn context(&self) -> String {
        format!("place {}", self.name)
    }
}

/// Whether the name is already a link to the blob.
fn is_same_file(directory: &Directory, name: &FileName, blob: &std::fs::Metadata) -> bool {
    let found = directory
        .open_file(name)
        .and_then(|file| file.metadata().map_err(|source| DirectoryError::Io { name: name.to_string(), source }));
    found.is_ok_and(|found| (found.dev(), found.ino()) == (blob.dev(), blob.ino()))
}
