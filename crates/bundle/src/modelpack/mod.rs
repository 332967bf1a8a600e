//! A service as an artifact of the CNCF ModelPack specification: one raw layer per file, a configuration, a manifest. No archives,
//! and nothing that differs between two machines holding the same service.

mod bundle;
mod config;
mod pack;
#[cfg(test)]
mod tests;

pub use bundle::{Bundle, BundleFile, InvalidBundle, Role};
pub use pack::{PackError, Packed, SourceFile};

use crate::oci::MediaType;

/// The artifact type of a model.
pub const ARTIFACT_TYPE: &str = "application/vnd.cncf.model.manifest.v1+json";
/// The media type of its configuration.
pub const CONFIG_TYPE: &str = "application/vnd.cncf.model.config.v1+json";
/// Annotation of a layer: the file's name.
const FILE_PATH: &str = "org.cncf.model.filepath";
/// Annotation of the manifest: the digest over the files that decide an answer.
const VERSION: &str = "dev.dede.version";
/// Annotation of the configuration's descriptor: the service as JSON, what a PUT needs. The specification's configuration is closed
/// to members it does not know, so it cannot be there.
const SERVICE: &str = "dev.dede.service";

fn media_type(text: &'static str) -> MediaType {
    MediaType::constant(text)
}
