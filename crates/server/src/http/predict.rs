//! POST /predict: the door of DeepDetect's protocol to the dispatcher.
//!
//! It parses the request and renders the answer: as JSON, by a template, or as returned by the server that the answer is sent to. It must
//! not know how calls are routed or wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use dede_api::errors::ErrorKind;
use dede_api::requests::PredictRequest;
use dede_engine::dispatch::{Call, Door, Inferred, Record, RemoteTarget, Target};
use dede_engine::limiter::Forwarded;
use dede_engine::name::ServiceName;
use dede_engine::service::PredictCall;
use dede_model::error::Error;
use dede_model::quote::quote;
use dede_model::request_memory::MemoryShare;

use super::access::LogName;
use super::body::Received;
use super::error::{Failure, Outcome};
use super::forward::{ForwardingPath, Sending};
use super::{Server, authority, forward, metrics, network, reply};
use crate::deepdetect::{body, sections, through_template, whole};

/// Names the service and the model that answered: `<service>@<digest>`.
pub(super) const SERVED_BY: HeaderName = HeaderName::from_static("x-dede-served-by");
/// How long a client waits for the beginning of its predict, milliseconds.
pub(super) const TIMEOUT: HeaderName = HeaderName::from_static("x-request-timeout-ms");

/// Answers a predict.
pub(crate) async fn predict(State(server): State<Arc<Server>>, request: Request) -> Response {
    let received = Instant::now();
    let opened = async {
        let opened = PredictDoor::open(&server, request, received).await?;
        Ok::<_, Failure>((opened, server.dispatcher().await?))
    };
    match opened.await {
        Ok(((door, call), dispatcher)) => reply::of(dispatcher.infer(door, call).await),
        Err(failure) => {
            let response = failure.into_response();
            let code = response.status().as_u16();
            metrics::predict(&metrics::PredictRecord::unaddressed(code, received.elapsed()));
            response
        }
    }
}

/// One predict on its way.
struct PredictDoor {
    server: Arc<Server>,
    /// The body: to be forwarded, again where the peer was gone, or counted until it is answered.
    received: Option<Received>,
    /// Members that no table has.
    unknown: Vec<String>,
    /// How the request came here.
    forwarding: ForwardingPath,
    deadline: Option<tokio::time::Instant>,
    is_guest: bool,
    has_network: bool,
}

impl PredictDoor {
    async fn open(server: &Arc<Server>, request: Request, received_at: Instant) -> Outcome<(Self, Call)> {
        let is_guest = authority::is_guest(server, request.headers());
        let forwarding = ForwardingPath::of(request.headers()).by_guest(is_guest);
        let timeout = request.headers().get(TIMEOUT).cloned();
        let received = server.receive(request).await?;
        // Once the body is here: a client that is told of a mistake earlier may still be sending it.
        let deadline = timeout.map(|timeout| deadline(&timeout, received_at)).transpose()?.flatten();
        let (received, (name, request, unknown)) = read(server, received, is_guest).await?;
        let has_network = request.parameters.output.contains_key("network");
        let server = Arc::clone(server);
        let door = Self { server, received: Some(received), unknown, forwarding, deadline, is_guest, has_network };
        Ok((door, Call { name, request, received: received_at, deadline }))
    }
}

/// Reads a body: the name that is asked, the call, and the members that no table has.
async fn read(
    server: &Server,
    received: Received,
    is_guest: bool,
) -> Outcome<(Received, (String, Box<PredictCall>, Vec<String>))> {
    let parse = |received: &mut Received| Ok(PredictRequest::read(received.object()?)?);
    let (received, request) = server.read(received, parse).await?;
    let PredictRequest { service: name, parameters, data, ids, unknown } = request;
    let call = PredictCall { is_guest, parameters: sections(parameters), data, ids, ..PredictCall::default() };
    Ok((received, (name, Box::new(call), unknown)))
}

/// The time at which a request has to begin.
pub(super) fn deadline(timeout: &HeaderValue, received: Instant) -> Outcome<Option<tokio::time::Instant>> {
    let timeout_ms = timeout.to_str().ok().and_then(|timeout| timeout.trim().parse().ok()).filter(|ms| *ms > 0);
    let Some(timeout_ms) = timeout_ms else {
        let found = quote(&String::from_utf8_lossy(timeout.as_bytes()));
        let reason = format!("{TIMEOUT}: expected a whole number of milliseconds from 1 on, found {found}");
        return Err(Failure::new(ErrorKind::Malformed, reason));
    };
    // What is beyond the end of the clock never ends.
    Ok(received.checked_add(Duration::from_millis(timeout_ms)).map(Into::into))
}

impl Door for PredictDoor {
    type Reply = Response;
    type Failure = Failure;

    fn check(&mut self, asked: &ServiceName) -> Outcome<()> {
        if self.is_guest && self.has_network {
            let text = "without its token this server sends answers nowhere (parameters.output.network)";
            return Err(Failure::new(ErrorKind::Forbidden, text));
        }
        Ok(self.server.check_unknown(asked.as_str(), std::mem::take(&mut self.unknown))?)
    }

    fn take_memory(&mut self) -> MemoryShare {
        match self.received.take() {
            Some(received) => received.into_share(),
            None => self.server.settings.request_memory.share(),
        }
    }

    fn render(&self, inferred: Inferred<'_>) -> Outcome {
        let Inferred { asked, service, version, outputs, uris, labels, measures, output, took, memory, slot, .. } =
            inferred;
        let began = Instant::now();
        let body = body(outputs, uris, &labels, measures.as_ref(), &output);
        let answer = whole(asked.as_str(), body, took + began.elapsed());
        let mut response = if output.template.is_none() && output.network.is_none() {
            reply::counted(&answer, memory)
        } else {
            let text = match &output.template {
                Some(template) => through_template(template, &answer, &memory)?,
                None => serde_json::to_string(&answer).map_err(|error| Error::Internal(error.to_string()))?,
            };
            match &output.network {
                Some(place) => {
                    // Another request computes while this one waits for another machine.
                    drop(slot);
                    network::forward(place, text, &self.server.settings.limits, memory)?
                }
                None => reply::counted_bytes(StatusCode::OK, text.into_bytes(), memory),
            }
        };
        if let Ok(served_by) = HeaderValue::from_bytes(format!("{service}@{version}").as_bytes()) {
            response.headers_mut().insert(SERVED_BY, served_by);
        }
        response.extensions_mut().insert(LogName(asked.as_str().into()));
        Ok(response)
    }

    /// A failure of the place that the client wanted the answer sent to is not the service's.
    fn reason(&self, _call: &PredictCall, failure: &Failure) -> Option<String> {
        (!self.has_network).then(|| failure.status().dd_msg.unwrap_or_default())
    }

    async fn forward(&mut self, to: RemoteTarget, permit: Forwarded) -> Outcome {
        let Some(received) = self.received.take() else {
            return Err(Error::Internal("the body of a forwarded request is gone".into()).into());
        };
        let forwarding = self.forwarding.clone();
        match forward::predict(&self.server, to, forwarding, (received, self.deadline), permit).await? {
            Sending::Answered(response) => Ok(response),
            Sending::Gone(failure, received) => {
                self.received = Some(received);
                Err(failure)
            }
        }
    }

    fn may_be_repeated(&self) -> bool {
        // The peer may have sent the answer on before it went away.
        self.received.is_some() && !self.has_network
    }

    async fn read_again(&mut self) -> Outcome<Box<PredictCall>> {
        let Some(received) = self.received.take() else {
            return Err(Error::Internal("the body of a forwarded request is gone".into()).into());
        };
        let (received, (_, call, _)) = read(&self.server, received, self.is_guest).await?;
        self.received = Some(received);
        Ok(call)
    }

    fn queued(&self, waited: Duration) {
        metrics::queued(waited);
    }

    fn record(&self, record: &Record<'_>, outcome: Result<&Response, &Failure>) {
        let code = outcome.map_or_else(|failure| failure.status().code, |response| response.status().as_u16());
        count(record, code, outcome.ok().and_then(|response| response.headers().get(SERVED_BY)?.to_str().ok()));
    }
}

/// Counts a predict that has its answer; `served_by` is what a peer said that answered it.
pub(super) fn count(record: &Record<'_>, code: u16, served_by: Option<&str>) {
    let asked = record.to.asked.as_ref().map_or("", ServiceName::as_str);
    let count = |service: &str, version: metrics::Version| {
        let alias = if asked == service { "" } else { asked };
        let (items, elapsed) = (record.items, record.elapsed);
        metrics::predict(&metrics::PredictRecord { service, version, alias, code, items, elapsed });
    };
    match &record.to.target {
        Target::Unknown => count("", "".into()),
        Target::Here(service) => {
            count(
                service.name().as_str(),
                record.version.map_or_else(|| "".into(), |version| Arc::clone(version).into()),
            );
        }
        Target::There(RemoteTarget { peer, service, .. }) => {
            let version = served_by.and_then(|served_by| served_by.rsplit_once('@'));
            let version = version.map_or("", |(_, version)| version);
            count(&format!("{peer}/{service}"), version.to_owned().into());
        }
    }
}
