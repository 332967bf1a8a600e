//! Manifests and digests of what a service needs: which files, of which content, under which names.
//!
//! This crate owns the identity of a model: two directories with the same digest answer alike on the same engine. It knows files and
//! hashes; it must not know HTTP, services or networks.

mod digest;
mod manifest;

pub use digest::{Digest, InvalidDigest, hash_file};
pub use manifest::{Entry, InvalidEntryName, Manifest};
