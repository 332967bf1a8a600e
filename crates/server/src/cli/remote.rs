//! The server that a command talks to: found in the configuration, asked in JSON.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::time::{Duration, Instant};

use dede_api::moves::MoveInfo;
use dede_storage::failpoint;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::{Method, Response};
use ureq::{AsSendBody, Body};

use super::peers::ConfigOption;
use crate::config::Configuration;
use crate::peer::client::PeerClient;
use crate::peer::{Peer, PeerName, PeerUrl};

/// How long a server may be away while a move on it is followed.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two attempts to reach it.
const PAUSE: Duration = Duration::from_millis(300);
/// The header that says which service and version answered.
const SERVED_BY: &str = "x-dede-served-by";
/// Largest answer, bytes.
const LIMIT: u64 = 256 << 20;

/// One server. Cheap to clone.
#[derive(Clone)]
pub(super) struct Remote {
    client: PeerClient,
    name: String,
}

impl Remote {
    /// A peer by name, by URL, or the only one there is. A URL that is in no configuration is talked to without a token.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn find(wanted: Option<&str>, config: &ConfigOption) -> Result<Self, String> {
        let peer = peer(wanted, config)?;
        Ok(Self { client: PeerClient::new(&peer)?, name: peer.name.to_string() })
    }

    /// What it is called in messages and commands.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The `body` of an answer.
    ///
    /// # Errors
    /// What the server says, or why it says nothing.
    pub(super) fn body<T: DeserializeOwned>(&self, method: Method, path: &str, body: &str) -> Result<T, String> {
        let mut answer: Value = self.json(method, path, body)?;
        serde_json::from_value(answer["body"].take()).map_err(|error| format!("{}: {path}: {error}", self.name))
    }

    /// A whole answer.
    ///
    /// # Errors
    /// As [`Remote::body`].
    pub(super) fn json<T: DeserializeOwned>(&self, method: Method, path: &str, body: &str) -> Result<T, String> {
        let answer = self.accepted(self.client.send(method, path, &[], body)?)?;
        let bytes = self.client.bytes(answer, LIMIT)?;
        serde_json::from_slice(&bytes).map_err(|error| format!("{}: {path}: {error}", self.name))
    }

    /// A whole answer, and the service and version that gave it.
    ///
    /// # Errors
    /// As [`Remote::body`].
    pub(super) fn answer(&self, method: Method, path: &str, body: &str) -> Result<(Value, Option<String>), String> {
        let answer = self.accepted(self.client.send(method, path, &[], body)?)?;
        let served_by = answer.headers().get(SERVED_BY).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let bytes = self.client.bytes(answer, LIMIT)?;
        let answer = serde_json::from_slice(&bytes).map_err(|error| format!("{}: {path}: {error}", self.name))?;
        Ok((answer, served_by))
    }

    /// Sends a file.
    ///
    /// # Errors
    /// As [`Remote::body`].
    pub(super) fn put_file(&self, path: &str, file: &File) -> Result<(), String> {
        let answer = self.accepted(self.client.send(Method::PUT, path, &[], file)?)?;
        self.client.bytes(answer, LIMIT).map(drop)
    }

    /// Sends a body; whether the server took it, whatever it says otherwise.
    ///
    /// # Errors
    /// A sentence, when it does not answer.
    pub(super) fn put(&self, path: &str, body: impl AsSendBody) -> Result<bool, String> {
        let answer = self.client.send(Method::PUT, path, &[], body)?;
        let is_taken = answer.status().is_success();
        self.client.bytes(answer, LIMIT).map(|_| is_taken)
    }

    /// Shows each state of a move until it is over; gives the last. A broken connection is opened again.
    ///
    /// # Errors
    /// A sentence, when the server cannot be reached any more.
    pub(super) fn follow(&self, id: &str, mut show: impl FnMut(&MoveInfo)) -> Result<MoveInfo, String> {
        let path = format!("/moves/{id}");
        loop {
            let answer = self.patiently(|| self.client.get(&format!("{path}/events")))?;
            for line in BufReader::new(answer.into_body().into_reader()).lines() {
                let Ok(line) = line else { break };
                let Some(data) = line.strip_prefix("data: ") else { continue };
                let info: MoveInfo = serde_json::from_str(data).map_err(|error| format!("{}: {error}", self.name))?;
                failpoint("followed");
                show(&info);
                if info.phase.is_over() {
                    return Ok(info);
                }
            }
        }
    }

    /// Asks again while the server is away, or still starting, for as long as a restart may take.
    fn patiently(&self, ask: impl Fn() -> Result<Response<Body>, String>) -> Result<Response<Body>, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let reason = match ask() {
                Ok(answer) if answer.status().as_u16() != 503 => return self.accepted(answer),
                Ok(answer) => self.accepted(answer).map(drop).err().unwrap_or_default(),
                Err(reason) => reason,
            };
            if Instant::now() >= deadline {
                return Err(format!("{reason}; the move goes on, or waits for `dede resume`, when the server is back"));
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn accepted(&self, answer: Response<Body>) -> Result<Response<Body>, String> {
        if answer.status().is_success() {
            return Ok(answer);
        }
        let code = answer.status().as_u16();
        let bytes = self.client.bytes(answer, LIMIT)?;
        let said = serde_json::from_slice::<Value>(&bytes).unwrap_or_default();
        let text = said["status"]["dd_msg"].as_str().or(said["status"]["msg"].as_str()).unwrap_or("no reason given");
        Err(format!("{} answers {code}: {text}", self.name))
    }
}

/// A peer by name, by URL, or the only one there is.
///
/// # Errors
/// A sentence.
pub(super) fn peer(wanted: Option<&str>, config: &ConfigOption) -> Result<Peer, String> {
    let configuration = Configuration::load(config.config.as_deref())?;
    match wanted {
        Some(url) if url.contains("://") => at_url(&configuration, url),
        Some(name) => configuration.peer(name).cloned(),
        None => {
            let mut peers = configuration.peers();
            match (peers.next(), peers.next()) {
                (Some(only), None) => Ok(only.clone()),
                _ => Err("which server? --on takes a peer of the configuration, or a URL".into()),
            }
        }
    }
}

fn at_url(configuration: &Configuration, url: &str) -> Result<Peer, String> {
    if let Ok(known) = configuration.peer_at(url) {
        return Ok(known.clone());
    }
    let name = PeerName::parse("server").map_err(|error| error.to_string())?;
    Ok(Peer { name, url: PeerUrl::parse(url)?, token_file: None, ca_file: None, plain_http: false })
}

/// The URL of a source as the target shall look for it among its own peers.
///
/// # Errors
/// A sentence, when the name is in no configuration.
pub(super) fn source_url(from: &str, config: &ConfigOption) -> Result<String, String> {
    if from.contains("://") {
        return PeerUrl::parse(from).map(|url| url.to_string());
    }
    let configuration = Configuration::load(config.config.as_deref())?;
    Ok(configuration.peer(from)?.url.to_string())
}
