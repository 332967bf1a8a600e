//! Clients that watch a move, relay for one, or upload to one hold no thread, little memory, and no other client's place.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use crate::aliases;
use crate::models::{Models, model, waiting_move};
use crate::server::{Server, eventually};

const WATCHERS: usize = 2000;
/// Memory that they may take together, MiB.
const MOST_MB: u64 = 50;
/// Commands that wait for a question of a relay, and uploads that wait for their client.
const COMMANDS: usize = 200;
const UPLOADS: usize = 64;
/// Threads that may be there for what is done now and then.
const FEW: usize = 8;
/// Files that this process, and the server that it starts, have open at once.
const FILES: u64 = 8192;

/// A connection on which this was sent.
fn begin(server: &Server, sent: impl AsRef<[u8]>) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(sent.as_ref()).unwrap();
    stream
}

/// A watcher that has been told the present state.
fn watch(server: &Server) -> TcpStream {
    let mut stream = begin(server, "GET /moves/m1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    read_until(&mut stream, "\"waits_for\":\"promote\"");
    stream
}

fn read_until(stream: &mut TcpStream, wanted: &str) {
    let (mut seen, mut piece) = (String::new(), [0; 4096]);
    while !seen.contains(wanted) {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "closed before {wanted}: {seen}");
        seen.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
}

#[test]
fn a_watcher_keeps_no_server_from_stopping() {
    let (_source, server) = waiting_move(&["--connections-per-address", "4096"]);
    let mut watcher = watch(&server);
    server.signal("TERM");
    assert!(server.wait().0.success());
    // The answer is ended in order.
    read_until(&mut watcher, "0\r\n\r\n");
}

#[test]
fn two_thousand_watchers_hold_no_thread_and_no_trainings_place() {
    let limit = getrlimit(Resource::Nofile);
    let current = Some(limit.maximum.map_or(FILES, |most| most.min(FILES)));
    setrlimit(Resource::Nofile, Rlimit { current, ..limit }).expect("what the hard limit allows");
    let (_source, server) = waiting_move(&["--connections-per-address", "4096"]);
    drop(watch(&server));

    let (threads, memory) = (server.threads(), server.resident_mb());
    let mut watchers: Vec<TcpStream> = (0..WATCHERS).map(|_| watch(&server)).collect();
    let (grown, more) = (server.resident_mb().saturating_sub(memory), server.threads().saturating_sub(threads));
    assert!(grown < MOST_MB, "{WATCHERS} watchers take {grown} MiB");
    assert!(more < FEW, "{WATCHERS} watchers take {more} threads");

    // A training that is waited for has its place.
    let inputs = &Models::get().inputs;
    model(&server, "fresh", &json!({"template": "lregression", "nclasses": 3}), inputs);
    assert_eq!(server.post("/moves/m1/abort", &json!({})).0, 200);
    for watcher in &mut watchers {
        read_until(watcher, "\"aborted\"");
    }
}

#[test]
fn commands_that_wait_for_a_question_hold_no_thread() {
    let server = Server::start(&["--connections-per-address", "4096"]);
    let (status, answer) = server.post("/v2/_dede/relays", &json!({"from": "http://dev"}));
    assert_eq!(status, 200, "{answer}");
    let source = answer["body"]["source"].as_str().unwrap().replace('/', "%2F");
    let request = format!("GET /v2/_dede/relays/{source}/questions?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let threads = server.threads();
    let mut commands: Vec<TcpStream> = (0..COMMANDS).map(|_| begin(&server, &request)).collect();
    for command in &mut commands {
        // All of them wait at once: each for seconds, until it is told that there is no question.
        read_until(command, "\"code\":200");
    }
    // A thread that had waited would stay for a while.
    let more = server.threads().saturating_sub(threads);
    assert!(more < FEW, "{COMMANDS} commands that wait take {more} threads");
}

#[test]
fn uploads_that_wait_for_their_client_hold_no_thread_and_leave_nothing() {
    let (source, target) = (aliases::server(&["service2"]), Server::start(&["--connections-per-address", "4096"]));
    let part = |path: &str| source.send("GET", &format!("/v2/_dede/services/service2/{path}"), "").body;
    let text = |path: &str| String::from_utf8(part(path)).unwrap();
    let offer = json!({"manifest": text("manifest"), "config": text("config")});
    let (status, answer) = target.post("/v2/_dede/uploads", &offer);
    assert_eq!(status, 200, "{answer}");
    let name = answer["body"]["source"].as_str().unwrap();
    let missing = answer["body"]["missing"].as_array().unwrap().iter().map(|digest| digest.as_str().unwrap());
    let (digest, content) = missing
        .map(|digest| (digest, part(&format!("blobs/{digest}"))))
        .max_by_key(|(_, content)| content.len())
        .unwrap();
    let length = content.len();
    let head = format!(
        "PUT /v2/_dede/uploads/{name}/blobs/{digest} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
    );
    let (first, rest) = content.split_at(length / 2);
    let coming = || std::fs::read_dir(target.path().join("state/blobs/temporary")).unwrap().count();

    let threads = target.threads();
    let mut uploads: Vec<TcpStream> = (1..=UPLOADS)
        .map(|count| {
            let upload = begin(&target, [head.as_bytes(), first].concat());
            eventually("its file is there", || coming() == count);
            upload
        })
        .collect();
    let more = target.threads().saturating_sub(threads);
    assert!(more < FEW, "{UPLOADS} uploads that wait take {more} threads");

    // Half of the clients go away, the others send what is missing.
    drop(uploads.split_off(UPLOADS / 2));
    for upload in &mut uploads {
        upload.write_all(rest).unwrap();
        read_until(upload, "\"code\":200");
    }
    eventually("nothing is left of uploads that ended early", || coming() == 0);
}
