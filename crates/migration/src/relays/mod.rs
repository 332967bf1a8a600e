//! Relays: a source that this server cannot reach, asked by a command that reaches both.
//!
//! It owns the list of relays and their names. Each has a [`queue`] of questions. A relay lives in memory; a command
//! that continues it makes it anew under its name. What is asked is in [`question`]; the meaning of answers in `source/relay.rs`.

mod question;
mod queue;

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use dede_model::error::{Error, Result};

pub use self::question::{Failure, FailureKind, NumberedQuestion, Question};
use self::queue::{Queue, Times, away};
use crate::clock::Clock;

/// Prefix of a move's source that is a relay.
pub(crate) const PREFIX: &str = "relay:";
/// Relays that are remembered.
const REMEMBERED: usize = 64;
/// Hex digits that tell relays apart.
const DIGITS: usize = 32;
/// Longest URL of a source, bytes.
const FROM_LIMIT: usize = 400;
/// Longest reason of a command, characters.
const REASON_LIMIT: usize = 2000;

/// An answer, read as it arrives.
pub type Content = Box<dyn Read + Send>;

/// All relays of this server.
pub struct Relays {
    known: Mutex<BTreeMap<String, Arc<Queue>>>,
    times: Times,
    clock: Arc<dyn Clock>,
}

impl Relays {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_times(Times::default(), clock)
    }

    fn with_times(times: Times, clock: Arc<dyn Clock>) -> Self {
        Self { known: Mutex::default(), times, clock }
    }

    /// Opens a relay to the server at this URL; returns the name that a move gives as its source. With the `source` of
    /// an earlier call, that relay is continued, whether it is still known or not.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for a URL or a source that is none; [`Error::Overloaded`] when too many relays are in use.
    pub fn open(&self, from: &str, source: Option<&str>) -> Result<String> {
        let source = match source {
            Some(source) => source.to_owned(),
            None => format!("{PREFIX}{}:{from}", fresh()?),
        };
        origin(&source)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = known.get(&source) {
            queue.attend();
            return Ok(source);
        }
        known.retain(|_, queue| queue.is_in_use());
        if known.len() >= REMEMBERED {
            return Err(Error::Overloaded(format!("{REMEMBERED} relays are in use, the most at once")));
        }
        known.insert(source.clone(), Arc::new(Queue::new(self.times, Arc::clone(&self.clock))));
        Ok(source)
    }

    /// The first question after number `after` that is not answered; waits a moment for one, without a thread.
    ///
    /// # Errors
    /// [`Error::MoveConflict`] for a relay that is not known, or not any more.
    pub async fn next(&self, source: &str, after: u64) -> Result<Option<NumberedQuestion>> {
        let queue = self.find(source)?;
        Ok(queue.next(after).await)
    }

    /// Hands over the answer to a question; the thread that asked reads it.
    ///
    /// # Errors
    /// [`Error::MoveConflict`] for a question that is not waiting, or that was answered.
    pub fn answer(&self, source: &str, number: u64, content: Content) -> Result<()> {
        self.find(source)?.answer(number, Ok(content))
    }

    /// Says why a question is not answered.
    ///
    /// # Errors
    /// As [`Relays::answer`].
    pub fn refuse(&self, source: &str, number: u64, failure: Failure) -> Result<()> {
        let text: String = failure.text.chars().take(REASON_LIMIT).collect();
        let error = match failure.kind {
            FailureKind::Away => Error::PeerAway(text),
            FailureKind::Refused => Error::Peer(text),
            FailureKind::Forbidden => Error::Forbidden(text),
        };
        self.find(source)?.answer(number, Err(error))
    }

    /// Asks, and blocks until the answer begins: a thread that works for a move does nothing else meanwhile.
    pub(crate) fn ask(&self, source: &str, question: Question) -> Result<Content> {
        let queue = self.find(source).map_err(|_| away())?;
        queue.ask(question)
    }

    /// Whether a source can be asked now, where it is a relay.
    ///
    /// # Errors
    /// [`Error::MoveConflict`] that says how to relay.
    pub(crate) fn check(&self, source: &str) -> Result<()> {
        if !source.starts_with(PREFIX) || self.find(source).is_ok_and(|queue| queue.is_attended()) {
            return Ok(());
        }
        Err(Error::MoveConflict(format!("{}; give the command --relay and --from", away())))
    }

    fn find(&self, source: &str) -> Result<Arc<Queue>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(source).cloned();
        found.ok_or_else(|| Error::MoveConflict("there is no such relay: it ended with a restart, or long ago".into()))
    }
}

/// The URL in the name of a relay: `relay:<32 hex digits>:<URL>`.
///
/// # Errors
/// [`Error::BadParameter`] when it is no name of a relay.
pub(crate) fn origin(source: &str) -> Result<&str> {
    let parts = source.strip_prefix(PREFIX).and_then(|rest| rest.split_once(':'));
    let is_hex = |digits: &str| digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_plain =
        |from: &str| !from.is_empty() && from.len() <= FROM_LIMIT && from.bytes().all(|byte| byte.is_ascii_graphic());
    let found = parts.filter(|(digits, from)| is_hex(digits) && is_plain(from));
    found.map(|(_, from)| from).ok_or_else(|| {
        let text = format!("expected {PREFIX}, {DIGITS} hex digits, a colon and a URL of at most {FROM_LIMIT} bytes");
        Error::bad_parameter_at("source", text)
    })
}

/// Random digits that cannot be guessed.
fn fresh() -> Result<String> {
    let mut bytes = [0; DIGITS / 2];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Error::Internal(format!("no random numbers: {error}")))?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests;
