//! DeepDetect's protocol, apart from HTTP: how its requests become calls of the engine, and answers of the engine its JSON.
//!
//! Routes, status codes and headers are of `http`. The start list and the command line speak it, too.

mod answer;
mod description;
mod predictions;
mod requests;
mod template;
mod training;

use std::collections::BTreeMap;

use dede_engine::job::JobView;
use dede_engine::output::OutputOptions;
use dede_engine::protocol::Protocol;
use dede_engine::service::{Answered, Service};
use dede_model::error::{Error, Result};
use dede_model::labels::Labels;
use dede_model::outputs::Outputs;
use dede_model::request_memory::MemoryShare;
use serde_json::Value;

pub(crate) use answer::{body, through_template, whole};
pub(crate) use description::{InfoOptions, service_info};
pub(crate) use requests::{creation, sections};
pub(crate) use training::{blocking_body, job_status, status_body};

/// What the engine asks of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeepDetect;

impl Protocol for DeepDetect {
    fn metrics(&self, service: &Service, job: &JobView) -> Option<String> {
        Some(training::metrics(service, job))
    }

    fn histories(&self, metrics: &str) -> BTreeMap<String, Vec<f64>> {
        training::histories(metrics)
    }

    fn predictions(
        &self,
        outputs: &Outputs,
        uris: Vec<String>,
        labels: &Labels,
        output: &OutputOptions,
    ) -> Result<Vec<Value>> {
        let rendered = predictions::predictions(outputs, uris, labels, output);
        let written = rendered.iter().map(serde_json::to_value).collect::<std::result::Result<_, _>>();
        written.map_err(|error| Error::Internal(error.to_string()))
    }

    fn rehearse(&self, service: &Service, answered: &Answered) -> Result<()> {
        let Answered { outputs, uris, labels, measures, output, took } = answered;
        let Some(template) = &output.template else { return Ok(()) };
        let body = body(outputs, uris.clone(), labels, measures.as_ref(), output);
        let answer = whole(service.name().as_str(), body, took.total);
        through_template(template, &answer, &MemoryShare::unbounded()).map(drop)
    }
}
