//! The peers of this server as requests of clients are sent on to them: one pool of connections each, opened at the first use.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

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

/// What a peer said.
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

    /// Sends a request and waits for the whole answer, at most `limit` bytes. A connection that broke is tried once more, so the
    /// request must be one that may be made twice. Blocks.
    ///
    /// # Errors
    /// A sentence, when there was no answer.
    pub(crate) fn send(
        &self,
        peer: &PeerName,
        method: &Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        limit: u64,
    ) -> Result<PeerAnswer, String> {
        let client = self.client(peer)?;
        let attempt = || {
            if method == Method::GET {
                client.send(method.clone(), path, headers, ())
            } else {
                client.send(method.clone(), path, headers, body)
            }
        };
        // A kept connection may have been closed by the other side just now.
        let answer = attempt().or_else(|_| attempt())?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        Ok(PeerAnswer { status, headers, body: client.bytes(answer, limit)? })
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
