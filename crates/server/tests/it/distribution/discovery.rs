//! Lists of tags and of repositories.

use serde_json::json;

use super::{codes, get, header, push, put_manifest, refusal};
use crate::server::Server;

/// A server with a repository `lib/a` that has these tags.
fn with_tags(tags: &[&str]) -> Server {
    let server = Server::start(&[]);
    let (bytes, _) = push(&server, "lib/a", tags[0], b"content");
    for tag in tags {
        assert_eq!(put_manifest(&server, "lib/a", tag, &bytes).status, 201);
    }
    server
}

#[test]
fn must_list_tags_with_200_in_the_given_form_and_in_order() {
    let server = with_tags(&["v10", "b", "v9", "A", "_x", "a", "B"]);
    let answer = get(&server, "/v2/lib/a/tags/list");
    assert_eq!(answer.status, 200);
    let expected = json!({"name": "lib/a", "tags": ["_x", "A", "a", "B", "b", "v10", "v9"]});
    assert_eq!(answer.json().unwrap(), expected);
    assert_eq!(answer.header("link"), None);
}

#[test]
fn a_repository_without_tags_has_an_empty_list() {
    let server = Server::start(&[]);
    let (_, digest) = push(&server, "a", "v1", b"content");
    assert_eq!(super::call(&server, "DELETE", "/v2/a/manifests/v1", &[], b"").status, 202);
    assert_eq!(get(&server, "/v2/a/tags/list").json().unwrap(), json!({"name": "a", "tags": []}));
    assert_eq!(get(&server, &format!("/v2/a/manifests/{digest}")).status, 200);
}

#[test]
fn must_list_as_many_tags_as_asked_for_and_link_to_the_rest() {
    let server = with_tags(&["a", "b", "c", "d", "e"]);
    let mut path = "/v2/lib/a/tags/list?n=2".to_owned();
    for (expected, more) in [(json!(["a", "b"]), true), (json!(["c", "d"]), true), (json!(["e"]), false)] {
        let answer = get(&server, &path);
        assert_eq!(answer.json().unwrap()["tags"], expected);
        assert_eq!(answer.header("link").is_some(), more, "{expected}");
        if more {
            // RFC 5988.
            let link = header(&answer, "link");
            let (target, relation) = link.split_once(">; ").expect("a link");
            assert_eq!(relation, "rel=\"next\"");
            path = target.strip_prefix('<').expect("a link").to_owned();
        }
    }
    let all = get(&server, "/v2/lib/a/tags/list?n=5");
    assert_eq!((all.json().unwrap()["tags"].as_array().unwrap().len(), all.header("link")), (5, None));
}

#[test]
fn must_list_no_tags_and_no_link_for_zero() {
    let server = with_tags(&["a", "b"]);
    for query in ["n=0", "n=0&last=a"] {
        let answer = get(&server, &format!("/v2/lib/a/tags/list?{query}"));
        assert_eq!((answer.status, answer.header("link")), (200, None));
        assert_eq!(answer.json().unwrap()["tags"], json!([]));
    }
}

#[test]
fn must_list_the_tags_after_the_last_one_in_order() {
    let server = with_tags(&["a", "b", "c", "d"]);
    for (query, expected) in [
        ("n=2&last=a", json!(["b", "c"])),
        ("last=b", json!(["c", "d"])),
        ("last=bb", json!(["c", "d"])),
        ("n=9&last=d", json!([])),
        ("last=BB", json!(["c", "d"])),
        ("n=1&last=B", json!(["b"])),
    ] {
        assert_eq!(get(&server, &format!("/v2/lib/a/tags/list?{query}")).json().unwrap()["tags"], expected, "{query}");
    }
    for n in ["-1", "x", "99999999999999999999"] {
        assert_eq!(refusal(&get(&server, &format!("/v2/lib/a/tags/list?n={n}"))), "400 UNSUPPORTED", "{n}");
    }
}

#[test]
fn repositories_are_listed() {
    let server = Server::start(&[]);
    for name in ["b", "a/c", "a"] {
        push(&server, name, "v1", b"content");
    }
    assert_eq!(get(&server, "/v2/_catalog").json().unwrap(), json!({"repositories": ["a", "a/c", "b"]}));
    let page = get(&server, "/v2/_catalog?n=2");
    assert_eq!(page.json().unwrap(), json!({"repositories": ["a", "a/c"]}));
    assert_eq!(header(&page, "link"), "</v2/_catalog?n=2&last=a/c>; rel=\"next\"");
}

#[test]
fn must_have_errors_of_the_given_form_for_every_4xx() {
    let server = Server::start(&[]);
    push(&server, "a", "v1", b"content");
    for (method, path, expected) in [
        ("GET", "/v2", 404),
        ("GET", "/v2/a", 404),
        ("GET", "/v2/a/nosuch", 404),
        ("GET", "/v2/_dede2/x/y", 404),
        ("POST", "/v2/", 405),
        ("POST", "/v2/a/tags/list", 405),
        ("PUT", "/v2/a/referrers/x", 405),
        ("PATCH", "/v2/a/manifests/v1", 405),
        ("PUT", "/v2/a/blobs/x", 405),
        ("GET", "/v2/a/blobs/uploads/", 405),
        ("DELETE", "/v2/_catalog", 405),
        ("PROPFIND", "/v2/a/tags/list", 405),
        ("GET", "/v2/a/manifests/v2", 404),
    ] {
        let answer = super::call(&server, method, path, &[], b"");
        assert_eq!(answer.status, expected, "{method} {path}");
        codes(&answer);
        assert_eq!(header(&answer, "content-type"), "application/json");
    }
}
