//! /healthz, /readyz and /metrics, for load balancers and monitoring.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use dede_api::answer::{Answer, Status};
use dede_api::errors::ErrorKind;
use dede_engine::catalogue::{Routed, Snapshot};
use dede_engine::name::ServiceName;
use metrics::gauge;

use super::error::Failure;
use super::{Phase, Server, reply};

/// 200 as long as the process answers.
pub(crate) async fn healthz() -> Response {
    reply::json(&Answer::bare(Status::ok()))
}

/// 200 when services are back and every aliased one is loaded, and until the server begins to stop.
pub(crate) async fn readyz(State(server): State<Arc<Server>>) -> Response {
    reply::of(readiness(&server).map(|()| reply::json(&Answer::bare(Status::ok()))))
}

fn readiness(server: &Server) -> Result<(), Failure> {
    let not_yet = |reason: &str| Err(Failure::new(ErrorKind::Overloaded, reason));
    match (server.phase(), server.catalogue.get()) {
        (Phase::Draining, _) => not_yet("the server is stopping"),
        (Phase::Starting, _) | (Phase::Ready, None) => not_yet("the server is starting"),
        (Phase::Ready, Some(catalogue)) => match unloaded_alias(&catalogue.snapshot()) {
            None => Ok(()),
            Some(alias) => not_yet(&format!("what alias {alias} points to is not loaded")),
        },
    }
}

fn unloaded_alias(snapshot: &Snapshot) -> Option<ServiceName> {
    let loaded = |name: &ServiceName| match snapshot.whereabouts(name.as_str()) {
        Ok(Routed::Here(found)) => found.service.serving().is_ok(),
        Ok(Routed::There { .. }) => true,
        Err(_) => false,
    };
    snapshot.aliases().find(|alias| !loaded(&alias.name)).map(|alias| alias.name.clone())
}

/// Prometheus text.
pub(crate) async fn metrics(State(server): State<Arc<Server>>) -> Response {
    gauge!("dede_ready").set(if readiness(&server).is_ok() { 1.0 } else { 0.0 });
    if let Some(catalogue) = server.catalogue.get() {
        let snapshot = catalogue.snapshot();
        gauge!("dede_services").set(snapshot.services().count() as f64);
        for service in snapshot.services() {
            gauge!("dede_queue_depth", "service" => service.name().to_string()).set(service.queue.inside() as f64);
        }
        for alias in snapshot.aliases() {
            gauge!("dede_alias_generation", "alias" => alias.name.to_string()).set(alias.generation as f64);
            super::metrics::shadowed(alias.name.as_str(), alias.shadow_counts());
        }
    }
    let mut response = reply::with_bytes(StatusCode::OK, server.prometheus.render());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4"));
    response
}
