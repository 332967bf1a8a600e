//! The peers of this server that clients' requests are forwarded to: one connection pool each, opened at the first use.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use dede_model::error::Error;
use dede_model::request_memory::MemoryShare;
use ureq::http::{HeaderMap, Method, StatusCode};

use super::PeerName;
use super::client::{PeerClient, Unanswered};
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

    /// Sends a request, once, and waits for the whole answer, at most `limit` bytes, which count in `memory`. Blocks.
    ///
    /// # Errors
    /// [`Error::PeerAway`] when the peer was gone before its answer began: the next request opens a new connection. [`Error::Peer`] when
    /// there is no answer for another reason; [`Error::TooLarge`], [`Error::Overloaded`] when there is no memory for it.
    pub(crate) fn send(
        &self,
        peer: &PeerName,
        request: &PeerRequest<'_>,
        limit: u64,
        memory: &MemoryShare,
    ) -> Result<PeerAnswer, Error> {
        let client = self.client(peer).map_err(Error::Peer)?;
        let PeerRequest { method, path, headers, body } = request;
        let answer = match *method == Method::GET {
            true => client.attempt(method.clone(), path, headers, ()),
            false => client.attempt(method.clone(), path, headers, *body),
        };
        let text = |reason: &str| format!("peer {peer} did not answer: {reason}");
        let answer = answer.map_err(|Unanswered { reason, is_gone }| {
            if is_gone {
                // Other kept connections lead to where this one led.
                self.keep(peer, client.afresh());
                return Error::PeerAway(text(&reason));
            }
            Error::Peer(text(&reason))
        })?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let broken = |reason: String| Error::Peer(text(&format!("its answer broke off: {reason}")));
        let body = memory.read(answer.into_body().into_reader(), limit).map_err(|unread| unread.or(broken))?;
        Ok(PeerAnswer { status, headers, body })
    }

    fn client(&self, name: &PeerName) -> Result<PeerClient, String> {
        let known = |clients: &BTreeMap<PeerName, PeerClient>| clients.get(name).cloned();
        if let Some(client) = known(&self.clients.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(client);
        }
        let client = PeerClient::new(self.configuration.peer(name.as_str())?)?;
        self.keep(name, client.clone());
        Ok(client)
    }

    fn keep(&self, name: &PeerName, client: PeerClient) {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), client);
    }
}
