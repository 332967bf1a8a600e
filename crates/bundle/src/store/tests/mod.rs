//! Tests of the store as a whole, through what it offers to other crates.

mod blobs;
mod collection;
mod journal;
mod limits;
mod placing;
mod repositories;
mod resumed;
mod uploads;

use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::blob::Blob;
use crate::oci::{MediaType, Reference, Tag};

/// A store in a directory of its own.
fn store() -> (tempfile::TempDir, BlobStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = BlobStore::open(directory.path()).unwrap();
    (directory, store)
}

fn repository(name: &str) -> RepositoryName {
    name.parse().unwrap()
}

fn tag(name: &str) -> Tag {
    name.parse().unwrap()
}

fn by_tag(name: &str) -> Reference {
    Reference::Tag(tag(name))
}

/// Bytes that no other seed gives.
fn content(seed: usize, length: usize) -> Vec<u8> {
    let mut state = seed as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Puts blobs where a repository shows them.
fn put(store: &BlobStore, name: &RepositoryName, contents: &[&[u8]]) -> Vec<Digest> {
    let lease = store.lease();
    let digests: Vec<_> = contents.iter().map(|bytes| store.put_bytes(bytes, &lease).unwrap()).collect();
    store.show(name, &digests, &lease).unwrap();
    digests
}

fn manifest_document(config: &[u8], layers: &[&[u8]]) -> Value {
    let descriptor =
        |bytes: &[u8]| json!({"mediaType": "application/x", "digest": Digest::of(bytes), "size": bytes.len()});
    json!({
        "schemaVersion": 2,
        "mediaType": MediaType::IMAGE_MANIFEST,
        "config": descriptor(config),
        "layers": layers.iter().map(|layer| descriptor(layer)).collect::<Vec<_>>(),
    })
}

fn push(store: &BlobStore, name: &RepositoryName, tags: &[&str], document: &Value) -> Result<PushedManifest> {
    let tags: Vec<_> = tags.iter().map(|name| tag(name)).collect();
    store.push_manifest(name, None, &tags, None, document.to_string().as_bytes())
}

/// All regular files below a directory, relative.
fn files(root: &Path) -> Vec<String> {
    crate::directory::Directory::open(root).unwrap().files().unwrap().iter().map(ToString::to_string).collect()
}
