//! Manifests of a repository: pushing, pulling, tags, referrers, deleting.

use std::io::Read;

use super::BlobStore;
use super::error::{Result, StoreError};
use super::index::{Change, Index, ManifestRecord};
use super::room::cost;
use crate::digest::Digest;
use crate::oci::{
    Descriptor, ImageIndex, MANIFEST_LIMIT, Manifest, MediaType, Reference, RepositoryName, Tag, listing_order,
};

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
    /// In the order of the specification.
    pub tags: Vec<Tag>,
    /// Whether more follow.
    pub more: bool,
}

impl BlobStore {
    /// Stores a manifest with its tags, in one step. `expected` is the digest it was pushed under, `announced` its Content-Type.
    ///
    /// # Errors
    /// [`StoreError::Manifest`], [`StoreError::DigestMismatch`], [`StoreError::MissingReferences`] when the repository does not show
    /// what the manifest needs, [`StoreError::SizeMismatch`] when that has another size than the manifest says,
    /// [`StoreError::QuotaExceeded`]. Its subject may be missing.
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
        // Looked at before anything is written: what is refused takes no room.
        let check = |index: &Index| self.check_contents(index, &manifest);
        self.look(repository, check).unwrap_or_else(|_| check(&Index::new()))?;
        let claimed = self.with_room(|| self.room.claim(cost(bytes.len() as u64)))?;
        let digest = self.put_bytes(bytes, &lease)?;
        drop(claimed);
        let subject = record.subject;
        self.change(repository, |index| {
            check(index)?;
            let tags = tags.iter().map(|tag| Change::PutTag(tag.clone(), digest));
            Ok(std::iter::once(Change::PutManifest(digest, Box::new(record))).chain(tags).collect())
        })?;
        Ok(PushedManifest { digest, media_type, subject })
    }

    /// Checks that a repository shows what a manifest needs, in the sizes that the manifest says.
    fn check_contents(&self, index: &Index, manifest: &Manifest) -> Result<()> {
        let mut missing = Vec::new();
        for descriptor in manifest.contents() {
            let digest = descriptor.digest;
            let is_shown = index.blobs.contains_key(&digest) || index.manifests.contains_key(&digest);
            match if is_shown { self.size(&digest)? } else { None } {
                Some(size) => check_size(descriptor, size)?,
                None => missing.push(digest),
            }
        }
        let subject = manifest.subject().and_then(|subject| Some((subject, index.manifests.get(&subject.digest)?)));
        subject.map_or(Ok(()), |(subject, record)| check_size(subject, record.size))?;
        if missing.is_empty() { Ok(()) } else { Err(StoreError::MissingReferences(missing)) }
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
        let found = self.look(repository, |index| {
            let digest = match reference {
                Reference::Tag(tag) => *index.tags.get(tag)?,
                Reference::Digest(digest) => *digest,
            };
            let record = index.manifests.get(&digest)?;
            Some((digest, record.media_type.clone(), record.size))
        })?;
        found.ok_or_else(|| StoreError::UnknownManifest(reference.clone()))
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

    /// Up to `limit` tags after `last`, which need not be one of them.
    ///
    /// # Errors
    /// [`StoreError::UnknownRepository`].
    pub fn tags(&self, repository: &RepositoryName, limit: Option<usize>, last: Option<&str>) -> Result<TagPage> {
        let is_before = |tag: &Tag| last.is_some_and(|last| listing_order(tag.as_str(), last).is_le());
        self.look(repository, |index| {
            let mut following = index.tags.keys().skip_while(|tag| is_before(tag));
            let tags: Vec<_> = following.by_ref().take(limit.unwrap_or(usize::MAX)).cloned().collect();
            // By the specification, a page of none has none after it.
            let more = limit != Some(0) && following.next().is_some();
            TagPage { tags, more }
        })
    }

    /// The manifests whose subject this is, also where that one is missing; an empty index for an unknown repository, as the
    /// specification forbids to answer that there are no referrers to ask for.
    pub fn referrers(&self, repository: &RepositoryName, subject: &Digest, artifact_type: Option<&str>) -> ImageIndex {
        let wanted = |kind: Option<&MediaType>| {
            artifact_type.is_none_or(|wanted| kind.is_some_and(|kind| kind.as_str() == wanted))
        };
        let found = self.look(repository, |index| {
            let manifests = index.manifests.iter().filter(|(_, record)| record.subject == Some(*subject));
            let descriptors = manifests.map(|(digest, record)| record.descriptor(*digest));
            descriptors.filter(|descriptor| wanted(descriptor.artifact_type.as_ref())).collect()
        });
        ImageIndex::new(found.unwrap_or_default())
    }

    /// Removes a tag; its manifest stays.
    ///
    /// # Errors
    /// [`StoreError::UnknownRepository`], [`StoreError::UnknownManifest`].
    pub fn delete_tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<()> {
        self.change_known(repository, |index| {
            let is_there = index.tags.contains_key(tag);
            let unknown = || StoreError::UnknownManifest(Reference::Tag(tag.clone()));
            is_there.then(|| vec![Change::DropTag(tag.clone())]).ok_or_else(unknown)
        })
    }

    /// Removes a manifest with all its tags.
    ///
    /// # Errors
    /// [`StoreError::UnknownRepository`], [`StoreError::UnknownManifest`].
    pub fn delete_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<()> {
        self.change_known(repository, |index| {
            if !index.manifests.contains_key(digest) {
                return Err(StoreError::UnknownManifest(Reference::Digest(*digest)));
            }
            let tags = index.tags.iter().filter(|(_, target)| *target == digest);
            let tags = tags.map(|(tag, _)| Change::DropTag(tag.clone()));
            Ok(tags.chain([Change::DropManifest(*digest)]).collect())
        })
    }
}

fn check_size(descriptor: &Descriptor, found: u64) -> Result<()> {
    if descriptor.size == found {
        return Ok(());
    }
    Err(StoreError::SizeMismatch { digest: descriptor.digest, expected: descriptor.size, found })
}
