//! What a service is made of, as content: digests and manifests of its files, the bundle it travels as, the blob store, and the
//! chunks that spare sending what is already there.
//!
//! This crate owns the identity of a model: two directories with the same digest answer alike on the same engine. It knows files and
//! hashes; it must not know HTTP, services or networks. Everything in it blocks.

mod blob;
pub mod chunks;
mod digest;
mod directory;
mod file_name;
mod manifest;
pub mod modelpack;
pub mod oci;
pub mod store;
mod text;

pub use blob::Blob;
pub use digest::{Digest, Hasher, InvalidDigest, hash_file};
pub use directory::{Directory, DirectoryError};
pub use file_name::FileName;
pub use manifest::{DuplicateName, Entry, Manifest};
pub use text::InvalidText;
