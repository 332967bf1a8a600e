//! POST /predict.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use dede_api::Object;
use dede_api::answer::Answer;
use dede_api::errors::ErrorKind;
use dede_api::predictions::{PredictBody, PredictHead};
use dede_api::requests::PredictRequest;
use dede_core::admission::{Permit, Refused};
use dede_core::catalogue::{Resolved, Routed};
use dede_core::connector::{Fetched, InputLimits};
use dede_core::error::Error;
use dede_core::name::ServiceName;
use dede_core::output::{OutputOptions, through_template, whole};
use dede_core::request_memory::MemoryShare;
use dede_core::service::{PredictCall, Predicted, Service};
use dede_core::shadow::{Primary, Refusal};
use tokio::sync::OwnedSemaphorePermit;

use super::access::LogName;
use super::body::Received;
use super::error::{Failure, Outcome};
use super::forward::{Elsewhere, Trail};
use super::turns::Line;
use super::{Server, authority, forward, metrics, network, reply};

/// Names the service and the model that answered: `<service>@<digest>`.
pub(super) const SERVED_BY: HeaderName = HeaderName::from_static("x-dede-served-by");

/// The name and service of a predict, for log and metrics, as far as they are known.
#[derive(Default)]
struct Addressee {
    /// The name asked for.
    asked: Option<ServiceName>,
    service: Option<Arc<Service>>,
}

/// Answers a predict.
pub(crate) async fn predict(State(server): State<Arc<Server>>, request: Request) -> Response {
    let started = Instant::now();
    let mut addressee = Addressee::default();
    match outcome(&server, request, &mut addressee, started).await {
        Ok(response) => response,
        Err(failure) => {
            let response = failure.into_response();
            count(&addressee, "", response.status(), 0, started.elapsed());
            response
        }
    }
}

async fn outcome(server: &Arc<Server>, request: Request, to: &mut Addressee, started: Instant) -> Outcome {
    let is_guest = authority::is_guest(server, request.headers());
    let trail = Trail::of(request.headers()).by_guest(is_guest);
    let received = server.receive(request).await?;
    let read = |received: &mut Received| Ok(PredictRequest::read(received.object()?)?);
    let (received, mut request) = server.read(received, read).await?;
    let (resolved, everywhere, admitted) = match admitted(server, &request.service, to).await? {
        Admitted::Here(resolved, everywhere, admitted) => (resolved, everywhere, admitted),
        Admitted::There(elsewhere) => {
            drop(request);
            return forward::predict(server, elsewhere, trail, received, started).await;
        }
    };
    let share = received.into_share();
    if is_guest && request.parameters.output.contains_key("network") {
        let text = "without its token this server sends answers nowhere (parameters.output.network)";
        return Err(Failure::new(ErrorKind::Forbidden, text));
    }
    server.check_unknown(resolved.asked.as_str(), std::mem::take(&mut request.unknown))?;
    let line = server.turns.line(resolved.service.id);
    let here = line.is_quick() && !may_wait(&resolved.service, &request);
    let names_urls = request.data.iter().any(|item| is_http(item));
    let is_sent_on = is_sent_on(&resolved.service, &request);
    let outbound = if names_urls || is_sent_on { Some(server.outbound()?) } else { None };
    // A client that goes away ends this future, and with it what waits for another machine.
    let _presence = outbound.as_ref().map(|_| share.caller().presence());
    let call = call_of(request, is_guest);
    let waiting = Waiting { call, share, outbound };
    let (Waiting { call, share, outbound }, fetched) = match names_urls {
        true => fetched(server, &resolved, waiting).await?,
        false => (waiting, Fetched::default()),
    };
    let turn = line.wait().await;
    metrics::queued(started.elapsed());
    let limits = Arc::clone(&server.settings.limits);
    let work = move || {
        let asked = Asked { resolved: &resolved, limits: &limits, started, line: &line };
        let response = compute(&asked, call, &fetched, share, turn);
        drop((everywhere, admitted, outbound));
        response
    };
    if here { work() } else { server.blocking(work).await }
}

/// Whether an item may name a URL, whose scheme may be written in any case.
fn is_http(item: &str) -> bool {
    item.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http"))
}

/// A request that has no compute slot yet, with its permit to wait for other machines: the waiting thread holds it.
struct Waiting {
    call: PredictCall,
    share: MemoryShare,
    outbound: Option<OwnedSemaphorePermit>,
}

/// Fetches what items name by URL, before the request takes a compute slot: it waits for other machines.
async fn fetched(server: &Server, resolved: &Resolved, waiting: Waiting) -> Outcome<(Waiting, Fetched)> {
    let service = Arc::clone(&resolved.service);
    let work = move || {
        let fetched = service.fetch(&waiting.call, &waiting.share)?;
        Ok((waiting, fetched))
    };
    server.blocking(work).await
}

/// A request on its way to its answer.
struct Asked<'a> {
    resolved: &'a Resolved,
    limits: &'a InputLimits,
    started: Instant,
    line: &'a Line,
}

/// Whether an answer goes to another machine.
fn is_sent_on(service: &Service, request: &PredictRequest) -> bool {
    request.parameters.output.contains_key("network") || service.definition.parameters.output.contains_key("network")
}

/// Where a request goes, with its permits there.
enum Admitted {
    Here(Resolved, OwnedSemaphorePermit, Permit),
    There(Elsewhere),
}

/// Routes a request and has it admitted. While a network is exchanged it waits for the end of that and is routed again:
/// another service may answer then.
async fn admitted(server: &Arc<Server>, name: &str, to: &mut Addressee) -> Outcome<Admitted> {
    loop {
        let resolved = match server.catalogue().await?.route(name)? {
            Routed::Here(resolved) => resolved,
            Routed::There { asked, peer, service } => {
                return Ok(Admitted::There(Elsewhere { asked, peer, service }));
            }
        };
        to.asked = Some(resolved.asked.clone());
        to.service = Some(Arc::clone(&resolved.service));
        let everywhere = server.admit()?;
        match resolved.service.admission.admit() {
            // Routed right before an exchange and admitted right after it: another service answers by now.
            Ok(_) if !resolved.service.is_loaded() && leads_elsewhere(server, name, &resolved).await => {}
            Ok(admitted) => return Ok(Admitted::Here(resolved, everywhere, admitted)),
            Err(Refused::Full(error)) => return Err(error.into()),
            Err(Refused::Held(hold)) => {
                drop((everywhere, resolved));
                let waiting = hold.wait()?;
                let over = tokio::time::timeout_at(waiting.until().into(), waiting.over()).await;
                if over.is_err() {
                    return Err(waiting.give_up().into());
                }
            }
        }
    }
}

/// Whether the name leads to another place than when it was looked up.
async fn leads_elsewhere(server: &Server, name: &str, before: &Resolved) -> bool {
    let Ok(catalogue) = server.catalogue().await else { return false };
    match catalogue.route(name) {
        Ok(Routed::Here(now)) => now.service.id != before.service.id,
        Ok(Routed::There { .. }) | Err(_) => true,
    }
}

/// Whether a request may take any time, however quick others were: its answer is sent to another server or rendered by
/// a template, or an item may name a file or a URL. Rows of numbers have commas.
fn may_wait(service: &Service, request: &PredictRequest) -> bool {
    let takes_longer = |output: &Object| output.contains_key("network") || output.contains_key("template");
    takes_longer(&request.parameters.output)
        || takes_longer(&service.definition.parameters.output)
        || request.data.iter().any(|item| !item.contains(',') || item.contains("://"))
}

fn compute(
    asked_of: &Asked<'_>,
    call: PredictCall,
    fetched: &Fetched,
    share: MemoryShare,
    turn: Option<OwnedSemaphorePermit>,
) -> Outcome {
    let Asked { resolved, limits, started, line } = asked_of;
    let (service, asked) = (&resolved.service, &resolved.asked);
    let Predicted { outputs, body, output, version, items, took } =
        match service.predict_fetched(&call, fetched, &share) {
            Ok(predicted) => predicted,
            Err(error) => {
                // Where memory ran short, the refusal says nothing about the service.
                if !matches!(error, Error::Overloaded(_) | Error::TooLarge(_)) {
                    offer_refused(resolved, call, Refusal { reason: error.to_string(), is_fault: error.is_fault() });
                }
                return Err(error.into());
            }
        };
    line.took(took.total);
    let mut response = match rendered(whole(asked.as_str(), body, took.total), &output, limits, share, turn) {
        Ok(response) => response,
        Err(failure) => {
            // A failure of the place that the client wanted the answer sent to is not the service's.
            if !call.parameters.output.contains_key("network") {
                let reason = failure.status().dd_msg.unwrap_or_default();
                offer_refused(resolved, call, Refusal { reason, is_fault: false });
            }
            return Err(failure);
        }
    };
    let name = service.name();
    if let Ok(served_by) = HeaderValue::from_bytes(format!("{name}@{version}").as_bytes()) {
        response.headers_mut().insert(SERVED_BY, served_by);
    }
    response.extensions_mut().insert(LogName(asked.as_str().into()));
    let to = Addressee { asked: Some(asked.clone()), service: Some(Arc::clone(service)) };
    count(&to, &version, response.status(), items, started.elapsed());
    if let Some(shadow) = resolved.shadow() {
        let primary =
            Primary { service: Arc::clone(service), version, outputs: Ok(Arc::new(outputs)), took: took.total };
        shadow.offer(call, primary);
    }
    Ok(response)
}

fn call_of(request: PredictRequest, is_guest: bool) -> PredictCall {
    PredictCall { is_guest, parameters: super::sections(request.parameters), data: request.data, ids: request.ids }
}

/// Puts a refused request to the shadow, to learn whether it would have answered.
fn offer_refused(resolved: &Resolved, call: PredictCall, refusal: Refusal) {
    let Some(shadow) = resolved.shadow_of_refused() else { return };
    let service = Arc::clone(&resolved.service);
    let version = service.version();
    shadow.offer(call, Primary { service, version, outputs: Err(refusal), took: Duration::ZERO });
}

/// The answer as JSON, rendered by a template, or as returned by the server that it was sent to.
fn rendered(
    answer: Answer<PredictHead, PredictBody>,
    output: &OutputOptions,
    limits: &InputLimits,
    share: MemoryShare,
    turn: Option<OwnedSemaphorePermit>,
) -> Outcome {
    if output.template.is_none() && output.network.is_none() {
        return Ok(reply::counted(&answer, share));
    }
    let text = match &output.template {
        Some(template) => through_template(template, &answer, &share)?,
        None => serde_json::to_string(&answer).map_err(|error| Error::Internal(error.to_string()))?,
    };
    match &output.network {
        Some(place) => {
            // Frees the compute slot while this request waits for another machine.
            drop(turn);
            network::forward(place, text, limits, share)
        }
        None => Ok(reply::counted_bytes(StatusCode::OK, text.into_bytes(), share)),
    }
}

fn count(to: &Addressee, version: &str, code: StatusCode, items: usize, elapsed: Duration) {
    let name = to.service.as_ref().map(|service| service.name());
    let service = name.as_ref().map_or("", |name| name.as_str());
    let asked = to.asked.as_ref().map_or("", ServiceName::as_str);
    let alias = if asked == service { "" } else { asked };
    metrics::predict(&metrics::PredictRecord { service, version, alias, code: code.as_u16(), items, elapsed });
}
