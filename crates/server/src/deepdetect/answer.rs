//! The answer of a predict as a whole: head and body, and the text that a template makes of it.
//!
//! It owns where the time stands and how `output.template` is applied; it must not know how an answer is sent.

use std::time::Duration;

use dede_api::Object;
use dede_api::answer::{Answer, Status};
use dede_api::predictions::{PredictBody, PredictHead};
use dede_engine::output::OutputOptions;
use dede_model::error::{Error, Result};
use dede_model::labels::Labels;
use dede_model::measure::MeasureValues;
use dede_model::outputs::Outputs;
use dede_model::request_memory::MemoryShare;
use serde_json::Value;

use super::predictions::predictions;
use super::template::{Unrendered, render};

/// The body: predictions, or measures instead where they are asked for (contract.md 5.8).
pub(crate) fn body(
    outputs: &Outputs,
    uris: Vec<String>,
    labels: &Labels,
    measures: Option<&MeasureValues>,
    output: &OutputOptions,
) -> PredictBody {
    match measures {
        None => PredictBody { predictions: predictions(outputs, uris, labels, output), ..PredictBody::default() },
        Some(values) => PredictBody { measure: Some(measured(values)), ..PredictBody::default() },
    }
}

fn measured(values: &MeasureValues) -> Object {
    let mut measure = Object::new();
    measure.insert("test_id".into(), 0.into());
    measure.insert("test_name".into(), "".into());
    measure.extend(values.entries().map(|(name, value)| (name.to_owned(), value.clone())));
    measure
}

/// Head and body under the name that was asked for. With measures the time stands in the body (contract.md 5.8).
pub(crate) fn whole(asked: &str, mut body: PredictBody, took: Duration) -> Answer<PredictHead, PredictBody> {
    let ms = round_ms(took);
    let time = if body.measure.is_some() { None } else { Some(ms) };
    body.time = body.measure.as_ref().map(|_| ms);
    Answer::whole(Status::ok(), PredictHead { method: "/predict", service: asked.to_owned(), time }, body)
}

/// What a template makes of an answer. It counts in `memory`.
///
/// # Errors
/// [`Error::BadParameter`] with the tag at fault; [`Error::TooLarge`], [`Error::Overloaded`] of the memory.
pub(crate) fn through_template(
    template: &str,
    answer: &Answer<PredictHead, PredictBody>,
    memory: &MemoryShare,
) -> Result<String> {
    let context: Value = serde_json::to_value(answer).map_err(|error| Error::Internal(error.to_string()))?;
    render(template, &context, memory).map_err(|unrendered| match unrendered {
        Unrendered::Template(reason) => Error::bad_parameter_at("parameters.output.template", reason),
        Unrendered::Memory(error) => error,
    })
}

/// Milliseconds with three decimals.
pub(super) fn round_ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
