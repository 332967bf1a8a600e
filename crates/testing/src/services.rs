//! Services without a server: a catalogue with the caller's connectors, and a backend that needs no network.

use std::path::Path;
use std::sync::Arc;

use dede_engine::catalogue::Catalogue;
use dede_engine::environment::Environment;
use dede_engine::limiter::{Bounds, Limiter};
use dede_engine::protocol::Plain;
use dede_engine::service::CreationRequest;
use dede_model::backend::{
    Backend, DecidingFile, EngineOptions, Model, ModelDescription, OpenRequest, Opened, OutputDescription,
    PredictOptions, ServiceType, Task, TrainRequest, TrainingPlan,
};
use dede_model::connector::{Connector, InputLimits};
use dede_model::data::{DataKind, Pixels, SampleShape, Samples};
use dede_model::error::{Error, Result};
use dede_model::outputs::Outputs;
use dede_model::parameters::keys::{Key, KeyTable, Moment};
use dede_model::parameters::{Parameters, Section};
use dede_model::request_memory::MemoryShare;
use dede_model::tensor::Floats;
use dede_storage::Roots;

/// Answers the sum of the numbers of a sample. `columns` in `parameters.mllib` says how many numbers a row has, and makes it take rows
/// only; without it images of any size are taken.
#[derive(Debug, Clone, Copy)]
pub struct Sums;

impl Backend for Sums {
    fn name(&self) -> &'static str {
        "sums"
    }

    fn accepts(&self, _: DataKind, _: ServiceType) -> bool {
        true
    }

    fn keys(&self) -> KeyTable {
        const KEYS: KeyTable = KeyTable(&[&[Key::applied("columns", Moment::Each)]]);
        KEYS
    }

    fn open(&self, request: &OpenRequest<'_>) -> Result<Opened> {
        let task = Task::Regression { targets: 1 };
        let columns = request.mllib.get("columns").and_then(serde_json::Value::as_u64);
        let shape = match columns.and_then(|columns| usize::try_from(columns).ok()) {
            Some(columns) => SampleShape::Row { columns },
            None => SampleShape::Image { width: None, height: None, channels: 3 },
        };
        let description = ModelDescription {
            task,
            output: OutputDescription::default(),
            shape: Some(shape),
            parameters: 1,
            flops: 0,
            engine: "addition".to_owned(),
            weights: FILE.to_owned(),
        };
        Ok(Opened {
            model: Some(Arc::new(SumModel(description))),
            task: Some(task),
            files: vec![DecidingFile { name: FILE.to_owned(), path: request.repository.root().join(FILE) }],
        })
    }

    fn plan(&self, _: &TrainRequest<'_>) -> Result<Box<dyn TrainingPlan>> {
        Err(Error::bad_parameter("sums cannot be trained"))
    }

    fn is_library_file(&self, _: &str) -> bool {
        false
    }
}

/// The one file of a repository of [`Sums`].
const FILE: &str = "sums.txt";

struct SumModel(ModelDescription);

impl Model for SumModel {
    fn description(&self) -> &ModelDescription {
        &self.0
    }

    fn predict(&self, samples: &Samples, _: &PredictOptions, _: &MemoryShare) -> Result<Outputs> {
        let sums: Vec<f32> = match samples {
            Samples::Table(table) => (0..table.rows()).map(|row| table.row(row).iter().sum()).collect(),
            Samples::Images { images, .. } => {
                let sum = |pixels: &Pixels| match pixels {
                    Pixels::U8(values) => values.iter().map(|&value| f32::from(value)).sum(),
                    Pixels::U16(values) => values.iter().map(|&value| f32::from(value)).sum(),
                };
                images.iter().map(|image| sum(&image.pixels)).collect()
            }
        };
        let tensor = Floats::new(vec![sums.len(), 1], sums);
        tensor.map(Outputs::Regression).map_err(|mismatch| Error::Internal(mismatch.to_string()))
    }
}

/// A catalogue that keeps its state in `directory`, with the [`Sums`] backend alone.
///
/// # Panics
/// When the directory cannot be used.
pub fn catalogue(
    directory: &Path,
    connectors: &'static [&'static dyn Connector],
    capture_bytes: usize,
) -> Arc<Catalogue> {
    Catalogue::start(Environment {
        connectors,
        backends: &[&Sums],
        engine: EngineOptions { threads: 1, concurrency: 1, engine: None },
        limits: Arc::new(InputLimits::default()),
        guest_limits: None,
        limiter: Limiter::new(Bounds::of_machine(64, 1)),
        queue_limit: 16,
        capture_bytes,
        strict: false,
        repository_roots: Roots::default(),
        state_directory: directory.join("state"),
        protocol: &Plain,
        trial: None,
    })
    .expect("a catalogue starts in an empty directory")
}

/// Creates a service of [`Sums`] with a repository of its own under `directory`.
///
/// # Panics
/// When it cannot be created.
pub fn create(catalogue: &Catalogue, directory: &Path, name: &str, connector: &str, input: Section, mllib: Section) {
    let repository = directory.join(name);
    std::fs::create_dir_all(&repository).expect("a directory");
    std::fs::write(repository.join(FILE), "+").expect("written");
    let mut model = Section::new();
    model.insert("repository".to_owned(), repository.display().to_string().into());
    let request = CreationRequest {
        mllib: "sums".to_owned(),
        description: String::new(),
        service_type: "supervised".to_owned(),
        connector: connector.to_owned(),
        parameters: Parameters { input, mllib, output: Section::new() },
        model,
        unknown: Vec::new(),
    };
    catalogue.create(name, request).expect("a service");
}
