//! Copies an artifact from one registry to another: blobs first, then the manifest, then its referrers.

use std::io::Read;

use dede_bundle::Digest;
use dede_bundle::oci::{Descriptor, ImageIndex, ImageManifest, MANIFEST_LIMIT, Manifest, MediaType, Reference};

use super::{Registry, Source};

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Copied {
    /// The artifact's manifest.
    pub(crate) digest: Digest,
    /// Bytes that were sent; what was there is not sent again.
    pub(crate) sent: u64,
    /// Bytes of its blobs.
    pub(crate) total: u64,
    /// Statements about it that went along.
    pub(crate) referrers: usize,
}

/// What is in a repository under a tag or a digest.
pub(crate) struct Artifact<'a> {
    /// Its repository.
    pub(crate) registry: &'a Registry,
    /// Its name there.
    pub(crate) reference: &'a Reference,
}

/// Copies the artifact `from` to the name `to`, with its referrers. `moved` sees how many bytes of how many of its blobs are on
/// their way or there.
///
/// # Errors
/// A sentence.
pub(crate) fn copy(from: &Artifact<'_>, to: &Artifact<'_>, moved: &dyn Fn(u64, u64)) -> Result<Copied, String> {
    let (source, target) = (from.registry, to.registry);
    let found = source.manifest(from.reference)?;
    let missing = || format!("there is no {} of {}", from.reference, source.repository);
    let (media_type, bytes) = found.ok_or_else(missing)?;
    let digest = Digest::of(&bytes);
    let (sent, total) = copy_blobs(source, target, &image(&media_type, &bytes)?, moved)?;
    target.push_manifest(to.reference, &media_type, &bytes)?;
    let listed = source.referrers(&digest)?;
    for entry in &listed {
        copy_referrer(source, target, entry)?;
    }
    Ok(Copied { digest, sent, total, referrers: listed.len() })
}

/// Bytes that were sent, and those there are.
fn copy_blobs(
    source: &Registry,
    target: &Registry,
    manifest: &ImageManifest,
    moved: &dyn Fn(u64, u64),
) -> Result<(u64, u64), String> {
    let blobs = || std::iter::once(&manifest.config).chain(&manifest.layers);
    let total = blobs().fold(0, |sum: u64, blob| sum.saturating_add(blob.size));
    let (mut sent, mut before) = (0, 0u64);
    for blob in blobs() {
        if !target.has_blob(&blob.digest)? {
            let show = |position: u64| moved(before.saturating_add(position), total);
            target.push_blob(blob.blob(), &Content { source, blob, moved: &show })?;
            sent += blob.size;
        }
        before = before.saturating_add(blob.size);
        moved(before, total);
    }
    Ok((sent, total))
}

/// A blob of one registry as it is sent to another.
struct Content<'a> {
    source: &'a Registry,
    blob: &'a Descriptor,
    moved: &'a dyn Fn(u64),
}

impl Source for Content<'_> {
    fn content(&self, offset: u64) -> Box<dyn Read + '_> {
        Box::new(self.source.blob(self.blob.blob(), offset))
    }

    fn moved(&self, position: u64) {
        (self.moved)(position);
    }
}

fn copy_referrer(source: &Registry, target: &Registry, entry: &Descriptor) -> Result<(), String> {
    let reference = Reference::Digest(entry.digest);
    let Some((media_type, bytes)) = source.manifest(&reference)? else { return Ok(()) };
    let manifest = image(&media_type, &bytes)?;
    copy_blobs(source, target, &manifest, &|_, _| {})?;
    let is_listed = target.push_manifest(&reference, &media_type, &bytes)?;
    match &manifest.subject {
        Some(subject) if !is_listed => list_by_tag(target, &subject.digest, &media_type, &bytes, &manifest),
        Some(_) | None => Ok(()),
    }
}

/// The specification's way for registries without the referrers API: an index under a tag made of the subject's digest.
fn list_by_tag(
    target: &Registry,
    subject: &Digest,
    media_type: &MediaType,
    bytes: &[u8],
    manifest: &ImageManifest,
) -> Result<(), String> {
    let tag = Reference::Tag(format!("sha256-{}", subject.hex()).parse().map_err(|error| format!("{error}"))?);
    let mut index = match target.manifest(&tag)? {
        None => ImageIndex::new(Vec::new()),
        Some((media_type, bytes)) => match Manifest::parse(Some(&media_type), &bytes) {
            Ok((_, Manifest::Index(index))) => *index,
            Ok((_, Manifest::Image(_))) | Err(_) => {
                return Err(target.failed(&format!("tag {tag} is no list of referrers; the statement is not listed")));
            }
        },
    };
    let mut entry = Descriptor::of(media_type.clone(), bytes);
    if index.manifests.iter().any(|known| known.digest == entry.digest) {
        return Ok(());
    }
    entry.artifact_type = manifest.artifact_type.clone().or_else(|| Some(manifest.config.media_type.clone()));
    entry.annotations = manifest.annotations.clone();
    index.manifests.push(entry);
    let bytes = serde_json::to_vec(&index).map_err(|error| error.to_string())?;
    let kind = MediaType::IMAGE_INDEX.parse().map_err(|error| format!("{error}"))?;
    target.push_manifest(&tag, &kind, &bytes).map(drop)
}

fn image(media_type: &MediaType, bytes: &[u8]) -> Result<ImageManifest, String> {
    match Manifest::parse(Some(media_type), bytes).map_err(|error| error.to_string())? {
        (_, Manifest::Image(image)) => Ok(*image),
        (_, Manifest::Index(_)) => Err("an artifact expected, found a list of several".to_owned()),
    }
}

/// A blob that is no larger than a manifest may be, checked.
///
/// # Errors
/// A sentence.
pub(crate) fn read_small(registry: &Registry, blob: &Descriptor) -> Result<Vec<u8>, String> {
    let (digest, size) = (blob.digest, blob.size);
    if size > MANIFEST_LIMIT {
        return Err(registry.about_blob(&digest, &format!("expected at most {MANIFEST_LIMIT} bytes, found {size}")));
    }
    let mut bytes = Vec::new();
    registry.blob(blob.blob(), 0).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if Digest::of(&bytes) != digest {
        return Err(registry.about_blob(&digest, "it is something else there"));
    }
    Ok(bytes)
}
