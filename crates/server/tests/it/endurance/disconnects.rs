//! Clients that leave at any moment of a request: others are answered right, and what the leaving ones held comes back.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dede_testing::http::{Connection, request};

use super::size;
use crate::chance::Chance;
use crate::models::{Expected, Models, put_service, read_classes};
use crate::server::{Server, eventually};

/// What the allocator and the pools may keep.
const KEPT_MB: u64 = 32;
/// Connections that the server itself keeps, and what it opens while it is looked at.
const FILES: usize = 8;

/// What all clients of a round did.
#[derive(Default)]
struct Counts {
    answered: AtomicU64,
    left: AtomicU64,
    /// Whole requests that found the queue full: those of clients that left are in it until the server has noticed.
    turned_away: AtomicU64,
}

#[test]
fn clients_that_leave_take_nothing_with_them() {
    let (clients, seconds) = (size(64, 256), size(3, 60));
    let (models, server) = (Models::get(), Server::start(&[]));
    models.versions[0].write(&server.path().join("model"));
    put_service(&server, "iris", &server.path().join("model"));
    let expected = models.answers("iris");
    let counts = Counts::default();
    let files = server.open_files();
    // What is used for the first time is made once.
    round(&server, &expected, &counts, clients, Duration::from_secs(seconds.div_ceil(3)), 1);
    let before_mb = server.resident_mb();
    round(&server, &expected, &counts, clients, Duration::from_secs(seconds), 1_000_000);
    eventually("all their connections are closed", || server.open_files() <= files + FILES);
    let after_mb = server.resident_mb();
    let [answered, left, turned_away] = [counts.answered, counts.left, counts.turned_away].map(AtomicU64::into_inner);
    eprintln!(
        "{clients} clients, {seconds} s: {answered} answered, {left} left, {turned_away} turned away; {before_mb} MB before, \
         {after_mb} MB after"
    );
    assert!(answered > clients && left > clients, "{answered} answered, {left} left");
    assert!(turned_away <= answered / 10, "{turned_away} turned away, {answered} answered");
    assert!(after_mb <= before_mb + KEPT_MB, "{before_mb} MB grew to {after_mb} MB");
    assert_eq!(server.get("/info").0, 200);
}

fn round(server: &Server, expected: &[Expected], counts: &Counts, clients: u64, lasts: Duration, seed: u64) {
    let until = Instant::now() + lasts;
    std::thread::scope(|scope| {
        for client in 0..clients {
            scope.spawn(move || {
                let mut chance = Chance::new(seed + client);
                while Instant::now() < until {
                    act(server, chance.one_of(expected), counts, &mut chance);
                }
            });
        }
    });
}

/// One request to its right answer, or a part of one.
fn act(server: &Server, expected: &Expected, counts: &Counts, chance: &mut Chance) {
    let whole = request("POST", "/predict", expected.body.as_bytes());
    if chance.one_in(2) {
        let answer = Connection::open(server.address).unwrap().exchange(&whole).unwrap();
        if answer.status == 503 {
            counts.turned_away.fetch_add(1, Ordering::Relaxed);
            return;
        }
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        assert_eq!(read_classes(&answer.json().unwrap()).as_ref(), Some(&expected.answers[0]));
        counts.answered.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let mut stream = TcpStream::connect(server.address).unwrap();
    let sent = usize::try_from(chance.below(whole.len() as u64 + 1)).unwrap();
    stream.write_all(&whole[..sent]).unwrap();
    if sent == whole.len() || chance.one_in(4) {
        // The rest is sent, and of the answer a byte is read at most: the system resets such a connection.
        stream.write_all(&whole[sent..]).unwrap();
        if chance.one_in(2) {
            stream.read_exact(&mut [0]).unwrap();
        }
    }
    counts.left.fetch_add(1, Ordering::Relaxed);
}
