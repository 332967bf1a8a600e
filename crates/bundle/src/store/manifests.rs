//! Manifests of a repository: pushing, pulling, tags, referrers, deleting.

use std::io::Read;

use super::BlobStore;
use super::error::{Result, StoreError};
use super::index::ManifestRecord;
use crate::digest::Digest;
use crate::oci::{ImageIndex, MANIFEST_LIMIT, Manifest, MediaType, Reference, RepositoryName, Tag};

/// What became of a pushed manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct PushedManifest {
    /// Its name by content.
    pub digest: Digest,
    /// What it was stored as.
    pub media_type: MediaType,
    /// The manifest it refers to, now among that one's referrers.
    pub subject: Option<Digest>,
}

/// A manifest, byte for byte as it was pushed.
#[derive(Debug, Clone, PartialEq)]
pub struct ManifestContent {
    /// Its name by content.
    pub digest: Digest,
    /// What it was pushed as.
    pub media_type: MediaType,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Part of a list of tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagPage {
    /// In the order of their bytes.
    pub tags: Vec<Tag>,
    /// Whether more follow.
    pub more: bool,
}

impl BlobStore {
    /// Stores a manifest with its tags, in one step. `expected` is the digest it was pushed under, `announced` its Content-Type.
    ///
    /// # Errors
    /// [`StoreError::Manifest`], [`StoreError::DigestMismatch`], [`StoreError::MissingReferences`] when the repository does not show
    /// what the manifest needs. Its subject may be missing.
    pub fn push_manifest(
        &self,
        repository: &RepositoryName,
        expected: Option<Digest>,
        tags: &[Tag],
        announced: Option<&MediaType>,
        bytes: &[u8],
    ) -> Result<PushedManifest> {
        let (media_type, manifest) = Manifest::parse(announced, bytes)?;
        let found = Digest::of(bytes);
        if let Some(expected) = expected.filter(|&expected| expected != found) {
            return Err(StoreError::DigestMismatch { expected, found });
        }
        let record = ManifestRecord::new(media_type.clone(), &manifest, bytes.len() as u64);
        let lease = self.lease();
        // Held before they are looked for, so that nothing can take them away between the look and the index.
        lease.hold_all(record.references.iter().copied());
        let digest = self.put_bytes(bytes, &lease)?;
        let subject = record.subject;
        self.repository(repository)?.change(|index| {
            let mut missing = Vec::new();
            for reference in &record.references {
                let shown = index.blobs.contains_key(reference) || index.manifests.contains_key(reference);
                if !shown || !self.contains(reference)? {
                    missing.push(*reference);
                }
            }
            if !missing.is_empty() {
                return Err(StoreError::MissingReferences(missing));
            }
            index.manifests.insert(digest, record);
            index.tags.extend(tags.iter().map(|tag| (tag.clone(), digest)));
            Ok(())
        })?;
        Ok(PushedManifest { digest, media_type, subject })
    }

    /// Digest, type and size of a manifest.
    ///
    /// # Errors
    /// [`StoreError::UnknownRepository`], [`StoreError::UnknownManifest`].
    pub fn find_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<(Digest, MediaType, u64)> {
        let index = self.index(repository)?;
        let digest = match reference {
            Reference::Tag(tag) => index.tags.get(tag).copied(),
            Reference::Digest(digest) => Some(*digest),
        };
        let found = digest.and_then(|digest| Some((digest, index.manifests.get(&digest)?)));
        let (digest, record) = found.ok_or_else(|| StoreError::UnknownManifest(reference.clone()))?;
        Ok((digest, record.media_type.clone(), record.size))
    }

    /// A manifest.
    ///
    /// # Errors
    /// As [`Self::find_manifest`]; [`StoreError::Corrupt`] when its file has changed.
    pub fn manifest(&self, repository: &RepositoryName, reference: &Reference) -> Result<ManifestContent> {
        let (digest, media_type, _) = self.find_manifest(repository, reference)?;
        let mut bytes = Vec::new();
        let reading = self.read(&digest)?.take(MANIFEST_LIMIT + 1).read_to_end(&mut bytes);
        reading.map_err(StoreError::io(format!("read manifest {digest}")))?;
        if Digest::of(&bytes) != digest {
            return Err(self.corrupt(digest)?);
        }
        Ok(ManifestContent { digest, media_type, bytes })
    }

    /// Up to `limit` tags after `last`.
    ///
    /// # Errors
    /// [`StoreError::UnknownRepository`].
    pub fn tags(&self, repository: &RepositoryName, limit: Option<usize>, last: Option<&str>) -> Result<TagPage> {
        let index = self.index(repository)?;
        let mut following = index.tags.keys().skip_while(|tag| last.is_some_and(|last| tag.as_str() <= last));
        let tags: Vec<_> = following.by_ref().take(limit.unwrap_or(usize::MAX)).cloned().collect();
        // By the specification, a page of none has none after it.
        let more = limit != Some(0) && following.next().is_some();
        Ok(TagPage { tags, more })
    }

    /// The manifests whose subject this is, also where that one is missing; an empty index for an unknown repository, as the
    /// specification forbids to answer that there are no referrers to ask for.
    pub fn referrers(&self, repository: &RepositoryName, subject: &Digest, artifact_type: Option<&str>) -> ImageIndex {
        let Ok(index) = self.index(repository) else {
            return ImageIndex::new(Vec::new());
        };
        let wanted = |kind: Option<&MediaType>| {
            artifact_type.is_none_or(|wanted| kind.is_some_and(|kind| kind.as_str() == wanted))
        };
        let descriptors = index
            .manifests
            .iter()
            .filter(|(_, record)| record.subject == Some(*subject))
            .map(|(digest, record)| record.descriptor(*digest))
            .filter(|descriptor| wanted(descriptor.artifact_type.as_ref()));
        ImageIndex::new(descriptors.collect())
    }

    /// Removes a tag; its manifest stays.
    ///
    /// # Errors
    /// [`StoreError::UnknownRepository`], [`StoreError::UnknownManifest`].
    pub fn delete_tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<()> {
        self.known(repository)?.change(|index| {
            let unknown = || StoreError::UnknownManifest(Reference::Tag(tag.clone()));
            index.tags.remove(tag).map(drop).ok_or_else(unknown)
        })
    }

    /// Removes a manifest with all its tags.
    ///
    /// # Errors
    /// [`StoreError::UnknownRepository`], [`StoreError::UnknownManifest`].
    pub fn delete_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<()> {
        self.known(repository)?.change(|index| {
            index.tags.retain(|_, target| target != digest);
            let unknown = || StoreError::UnknownManifest(Reference::Digest(*digest));
            index.manifests.remove(digest).map(drop).ok_or_else(unknown)
        })
    }
}
