//! POST /predict.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use dede_api::Object;
use dede_api::answer::{Answer, Status};
use dede_api::predictions::{PredictBody, PredictHead};
use dede_api::requests::PredictRequest;
use dede_core::connector::InputLimits;
use dede_core::error::Error;
use dede_core::name::ServiceName;
use dede_core::service::{PredictCall, Predicted, Service};
use serde_json::Value;

use super::access::LogName;
use super::body::Received;
use super::error::{Failure, Outcome};
use super::turns::Line;
use super::{Server, metrics, network, reply, template, unsupported};

/// Names the service and the model that answered: `<service>@<digest>`.
const SERVED_BY: HeaderName = HeaderName::from_static("x-dede-served-by");
/// Bodies up to this size are parsed at once; larger ones on a blocking thread, bytes.
const SMALL: usize = 64 << 10;

/// Who a predict is for, as far as that is known.
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
    let received = server.receive(request).await?;
    let mut request =
        if received.len() <= SMALL { parse(&received)? } else { server.blocking(move || parse(&received)).await? };
    let catalogue = server.catalogue().await?;
    let resolved = catalogue.resolve(&request.service)?;
    let service = Arc::clone(&resolved.service);
    server.check_unknown(resolved.asked.as_str(), std::mem::take(&mut request.unknown))?;
    to.asked = Some(resolved.asked.clone());
    to.service = Some(Arc::clone(&service));
    let everywhere = Arc::clone(&server.admitted)
        .try_acquire_owned()
        .map_err(|_| Error::Overloaded("too many requests are waiting on this server".into()))?;
    let admitted = service.admission.admit()?;
    let line = server.turns.line(service.id);
    let turn = line.wait().await;
    metrics::queued(started.elapsed());
    let limits = Arc::clone(&server.settings.limits);
    let here = line.is_quick() && !may_wait(&service, &request);
    let work = move || {
        let response = compute(&service, &resolved.asked, request, &limits, started, &line);
        drop((everywhere, admitted, turn));
        response
    };
    if here { work() } else { server.blocking(work).await }
}

/// Whether a request may take any time, whatever others took: it sends its answer on, or an item may name a file or a URL. Rows of
/// numbers have commas.
fn may_wait(service: &Service, request: &PredictRequest) -> bool {
    let sends_on = |output: &Object| output.contains_key("network");
    sends_on(&request.parameters.output)
        || sends_on(&service.definition.parameters.output)
        || request.data.iter().any(|item| !item.contains(',') || item.contains("://"))
}

fn parse(received: &Received) -> Outcome<PredictRequest> {
    let request = PredictRequest::read(received.object()?.0)?;
    unsupported::check_parameters(&request.parameters)?;
    Ok(request)
}

fn compute(
    service: &Arc<Service>,
    asked: &ServiceName,
    request: PredictRequest,
    limits: &InputLimits,
    started: Instant,
    line: &Line,
) -> Outcome {
    let call = PredictCall { parameters: super::sections(request.parameters), data: request.data, ids: request.ids };
    let mut predicted = service.predict(call)?;
    line.took(predicted.took.total);
    let (version, items) = (std::mem::take(&mut predicted.version), predicted.items);
    let mut response = rendered(asked, predicted, limits)?;
    let name = service.name();
    if let Ok(served_by) = HeaderValue::from_bytes(format!("{name}@{version}").as_bytes()) {
        response.headers_mut().insert(SERVED_BY, served_by);
    }
    response.extensions_mut().insert(LogName(asked.as_str().into()));
    let to = Addressee { asked: Some(asked.clone()), service: Some(Arc::clone(service)) };
    count(&to, &version, response.status(), items, started.elapsed());
    Ok(response)
}

/// The answer as JSON, through a template, or as somebody else answers it.
fn rendered(asked: &ServiceName, predicted: Predicted, limits: &InputLimits) -> Outcome {
    let Predicted { mut body, output, took, .. } = predicted;
    // With measures the time stands in the body.
    let ms = round_ms(took.total);
    let time = if body.measure.is_some() { None } else { Some(ms) };
    body.time = body.measure.as_ref().map(|_| ms);
    let head = PredictHead { method: "/predict", service: asked.to_string(), time };
    let answer = Answer::whole(Status::ok(), head, body);
    if output.template.is_none() && output.network.is_none() {
        return Ok(reply::json(&answer));
    }
    let text = match &output.template {
        Some(template) => through_template(template, &answer)?,
        None => serde_json::to_string(&answer).map_err(|error| Error::Internal(error.to_string()))?,
    };
    match &output.network {
        Some(place) => network::forward(place, text, limits),
        None => Ok(reply::with_bytes(StatusCode::OK, text)),
    }
}

fn through_template(template: &str, answer: &Answer<PredictHead, PredictBody>) -> Result<String, Failure> {
    let context: Value = serde_json::to_value(answer).map_err(|error| Error::Internal(error.to_string()))?;
    template::render(template, &context)
        .map_err(|reason| Error::bad_parameter_at("parameters.output.template", reason).into())
}

/// Milliseconds with three decimals.
fn round_ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn count(to: &Addressee, version: &str, code: StatusCode, items: usize, elapsed: Duration) {
    let name = to.service.as_ref().map(|service| service.name());
    let service = name.as_ref().map_or("", |name| name.as_str());
    let asked = to.asked.as_ref().map_or("", ServiceName::as_str);
    let alias = if asked == service { "" } else { asked };
    metrics::predict(&metrics::PredictRecord { service, version, alias, code: code.as_u16(), items, elapsed });
}
