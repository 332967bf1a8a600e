//! The suites accept a small connector and a small backend that keep the rules, and find every rule broken.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use dede_model::backend::{
    Backend, DecidingFile, EngineOptions, Model, ModelDescription, OpenRequest, Opened, OutputDescription,
    PredictOptions, ServiceType, Task, TrainRequest, TrainingPlan,
};
use dede_model::connector::{Connector, Fetched, Fitted, Reader, ReaderContext, RetainedItems};
use dede_model::data::{Batch, DataKind, SampleShape, Samples};
use dede_model::error::{Error, Result};
use dede_model::outputs::Outputs;
use dede_model::parameters::keys::{Key, KeyTable, Moment};
use dede_model::parameters::{Section, parse};
use dede_model::repository::Repository;
use dede_model::request_memory::MemoryShare;
use dede_model::tensor::Floats;
use serde_json::json;

use super::backend::{BackendCase, backend_suite};
use super::connector::{ConnectorCase, connector_suite};

/// A rule to break.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Broken {
    Nothing,
    EmptyData,
    Order,
    BadItem,
    AmbiguousKey,
    Shape,
    RetainedItems,
    Example,
    Seed,
    Batching,
    Misfit,
    Layer,
    Files,
}

fn breaks_only(suite: impl Fn(Broken), rules: &[Broken]) {
    suite(Broken::Nothing);
    for &rule in rules {
        assert!(catch_unwind(AssertUnwindSafe(|| suite(rule))).is_err(), "{rule:?} is not found");
    }
}

/// One key, which stands twice where that rule is broken.
fn keys(broken: Broken) -> KeyTable {
    const SEPARATOR: [Key; 1] = [Key::applied("separator", Moment::Each)];
    const ONCE: KeyTable = KeyTable(&[&SEPARATOR]);
    const TWICE: KeyTable = KeyTable(&[&SEPARATOR, &SEPARATOR]);
    if broken == Broken::AmbiguousKey { TWICE } else { ONCE }
}

/// Rows of two numbers: `1,2`.
struct Pairs(Broken);

#[derive(serde::Deserialize)]
struct PairOptions {
    #[serde(rename = "separator")]
    _separator: Option<String>,
}

impl Connector for Pairs {
    fn name(&self) -> &'static str {
        "pairs"
    }

    fn kind(&self) -> DataKind {
        DataKind::Table
    }

    fn keys(&self) -> KeyTable {
        keys(self.0)
    }

    fn open(&self, context: &ReaderContext<'_>) -> Result<Box<dyn Reader>> {
        parse::<PairOptions>(context.parameters, "parameters.input").map_err(Error::BadInput)?;
        Ok(Box::new(PairReader { broken: self.0 }))
    }
}

struct PairReader {
    broken: Broken,
}

impl Reader for PairReader {
    fn fetch(&self, _: &[String], _: &MemoryShare) -> Result<Fetched> {
        Ok(Fetched::default())
    }

    fn read_fetched(&self, data: &[String], _: &Fetched, _: usize, _: &MemoryShare) -> Result<(Batch, RetainedItems)> {
        if data.is_empty() && self.broken != Broken::EmptyData {
            return Err(Error::bad_input("missing data"));
        }
        let mut values = Vec::new();
        for item in data {
            match item.split_once(',').map(|(a, b)| (a.parse::<f32>(), b.parse::<f32>())) {
                Some((Ok(a), Ok(b))) => values.extend([a, b]),
                _ if self.broken == Broken::BadItem => values.extend([0.0, 0.0]),
                _ => return Err(Error::bad_input_at(item, "not a pair")),
            }
        }
        if self.broken == Broken::Order {
            values.reverse();
        }
        let table = Floats::new(vec![data.len(), 2], values).expect("two values per item");
        let other = RetainedItems::Rewritten(vec!["0,0".to_owned(); data.len()]);
        let kept = if self.broken == Broken::RetainedItems { other } else { RetainedItems::AsSent };
        Ok((Batch { samples: Samples::Table(table), uris: data.to_vec(), targets: None }, kept))
    }

    fn example(&self, seed: u64) -> Result<String> {
        if self.broken == Broken::Example {
            return Ok(seed.to_string());
        }
        let first = if self.broken == Broken::Seed { 1 } else { seed };
        Ok(format!("{first},1"))
    }

    fn fit(&self, _: &[String]) -> Result<Fitted> {
        Err(Error::bad_input("pairs have no targets"))
    }

    fn shape(&self) -> Option<SampleShape> {
        Some(SampleShape::Row { columns: if self.broken == Broken::Shape { 3 } else { 2 } })
    }
}

#[test]
fn the_connector_suite_finds_every_broken_rule() {
    let suite = |broken| {
        connector_suite(&ConnectorCase {
            connector: &Pairs(broken),
            parameters: Section::new(),
            shape: None,
            items: vec!["1,2".into(), "3,4".into(), "5,6".into()],
            refused: vec![("1".into(), "not a pair")],
            wrong_parameter: ("separator", json!(1)),
            training: None,
        });
    };
    let rules = [
        Broken::EmptyData,
        Broken::Order,
        Broken::BadItem,
        Broken::AmbiguousKey,
        Broken::Shape,
        Broken::RetainedItems,
        Broken::Example,
        Broken::Seed,
    ];
    breaks_only(suite, &rules);
}

/// Answers the sum of a row of two.
struct Sums(Broken);

impl Backend for Sums {
    fn name(&self) -> &'static str {
        "sums"
    }

    fn accepts(&self, kind: DataKind, _: ServiceType) -> bool {
        kind == DataKind::Table
    }

    fn keys(&self) -> KeyTable {
        keys(self.0)
    }

    fn open(&self, request: &OpenRequest<'_>) -> Result<Opened> {
        let task = Task::Regression { targets: 1 };
        let path = request.repository.root().join("sums.txt");
        if self.0 == Broken::Files {
            std::fs::write(request.repository.root().join("opened"), "").map_err(Error::io("write opened"))?;
        }
        let description = ModelDescription {
            task,
            output: OutputDescription::default(),
            shape: Some(SampleShape::Row { columns: 2 }),
            parameters: 2,
            flops: 0,
            engine: "addition".into(),
            weights: "sums.txt".into(),
        };
        Ok(Opened {
            model: Some(Arc::new(SumModel { broken: self.0, description })),
            task: Some(task),
            files: vec![DecidingFile { name: "sums.txt".into(), path }],
        })
    }

    fn plan(&self, _: &TrainRequest<'_>) -> Result<Box<dyn TrainingPlan>> {
        Err(Error::bad_parameter("sums cannot be trained"))
    }

    fn is_library_file(&self, _: &str) -> bool {
        false
    }
}

struct SumModel {
    broken: Broken,
    description: ModelDescription,
}

impl Model for SumModel {
    fn description(&self) -> &ModelDescription {
        &self.description
    }

    fn predict(&self, samples: &Samples, options: &PredictOptions, _: &MemoryShare) -> Result<Outputs> {
        if let (Some(layer), false) = (&options.extract_layer, self.broken == Broken::Layer) {
            return Err(Error::bad_parameter(format!("no layer {layer}")));
        }
        let Samples::Table(table) = samples else {
            return Err(Error::bad_parameter("images have no sum"));
        };
        if table.row_len() != 2 && self.broken != Broken::Misfit {
            return Err(Error::bad_parameter("a sum is of two"));
        }
        let rows = table.rows();
        let drift = if self.broken == Broken::Batching && options.batch_size == Some(1) { 0.1 } else { 0.0 };
        let mut sums: Vec<_> = (0..rows).map(|row| table.row(row).iter().sum::<f32>() + drift).collect();
        if self.broken == Broken::Order {
            sums.reverse();
        }
        Ok(Outputs::Regression(Floats::new(vec![rows, 1], sums).expect("one sum per row")))
    }
}

#[test]
fn the_backend_suite_finds_every_broken_rule() {
    let suite = |broken| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(directory.path().join("sums.txt"), "+").expect("written");
        let repository = Repository::open(directory.path(), false).expect("a repository");
        backend_suite(&BackendCase {
            backend: &Sums(broken),
            repository: &repository,
            mllib: Section::new(),
            input: Section::new(),
            samples: Samples::Table(Floats::new(vec![3, 2], vec![1.0, 2.0, 3.0, 4.0, 5.0, 7.0]).expect("three rows")),
            engine: EngineOptions { threads: 1, concurrency: 1, engine: None },
            tolerance: 1e-6,
        });
    };
    breaks_only(
        suite,
        &[Broken::AmbiguousKey, Broken::Order, Broken::Batching, Broken::Misfit, Broken::Layer, Broken::Files],
    );
}
