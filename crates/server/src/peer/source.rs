//! Another server as the source of a move: the seam of `dede_core::migration` over HTTP.
//!
//! Whatever comes back is bounded here and checked by whoever asked.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use dede_api::Object;
use dede_api::moves::GoldenCase;
use dede_bundle::Digest;
use dede_bundle::chunks::LIST_LIMIT;
use dede_bundle::oci::MANIFEST_LIMIT;
use dede_core::error::{Error, Result};
use dede_core::migration::{HostDescription, Peer as Source, Peers};
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::Body;
use ureq::http::{Method, Response};

use super::client::PeerClient;
use super::{Peer, path_part};
use crate::config::Configuration;

/// Largest answer in JSON, bytes.
const JSON_LIMIT: u64 = 256 << 20;

/// The peers of a configuration.
pub(crate) struct ConfiguredPeers(pub(crate) Arc<Configuration>);

impl Peers for ConfiguredPeers {
    fn peer(&self, name: &str) -> Result<Arc<dyn Source>> {
        let found = if name.contains("://") { self.0.peer_at(name) } else { self.0.peer(name) };
        let peer = found.map_err(|reason| {
            Error::Forbidden(format!(
                "{reason}: a server moves from its own peers only; the command can ask in its place, with --relay"
            ))
        })?;
        Ok(Arc::new(HttpSource {
            unreachable: "; if it cannot be reached from here, try --relay",
            ..HttpSource::new(peer)?
        }))
    }
}

/// One server, as whoever reaches it asks it.
///
/// # Errors
/// [`Error::Peer`]: its token or its certificates cannot be used.
pub(crate) fn of(peer: &Peer) -> Result<Arc<dyn Source>> {
    Ok(Arc::new(HttpSource::new(peer)?))
}

struct HttpSource {
    client: PeerClient,
    address: String,
    /// What a person may do when it cannot be reached.
    unreachable: &'static str,
}

impl HttpSource {
    fn new(peer: &Peer) -> Result<Self> {
        let address = format!("{} ({})", peer.name, peer.url);
        Ok(Self { client: PeerClient::new(peer).map_err(Error::Peer)?, address, unreachable: "" })
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Response<Body>> {
        let away = |reason: String| Error::PeerAway(format!("{reason}{}", self.unreachable));
        let answer = self.client.send(Method::GET, path, headers, ()).map_err(away)?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(self.refused(answer))
    }

    /// What a refusal says, in the words of the other server.
    fn refused(&self, answer: Response<Body>) -> Error {
        let code = answer.status().as_u16();
        let bytes = self.client.bytes(answer, JSON_LIMIT).unwrap_or_default();
        let said = serde_json::from_slice::<Value>(&bytes).ok();
        let said = said.as_ref().and_then(|said| said["status"]["dd_msg"].as_str().or(said["status"]["msg"].as_str()));
        let said = said.unwrap_or("nothing that this server understands");
        let text = format!("{} answers {code}: {said}", self.address);
        // It starts, stops, or has too much to do.
        if code == 503 { Error::PeerAway(text) } else { Error::Peer(text) }
    }

    fn bytes(&self, path: &str, limit: u64) -> Result<Vec<u8>> {
        self.client.bytes(self.get(path, &[])?, limit).map_err(Error::PeerAway)
    }

    fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let bytes = self.bytes(path, JSON_LIMIT)?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Peer(format!("{}: {path}: {error}", self.address)))
    }
}

impl Source for HttpSource {
    fn address(&self) -> String {
        self.address.clone()
    }

    fn describe(&self) -> Result<Option<HostDescription>> {
        self.json("/v2/_dede/host").map(Some)
    }

    fn bundle(&self, service: &str, with_training_state: bool) -> Result<(Vec<u8>, Vec<u8>)> {
        let query = if with_training_state { "?training=true" } else { "" };
        let manifest = self.bytes(&format!("{}/manifest{query}", place(service)), MANIFEST_LIMIT)?;
        let config = self.bytes(&format!("{}/config{query}", place(service)), MANIFEST_LIMIT)?;
        Ok((manifest, config))
    }

    fn blob(&self, service: &str, digest: &Digest, range: Range<u64>) -> Result<Box<dyn Read + Send>> {
        let length = range.end.saturating_sub(range.start);
        if length == 0 {
            return Ok(Box::new(std::io::empty()));
        }
        let path = format!("{}/blobs/{digest}", place(service));
        let header = format!("bytes={}-{}", range.start, range.end - 1);
        let answer = self.get(&path, &[("range", &header)])?;
        if answer.status().as_u16() != 206 {
            return Err(Error::Peer(format!("{} sends a whole file where a part was asked for", self.address)));
        }
        Ok(Box::new(answer.into_body().into_reader().take(length)))
    }

    fn chunks(&self, service: &str, digest: &Digest) -> Result<Option<Vec<u8>>> {
        self.bytes(&format!("{}/chunks/{digest}", place(service)), LIST_LIMIT).map(Some)
    }

    fn predict(&self, service: &str, request: &Object) -> Result<Vec<Value>> {
        let mut body = request.clone();
        body.insert("service".into(), service.into());
        let text = Value::Object(body).to_string();
        let answer = self.client.send(Method::POST, "/predict", &[], text).map_err(Error::PeerAway)?;
        if !answer.status().is_success() {
            return Err(self.refused(answer));
        }
        let bytes = self.client.bytes(answer, JSON_LIMIT).map_err(Error::PeerAway)?;
        let mut answer: Value = serde_json::from_slice(&bytes).map_err(|error| Error::Peer(error.to_string()))?;
        let Value::Array(predictions) = answer["body"]["predictions"].take() else {
            return Err(Error::Peer(format!("{} answered a predict without predictions", self.address)));
        };
        Ok(predictions)
    }

    fn captured(&self, service: &str) -> Result<Vec<GoldenCase>> {
        self.json(&format!("{}/requests", place(service)))
    }
}

fn place(service: &str) -> String {
    format!("/v2/_dede/services/{}", path_part(service))
}
