//! A clock for tests: it stands still until a thread waits for it, and then it is at once as late as that thread wants.
//!
//! What else happens in the time that is waited for is told beforehand, by when.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dede_model::watch::Watch;

use super::{Clock, Waiting};

/// What happens at a time.
type Event = Box<dyn FnOnce() + Send>;

/// See above.
pub(crate) struct ControlledClock {
    begun: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    passed: Duration,
    events: Vec<(Duration, Event)>,
}

/// When controlled clocks begin, milliseconds since 1970.
pub(crate) const BEGUN_MS: u64 = 1_700_000_000_000;

impl ControlledClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { begun: Instant::now(), state: Mutex::default() })
    }

    /// The time since the clock began.
    pub(crate) fn passed(&self) -> Duration {
        self.state.lock().unwrap().passed
    }

    /// Lets time pass.
    pub(crate) fn advance(&self, by: Duration) {
        let until = self.passed() + by;
        self.advance_to(until);
    }

    /// Has something happen once so much time has passed.
    pub(crate) fn at(&self, passed: Duration, event: impl FnOnce() + Send + 'static) {
        self.state.lock().unwrap().events.push((passed, Box::new(event)));
    }

    fn advance_to(&self, until: Duration) {
        let due = {
            let mut state = self.state.lock().unwrap();
            state.passed = state.passed.max(until);
            let passed = state.passed;
            let (due, left) = std::mem::take(&mut state.events).into_iter().partition(|(at, _)| *at <= passed);
            state.events = left;
            due
        };
        let due: Vec<(Duration, Event)> = due;
        due.into_iter().for_each(|(_, event)| event());
    }
}

impl Clock for ControlledClock {
    fn now(&self) -> Instant {
        self.begun + self.passed()
    }

    fn unix_ms(&self) -> u64 {
        BEGUN_MS + self.passed().as_millis() as u64
    }

    fn wait(&self, changed: &Watch, seen: u64, until: Instant) {
        if changed.version() <= seen {
            self.advance_to(until.saturating_duration_since(self.begun));
        }
    }

    fn waiting<'a>(&'a self, changed: &'a Watch, seen: u64, until: Instant) -> Waiting<'a> {
        Box::pin(async move { self.wait(changed, seen, until) })
    }
}
