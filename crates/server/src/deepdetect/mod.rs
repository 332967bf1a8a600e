//! DeepDetect's protocol, apart from HTTP: how its requests become calls of the engine, and answers of the engine its JSON.
//!
//! Routes, status codes and headers are of `http`. The start list and the command line speak it, too, and servers with each other: what
//! a move hands on in these words it never reads.

mod answer;
mod chain;
mod description;
mod golden;
mod handover;
mod predictions;
mod recorded;
mod requests;
mod template;
mod training;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use dede_engine::catalogue::{Catalogue, Creation};
use dede_engine::job::JobView;
use dede_engine::name::ServiceName;
use dede_engine::protocol::{Protocol, ServiceIdentity};
use dede_engine::service::{Answered, PredictCall, Service, Serving};
use dede_migration::{GoldenCase, Object, RecordedCase, ServiceApi};
use dede_model::error::Result;
use dede_model::request_memory::MemoryShare;

pub(crate) use answer::{body, through_template, whole};
pub(crate) use chain::{MEMBERS, asked_calls, whole_chain};
pub(crate) use description::{InfoOptions, service_info};
pub(crate) use golden::captured_cases;
pub(crate) use handover::describe;
pub(crate) use requests::{creation, sections};
pub(crate) use training::{blocking_body, job_status, status_body};

/// What the engine and moves ask of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeepDetect;

impl Protocol for DeepDetect {
    fn metrics(&self, service: &ServiceIdentity, job: &JobView) -> Option<String> {
        Some(training::metrics(service, job))
    }

    fn histories(&self, metrics: &str) -> BTreeMap<String, Vec<f64>> {
        training::histories(metrics)
    }

    fn rehearse(&self, service: &ServiceName, answered: &Answered) -> Result<()> {
        let Answered { outputs, pictures: _, uris, labels, measures, output, took } = answered;
        let Some(template) = &output.template else { return Ok(()) };
        let body = body(outputs, uris.clone(), labels, measures.as_ref(), output);
        let answer = whole(service.as_str(), body, took.total);
        through_template(template, &answer, &MemoryShare::unbounded()).map(drop)
    }
}

impl ServiceApi for DeepDetect {
    fn predict_request(&self, call: &PredictCall, serving: &Serving) -> Object {
        golden::request_of(call, serving)
    }

    fn read_case<'a>(&self, case: &'a GoldenCase, serving: &'a Serving) -> Result<Box<dyn RecordedCase + 'a>> {
        golden::read(case, serving).map(|read| Box::new(read) as Box<dyn RecordedCase + 'a>)
    }

    fn create(
        &self,
        catalogue: &Catalogue,
        name: &ServiceName,
        description: &Object,
        repository: &Path,
        how: Creation,
    ) -> Result<Arc<Service>> {
        catalogue.create_as(name.as_str(), handover::creation(description, repository)?, how)
    }
}
