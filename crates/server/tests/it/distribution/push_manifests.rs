//! Pushing manifests.

use dede_bundle::Digest;
use serde_json::json;

use super::{IMAGE, INDEX, NOTHING, call, codes, descriptor, get, header, manifest, push, put_manifest, refusal};
use crate::server::Server;

#[test]
fn must_answer_a_pushed_manifest_with_201_and_a_location_to_pull_from() {
    let server = Server::start(&[]);
    let bytes = manifest(&server, "a", b"content").to_string();
    let digest = Digest::of(bytes.as_bytes()).to_string();
    for reference in ["v1", digest.as_str()] {
        let pushed = put_manifest(&server, "a", reference, bytes.as_bytes());
        assert_eq!(pushed.status, 201, "{pushed:?}");
        assert_eq!(get(&server, header(&pushed, "location")).body, bytes.as_bytes());
    }
}

#[test]
fn must_name_the_digest_that_a_manifest_was_pushed_under() {
    let server = Server::start(&[]);
    let bytes = manifest(&server, "a", b"content").to_string();
    let digest = Digest::of(bytes.as_bytes()).to_string();
    let pushed = put_manifest(&server, "a", &digest, bytes.as_bytes());
    assert_eq!(header(&pushed, "docker-content-digest"), digest);
    assert_eq!(refusal(&put_manifest(&server, "a", NOTHING, bytes.as_bytes())), "400 DIGEST_INVALID");
}

#[test]
fn must_store_a_manifest_byte_for_byte() {
    let server = Server::start(&[]);
    let plain = manifest(&server, "a", b"content");
    for text in [
        format!("{plain:#}"),
        format!(" \n{plain}\r\n\t"),
        plain.to_string().replacen('{', "{\"unknown\":[1e2,1.50,\"\\u00e9é\"],", 1),
    ] {
        assert_eq!(put_manifest(&server, "a", "v1", text.as_bytes()).status, 201);
        let pulled = get(&server, "/v2/a/manifests/v1");
        assert_eq!(String::from_utf8(pulled.body).unwrap(), text);
        assert_eq!(header(&pulled_head(&server), "docker-content-digest"), Digest::of(text.as_bytes()).to_string());
    }
}

fn pulled_head(server: &Server) -> dede_testing::http::Response {
    call(server, "HEAD", "/v2/a/manifests/v1", &[], b"")
}

#[test]
fn must_refuse_a_manifest_without_its_blobs_with_manifest_blob_unknown() {
    let server = Server::start(&[]);
    let mut broken = manifest(&server, "a", b"content");
    broken["layers"] = json!([descriptor("x/y", b"one that is missing"), descriptor("x/y", b"another")]);
    let answer = put_manifest(&server, "a", "v1", broken.to_string().as_bytes());
    assert_eq!(answer.status, 400);
    assert_eq!(codes(&answer), ["MANIFEST_BLOB_UNKNOWN", "MANIFEST_BLOB_UNKNOWN"]);
    let body = answer.json().unwrap();
    assert_eq!(body["errors"][1]["detail"], Digest::of(b"another").to_string());
    assert_eq!(get(&server, "/v2/a/manifests/v1").status, 404);
    // Content of another repository is no content of this one.
    super::push_blob(&server, "b", b"one that is missing");
    assert_eq!(codes(&put_manifest(&server, "a", "v1", broken.to_string().as_bytes())).len(), 2);
}

#[test]
fn must_accept_a_manifest_whose_subject_is_missing() {
    let server = Server::start(&[]);
    let mut artifact = manifest(&server, "a", b"content");
    artifact["subject"] = json!({"mediaType": IMAGE, "digest": NOTHING, "size": 5});
    assert_eq!(put_manifest(&server, "a", "v1", artifact.to_string().as_bytes()).status, 201);
}

#[test]
fn must_say_that_it_processed_a_subject() {
    let server = Server::start(&[]);
    let mut artifact = manifest(&server, "a", b"content");
    let without = put_manifest(&server, "a", "v1", artifact.to_string().as_bytes());
    assert_eq!(without.header("oci-subject"), None);
    artifact["subject"] = json!({"mediaType": IMAGE, "digest": NOTHING, "size": 5});
    let with = put_manifest(&server, "a", "v1", artifact.to_string().as_bytes());
    assert_eq!(header(&with, "oci-subject"), NOTHING);
}

#[test]
fn must_name_each_tag_that_was_pushed_with_a_digest() {
    let server = Server::start(&[]);
    let bytes = manifest(&server, "a", b"content").to_string();
    let tags: Vec<String> = (0..12).map(|index| format!("v{index}")).collect();
    let query = tags.iter().map(|tag| format!("tag={tag}")).collect::<Vec<_>>().join("&");
    let path = format!("/v2/a/manifests/{}?{query}", Digest::of(bytes.as_bytes()));
    let pushed = call(&server, "PUT", &path, &[("Content-Type", IMAGE)], bytes.as_bytes());
    let named = pushed.headers.iter().filter(|(name, _)| name == "oci-tag").map(|(_, tag)| tag);
    assert_eq!(named.collect::<Vec<_>>(), tags.iter().collect::<Vec<_>>());
    for tag in &tags {
        assert_eq!(get(&server, &format!("/v2/a/manifests/{tag}")).body, bytes.as_bytes(), "{tag}");
    }
    let many = (0..200).map(|index| format!("tag=v{index}")).collect::<Vec<_>>().join("&");
    let path = format!("/v2/a/manifests/{}?{many}", Digest::of(bytes.as_bytes()));
    assert_eq!(call(&server, "PUT", &path, &[("Content-Type", IMAGE)], bytes.as_bytes()).status, 414);
}

#[test]
fn four_megabytes_are_taken_and_more_is_413() {
    let server = Server::start(&[]);
    let mut large = manifest(&server, "a", b"content");
    let room = (4 << 20) - large.to_string().len() - r#","annotations":{"x":""}"#.len();
    large["annotations"] = json!({"x": "y".repeat(room)});
    assert_eq!(large.to_string().len(), 4 << 20);
    assert_eq!(put_manifest(&server, "a", "v1", large.to_string().as_bytes()).status, 201);
    let answer = put_manifest(&server, "a", "v1", format!("{large} ").as_bytes());
    assert_eq!(refusal(&answer), "413 MANIFEST_INVALID");
}

#[test]
fn indexes_are_stored_too_and_their_content_type_is_kept() {
    let server = Server::start(&[]);
    let (bytes, _) = push(&server, "a", "v1", b"content");
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(IMAGE, &bytes)]}).to_string();
    let sent = [("Content-Type", "application/vnd.oci.image.index.v1+json; charset=utf-8")];
    assert_eq!(call(&server, "PUT", "/v2/a/manifests/all", &sent, index.as_bytes()).status, 201);
    let pulled = get(&server, "/v2/a/manifests/all");
    assert_eq!((header(&pulled, "content-type"), pulled.body.as_slice()), (INDEX, index.as_bytes()));
    let other = call(&server, "GET", "/v2/a/manifests/all", &[("Accept", IMAGE)], b"");
    assert_eq!(refusal(&other), "404 MANIFEST_UNKNOWN");
}

#[test]
fn what_is_no_manifest_is_refused() {
    let server = Server::start(&[]);
    let good = manifest(&server, "a", b"content");
    for (content_type, body) in [
        (IMAGE, "{}".to_owned()),
        (IMAGE, "[".repeat(100_000)),
        (IMAGE, "no JSON".to_owned()),
        (INDEX, good.to_string()),
        ("application/json", good.to_string()),
        ("no type", good.to_string()),
    ] {
        let answer = call(&server, "PUT", "/v2/a/manifests/v1", &[("Content-Type", content_type)], body.as_bytes());
        assert_eq!(refusal(&answer), "400 MANIFEST_INVALID", "{content_type}");
    }
    let answer = put_manifest(&server, "a", "v1", b"\xff\xfe");
    assert_eq!(refusal(&answer), "400 MANIFEST_INVALID");
}
