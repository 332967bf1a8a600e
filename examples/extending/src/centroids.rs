//! A backend of one's own: the nearest of some centres, one line of `centroids.txt` for each class.
//!
//! Answers are the softmax of the negative squared distances, times `sharpness`. It knows neither requests nor how items are read.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use dede_model::backend::{
    Backend, DecidingFile, Model, ModelDescription, OpenRequest, Opened, OutputDescription, PredictOptions,
    ServiceType, Task, TrainRequest, TrainingPlan,
};
use dede_model::data::{DataKind, SampleShape, Samples};
use dede_model::error::{Error, Result};
use dede_model::outputs::Outputs;
use dede_model::parameters::keys::{Key, KeyTable, Moment};
use dede_model::request_memory::MemoryShare;
use dede_model::tensor::Floats;
use serde_json::Value;

/// The file in the repository.
const FILE: &str = "centroids.txt";
/// Its largest size, bytes.
const LARGEST: u64 = 1 << 20;

/// The backend: `mllib` is `centroids`.
#[derive(Debug, Clone, Copy)]
pub struct Centroids;

struct CentroidModel {
    centres: Vec<Vec<f32>>,
    sharpness: f32,
    description: ModelDescription,
}

impl Backend for Centroids {
    fn name(&self) -> &'static str {
        "centroids"
    }

    fn accepts(&self, kind: DataKind, service_type: ServiceType) -> bool {
        kind == DataKind::Table && service_type == ServiceType::Supervised
    }

    fn keys(&self) -> KeyTable {
        const KEYS: KeyTable = KeyTable(&[&[Key::applied("sharpness", Moment::Loading)]]);
        KEYS
    }

    fn open(&self, request: &OpenRequest<'_>) -> Result<Opened> {
        let sharpness = match request.mllib.get("sharpness") {
            None | Some(Value::Null) => 1.0,
            Some(sharpness) => sharpness.as_f64().filter(|sharpness| *sharpness > 0.0).ok_or_else(|| {
                let text = format!("expected a number above 0, found {sharpness}");
                Error::bad_parameter_at("parameters.mllib.sharpness", text)
            })?,
        };
        let path = request.repository.root().join(FILE);
        if !path.exists() {
            return Ok(Opened { model: None, task: None, files: Vec::new() });
        }
        let centres = read(&path)?;
        let (classes, columns) = (centres.len(), centres[0].len());
        let task = Task::Classification { classes };
        let description = ModelDescription {
            task,
            output: OutputDescription::default(),
            shape: Some(SampleShape::Row { columns }),
            parameters: (classes * columns) as u64,
            flops: (3 * classes * columns) as u64,
            engine: "centroids".into(),
            weights: FILE.into(),
        };
        let model = CentroidModel { centres, sharpness: sharpness as f32, description };
        let files = vec![DecidingFile { name: FILE.into(), path }];
        Ok(Opened { model: Some(Arc::new(model)), task: Some(task), files })
    }

    fn plan(&self, _request: &TrainRequest<'_>) -> Result<Box<dyn TrainingPlan>> {
        Err(Error::bad_parameter("centroids are computed elsewhere: write them into centroids.txt"))
    }

    fn is_library_file(&self, file_name: &str) -> bool {
        file_name == FILE
    }
}

fn read(path: &Path) -> Result<Vec<Vec<f32>>> {
    let size = fs::metadata(path).map_err(Error::io(FILE))?.len();
    if size > LARGEST {
        return Err(Error::bad_parameter_at(FILE, format!("expected at most {LARGEST} bytes, found {size}")));
    }
    let text = fs::read_to_string(path).map_err(Error::io(FILE))?;
    let number = |line: usize, text: &str| {
        let number = text.parse::<f32>().ok().filter(|number| number.is_finite());
        number.ok_or_else(|| {
            Error::bad_parameter_at(format!("{FILE}, line {line}"), format!("expected numbers, found {text:.16}"))
        })
    };
    let centres: Vec<Vec<f32>> = text
        .lines()
        .enumerate()
        .map(|(index, line)| line.split_whitespace().map(|text| number(index + 1, text)).collect::<Result<_>>())
        .collect::<Result<_>>()?;
    let columns = centres.first().map_or(0, Vec::len);
    match centres.iter().position(|centre| centre.len() != columns) {
        _ if columns == 0 => {
            Err(Error::bad_parameter_at(FILE, "expected one line of numbers for each class, found none"))
        }
        Some(index) => {
            let text = format!("expected {columns} numbers as in line 1, found {}", centres[index].len());
            Err(Error::bad_parameter_at(format!("{FILE}, line {}", index + 1), text))
        }
        None => Ok(centres),
    }
}

impl Model for CentroidModel {
    fn description(&self) -> &ModelDescription {
        &self.description
    }

    fn predict(&self, samples: &Samples, options: &PredictOptions, memory: &MemoryShare) -> Result<Outputs> {
        if let Some(layer) = &options.extract_layer {
            return Err(Error::bad_parameter(format!("centroids have no layers, found extract_layer {layer:.32}")));
        }
        let columns = self.centres[0].len();
        let table = match samples {
            Samples::Table(table) if table.row_len() == columns => table,
            Samples::Table(table) => {
                return Err(Error::bad_parameter(format!(
                    "expected rows of {columns} numbers, found {}",
                    table.row_len()
                )));
            }
            Samples::Images { .. } => return Err(Error::bad_parameter("expected rows of numbers, found images")),
        };
        let classes = self.centres.len();
        memory.grow((table.rows() * classes * size_of::<f32>()) as u64)?;
        let rows = (0..table.rows()).flat_map(|row| self.probabilities(table.row(row)));
        let probabilities = Floats::new(vec![table.rows(), classes], rows.collect());
        Ok(Outputs::Classification(probabilities.map_err(|error| Error::Internal(error.to_string()))?))
    }
}

impl CentroidModel {
    fn probabilities(&self, row: &[f32]) -> Vec<f32> {
        let score = |centre: &Vec<f32>| -> f32 {
            let squares = centre.iter().zip(row).map(|(centre, value)| (centre - value).powi(2));
            -self.sharpness * squares.sum::<f32>()
        };
        let scores: Vec<f32> = self.centres.iter().map(score).collect();
        let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f32> = scores.iter().map(|score| (score - largest).exp()).collect();
        let sum: f32 = powers.iter().sum();
        powers.iter().map(|power| power / sum).collect()
    }
}
