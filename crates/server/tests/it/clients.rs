//! Client threads that never pause, check every answer, and know when the server is down.
//!
//! A client derives the version that answered from the numbers, compares it with what the header says, and knows which versions are
//! right at that moment (`right.rs`).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use dede_testing::http::{Connection, Response, request};
use serde_json::Value;

use crate::models::{Expected, read_classes};
use crate::right::{Right, Version};

/// The world as clients see it. Even epochs: the server is up.
struct World {
    epoch: u64,
    address: SocketAddr,
    right: Right,
    answered: u64,
    /// A thread waits for this many answers.
    awaited: u64,
    stop: bool,
    seen: BTreeMap<(u64, Version), u64>,
    /// The first of them; a server that is gone fails as often as the clients can ask.
    failures: Vec<String>,
}

/// Failures that are kept.
const MAX_FAILURES: usize = 1_000;

/// What the clients saw.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Right answers of each version.
    pub(crate) answers: BTreeMap<Version, u64>,
    /// Those of the process that runs at the end.
    pub(crate) in_last_epoch: BTreeMap<Version, u64>,
    /// Requests between readiness and kill that were not answered 200 by exactly the right version.
    pub(crate) failures: Vec<String>,
}

pub(crate) struct Clients {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    world: Mutex<World>,
    changed: Condvar,
    service: String,
    expected: Vec<Expected>,
    /// Between two requests of a thread.
    pause: Duration,
}

impl Clients {
    /// They ask for `service`; version 0 is right.
    pub(crate) fn start(address: SocketAddr, service: &str, threads: usize, expected: Vec<Expected>) -> Self {
        Self::start_paced(address, service, threads, expected, Duration::ZERO)
    }

    /// Clients that leave some of the machine to others.
    pub(crate) fn start_paced(
        address: SocketAddr,
        service: &str,
        threads: usize,
        expected: Vec<Expected>,
        pause: Duration,
    ) -> Self {
        let world = World {
            epoch: 0,
            address,
            right: Right::only(0),
            answered: 0,
            awaited: 0,
            stop: false,
            seen: BTreeMap::new(),
            failures: Vec::new(),
        };
        let (world, changed) = (Mutex::new(world), Condvar::new());
        let shared = Arc::new(Shared { world, changed, service: service.to_owned(), expected, pause });
        let start = |index| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.work(index))
        };
        Self { threads: (0..threads).map(start).collect(), shared }
    }

    /// Waits until `count` more requests were answered.
    pub(crate) fn wait_for(&self, count: u64) {
        let until = self.shared.world.lock().unwrap().answered + count;
        self.wait_until(until);
    }

    /// Waits until `count` requests were answered in all.
    pub(crate) fn wait_until(&self, count: u64) {
        let mut world = self.shared.world.lock().unwrap();
        world.awaited = count;
        drop(self.shared.changed.wait_while(world, |world| world.answered < count).unwrap());
    }

    /// From now on these versions are right.
    pub(crate) fn allow(&self, versions: &[Version]) {
        self.change(|world| world.right.set(versions));
    }

    /// The server will turn to these versions, one after the other.
    pub(crate) fn turns(&self, versions: &[Version]) {
        self.change(|world| world.right.turns(versions));
    }

    /// Whether all turns were seen.
    pub(crate) fn have_turned(&self) -> bool {
        self.shared.world.lock().unwrap().right.has_turned()
    }

    /// Right answers of a version so far.
    pub(crate) fn answers_of(&self, version: Version) -> u64 {
        let world = self.shared.world.lock().unwrap();
        world.seen.iter().filter(|((_, of), _)| *of == version).map(|(_, count)| count).sum()
    }

    /// The server is about to be killed: requests in flight from here on prove nothing.
    pub(crate) fn going_down(&self) {
        self.change(|world| world.epoch += 1);
    }

    /// A new process is ready.
    pub(crate) fn up(&self, address: SocketAddr) {
        self.change(|world| {
            world.epoch += 1;
            world.address = address;
        });
    }

    fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.shared.world.lock().unwrap());
        self.shared.changed.notify_all();
    }

    /// Ends the clients; what they saw.
    pub(crate) fn stop(mut self) -> Seen {
        self.change(|world| world.stop = true);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
        let mut world = self.shared.world.lock().unwrap();
        let mut seen = Seen {
            answers: BTreeMap::new(),
            in_last_epoch: BTreeMap::new(),
            failures: std::mem::take(&mut world.failures),
        };
        for ((epoch, version), count) in &world.seen {
            *seen.answers.entry(*version).or_default() += count;
            if *epoch == world.epoch {
                seen.in_last_epoch.insert(*version, *count);
            }
        }
        seen
    }
}

/// A test that fails leaves no clients behind: they would take the machine from all tests after it.
impl Drop for Clients {
    fn drop(&mut self) {
        self.change(|world| world.stop = true);
    }
}

impl Shared {
    fn work(&self, index: usize) {
        let requests: Vec<_> =
            self.expected.iter().map(|expected| request("POST", "/predict", expected.body.as_bytes())).collect();
        let mut connection: Option<(u64, Connection)> = None;
        for (request, expected) in requests.iter().zip(&self.expected).cycle().skip(index) {
            let world = self.world.lock().unwrap();
            let world = self.changed.wait_while(world, |world| world.epoch % 2 == 1 && !world.stop).unwrap();
            if world.stop {
                break;
            }
            let (epoch, address, began) = (world.epoch, world.address, world.right.now());
            drop(world);
            let kept = connection.take().filter(|(of, _)| *of == epoch).map(|(_, open)| open);
            let answer = ask(kept, address, request);
            let answer = answer.and_then(|(open, response)| {
                connection = Some((epoch, open));
                self.version(&response, expected)
            });
            let mut world = self.world.lock().unwrap();
            world.note(epoch, began, answer);
            if world.answered == world.awaited {
                self.changed.notify_all();
            }
            drop(world);
            if !self.pause.is_zero() {
                std::thread::sleep(self.pause);
            }
        }
    }

    /// The version that answered, told by the numbers and by the header alike.
    fn version(&self, response: &Response, expected: &Expected) -> Result<Version, String> {
        let text = || String::from_utf8_lossy(&response.body).into_owned();
        if response.status != 200 {
            return Err(format!("{}: {}", response.status, text()));
        }
        let json: Value = response.json().map_err(|error| format!("{error}: {}", text()))?;
        if json["head"]["service"] != self.service {
            return Err(format!("another name than the client asked for: {}", text()));
        }
        let classes = read_classes(&json).ok_or_else(|| format!("no classes: {}", text()))?;
        let Some(version) = expected.answers.iter().position(|answer| *answer == classes) else {
            return Err(format!("numbers of no version: {}", text()));
        };
        let header = response.header("x-dede-served-by");
        let named = header.and_then(|header| header.split_once('@')).map(|(_, digest)| digest);
        if named == Some(&expected.digests[version]) {
            Ok(version)
        } else {
            Err(format!("version {version} by its numbers, header {header:?}"))
        }
    }
}

impl World {
    /// A request that began in `began` of `epoch` ended.
    fn note(&mut self, epoch: u64, began: usize, answer: Result<Version, String>) {
        self.answered += 1;
        if self.epoch != epoch {
            return;
        }
        let failure = match answer {
            Ok(version) if self.right.check(began, version) => {
                *self.seen.entry((epoch, version)).or_default() += 1;
                return;
            }
            Ok(version) => format!("version {version} answered in {began}: {:?}", self.right),
            Err(failure) => failure,
        };
        if self.failures.len() < MAX_FAILURES {
            self.failures.push(failure);
        }
    }
}

fn ask(kept: Option<Connection>, address: SocketAddr, request: &[u8]) -> Result<(Connection, Response), String> {
    let failed = |error: std::io::Error| format!("no answer: {error}");
    let mut connection = kept.map_or_else(|| Connection::open(address), Ok).map_err(failed)?;
    let response = connection.exchange(request).map_err(failed)?;
    Ok((connection, response))
}
