//! `--relay`: this command asks the source of a move, where the target cannot. One thread fetches the target's questions, one asks the
//! source and sends the answers back, until the command ends.
//!
//! [`grant`] decides which questions are asked. Each server is sent its own token alone.

mod grant;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use dede_api::moves::MoveRequest;
use dede_api::relays::{NumberedQuestion, RelayOffer, RelayOpened};
use dede_migration::ModelSource as Source;
use serde::Serialize;
use ureq::SendBody;
use ureq::http::Method;

use self::grant::Grant;
use super::moving::RelayOptions;
use super::peers::ConfigOption;
use super::remote::{self, Remote};
use super::report::remark;
use crate::peer::{path_part, source};

/// Prefix of a relayed move's source.
pub(super) const PREFIX: &str = "relay:";
/// Questions that wait for the source; a target asks one after the other.
const QUESTIONS: usize = 16;
/// Between two attempts to reach the target.
const PAUSE: Duration = Duration::from_millis(300);
/// How long an answer is offered to a target that is away.
const PATIENCE: Duration = Duration::from_secs(60);

impl RelayOptions {
    /// Continues to relay for a request that was made before; without `--relay` there is nothing to do.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn go_on(&self, request: &MoveRequest, target: &Remote, config: &ConfigOption) -> Result<(), String> {
        let Some(from) = self.from.as_deref().filter(|_| self.relay) else { return Ok(()) };
        if !request.source.starts_with(PREFIX) {
            return Err(format!("it was not begun with --relay: its source is {}", request.source));
        }
        begin(from, request, target, config).map(drop)
    }
}

/// Begins to relay the source of a request; returns the name that the move gives as its source. A request that names a
/// relay already continues that one.
///
/// # Errors
/// A sentence.
pub(super) fn begin(
    from: &str,
    request: &MoveRequest,
    target: &Remote,
    config: &ConfigOption,
) -> Result<String, String> {
    let peer = remote::peer(Some(from), config)?;
    let asked = source::of(&peer).map_err(|error| error.to_string())?;
    let grant = Grant::of(request);
    let known = Some(request.source.clone()).filter(|source| source.starts_with(PREFIX));
    let mut offer = RelayOffer { from: peer.url.to_string(), source: known };
    let opened = open(target, &offer)?;
    offer.source = Some(opened.clone());
    remark(&format!("relays {grant} of {} to {}", asked.address(), target.name()));
    // Both threads end with the process: a move that does not need them any more does not wait for them.
    let (sender, receiver) = sync_channel(QUESTIONS);
    let listening = target.clone();
    spawn("relay-questions", move || listen(&listening, &offer, &sender))?;
    let (answering, place) = (target.clone(), place(&opened));
    spawn("relay-answers", move || answer_all(&receiver, &grant, &asked, &answering, &place))?;
    Ok(opened)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    spawned.map(drop).map_err(|error| format!("start a thread: {error}"))
}

fn place(source: &str) -> String {
    format!("/v2/_dede/relays/{}", path_part(source))
}

fn json(value: &impl Serialize) -> Result<String, String> {
    serde_json::to_string(value).map_err(|error| error.to_string())
}

fn open(target: &Remote, offer: &RelayOffer) -> Result<String, String> {
    let opened: RelayOpened = target.body(Method::POST, "/v2/_dede/relays", &json(offer)?)?;
    Ok(opened.source)
}

/// Fetches one question after the other. When the target is away, or does not know the relay any more, it is opened
/// there again; the command ends when it gives the move up.
fn listen(target: &Remote, offer: &RelayOffer, questions: &SyncSender<NumberedQuestion>) {
    let place = place(offer.source.as_deref().unwrap_or_default());
    let mut after = 0;
    loop {
        match target.body::<Option<NumberedQuestion>>(Method::GET, &format!("{place}/questions?after={after}"), "") {
            Ok(None) => {}
            Ok(Some(asked)) => {
                after = asked.number;
                if questions.send(asked).is_err() {
                    return;
                }
            }
            Err(_) => {
                std::thread::sleep(PAUSE);
                if open(target, offer).is_ok() {
                    after = 0;
                }
            }
        }
    }
}

fn answer_all(
    questions: &Receiver<NumberedQuestion>,
    grant: &Grant,
    source: &Arc<dyn Source>,
    target: &Remote,
    place: &str,
) {
    for asked in questions {
        let deadline = Instant::now() + PATIENCE;
        // A target that got only a part waits for the rest, or asks again; an answer that it refuses is dropped.
        while answer(&asked, grant, source, target, place).is_err() && Instant::now() < deadline {
            std::thread::sleep(PAUSE);
        }
    }
}

/// Asks the source, and sends what it says in the pieces that it comes in.
fn answer(
    asked: &NumberedQuestion,
    grant: &Grant,
    source: &Arc<dyn Source>,
    target: &Remote,
    place: &str,
) -> Result<bool, String> {
    let number = asked.number;
    match grant.answer(&asked.question, source.as_ref()) {
        Ok(content) => target.put(&format!("{place}/answers/{number}"), SendBody::from_owned_reader(content)),
        Err(failure) => target.put(&format!("{place}/failures/{number}"), json(&failure)?),
    }
}
