//! What every request goes through: foreign web pages refused, panics caught, metrics, the access log line, CORS, compression.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CONNECTION, VARY,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tracing::Instrument as _;

use super::error::Failure;
use super::identity::{Identity, REQUEST_ID};
use super::reply::{self, Encoding};
use super::{Server, admission, authority, metrics, origin};

/// Methods a web page may use.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, HEAD, DELETE, PATCH, OPTIONS");
/// Headers a web page may send.
const HEADERS: HeaderValue = HeaderValue::from_static(
    "DNT, User-Agent, X-Requested-With, If-Modified-Since, Cache-Control, Content-Type, Range, Authorization, X-Request-Id, X-Request-Timeout-Ms, Traceparent, Tracestate",
);

/// Headers of answers that a web page may read.
const EXPOSED: HeaderValue = HeaderValue::from_static("X-Request-Id, X-Dede-Served-By");

/// The name in the access log line: the service that answered.
#[derive(Debug, Clone)]
pub(crate) struct LogName(pub(crate) Arc<str>);

/// What requests are counted as, by the path of their route as the list of routes has it.
pub(crate) type RouteLabels = HashMap<&'static str, &'static str>;

/// Wraps every route, the unknown ones too.
pub(crate) async fn observe(
    State((server, labels)): State<(Arc<Server>, Arc<RouteLabels>)>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let identity = Identity::take(request.headers_mut());
    let span = tracing::error_span!(target: "spans", "request", id = identity.text(), trace_id = identity.trace_id);
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let encoding = Encoding::accepted(request.headers());
    let route = request.extensions().get::<MatchedPath>().and_then(|path| labels.get(path.as_str()).copied());
    let route = route.unwrap_or("other");
    let in_flight = metrics::in_flight();
    let allowed = server.settings.allow_origin.as_ref();
    let mut response = if allowed.is_some() && method == Method::OPTIONS {
        reply::with_bytes(StatusCode::OK, "")
    } else if let Err(failure) =
        origin::check(&request, allowed).and_then(|()| authority::check_host(&server, &request))
    {
        admission::refused(failure, request).await
    } else {
        caught(next.run(request).instrument(span.clone())).await
    };
    if let Some(encoding) = encoding {
        response = reply::compressed(response, encoding).await;
    }
    add_origin(&server, &mut response);
    response.headers_mut().insert(REQUEST_ID, identity.id.clone());
    if server.phase().is_draining() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    drop(in_flight);
    let elapsed = started.elapsed();
    metrics::http_request(&method, route, response.status(), elapsed);
    let service = response.extensions().get::<LogName>().map_or("<n/a>", |name| &name.0);
    let (code, ms) = (response.status().as_u16(), elapsed.as_millis());
    // The id that a client chose is what it looks for; others are in the span.
    let request_id = identity.is_given.then(|| tracing::field::display(identity.text()));
    let _in_span = span.enter();
    match code {
        200..300 => tracing::info!(target: "api", request_id, "HTTP/1.1 \"{method} {uri}\" {service} {code} {ms}ms"),
        _ => tracing::error!(target: "api", request_id, "HTTP/1.1 \"{method} {uri}\" {service} {code} {ms}ms"),
    }
    response
}

fn add_origin(server: &Server, response: &mut Response) {
    let Some(origin) = &server.settings.allow_origin else { return };
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("1728000"));
    headers.append(VARY, HeaderValue::from_static("origin"));
}

/// A panic becomes row 1007: one bad request never ends the server, nor the connection.
async fn caught(future: impl Future<Output = Response>) -> Response {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        polled.unwrap_or_else(|_| Poll::Ready(Failure::panicked().into_response()))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        let response = caught(async { panic!("on purpose") }).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
