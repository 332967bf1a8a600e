//! A packed service into the store, and a bundle back out of it.

use std::io::Read;

use super::error::{Result, StoreError};
use super::{BlobStore, Lease};
use crate::digest::Digest;
use crate::modelpack::{Bundle, InvalidBundle, Packed};
use crate::oci::{MANIFEST_LIMIT, RepositoryName, Tag};

impl BlobStore {
    /// Puts a packed service under a repository with its tags; returns the manifest's digest. Files that changed since they were
    /// packed are refused.
    ///
    /// # Errors
    /// [`StoreError::DigestMismatch`], [`StoreError::Directory`], and as [`Self::push_manifest`].
    pub fn publish(&self, repository: &RepositoryName, tags: &[Tag], packed: &Packed, lease: &Lease) -> Result<Digest> {
        let mut contents = vec![self.put_bytes(&packed.config, lease)?];
        for (file, source) in packed.bundle.files().iter().zip(&packed.sources) {
            self.put_file(file.digest, &source.open()?, lease)?;
            contents.push(file.digest);
        }
        self.show(repository, &contents, lease)?;
        let manifest_digest = packed.bundle.manifest_digest();
        lease.hold(manifest_digest);
        Ok(self.push_manifest(repository, Some(manifest_digest), tags, None, &packed.manifest)?.digest)
    }

    /// The bundle of a manifest whose configuration is in the store too. The lease holds all of it from then on.
    ///
    /// # Errors
    /// [`StoreError::UnknownBlob`]; [`StoreError::Damaged`] for one that is no bundle.
    pub fn bundle(&self, manifest: &Digest, lease: &Lease) -> Result<Bundle> {
        lease.hold(*manifest);
        let damaged = |error: InvalidBundle| StoreError::Damaged {
            what: format!("bundle {manifest}"),
            reason: error.to_string(),
        };
        let document = self.small(manifest)?;
        let config = Bundle::config_of(&document).map_err(damaged)?.digest;
        lease.hold(config);
        let bundle = Bundle::parse(&document, &self.small(&config)?).map_err(damaged)?;
        lease.hold_all(bundle.files().iter().map(|file| file.digest));
        Ok(bundle)
    }

    /// A blob that is small or not what it should be.
    fn small(&self, digest: &Digest) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let reading = self.read(digest)?.take(MANIFEST_LIMIT + 1).read_to_end(&mut bytes);
        reading.map_err(StoreError::io(format!("read blob {digest}")))?;
        Ok(bytes)
    }
}
