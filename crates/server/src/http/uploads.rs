//! Uploads for a move whose source is no server: a bundle's description, then the content that is missing here.
//!
//! | route | answers |
//! |---|---|
//! | `POST /v2/_dede/uploads` `{"manifest": "…", "config": "…"}` | `{"source": "upload:sha256:…", "missing": ["sha256:…"]}` |
//! | `PUT /v2/_dede/uploads/{source}/blobs/{digest}` | one of the missing files |

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::Uri;
use axum::response::Response;
use dede_api::answer::{Answer, Status};
use dede_api::errors::ErrorKind;
use dede_api::query::decode_path;
use dede_bundle::Digest;
use serde_json::json;

use super::error::{Failure, Outcome};
use super::transport::body_reader;
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
    // Each takes a thread, and there must be some left for everything else.
    let waiter = server.waiter()?;
    let (parts, content) = request.into_parts();
    let (sender, arriving) = body_reader::channel(None);
    let work = move || {
        moves.put(&source, &digest, arriving)?;
        drop(waiter);
        Ok(reply::json(&Answer::bare(Status::ok())))
    };
    let (rest, outcome) = tokio::join!(body_reader::pass_on(content, sender), server.blocking(work));
    if let Some(rest) = rest {
        // Refused before all of it came.
        body::discard(&parts.headers, rest).await;
    }
    outcome
}

/// Source and digest of `/v2/_dede/uploads/{source}/blobs/{digest}`.
fn place(uri: &Uri) -> Outcome<(String, Digest)> {
    let mut parts = uri.path().split('/').skip(4);
    let source = decode_path(parts.next().unwrap_or_default());
    let digest = decode_path(parts.nth(1).unwrap_or_default());
    let digest = digest.parse().map_err(|error| Failure::new(ErrorKind::Malformed, format!("digest: {error}")))?;
    Ok((source, digest))
}
