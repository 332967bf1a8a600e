//! Wire types of the OCI specifications as artifacts need them: names, descriptors, manifests. Parsing and printing only;
//! nothing here reads files or stores anything.

mod descriptor;
mod manifest;
mod media_type;
mod name;
#[cfg(test)]
mod tests;

pub use descriptor::Descriptor;
pub use manifest::{ImageIndex, ImageManifest, InvalidManifest, MANIFEST_LIMIT, Manifest};
pub use media_type::MediaType;
pub use name::{Reference, RepositoryName, Tag, listing_order};
