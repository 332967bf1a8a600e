//! `output.network`: the answer of a predict is sent to another server, whose answer the client gets.

use std::time::Duration;

use axum::http::StatusCode;
use dede_api::Object;
use dede_api::errors::ErrorKind;
use dede_connectors::outbound;
use dede_model::connector::InputLimits;
use dede_model::error::Error;
use dede_model::quote::{quote, quote_within};
use dede_model::request_memory::MemoryShare;
use serde::Deserialize;

use super::error::{Failure, Outcome};
use super::reply;

/// `parameters.output.network`, as written.
#[derive(Debug, Deserialize)]
struct Written {
    url: Option<String>,
    http_method: Option<String>,
    content_type: Option<String>,
}

/// Sends `text` to the place `network` names and answers with the status and body that come back.
///
/// # Errors
/// Row 1006 for a missing or unusable url, row 1009 when the place cannot be reached.
pub(crate) fn forward(network: &Object, text: String, limits: &InputLimits, share: MemoryShare) -> Outcome {
    let request = request(network, text)?;
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_resolve(Some(Duration::from_millis(limits.connect_timeout_ms)))
        .timeout_connect(Some(Duration::from_millis(limits.connect_timeout_ms)))
        .timeout_global(Some(Duration::from_millis(limits.fetch_timeout_ms)));
    let agent = outbound::agent(config, limits.egress.clone());
    let sending = agent.clone();
    share.caller().when_gone(move || sending.shutdown());
    let unreachable = |error: ureq::Error| {
        tracing::warn!(target: "api", "output.network: {error}");
        Failure::new(ErrorKind::OutputNetwork, error.to_string())
    };
    let answer = agent.run(request).map_err(unreachable)?;
    let code = StatusCode::from_u16(answer.status().as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    let failed = |reason: String| Failure::new(ErrorKind::OutputNetwork, reason);
    let bytes = share.read(answer.into_body().into_reader(), limits.fetch_bytes).map_err(|unread| unread.or(failed))?;
    Ok(reply::counted_bytes(code, bytes, share))
}

fn request(network: &Object, text: String) -> Outcome<ureq::http::Request<String>> {
    let wrong = |reason: String| Failure::from(Error::bad_parameter_at("parameters.output.network", reason));
    let written: Written =
        serde_json::from_value(network.clone().into()).map_err(|error| wrong(quote_within(&error.to_string())))?;
    let url = written.url.ok_or_else(|| wrong("missing member \"url\"".to_owned()))?;
    let method = written.http_method.unwrap_or_else(|| "POST".to_owned()).to_ascii_uppercase();
    if !["POST", "PUT", "PATCH"].contains(&method.as_str()) {
        return Err(wrong(format!("http_method: expected POST, PUT or PATCH, found {:?}", quote(&method))));
    }
    // The original wants the whole header line; its value alone is understood too.
    let line = written.content_type.unwrap_or_else(|| "Content-Type: application/json".to_owned());
    let content_type = line.split_once(':').map_or(line.as_str(), |(_, value)| value).trim();
    ureq::http::Request::builder()
        .method(method.as_str())
        .uri(url)
        .header("content-type", content_type)
        .body(text)
        .map_err(|error| wrong(error.to_string()))
}
