//! Client threads that never pause, check every answer, and know when the server is down.

use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;

use super::models::{Expected, read_classes};

/// Which versions may answer a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowed {
    First,
    Either,
    Second,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    First,
    Second,
}

/// The world as clients see it. Even epochs: the server is up.
#[derive(Debug, Clone)]
struct World {
    epoch: u64,
    url: String,
    allowed: Allowed,
    answered: u64,
    stop: bool,
}

/// What the clients saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Answers of the first version.
    pub(super) first: u64,
    /// Answers of the second version.
    pub(super) second: u64,
    /// Good answers of the process that runs at the end.
    pub(super) in_last_epoch: u64,
    /// Requests between readiness and kill that were not answered 200 by exactly the right version.
    pub(super) failures: Vec<String>,
}

pub(super) struct Clients {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Vec<Outcome>>>,
}

struct Shared {
    world: Mutex<World>,
    changed: Condvar,
    expected: Vec<Expected>,
}

struct Outcome {
    epoch: u64,
    result: Result<Version, String>,
}

impl Clients {
    pub(super) fn start(url: &str, threads: usize, expected: Vec<Expected>) -> Self {
        let world = World { epoch: 0, url: url.to_owned(), allowed: Allowed::First, answered: 0, stop: false };
        let shared = Arc::new(Shared { world: Mutex::new(world), changed: Condvar::new(), expected });
        let start = |index| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.work(index))
        };
        Self { threads: (0..threads).map(start).collect(), shared }
    }

    /// Waits until `count` more requests were answered.
    pub(super) fn wait_for(&self, count: u64) {
        let world = self.shared.world.lock().unwrap();
        let until = world.answered + count;
        drop(self.shared.changed.wait_while(world, |world| world.answered < until).unwrap());
    }

    pub(super) fn allow(&self, allowed: Allowed) {
        self.change(|world| world.allowed = allowed);
    }

    /// The server is about to be killed: requests in flight from here on prove nothing.
    pub(super) fn going_down(&self) {
        self.change(|world| world.epoch += 1);
    }

    /// A new process is ready.
    pub(super) fn up(&self, url: &str) {
        self.change(|world| {
            world.epoch += 1;
            world.url = url.to_owned();
        });
    }

    fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.shared.world.lock().unwrap());
        self.shared.changed.notify_all();
    }

    pub(super) fn stop(self) -> Seen {
        self.change(|world| world.stop = true);
        let outcomes: Vec<Outcome> = self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        let last = self.shared.world.lock().unwrap().epoch;
        let mut seen = Seen::default();
        for outcome in outcomes {
            seen.in_last_epoch += u64::from(outcome.epoch == last);
            match outcome.result {
                Ok(Version::First) => seen.first += 1,
                Ok(Version::Second) => seen.second += 1,
                Err(failure) => seen.failures.push(failure),
            }
        }
        seen
    }
}

impl Shared {
    fn work(&self, index: usize) -> Vec<Outcome> {
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build();
        let agent: ureq::Agent = config.into();
        let mut outcomes = Vec::new();
        for expected in self.expected.iter().cycle().skip(index) {
            let world = self.world.lock().unwrap();
            let before = self.changed.wait_while(world, |world| world.epoch % 2 == 1 && !world.stop).unwrap().clone();
            if before.stop {
                break;
            }
            let answer = ask(&agent, &before.url, expected);
            let mut after = self.world.lock().unwrap();
            if after.epoch == before.epoch {
                let result = answer.and_then(|version| check(version, before.allowed, after.allowed));
                outcomes.push(Outcome { epoch: before.epoch, result });
            }
            after.answered += 1;
            drop(after);
            self.changed.notify_all();
        }
        outcomes
    }
}

/// The version that answered, told by the numbers and by the header alike.
fn ask(agent: &ureq::Agent, url: &str, expected: &Expected) -> Result<Version, String> {
    let mut answer =
        agent.post(format!("{url}/predict")).send(&expected.body).map_err(|error| format!("no answer: {error}"))?;
    let header = answer.headers().get("x-dede-served-by").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let status = answer.status().as_u16();
    let text = answer.body_mut().read_to_string().map_err(|error| format!("half an answer: {error}"))?;
    if status != 200 {
        return Err(format!("{status}: {text}"));
    }
    let json: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
    if json["head"]["service"] != "service1" {
        return Err(format!("another name than the client asked for: {text}"));
    }
    let classes = read_classes(&json).ok_or_else(|| format!("no classes: {text}"))?;
    let (version, digest) = if classes == expected.first {
        (Version::First, &expected.first_digest)
    } else if classes == expected.second {
        (Version::Second, &expected.second_digest)
    } else {
        return Err(format!("numbers of neither version: {text}"));
    };
    let named = header.as_deref().and_then(|header| header.split_once('@')).map(|(_, digest)| digest.to_owned());
    if named.as_ref() == Some(digest) {
        Ok(version)
    } else {
        Err(format!("{version:?} by its numbers, header {header:?}"))
    }
}

/// `before` and `after` are what was allowed when the request began and ended.
fn check(version: Version, before: Allowed, after: Allowed) -> Result<Version, String> {
    let right = match (before, after) {
        (Allowed::First, Allowed::First) => version == Version::First,
        (Allowed::Second, Allowed::Second) => version == Version::Second,
        _ => true,
    };
    if right { Ok(version) } else { Err(format!("{version:?} answered where {before:?} was right")) }
}
