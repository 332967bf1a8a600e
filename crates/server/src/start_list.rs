//! `--service-start-list`: calls made before the server is ready (contract.md part 2).
//!
//! One call per line: `service_create;<name>;<JSON body>` or `service_predict;<JSON body>`; lines with another word are
//! logged and skipped, and are a failure in strict mode; blank lines, and those that begin with `#`, are ignored.
//! Unlike in the original, the JSON may contain semicolons, a predict that is answered counts as good, and services
//! that came back are skipped. A call is checked as the same call over HTTP is.

use std::path::Path;

use dede_api::json;
use dede_api::requests::{CreateRequest, PredictRequest};
use dede_core::catalogue::Catalogue;
use dede_core::name::ServiceName;
use dede_core::quote::quote;
use dede_core::request_memory::MemoryShare;
use dede_core::service::PredictCall;

use crate::http::{sections, unsupported};

/// One line.
#[derive(Debug, PartialEq, Eq)]
enum Call<'a> {
    Create { name: &'a str, body: &'a str },
    Predict { body: &'a str },
    Unknown { word: &'a str },
    Nothing,
}

/// Makes all calls of the file.
///
/// # Errors
/// A sentence: the file cannot be read; or a call failed and `go_on` is false.
pub(crate) fn run(file: &Path, catalogue: &Catalogue, go_on: bool) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    for (index, line) in text.lines().enumerate() {
        let outcome = parse(line).and_then(|call| make(&call, catalogue));
        let Err(reason) = outcome else { continue };
        let place = format!("{}, line {}: {reason}", file.display(), index + 1);
        if !go_on {
            return Err(format!("Service autostart failed, exiting: {place}"));
        }
        tracing::error!(target: "api", "Service autostart failed: {place}");
    }
    Ok(())
}

fn parse(line: &str) -> Result<Call<'_>, String> {
    let line = line.trim();
    let (word, rest) = line.split_once(';').unwrap_or((line, ""));
    match word.trim_end() {
        "" if rest.is_empty() => Ok(Call::Nothing),
        comment if comment.starts_with('#') => Ok(Call::Nothing),
        "service_create" => match rest.split_once(';') {
            Some((name, body)) => Ok(Call::Create { name, body }),
            None => Err("expected service_create;<name>;<JSON body>".to_owned()),
        },
        "service_predict" => Ok(Call::Predict { body: rest }),
        word => Ok(Call::Unknown { word }),
    }
}

fn make(call: &Call<'_>, catalogue: &Catalogue) -> Result<(), String> {
    match call {
        Call::Nothing => Ok(()),
        Call::Unknown { word } => {
            let reason = format!("unknown call {:?}: service_create or service_predict expected", quote(word));
            if catalogue.is_strict() {
                return Err(reason);
            }
            tracing::warn!(target: "api", "start list: {reason}; the line is skipped");
            Ok(())
        }
        Call::Create { name, body } => create(name, body, catalogue),
        Call::Predict { body } => predict(body, catalogue),
    }
}

fn create(name: &str, body: &str, catalogue: &Catalogue) -> Result<(), String> {
    let parsed = ServiceName::parse(name).map_err(|error| error.to_string())?;
    if catalogue.snapshot().is_taken(&parsed) {
        tracing::info!(target: "api", "{parsed} is there already");
        return Ok(());
    }
    let object = json::parse_object(body).map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let request = CreateRequest::read(object, body).map_err(|error| error.to_string())?;
    unsupported::check_connector(&request).map_err(|error| error.to_string())?;
    catalogue.create(name, request).map_err(|error| error.to_string())
}

fn predict(body: &str, catalogue: &Catalogue) -> Result<(), String> {
    let object = json::parse_object(body).map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let request = PredictRequest::read(object).map_err(|error| error.to_string())?;
    let service = catalogue.resolve(&request.service).map_err(|error| error.to_string())?.service;
    for path in &request.unknown {
        let shown = quote(path);
        if catalogue.is_strict() {
            return Err(format!("unknown member ({shown})"));
        }
        tracing::warn!(target: "api", "{}: unknown member {shown:?} ignored", request.service);
    }
    let call =
        PredictCall { is_guest: false, parameters: sections(request.parameters), data: request.data, ids: request.ids };
    service.predict(&call, &MemoryShare::unbounded()).map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        for (line, expected) in [
            ("service_create;a;{\"x\":\";\"}", Ok(Call::Create { name: "a", body: "{\"x\":\";\"}" })),
            ("service_predict;{}", Ok(Call::Predict { body: "{}" })),
            ("", Ok(Call::Nothing)),
            ("# a comment; with more", Ok(Call::Nothing)),
            ("#service_create;a;{}", Ok(Call::Nothing)),
            ("service_predict ;{}", Ok(Call::Predict { body: "{}" })),
            ("service_train;{}", Ok(Call::Unknown { word: "service_train" })),
            ("SERVICE_CREATE;a;{}", Ok(Call::Unknown { word: "SERVICE_CREATE" })),
            (";x", Ok(Call::Unknown { word: "" })),
            ("service_create;a", Err("expected service_create;<name>;<JSON body>".to_owned())),
        ] {
            assert_eq!(parse(line), expected, "{line}");
        }
    }
}
