//! The ModelPack configuration: a few words for people and the list of contents. Written in full conformance to its schema, read
//! tolerantly.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The only kind of content list there is.
const LAYERS: &str = "layers";

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Config {
    pub(super) descriptor: About,
    pub(super) config: Technical,
    pub(super) modelfs: Contents,
}

/// What the model is, for people.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct About {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
}

/// What the model is, for machines: nothing that the files would not say better.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Technical {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) format: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Contents {
    #[serde(rename = "type")]
    kind: String,
    diff_ids: Vec<Digest>,
}

impl Contents {
    pub(super) fn new(layers: impl Iterator<Item = Digest>) -> Self {
        Self { kind: LAYERS.to_owned(), diff_ids: layers.collect() }
    }

    /// Whether it lists these layers, in this order. Raw layers are their own uncompressed content.
    pub(super) fn lists(&self, layers: impl Iterator<Item = Digest>) -> bool {
        self.kind == LAYERS && self.diff_ids.iter().copied().eq(layers)
    }
}
