//! /moves: services that come here from other servers.
//!
//! It owns routes and answers; their words are in [`wire`], and what a move does is in `dede_migration`.

pub(super) mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::Response;
use dede_api::Object;
use dede_api::answer::{Answer, Status};
use dede_api::errors::ErrorKind;
use dede_api::moves::MoveRequest;
use dede_api::query::decode_path;
use dede_engine::name::ServiceName;
use dede_migration::{Move, MovePhase, MoveStatus, Moves};
use serde::Serialize;

use super::error::{Failure, Outcome};
use super::transport::stream::{self, BodySender};
use super::{Server, reply};

/// A comment goes to a watcher at least this often, so that both ends notice when the other is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Shortest time between two states that differ in progress alone.
const PROGRESS: Duration = Duration::from_millis(250);

fn shown<T: Serialize>(code: u16, body: T) -> Response {
    let status =
        if code == 202 { Status { code, msg: "Accepted".into(), dd_code: None, dd_msg: None } } else { Status::ok() };
    reply::json(&Answer::with_body(status, body))
}

/// POST /moves: begins a move.
pub(crate) async fn begin(State(server): State<Arc<Server>>, request: Request) -> Response {
    let outcome = with_request(&server, request, |moves, request| {
        // What is wrong with the source is said first.
        moves.check_source(&request.source)?;
        ServiceName::parse(&request.service)?;
        let is_alone = request.also.is_empty();
        let mut specs = wire::specs(request)?;
        let begun = if is_alone { moves.begin(specs.remove(0))? } else { moves.begin_together(specs)? };
        Ok(shown(202, wire::info(begun)))
    });
    reply::of(outcome.await)
}

/// POST /moves/plan: what a move would do.
pub(crate) async fn plan(State(server): State<Arc<Server>>, request: Request) -> Response {
    let outcome = with_request(&server, request, |moves, request| {
        moves.check_peer(&request.source)?;
        let specs = wire::specs(request)?;
        let plans = match specs.as_slice() {
            [alone] => vec![moves.plan(alone)?],
            together => moves.plan_together(together)?,
        };
        Ok(shown(200, wire::plans(plans)))
    });
    reply::of(outcome.await)
}

async fn with_request(
    server: &Arc<Server>,
    request: Request,
    work: impl FnOnce(&Moves, MoveRequest) -> Outcome + Send + 'static,
) -> Outcome {
    let (_received, object) = server.receive_object(request).await?;
    let moves = server.moves().await?;
    server.blocking(move || work(&moves, parse(object)?)).await
}

fn parse(object: Object) -> Outcome<MoveRequest> {
    serde_json::from_value(object.into()).map_err(|error| Failure::new(ErrorKind::Malformed, error.to_string()))
}

/// GET /moves: all of them, oldest first.
pub(crate) async fn list(State(server): State<Arc<Server>>) -> Response {
    let outcome = async {
        let moves = server.moves().await?;
        let infos: Vec<_> = moves.all().iter().map(|known| wire::info(known.info())).collect();
        Ok(shown(200, infos))
    };
    reply::of(outcome.await)
}

/// GET /moves/{id}: one of them.
pub(crate) async fn get(State(server): State<Arc<Server>>, uri: Uri) -> Response {
    let outcome = async { Ok(shown(200, wire::info(server.moves().await?.find(&id_in(&uri))?.info()))) };
    reply::of(outcome.await)
}

/// POST /moves/{id}/{action}: promote, abort, resume, rollback.
pub(crate) async fn act(State(server): State<Arc<Server>>, uri: Uri) -> Response {
    let id = id_in(&uri);
    let action = uri.path().rsplit('/').next().unwrap_or_default().to_owned();
    let outcome = async {
        let moves = server.moves().await?;
        server
            .blocking(move || {
                let info = match action.as_str() {
                    "promote" => moves.promote(&id)?,
                    "abort" => moves.abort(&id, "aborted on request")?,
                    "resume" => moves.resume(&id)?,
                    _ => moves.roll_back(&id)?,
                };
                Ok(shown(200, wire::info(info)))
            })
            .await
    };
    reply::of(outcome.await)
}

/// GET /moves/{id}/events: each change as a server-sent event, until the move is over.
pub(crate) async fn events(State(server): State<Arc<Server>>, uri: Uri) -> Response {
    reply::of(events_outcome(&server, &uri).await)
}

async fn events_outcome(server: &Arc<Server>, uri: &Uri) -> Outcome {
    let watched = server.moves().await?.find(&id_in(uri))?;
    let draining = Arc::clone(server);
    let mut response = Response::new(stream::events(|events| async move {
        // A watcher keeps no server from stopping.
        tokio::select! {
            () = follow(watched, events) => {}
            () = draining.draining() => {}
        }
    }));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Sends the states of a move, the newest at a bounded rate, until the move is over or the watcher is gone.
async fn follow(watched: Arc<Move>, events: BodySender) {
    let (mut seen, mut sent) = (0, None);
    loop {
        // No state is kept while the client reads another.
        let (text, over) = match next_state(&watched, seen, sent.as_ref()).await {
            None => (": still going on\n\n".to_owned(), false),
            Some((version, status)) => {
                seen = version;
                sent = Some(Sent::now(&status));
                let over = status.phase.is_over();
                let Ok(json) = serde_json::to_string(&wire::info(status)) else { return };
                (format!("id: {version}\nevent: move\ndata: {json}\n\n"), over)
            }
        };
        if !events.send_soon(text).await || over {
            return;
        }
    }
}

/// The state after `seen`, once it may be sent; `None` when nothing changed for a while.
async fn next_state(watched: &Move, seen: u64, sent: Option<&Sent>) -> Option<(u64, MoveStatus)> {
    let mut newest = watched.change_after(seen, KEEP_ALIVE).await?;
    while let Some(left) = sent.and_then(|sent| sent.holds_back(&newest.1, Instant::now())) {
        match watched.change_after(newest.0, left).await {
            Some(newer) => newest = newer,
            None => break,
        }
    }
    Some(newest)
}

/// The state that a watcher was sent last, as far as it decides when the next one is.
struct Sent {
    at: Instant,
    phase: MovePhase,
    waits_for: Option<&'static str>,
    error: Option<String>,
    /// Of those that switch together with it.
    others: Vec<(MovePhase, Option<&'static str>)>,
}

impl Sent {
    fn now(status: &MoveStatus) -> Self {
        let (waits_for, error) = (status.waits_for, status.error.clone());
        Self { at: Instant::now(), phase: status.phase, waits_for, error, others: Self::others(status) }
    }

    fn others(status: &MoveStatus) -> Vec<(MovePhase, Option<&'static str>)> {
        status.together.iter().map(|other| (other.phase, other.waits_for)).collect()
    }

    /// How long a state that says no more than how far the move has come waits for a newer one.
    fn holds_back(&self, status: &MoveStatus, now: Instant) -> Option<Duration> {
        let says_more = self.phase != status.phase
            || self.waits_for != status.waits_for
            || self.error != status.error
            || self.others != Self::others(status);
        let left = (self.at + PROGRESS).saturating_duration_since(now);
        (!says_more && !left.is_zero()).then_some(left)
    }
}

/// GET /moves/{id}/certificate: the signed record of a move that is done.
pub(crate) async fn certificate(State(server): State<Arc<Server>>, uri: Uri) -> Response {
    let id = id_in(&uri);
    let outcome = async {
        let moves = server.moves().await?;
        server.blocking(move || Ok(reply::with_bytes(StatusCode::OK, moves.certificate(&id)?))).await
    };
    reply::of(outcome.await)
}

/// The second part of `/moves/{id}/…`, decoded.
fn id_in(uri: &Uri) -> String {
    decode_path(uri.path().split('/').nth(2).unwrap_or_default())
}
