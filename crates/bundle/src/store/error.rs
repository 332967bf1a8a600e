//! What can go wrong with the store. No text names a place on this machine: answers to clients are made from these.

use std::io;

use super::UploadId;
use crate::digest::Digest;
use crate::directory::DirectoryError;
use crate::oci::{InvalidManifest, Reference, RepositoryName};

/// Result of this module.
pub type Result<T> = std::result::Result<T, StoreError>;

/// See the variants.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What the system said, and about what.
    #[error("{context}: {source}")]
    Io {
        /// What was being done.
        context: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The sender's bytes stopped coming; what had come is kept where it can be resumed.
    #[error("the content broke off: {0}")]
    Source(io::Error),
    /// Another process uses this store.
    #[error("the blob store is in use by another process")]
    InUse,
    /// A file of the store that cannot be read as what it is.
    #[error("{what} is damaged: {reason}")]
    Damaged {
        /// Which.
        what: String,
        /// How.
        reason: String,
    },
    /// Nothing was ever put under this name.
    #[error("repository {0} is not known")]
    UnknownRepository(RepositoryName),
    /// Not there, or not for this repository to show.
    #[error("blob {0} is not known")]
    UnknownBlob(Digest),
    /// Not there.
    #[error("manifest {0} is not known")]
    UnknownManifest(Reference),
    /// Never begun, finished, aborted or expired.
    #[error("upload {0} is not known")]
    UnknownUpload(UploadId),
    /// There is no room for what a client wants to put.
    #[error("{what} takes at most {limit} bytes, and has no room for {wanted} more")]
    QuotaExceeded {
        /// What is full.
        what: &'static str,
        /// Its bytes.
        limit: u64,
        /// What was to come.
        wanted: u64,
    },
    /// Too many of something that is bounded in number.
    #[error("{0}; finish or abort some")]
    Crowded(String),
    /// A descriptor that says another size than its content has.
    #[error("content {digest} has {found} bytes, its descriptor says {expected}")]
    SizeMismatch {
        /// Of the content.
        digest: Digest,
        /// As the descriptor says.
        expected: u64,
        /// As it is.
        found: u64,
    },
    /// Two requests at once for one upload or one partial file.
    #[error("{0} is being written by another request")]
    Busy(String),
    /// A chunk that does not begin where the last one ended.
    #[error("the next byte expected is {expected}, found a chunk beginning at {found}")]
    OutOfOrder {
        /// The upload's offset.
        expected: u64,
        /// The chunk's.
        found: u64,
    },
    /// Content that is not what it was said to be.
    #[error("content of digest {expected} expected, found {found}")]
    DigestMismatch {
        /// As announced.
        expected: Digest,
        /// As found.
        found: Digest,
    },
    /// A stored blob that has changed. It has been taken out of the store, so that it can be put again.
    #[error("blob {0} was damaged on disk and has been removed; it has to be sent again")]
    Corrupt(Digest),
    /// Bytes that are no manifest.
    #[error(transparent)]
    Manifest(#[from] InvalidManifest),
    /// A manifest whose contents the repository does not have.
    #[error("the manifest needs content that is not here: {}", list(.0))]
    MissingReferences(Vec<Digest>),
    /// A blob that a manifest of the repository needs.
    #[error("blob {blob} is needed by manifest {manifest}")]
    BlobNeeded {
        /// Which blob.
        blob: Digest,
        /// Needed by which.
        manifest: Digest,
    },
    /// A target that is not what a file can be placed at, or a source that cannot be read safely.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Putting a file together from chunks failed.
    #[error(transparent)]
    Assembly(#[from] crate::chunks::AssemblyError),
}

impl StoreError {
    /// Whether there is no more room, by the quota or on the disk.
    pub(super) fn is_for_lack_of_room(&self) -> bool {
        matches!(self, Self::QuotaExceeded { .. })
            || matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
    }

    pub(super) fn io(context: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let context = context.into();
        move |source| Self::Io { context, source }
    }

    pub(super) fn system(context: impl Into<String>) -> impl FnOnce(rustix::io::Errno) -> Self {
        let context = context.into();
        move |errno| Self::Io { context, source: errno.into() }
    }
}

fn list(digests: &[Digest]) -> String {
    const SHOWN: usize = 10;
    let mut text = digests.iter().take(SHOWN).map(Digest::to_string).collect::<Vec<_>>().join(", ");
    if digests.len() > SHOWN {
        text.push_str(&format!(" and {} more", digests.len() - SHOWN));
    }
    text
}
