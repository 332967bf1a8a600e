//! A descriptor: type, digest and size of content that is elsewhere.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::blob::Blob;
use crate::digest::Digest;
use crate::oci::MediaType;

/// Members it does not know are ignored, as the specification wants; the bytes of a manifest are kept as they came, so nothing is
/// lost by that. Only sha256 digests are accepted. Content that is embedded is not kept, and has to be the content that the rest says:
/// other readers may take it instead of the blob.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "Wire")]
pub struct Descriptor {
    /// Type of the content.
    pub media_type: MediaType,
    /// Its sha256.
    pub digest: Digest,
    /// Its bytes; at most `i64::MAX`.
    pub size: u64,
    /// Type of the artifact when the content is a manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<MediaType>,
    /// Where else the content may be had; never followed by us.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Free text, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// For whom a manifest of an index is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Value>,
}

/// A descriptor as it is sent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "struct Descriptor")]
struct Wire {
    media_type: MediaType,
    digest: Digest,
    #[serde(deserialize_with = "size")]
    size: u64,
    #[serde(default, deserialize_with = "artifact_type")]
    artifact_type: Option<MediaType>,
    #[serde(default)]
    urls: Vec<String>,
    #[serde(default, deserialize_with = "annotations")]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    platform: Option<Value>,
    /// The content, in base64.
    #[serde(default)]
    data: Option<String>,
}

impl TryFrom<Wire> for Descriptor {
    type Error = String;

    fn try_from(wire: Wire) -> Result<Self, String> {
        let Wire { media_type, digest, size, artifact_type, urls, annotations, platform, data } = wire;
        if let Some(data) = data {
            let content =
                STANDARD.decode(data).map_err(|error| format!("data of {digest}: base64 expected: {error}"))?;
            if content.len() as u64 != size {
                return Err(format!("data of {digest}: {size} bytes expected, found {}", content.len()));
            }
            let found = Digest::of(&content);
            if found != digest {
                return Err(format!("data of {digest}: content of that digest expected, found {found}"));
            }
        }
        Ok(Self { media_type, digest, size, artifact_type, urls, annotations, platform })
    }
}

impl Descriptor {
    /// A descriptor without optional members.
    pub fn new(media_type: MediaType, digest: Digest, size: u64) -> Self {
        let (artifact_type, urls, annotations, platform) = Default::default();
        Self { media_type, digest, size, artifact_type, urls, annotations, platform }
    }

    /// The descriptor of bytes in memory.
    pub fn of(media_type: MediaType, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// The content.
    pub fn blob(&self) -> Blob {
        Blob { digest: self.digest, size: self.size }
    }
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let size = u64::deserialize(deserializer)?;
    if size > i64::MAX as u64 {
        return Err(serde::de::Error::custom(format!("size: at most {} expected, found {size}", i64::MAX)));
    }
    Ok(size)
}

/// Some clients write an empty text where they mean none.
pub(crate) fn artifact_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<MediaType>, D::Error> {
    match Option::<String>::deserialize(deserializer)?.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(serde::de::Error::custom),
    }
}

/// `null` stands for none.
pub(crate) fn annotations<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
