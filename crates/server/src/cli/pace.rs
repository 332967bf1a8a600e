//! States of a move as lines of JSON, for programs: the newest one, a few lines a second at most, and always the last.
//!
//! A thread of its own prints, so that a state that had to wait is printed when its time has come, whether another follows or not.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use dede_api::moves::MoveInfo;

use super::report::say_json;

/// Shortest time between two lines.
const INTERVAL: Duration = Duration::from_millis(500);
/// States on their way to the thread that prints.
const STATES: usize = 16;

/// Prints states; ends when it is dropped, with the last one.
pub(super) struct Paced {
    states: Option<SyncSender<MoveInfo>>,
    printing: Option<JoinHandle<()>>,
}

impl Paced {
    /// Nothing is printed yet.
    pub(super) fn new() -> Self {
        let (states, waiting) = sync_channel(STATES);
        let printing = thread::Builder::new().name("states".into()).spawn(move || print(&waiting)).ok();
        Self { states: printing.is_some().then_some(states), printing }
    }

    /// Prints a state, at once or when its time has come, unless a newer one takes its place.
    pub(super) fn show(&self, info: &MoveInfo) {
        // Without a thread every state is printed.
        let sent = self.states.as_ref().is_some_and(|states| states.send(info.clone()).is_ok());
        if !sent {
            say_json(info);
        }
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        self.states = None;
        // The thread ends with the states; a panic in it has lost nothing but lines.
        let _ = self.printing.take().map(JoinHandle::join);
    }
}

fn print(states: &Receiver<MoveInfo>) {
    let mut pace = Pace::default();
    loop {
        let received = match pace.wait(Instant::now()) {
            None => states.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(wait) => states.recv_timeout(wait),
        };
        let ended = matches!(received, Err(RecvTimeoutError::Disconnected));
        pace.waiting = received.ok().or(pace.waiting.take());
        if let Some(info) = pace.next(Instant::now(), ended) {
            say_json(&info);
        }
        if ended {
            return;
        }
    }
}

/// Which state is printed when.
struct Pace<T> {
    waiting: Option<T>,
    printed: Option<Instant>,
}

impl<T> Default for Pace<T> {
    fn default() -> Self {
        Self { waiting: None, printed: None }
    }
}

impl<T> Pace<T> {
    /// Time until the state that waits is printed, if one waits.
    fn wait(&self, now: Instant) -> Option<Duration> {
        self.waiting.as_ref()?;
        Some(self.printed.map_or(Duration::ZERO, |printed| (printed + INTERVAL).saturating_duration_since(now)))
    }

    /// The state to print now.
    fn next(&mut self, now: Instant, ended: bool) -> Option<T> {
        if !ended && self.wait(now)? > Duration::ZERO {
            return None;
        }
        let next = self.waiting.take()?;
        self.printed = Some(now);
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_state_is_printed_twice_a_second_and_the_last_always() {
        let (start, mut pace) = (Instant::now(), Pace::default());
        let mut printed = Vec::new();
        // A state each millisecond, the last right after one that was printed.
        for state in 0..=2001_u64 {
            let now = start + Duration::from_millis(state);
            pace.waiting = Some(state);
            printed.extend(pace.next(now, state == 2001));
        }
        assert_eq!(printed, [0, 500, 1000, 1500, 2000, 2001]);
    }

    #[test]
    fn a_state_that_waits_is_printed_though_none_follows() {
        let (start, mut pace) = (Instant::now(), Pace::default());
        assert_eq!((pace.wait(start), pace.next(start, false)), (None, None));
        pace.waiting = Some("first");
        assert_eq!(pace.next(start, false), Some("first"));
        pace.waiting = Some("second");
        assert_eq!(pace.next(start + INTERVAL / 5, false), None);
        assert_eq!(pace.wait(start + INTERVAL / 5), Some(INTERVAL * 4 / 5));
        assert_eq!(pace.next(start + INTERVAL, false), Some("second"));
        assert_eq!(pace.next(start + INTERVAL * 3, true), None, "printed already");
    }
}
