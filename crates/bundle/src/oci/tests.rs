//! Names, descriptors and manifests: what the specification allows, and what is refused.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::digest::Digest;

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(content), "size": content.len()})
}

fn image() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MediaType::IMAGE_MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", b"c"),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", b"l")],
    })
}

fn with(mut document: Value, member: &str, value: Value) -> Value {
    document[member] = value;
    document
}

fn parse(document: &Value) -> Result<(MediaType, Manifest), InvalidManifest> {
    Manifest::parse(None, document.to_string().as_bytes())
}

#[test]
fn repository_names() {
    for name in ["a", "service1", "a/b/c", "a.b", "a_b", "a__b", "a---b", "0/9", "a-b.c_d__e/f", &"a".repeat(255)] {
        assert!(name.parse::<RepositoryName>().is_ok(), "{name:?}");
    }
    let too_long = "a".repeat(256);
    let names = [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        "A",
        "a b",
        "a..b",
        "a___b",
        "a._b",
        "-a",
        "a-",
        ".a",
        "a.",
        "../a",
        "a/../b",
        "a/./b",
        "a\\b",
        "a%2fb",
        "ä",
        "a\0",
        "a\n",
        "_index.json",
        "a/_b",
        &too_long,
    ];
    for name in names {
        assert!(name.parse::<RepositoryName>().is_err(), "{name:?}");
    }
}

#[test]
fn tags_and_references() {
    for tag in ["latest", "_", "1.0", "A-b_c.d", &"x".repeat(128)] {
        assert_eq!(tag.parse::<Reference>().unwrap(), Reference::Tag(tag.parse().unwrap()));
    }
    let digest = Digest::of(b"x");
    assert_eq!(digest.to_string().parse::<Reference>().unwrap(), Reference::Digest(digest));
    let too_long = "x".repeat(129);
    let upper = digest.to_string().to_uppercase();
    for text in ["", ".a", "-a", "a/b", "..", "a b", "ä", "sha256:", "sha256:00", "md5:00", "a:b", &too_long, &upper] {
        assert!(text.parse::<Reference>().is_err(), "{text:?}");
    }
}

#[test]
fn media_types() {
    for text in [MediaType::IMAGE_MANIFEST, MediaType::EMPTY, "a/b", "application/vnd.cncf.model.weight.v1.tar+gzip"] {
        assert!(text.parse::<MediaType>().is_ok(), "{text}");
    }
    for text in ["", "a", "a/", "/b", "a/b; q=1", "a/b/c", "a /b", ".a/b", "a/b\n", &format!("a/{}", "b".repeat(128))] {
        assert!(text.parse::<MediaType>().is_err(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn the_grammar_of_repository_names_is_the_specifications(
        name in r"[a-z0-9]{1,4}((\.|_|__|-{1,3})[a-z0-9]{1,4}){0,3}(/[a-z0-9]{1,4}((\.|_|__|-{1,3})[a-z0-9]{1,4}){0,3}){0,3}",
        tag in "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}",
    ) {
        prop_assert!(name.parse::<RepositoryName>().is_ok());
        prop_assert!(tag.parse::<Tag>().is_ok());
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Manifest::parse(None, &bytes);
    }
}

#[test]
fn manifests_are_told_apart_and_unknown_members_ignored() {
    let unknown = with(with(image(), "future", json!({"x": [1]})), "annotations", json!({"k": "v"}));
    let (media_type, manifest) = parse(&unknown).unwrap();
    assert_eq!(media_type.as_str(), MediaType::IMAGE_MANIFEST);
    assert_eq!(contents(&manifest), [Digest::of(b"c"), Digest::of(b"l")]);
    assert_eq!(manifest.annotations()["k"], "v");
    assert_eq!(manifest.subject(), None);
    assert_eq!(
        manifest.effective_artifact_type().unwrap().as_str(),
        "application/vnd.oci.image.config.v1+json",
        "falls back to the configuration's type"
    );

    let subject = descriptor(MediaType::IMAGE_MANIFEST, b"s");
    let index =
        json!({"schemaVersion": 2, "manifests": [descriptor(MediaType::IMAGE_MANIFEST, b"m")], "subject": subject});
    let (media_type, manifest) = parse(&index).unwrap();
    assert_eq!(media_type.as_str(), MediaType::IMAGE_INDEX);
    let subject = manifest.subject().map(|subject| subject.digest);
    assert_eq!((contents(&manifest), subject), (vec![Digest::of(b"m")], Some(Digest::of(b"s"))));
    assert_eq!(manifest.effective_artifact_type(), None);

    let docker = with(image(), "mediaType", json!(MediaType::DOCKER_MANIFEST));
    assert!(matches!(parse(&docker).unwrap().1, Manifest::Image(_)));
    assert!(parse(&with(image(), "annotations", Value::Null)).is_ok());
    assert!(parse(&with(image(), "artifactType", json!(""))).is_ok());
}

#[test]
fn manifests_that_contradict_something_are_refused() {
    let empty_config = with(image(), "config", descriptor(MediaType::EMPTY, b"{}"));
    let huge = json!({"mediaType": "a/b", "digest": Digest::of(b""), "size": u64::MAX});
    let cases = [
        (json!([]), "invalid"),
        (json!({}), "schemaVersion"),
        (with(image(), "schemaVersion", json!(1)), "schemaVersion 2 expected, found 1"),
        (with(image(), "mediaType", json!("text/plain")), "text/plain"),
        (with(image(), "manifests", json!([])), "found both"),
        (with(image(), "config", Value::Null), "expected struct Descriptor"),
        (with(image(), "layers", json!([{"mediaType": "a/b", "digest": "md5:0", "size": 1}])), "not a digest"),
        (with(image(), "layers", json!([{"mediaType": "a/b", "digest": Digest::of(b""), "size": -1}])), "-1"),
        (with(image(), "layers", json!([huge])), "at most"),
        (with(image(), "annotations", json!({"k": 1})), "string"),
        (with(image(), "artifactType", json!("x")), "media type"),
        (empty_config, "artifactType expected"),
    ];
    for (document, reason) in cases {
        let error = parse(&document).unwrap_err().to_string();
        assert!(error.contains(reason), "{document}: {error}");
    }
    let index: MediaType = MediaType::IMAGE_INDEX.parse().unwrap();
    let error = Manifest::parse(Some(&index), image().to_string().as_bytes()).unwrap_err();
    assert!(error.to_string().contains("sent as"), "{error}");
}

#[test]
fn size_and_depth_are_bounded() {
    let large = with(image(), "annotations", json!({"k": "x".repeat(MANIFEST_LIMIT as usize)}));
    assert!(matches!(parse(&large), Err(InvalidManifest::TooLarge(_))));
    let deep = format!("{{\"schemaVersion\":2,\"future\":{}", "[".repeat(100_000));
    assert!(matches!(Manifest::parse(None, deep.as_bytes()), Err(InvalidManifest::Json(_))));
}

#[test]
fn an_artifact_prints_the_same_bytes_and_parses_back() {
    let kind: MediaType = "application/vnd.example+type".parse().unwrap();
    let empty: MediaType = MediaType::EMPTY.parse().unwrap();
    let mut artifact = ImageManifest::artifact(kind.clone(), Descriptor::of(empty.clone(), b"{}"), vec![]);
    artifact.annotations.insert("b".into(), "2".into());
    artifact.annotations.insert("a".into(), "1".into());
    let bytes = artifact.to_bytes();
    assert_eq!(artifact.to_bytes(), bytes);
    let (_, parsed) = Manifest::parse(None, &bytes).unwrap();
    assert_eq!(parsed.effective_artifact_type(), Some(&kind));
    assert_eq!(parsed, Manifest::Image(Box::new(artifact)));
}

fn contents(manifest: &Manifest) -> Vec<Digest> {
    manifest.contents().map(|content| content.digest).collect()
}

#[test]
fn embedded_content_is_the_content_or_refused() {
    let parse = |data: Value| {
        let descriptor = json!({"mediaType": "application/x", "digest": Digest::of(b"abc"), "size": 3, "data": data});
        let config = json!({"mediaType": "application/x", "digest": Digest::of(b"abc"), "size": 3});
        let documents = [
            json!({"schemaVersion": 2, "config": descriptor, "layers": []}),
            json!({"schemaVersion": 2, "config": config, "layers": [descriptor]}),
            json!({"schemaVersion": 2, "config": config, "layers": [], "subject": descriptor}),
            json!({"schemaVersion": 2, "manifests": [descriptor]}),
        ];
        documents.map(|document| Manifest::parse(None, document.to_string().as_bytes()).map_err(|e| e.to_string()))
    };
    for good in [json!("YWJj"), Value::Null] {
        assert!(parse(good.clone()).iter().all(Result::is_ok), "{good}");
    }
    for (bad, expected) in [
        (json!("!!!"), "base64 expected"),
        (json!("YWJj\n"), "base64 expected"),
        (json!("YWJ"), "base64 expected"),
        (json!("YWJj===="), "base64 expected"),
        (json!("YW_-"), "base64 expected"),
        (json!("YWJk"), "content of that digest expected"),
        (json!("YWI="), "3 bytes expected, found 2"),
        (json!(""), "3 bytes expected, found 0"),
        (json!(3), "expected a string"),
    ] {
        for parsed in parse(bad.clone()) {
            let error = parsed.expect_err("bad data");
            assert!(error.contains(expected), "{bad}: {error}");
        }
    }
}
