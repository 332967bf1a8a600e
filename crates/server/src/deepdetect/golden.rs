//! Golden cases: predicts as the wire has them, and what is answered to them.

use dede_api::Object;
use dede_api::requests::PredictRequest;
use dede_engine::dispatch::rehearse;
use dede_engine::output::OutputOptions;
use dede_engine::service::{PredictCall, Service, Serving};
use dede_migration::{GoldenCase, RecordedCase};
use dede_model::backend::Task;
use dede_model::error::{Error, Result};
use dede_model::outputs::Outputs;
use dede_model::parameters::over;
use serde_json::{Value, json};

use super::predictions::predictions;
use super::recorded::Recorded;
use super::sections;

/// A golden case, and the service that has to reproduce it.
pub(super) struct ReadCase<'a> {
    call: PredictCall,
    options: OutputOptions,
    predictions: &'a [Value],
    serving: &'a Serving,
}

/// Reads a case.
///
/// # Errors
/// [`Error::BadParameter`] with what was expected of the request.
pub(super) fn read<'a>(case: &'a GoldenCase, serving: &'a Serving) -> Result<ReadCase<'a>> {
    let call = call_of(&case.request)?;
    let options = OutputOptions::parse(&over(&call.parameters.output, &serving.parameters.output))?;
    Ok(ReadCase { call, options, predictions: &case.predictions, serving })
}

impl RecordedCase for ReadCase<'_> {
    fn call(&self) -> &PredictCall {
        &self.call
    }

    fn beside(&self, task: Task, answered: Outputs) -> Result<(Outputs, Outputs)> {
        let labels = &self.serving.labels;
        Recorded { predictions: self.predictions, labels, options: &self.options }.beside(task, answered)
    }
}

/// Recent requests of a service, with what it answers to them now: the golden set that it gives to servers of the version before. A
/// call of tensors cannot be said in these words.
///
/// # Errors
/// [`Error::Internal`] for a service that cannot answer.
pub(crate) fn captured_cases(service: &Service) -> Result<Vec<GoldenCase>> {
    let serving = service.serving()?;
    let mut cases = Vec::new();
    for captured in service.captured().into_iter().filter(|captured| captured.call.tensors.is_empty()) {
        // What it cannot answer any more proves nothing.
        let Ok(answered) = rehearse(service, &captured.call) else { continue };
        let request = request_of(&captured.call, &serving);
        let uris = (1..=answered.outputs.len()).map(|number| number.to_string()).collect();
        let output =
            request.get("parameters").and_then(|parameters| parameters.get("output")).and_then(Value::as_object);
        let options = OutputOptions::parse(&over(output.unwrap_or(&Object::new()), &serving.parameters.output))?;
        let rendered = predictions(&answered.outputs, uris, &serving.labels, &options);
        let written = rendered.iter().map(serde_json::to_value).collect::<std::result::Result<_, _>>();
        cases.push(GoldenCase { request, predictions: written.map_err(|error| Error::Internal(error.to_string()))? });
    }
    Ok(cases)
}

/// A predict as the wire has it, asking for every class.
pub(super) fn request_of(call: &PredictCall, serving: &Serving) -> Object {
    let best = match serving.task {
        Some(Task::Classification { classes }) => classes,
        Some(Task::Regression { targets }) => targets,
        Some(Task::Detection { .. } | Task::Segmentation { .. } | Task::Features | Task::Tensors) | None => 1,
    };
    let mut output = call.parameters.output.clone();
    output.insert("best".into(), best.into());
    let body = json!({
        "parameters": {"input": call.parameters.input, "mllib": call.parameters.mllib, "output": output},
        "data": call.data,
    });
    match body {
        Value::Object(body) => body,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Object::new(),
    }
}

/// The call of a golden case.
fn call_of(request: &Object) -> Result<PredictCall> {
    let mut object = request.clone();
    object.insert("service".into(), "golden".into());
    let read = PredictRequest::read(object);
    let read = read.map_err(|error| Error::bad_parameter_at("golden", error.to_string()))?;
    let parameters = sections(read.parameters);
    Ok(PredictCall { parameters, data: read.data, ids: read.ids, ..PredictCall::default() })
}
