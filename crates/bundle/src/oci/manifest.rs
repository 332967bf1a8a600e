//! Image manifests and indexes, parsed from bytes that any client may have sent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::oci::descriptor::{annotations, artifact_type};
use crate::oci::{Descriptor, MediaType};

/// Largest manifest, bytes: what registries have to take, and no more.
pub const MANIFEST_LIMIT: u64 = 4 << 20;

/// The only version there is.
const SCHEMA_VERSION: u64 = 2;

/// One object: a configuration and layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    schema_version: u64,
    /// Its own type, as it says itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// What kind of artifact it is.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "artifact_type")]
    pub artifact_type: Option<MediaType>,
    /// The configuration's blob.
    pub config: Descriptor,
    /// The content's blobs.
    pub layers: Vec<Descriptor>,
    /// The manifest this one says something about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free text, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "annotations")]
    pub annotations: BTreeMap<String, String>,
}

impl ImageManifest {
    /// An artifact of its kind, without subject and annotations.
    pub fn artifact(artifact_type: MediaType, config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            media_type: Some(MediaType::constant(MediaType::IMAGE_MANIFEST)),
            artifact_type: Some(artifact_type),
            config,
            layers,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    /// Compact JSON, always the same bytes for the same manifest.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain data with string keys always prints")
    }
}

/// A list of manifests; also the answer to a question for referrers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageIndex {
    schema_version: u64,
    /// Its own type, as it says itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// What kind of artifact it is.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "artifact_type")]
    pub artifact_type: Option<MediaType>,
    /// The manifests.
    pub manifests: Vec<Descriptor>,
    /// The manifest this one says something about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free text, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "annotations")]
    pub annotations: BTreeMap<String, String>,
}

impl ImageIndex {
    /// An index of manifests and nothing else.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        let media_type = Some(MediaType::constant(MediaType::IMAGE_INDEX));
        let (artifact_type, subject, annotations) = Default::default();
        Self { schema_version: SCHEMA_VERSION, media_type, artifact_type, manifests, subject, annotations }
    }
}

/// Why bytes are no manifest.
#[derive(Debug, thiserror::Error)]
pub enum InvalidManifest {
    /// Larger than [`MANIFEST_LIMIT`].
    #[error("a manifest has at most {MANIFEST_LIMIT} bytes, found {0}")]
    TooLarge(u64),
    /// No JSON, or members of the wrong kind.
    #[error("not a manifest: {0}")]
    Json(#[from] serde_json::Error),
    /// Well-formed, but contradicting itself, its announced type or the specification.
    #[error("not a manifest: {0}")]
    Content(String),
}

/// Either kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Manifest {
    /// See [`ImageManifest`].
    Image(Box<ImageManifest>),
    /// See [`ImageIndex`].
    Index(Box<ImageIndex>),
}

impl Manifest {
    /// Parses a manifest and says of which media type it is. `announced` is the type it was sent as, which must be the one it names
    /// itself; without either, its members decide.
    ///
    /// # Errors
    /// [`InvalidManifest`]; also for a document that is a manifest and an index at once, which two readers would read differently.
    pub fn parse(announced: Option<&MediaType>, bytes: &[u8]) -> Result<(MediaType, Self), InvalidManifest> {
        if bytes.len() as u64 > MANIFEST_LIMIT {
            return Err(InvalidManifest::TooLarge(bytes.len() as u64));
        }
        let outline: Outline = serde_json::from_slice(bytes)?;
        let media_type = outline.media_type(announced)?;
        let manifest = match media_type.as_str() {
            MediaType::IMAGE_MANIFEST | MediaType::DOCKER_MANIFEST => {
                Self::Image(Box::new(serde_json::from_slice(bytes)?))
            }
            MediaType::IMAGE_INDEX | MediaType::DOCKER_MANIFEST_LIST => {
                Self::Index(Box::new(serde_json::from_slice(bytes)?))
            }
            other => return Err(InvalidManifest::Content(format!("manifests of type {other} are not known"))),
        };
        Ok((media_type, manifest))
    }

    /// Everything it needs: configuration and layers, or manifests. Not its subject, which may be absent.
    pub fn contents(&self) -> impl Iterator<Item = &Descriptor> {
        let (config, rest) = match self {
            Self::Image(manifest) => (Some(&manifest.config), &manifest.layers),
            Self::Index(index) => (None, &index.manifests),
        };
        config.into_iter().chain(rest)
    }

    /// The manifest it says something about.
    pub fn subject(&self) -> Option<&Descriptor> {
        match self {
            Self::Image(manifest) => manifest.subject.as_ref(),
            Self::Index(index) => index.subject.as_ref(),
        }
    }

    /// The artifact type that lists of referrers show: its own, else, for an image manifest, its configuration's media type.
    pub fn effective_artifact_type(&self) -> Option<&MediaType> {
        match self {
            Self::Image(manifest) => manifest.artifact_type.as_ref().or(Some(&manifest.config.media_type)),
            Self::Index(index) => index.artifact_type.as_ref(),
        }
    }

    /// Its annotations.
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        match self {
            Self::Image(manifest) => &manifest.annotations,
            Self::Index(index) => &index.annotations,
        }
    }
}

/// The members that tell the kinds of manifests apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    schema_version: u64,
    media_type: Option<MediaType>,
    #[serde(default)]
    artifact_type: Option<String>,
    manifests: Option<Value>,
    layers: Option<Value>,
    config: Option<ConfigOutline>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigOutline {
    media_type: MediaType,
}

impl Outline {
    fn media_type(&self, announced: Option<&MediaType>) -> Result<MediaType, InvalidManifest> {
        let refuse = |reason: String| Err(InvalidManifest::Content(reason));
        if self.schema_version != SCHEMA_VERSION {
            return refuse(format!("schemaVersion {SCHEMA_VERSION} expected, found {}", self.schema_version));
        }
        let is_image = self.layers.is_some() || self.config.is_some();
        if is_image && self.manifests.is_some() {
            return refuse("either config and layers or manifests expected, found both".into());
        }
        let empty_config = self.config.as_ref().is_some_and(|config| config.media_type.as_str() == MediaType::EMPTY);
        if empty_config && self.artifact_type.as_deref().unwrap_or_default().is_empty() {
            return refuse("artifactType expected, since the configuration is empty".into());
        }
        match (announced, &self.media_type) {
            (Some(sent), Some(own)) if sent != own => refuse(format!("sent as {sent}, but its mediaType is {own}")),
            (Some(known), _) | (None, Some(known)) => Ok(known.clone()),
            (None, None) if self.manifests.is_some() => Ok(MediaType::constant(MediaType::IMAGE_INDEX)),
            (None, None) => Ok(MediaType::constant(MediaType::IMAGE_MANIFEST)),
        }
    }
}
