//! The seam to another server: what a move needs of its source.
//!
//! The server implements it over HTTP; everything that comes back is untrusted and checked by the caller.

pub(crate) mod patient;
mod pipe;
pub(crate) mod relay;
pub(crate) mod router;
pub(crate) mod upload;

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use dede_bundle::Digest;
use dede_model::error::Result;
use serde::{Deserialize, Serialize};

use crate::golden_set::GoldenSet;
use crate::record::{GoldenCase, Object};

/// Finds sources by name. A server only ever moves from its own peers.
pub trait Peers: Send + Sync {
    /// The peer of this name or URL.
    ///
    /// # Errors
    /// [`dede_model::error::Error::Forbidden`] when it is none of this server's peers.
    fn peer(&self, name: &str) -> Result<Arc<dyn ModelSource>>;
}

/// One other server.
pub trait ModelSource: Send + Sync {
    /// Its name and address, for people.
    fn address(&self) -> String;

    /// What it runs on; `None` for a source that is no server, and cannot be asked for answers.
    ///
    /// # Errors
    /// [`dede_model::error::Error::Peer`].
    fn describe(&self) -> Result<Option<HostDescription>>;

    /// The bundle of one of its services: bytes of the manifest and of the config.
    ///
    /// # Errors
    /// [`dede_model::error::Error::Peer`], also when there is no such service, or it is no dede server.
    fn bundle(&self, service: &str, with_training_state: bool) -> Result<(Vec<u8>, Vec<u8>)>;

    /// A part of a file of that bundle.
    ///
    /// # Errors
    /// [`dede_model::error::Error::Peer`].
    fn blob(&self, service: &str, digest: &Digest, range: Range<u64>) -> Result<Box<dyn Read + Send>>;

    /// The chunks of a file, encoded; `None` when it is too small to have any.
    ///
    /// # Errors
    /// [`dede_model::error::Error::Peer`].
    fn chunks(&self, service: &str, digest: &Digest) -> Result<Option<Vec<u8>>>;

    /// `body.predictions` of a predict.
    ///
    /// # Errors
    /// [`dede_model::error::Error::Peer`], with what the other server said.
    fn predict(&self, service: &str, request: &Object) -> Result<Vec<serde_json::Value>>;

    /// Recent requests of a service with its answers to them.
    ///
    /// # Errors
    /// [`dede_model::error::Error::Peer`].
    fn captured(&self, service: &str) -> Result<Vec<GoldenCase>>;

    /// The same in the types of models, where this source records them so; a server of the version before does not, nor does a command
    /// that relays, which may be one.
    ///
    /// # Errors
    /// As [`ModelSource::captured`].
    fn golden_set(&self, service: &str) -> Result<GoldenSet> {
        self.captured(service).map(GoldenSet::OfApi)
    }
}

/// What a server runs on, as far as it decides the last bits of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostDescription {
    /// Version of dede.
    pub dede: String,
    /// Engine and version, such as `onnxruntime 1.31.1`.
    pub engine: String,
    /// Processor architecture.
    pub architecture: String,
    /// Vector instruction sets that engines choose their arithmetic by.
    pub cpu_features: Vec<String>,
    /// Threads that compute.
    pub threads: usize,
}

impl HostDescription {
    /// Where the last bits of answers may differ between two servers, for people.
    pub fn differences(&self, target: &Self) -> Vec<String> {
        let pairs = [
            ("dede", &self.dede, &target.dede),
            ("engine", &self.engine, &target.engine),
            ("architecture", &self.architecture, &target.architecture),
        ];
        let mut found: Vec<String> = pairs
            .iter()
            .filter(|(_, source, target)| source != target)
            .map(|(what, source, target)| format!("{what}: {source} on the source, {target} here"))
            .collect();
        if self.cpu_features != target.cpu_features {
            let (source, target) = (self.cpu_features.join(" "), target.cpu_features.join(" "));
            found.push(format!("processor: {source} on the source, {target} here"));
        }
        found
    }

    /// Whether answers must be the same to the last bit.
    pub fn computes_alike(&self, other: &Self) -> bool {
        self.engine == other.engine
            && self.architecture == other.architecture
            && self.cpu_features == other.cpu_features
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_compute_alike_differ_in_nothing_that_matters() {
        let host = HostDescription {
            dede: "0.1.0".into(),
            engine: "rten 0.27.0".into(),
            architecture: "x86_64".into(),
            cpu_features: vec!["avx2".into(), "fma".into()],
            threads: 2,
        };
        let more_threads = HostDescription { threads: 8, ..host.clone() };
        assert!(host.computes_alike(&more_threads) && host.differences(&more_threads).is_empty());
        let older = HostDescription { cpu_features: vec!["sse4.2".into()], ..host.clone() };
        assert!(!host.computes_alike(&older));
        assert_eq!(host.differences(&older), ["processor: avx2 fma on the source, sse4.2 here"]);
    }
}
