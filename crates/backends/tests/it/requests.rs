//! Opens repositories the way the core does.

use std::path::Path;

use dede_backends::neural::engine::{Availability, engines};
use dede_model::backend::{Backend, EngineOptions, Model, OpenRequest, Opened, PredictOptions, ServiceType};
use dede_model::data::{DataKind, Samples};
use dede_model::error::{Error, Result};
use dede_model::outputs::Outputs;
use dede_model::parameters::Section;
use dede_model::repository::Repository;
use dede_model::request_memory::MemoryShare;
use dede_model::tensor::Floats;
use serde_json::{Value, json};

/// A creation request.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) mllib: Value,
    pub(crate) stored: Value,
    pub(crate) input: Value,
    pub(crate) model: Value,
    pub(crate) kind: DataKind,
    pub(crate) service_type: ServiceType,
    pub(crate) engine: &'static str,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            mllib: json!({}),
            stored: json!({}),
            input: json!({}),
            model: json!({}),
            kind: DataKind::Table,
            service_type: ServiceType::Supervised,
            engine: "rten",
        }
    }
}

fn section(value: &Value) -> Section {
    value.as_object().cloned().expect("an object")
}

pub(crate) fn options(engine: &str) -> EngineOptions {
    EngineOptions { threads: 2, concurrency: 2, engine: Some(engine.to_owned()) }
}

pub(crate) fn open(backend: &dyn Backend, directory: &Path, request: &Request) -> Result<Opened> {
    let repository = Repository::open(directory, false)?;
    let (call, stored) = (section(&request.mllib), section(&request.stored));
    backend.open(&OpenRequest {
        repository: &repository,
        mllib: &dede_model::parameters::over(&call, &stored),
        mllib_in_call: &call,
        mllib_stored: &stored,
        input: &section(&request.input),
        model: &section(&request.model),
        service_type: request.service_type,
        kind: request.kind,
        engine: &options(request.engine),
    })
}

/// Engines that work here; one that must be there in CI and is not fails the test.
pub(crate) fn usable_engines() -> Vec<&'static str> {
    let works = |name: &'static str, availability: Availability| match availability {
        Availability::Usable { .. } => Some(name),
        Availability::Unusable { reason } => {
            assert!(std::env::var_os("CI").is_none(), "{name} must be there in CI: {reason}");
            eprintln!("skipped: {name}: {reason}");
            None
        }
    };
    engines().into_iter().filter_map(|engine| works(engine.name(), engine.check())).collect()
}

pub(crate) fn table(rows: &[&[f32]]) -> Samples {
    let columns = rows.first().map_or(0, |row| row.len());
    let values = rows.iter().flat_map(|row| row.iter().copied()).collect();
    Samples::Table(Floats::new(vec![rows.len(), columns], values).expect("rows of one length"))
}

pub(crate) fn rows(model: &dyn Model, samples: &Samples) -> Vec<Vec<f32>> {
    rows_of(&model.predict(samples, &PredictOptions::default(), &MemoryShare::unbounded()).expect("answers"))
}

pub(crate) fn rows_of(outputs: &Outputs) -> Vec<Vec<f32>> {
    let (Outputs::Classification(tensor) | Outputs::Regression(tensor) | Outputs::Features(tensor)) = outputs else {
        panic!("expected rows, found {outputs:?}");
    };
    (0..tensor.rows()).map(|row| tensor.row(row).to_vec()).collect()
}

pub(crate) fn refusal(result: Result<Opened>) -> String {
    match result {
        Err(error @ Error::BadParameter(_)) => error.to_string(),
        Err(other) => panic!("a bad parameter expected, found {other:?}"),
        Ok(_) => panic!("a bad parameter expected, found a service"),
    }
}
