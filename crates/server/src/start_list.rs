//! `--service-start-list`: calls made before the server is ready (contract.md part 2).
//!
//! One call per line: `service_create;<name>;<JSON body>` or `service_predict;<JSON body>`; lines with another word are
//! logged and skipped, and are a failure in strict mode; blank lines, and those that begin with `#`, are ignored.
//! Unlike in the original, the JSON may contain semicolons, a predict that is answered counts as good, and services
//! that came back are skipped. A call is checked as the same call over HTTP is.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dede_api::json;
use dede_api::requests::{CreateRequest, PredictRequest};
use dede_engine::catalogue::Catalogue;
use dede_engine::dispatch::{Call, Dispatcher, Door, Inferred, Record, RemoteTarget};
use dede_engine::limiter::Forwarded;
use dede_engine::name::ServiceName;
use dede_engine::service::PredictCall;
use dede_model::error::Error;
use dede_model::quote::quote;
use dede_model::request_memory::MemoryShare;
use tokio::runtime::Handle;

use crate::deepdetect::{creation, sections};
use crate::http::unsupported;

/// One line.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    Create { name: &'a str, body: &'a str },
    Predict { body: &'a str },
    Unknown { word: &'a str },
    Nothing,
}

/// Makes all calls of the file.
///
/// # Errors
/// A sentence: the file cannot be read; or a call failed and `go_on` is false.
pub(crate) fn run(file: &Path, catalogue: &Arc<Catalogue>, go_on: bool) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    for (index, line) in text.lines().enumerate() {
        let outcome = parse(line).and_then(|line| make(&line, catalogue));
        let Err(reason) = outcome else { continue };
        let place = format!("{}, line {}: {reason}", file.display(), index + 1);
        if !go_on {
            return Err(format!("Service autostart failed, exiting: {place}"));
        }
        tracing::error!(target: "api", "Service autostart failed: {place}");
    }
    Ok(())
}

fn parse(line: &str) -> Result<Line<'_>, String> {
    let line = line.trim();
    let (word, rest) = line.split_once(';').unwrap_or((line, ""));
    match word.trim_end() {
        "" if rest.is_empty() => Ok(Line::Nothing),
        comment if comment.starts_with('#') => Ok(Line::Nothing),
        "service_create" => match rest.split_once(';') {
            Some((name, body)) => Ok(Line::Create { name, body }),
            None => Err("expected service_create;<name>;<JSON body>".to_owned()),
        },
        "service_predict" => Ok(Line::Predict { body: rest }),
        word => Ok(Line::Unknown { word }),
    }
}

fn make(line: &Line<'_>, catalogue: &Arc<Catalogue>) -> Result<(), String> {
    match line {
        Line::Nothing => Ok(()),
        Line::Unknown { word } => {
            let reason = format!("unknown call {:?}: service_create or service_predict expected", quote(word));
            if catalogue.is_strict() {
                return Err(reason);
            }
            tracing::warn!(target: "api", "start list: {reason}; the line is skipped");
            Ok(())
        }
        Line::Create { name, body } => create(name, body, catalogue),
        Line::Predict { body } => predict(body, catalogue),
    }
}

fn create(name: &str, body: &str, catalogue: &Arc<Catalogue>) -> Result<(), String> {
    let parsed = ServiceName::parse(name).map_err(|error| error.to_string())?;
    if catalogue.snapshot().is_taken(&parsed) {
        tracing::info!(target: "api", "{parsed} is there already");
        return Ok(());
    }
    let object = json::parse_object(body).map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let request = creation(CreateRequest::read(object, body).map_err(|error| error.to_string())?);
    unsupported::check_connector(&request).map_err(|error| error.to_string())?;
    catalogue.create(name, request).map_err(|error| error.to_string())
}

fn predict(body: &str, catalogue: &Arc<Catalogue>) -> Result<(), String> {
    let object = json::parse_object(body).map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let request = PredictRequest::read(object).map_err(|error| error.to_string())?;
    let door = ListDoor { unknown: request.unknown, is_strict: catalogue.is_strict() };
    let parameters = sections(request.parameters);
    let asked = Box::new(PredictCall { parameters, data: request.data, ids: request.ids, ..PredictCall::default() });
    let call = Call { name: request.service, request: asked, received: Instant::now(), deadline: None };
    let dispatcher = Dispatcher::new(Arc::clone(catalogue));
    Handle::current().block_on(dispatcher.infer(door, call)).map_err(|error| error.to_string())
}

/// The start list as a protocol: the answer to a call is that there is one.
struct ListDoor {
    /// Members that no table has.
    unknown: Vec<String>,
    is_strict: bool,
}

impl Door for ListDoor {
    type Reply = ();
    type Failure = Error;

    fn check(&mut self, asked: &ServiceName) -> Result<(), Error> {
        for path in &self.unknown {
            let shown = quote(path);
            if self.is_strict {
                return Err(Error::bad_parameter_at(shown, "unknown member"));
            }
            tracing::warn!(target: "api", "{asked}: unknown member {shown:?} ignored");
        }
        Ok(())
    }

    /// The owner of the server wrote the list.
    fn take_memory(&mut self) -> MemoryShare {
        MemoryShare::unbounded()
    }

    fn render(&self, _inferred: Inferred<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn reason(&self, _call: &PredictCall, failure: &Error) -> Option<String> {
        Some(failure.to_string())
    }

    async fn forward(&mut self, to: RemoteTarget, _permit: Forwarded) -> Result<(), Error> {
        Err(Error::bad_parameter(format!(
            "{} is answered by {}, and is not called at the start of this server",
            to.asked, to.peer
        )))
    }

    fn queued(&self, _waited: Duration) {}

    fn record(&self, _record: &Record<'_>, _outcome: Result<&(), &Error>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        for (line, expected) in [
            ("service_create;a;{\"x\":\";\"}", Ok(Line::Create { name: "a", body: "{\"x\":\";\"}" })),
            ("service_predict;{}", Ok(Line::Predict { body: "{}" })),
            ("", Ok(Line::Nothing)),
            ("# a comment; with more", Ok(Line::Nothing)),
            ("#service_create;a;{}", Ok(Line::Nothing)),
            ("service_predict ;{}", Ok(Line::Predict { body: "{}" })),
            ("service_train;{}", Ok(Line::Unknown { word: "service_train" })),
            ("SERVICE_CREATE;a;{}", Ok(Line::Unknown { word: "SERVICE_CREATE" })),
            (";x", Ok(Line::Unknown { word: "" })),
            ("service_create;a", Err("expected service_create;<name>;<JSON body>".to_owned())),
        ] {
            assert_eq!(parse(line), expected, "{line}");
        }
    }
}
