//! Clients that watch a move hold no thread, little memory, and no other client's place.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use crate::models::{Models, model, waiting_move};
use crate::server::Server;

const WATCHERS: usize = 2000;
/// Memory that they may take together, MiB.
const MOST_MB: u64 = 50;
/// Files that this process, and the server that it starts, have open at once.
const FILES: u64 = 8192;

/// A watcher that has been told the present state.
fn watch(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(b"GET /moves/m1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
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
    assert!(more < 8, "{WATCHERS} watchers take {more} threads");

    // A training that is waited for has its place.
    let inputs = &Models::get().inputs;
    model(&server, "fresh", &json!({"template": "lregression", "nclasses": 3}), inputs);
    assert_eq!(server.post("/moves/m1/abort", &json!({})).0, 200);
    for watcher in &mut watchers {
        read_until(watcher, "\"aborted\"");
    }
}
