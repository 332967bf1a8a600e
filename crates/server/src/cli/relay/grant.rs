//! The questions that a target may ask through a relay: about the one service that the command was started for, on the
//! one server that the user named, and no more of it than the user allowed.
//!
//! The target is not trusted. A question that goes further is refused here, and never sent to the source.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{Cursor, Read};
use std::sync::{Mutex, PoisonError};

use dede_api::Object;
use dede_api::moves::MoveRequest;
use dede_api::relays::{RelayFailure, RelayFailureKind, RelayQuestion, RelayedBundle};
use dede_bundle::Digest;
use dede_bundle::modelpack::Bundle;
use dede_migration::ModelSource as Source;
use dede_model::error::{Error, Result};
use serde::Serialize;
use serde_json::Value;

/// An answer as it comes.
type Content = Box<dyn Read + Send>;

/// What one command may relay.
pub(super) struct Grant {
    service: String,
    with_training_state: bool,
    with_requests: bool,
    /// Files of its bundle, as far as it was looked at.
    files: Mutex<BTreeSet<Digest>>,
}

impl Grant {
    /// What a request of a move wants.
    pub(super) fn of(request: &MoveRequest) -> Self {
        Self {
            service: request.service.clone(),
            with_training_state: request.with_training_state,
            with_requests: request.with_requests,
            files: Mutex::default(),
        }
    }

    /// Asks the source a question that may be asked.
    ///
    /// # Errors
    /// Why there is no answer, as the target is told.
    pub(super) fn answer(&self, question: &RelayQuestion, source: &dyn Source) -> Result<Content, RelayFailure> {
        self.ask(question, source).map_err(|error| {
            let text = error.to_string();
            let kind = if matches!(error, Error::PeerAway(_)) {
                RelayFailureKind::Away
            } else if matches!(error, Error::Forbidden(_)) {
                RelayFailureKind::Forbidden
            } else {
                RelayFailureKind::Refused
            };
            RelayFailure { kind, text }
        })
    }

    fn ask(&self, question: &RelayQuestion, source: &dyn Source) -> Result<Content> {
        match question {
            RelayQuestion::Host => json(&source.describe()?),
            RelayQuestion::Bundle { service, with_training_state } => {
                self.check_service(service)?;
                if *with_training_state && !self.with_training_state {
                    return refused("the training state, which this move does not take along");
                }
                json(&self.bundle(source, *with_training_state)?)
            }
            RelayQuestion::Blob { service, digest, start, end } => {
                let digest = self.file(service, digest, source)?;
                source.blob(&self.service, &digest, *start..*end)
            }
            RelayQuestion::Chunks { service, digest } => {
                let digest = self.file(service, digest, source)?;
                Ok(Box::new(Cursor::new(source.chunks(&self.service, &digest)?.unwrap_or_default())))
            }
            RelayQuestion::Predict { service, request } => {
                self.check_service(service)?;
                check_content(request)?;
                json(&source.predict(&self.service, request)?)
            }
            RelayQuestion::Captured { service } => {
                self.check_service(service)?;
                if !self.with_requests {
                    return refused("recent requests, which this move does not take along");
                }
                json(&source.captured(&self.service)?)
            }
        }
    }

    fn check_service(&self, service: &str) -> Result<()> {
        if service == self.service { Ok(()) } else { refused(&format!("another service than {}", self.service)) }
    }

    /// The bundle, whose files may be asked for from then on.
    fn bundle(&self, source: &dyn Source, with_training_state: bool) -> Result<RelayedBundle> {
        let (manifest, config) = source.bundle(&self.service, with_training_state)?;
        let invalid = |reason: String| Error::Peer(format!("{} sent no valid bundle: {reason}", source.address()));
        let bundle = Bundle::parse(&manifest, &config).map_err(|error| invalid(error.to_string()))?;
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.extend(bundle.files().iter().map(|file| file.digest));
        let text = |bytes| String::from_utf8(bytes).map_err(|error| invalid(error.to_string()));
        Ok(RelayedBundle { manifest: text(manifest)?, config: text(config)? })
    }

    /// A file of the service's bundle. A command that goes on with a move has not seen the bundle yet.
    fn file(&self, service: &str, digest: &str, source: &dyn Source) -> Result<Digest> {
        self.check_service(service)?;
        let Ok(digest) = digest.parse::<Digest>() else { return refused("a file without the name of a digest") };
        let is_known = || self.files.lock().unwrap_or_else(PoisonError::into_inner).contains(&digest);
        if !is_known() {
            self.bundle(source, self.with_training_state)?;
        }
        if is_known() { Ok(digest) } else { refused(&format!("{digest}, which is no file of {}", self.service)) }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let also = match (self.with_training_state, self.with_requests) {
            (false, false) => "",
            (true, false) => " with its training state",
            (false, true) => " with its recent requests",
            (true, true) => " with its training state and recent requests",
        };
        write!(formatter, "{}{also}", self.service)
    }
}

fn refused<T>(what: &str) -> Result<T> {
    Err(Error::Forbidden(format!("the command that relays was asked for {what}, and does not ask for it")))
}

fn json(value: &impl Serialize) -> Result<Content> {
    let bytes = serde_json::to_vec(value).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(Box::new(Cursor::new(bytes)))
}

/// Inputs of golden cases are content: nothing that the source would fetch or open, and no place that it would send its answer to.
fn check_content(request: &Object) -> Result<()> {
    let data = request.get("data").and_then(Value::as_array).into_iter().flatten();
    if !data.filter_map(Value::as_str).all(is_content) {
        return refused("the answer to a path or URL");
    }
    let output = request.get("parameters").and_then(|parameters| parameters.get("output"));
    if output.is_some_and(|output| output.get("network").is_some()) {
        return refused("an answer that is sent elsewhere");
    }
    Ok(())
}

/// First characters of an image in base64: JPEG, PNG, GIF, BMP, WebP, TIFF.
const IMAGES: [&str; 7] = ["/9j/", "iVBOR", "R0lG", "Qk", "UklG", "SUkq", "TU0A"];
/// Shorter than any image in base64, and longer than most names of files.
const SHORTEST_IMAGE: usize = 64;

/// Whether an item cannot name a file or a URL: an image in base64, or a row without anything that leads to another directory.
fn is_content(item: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=\r\n".contains(&byte);
    let begins_as_image = IMAGES.iter().any(|first| item.starts_with(first));
    if begins_as_image && item.len() >= SHORTEST_IMAGE && item.bytes().all(is_base64) {
        return true;
    }
    let is_row = item.contains([',', ';', '\t', ' ']) || item.trim().parse::<f64>().is_ok();
    is_row && !item.contains(['/', '\\']) && !item.starts_with(['.', '~'])
}

#[cfg(test)]
mod tests;
