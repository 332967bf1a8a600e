//! The bundle itself: what a manifest and its configuration say once everything in them is checked.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::config::Config;
use super::{ARTIFACT_TYPE, CONFIG_TYPE, FILE_PATH, SERVICE, VERSION};
use crate::blob::Blob;
use crate::digest::{Digest, InvalidDigest};
use crate::file_name::FileName;
use crate::oci::{Descriptor, ImageManifest, InvalidManifest, MANIFEST_LIMIT, Manifest, MediaType};
use crate::text::InvalidText;

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// A network: large, never changed in place.
    Weight,
    /// What goes with it: labels, connector state, means.
    Config,
    /// For people.
    Doc,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Weight, Self::Config, Self::Doc];

    /// The layer's media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Weight => "application/vnd.cncf.model.weight.v1.raw",
            Self::Config => "application/vnd.cncf.model.weight.config.v1.raw",
            Self::Doc => "application/vnd.cncf.model.doc.v1.raw",
        }
    }

    fn of(media_type: &MediaType) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.media_type() == media_type.as_str())
    }
}

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleFile {
    /// Where it goes.
    pub name: FileName,
    /// What it is for.
    pub role: Role,
    /// Bytes.
    pub size: u64,
    /// Content.
    pub digest: Digest,
}

impl BundleFile {
    /// Its content.
    pub fn blob(&self) -> Blob {
        Blob { digest: self.digest, size: self.size }
    }
}

/// A service's files and description. Immutable: the digest of its manifest names all of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    pub(super) manifest_digest: Digest,
    pub(super) config: Blob,
    pub(super) version: Digest,
    pub(super) service: Map<String, Value>,
    pub(super) files: Vec<BundleFile>,
    pub(super) total_size: u64,
}

/// Why a manifest and a configuration are no bundle.
#[derive(Debug, thiserror::Error)]
pub enum InvalidBundle {
    /// Not even a manifest.
    #[error(transparent)]
    Manifest(#[from] InvalidManifest),
    /// An artifact of another type.
    #[error("artifact type {ARTIFACT_TYPE} expected, found {0}")]
    ArtifactType(String),
    /// A configuration of another type, another content, or not listing the layers.
    #[error("configuration: {0}")]
    Config(String),
    /// A layer that is no raw file of a known role; archives are never accepted.
    #[error("{place}: raw weight, weight.config or doc layer expected, found media type {found}")]
    LayerType {
        /// Which layer.
        place: String,
        /// Its type.
        found: MediaType,
    },
    /// A layer without the annotation that names its file.
    #[error("layer {0}: annotation {FILE_PATH} expected")]
    Unnamed(usize),
    /// A name that is not plain and relative.
    #[error(transparent)]
    Name(#[from] InvalidText),
    /// Two layers for one file.
    #[error("{0:?} occurs twice")]
    Duplicate(FileName),
    /// A file where another one needs a directory.
    #[error("{0:?} is a file and a directory")]
    FileAsDirectory(String),
    /// No files.
    #[error("at least one file expected, found none")]
    Empty,
    /// Sizes that no disk can hold.
    #[error("the sizes of the files add up to more than {}", i64::MAX)]
    TooLarge,
    /// The annotation with the version is missing or no digest.
    #[error("annotation {VERSION}: {0}")]
    Version(InvalidDigest),
    /// The service's description is missing or no JSON object.
    #[error("annotation {SERVICE} of the configuration: {0}")]
    Service(String),
}

impl Bundle {
    /// Checks a manifest and its configuration, so that everything in the result can be used as it is.
    ///
    /// # Errors
    /// [`InvalidBundle`], naming the layer, file or member.
    pub fn parse(manifest: &[u8], config: &[u8]) -> Result<Self, InvalidBundle> {
        let document = model(manifest)?;
        check_config(&document, config)?;
        let files = document.layers.iter().enumerate().map(file).collect::<Result<Vec<_>, _>>()?;
        let total_size = check_files(&files)?;
        Ok(Self {
            manifest_digest: Digest::of(manifest),
            config: document.config.blob(),
            version: version(&document)?,
            service: service(&document.config)?,
            files,
            total_size,
        })
    }

    /// The configuration that a manifest goes with: what to fetch before [`Self::parse`].
    ///
    /// # Errors
    /// [`InvalidBundle`] when it is no model's manifest.
    pub fn config_of(manifest: &[u8]) -> Result<Descriptor, InvalidBundle> {
        Ok(model(manifest)?.config)
    }

    /// The digest of the manifest: the bundle's own name.
    pub fn manifest_digest(&self) -> Digest {
        self.manifest_digest
    }

    /// The configuration.
    pub fn config(&self) -> Blob {
        self.config
    }

    /// The digest over the files that decide an answer: what clients see as the version of the service.
    pub fn version(&self) -> Digest {
        self.version
    }

    /// What a PUT needs, besides the repository.
    pub fn service(&self) -> &Map<String, Value> {
        &self.service
    }

    /// The files, in the order of the layers.
    pub fn files(&self) -> &[BundleFile] {
        &self.files
    }

    /// Bytes of all files.
    pub fn total_size(&self) -> u64 {
        self.total_size
    }
}

fn model(manifest: &[u8]) -> Result<ImageManifest, InvalidBundle> {
    let document = match Manifest::parse(None, manifest)? {
        (kind, Manifest::Image(document)) if kind.as_str() == MediaType::IMAGE_MANIFEST => *document,
        (kind, Manifest::Image(_) | Manifest::Index(_)) => return Err(InvalidBundle::ArtifactType(kind.into())),
    };
    match &document.artifact_type {
        Some(kind) if kind.as_str() == ARTIFACT_TYPE => Ok(document),
        other => Err(InvalidBundle::ArtifactType(other.clone().map_or("none".into(), String::from))),
    }
}

fn file((index, layer): (usize, &Descriptor)) -> Result<BundleFile, InvalidBundle> {
    let named = layer.annotations.get(FILE_PATH);
    let Some(role) = Role::of(&layer.media_type) else {
        let place = named.map_or(format!("layer {index}"), |name| format!("layer {index}, {name:?}"));
        return Err(InvalidBundle::LayerType { place, found: layer.media_type.clone() });
    };
    let name = named.ok_or(InvalidBundle::Unnamed(index))?.parse()?;
    Ok(BundleFile { name, role, size: layer.size, digest: layer.digest })
}

/// The sum of the sizes of files that can lie in one directory.
pub(super) fn check_files(files: &[BundleFile]) -> Result<u64, InvalidBundle> {
    if files.is_empty() {
        return Err(InvalidBundle::Empty);
    }
    let mut names = HashSet::new();
    for file in files {
        if !names.insert(file.name.as_str()) {
            return Err(InvalidBundle::Duplicate(file.name.clone()));
        }
    }
    if let Some(both) = files.iter().flat_map(|file| file.name.directories()).find(|above| names.contains(above)) {
        return Err(InvalidBundle::FileAsDirectory(both.to_owned()));
    }
    let total = files.iter().try_fold(0u64, |sum, file| sum.checked_add(file.size));
    total.filter(|&sum| sum <= i64::MAX as u64).ok_or(InvalidBundle::TooLarge)
}

fn check_config(document: &ImageManifest, bytes: &[u8]) -> Result<(), InvalidBundle> {
    let refuse = |reason: String| Err(InvalidBundle::Config(reason));
    let expected = &document.config;
    if expected.media_type.as_str() != CONFIG_TYPE {
        return refuse(format!("media type {CONFIG_TYPE} expected, found {}", expected.media_type));
    }
    let size = bytes.len() as u64;
    if size > MANIFEST_LIMIT || size != expected.size {
        return refuse(format!("{} bytes expected, at most {MANIFEST_LIMIT}, found {size}", expected.size));
    }
    let found = Digest::of(bytes);
    if found != expected.digest {
        return refuse(format!("{} expected, found {found}", expected.digest));
    }
    let config: Config = match serde_json::from_slice(bytes) {
        Ok(config) => config,
        Err(error) => return refuse(error.to_string()),
    };
    if !config.modelfs.lists(document.layers.iter().map(|layer| layer.digest)) {
        return refuse("modelfs does not list the layers of the manifest".into());
    }
    Ok(())
}

fn version(document: &ImageManifest) -> Result<Digest, InvalidBundle> {
    let text = document.annotations.get(VERSION).map_or("", String::as_str);
    text.parse().map_err(InvalidBundle::Version)
}

fn service(config: &Descriptor) -> Result<Map<String, Value>, InvalidBundle> {
    let text = config.annotations.get(SERVICE).ok_or_else(|| InvalidBundle::Service("missing".into()))?;
    serde_json::from_str(text).map_err(|error| InvalidBundle::Service(error.to_string()))
}
