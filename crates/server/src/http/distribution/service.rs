//! A service as a repository: its bundle under the tags `latest` and its version, made of the service's own files; and what this server
//! says about the bundle, as referrers.

use std::sync::Arc;

use dede_bundle::Digest;
use dede_bundle::modelpack::Packed;
use dede_bundle::oci::{Descriptor, ImageManifest, MediaType, Reference, RepositoryName, Tag};
use dede_bundle::store::{ManifestContent, StoreError};
use dede_engine::service::Service;
use dede_migration::{KeptSet, Moves, PackageOptions};

use super::blobs::Content;
use super::refusal::{Answer, Code, Refusal};
use super::{Call, blocking};
use crate::http::source;

/// Artifact type of a record of what this server computes with: where answers may differ in their last bits.
const ENGINE: &str = "application/vnd.dede.engine.v1+json";
/// Artifact type of the signed record of the move that brought a service here.
const CERTIFICATE: &str = "application/vnd.dede.certificate.v1+json";
/// Artifact type of the golden set that the service reproduced when that move brought it here, in the words of the API.
const GOLDEN: &str = "application/vnd.dede.golden.v1+json";
/// The same in the types of models.
const TYPED_GOLDEN: &str = "application/vnd.dede.golden.v2+json";
/// The tag of what a service answers with now.
const LATEST: &str = "latest";
/// Hex digits of a version that make a tag.
const TAG_DIGITS: usize = 12;
/// The configuration of an artifact that has none.
const EMPTY: &[u8] = b"{}";

/// What a service shows.
pub(super) struct Shown {
    packed: Arc<Packed>,
    artifacts: Vec<Artifact>,
}

/// A statement about the bundle.
struct Artifact {
    descriptor: Descriptor,
    manifest: Vec<u8>,
    content: Vec<u8>,
}

/// Whether a service has anything to show: one that was never trained has not.
pub(super) fn is_shown(service: &Service) -> bool {
    service.serving().is_ok_and(|serving| serving.digest.is_some())
}

/// The tags of what a service answers with now, sorted.
pub(super) fn tags(service: &Service, name: &RepositoryName) -> Answer<Vec<Tag>> {
    let untrained = || Refusal::new(404, Code::NameUnknown, format!("service {name} has no trained network"));
    let version = service.serving().ok().and_then(|serving| serving.digest).ok_or_else(untrained)?;
    let mut tags: Vec<Tag> = [LATEST, &version.hex()[..TAG_DIGITS]].iter().filter_map(|tag| tag.parse().ok()).collect();
    tags.sort_unstable();
    Ok(tags)
}

/// Everything that a service shows under a name. Its files are read once per version.
pub(super) async fn shown(call: &Call, name: &RepositoryName, service: Arc<Service>) -> Answer<Shown> {
    tags(&service, name)?;
    let (server, moves) = (Arc::clone(&call.server), call.server.moves().await?);
    let engine = server.distribution.opened.get().map(|(_, host)| serde_json::to_vec(host));
    blocking(move || {
        let packed = server.bundles.of(&service, PackageOptions::default())?;
        let subject = Descriptor::of(media_type(MediaType::IMAGE_MANIFEST), &packed.manifest);
        let engine = engine.and_then(Result::ok).map(|record| Artifact::new(ENGINE, record, &subject));
        let of_moves = of_moves(&moves, &service, &packed);
        let of_moves = of_moves.into_iter().map(|(kind, record)| Artifact::new(kind, record, &subject));
        let mut artifacts: Vec<Artifact> = engine.into_iter().chain(of_moves).collect();
        artifacts.sort_unstable_by_key(|artifact| artifact.descriptor.digest);
        // Two moves of one version may have had the same golden set.
        artifacts.dedup_by_key(|artifact| artifact.descriptor.digest);
        Ok(Shown { packed, artifacts })
    })
    .await
}

/// The certificates and golden sets of moves that brought this version of a service here.
fn of_moves(moves: &Moves, service: &Service, packed: &Packed) -> Vec<(&'static str, Vec<u8>)> {
    let (name, version) = (service.name(), packed.bundle.version().to_string());
    let of_service = moves.all().into_iter().map(|known| known.info()).filter(|info| {
        let report = &info.report;
        report.certificate.is_some() && report.service == name.as_str() && report.version == version
    });
    let documents = |id: &str| {
        let certificate = moves.certificate(id).ok().map(|text| (CERTIFICATE, text.into_bytes()));
        let golden = moves.golden(id).ok().map(|KeptSet { text, version }| {
            let kind = if version == 1 { GOLDEN } else { TYPED_GOLDEN };
            (kind, text.into_bytes())
        });
        [certificate, golden].into_iter().flatten()
    };
    of_service.flat_map(|info| documents(&info.id.to_string())).collect()
}

impl Artifact {
    fn new(kind: &'static str, content: Vec<u8>, subject: &Descriptor) -> Self {
        let config = Descriptor::of(media_type(MediaType::EMPTY), EMPTY);
        let layer = Descriptor::of(media_type(kind), &content);
        let mut manifest = ImageManifest::artifact(media_type(kind), config, vec![layer]);
        manifest.subject = Some(subject.clone());
        let manifest = manifest.to_bytes();
        let mut descriptor = Descriptor::of(media_type(MediaType::IMAGE_MANIFEST), &manifest);
        descriptor.artifact_type = Some(media_type(kind));
        Self { descriptor, manifest, content }
    }
}

impl Shown {
    /// A manifest of it.
    pub(super) fn manifest(&self, reference: &Reference) -> Answer<ManifestContent> {
        let (bundle, version) = (self.packed.bundle.manifest_digest(), self.packed.bundle.version());
        let found = match reference {
            Reference::Tag(tag) if tag.as_str() == LATEST => Some((bundle, &self.packed.manifest)),
            Reference::Tag(tag) if tag.as_str() == &version.hex()[..TAG_DIGITS] => {
                Some((bundle, &self.packed.manifest))
            }
            Reference::Digest(digest) if *digest == bundle => Some((bundle, &self.packed.manifest)),
            Reference::Digest(digest) => {
                let artifact = self.artifacts.iter().find(|artifact| artifact.descriptor.digest == *digest);
                artifact.map(|artifact| (*digest, &artifact.manifest))
            }
            Reference::Tag(_) => None,
        };
        let (digest, bytes) = found.ok_or_else(|| StoreError::UnknownManifest(reference.clone()))?;
        Ok(ManifestContent { digest, media_type: media_type(MediaType::IMAGE_MANIFEST), bytes: bytes.clone() })
    }

    /// A blob of it. Blocks.
    pub(super) fn blob(&self, digest: &Digest) -> Answer<Content> {
        if self.packed.bundle.files().iter().any(|file| file.digest == *digest) {
            let (file, size) = source::open(&self.packed, digest)?;
            return Ok(Content::File(file, size));
        }
        let contents = self.artifacts.iter().map(|artifact| artifact.content.as_slice());
        let mut small = contents.chain([self.packed.config.as_slice(), EMPTY]);
        let found = small.find(|bytes| Digest::of(bytes) == *digest).ok_or(StoreError::UnknownBlob(*digest))?;
        Ok(Content::Bytes(found.to_vec()))
    }

    /// The referrers of a manifest of it, in the order of digests.
    pub(super) fn referrers(&self, subject: &Digest) -> Vec<Descriptor> {
        if *subject != self.packed.bundle.manifest_digest() {
            return Vec::new();
        }
        self.artifacts.iter().map(|artifact| artifact.descriptor.clone()).collect()
    }
}

/// One of this program's own constants.
fn media_type(text: &'static str) -> MediaType {
    text.parse().expect("a media type of the source")
}
