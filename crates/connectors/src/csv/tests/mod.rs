//! The csv connector as a whole: requests as recorded, and what the original's tests pin (contract.md 8.3, 8.4).

mod fit;
mod keeping;
mod known;
mod labels;
mod lines;
mod predict;
mod untrained;

use std::sync::Arc;

use dede_model::connector::{Connector, InputLimits, Reader, ReaderContext};
use dede_model::data::{Batch, SampleShape, Samples, Targets};
use dede_model::error::Result;
use dede_model::labels::Labels;
use dede_model::parameters::{Section, over};
use serde_json::{Value, json};

use super::CsvConnector;

/// What a reader is opened with, and the defaults of most tests.
struct Setup {
    parameters: Section,
    /// What a training stored.
    stored: Section,
    /// What the service was created with.
    created: Section,
    in_call: bool,
    network_columns: Option<usize>,
    labels: Labels,
    regression: bool,
    limits: InputLimits,
}

/// Parameters that the request itself sent.
fn sent(parameters: Value) -> Setup {
    asked(Section::new(), parameters)
}

/// Parameters that a repository stored.
fn stored(stored: Section) -> Setup {
    Setup { in_call: false, ..asked(stored, json!({})) }
}

/// Parameters that a request sends to a service whose training stored others.
fn asked(stored: Section, parameters: Value) -> Setup {
    let (labels, limits) = (Labels::default(), InputLimits::default());
    let (parameters, created) = (section(parameters), Section::new());
    Setup { parameters, stored, created, in_call: true, network_columns: None, labels, regression: false, limits }
}

impl Setup {
    fn try_open(&self) -> Result<Box<dyn Reader>> {
        CsvConnector.open(&ReaderContext {
            parameters: &over(&self.parameters, &over(&self.created, &self.stored)),
            own: &self.parameters,
            created: &self.created,
            stored: &self.stored,
            parameters_in_call: self.in_call,
            shape: self.network_columns.map(|columns| SampleShape::Row { columns }),
            labels: &self.labels,
            regression: self.regression,
            limits: Arc::new(self.limits.clone()),
        })
    }

    fn open(&self) -> Box<dyn Reader> {
        self.try_open().expect("the parameters are right")
    }

    fn read(&self, data: &[&str]) -> Batch {
        self.open().read(&strings(data)).expect("the data is right")
    }

    /// The words with which parameters or data are refused.
    fn refuse(&self, data: &[&str]) -> String {
        match self.try_open().and_then(|reader| reader.read(&strings(data))) {
            Ok(batch) => panic!("{data:?} was read as {batch:?}"),
            Err(error) => error.to_string(),
        }
    }
}

fn section(value: Value) -> Section {
    value.as_object().cloned().expect("an object")
}

fn strings(data: &[&str]) -> Vec<String> {
    data.iter().map(|&item| item.to_owned()).collect()
}

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/csv/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A file for a test; the directory goes with the first value.
fn written(content: impl AsRef<[u8]>) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("rows.csv");
    std::fs::write(&path, content).expect("written");
    let path = path.display().to_string();
    (directory, path)
}

fn features(batch: &Batch) -> Vec<Vec<f32>> {
    match &batch.samples {
        Samples::Table(table) => (0..table.rows()).map(|row| table.row(row).to_vec()).collect(),
        Samples::Images { .. } => panic!("a table was expected"),
    }
}

fn classes(batch: &Batch) -> Vec<i64> {
    match &batch.targets {
        Some(Targets::Classes(classes)) => classes.clone(),
        other => panic!("classes were expected, found {other:?}"),
    }
}

fn values(batch: &Batch) -> Vec<Vec<f32>> {
    match &batch.targets {
        Some(Targets::Values(values)) => (0..values.rows()).map(|row| values.row(row).to_vec()).collect(),
        other => panic!("values were expected, found {other:?}"),
    }
}

fn assert_near(found: &[Vec<f32>], expected: &[&[f64]]) {
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (&found, &expected) in found.iter().zip(*expected) {
            assert!((f64::from(found) - expected).abs() < 1e-6, "{found} is not {expected}");
        }
    }
}
