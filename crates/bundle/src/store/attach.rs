//! Artifacts about another one, listed as its referrers: a golden set, an engine's record, a certificate.

use std::collections::BTreeMap;
use std::io::Read;

use super::error::{Result, StoreError};
use super::{BlobStore, Lease};
use crate::digest::Digest;
use crate::oci::{Descriptor, ImageManifest, Manifest, MediaType, Reference, RepositoryName};

/// The configuration of an artifact that has none.
const EMPTY: &[u8] = b"{}";

/// What is attached.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// What kind of statement it is.
    pub artifact_type: MediaType,
    /// Its contents with their types; at least one.
    pub contents: Vec<(MediaType, Vec<u8>)>,
    /// Free text, by name; shown in lists of referrers.
    pub annotations: BTreeMap<String, String>,
}

impl BlobStore {
    /// Attaches something to a manifest of a repository; returns the digest of the attachment's manifest. The same attachment again
    /// is the same manifest.
    ///
    /// # Errors
    /// [`StoreError::UnknownManifest`] for the subject; as [`Self::push_manifest`].
    pub fn attach(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        attachment: &Attachment,
        lease: &Lease,
    ) -> Result<Digest> {
        let (digest, media_type, size) = self.find_manifest(repository, &Reference::Digest(*subject))?;
        let mut shown = vec![self.put_bytes(EMPTY, lease)?];
        let mut layers = Vec::new();
        for (media_type, bytes) in &attachment.contents {
            shown.push(self.put_bytes(bytes, lease)?);
            layers.push(Descriptor::of(media_type.clone(), bytes));
        }
        self.show(repository, &shown, lease)?;
        let config = Descriptor::of(MediaType::constant(MediaType::EMPTY), EMPTY);
        let mut manifest = ImageManifest::artifact(attachment.artifact_type.clone(), config, layers);
        manifest.subject = Some(Descriptor::new(media_type, digest, size));
        manifest.annotations = attachment.annotations.clone();
        Ok(self.push_manifest(repository, None, &[], None, &manifest.to_bytes())?.digest)
    }

    /// What is attached to a manifest under an artifact type, each with the digest of its manifest. Contents above `limit` bytes
    /// together are refused.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for a referrer that is no attachment or too large.
    pub fn attachments(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_type: &MediaType,
        limit: u64,
    ) -> Result<Vec<(Digest, Attachment)>> {
        let found = self.referrers(repository, subject, Some(artifact_type.as_str()));
        found
            .manifests
            .iter()
            .map(|entry| Ok((entry.digest, self.attachment(repository, entry.digest, limit)?)))
            .collect()
    }

    fn attachment(&self, repository: &RepositoryName, digest: Digest, limit: u64) -> Result<Attachment> {
        let refuse = |reason: String| StoreError::Damaged { what: format!("attachment {digest}"), reason };
        let content = self.manifest(repository, &Reference::Digest(digest))?;
        let (_, Manifest::Image(manifest)) = Manifest::parse(Some(&content.media_type), &content.bytes)? else {
            return Err(refuse("an image manifest expected, found an index".into()));
        };
        let size = manifest.layers.iter().try_fold(0u64, |sum, layer| sum.checked_add(layer.size));
        if size.is_none_or(|size| size > limit) {
            return Err(refuse(format!("at most {limit} bytes expected")));
        }
        let mut contents = Vec::new();
        for layer in &manifest.layers {
            let mut bytes = Vec::new();
            let reading = self.read(&layer.digest)?.take(layer.size + 1).read_to_end(&mut bytes);
            reading.map_err(StoreError::io(format!("read blob {}", layer.digest)))?;
            if Digest::of(&bytes) != layer.digest {
                return Err(self.corrupt(layer.digest)?);
            }
            contents.push((layer.media_type.clone(), bytes));
        }
        let artifact_type = manifest.artifact_type.unwrap_or(manifest.config.media_type);
        Ok(Attachment { artifact_type, contents, annotations: manifest.annotations })
    }
}
