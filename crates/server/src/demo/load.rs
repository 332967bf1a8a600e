//! Clients that call a service without a pause and count every answer.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ureq::Agent;

use super::Failure;
use super::digits::Digits;

/// When a request was sent, seen from the move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Before,
    During,
    After,
}

impl Phase {
    pub(super) const ALL: [Self; 3] = [Self::Before, Self::During, Self::After];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::During => "during",
            Self::After => "after",
        }
    }
}

/// The running clients.
pub(super) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<[PhaseFigures; 3]>>,
}

struct Shared {
    url: String,
    bodies: Vec<String>,
    stop: AtomicBool,
    phase: AtomicU8,
    answered: AtomicU64,
    /// Woken at every answer, for [`Load::wait_for`].
    tick: (Mutex<()>, Condvar),
}

/// What the clients saw in one phase.
#[derive(Debug, Clone, Default)]
pub(super) struct PhaseFigures {
    pub(super) latencies: Vec<Duration>,
    pub(super) failures: Vec<String>,
}

/// What all clients saw.
pub(super) struct Figures {
    pub(super) phases: [PhaseFigures; 3],
}

impl Load {
    /// Starts `clients` threads on a service.
    pub(super) fn start(url: &str, service: &str, digits: &Digits, clients: usize) -> Result<Self, Failure> {
        let body = |row: &String| json!({"service": service, "data": [row]}).to_string();
        let shared = Arc::new(Shared {
            url: format!("{url}/predict"),
            bodies: digits.rows.iter().map(body).collect(),
            stop: AtomicBool::new(false),
            phase: AtomicU8::new(0),
            answered: AtomicU64::new(0),
            tick: (Mutex::new(()), Condvar::new()),
        });
        let start = |index: usize| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name(format!("client-{index}")).spawn(move || shared.call_on(index))
        };
        let clients = (0..clients).map(start).collect::<std::io::Result<Vec<_>>>()?;
        Ok(Self { shared, clients })
    }

    /// From now on requests count for this phase.
    pub(super) fn enter(&self, phase: Phase) {
        self.shared.phase.store(phase as u8, Ordering::Release);
    }

    /// Waits until `count` more requests are answered.
    pub(super) fn wait_for(&self, count: u64) {
        let until = self.shared.answered.load(Ordering::Acquire) + count;
        let (lock, changed) = &self.shared.tick;
        let guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
        drop(changed.wait_while(guard, |()| self.shared.answered.load(Ordering::Acquire) < until));
    }

    /// Ends the clients, each after its present request.
    pub(super) fn stop(self) -> Figures {
        self.shared.stop.store(true, Ordering::Release);
        let mut phases = [const { PhaseFigures { latencies: Vec::new(), failures: Vec::new() } }; 3];
        for client in self.clients {
            let Ok(seen) = client.join() else {
                phases[0].failures.push("a client ended by a bug".into());
                continue;
            };
            for (phase, seen) in phases.iter_mut().zip(seen) {
                phase.latencies.extend(seen.latencies);
                phase.failures.extend(seen.failures);
            }
        }
        for phase in &mut phases {
            phase.latencies.sort_unstable();
        }
        Figures { phases }
    }
}

impl Shared {
    fn call_on(&self, first: usize) -> [PhaseFigures; 3] {
        let config = Agent::config_builder().http_status_as_error(false).proxy(None).build();
        let agent: Agent = config.into();
        let mut seen = <[PhaseFigures; 3]>::default();
        for body in self.bodies.iter().cycle().skip(first * 17) {
            if self.stop.load(Ordering::Acquire) {
                break;
            }
            let phase = &mut seen[usize::from(self.phase.load(Ordering::Acquire))];
            let started = Instant::now();
            match self.call(&agent, body) {
                Ok(()) => phase.latencies.push(started.elapsed()),
                Err(failure) => phase.failures.push(failure.to_string()),
            }
            self.answered.fetch_add(1, Ordering::AcqRel);
            let _guard = self.tick.0.lock().unwrap_or_else(PoisonError::into_inner);
            self.tick.1.notify_all();
        }
        seen
    }

    /// A success is a 200 with one class of a digit.
    fn call(&self, agent: &Agent, body: &str) -> Result<(), Failure> {
        let mut answer = agent.post(&self.url).send(body)?;
        let text = answer.body_mut().read_to_string()?;
        let json: Value = serde_json::from_str(&text)?;
        let class = json["body"]["predictions"][0]["classes"][0]["cat"].as_str();
        let is_digit = class.and_then(|class| class.parse::<u8>().ok()).is_some_and(|digit| digit < 10);
        if answer.status() == 200 && is_digit { Ok(()) } else { Err(text.into()) }
    }
}

impl Figures {
    /// # Errors
    /// When a request failed, with the first of them.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let failures: Vec<&String> = self.phases.iter().flat_map(|phase| &phase.failures).collect();
        match failures.first() {
            None => Ok(()),
            Some(first) => Err(format!("{} requests failed; the first: {first}", failures.len()).into()),
        }
    }
}

impl PhaseFigures {
    /// The latency below which `share` of the requests were answered, in milliseconds.
    pub(super) fn percentile_ms(&self, share: f64) -> f64 {
        let rank = (self.latencies.len() as f64 * share).ceil() as usize;
        self.latencies.get(rank.saturating_sub(1)).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1000.0)
    }
}
