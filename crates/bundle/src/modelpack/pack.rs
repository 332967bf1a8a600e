//! Making a bundle from files on disk. The same files, names and description give the same bytes everywhere: no times, hosts, owners
//! or places go in.

use std::io;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::bundle::check_files;
use super::config::{About, Config, Contents, Technical};
use super::{
    ARTIFACT_TYPE, Bundle, BundleFile, CONFIG_TYPE, FILE_PATH, InvalidBundle, Role, SERVICE, VERSION, media_type,
};
use crate::blob::Blob;
use crate::digest::{Digest, Hasher};
use crate::directory::{Directory, DirectoryError};
use crate::file_name::FileName;
use crate::oci::{Descriptor, ImageManifest, InvalidManifest, MANIFEST_LIMIT};

/// A file to be packed.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Its name in the bundle.
    pub name: FileName,
    /// The directory it is beneath.
    pub directory: Arc<Directory>,
    /// Its name there.
    pub place: FileName,
    /// What it is for.
    pub role: Role,
}

impl SourceFile {
    /// Opens it, without following links.
    ///
    /// # Errors
    /// [`DirectoryError`], naming the file.
    pub fn open(&self) -> Result<std::fs::File, DirectoryError> {
        self.directory.open_file(&self.place)
    }
}

/// Why files were not packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A link, device, pipe or escaping name, or what the system said.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A file that could be opened but not read.
    #[error("read {name}: {source}")]
    Read {
        /// Which.
        name: FileName,
        /// Why.
        source: io::Error,
    },
    /// Names or sizes that make no bundle.
    #[error(transparent)]
    Bundle(#[from] InvalidBundle),
}

/// A bundle and where its contents are.
#[derive(Debug)]
pub struct Packed {
    /// What it says.
    pub bundle: Bundle,
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// The configuration's bytes.
    pub config: Vec<u8>,
    /// The files, in the order of [`Bundle::files`].
    pub sources: Vec<SourceFile>,
}

impl Packed {
    /// Reads all files once and makes the bundle. `service` is what a PUT needs, `version` the digest over the files that decide an
    /// answer.
    ///
    /// # Errors
    /// [`PackError`], naming the file.
    pub fn new(mut sources: Vec<SourceFile>, service: &Map<String, Value>, version: Digest) -> Result<Self, PackError> {
        sources.sort_by(|one, other| one.name.cmp(&other.name));
        let files = sources.iter().map(hash).collect::<Result<Vec<_>, _>>()?;
        let total_size = check_files(&files)?;
        let service = sorted(service);
        let config = config_bytes(&files, &service, version);
        let manifest = manifest_bytes(&files, &config, &service, version);
        if manifest.len() as u64 > MANIFEST_LIMIT {
            return Err(InvalidBundle::from(InvalidManifest::TooLarge(manifest.len() as u64)).into());
        }
        let manifest_digest = Digest::of(&manifest);
        let about_config = Blob { digest: Digest::of(&config), size: config.len() as u64 };
        let bundle = Bundle { manifest_digest, config: about_config, version, service, files, total_size };
        Ok(Self { bundle, manifest, config, sources })
    }
}

fn hash(source: &SourceFile) -> Result<BundleFile, PackError> {
    let mut hasher = Hasher::new();
    let file = source.open()?;
    hasher
        .update_reader(file)
        .map_err(|source_error| PackError::Read { name: source.name.clone(), source: source_error })?;
    let (name, role, size) = (source.name.clone(), source.role, hasher.length());
    Ok(BundleFile { name, role, size, digest: hasher.digest() })
}

fn config_bytes(files: &[BundleFile], service: &Map<String, Value>, version: Digest) -> Vec<u8> {
    let text = |member: &str| service.get(member).and_then(Value::as_str).map(str::to_owned);
    let config = Config {
        descriptor: About { version: Some(version.to_string()), description: text("description") },
        config: Technical { format: text("mllib") },
        modelfs: Contents::new(files.iter().map(|file| file.digest)),
    };
    serde_json::to_vec(&config).expect("plain data with string keys always prints")
}

fn manifest_bytes(files: &[BundleFile], config: &[u8], service: &Map<String, Value>, version: Digest) -> Vec<u8> {
    let mut config = Descriptor::of(media_type(CONFIG_TYPE), config);
    config.annotations.insert(SERVICE.into(), Value::Object(service.clone()).to_string());
    let layers = files.iter().map(|file| {
        let mut layer = Descriptor::new(media_type(file.role.media_type()), file.digest, file.size);
        layer.annotations.insert(FILE_PATH.into(), file.name.to_string());
        layer
    });
    let mut manifest = ImageManifest::artifact(media_type(ARTIFACT_TYPE), config, layers.collect());
    manifest.annotations.insert(VERSION.into(), version.to_string());
    manifest.to_bytes()
}

/// The same object with its members, at every depth, in alphabetical order.
fn sorted(object: &Map<String, Value>) -> Map<String, Value> {
    let mut members: Vec<_> = object.iter().map(|(name, member)| (name.clone(), sorted_value(member))).collect();
    members.sort_by(|one, other| one.0.cmp(&other.0));
    members.into_iter().collect()
}

fn sorted_value(value: &Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(sorted(object)),
        Value::Array(items) => Value::Array(items.iter().map(sorted_value).collect()),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain.clone(),
    }
}
