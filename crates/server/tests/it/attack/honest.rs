//! A client that only asks whether the server is well, beside an attack.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dede_testing::http::Connection;

use crate::server::Server;

/// Answers of which the slowest part in 100 is looked at, where nothing else goes on.
const ALONE: usize = 200;
/// What a machine with fewer cores than clients of this test adds to any answer.
const NOISE: Duration = Duration::from_millis(500);

/// Asks from here to the end of the scope, and then holds the 99th percentile of the time to an answer of `/healthz` against three times
/// that of before.
pub(super) struct Honest {
    alone: Duration,
    over: Arc<AtomicBool>,
    asking: Option<JoinHandle<Vec<Duration>>>,
}

impl Honest {
    pub(super) fn beside(server: &Server) -> Self {
        let mut connection = Connection::open(server.address).unwrap();
        let mut alone: Vec<Duration> = (0..ALONE).map(|_| ask(&mut connection)).collect();
        let over = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&over);
        let asking = std::thread::spawn(move || {
            let mut times = Vec::new();
            while !end.load(Ordering::Acquire) || times.is_empty() {
                times.push(ask(&mut connection));
                // One client asks so often at most: it takes no core for itself.
                std::thread::sleep(Duration::from_millis(1));
            }
            times
        });
        Self { alone: p99(&mut alone), over, asking: Some(asking) }
    }
}

impl Drop for Honest {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        let Some(asked) = self.asking.take().map(JoinHandle::join) else { return };
        // Of a test that fails already there is nothing more to say.
        if !std::thread::panicking() {
            let (beside, alone) = (p99(&mut asked.expect("every answer is 200")), self.alone);
            assert!(beside <= (3 * alone).max(NOISE), "{beside:?} beside the attack, {alone:?} alone");
        }
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
