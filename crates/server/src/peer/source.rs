//! Another server as the source of a move: the `ModelSource` trait of `dede_migration` over HTTP.
//!
//! Whatever comes back is bounded here and checked by the caller.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use dede_api::Object;
use dede_bundle::Digest;
use dede_bundle::chunks::LIST_LIMIT;
use dede_bundle::oci::MANIFEST_LIMIT;
use dede_migration::{GoldenCase, GoldenSet, HostDescription, ModelSource as Source, Peers};
use dede_model::error::{Error, Result};
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

/// One server, with what it is asked with.
///
/// # Errors
/// [`Error::Peer`]: its token or its certificates cannot be used.
pub(crate) fn of(peer: &Peer) -> Result<Arc<dyn Source>> {
    Ok(Arc::new(HttpSource::new(peer)?))
}

struct HttpSource {
    client: PeerClient,
    address: String,
    /// What an operator may do when it cannot be reached.
    unreachable: &'static str,
}

impl HttpSource {
    fn new(peer: &Peer) -> Result<Self> {
        let address = format!("{} ({})", peer.name, peer.url);
        Ok(Self { client: PeerClient::new(peer).map_err(Error::Peer)?, address, unreachable: "" })
    }

    fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Result<Response<Body>> {
        let away = |reason: String| Error::PeerAway(format!("{reason}{}", self.unreachable));
        self.client.send(Method::GET, path, headers, ()).map_err(away)
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Response<Body>> {
        let answer = self.ask(path, headers)?;
        if answer.status().is_success() { Ok(answer) } else { Err(self.refused(answer)) }
    }

    /// Something about a file of a bundle that the source gave before: where it has no such file, its service is another one by now.
    fn of_bundle(&self, service: &str, path: &str, headers: &[(&str, &str)]) -> Result<Response<Body>> {
        let answer = self.ask(path, headers)?;
        match answer.status().as_u16() {
            200..300 => Ok(answer),
            404 => Err(Error::Peer(format!(
                "service {service} on the source was retrained, replaced or deleted since it was asked what there is to move: {}",
                self.refused(answer)
            ))),
            _ => Err(self.refused(answer)),
        }
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
        let answer = self.of_bundle(service, &path, &[("range", &header)])?;
        if answer.status().as_u16() != 206 {
            return Err(Error::Peer(format!("{} sends a whole file where a part was asked for", self.address)));
        }
        Ok(Box::new(answer.into_body().into_reader().take(length)))
    }

    fn chunks(&self, service: &str, digest: &Digest) -> Result<Option<Vec<u8>>> {
        let answer = self.of_bundle(service, &format!("{}/chunks/{digest}", place(service)), &[])?;
        self.client.bytes(answer, LIST_LIMIT).map_err(Error::PeerAway).map(Some)
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

    /// A server of the version before does not know the question, and answers in the words of the API.
    fn golden_set(&self, service: &str) -> Result<GoldenSet> {
        let path = format!("{}/requests?typed=true", place(service));
        let wrong = |reason: String| Error::Peer(format!("{}: {path}: {reason}", self.address));
        let text = String::from_utf8(self.bytes(&path, JSON_LIMIT)?).map_err(|error| wrong(error.to_string()))?;
        GoldenSet::read(&text).map_err(|error| wrong(error.to_string()))
    }
}

fn place(service: &str) -> String {
    format!("/v2/_dede/services/{}", path_part(service))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;

    use super::*;
    use crate::peer::{PeerName, PeerUrl};

    /// A source that answers each of `count` requests with this status and text.
    fn source(count: usize, status: &'static str, text: &'static str) -> Arc<dyn Source> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = PeerUrl::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().take(count).flatten() {
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                lines.map_while(std::io::Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
                let body = serde_json::json!({"status": {"code": 0, "msg": "no", "dd_msg": text}}).to_string();
                let length = body.len();
                // A client that has seen enough leaves.
                let _ =
                    write!(stream, "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
            }
        });
        let name = PeerName::parse("dev").unwrap();
        of(&Peer { name, url, token_file: None, ca_file: None, plain_http: false }).unwrap()
    }

    #[test]
    fn a_file_of_the_bundle_that_is_not_there_any_more_says_that_the_service_changed() {
        let (digest, changed) =
            (Digest::of(b"content"), "service iris on the source was retrained, replaced or deleted");
        for (status, text, is_changed) in [
            ("404 Not Found", "no such file", true),
            ("409 Conflict", "model.onnx changed on disk", false),
            ("401 Unauthorized", "a token is wanted", false),
        ] {
            let source = source(3, status, text);
            let blob = source.blob("iris", &digest, 0..7).err().unwrap();
            let chunks = source.chunks("iris", &digest).err().unwrap();
            for error in [blob, chunks] {
                assert!(matches!(error, Error::Peer(_)), "{error}");
                let said = error.to_string();
                assert!(said.contains(text) && said.contains(changed) == is_changed, "{said}");
            }
            // The bundle itself was never asked for: nothing can have changed since.
            let said = source.bundle("iris", false).err().unwrap().to_string();
            assert!(said.contains(text) && !said.contains(changed), "{said}");
        }
    }
}
