//! A client that only asks whether the server is well, beside an attack.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dede_testing::http::Connection;

use crate::server::Server;

/// Answers of which the slowest part in 100 is looked at, where nothing else goes on.
const ALONE: usize = 500;
/// What a machine with fewer cores than clients of this test adds to any answer.
const NOISE: Duration = Duration::from_millis(500);

/// Does `attack`, and holds the 99th percentile of the time to an answer of `/healthz` beside it against three times that without it.
pub(super) fn beside<T>(server: &Server, what: &str, attack: impl FnOnce() -> T) -> T {
    let mut connection = Connection::open(server.address).unwrap();
    let mut alone: Vec<Duration> = (0..ALONE).map(|_| ask(&mut connection)).collect();
    let over = AtomicBool::new(false);
    let (done, mut meanwhile) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut times = Vec::new();
            while !over.load(Ordering::Acquire) || times.is_empty() {
                times.push(ask(&mut connection));
                // One client asks so often at most: it takes no core for itself.
                std::thread::sleep(Duration::from_millis(1));
            }
            times
        });
        let ended = Ended(&over);
        let done = attack();
        drop(ended);
        (done, asking.join().unwrap())
    });
    let (alone, meanwhile) = (p99(&mut alone), p99(&mut meanwhile));
    assert!(meanwhile <= (3 * alone).max(NOISE), "{what}: {meanwhile:?} beside it, {alone:?} alone");
    done
}

/// Ends the asking, also where the attack fails.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn ask(connection: &mut Connection) -> Duration {
    let began = Instant::now();
    assert_eq!(connection.send("GET", "/healthz", b"").unwrap().status, 200);
    began.elapsed()
}

fn p99(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() * 99 / 100]
}
