//! PUT and POST /chain/{name}: the door of chains. It parses, has the chain run, renders and counts; it must not know what actions do, nor how
//! calls are routed or wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::response::Response;
use dede_api::chain::ChainRequest;
use dede_engine::chain::{Asking, ChainAnswer, Observer, Plan, run};
use dede_engine::dispatch::Record;
use dede_model::error::Error;
use dede_model::quote::quote;

use super::access::LogName;
use super::error::{Failure, Outcome};
use super::predict::{SERVED_BY, TIMEOUT, count, deadline};
use super::{Server, authority, metrics, name_in, reply};
use crate::catalog::ACTIONS;
use crate::deepdetect::{MEMBERS, asked_calls, whole_chain};

/// Answers a chain.
pub(crate) async fn chain(State(server): State<Arc<Server>>, request: Request) -> Response {
    reply::of(answer(&server, request, Instant::now()).await)
}

async fn answer(server: &Arc<Server>, request: Request, received_at: Instant) -> Outcome {
    let is_guest = authority::is_guest(server, request.headers());
    let timeout = request.headers().get(TIMEOUT).cloned();
    let asked = name_in(request.uri());
    let received = server.receive(request).await?;
    // Once the body is here: a client that is told of a mistake earlier may still be sending it.
    let deadline = timeout.map(|timeout| deadline(&timeout, received_at)).transpose()?.flatten();
    let (received, (calls, mut unknown, name)) = server
        .read(received, move |received| {
            let ChainRequest { name, calls, unknown } = ChainRequest::read(received.object()?)?;
            Ok((asked_calls(calls, is_guest)?, unknown, name))
        })
        .await?;
    let dispatcher = server.dispatcher().await?;
    let plan = Plan::of(calls, ACTIONS, MEMBERS)?;
    unknown.extend(plan.unknown().iter().cloned());
    server.check_unknown("chain", unknown)?;
    let memory = received.into_share();
    let observer = Arc::new(Counting);
    let asking = Asking { deadline, received: received_at, memory: &memory, observer };
    let answered = run(&dispatcher, plan, asking).await?;
    let served_by = served_by(&answered);
    let mut response = server
        .blocking(move || {
            let answer = whole_chain(answered)?;
            Ok(reply::counted(&answer, memory))
        })
        .await?;
    for value in served_by {
        response.headers_mut().append(SERVED_BY, value);
    }
    response.extensions_mut().insert(LogName(quote(name.as_deref().unwrap_or(&asked)).into()));
    Ok(response)
}

/// Who answered each call, in their order.
fn served_by(answer: &ChainAnswer) -> Vec<HeaderValue> {
    let steps = answer.steps();
    let values = steps.iter().map(|step| format!("{}@{}", step.service, step.version));
    values.filter_map(|value| HeaderValue::from_bytes(value.as_bytes()).ok()).collect()
}

/// Counts the calls of chains as predicts of their services.
struct Counting;

impl Observer for Counting {
    fn queued(&self, waited: Duration) {
        metrics::queued(waited);
    }

    fn record(&self, record: &Record<'_>, outcome: Result<(), &Error>) {
        let code = outcome.map_or_else(|error| Failure::from(error.clone()).status().code, |()| 200);
        count(record, code, None);
    }
}
