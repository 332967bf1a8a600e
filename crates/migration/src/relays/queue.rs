//! The questions of one relay. They wait until a command fetches and answers them; one that was fetched stays until it
//! is answered, so that it is not lost with the command that fetched it. When no command has asked for a while, the
//! source counts as away.
//!
//! One lock, held for memory only: the thread that asked a question reads its answer. Commands wait without a thread.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dede_model::error::{Error, Result};
use dede_model::watch::Watch;

use super::Content;
use super::question::{NumberedQuestion, Question};
use crate::clock::Clock;

/// Questions that wait at once: a move asks one after the other.
pub(crate) const QUESTIONS: usize = 16;
/// How long a command that asks for questions waits for one.
const POLL: Duration = Duration::from_secs(3);
/// How long a command may be silent before it counts as gone.
const ABSENCE: Duration = Duration::from_secs(5);
/// Longest time until an answer begins: a little more than the command waits for the source.
const ANSWER: Duration = Duration::from_secs(660);

/// Relay timeouts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// How long a command waits for a question.
    pub(crate) poll: Duration,
    /// How long a command may be silent before it counts as gone.
    pub(crate) absence: Duration,
    /// How long a question waits for its answer.
    pub(crate) answer: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { poll: POLL, absence: ABSENCE, answer: ANSWER }
    }
}

/// Questions in the order they were asked.
pub(crate) struct Queue {
    state: Mutex<State>,
    /// Advanced with each question and each answer.
    changed: Watch,
    times: Times,
    clock: Arc<dyn Clock>,
}

struct State {
    asked: Vec<Asked>,
    last: u64,
    /// Commands that wait for a question now.
    waiting: usize,
    /// When a command asked last.
    seen: Instant,
}

struct Asked {
    number: u64,
    question: Question,
    answer: Option<Result<Content>>,
}

impl Queue {
    pub(crate) fn new(times: Times, clock: Arc<dyn Clock>) -> Self {
        let state = State { asked: Vec::new(), last: 0, waiting: 0, seen: clock.now() };
        Self { state: Mutex::new(state), changed: Watch::default(), times, clock }
    }

    /// Whether questions wait, or a command is there to answer them.
    pub(crate) fn is_in_use(&self) -> bool {
        let state = self.lock();
        !state.asked.is_empty() || self.is_attended_at(&state)
    }

    /// Notes that a command is there.
    pub(crate) fn attend(&self) {
        self.lock().seen = self.clock.now();
    }

    /// Whether a command waits for questions, or did a moment ago.
    pub(crate) fn is_attended(&self) -> bool {
        self.is_attended_at(&self.lock())
    }

    fn is_attended_at(&self, state: &State) -> bool {
        !state.attended_for(self.times, self.clock.now()).is_zero()
    }

    /// The first question after number `after` that is not answered; waits a moment for one, without a thread.
    pub(crate) async fn next(&self, after: u64) -> Option<NumberedQuestion> {
        let deadline = self.clock.now() + self.times.poll;
        let _attendance = Attendance::begin(self);
        loop {
            let seen = self.changed.version();
            let now = self.clock.now();
            let found = self.lock().unanswered(after);
            if found.is_some() || now >= deadline {
                return found;
            }
            self.clock.waiting(&self.changed, seen, deadline).await;
        }
    }

    /// Gives a question its answer, once.
    pub(crate) fn answer(&self, number: u64, answer: Result<Content>) -> Result<()> {
        let mut state = self.lock();
        let asked = state.asked.iter_mut().find(|asked| asked.number == number && asked.answer.is_none());
        let asked = asked
            .ok_or_else(|| Error::MoveConflict(format!("question {number} is answered already, or no longer waits")))?;
        asked.answer = Some(answer);
        drop(state);
        self.changed.advance();
        Ok(())
    }

    /// Asks, and waits until the answer begins, the command is gone, or the time is over.
    pub(crate) fn ask(&self, question: Question) -> Result<Content> {
        let number = self.put(question)?;
        let deadline = self.clock.now() + self.times.answer;
        loop {
            let seen = self.changed.version();
            let now = self.clock.now();
            let mut state = self.lock();
            if let Some(answer) = state.take_answer(number) {
                return answer;
            }
            let left = deadline.saturating_duration_since(now).min(state.attended_for(self.times, now));
            if left.is_zero() {
                state.asked.retain(|asked| asked.number != number);
                return Err(away());
            }
            drop(state);
            self.clock.wait(&self.changed, seen, now + left);
        }
    }

    /// Lines a question up; gives its number.
    fn put(&self, question: Question) -> Result<u64> {
        let mut state = self.lock();
        if !self.is_attended_at(&state) {
            return Err(away());
        }
        if state.asked.len() >= QUESTIONS {
            return Err(Error::PeerAway(format!(
                "{QUESTIONS} questions wait for the relaying command, the most at once"
            )));
        }
        state.last += 1;
        let number = state.last;
        state.asked.push(Asked { number, question, answer: None });
        drop(state);
        self.changed.advance();
        Ok(number)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A command that waits for a question, to the end of its wait or of its connection.
struct Attendance<'a>(&'a Queue);

impl<'a> Attendance<'a> {
    fn begin(queue: &'a Queue) -> Self {
        queue.lock().waiting += 1;
        Self(queue)
    }
}

impl Drop for Attendance<'_> {
    fn drop(&mut self) {
        let now = self.0.clock.now();
        let mut state = self.0.lock();
        state.waiting -= 1;
        state.seen = now;
    }
}

impl State {
    /// How long a command still counts as there if it stays silent.
    fn attended_for(&self, times: Times, now: Instant) -> Duration {
        if self.waiting > 0 {
            times.absence
        } else {
            times.absence.saturating_sub(now.saturating_duration_since(self.seen))
        }
    }

    fn unanswered(&self, after: u64) -> Option<NumberedQuestion> {
        let found = self.asked.iter().find(|asked| asked.number > after && asked.answer.is_none())?;
        Some(NumberedQuestion { number: found.number, question: found.question.clone() })
    }

    fn take_answer(&mut self, number: u64) -> Option<Result<Content>> {
        let place = self.asked.iter().position(|asked| asked.number == number && asked.answer.is_some())?;
        self.asked.remove(place).answer
    }
}

/// The source cannot be asked now.
pub(crate) fn away() -> Error {
    Error::PeerAway("no command relays to the source of this move any more (dede resume ID --relay --from PEER)".into())
}
