//! Names of the distribution specification: repositories, tags, and the reference that is a tag or a digest.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;
use crate::text::{InvalidText, parsed_text};

/// Longest repository name: many clients cut at 255 with the host in front.
const NAME_LIMIT: usize = 255;
/// Longest tag, by the specification.
const TAG_LIMIT: usize = 128;

parsed_text! {
    /// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*`, at most 255 bytes.
    RepositoryName,
    "repository name",
    "lower-case letters and digits, joined by one of . _ __ - within components and by / between them",
    is_repository_name
}

parsed_text! {
    /// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`, in [`listing_order`].
    Tag,
    "tag",
    "at most 128 letters, digits, dots, dashes and underscores, not beginning with a dot or dash",
    is_tag,
    listing_order
}

/// The order in which the specification wants names listed: by letters whatever their case, by bytes where these are the same.
pub fn listing_order(one: &str, other: &str) -> Ordering {
    let folded = one.bytes().map(|byte| byte.to_ascii_lowercase());
    folded.cmp(other.bytes().map(|byte| byte.to_ascii_lowercase())).then_with(|| one.cmp(other))
}

/// What names a manifest in a repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// By a name that can be moved.
    Tag(Tag),
    /// By content.
    Digest(Digest),
}

impl FromStr for Reference {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        // No tag holds a colon, every digest does.
        if text.contains(':') {
            let refused = |_| InvalidText::new("reference", "a tag, or sha256:<64 lower-case hex digits>", text);
            text.parse().map(Self::Digest).map_err(refused)
        } else {
            text.parse().map(Self::Tag)
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(formatter),
            Self::Digest(digest) => fmt::Display::fmt(digest, formatter),
        }
    }
}

fn is_repository_name(text: &str) -> bool {
    text.len() <= NAME_LIMIT && text.split('/').all(is_repository_component)
}

fn is_repository_component(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends_in_words = bytes.first().is_some_and(|&byte| word(byte)) && bytes.last().is_some_and(|&byte| word(byte));
    let separator = |part: &&[u8]| !part.is_empty();
    ends_in_words
        && bytes
            .split(|&byte| word(byte))
            .filter(separator)
            .all(|part| matches!(part, b"." | b"_" | b"__") || part.iter().all(|&byte| byte == b'-'))
}

fn is_tag(text: &str) -> bool {
    text.len() <= TAG_LIMIT
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}
