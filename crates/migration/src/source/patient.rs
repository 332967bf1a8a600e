//! The source of a move as the move's own thread asks it: a question that fails because the source is away is asked
//! again until the source is back, the move is undone, or a timeout passes; a question without an answer is abandoned
//! as soon as the move is undone.
//!
//! All questions to a source only read, so they may be repeated. This module must not know how a source is reached.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use dede_bundle::Digest;
use dede_model::error::{Error, Result};
use dede_model::priority;
use serde_json::Value;

use crate::golden_set::GoldenSet;
use crate::handle::Move;
use crate::record::{GoldenCase, Object};
use crate::source::pipe::{Received, pipe, receive};
use crate::{HostDescription, ModelSource};

/// How long a source may be away: a restart with large networks to load takes about as long.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// The source of a move, asked again where it is away.
pub(crate) fn patient(peer: Arc<dyn ModelSource>, this: &Arc<Move>) -> Arc<dyn ModelSource> {
    Arc::new(Patient { peer, this: Arc::clone(this), patience: PATIENCE, until: None })
}

/// The source of a move, asked once: one that is away is an error at once, and one that does not answer holds the move only until it is
/// undone.
pub(crate) fn abandonable(peer: Arc<dyn ModelSource>, this: &Arc<Move>) -> Arc<dyn ModelSource> {
    Arc::new(Patient { peer, this: Arc::clone(this), patience: Duration::ZERO, until: None })
}

/// As [`abandonable`], for a move that clients wait for: answers that do not come before `until` are not waited for.
pub(crate) fn abandonable_at(peer: Arc<dyn ModelSource>, this: &Arc<Move>, until: Instant) -> Arc<dyn ModelSource> {
    Arc::new(Patient { peer, this: Arc::clone(this), patience: Duration::ZERO, until: Some(until) })
}

struct Patient {
    peer: Arc<dyn ModelSource>,
    this: Arc<Move>,
    patience: Duration,
    until: Option<Instant>,
}

impl Patient {
    fn ask<T: Send + 'static>(
        &self,
        attempt: impl Fn(&dyn ModelSource) -> Result<T> + Clone + Send + 'static,
    ) -> Result<T> {
        self.ask_and_go_on(move |peer, answer| {
            // Sending fails where the move was undone meanwhile; then the answer is of no use.
            let _ = answer.send(attempt(peer));
        })
    }

    /// As [`Patient::ask`]; the thread of the attempt may do more after its answer.
    fn ask_and_go_on<T: Send + 'static>(
        &self,
        attempt: impl Fn(&dyn ModelSource, &SyncSender<Result<T>>) + Clone + Send + 'static,
    ) -> Result<T> {
        let deadline = self.this.clock().now() + self.patience;
        loop {
            let reason = match self.once(attempt.clone()) {
                Err(Error::PeerAway(reason)) if self.this.clock().now() < deadline => reason,
                other => return other,
            };
            self.this.show(format!("waits for the source: {reason}"), None);
            let pause = deadline.min(self.this.clock().now() + PAUSE);
            self.this.wait_until(Some(pause), || self.this.undoing().is_some());
        }
    }

    /// One attempt, on a thread of its own: it may never be answered. An abandoned attempt ends by the timeouts of its connection, and
    /// since undoing ends the move, a move abandons one at most.
    fn once<T: Send + 'static>(
        &self,
        attempt: impl FnOnce(&dyn ModelSource, &SyncSender<Result<T>>) + Send + 'static,
    ) -> Result<T> {
        if let Some(reason) = self.this.undoing() {
            return Err(Error::Cancelled(reason));
        }
        let (sender, answer) = sync_channel(1);
        let (peer, gives_way) = (Arc::clone(&self.peer), priority::gives_way());
        let work = move || {
            if gives_way {
                priority::give_way();
            }
            attempt(peer.as_ref(), &sender);
        };
        let spawned = thread::Builder::new().name("move-source".into()).spawn(work);
        spawned.map_err(Error::io("start a thread"))?;
        match receive(&answer, &self.this, self.until) {
            Received::Item(outcome) => outcome,
            Received::Undone(reason) => Err(Error::Cancelled(reason)),
            Received::Late => {
                let text = format!("{} does not answer while requests wait for this move", self.peer.address());
                Err(Error::PeerAway(text))
            }
            Received::Ended => {
                Err(Error::Internal("internal error (panic) while the source was asked; see the log".into()))
            }
        }
    }
}

impl ModelSource for Patient {
    fn address(&self) -> String {
        self.peer.address()
    }

    fn describe(&self) -> Result<Option<HostDescription>> {
        self.ask(|peer| peer.describe())
    }

    fn bundle(&self, service: &str, with_training_state: bool) -> Result<(Vec<u8>, Vec<u8>)> {
        let service = service.to_owned();
        self.ask(move |peer| peer.bundle(&service, with_training_state))
    }

    fn blob(&self, service: &str, digest: &Digest, range: Range<u64>) -> Result<Box<dyn Read + Send>> {
        let (service, digest, this) = (service.to_owned(), *digest, Arc::clone(&self.this));
        self.ask_and_go_on(move |peer, answer| match peer.blob(&service, &digest, range.clone()) {
            Ok(body) => {
                let (reader, pump) = pipe(body, range.end.saturating_sub(range.start), &this);
                if answer.send(Ok(Box::new(reader) as Box<dyn Read + Send>)).is_ok() {
                    pump.run();
                }
            }
            Err(error) => {
                let _ = answer.send(Err(error));
            }
        })
    }

    fn chunks(&self, service: &str, digest: &Digest) -> Result<Option<Vec<u8>>> {
        let (service, digest) = (service.to_owned(), *digest);
        self.ask(move |peer| peer.chunks(&service, &digest))
    }

    fn predict(&self, service: &str, request: &Object) -> Result<Vec<Value>> {
        let (service, request) = (service.to_owned(), Arc::new(request.clone()));
        self.ask(move |peer| peer.predict(&service, &request))
    }

    fn captured(&self, service: &str) -> Result<Vec<GoldenCase>> {
        let service = service.to_owned();
        self.ask(move |peer| peer.captured(&service))
    }

    fn golden_set(&self, service: &str) -> Result<GoldenSet> {
        let service = service.to_owned();
        self.ask(move |peer| peer.golden_set(&service))
    }
}
