//! Pushing a blob in chunks, and going on with it.

use dede_bundle::Digest;
use dede_testing::http::Response;

use super::{NOTHING, begin, call, get, header, refusal};
use crate::server::Server;

fn patch(server: &Server, location: &str, range: &str, chunk: &[u8]) -> Response {
    let headers = [("Content-Type", "application/octet-stream"), ("Content-Range", range)];
    call(server, "PATCH", location, &headers, chunk)
}

#[test]
fn must_answer_a_chunk_with_202_location_and_range() {
    let server = Server::start(&[]);
    let location = begin(&server, "a");
    let first = patch(&server, &location, "0-3", b"0123");
    assert_eq!((first.status, header(&first, "range")), (202, "0-3"));
    let second = patch(&server, header(&first, "location"), "4-9", b"456789");
    assert_eq!((second.status, header(&second, "range")), (202, "0-9"));
    assert!(header(&second, "location").starts_with("/v2/a/blobs/uploads/"));
}

#[test]
fn must_close_a_session_with_201_and_a_location_to_pull_from() {
    let server = Server::start(&[]);
    for last_in_put in [false, true] {
        let (content, location) = (b"0123456789", begin(&server, "a"));
        patch(&server, &location, "0-3", &content[..4]);
        let digest = Digest::of(content);
        let path = format!("{location}?digest={digest}");
        let done = if last_in_put {
            call(&server, "PUT", &path, &[("Content-Range", "4-9")], &content[4..])
        } else {
            patch(&server, &location, "4-9", &content[4..]);
            call(&server, "PUT", &path, &[], b"")
        };
        assert_eq!(done.status, 201, "{done:?}");
        assert_eq!(header(&done, "docker-content-digest"), digest.to_string());
        assert_eq!(get(&server, header(&done, "location")).body, content);
        assert_eq!(get(&server, &location).status, 404, "the session is over");
    }
}

#[test]
fn must_refuse_a_chunk_out_of_order_with_416() {
    let server = Server::start(&[]);
    let location = begin(&server, "a");
    for (range, chunk) in [("1-3", &b"123"[..]), ("4-5", b"45")] {
        assert_eq!(refusal(&patch(&server, &location, range, chunk)), "416 BLOB_UPLOAD_INVALID", "{range}");
    }
    patch(&server, &location, "0-3", b"0123");
    for (range, chunk) in [("0-3", &b"0123"[..]), ("5-6", b"56"), ("3-4", b"34")] {
        let answer = patch(&server, &location, range, chunk);
        assert_eq!(refusal(&answer), "416 BLOB_UPLOAD_INVALID", "{range}");
        assert_eq!((header(&answer, "range"), header(&answer, "location")), ("0-3", location.as_str()));
    }
    assert_eq!(patch(&server, &location, "4-5", b"45").status, 202);
}

#[test]
fn must_refuse_a_final_chunk_out_of_order_with_416() {
    let server = Server::start(&[]);
    let location = begin(&server, "a");
    patch(&server, &location, "0-3", b"0123");
    let path = format!("{location}?digest={}", Digest::of(b"0123456"));
    let answer = call(&server, "PUT", &path, &[("Content-Range", "5-6")], b"56");
    assert_eq!(refusal(&answer), "416 BLOB_UPLOAD_INVALID");
    assert_eq!(call(&server, "PUT", &path, &[("Content-Range", "4-6")], b"456").status, 201);
}

#[test]
fn chunk_ranges_must_be_inclusive_numbers_that_match_the_chunk() {
    let server = Server::start(&[]);
    let location = begin(&server, "a");
    for range in ["0-4", "0-2", "bytes=0-3", "bytes 0-3/4", "3-0", "0", "a-b", "0-99999999999999999999"] {
        assert_eq!(refusal(&patch(&server, &location, range, b"0123")), "400 BLOB_UPLOAD_INVALID", "{range}");
    }
    assert_eq!(header(&get(&server, &location), "range"), "0-0", "nothing was kept");
}

#[test]
fn must_answer_the_status_of_a_session_with_204_location_and_range() {
    let server = Server::start(&[]);
    let location = begin(&server, "a");
    patch(&server, &location, "0-3", b"0123");
    let status = get(&server, &location);
    assert_eq!((status.status, header(&status, "range")), (204, "0-3"));
    assert_eq!(header(&status, "location"), location);
}

#[test]
fn a_session_goes_on_after_a_restart() {
    let server = Server::start(&[]);
    let location = begin(&server, "a");
    patch(&server, &location, "0-3", b"0123");
    let server = server.kill_and_restart();
    assert_eq!(header(&get(&server, &location), "range"), "0-3");
    let path = format!("{location}?digest={}", Digest::of(b"0123456"));
    assert_eq!(call(&server, "PUT", &path, &[("Content-Range", "4-6")], b"456").status, 201);
}

#[test]
fn a_session_can_be_cancelled() {
    let server = Server::start(&[]);
    let location = begin(&server, "a");
    assert_eq!(call(&server, "DELETE", &location, &[], b"").status, 204);
    for (method, path) in [
        ("GET", location.clone()),
        ("PATCH", location.clone()),
        ("DELETE", location.clone()),
        ("PUT", format!("{location}?digest={NOTHING}")),
        ("PATCH", "/v2/a/blobs/uploads/../../x".to_owned()),
        ("GET", "/v2/a/blobs/uploads/x".to_owned()),
    ] {
        let answer = call(&server, method, &path, &[], b"x");
        if path.contains("..") {
            assert_eq!(answer.status, 404, "{method} {path}");
        } else {
            assert_eq!(refusal(&answer), "404 BLOB_UPLOAD_UNKNOWN", "{method} {path}");
        }
    }
}

#[test]
fn a_body_without_a_length_streams() {
    let server = Server::start(&[]);
    let location = begin(&server, "a");
    let request = format!(
        "PATCH {location} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n3\r\n456\r\n0\r\n\r\n"
    );
    let answer = server.connect().exchange(request.as_bytes()).unwrap();
    assert_eq!((answer.status, header(&answer, "range")), (202, "0-6"));
}
