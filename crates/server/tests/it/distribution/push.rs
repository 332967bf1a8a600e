//! Pushing blobs: in one request, in two, or by mounting.

use dede_bundle::Digest;

use super::{NOTHING, begin, call, get, header, push_blob, refusal};
use crate::server::Server;

#[test]
fn must_begin_a_session_with_202_and_a_location_with_a_uuid() {
    let server = Server::start(&[]);
    let location = begin(&server, "models/a");
    let id = location.strip_prefix("/v2/models/a/blobs/uploads/").expect("in the same repository");
    let lengths: Vec<usize> = id.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
    assert!(id.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()));
    assert_ne!(begin(&server, "models/a"), location, "unique");
}

#[test]
fn must_finish_a_put_with_201_and_a_location_to_pull_from() {
    let server = Server::start(&[]);
    let (content, location) = (b"content", begin(&server, "a"));
    let path = format!("{location}?digest={}", Digest::of(content));
    let done = call(&server, "PUT", &path, &[("Content-Type", "application/octet-stream")], content);
    assert_eq!(done.status, 201, "{done:?}");
    assert_eq!(header(&done, "docker-content-digest"), Digest::of(content).to_string());
    assert_eq!(get(&server, header(&done, "location")).body, content);
}

#[test]
fn must_finish_a_single_post_with_201_and_a_location_to_pull_from() {
    let server = Server::start(&[]);
    let content = b"content";
    let path = format!("/v2/a/blobs/uploads/?digest={}", Digest::of(content));
    let done = call(&server, "POST", &path, &[("Content-Type", "application/octet-stream")], content);
    assert_eq!(done.status, 201, "{done:?}");
    assert_eq!(get(&server, header(&done, "location")).body, content);
}

#[test]
fn must_match_the_digest_of_a_single_post_and_keep_nothing_else() {
    let server = Server::start(&[]);
    // A digest that is known elsewhere gives no access to its content either.
    let known = push_blob(&server, "b", b"secret");
    for digest in [NOTHING, &known] {
        let answer = call(&server, "POST", &format!("/v2/a/blobs/uploads/?digest={digest}"), &[], b"content");
        assert_eq!(refusal(&answer), "400 DIGEST_INVALID", "{digest}");
        assert_eq!(get(&server, &format!("/v2/a/blobs/{digest}")).status, 404, "{digest}");
    }
    let uploads = server.path().join("state/blobs/uploads");
    assert_eq!(std::fs::read_dir(uploads).unwrap().count(), 0);
}

#[test]
fn a_wrong_digest_is_refused_and_the_session_goes_on() {
    let server = Server::start(&[]);
    let location = begin(&server, "a");
    let wrong = call(&server, "PUT", &format!("{location}?digest={NOTHING}"), &[], b"content");
    assert_eq!(refusal(&wrong), "400 DIGEST_INVALID");
    assert_eq!(get(&server, &format!("/v2/a/blobs/{NOTHING}")).status, 404);
    let right = call(&server, "PUT", &format!("{location}?digest={}", Digest::of(b"content")), &[], b"");
    assert_eq!(right.status, 201, "{right:?}");
}

#[test]
fn invalid_digests_and_other_algorithms_are_refused() {
    let server = Server::start(&[]);
    let location = begin(&server, "a");
    let sha512 = format!("sha512:{}", "0".repeat(128));
    for digest in ["", "x", "sha256:00", &sha512, "../../x"] {
        for (method, path) in [
            ("PUT", format!("{location}?digest={digest}")),
            ("POST", format!("/v2/a/blobs/uploads/?digest={digest}")),
            ("POST", format!("/v2/a/blobs/uploads/?mount={digest}&from=b")),
        ] {
            assert_eq!(refusal(&call(&server, method, &path, &[], b"x")), "400 DIGEST_INVALID", "{method} {path}");
        }
    }
    assert_eq!(refusal(&call(&server, "PUT", &location, &[], b"x")), "400 DIGEST_INVALID", "none at all");
    let other = call(&server, "POST", "/v2/a/blobs/uploads/?digest-algorithm=sha512", &[], b"");
    assert_eq!(refusal(&other), "400 DIGEST_INVALID");
}

#[test]
fn must_mount_with_201_and_a_location_to_pull_from() {
    let server = Server::start(&[]);
    let digest = push_blob(&server, "lib/a", b"content");
    let mounted = call(&server, "POST", &format!("/v2/b/blobs/uploads/?mount={digest}&from=lib/a"), &[], b"");
    assert_eq!(mounted.status, 201, "{mounted:?}");
    assert_eq!(header(&mounted, "docker-content-digest"), digest);
    assert_eq!(header(&mounted, "location"), format!("/v2/b/blobs/{digest}"));
    assert_eq!(get(&server, header(&mounted, "location")).body, b"content");
}

#[test]
fn what_cannot_be_mounted_begins_a_session() {
    let server = Server::start(&[]);
    push_blob(&server, "a", b"content");
    let hidden = push_blob(&server, "c", b"hidden");
    for query in [
        format!("mount={NOTHING}&from=a"),
        format!("mount={NOTHING}&from=nosuch"),
        format!("mount={hidden}&from=a"),
        format!("mount={hidden}&from=../c"),
        format!("mount={hidden}"),
    ] {
        let answer = call(&server, "POST", &format!("/v2/b/blobs/uploads/?{query}"), &[], b"");
        assert_eq!(answer.status, 202, "{query}");
        assert!(header(&answer, "location").starts_with("/v2/b/blobs/uploads/"), "{query}");
        assert_eq!(get(&server, &format!("/v2/b/blobs/{hidden}")).status, 404, "{query}");
    }
}
