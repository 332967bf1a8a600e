//! Uploads for a move whose source is no server: a bundle's description, then the content that is missing here.
//!
//! | route | answers |
//! |---|---|
//! | `POST /v2/_dede/uploads` `{"manifest": "…", "config": "…"}` | `{"source": "upload:sha256:…", "missing": ["sha256:…"]}` |
//! | `PUT /v2/_dede/uploads/{source}/blobs/{digest}` | one of the missing files |

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::response::Response;
use dede_api::answer::{Answer, Status};
use dede_api::errors::ErrorKind;
use dede_api::query::decode_path;
use dede_bundle::Digest;
use dede_migration::{IncomingFile, Moves};
use serde_json::json;
use tokio::runtime::Handle;

use super::error::{Failure, Outcome};
use super::transport::pace::Pace;
use super::{Server, body, reply};

/// POST uploads.
pub(crate) async fn offer(State(server): State<Arc<Server>>, request: Request) -> Response {
    reply::of(offer_outcome(&server, request).await)
}

async fn offer_outcome(server: &Arc<Server>, request: Request) -> Outcome {
    let (_received, object) = server.receive_object(request).await?;
    let moves = server.moves().await?;
    let work = move || {
        let text = |key: &str| {
            let text = object.get(key).and_then(serde_json::Value::as_str);
            text.ok_or_else(|| Failure::new(ErrorKind::Malformed, format!("{key}: a string expected")))
        };
        let (source, missing) = moves.offer(text("manifest")?, text("config")?)?;
        let missing: Vec<String> = missing.iter().map(Digest::to_string).collect();
        Ok(reply::json(&Answer::with_body(Status::ok(), json!({"source": source, "missing": missing}))))
    };
    server.blocking(work).await
}

/// PUT uploads/{source}/blobs/{digest}.
pub(crate) async fn put(State(server): State<Arc<Server>>, request: Request) -> Response {
    reply::of(put_outcome(&server, request).await)
}

async fn put_outcome(server: &Arc<Server>, request: Request) -> Outcome {
    let (source, digest) = place(request.uri())?;
    let moves = server.moves().await?;
    let _permit = server.upload()?;
    let (parts, mut content) = request.into_parts();
    let outcome = receive(server, moves, (source, digest), &mut content).await;
    // Where it was refused before all of it came, what is left passes, so that the client reads the answer.
    body::discard(&parts.headers, content).await;
    outcome?;
    Ok(reply::json(&Answer::bare(Status::ok())))
}

/// Writes a file as it comes. A thread is taken for each piece, and none while the next one is waited for.
async fn receive(
    server: &Server,
    moves: Arc<Moves>,
    (source, digest): (String, Digest),
    content: &mut Body,
) -> Outcome<()> {
    let begin = move || Ok(Receiving(Some(moves.receive(&source, &digest)?)));
    let mut receiving = server.blocking(begin).await?;
    let mut pace = Pace::default();
    while let Some(file) = receiving.0.as_ref().filter(|file| !file.is_full()) {
        let piece = pace.next(content).await.map_err(|error| file.broke_off(error))?;
        let Some(piece) = piece else { break };
        receiving = server.blocking(move || receiving.write(&piece)).await?;
    }
    server.blocking(move || receiving.finish()).await
}

/// A file on its way. Where its client goes away, what has come is removed on a thread that may block.
struct Receiving(Option<IncomingFile>);

impl Receiving {
    fn write(mut self, piece: &[u8]) -> Outcome<Self> {
        if let Some(file) = &mut self.0 {
            file.write(piece)?;
        }
        Ok(self)
    }

    fn finish(mut self) -> Outcome<()> {
        Ok(self.0.take().map_or(Ok(()), IncomingFile::finish)?)
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        if let (Some(file), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            drop(runtime.spawn_blocking(move || drop(file)));
        }
    }
}

/// Source and digest of `/v2/_dede/uploads/{source}/blobs/{digest}`.
fn place(uri: &Uri) -> Outcome<(String, Digest)> {
    let mut parts = uri.path().split('/').skip(4);
    let source = decode_path(parts.next().unwrap_or_default());
    let digest = decode_path(parts.nth(1).unwrap_or_default());
    let digest = digest.parse().map_err(|error| Failure::new(ErrorKind::Malformed, format!("digest: {error}")))?;
    Ok((source, digest))
}
