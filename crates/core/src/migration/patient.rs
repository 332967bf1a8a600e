//! A source that may be away for a while: what it does not answer is asked again until it is back, the move is aborted, or patience ends.
//!
//! All that is asked of a source only reads, so it may be asked any number of times.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dede_api::Object;
use dede_api::moves::GoldenCase;
use dede_bundle::Digest;
use serde_json::Value;

use super::state::Move;
use super::{HostDescription, Peer};
use crate::error::{Error, Result};

/// How long a source may be away: a restart with large networks to load takes about as long.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// The source of a move, asked again where it is away.
pub(super) fn patient(peer: Arc<dyn Peer>, this: &Arc<Move>) -> Arc<dyn Peer> {
    Arc::new(Patient { peer, this: Arc::clone(this) })
}

struct Patient {
    peer: Arc<dyn Peer>,
    this: Arc<Move>,
}

impl Patient {
    fn ask<T>(&self, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let reason = match attempt() {
                Err(Error::PeerAway(reason)) if Instant::now() < deadline => reason,
                other => return other,
            };
            self.this.show(format!("waits for the source: {reason}"), None);
            let pause = deadline.min(Instant::now() + PAUSE);
            if self.this.wait_until(Some(pause), || self.this.undoing().is_some()) {
                return Err(Error::Cancelled(self.this.undoing().unwrap_or_default()));
            }
        }
    }
}

impl Peer for Patient {
    fn address(&self) -> String {
        self.peer.address()
    }

    fn describe(&self) -> Result<Option<HostDescription>> {
        self.ask(|| self.peer.describe())
    }

    fn bundle(&self, service: &str, with_training_state: bool) -> Result<(Vec<u8>, Vec<u8>)> {
        self.ask(|| self.peer.bundle(service, with_training_state))
    }

    fn blob(&self, service: &str, digest: &Digest, range: Range<u64>) -> Result<Box<dyn Read + Send>> {
        self.ask(|| self.peer.blob(service, digest, range.clone()))
    }

    fn chunks(&self, service: &str, digest: &Digest) -> Result<Option<Vec<u8>>> {
        self.ask(|| self.peer.chunks(service, digest))
    }

    fn predict(&self, service: &str, request: &Object) -> Result<Vec<Value>> {
        self.ask(|| self.peer.predict(service, request))
    }

    fn captured(&self, service: &str) -> Result<Vec<GoldenCase>> {
        self.ask(|| self.peer.captured(service))
    }
}
