//! What strangers and hostile clients must not achieve; the numbers are the cases of part (c) of the reference on other servers.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use dede_bundle::Digest;
use serde_json::json;

use super::{IMAGE, NOTHING, begin, call, get, header, push, push_blob, put_manifest, refusal};
use crate::server::{Server, eventually};

/// Names and digests that would be paths if they were used as such, decoded twice, or cut somewhere.
const ESCAPES: &[&str] = &[
    "..",
    "../..",
    "%2e%2e",
    "%2e%2e%2f%2e%2e",
    "%252e%252e%252f",
    "..%5c..",
    "%2fetc%2fpasswd",
    "a%00b",
    "a;b",
    "a%3fb",
    "a%23b",
    "sha256:../../../../etc/passwd",
    "sha256:%2e%2e%2f%2e%2e%2fstate.json",
    "sha256%3a..",
    "_uploads",
    "_index.json",
];

/// Files below a directory, and the sum of their sizes.
fn files(directory: &std::path::Path) -> Vec<(std::path::PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.append(&mut files(&path)),
            false => found.push((path.clone(), path.metadata().unwrap().len())),
        }
    }
    found.sort();
    found
}

#[test]
fn cases_15_17_and_24_no_name_digest_or_id_becomes_a_path() {
    let server = Server::start(&[]);
    push(&server, "a", "v1", b"content");
    let state = server.path().join("state");
    let before = files(&state);
    for escape in ESCAPES {
        for (method, path) in [
            ("GET", format!("/v2/a/blobs/{escape}")),
            ("HEAD", format!("/v2/a/blobs/{escape}")),
            ("DELETE", format!("/v2/a/blobs/{escape}")),
            ("GET", format!("/v2/a/manifests/{escape}")),
            ("PUT", format!("/v2/a/manifests/{escape}")),
            ("DELETE", format!("/v2/a/manifests/{escape}")),
            ("GET", format!("/v2/a/referrers/{escape}")),
            ("GET", format!("/v2/{escape}/tags/list")),
            ("GET", format!("/v2/{escape}/blobs/{NOTHING}")),
            ("GET", format!("/v2/{escape}/manifests/v1")),
            ("PUT", format!("/v2/{escape}/manifests/v1")),
            ("POST", format!("/v2/{escape}/blobs/uploads/")),
            ("GET", format!("/v2/a/blobs/uploads/{escape}")),
            ("PATCH", format!("/v2/a/blobs/uploads/{escape}")),
            ("PUT", format!("/v2/a/blobs/uploads/{escape}?digest={NOTHING}")),
            ("DELETE", format!("/v2/a/blobs/uploads/{escape}")),
            ("POST", format!("/v2/a/blobs/uploads/?digest={escape}")),
            ("POST", format!("/v2/a/blobs/uploads/?mount={escape}&from=a")),
        ] {
            let answer = call(&server, method, &path, &[("Content-Type", IMAGE)], b"{}");
            assert!((400..500).contains(&answer.status), "{method} {path}: {}", answer.status);
            let text = String::from_utf8_lossy(&answer.body);
            assert!(!text.contains("root:") && !text.contains(state.to_str().unwrap()), "{method} {path}: {text}");
        }
    }
    assert_eq!(files(&state), before);
}

#[test]
fn case_18_and_21_archives_are_only_ever_bytes() {
    let server = Server::start(&[]);
    // The beginning of a tar file whose entry is called ../escaped.
    let mut archive = b"../escaped".to_vec();
    archive.resize(1024, 0);
    let digest = push_blob(&server, "a", &archive);
    let layer = json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": 1024});
    let mut manifest = super::manifest(&server, "a", b"content");
    manifest["layers"] = json!([layer]);
    assert_eq!(put_manifest(&server, "a", "v1", manifest.to_string().as_bytes()).status, 201);
    assert!(get(&server, &format!("/v2/a/blobs/{digest}")).body == archive);
    assert!(files(server.path()).iter().all(|(path, _)| !path.ends_with("escaped")));
}

#[test]
fn case_22_a_service_shows_no_file_behind_a_link() {
    let server = Server::start(&[]);
    super::services::create(&server, "iris");
    let secret = server.path().join("secret.txt");
    std::fs::write(&secret, "a secret of this machine").unwrap();
    let file = server.path().join("models/iris/iris/corresp.txt");
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(&secret, &file).unwrap();
    let answer = get(&server, "/v2/iris/manifests/latest");
    assert!(answer.status >= 400, "{answer:?}");
    let digest = Digest::of(b"a secret of this machine");
    assert!(get(&server, &format!("/v2/iris/blobs/{digest}")).status >= 400);
}

#[test]
fn cases_1_and_14_strangers_get_nothing_and_are_told_in_the_registrys_form() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "token-of-the-registry-tests").unwrap();
    let server = Server::start_in(directory, &["--token-file", token.to_str().unwrap()]);
    for (method, path) in [
        ("GET", "/v2/"),
        ("GET", "/v2"),
        ("GET", "/v2/_catalog"),
        ("GET", "/v2/a/tags/list"),
        ("HEAD", "/v2/a/manifests/v1"),
        ("PUT", "/v2/a/manifests/v1"),
        ("POST", "/v2/a/blobs/uploads/"),
        ("PATCH", "/v2/a/blobs/uploads/x"),
        ("DELETE", "/v2/a/manifests/v1"),
        ("PROPFIND", "/v2/a/manifests/v1"),
    ] {
        for headers in [&[][..], &[("Authorization", "Basic eDp5")], &[("Authorization", "Bearer x")]] {
            let answer = call(&server, method, path, headers, b"{}");
            assert_eq!(answer.status, 401, "{method} {path}");
            assert_eq!(header(&answer, "www-authenticate"), "Basic realm=\"dede\"");
            if method != "HEAD" {
                assert_eq!(refusal(&answer), "401 UNAUTHORIZED", "{method} {path}");
            }
        }
    }
    let basic = [("Authorization", "Basic b3Jhczp0b2tlbi1vZi10aGUtcmVnaXN0cnktdGVzdHM=")];
    assert_eq!(call(&server, "GET", "/v2/", &basic, b"").status, 200);
}

#[test]
fn case_32_no_web_page_pushes_or_deletes() {
    let server = Server::start(&[]);
    let (_, digest) = push(&server, "a", "v1", b"content");
    for (method, path) in [
        ("POST", "/v2/a/blobs/uploads/".to_owned()),
        ("PUT", "/v2/a/manifests/v2".to_owned()),
        ("DELETE", format!("/v2/a/manifests/{digest}")),
    ] {
        let answer = call(&server, method, &path, &[("Origin", "http://evil.example")], b"");
        assert_eq!(refusal(&answer), "403 DENIED", "{method} {path}");
    }
}

#[test]
fn case_19_a_compressed_manifest_is_bounded_after_inflating() {
    let server = Server::start(&[]);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![b' '; 64 << 20]).unwrap();
    let bomb = encoder.finish().unwrap();
    let headers = [("Content-Type", IMAGE), ("Content-Encoding", "gzip")];
    let answer = call(&server, "PUT", "/v2/a/manifests/v1", &headers, &bomb);
    assert_eq!(refusal(&answer), "413 MANIFEST_INVALID");
}

#[test]
fn case_8_sizes_that_nothing_has_are_refused() {
    let server = Server::start(&[]);
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let length = u64::MAX / 2;
    write!(
        stream,
        "PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    )
    .unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 413");
}

#[test]
fn case_16_uploads_that_break_off_leave_no_open_files_and_can_go_on() {
    let server = Server::start(&[]);
    push_blob(&server, "a", b"content");
    let location = begin(&server, "a");
    let before = server.open_files();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(server.address).unwrap();
        write!(stream, "PATCH {location} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nx").unwrap();
    }
    eventually("the files are closed", || server.open_files() <= before + 2);
    let status = get(&server, &location);
    let kept: usize = header(&status, "range").strip_prefix("0-").unwrap().parse().unwrap();
    assert!(kept < 200, "at most one byte of each: {kept}");
    assert_eq!(call(&server, "DELETE", &location, &[], b"").status, 204);
}

#[test]
fn large_blobs_take_little_memory() {
    const SIZE: usize = 192 << 20;
    let server = Server::start(&[]);
    let content = vec![7; SIZE];
    let peak = || server.peak_kb();
    push_blob(&server, "a", b"content");
    let before = peak();
    let digest = push_blob(&server, "a", &content);
    assert!(get(&server, &format!("/v2/a/blobs/{digest}")).body == content);
    let grown = peak() - before;
    assert!(grown < 64 << 10, "{grown} KB more for a blob of {} KB", SIZE >> 10);
}

#[test]
fn two_requests_for_one_upload_do_not_mix() {
    let server = Server::start(&[]);
    let location = begin(&server, "a");
    let mut slow = TcpStream::connect(server.address).unwrap();
    write!(slow, "PATCH {location} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n01234").unwrap();
    eventually("the first bytes are there", || header(&get(&server, &location), "range") == "0-4");
    let other = call(&server, "PATCH", &location, &[], b"xxxxx");
    assert_eq!(refusal(&other), "429 TOOMANYREQUESTS");
    assert!(other.header("retry-after").is_some());
    write!(slow, "56789").unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut head = [0; 12];
    slow.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 202");
    let digest = Digest::of(b"0123456789");
    assert_eq!(call(&server, "PUT", &format!("{location}?digest={digest}"), &[], b"").status, 201);
}

#[test]
fn errors_tell_nothing_of_this_machine() {
    let server = Server::start(&[]);
    push(&server, "a", "v1", b"content");
    // A store that cannot be written to.
    let uploads = server.path().join("state/blobs/uploads");
    std::fs::remove_dir_all(&uploads).unwrap();
    std::fs::write(&uploads, "in the way").unwrap();
    let answer = call(&server, "POST", "/v2/a/blobs/uploads/", &[], b"");
    assert_eq!(answer.status, 500);
    let text = String::from_utf8(answer.body).unwrap();
    assert!(text.contains("see its log") && !text.contains("state") && !text.contains("os error"), "{text}");
}
