//! A source that is asked through a relay: each question of the [`ModelSource`] trait as one that can travel, each answer read
//! within bounds.
//!
//! What comes back is as untrusted as from a source that is asked directly, and is checked by the same callers.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use dede_bundle::Digest;
use dede_bundle::chunks::LIST_LIMIT;
use dede_bundle::oci::MANIFEST_LIMIT;
use dede_model::error::{Error, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::record::{GoldenCase, Object};
use crate::relays::{Question, Relays, origin};
use crate::{HostDescription, ModelSource};

/// Largest answer in JSON, bytes.
const JSON_LIMIT: u64 = 256 << 20;
/// Two documents as text in JSON, where a character may take six.
const BUNDLE_LIMIT: u64 = 2 * 6 * MANIFEST_LIMIT;

/// Manifest and configuration of a bundle, as text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BundleText {
    manifest: String,
    config: String,
}

/// The other end of a relay. It is looked up for each question, since it may have been made anew meanwhile.
pub(crate) struct Relayed {
    relays: Arc<Relays>,
    source: String,
    address: String,
}

impl Relayed {
    /// The source of this name.
    ///
    /// # Errors
    /// [`Error::BadParameter`] when it is no name of a relay.
    pub(crate) fn new(relays: Arc<Relays>, source: &str) -> Result<Self> {
        let address = format!("{}, relayed", origin(source)?);
        Ok(Self { relays, source: source.to_owned(), address })
    }

    fn bytes(&self, question: Question, limit: u64) -> Result<Vec<u8>> {
        let content = self.relays.ask(&self.source, question)?;
        let mut bytes = Vec::new();
        let read = content.take(limit.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| Error::PeerAway(format!("{}: its answer broke off: {error}", self.address)))?;
        if bytes.len() as u64 > limit {
            return Err(Error::Peer(format!("{}: expected an answer of at most {limit} bytes", self.address)));
        }
        Ok(bytes)
    }

    fn json<T: DeserializeOwned>(&self, question: Question, limit: u64) -> Result<T> {
        let bytes = self.bytes(question, limit)?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Peer(format!("{}: {error}", self.address)))
    }
}

impl ModelSource for Relayed {
    fn address(&self) -> String {
        self.address.clone()
    }

    fn describe(&self) -> Result<Option<HostDescription>> {
        self.json(Question::Host, JSON_LIMIT)
    }

    fn bundle(&self, service: &str, with_training_state: bool) -> Result<(Vec<u8>, Vec<u8>)> {
        let question = Question::Bundle { service: service.into(), with_training_state };
        let BundleText { manifest, config } = self.json(question, BUNDLE_LIMIT)?;
        Ok((manifest.into_bytes(), config.into_bytes()))
    }

    fn blob(&self, service: &str, digest: &Digest, range: Range<u64>) -> Result<Box<dyn Read + Send>> {
        let length = range.end.saturating_sub(range.start);
        let question = Question::Blob { service: service.into(), digest: *digest, range };
        let content = self.relays.ask(&self.source, question)?;
        Ok(Box::new(content.take(length)))
    }

    fn chunks(&self, service: &str, digest: &Digest) -> Result<Option<Vec<u8>>> {
        let question = Question::Chunks { service: service.into(), digest: *digest };
        Ok(Some(self.bytes(question, LIST_LIMIT)?).filter(|bytes| !bytes.is_empty()))
    }

    fn predict(&self, service: &str, request: &Object) -> Result<Vec<Value>> {
        self.json(Question::Predict { service: service.into(), request: request.clone() }, JSON_LIMIT)
    }

    fn captured(&self, service: &str) -> Result<Vec<GoldenCase>> {
        self.json(Question::Captured { service: service.into() }, JSON_LIMIT)
    }
}
