//! Media types: the grammar of RFC 6838, and the ones that mean something to us.

use crate::text::parsed_text;

/// Longest half of a media type.
const LIMIT: usize = 127;

parsed_text! {
    /// `type/subtype` without parameters, as descriptors and manifests carry it.
    MediaType,
    "media type",
    "type/subtype in the characters of RFC 6838, without parameters",
    is_media_type
}

impl MediaType {
    /// An image manifest.
    pub const IMAGE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An image index.
    pub const IMAGE_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// The older form of an image manifest that other clients still push.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// The older form of an image index that other clients still push.
    pub const DOCKER_MANIFEST_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// A blob without content of its own: `{}`.
    pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";

    /// One of this program's own constants.
    pub(crate) fn constant(text: &'static str) -> Self {
        debug_assert!(is_media_type(text), "{text}");
        Self(text.to_owned())
    }
}

fn is_media_type(text: &str) -> bool {
    text.split_once('/').is_some_and(|(kind, subtype)| is_restricted_name(kind) && is_restricted_name(subtype))
}

fn is_restricted_name(text: &str) -> bool {
    text.len() <= LIMIT
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
}
