//! A source that accepts connections and stops answering at one step of a move: an abort does not wait for the source.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::world::{Under, World, is_over};
use crate::server::eventually;

/// Longest time from the request to abort until the move is aborted.
const PROMPT: Duration = Duration::from_secs(5);

/// How much of the answer to a request arrives.
#[derive(Debug, Clone, Copy)]
pub(super) enum Arrives {
    Nothing,
    Head,
    Bytes(usize),
}

#[test]
fn an_abort_waits_for_no_source() {
    // What the request that is not answered contains, in the order of a move.
    let steps = [
        ("", Arrives::Nothing),
        ("/manifest", Arrives::Nothing),
        ("/manifest", Arrives::Head),
        ("/config", Arrives::Nothing),
        ("/v2/_dede/host", Arrives::Nothing),
        ("/chunks/", Arrives::Nothing),
        ("/blobs/", Arrives::Nothing),
        ("/blobs/", Arrives::Head),
        ("/blobs/", Arrives::Bytes(150_000)),
        ("/requests", Arrives::Nothing),
        ("POST /predict", Arrives::Nothing),
    ];
    let mut stalled = Vec::new();
    let world = World::through(Under::Service, |source| {
        let started = steps.iter().enumerate().map(|(number, (part, arrives))| {
            let (url, happened) = start(source, part, *arrives);
            stalled.push(happened);
            (format!("dev{number}"), url)
        });
        started.collect()
    });
    for ((number, step), happened) in steps.iter().enumerate().zip(&stalled) {
        let (source, with_requests) = (format!("dev{number}"), step.0 == "/requests");
        let id =
            world.begin(json!({"source": source, "auto": true, "shadow_for_s": 0, "with_requests": with_requests}));
        eventually(&format!("{step:?}"), || {
            let (stalled, info) = (happened.load(Ordering::SeqCst), world.info(&id));
            assert!(stalled || !is_over(&info), "over before {step:?}: {info}");
            stalled
        });
        let began = Instant::now();
        let (status, answer) = world.act(&id, "abort");
        assert_eq!(status, 200, "{step:?}: {answer}");
        let info = world.outcome(&id);
        let took = began.elapsed();
        assert_eq!(info["phase"], "aborted", "{step:?}: {info}");
        let reason = info["error"].as_str().unwrap_or_default();
        assert!(reason.starts_with("aborted on request"), "{step:?}: {info}");
        assert!(took < PROMPT, "{step:?}: {took:?}");
    }
    assert_eq!((world.services(), world.predict("service1")), (vec!["service1".to_owned()], 200));
}

#[test]
fn clients_that_wait_for_an_exchange_wait_for_no_source() {
    let mut stalled = None;
    let world = World::through(Under::Service, |source| {
        let (url, happened) = start(source, "POST /predict", Arrives::Nothing);
        stalled = Some(happened);
        vec![("silent".to_owned(), url)]
    });
    let members = json!({"source": "silent", "auto": true, "replace_first": true, "hold_for_s": 2});
    let (began, id) = (Instant::now(), world.begin(members));
    let info = world.outcome(&id);
    assert!(stalled.is_some_and(|happened| happened.load(Ordering::SeqCst)), "{info}");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}: {info}", began.elapsed());
    assert_eq!(info["phase"], "aborted", "{info}");
    let reason = info["error"].as_str().unwrap_or_default();
    assert!(reason.contains("does not answer while requests wait for this move"), "{info}");
    assert_eq!((world.services(), world.predict("service1")), (vec!["service1".to_owned()], 200));
}

/// A connection to the source that stops at the first request with this part; gives its URL, and whether that has happened.
pub(super) fn start(source: SocketAddr, part: &'static str, arrives: Arrives) -> (String, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let happened = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&happened);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (happened, asked) = (Arc::clone(&shared), Arc::new(AtomicBool::new(false)));
            let (server, seen) = (TcpStream::connect(source).unwrap(), Arc::clone(&asked));
            let (requests, upstream) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            // Either end may be gone; then the connection is over.
            std::thread::spawn(move || pass_requests(requests, upstream, part, &seen));
            std::thread::spawn(move || pass_answers(server, client, arrives, &asked, &happened));
        }
    });
    (url, happened)
}

fn pass_requests(mut from: TcpStream, mut to: TcpStream, part: &str, asked: &AtomicBool) -> io::Result<()> {
    let mut piece = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut piece)?;
        if count == 0 {
            return to.shutdown(std::net::Shutdown::Write);
        }
        if String::from_utf8_lossy(&piece[..count]).contains(part) {
            asked.store(true, Ordering::SeqCst);
        }
        to.write_all(&piece[..count])?;
    }
}

fn pass_answers(
    mut from: TcpStream,
    mut to: TcpStream,
    arrives: Arrives,
    asked: &AtomicBool,
    happened: &AtomicBool,
) -> io::Result<()> {
    let (mut piece, mut passed) = (vec![0; 16 << 10], 0);
    loop {
        let count = from.read(&mut piece)?;
        if count == 0 {
            return to.shutdown(std::net::Shutdown::Write);
        }
        let may_pass = match arrives {
            _ if !asked.load(Ordering::SeqCst) => usize::MAX,
            Arrives::Nothing => 0,
            Arrives::Head => piece[..count].windows(4).position(|end| end == b"\r\n\r\n").map_or(count, |at| at + 4),
            Arrives::Bytes(bytes) => {
                passed += count;
                if passed > bytes { 0 } else { usize::MAX }
            }
        };
        to.write_all(&piece[..count.min(may_pass)])?;
        if may_pass != usize::MAX {
            happened.store(true, Ordering::SeqCst);
            // Until the tests end; the connection stays open.
            loop {
                std::thread::park();
            }
        }
    }
}
