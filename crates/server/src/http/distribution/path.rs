//! Paths below `/v2/`: split, each part decoded once, and parsed into what is meant. Nothing else of this module sees a path.

use dede_api::query::decode_path;
use dede_bundle::Digest;
use dede_bundle::oci::{Reference, RepositoryName};
use dede_bundle::store::UploadId;

use super::refusal::{Answer, Code, Refusal};

/// What a path is about. What cannot be a name of anything is kept as such: asked for, it is not found; sent, it is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// `_catalog`.
    Catalog,
    /// Something of a repository.
    Of(RepositoryName, What),
}

/// What of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// `tags/list`.
    Tags,
    /// `manifests/<tag or digest>`.
    Manifest(Option<Reference>),
    /// `blobs/<digest>`.
    Blob(Option<Digest>),
    /// `blobs/uploads/`.
    Uploads,
    /// `blobs/uploads/<id>`.
    Upload(Option<UploadId>),
    /// `referrers/<digest>`.
    Referrers(Option<Digest>),
}

/// Parses a path.
///
/// # Errors
/// `NAME_INVALID` where a repository's name should be and none is; 404 for paths that the specification does not have.
pub(super) fn parse(path: &str) -> Answer<Target> {
    let rest = path.strip_prefix("/v2/").unwrap_or_default();
    let parts: Vec<String> = rest.split('/').map(decode_path).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    // A slash that was written as %2F separates nothing, and no name holds one.
    if parts.iter().any(|part| part.contains('/')) {
        return Err(Refusal::new(404, Code::NameInvalid, "no name holds an encoded slash"));
    }
    let (name, what) = match parts.as_slice() {
        ["_catalog"] => return Ok(Target::Catalog),
        [name @ .., "tags", "list"] => (name, What::Tags),
        [name @ .., "blobs", "uploads"] | [name @ .., "blobs", "uploads", ""] => (name, What::Uploads),
        [name @ .., "blobs", "uploads", id] => (name, What::Upload(id.parse().ok())),
        [name @ .., "blobs", digest] => (name, What::Blob(digest.parse().ok())),
        [name @ .., "manifests", reference] => (name, What::Manifest(reference.parse().ok())),
        [name @ .., "referrers", digest] => (name, What::Referrers(digest.parse().ok())),
        _ => return Err(Refusal::new(404, Code::Unsupported, "the Distribution specification has no such path")),
    };
    Ok(Target::Of(repository(&name.join("/"))?, what))
}

/// Parses the name of a repository.
///
/// # Errors
/// `NAME_INVALID`.
pub(super) fn repository(text: &str) -> Answer<RepositoryName> {
    text.parse().map_err(|error| Refusal::new(404, Code::NameInvalid, format!("{error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn of(name: &str, what: What) -> Target {
        Target::Of(name.parse().expect("a name"), what)
    }

    #[test]
    fn paths_are_told_apart_from_their_end() {
        let digest: Digest = format!("sha256:{HEX}").parse().expect("a digest");
        let id = "0a1b2c3d-0000-4000-8000-000000000000";
        for (path, expected) in [
            ("_catalog".to_owned(), Target::Catalog),
            ("a/tags/list".to_owned(), of("a", What::Tags)),
            ("a/b/c/manifests/v1".to_owned(), of("a/b/c", What::Manifest("v1".parse().ok()))),
            ("a/manifests/..".to_owned(), of("a", What::Manifest(None))),
            (format!("a/manifests/sha256:{HEX}"), of("a", What::Manifest(Some(Reference::Digest(digest))))),
            (format!("a/blobs/sha256%3A{HEX}"), of("a", What::Blob(Some(digest)))),
            (format!("a/blobs/sha512:{HEX}"), of("a", What::Blob(None))),
            ("a/blobs/uploads/".to_owned(), of("a", What::Uploads)),
            ("a/blobs/uploads".to_owned(), of("a", What::Uploads)),
            (format!("a/blobs/uploads/{id}"), of("a", What::Upload(id.parse().ok()))),
            ("a/blobs/uploads/..".to_owned(), of("a", What::Upload(None))),
            ("blobs/uploads/manifests/x".to_owned(), of("blobs/uploads", What::Manifest("x".parse().ok()))),
            (format!("tags/list/referrers/sha256:{HEX}"), of("tags/list", What::Referrers(Some(digest)))),
        ] {
            assert_eq!(parse(&format!("/v2/{path}")).expect(&path), expected, "{path}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for path in [
            "tags/list",
            "/tags/list",
            "A/tags/list",
            "_dede/manifests/x",
            "a//b/tags/list",
            "../tags/list",
            "%2e%2e/tags/list",
            "a%2Fb/tags/list",
            "a/%2e%2e/%2e%2e/b/tags/list",
            "a%252fb/tags/list",
            "a%00/tags/list",
            "a;b/tags/list",
            "a\\b/tags/list",
        ] {
            let refusal = parse(&format!("/v2/{path}")).expect_err(path);
            assert_eq!(refusal.code(), Code::NameInvalid, "{path}");
        }
        for path in ["", "a", "a/tags", "a/tags/list/", "a/manifests", "_dede/nosuch"] {
            assert_eq!(parse(&format!("/v2/{path}")).expect_err(path).code(), Code::Unsupported, "{path}");
        }
    }
}
