//! The life of a predict: read, compute, render.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dede_api::predictions::PredictBody;
use serde_json::Value;

use super::Service;
use super::serving::{Serving, predict_options};
use crate::connector::{Reader, ReaderContext};
use crate::data::{Batch, Targets};
use crate::error::{Error, Result};
use crate::measure::{MeasureSpec, evaluate};
use crate::output::{OutputOptions, render};
use crate::outputs::Outputs;
use crate::parameters::{Parameters, Section, over};

/// A predict request, whoever it was addressed to.
#[derive(Debug, Clone, Default)]
pub struct PredictCall {
    /// The sections of the call.
    pub parameters: Parameters,
    /// Paths, URLs, or the items themselves.
    pub data: Vec<String>,
    /// Names that replace the `uri` of each item; empty when none were sent.
    pub ids: Vec<String>,
}

/// An answer, and who gave it.
#[derive(Debug)]
pub struct Predicted {
    /// The body.
    pub body: PredictBody,
    /// Template and network of the answer are the caller's to apply.
    pub output: OutputOptions,
    /// Version of the service that answered: `sha256:…`.
    pub version: String,
    /// Number of items answered.
    pub items: usize,
    /// Time for reading and for all.
    pub took: Took,
}

/// Where the time of a predict went.
#[derive(Debug, Clone, Copy, Default)]
pub struct Took {
    /// Reading and transforming.
    pub transform: Duration,
    /// All of it.
    pub total: Duration,
}

/// The reader of the last call that brought input parameters: clients send the same ones again and again.
pub(super) struct RecentReader {
    serving: Arc<Serving>,
    input: Section,
    reader: Arc<dyn Reader>,
}

impl Service {
    /// Answers one request. Blocks while it computes.
    ///
    /// # Errors
    /// [`Error::NotTrainedYet`], [`Error::BadInput`], [`Error::BadParameter`], [`Error::Internal`].
    pub fn predict(&self, call: PredictCall) -> Result<Predicted> {
        let started = Instant::now();
        let serving = self.serving()?;
        if serving.model.is_none() && self.jobs.is_busy() {
            return Err(Error::NotTrainedYet(self.name().to_string()));
        }
        let result = self.predict_on(&serving, call, started);
        self.statistics.predicted(result.is_ok(), started.elapsed());
        result
    }

    fn predict_on(&self, serving: &Arc<Serving>, call: PredictCall, started: Instant) -> Result<Predicted> {
        let model = serving.model.as_ref().ok_or_else(|| self.no_model(serving))?;
        let output = OutputOptions::parse(&over(&call.parameters.output, &serving.parameters.output))?;
        let mut options = serving.predict_options.clone();
        if !call.parameters.mllib.is_empty() {
            options = predict_options(&over(&call.parameters.mllib, &serving.parameters.mllib))?;
        }
        let reader = self.reader(serving, call.parameters.input)?;
        self.warn_unknown(reader.unknown_parameters().iter().chain(&output.unknown))?;
        let batch = reader.read(&call.data)?;
        let transform = started.elapsed();
        let items = batch.samples.len();
        self.statistics.transformed(items, transform);
        let outputs = model.predict(&batch.samples, &options)?;
        if outputs.has_nan() {
            return Err(Error::Internal(
                "the network answered NaN: its weights or this input are beyond its range".into(),
            ));
        }
        let mut body = answer(outputs, batch, call.ids, serving, &output)?;
        let took = Took { transform, total: started.elapsed() };
        body.time = body.measure.as_ref().map(|_| took.total.as_secs_f64() * 1000.0);
        Ok(Predicted { body, output, version: serving.version(), items, took })
    }

    /// What a predict without a network is told (contract.md 3.9, rule 6).
    fn no_model(&self, serving: &Serving) -> Error {
        let place = self.definition.repository_as_sent();
        let root = self.definition.repository.root();
        let described = serving.parameters.mllib.get("template").and_then(Value::as_str).is_some_and(|t| !t.is_empty())
            || root.join("deploy.prototxt").exists();
        let what = if described { "model" } else { "deploy file" };
        Error::bad_parameter(format!("no {what} in {place} for initializing the net"))
    }

    /// The service's own reader, or one for the parameters of the call.
    fn reader(&self, serving: &Arc<Serving>, mut input: Section) -> Result<Arc<dyn Reader>> {
        input.remove("connector");
        if input.is_empty() {
            return Ok(Arc::clone(&serving.reader));
        }
        if let Some(recent) = &*self.recent_reader.load()
            && Arc::ptr_eq(&recent.serving, serving)
            && recent.input == input
        {
            return Ok(Arc::clone(&recent.reader));
        }
        let reader: Arc<dyn Reader> = self
            .definition
            .connector
            .open(&ReaderContext {
                parameters: &over(&input, &serving.parameters.input),
                parameters_in_call: true,
                shape: serving.shape(),
                labels: &serving.labels,
                regression: serving.regression(),
                limits: Arc::clone(&self.environment.limits),
            })?
            .into();
        let recent = RecentReader { serving: Arc::clone(serving), input, reader: Arc::clone(&reader) };
        self.recent_reader.store(Some(Arc::new(recent)));
        Ok(reader)
    }
}

fn answer(
    outputs: Outputs,
    batch: Batch,
    ids: Vec<String>,
    serving: &Serving,
    output: &OutputOptions,
) -> Result<PredictBody> {
    if !output.measures.names.is_empty() {
        return measured(&output.measures, &outputs, batch.targets.as_ref(), serving);
    }
    let mut uris = batch.uris;
    for (uri, id) in uris.iter_mut().zip(ids) {
        *uri = id;
    }
    Ok(PredictBody { predictions: render(&outputs, uris, &serving.labels, output), ..PredictBody::default() })
}

fn measured(
    spec: &MeasureSpec,
    outputs: &Outputs,
    targets: Option<&Targets>,
    serving: &Serving,
) -> Result<PredictBody> {
    let targets = targets.ok_or_else(|| {
        Error::bad_input_at("parameters.output.measure", "measures need labelled data, found no labels")
    })?;
    let values = evaluate(spec, outputs, targets, &serving.labels)?;
    let mut measure = dede_api::Object::new();
    measure.insert("test_id".into(), 0.into());
    measure.insert("test_name".into(), "".into());
    measure.extend(values.entries().map(|(name, value)| (name.to_owned(), value.clone())));
    Ok(PredictBody { measure: Some(measure), ..PredictBody::default() })
}
