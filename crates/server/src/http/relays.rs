//! Relays: a command asks the source of a move in this server's place, and brings the answers here.
//!
//! | route | answers |
//! |---|---|
//! | `POST /v2/_dede/relays` `{"from": "https://dev"}`, to go on with `"source"` | `{"source": "relay:…"}` |
//! | `GET /v2/_dede/relays/{source}/questions?after=N` | `{"number": N, "question": {…}}`, or null when there is none for a while |
//! | `PUT /v2/_dede/relays/{source}/answers/{number}` | the body is the answer |
//! | `PUT /v2/_dede/relays/{source}/failures/{number}` `{"kind": "away", "text": "…"}` | why there is none |
//!
//! `dede_migration` owns the questions.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::Uri;
use axum::response::Response;
use dede_api::Object;
use dede_api::answer::{Answer, Status};
use dede_api::errors::ErrorKind;
use dede_api::query::decode_path;
use dede_api::relays::{RelayFailure, RelayOffer, RelayOpened};
use dede_model::quote::quote;
use serde::de::DeserializeOwned;

use super::error::{Failure, Outcome};
use super::moves::wire;
use super::transport::body_reader;
use super::{Server, body, query_of, reply};

/// POST relays.
pub(crate) async fn open(State(server): State<Arc<Server>>, request: Request) -> Response {
    let outcome = async {
        let (_received, object) = server.receive_object(request).await?;
        let moves = server.moves().await?;
        let work = move || {
            let offer: RelayOffer = parse(object)?;
            let source = moves.relays().open(&offer.from, offer.source.as_deref())?;
            Ok(reply::json(&Answer::with_body(Status::ok(), RelayOpened { source })))
        };
        server.blocking(work).await
    };
    reply::of(outcome.await)
}

/// GET relays/{source}/questions: the next one, once there is one.
pub(crate) async fn next(State(server): State<Arc<Server>>, uri: Uri) -> Response {
    let outcome = async {
        let source = source_in(&uri);
        let after = query_of(&uri).number("after")?.unwrap_or(0);
        let moves = server.moves().await?;
        let shown = |question| reply::json(&Answer::with_body(Status::ok(), question));
        match moves.relays().next(&source, after).await? {
            None => Ok(shown(None)),
            // It may carry images.
            Some(question) => server.blocking(move || Ok(shown(Some(wire::question(question))))).await,
        }
    };
    reply::of(outcome.await)
}

/// PUT relays/{source}/answers/{number}.
pub(crate) async fn answer(State(server): State<Arc<Server>>, request: Request) -> Response {
    reply::of(answer_outcome(&server, request).await)
}

async fn answer_outcome(server: &Arc<Server>, request: Request) -> Outcome {
    let (source, number) = (source_in(request.uri()), number_in(request.uri())?);
    let moves = server.moves().await?;
    let (parts, content) = request.into_parts();
    let (sender, arriving) = body_reader::channel(None);
    // The thread that asked reads it.
    let taken = moves.relays().answer(&source, number, Box::new(arriving));
    let rest = if taken.is_ok() { body_reader::pass_on(content, sender).await } else { Some(content) };
    if let Some(rest) = rest {
        body::discard(&parts.headers, rest).await;
    }
    taken?;
    Ok(reply::json(&Answer::bare(Status::ok())))
}

/// PUT relays/{source}/failures/{number}.
pub(crate) async fn fail(State(server): State<Arc<Server>>, request: Request) -> Response {
    let outcome = async {
        let (source, number) = (source_in(request.uri()), number_in(request.uri())?);
        let (_received, object) = server.receive_object(request).await?;
        let moves = server.moves().await?;
        let work = move || {
            let failure: RelayFailure = parse(object)?;
            moves.relays().refuse(&source, number, wire::failure(failure))?;
            Ok(reply::json(&Answer::bare(Status::ok())))
        };
        server.blocking(work).await
    };
    reply::of(outcome.await)
}

fn parse<T: DeserializeOwned>(object: Object) -> Outcome<T> {
    serde_json::from_value(object.into()).map_err(|error| Failure::new(ErrorKind::Malformed, error.to_string()))
}

/// The source in `/v2/_dede/relays/{source}/…`, decoded.
fn source_in(uri: &Uri) -> String {
    decode_path(uri.path().split('/').nth(4).unwrap_or_default())
}

fn number_in(uri: &Uri) -> Outcome<u64> {
    let text = uri.path().rsplit('/').next().unwrap_or_default();
    let wrong =
        |_| Failure::new(ErrorKind::Malformed, format!("the number of a question expected, found {:?}", quote(text)));
    text.parse().map_err(wrong)
}
