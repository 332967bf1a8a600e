//! Clients that ask for one name until they are told to stop, and remember when each request began and ended and which version
//! answered it. They judge nothing.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dede_testing::http::{Connection, Response, request};

use crate::models::read_classes;

/// Client threads, and the pause of each between two requests.
const THREADS: usize = 2;
const PACE: Duration = Duration::from_millis(5);

/// One request of a client.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) began: Instant,
    pub(super) ended: Instant,
    /// Position of its input.
    pub(super) input: usize,
    pub(super) answer: Answer,
}

#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// 200, by this version, with these classes.
    Version(String, Vec<(String, f64)>),
    /// Anything else; the status is 0 where there was no answer.
    Failed(u16, String),
}

struct State {
    /// `None` while the server is down.
    address: Option<SocketAddr>,
    stop: bool,
    asked: Vec<Asked>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    name: String,
    requests: Vec<Vec<u8>>,
}

pub(super) struct Asking {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Asking {
    pub(super) fn start(address: SocketAddr, name: &str, bodies: &[String]) -> Self {
        let requests = bodies.iter().map(|body| request("POST", "/predict", body.as_bytes())).collect();
        let state = Mutex::new(State { address: Some(address), stop: false, asked: Vec::new() });
        let shared = Arc::new(Shared { state, changed: Condvar::new(), name: name.to_owned(), requests });
        let start = |index| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.work(index))
        };
        Self { threads: (0..THREADS).map(start).collect(), shared }
    }

    /// Waits until this many more requests were answered, or the time is over.
    pub(super) fn wait_for(&self, count: u64, patience: Duration) {
        let state = self.shared.state.lock().unwrap();
        let until = state.asked.len() + usize::try_from(count).unwrap();
        let waited = self.shared.changed.wait_timeout_while(state, patience, |state| state.asked.len() < until);
        drop(waited.unwrap());
    }

    /// From now on the server is there; nowhere while it is down.
    pub(super) fn server_is(&self, address: Option<SocketAddr>) {
        self.shared.state.lock().unwrap().address = address;
        self.shared.changed.notify_all();
    }

    /// Ends the clients; what they asked.
    pub(super) fn stop(&mut self) -> Vec<Asked> {
        self.end();
        std::mem::take(&mut self.shared.state.lock().unwrap().asked)
    }

    fn end(&mut self) {
        self.shared.state.lock().unwrap().stop = true;
        self.shared.changed.notify_all();
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn work(&self, index: usize) {
        let mut connection: Option<(SocketAddr, Connection)> = None;
        for (input, request) in self.requests.iter().enumerate().cycle().skip(index) {
            let state = self.state.lock().unwrap();
            let state = self.changed.wait_while(state, |state| state.address.is_none() && !state.stop).unwrap();
            let address = match state.address {
                Some(address) if !state.stop => address,
                _ => return,
            };
            drop(state);
            let began = Instant::now();
            let kept = connection.take().filter(|(of, _)| *of == address).map(|(_, open)| open);
            let answer = match exchange(kept, address, request) {
                Ok((open, response)) => {
                    connection = Some((address, open));
                    self.read(&response)
                }
                Err(error) => Answer::Failed(0, error.to_string()),
            };
            let asked = Asked { began, ended: Instant::now(), input, answer };
            self.state.lock().unwrap().asked.push(asked);
            self.changed.notify_all();
            std::thread::sleep(PACE);
        }
    }

    fn read(&self, response: &Response) -> Answer {
        let failed = |what: &str| {
            let text = String::from_utf8_lossy(&response.body);
            Answer::Failed(response.status, format!("{what}{text}"))
        };
        if response.status != 200 {
            return failed("");
        }
        let Ok(json) = response.json() else { return failed("no JSON: ") };
        if json["head"]["service"] != self.name {
            return failed("another name than the client asked for: ");
        }
        let version = response.header("x-dede-served-by").and_then(|header| header.split_once('@'));
        match (version, read_classes(&json)) {
            (Some((_, version)), Some(classes)) => Answer::Version(version.to_owned(), classes),
            _ => failed("no version or no classes: "),
        }
    }
}

fn exchange(kept: Option<Connection>, address: SocketAddr, request: &[u8]) -> std::io::Result<(Connection, Response)> {
    let mut connection = kept.map_or_else(|| Connection::open(address), Ok)?;
    let response = connection.exchange(request)?;
    Ok((connection, response))
}
