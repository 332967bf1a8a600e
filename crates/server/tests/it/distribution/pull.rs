//! Pulling manifests and blobs, and asking whether they are there.

use super::{IMAGE, NOTHING, call, get, header, push, push_blob, refusal};
use crate::server::Server;

#[test]
fn the_registry_says_that_it_is_one() {
    let server = Server::start(&[]);
    let answer = get(&server, "/v2/");
    assert_eq!((answer.status, header(&answer, "docker-distribution-api-version")), (200, "registry/2.0"));
}

#[test]
fn must_accept_every_repository_name_of_the_grammar_and_no_other() {
    let server = Server::start(&[]);
    for name in ["a", "0", "a.b", "a_b", "a__b", "a---b", "a/b/c", "lib/dl4j-1.2/x_y"] {
        let (bytes, _) = push(&server, name, "v1", b"content");
        assert_eq!(get(&server, &format!("/v2/{name}/manifests/v1")).body, bytes, "{name}");
    }
    for name in ["A", "a..b", "a___b", "-a", "a-", "a/", "/a", "a//b", "_dede", "a:b", "%61b%2f", &"a".repeat(256)] {
        for path in ["manifests/v1", "blobs/x", "tags/list"] {
            let answer = get(&server, &format!("/v2/{name}/{path}"));
            assert_eq!(refusal(&answer), "404 NAME_INVALID", "{name} {path}");
        }
    }
}

#[test]
fn must_take_a_tag_or_a_digest_and_nothing_else_as_reference() {
    let server = Server::start(&[]);
    let longest = "x".repeat(128);
    for tag in ["v1", "_", "V1.0-a_b", &longest] {
        let (bytes, digest) = push(&server, "a", tag, b"content");
        for reference in [tag, &digest] {
            assert_eq!(get(&server, &format!("/v2/a/manifests/{reference}")).body, bytes, "{reference}");
        }
    }
    let too_long = "x".repeat(129);
    for reference in [".INVALID", "-v1", "sha256:00", "sha512:00", "md5:x", "v%201", &too_long] {
        let answer = get(&server, &format!("/v2/a/manifests/{reference}"));
        assert_eq!(refusal(&answer), "404 MANIFEST_UNKNOWN", "{reference}");
        let answer = super::put_manifest(&server, "a", reference, b"{}");
        assert_eq!(refusal(&answer), "400 MANIFEST_INVALID", "{reference}");
    }
}

#[test]
fn must_answer_an_existing_manifest_with_200_and_the_manifest() {
    let server = Server::start(&[]);
    let (bytes, digest) = push(&server, "a", "v1", b"content");
    for reference in ["v1", &digest] {
        for accept in [&[][..], &[("Accept", IMAGE)], &[("Accept", "*/*")]] {
            let answer = call(&server, "GET", &format!("/v2/a/manifests/{reference}"), accept, b"");
            assert_eq!((answer.status, &answer.body), (200, &bytes), "{reference} {accept:?}");
            assert_eq!(header(&answer, "content-type"), IMAGE);
        }
    }
}

#[test]
fn must_name_the_digest_of_a_manifest() {
    let server = Server::start(&[]);
    let (_, digest) = push(&server, "a", "v1", b"content");
    for method in ["GET", "HEAD"] {
        let answer = call(&server, method, "/v2/a/manifests/v1", &[], b"");
        assert_eq!(header(&answer, "docker-content-digest"), digest, "{method}");
    }
}

#[test]
fn must_answer_a_missing_manifest_with_404() {
    let server = Server::start(&[]);
    push(&server, "a", "v1", b"content");
    for reference in ["v2", NOTHING] {
        let answer = get(&server, &format!("/v2/a/manifests/{reference}"));
        assert_eq!(refusal(&answer), "404 MANIFEST_UNKNOWN", "{reference}");
        assert_eq!(call(&server, "HEAD", &format!("/v2/a/manifests/{reference}"), &[], b"").status, 404);
    }
}

#[test]
fn must_answer_the_pull_of_a_missing_repository_with_404() {
    let server = Server::start(&[]);
    for path in ["manifests/v1".to_owned(), format!("manifests/{NOTHING}"), format!("blobs/{NOTHING}")] {
        assert_eq!(refusal(&get(&server, &format!("/v2/nosuch/{path}"))), "404 NAME_UNKNOWN", "{path}");
    }
    assert_eq!(refusal(&get(&server, "/v2/nosuch/tags/list")), "404 NAME_UNKNOWN");
}

#[test]
fn must_answer_an_existing_blob_with_200_and_the_blob() {
    let server = Server::start(&[]);
    for content in [&b""[..], b"content", &vec![7; 3 << 20]] {
        let digest = push_blob(&server, "a", content);
        let answer = get(&server, &format!("/v2/a/blobs/{digest}"));
        assert_eq!(answer.status, 200);
        assert!(answer.body == content, "{} bytes", content.len());
    }
}

#[test]
fn must_name_the_digest_of_a_blob_and_it_must_match_the_body() {
    let server = Server::start(&[]);
    let digest = push_blob(&server, "a", b"content");
    for method in ["GET", "HEAD"] {
        let answer = call(&server, method, &format!("/v2/a/blobs/{digest}"), &[], b"");
        assert_eq!(header(&answer, "docker-content-digest"), digest, "{method}");
    }
    assert_eq!(dede_bundle::Digest::of(&get(&server, &format!("/v2/a/blobs/{digest}")).body).to_string(), digest);
}

#[test]
fn must_answer_a_missing_blob_with_404() {
    let server = Server::start(&[]);
    push_blob(&server, "a", b"content");
    let of_another = push_blob(&server, "b", b"another");
    for digest in [NOTHING, of_another.as_str(), "sha512:00", "x", ".."] {
        assert_eq!(refusal(&get(&server, &format!("/v2/a/blobs/{digest}"))), "404 BLOB_UNKNOWN", "{digest}");
        assert_eq!(call(&server, "HEAD", &format!("/v2/a/blobs/{digest}"), &[], b"").status, 404, "{digest}");
    }
}

#[test]
fn must_answer_head_with_200_digest_and_length() {
    let server = Server::start(&[]);
    let (bytes, digest) = push(&server, "a", "v1", b"content");
    let blob = push_blob(&server, "a", b"content");
    for (path, length, digest) in [
        ("manifests/v1".to_owned(), bytes.len(), &digest),
        (format!("manifests/{digest}"), bytes.len(), &digest),
        (format!("blobs/{blob}"), 7, &blob),
    ] {
        let answer = call(&server, "HEAD", &format!("/v2/a/{path}"), &[], b"");
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(header(&answer, "docker-content-digest"), digest, "{path}");
        assert_eq!(header(&answer, "content-length"), length.to_string(), "{path}");
        assert!(answer.body.is_empty());
    }
}

#[test]
fn ranges_of_blobs_are_sent_alone() {
    let server = Server::start(&[]);
    let path = format!("/v2/a/blobs/{}", push_blob(&server, "a", b"0123456789"));
    for (range, status, body, place) in [
        ("bytes=2-4", 206, "234", Some("bytes 2-4/10")),
        ("bytes=7-", 206, "789", Some("bytes 7-9/10")),
        ("bytes=-2", 206, "89", Some("bytes 8-9/10")),
        ("bytes=0-99", 206, "0123456789", Some("bytes 0-9/10")),
        ("bytes=0-1,4-5", 200, "0123456789", None),
        ("nonsense", 200, "0123456789", None),
    ] {
        let answer = call(&server, "GET", &path, &[("Range", range)], b"");
        assert_eq!((answer.status, answer.body.as_slice()), (status, body.as_bytes()), "{range}");
        assert_eq!(answer.header("content-range"), place, "{range}");
        assert_eq!(header(&answer, "accept-ranges"), "bytes");
    }
    let outside = call(&server, "GET", &path, &[("Range", "bytes=10-")], b"");
    assert_eq!((outside.status, header(&outside, "content-range")), (416, "bytes */10"));
    assert_eq!(refusal(&outside), "416 UNSUPPORTED");
    let changed = call(&server, "GET", &path, &[("Range", "bytes=2-4"), ("If-Range", "\"other\"")], b"");
    assert_eq!(changed.status, 200);
}

#[test]
fn clients_that_take_compressed_answers_get_blobs_and_manifests_as_they_are() {
    let server = Server::start(&[]);
    let (bytes, _) = push(&server, "a", "v1", &vec![b' '; 1 << 20]);
    let blob = push_blob(&server, "a", &vec![b' '; 1 << 20]);
    for (path, length) in [("/v2/a/manifests/v1".to_owned(), bytes.len()), (format!("/v2/a/blobs/{blob}"), 1 << 20)] {
        let answer = call(&server, "GET", &path, &[("Accept-Encoding", "gzip")], b"");
        assert_eq!((answer.header("content-encoding"), answer.body.len()), (None, length), "{path}");
    }
}
