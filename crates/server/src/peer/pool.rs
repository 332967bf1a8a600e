//! The peers of this server that clients' requests are forwarded to: one connection pool each, opened at the first use.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use dede_model::error::Error;
use dede_model::request_memory::MemoryShare;
use ureq::http::{HeaderMap, Method, StatusCode};

use super::PeerName;
use super::client::PeerClient;
use crate::config::Configuration;

/// All peers. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Peers {
    configuration: Arc<Configuration>,
    clients: Arc<Mutex<BTreeMap<PeerName, PeerClient>>>,
}

/// A request to a peer.
pub(crate) struct PeerRequest<'a> {
    pub(crate) method: Method,
    /// Percent-encoded.
    pub(crate) path: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a [u8],
}

/// The answer of a peer.
pub(crate) struct PeerAnswer {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// The body, inflated.
    pub(crate) body: Vec<u8>,
}

impl Peers {
    /// Those of a configuration.
    pub(crate) fn new(configuration: Arc<Configuration>) -> Self {
        Self { configuration, clients: Arc::default() }
    }

    /// Whether there is a peer of this name.
    ///
    /// # Errors
    /// A sentence with the names there are.
    pub(crate) fn check(&self, name: &PeerName) -> Result<(), String> {
        self.configuration.peer(name.as_str()).map(drop)
    }

    /// Sends a request and waits for the whole answer, at most `limit` bytes, which count in `memory`. A connection that broke is tried
    /// once more, so the request must be one that may be made twice. Blocks.
    ///
    /// # Errors
    /// [`Error::PeerAway`] when there was no answer; [`Error::TooLarge`], [`Error::Overloaded`] when there is no memory for it.
    pub(crate) fn send(
        &self,
        peer: &PeerName,
        request: &PeerRequest<'_>,
        limit: u64,
        memory: &MemoryShare,
    ) -> Result<PeerAnswer, Error> {
        let client = self.client(peer).map_err(Error::PeerAway)?;
        let PeerRequest { method, path, headers, body } = request;
        let attempt = || {
            if *method == Method::GET {
                client.send(method.clone(), path, headers, ())
            } else {
                client.send(method.clone(), path, headers, *body)
            }
        };
        let unanswered = |reason: String| Error::PeerAway(format!("peer {peer} did not answer: {reason}"));
        // A kept connection may have been closed by the other side just now.
        let answer = attempt().or_else(|_| attempt()).map_err(unanswered)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let broken = |reason: String| unanswered(format!("its answer broke off: {reason}"));
        let body = memory.read(answer.into_body().into_reader(), limit).map_err(|unread| unread.or(broken))?;
        Ok(PeerAnswer { status, headers, body })
    }

    fn client(&self, name: &PeerName) -> Result<PeerClient, String> {
        let known = |clients: &BTreeMap<PeerName, PeerClient>| clients.get(name).cloned();
        if let Some(client) = known(&self.clients.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(client);
        }
        let client = PeerClient::new(self.configuration.peer(name.as_str())?)?;
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), client.clone());
        Ok(client)
    }
}
