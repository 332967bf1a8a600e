//! Deleting tags, manifests and blobs.

use super::{NOTHING, call, get, push, push_blob, refusal};
use crate::server::Server;

fn delete(server: &Server, path: &str) -> dede_testing::http::Response {
    call(server, "DELETE", path, &[], b"")
}

#[test]
fn must_answer_a_deleted_tag_with_202_and_it_is_gone() {
    let server = Server::start(&[]);
    let (_, digest) = push(&server, "a", "v1", b"content");
    assert_eq!(delete(&server, "/v2/a/manifests/v1").status, 202);
    assert_eq!(get(&server, "/v2/a/manifests/v1").status, 404);
    assert_eq!(get(&server, &format!("/v2/a/manifests/{digest}")).status, 200, "the manifest stays");
    assert_eq!(refusal(&delete(&server, "/v2/a/manifests/v1")), "404 MANIFEST_UNKNOWN");
}

#[test]
fn must_answer_a_deleted_manifest_with_202_and_it_is_gone_with_its_tags() {
    let server = Server::start(&[]);
    let (bytes, digest) = push(&server, "a", "v1", b"content");
    super::put_manifest(&server, "a", "v2", &bytes);
    push(&server, "a", "other", b"other");
    assert_eq!(delete(&server, &format!("/v2/a/manifests/{digest}")).status, 202);
    for reference in ["v1", "v2", &digest] {
        assert_eq!(get(&server, &format!("/v2/a/manifests/{reference}")).status, 404, "{reference}");
    }
    assert_eq!(get(&server, "/v2/a/manifests/other").status, 200);
}

#[test]
fn must_answer_404_when_the_repository_of_a_deleted_manifest_is_missing() {
    let server = Server::start(&[]);
    for reference in ["v1", NOTHING] {
        assert_eq!(refusal(&delete(&server, &format!("/v2/nosuch/manifests/{reference}"))), "404 NAME_UNKNOWN");
    }
}

#[test]
fn must_answer_a_deleted_blob_with_202_and_it_is_gone() {
    let server = Server::start(&[]);
    let digest = push_blob(&server, "a", b"content");
    push_blob(&server, "b", b"content");
    assert_eq!(delete(&server, &format!("/v2/a/blobs/{digest}")).status, 202);
    assert_eq!(get(&server, &format!("/v2/a/blobs/{digest}")).status, 404);
    assert_eq!(get(&server, &format!("/v2/b/blobs/{digest}")).body, b"content", "another repository keeps it");
}

#[test]
fn must_answer_404_for_a_missing_blob_to_delete() {
    let server = Server::start(&[]);
    push_blob(&server, "a", b"content");
    for digest in [NOTHING, "x", "sha512:00"] {
        assert_eq!(refusal(&delete(&server, &format!("/v2/a/blobs/{digest}"))), "404 BLOB_UNKNOWN", "{digest}");
    }
}

#[test]
fn must_answer_405_where_deleting_is_refused() {
    let server = Server::start(&[]);
    let (_, manifest) = push(&server, "a", "v1", b"content");
    let blob = push_blob(&server, "a", b"content");
    assert_eq!(refusal(&delete(&server, &format!("/v2/a/blobs/{blob}"))), "405 UNSUPPORTED", "a manifest needs it");
    assert_eq!(delete(&server, &format!("/v2/a/manifests/{manifest}")).status, 202);
    assert_eq!(delete(&server, &format!("/v2/a/blobs/{blob}")).status, 202);
    // What a service shows is read-only.
    super::services::create(&server, "iris");
    for path in ["manifests/latest".to_owned(), format!("manifests/{manifest}"), format!("blobs/{blob}")] {
        assert_eq!(refusal(&delete(&server, &format!("/v2/iris/{path}"))), "405 UNSUPPORTED", "{path}");
    }
}

#[test]
fn what_was_pushed_and_deleted_survives_a_restart() {
    let server = Server::start(&[]);
    let (bytes, _) = push(&server, "a", "v1", b"content");
    push(&server, "a", "v2", b"other");
    delete(&server, "/v2/a/manifests/v2");
    let server = server.kill_and_restart();
    assert_eq!(get(&server, "/v2/a/manifests/v1").body, bytes);
    assert_eq!(get(&server, "/v2/a/manifests/v2").status, 404);
}
