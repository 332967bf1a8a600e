//! What a client pushes to `/v2` takes no more of the disk than the quota says, whatever it sends and however it ends; and nothing is
//! taken that says something else of itself than it is.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use dede_bundle::Digest;
use dede_testing::http::Connection;
use serde_json::{Value, json};

use super::honest::Honest;
use crate::distribution::{begin, call, descriptor, get, header, manifest, push, push_blob, put_manifest, refusal};
use crate::models::Models;
use crate::server::{Server, eventually};

const QUOTA_MIB: u64 = 4;
const MIB: usize = 1 << 20;
const ONE_CLIENT: usize = 128;

fn limited() -> Server {
    Server::start(&["--registry-quota", &QUOTA_MIB.to_string()])
}

/// Bytes of all files in the store, in whole blocks of the disk.
fn on_disk(server: &Server) -> u64 {
    fn below(directory: &Path) -> u64 {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let size = |path: &Path| match path.symlink_metadata() {
            Ok(found) if found.is_dir() => below(path),
            // Some go while they are looked for.
            found => found.map_or(0, |found| found.len().next_multiple_of(4096)),
        };
        entries.map(|entry| size(&entry.path())).sum()
    }
    below(&server.path().join("state/blobs"))
}

fn assert_below_quota(server: &Server) {
    let bytes = on_disk(server);
    assert!(bytes <= QUOTA_MIB << 20, "{bytes} bytes in a store of {QUOTA_MIB} MiB");
}

/// Sends `bytes` of a chunked body and never its end; gives what the server answers.
fn stream(server: &Server, method: &str, path: &str, bytes: usize) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    let piece = [format!("{MIB:x}\r\n").as_bytes(), &vec![7; MIB], b"\r\n"].concat();
    for _ in 0..bytes / MIB {
        if stream.write_all(&piece).is_err() {
            break;
        }
    }
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).unwrap();
    answer
}

#[test]
fn no_way_of_pushing_takes_more_than_the_quota_and_all_of_it_comes_back() {
    let server = limited();
    let _honest = Honest::beside(&server);
    let big = vec![7; 5 * MIB];
    let digest = Digest::of(&big);
    let at_start = on_disk(&server);
    // In one request, in two, in chunks, with and without an announced length.
    let whole = format!("/v2/a/blobs/uploads/?digest={digest}");
    assert_eq!(refusal(&call(&server, "POST", &whole, &[], &big)), "403 DENIED");
    let location = begin(&server, "a");
    assert_eq!(refusal(&call(&server, "PUT", &format!("{location}?digest={digest}"), &[], &big)), "403 DENIED");
    assert_eq!(get(&server, &location).status, 404, "the upload is gone");
    let location = begin(&server, "a");
    for (chunk, expected) in [(2 * MIB, 202), (MIB, 202), (2 * MIB, 403)] {
        assert_eq!(call(&server, "PATCH", &location, &[], &big[..chunk]).status, expected);
        assert_below_quota(&server);
    }
    let location = begin(&server, "a");
    assert_eq!(stream(&server, "PATCH", &location, 6 * MIB), b"HTTP/1.1 403");
    assert_eq!(stream(&server, "POST", &whole, 6 * MIB), b"HTTP/1.1 403");
    eventually("nothing is left", || on_disk(&server) == at_start);
    // What fits comes.
    push(&server, "a", "v1", &big[..3 * MIB]);
}

#[test]
fn small_things_in_great_number_stop_at_the_quota() {
    let server = limited();
    let _honest = Honest::beside(&server);
    let refused = |response: dede_testing::http::Response| response.status == 403;
    // Blobs of a byte, each a file.
    let blob = |number: usize| {
        let content = number.to_string();
        let path = format!("/v2/blobs/blobs/uploads/?digest={}", Digest::of(content.as_bytes()));
        call(&server, "POST", &path, &[], content.as_bytes())
    };
    assert!((0..2000).any(|number| refused(blob(number))), "blobs without end");
    assert_below_quota(&server);
    // Names of repositories, each a directory and a file.
    let known = Digest::of(b"0");
    let mount = |number: usize| {
        call(&server, "POST", &format!("/v2/r{number}/deep/blobs/uploads/?mount={known}&from=blobs"), &[], b"")
    };
    assert!((0..10).any(|number| refused(mount(number))), "repositories without end");
    let begin = |number: usize| call(&server, "POST", &format!("/v2/other{number}/blobs/uploads/"), &[], b"");
    assert!((0..3).any(|number| refused(begin(number))), "uploads without end");
    assert_below_quota(&server);
    // Everything that was is still there.
    assert_eq!(get(&server, &format!("/v2/blobs/blobs/{known}")).body, b"0");
}

#[test]
fn manifests_in_great_number_stop_at_the_quota_and_refused_ones_take_nothing() {
    let server = limited();
    let _honest = Honest::beside(&server);
    let mut document = manifest(&server, "a", b"content");
    let mut put = |number: usize, missing: bool| {
        document["annotations"] = json!({"number": number.to_string(), "text": "x".repeat(300_000)});
        document["layers"][0] = descriptor("application/octet-stream", if missing { b"missing" } else { b"content" });
        put_manifest(&server, "a", "latest", document.to_string().as_bytes())
    };
    let before = on_disk(&server);
    for number in 0..20 {
        assert_eq!(refusal(&put(number, true)), "400 MANIFEST_BLOB_UNKNOWN");
    }
    assert_eq!(on_disk(&server), before, "what was refused left something");
    let refused = (0..50).find_map(|number| Some(put(number, false)).filter(|answer| answer.status != 201));
    assert_eq!(refusal(&refused.expect("manifests without end")), "403 DENIED");
    assert_below_quota(&server);
}

#[test]
fn uploads_that_are_begun_and_left_are_bounded_and_cost_one_client_its_own_places() {
    let server = Server::start(&[]);
    let _honest = Honest::beside(&server);
    let begin = |number: usize| call(&server, "POST", &format!("/v2/r{number}/blobs/uploads/"), &[], b"");
    let begun: Vec<_> = (0..ONE_CLIENT).map(begin).collect();
    assert!(begun.iter().all(|answer| answer.status == 202));
    let more = begin(ONE_CLIENT);
    assert_eq!(refusal(&more), "429 TOOMANYREQUESTS");
    assert!(more.header("retry-after").is_some());
    let files = std::fs::read_dir(server.path().join("state/blobs/uploads")).unwrap().count();
    assert_eq!(files, ONE_CLIENT);
    assert_eq!(std::fs::read_dir(server.path().join("state/blobs/repositories")).unwrap().count(), 0);
    // A client that ends one can begin another, and a push in one request needs a place too.
    assert_eq!(call(&server, "DELETE", header(&begun[0], "location"), &[], b"").status, 204);
    push_blob(&server, "a", b"content");
    assert_eq!(begin(0).status, 202);
    let whole = format!("/v2/a/blobs/uploads/?digest={}", Digest::of(b"x"));
    assert_eq!(refusal(&call(&server, "POST", &whole, &[], b"x")), "429 TOOMANYREQUESTS");
}

#[test]
fn a_full_registry_stops_no_move_and_no_predict() {
    let server = limited();
    let _honest = Honest::beside(&server);
    let models = Models::get();
    models.versions[0].write(&server.path().join("model"));
    crate::models::put_service(&server, "iris", &server.path().join("model"));
    push_blob(&server, "a", &vec![7; 3 * MIB]);
    let location = begin(&server, "b");
    assert_eq!(refusal(&call(&server, "PATCH", &location, &[], &vec![1; 2 * MIB])), "403 DENIED");
    let (status, answer) = server.post("/predict", &crate::models::predict_body("iris", &models.inputs[0]));
    assert_eq!(status, 200, "{answer}");
    // A service is brought to a server with no room left: its content is counted, and comes all the same.
    let target = Server::start_with_peers(&[("source", &server.url())], &["--registry-quota", "1"]);
    // Its index takes two blocks of the disk.
    push_blob(&target, "a", &vec![7; MIB - 8192]);
    assert_eq!(refusal(&call(&target, "POST", "/v2/b/blobs/uploads/", &[], b"")), "403 DENIED");
    let (status, begun) = target.post("/moves", &json!({"service": "iris", "source": "source"}));
    assert_eq!(status, 202, "{begun}");
    let path = format!("/moves/{}", begun["body"]["id"].as_str().unwrap());
    eventually("the move ends", || {
        let info = target.get(&path).1;
        assert!(info["body"]["phase"] != "aborted", "{info}");
        info["body"]["phase"] == "done"
    });
}

#[test]
fn sizes_and_embedded_contents_that_are_not_so_are_refused() {
    let server = Server::start(&[]);
    let _honest = Honest::beside(&server);
    let good = manifest(&server, "a", b"content");
    let (subject, _) = push(&server, "a", "subject", b"other");
    let with = |place: &str, value: Value| {
        let mut document = good.clone();
        let (parent, member) = place.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[member] = value;
        document
    };
    let mut about = descriptor("application/vnd.oci.image.manifest.v1+json", &subject);
    about["size"] = json!(subject.len() + 1);
    for (document, expected) in [
        (with("/layers/0/size", json!(6)), "400 SIZE_INVALID"),
        (with("/layers/0/size", json!(0)), "400 SIZE_INVALID"),
        (with("/config/size", json!(1u64 << 62)), "400 SIZE_INVALID"),
        (with("/subject", about), "400 SIZE_INVALID"),
        (with("/layers/0/size", json!(-1)), "400 MANIFEST_INVALID"),
        (with("/layers/0/size", json!(7.5)), "400 MANIFEST_INVALID"),
        (with("/config/data", json!("!!!")), "400 MANIFEST_INVALID"),
        (with("/config/data", json!("e30")), "400 MANIFEST_INVALID"),
        (with("/config/data", json!("W10=")), "400 MANIFEST_INVALID"),
        (with("/layers/0/data", json!("e30=")), "400 MANIFEST_INVALID"),
    ] {
        let answer = put_manifest(&server, "a", "wrong", document.to_string().as_bytes());
        assert_eq!(refusal(&answer), expected, "{document}");
        assert_eq!(get(&server, "/v2/a/manifests/wrong").status, 404);
    }
    let embedded = with("/config/data", json!("e30="));
    assert_eq!(put_manifest(&server, "a", "right", embedded.to_string().as_bytes()).status, 201);
}

#[test]
fn credentials_that_are_no_base64_are_no_credentials() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("token"), "t0ken-of-the-owner").unwrap();
    let token = directory.path().join("token").to_str().unwrap().to_owned();
    let server = Server::start_in(directory, &["--token-file", &token]);
    let _honest = Honest::beside(&server);
    let status = |credentials: &str| {
        let head = format!("GET /v2/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: {credentials}\r\n\r\n");
        Connection::open(server.address).unwrap().exchange(head.as_bytes()).unwrap().status
    };
    // "x:t0ken-of-the-owner", whole and in ways that lenient decoders take.
    assert_eq!(status("Basic eDp0MGtlbi1vZi10aGUtb3duZXI="), 200);
    for wrong in
        ["eDp0MGtlbi1vZi10aGUtb3duZXI", "eDp0MGtl bi1vZi10aGUtb3duZXI=", "!eDp0MGtlbi1vZi10aGUtb3duZXI=", "%%%", ""]
    {
        assert_eq!(status(&format!("Basic {wrong}")), 401, "{wrong}");
    }
}
