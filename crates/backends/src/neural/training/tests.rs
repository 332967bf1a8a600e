//! Whole trainings on real data: plan, run, and what is left in the directory.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use dede_model::backend::{EngineOptions, Task, Trained, TrainingRun};
use dede_model::cancel::CancelToken;
use dede_model::connector::{Fitted, TestSet};
use dede_model::data::{Batch, DataKind, Dataset, Image, Normalization, Pixels, SampleShape, Targets};
use dede_model::error::Error;
use dede_model::labels::Labels;
use dede_model::measure::MeasureSpec;
use dede_model::parameters::Section;
use dede_model::progress::Progress;
use dede_model::repository::Repository;
use serde_json::{Value, json};

use super::*;

mod beginning;
mod resuming;

/// Rows with a class or with values.
struct Table {
    rows: Vec<Vec<f32>>,
    targets: Vec<Vec<f32>>,
    classes: bool,
    /// Cancels when this many batches have been read.
    cancel: Option<(usize, CancelToken)>,
    read: AtomicUsize,
}

impl Dataset for Table {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn batch(&self, indices: &[usize]) -> Result<Batch> {
        if let Some((limit, token)) = &self.cancel
            && self.read.fetch_add(1, Ordering::Relaxed) + 1 == *limit
        {
            token.cancel();
        }
        let gather = |from: &[Vec<f32>]| -> Floats {
            let values: Vec<f32> = indices.iter().flat_map(|index| from[*index].clone()).collect();
            Floats::new(vec![indices.len(), values.len() / indices.len()], values).unwrap()
        };
        let targets = match self.classes {
            true => Targets::Classes(indices.iter().map(|index| self.targets[*index][0] as i64).collect()),
            false => Targets::Values(gather(&self.targets)),
        };
        let uris = indices.iter().map(usize::to_string).collect();
        Ok(Batch { samples: Samples::Table(gather(&self.rows)), uris, targets: Some(targets) })
    }
}

/// Reads a csv file of the test data: an id, numbers, then `targets` labels; the numbers multiplied by `scale`.
fn table(file: &str, targets: usize, classes: bool, scale: f32) -> Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testing/fixtures/data").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let mut table = Table { rows: Vec::new(), targets: Vec::new(), classes, cancel: None, read: AtomicUsize::new(0) };
    for line in text.lines().skip(1) {
        let numbers: Vec<f32> = line.split(',').skip(1).map(|number| number.parse().unwrap()).collect();
        let (row, target) = numbers.split_at(numbers.len() - targets);
        table.rows.push(row.iter().map(|value| value * scale).collect());
        table.targets.push(target.to_vec());
    }
    table
}

fn fitted(train: Table, test: Option<Table>) -> Fitted {
    let shape = SampleShape::Row { columns: train.rows[0].len() };
    let tests = test.map(|test| TestSet { name: String::new(), data: Box::new(test) as Box<dyn Dataset> });
    Fitted {
        train: Box::new(train),
        tests: tests.into_iter().collect(),
        state: Section::new(),
        report: Section::new(),
        labels: Labels::default(),
        shape,
    }
}

fn digits() -> Fitted {
    fitted(table("digits_train.csv", 1, true, 1.0 / 16.0), Some(table("digits_test.csv", 1, true, 1.0 / 16.0)))
}

fn iris() -> Fitted {
    fitted(table("iris_train.csv", 1, true, 0.2), Some(table("iris_test.csv", 1, true, 0.2)))
}

/// Rows as they are, pixels of grey images as they are.
fn prepare() -> Prepare {
    Arc::new(|samples| match samples {
        Samples::Table(tensor) => Ok(tensor.clone()),
        Samples::Images { images, .. } => {
            let pixels = images.iter().map(|image| match &image.pixels {
                Pixels::U8(pixels) => pixels.iter().map(|pixel| f32::from(*pixel)).collect(),
                Pixels::U16(_) => Vec::new(),
            });
            let values: Vec<f32> = pixels.flat_map(|pixels: Vec<f32>| pixels).collect();
            Ok(Floats::new(vec![images.len(), values.len() / images.len()], values).unwrap())
        }
    })
}

fn section(value: Value) -> Section {
    value.as_object().cloned().unwrap()
}

/// A repository in a temporary directory, and what trains in it.
struct Bench {
    repository: Repository,
    progress: Progress,
    cancel: CancelToken,
    _directory: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let repository = Repository::open(directory.path(), false).unwrap();
        Self { repository, progress: Progress::default(), cancel: CancelToken::default(), _directory: directory }
    }

    fn plan(&self, mllib: &Value, kind: DataKind, existing: Existing<'_>) -> Result<Box<dyn TrainingPlan>> {
        let engine = EngineOptions { threads: 2, concurrency: 1, engine: None };
        let (mllib, none) = (section(mllib.clone()), Section::new());
        let repository = &self.repository;
        let request = TrainRequest { repository, mllib: &mllib, input: &none, model: &none, kind, engine: &engine };
        plan(&request, prepare(), existing)
    }

    /// Trains in a new run; returns the run's directory with the result.
    fn train(&self, mllib: &Value, data: &Fitted) -> Result<(PathBuf, Trained)> {
        let kind = match data.shape {
            SampleShape::Row { .. } => DataKind::Table,
            SampleShape::Image { .. } => DataKind::Images,
        };
        self.run(self.plan(mllib, kind, &|_| Ok(None))?, data)
    }

    fn run(&self, plan: Box<dyn TrainingPlan>, data: &Fitted) -> Result<(PathBuf, Trained)> {
        let run = self.repository.begin_run().unwrap();
        let measures = MeasureSpec::parse(&["acc", "f1", "eucll"]).unwrap();
        let (progress, cancel) = (&self.progress, &self.cancel);
        let trained =
            plan.run(TrainingRun { data, directory: run.directory(), measures: &measures, progress, cancel })?;
        Ok((run.directory().to_owned(), trained))
    }
}

fn served(directory: &Path) -> Graph {
    dede_graph::onnx::import(&std::fs::read(directory.join("model.onnx")).unwrap()).unwrap()
}

fn checkpoints(directory: &Path) -> Vec<u64> {
    checkpoint::in_directory(directory).unwrap().into_iter().map(|(iteration, _)| iteration).collect()
}

#[test]
fn an_mlp_learns_handwritten_digits() {
    let bench = Bench::new();
    let mllib = json!({"template": "mlp", "layers": [100], "nclasses": 10, "seed": 1, "net": {"batch_size": 64},
        "solver": {"iterations": 600, "test_interval": 200, "base_lr": 0.1}});
    let (directory, trained) = bench.train(&mllib, &digits()).unwrap();

    let best = trained.best.unwrap();
    assert!(best.value >= 0.95, "{best:?}");
    assert_eq!(best.measure, "f1");
    let text = std::fs::read_to_string(directory.join("best_model.txt")).unwrap();
    assert_eq!(text, format!("iteration:{}\nf1:{}\n", best.iteration, best.value));
    assert_eq!(trained.task, Task::Classification { classes: 10 });
    assert_eq!(trained.network, "model.onnx");
    assert_eq!(trained.state, section(json!({"template": "mlp", "layers": [100], "nclasses": 10})));

    let figures = bench.progress.figures();
    assert_eq!((figures.iteration, figures.iterations), (Some(599), 600));
    assert_eq!(figures.histories["train_loss"].len(), 600);
    assert_eq!(figures.histories["iteration"], [0.0, 200.0, 400.0, 599.0]);
    assert_eq!(figures.histories["f1"].len(), 4);
    assert!(figures.train_loss.unwrap() < 0.2);
    assert_eq!(served(&directory).output(), "loss");
    assert!(checkpoints(&directory).contains(&best.iteration), "the best checkpoint is kept");
    assert!(checkpoints(&directory).contains(&600), "and the last");
}

#[test]
fn the_best_network_is_served_not_the_last() {
    let bench = Bench::new();
    // A rate that grows ten thousandfold ruins the network after iteration 60.
    let mllib = json!({"template": "mlp", "nclasses": 3, "seed": 3, "solver": {"iterations": 80, "test_interval": 20,
        "base_lr": 0.1, "lr_policy": "multistep", "stepvalue": [62], "gamma": -30.0, "momentum": 0.5}});
    let (directory, trained) = bench.train(&mllib, &iris()).unwrap();
    let best = trained.best.unwrap();
    assert!(best.iteration > 0 && best.iteration < 80, "{best:?}");
    assert_eq!(checkpoints(&directory), [best.iteration, 80]);
    let graph = served(&directory);
    let mut network = network::Network::new(graph.clone(), true).unwrap();
    checkpoint::read(&directory.join(checkpoint::file_name(best.iteration)), &mut network, None).unwrap();
    assert!(network.to_graph().unwrap() == graph);
}

#[test]
fn the_same_seed_gives_the_same_weights_to_the_last_bit() {
    let mllib = |seed| {
        json!({"template": "mlp", "layers": [64, 32], "nclasses": 10, "seed": seed, "dropout": 0.2, "bn": false,
            "solver": {"iterations": 30, "solver_type": "ADAM", "base_lr": 0.001, "test_interval": 10}})
    };
    let weights = |seed| served(&Bench::new().train(&mllib(seed), &digits()).unwrap().0).weights;
    assert!(weights(7) == weights(7));
    assert!(weights(7) != weights(8));
}

#[test]
fn a_resumed_training_ends_as_one_that_was_never_interrupted() {
    let mllib = |iterations: u64, resume: bool, kind: &str| {
        json!({"template": "mlp", "layers": [20, 20], "nclasses": 3, "seed": 5, "dropout": 0.3, "resume": resume,
            "net": {"batch_size": 11}, "solver": {"iterations": iterations, "iter_size": 2, "solver_type": kind,
            "base_lr": 0.01, "lr_policy": "step", "stepsize": 10, "gamma": 0.5, "weight_decay": 0.01}})
    };
    for kind in ["SGD", "ADAM", "ADADELTA", "ADAMW", "RMSPROP"] {
        let whole = Bench::new();
        let data = fitted(table("iris_train.csv", 1, true, 0.2), None);
        let (at_once, _) = whole.train(&mllib(25, false, kind), &data).unwrap();
        let parts = Bench::new();
        parts.train(&mllib(12, false, kind), &data).unwrap();
        let plan = parts.plan(&mllib(25, true, kind), DataKind::Table, &|_| Ok(None)).unwrap();
        assert!(plan.resumes_from().is_some());
        let (resumed, _) = parts.run(plan, &data).unwrap();
        assert!(served(&at_once) == served(&resumed), "{kind}");
    }
}

#[test]
fn an_interrupted_run_leaves_what_resume_needs() {
    let bench = Bench::new();
    let mllib = |resume: bool| {
        json!({"template": "mlp", "nclasses": 3, "seed": 5, "bn": true, "resume": resume,
            "solver": {"iterations": 40, "snapshot": 10, "base_lr": 0.05}})
    };
    let (whole, _) = bench.train(&mllib(false), &iris()).unwrap();
    assert_eq!(checkpoints(&whole), [10, 20, 30, 40], "snapshots that were asked for are kept");
    // As after a kill: a later run with checkpoints of its own up to 20, one of them cut short, and nothing else.
    let killed = bench.repository.begin_run().unwrap();
    let other = Bench::new();
    let (same, _) = other.train(&mllib(false), &iris()).unwrap();
    for iteration in [10, 20] {
        let name = checkpoint::file_name(iteration);
        std::fs::copy(same.join(&name), killed.directory().join(&name)).unwrap();
    }
    std::fs::write(killed.directory().join(checkpoint::file_name(30)), b"cut").unwrap();
    let (resumed, trained) = bench.train(&mllib(true), &iris()).unwrap();
    assert_eq!(trained.best.unwrap().iteration, 40);
    assert!(served(&resumed) == served(&whole));
    assert_eq!(checkpoints(&resumed), [30, 40]);
    // A best result of the interrupted run comes along, with its checkpoint and its record.
    let done = json!({"template": "mlp", "nclasses": 3, "bn": true, "resume": true, "solver": {"iterations": 40}});
    let (again, trained) = bench.train(&done, &fitted(table("iris_train.csv", 1, true, 0.2), None)).unwrap();
    assert_eq!(trained.best.unwrap().iteration, 40);
    assert!(again.join("best_model.txt").exists() && served(&again) == served(&whole));
}

#[test]
fn a_cancelled_run_leaves_network_and_checkpoint_as_they_stand() {
    let bench = Bench::new();
    let mut train = table("iris_train.csv", 1, true, 0.2);
    train.cancel = Some((7, bench.cancel.clone()));
    let mllib = json!({"template": "lregression", "nclasses": 3, "seed": 1, "solver": {"iterations": 1000}});
    let (directory, trained) = bench.train(&mllib, &fitted(train, None)).unwrap();
    assert_eq!(bench.progress.figures().iteration, Some(6));
    assert_eq!(checkpoints(&directory), [7]);
    assert_eq!(trained.best, None);
    let mut network = network::Network::new(served(&directory), true).unwrap();
    let position = checkpoint::read(&directory.join(checkpoint::file_name(7)), &mut network, None).unwrap();
    assert_eq!(position.iteration, 7);
    assert!(network.to_graph().unwrap() == served(&directory));
}

#[test]
fn regressions_with_one_and_two_targets_learn() {
    for (file, targets) in [("diabetes.csv", 1), ("diabetes2.csv", 2)] {
        for template in ["lregression", "mlp"] {
            let bench = Bench::new();
            let mllib = json!({"template": template, "regression": true, "ntargets": targets, "seed": 1,
                "solver": {"iterations": 300, "solver_type": "ADAM", "base_lr": 0.5, "lr_policy": "fixed"}});
            let data = fitted(table(file, targets, false, 10.0), Some(table(file, targets, false, 10.0)));
            let (_, trained) = bench.train(&mllib, &data).unwrap();
            assert_eq!(trained.task, Task::Regression { targets });
            let figures = bench.progress.figures();
            let losses = &figures.histories["train_loss"];
            assert!(losses[299] < losses[0] / 3.0, "{file} {template}: {} to {}", losses[0], losses[299]);
            assert_eq!(trained.best.unwrap().measure, "eucll");
        }
    }
}

#[test]
fn class_weights_move_answers_towards_heavy_classes() {
    let mllib = |weights: [f64; 3]| {
        json!({"template": "lregression", "nclasses": 3, "seed": 1, "class_weights": weights,
            "solver": {"iterations": 60, "lr_policy": "fixed"}})
    };
    let bias = |weights| {
        let graph = served(
            &Bench::new().train(&mllib(weights), &fitted(table("iris_train.csv", 1, true, 0.2), None)).unwrap().0,
        );
        let (_, weight) = graph.weights.iter().find(|(name, _)| name.ends_with(".bias")).unwrap();
        weight.data().to_vec()
    };
    let (plain, heavy) = (bias([1.0, 1.0, 1.0]), bias([1.0, 10.0, 1.0]));
    assert!(heavy[1] - heavy[2] > plain[1] - plain[2], "{plain:?} {heavy:?}");
}

/// Grey images of one vertical or one horizontal line.
struct Lines(usize);

impl Dataset for Lines {
    fn len(&self) -> usize {
        self.0
    }

    fn batch(&self, indices: &[usize]) -> Result<Batch> {
        let image = |index: &usize| {
            let (class, line) = (index % 2, index / 2 % 12);
            let on = |place: usize| [place / 12, place % 12][class] == line;
            let pixels = (0..144).map(|place| if on(place) { 255 } else { (index * place % 60) as u8 }).collect();
            Image {
                width: 12,
                height: 12,
                channels: 1,
                pixels: Pixels::U8(pixels),
                original_width: 12,
                original_height: 12,
                frame: None,
            }
        };
        Ok(Batch {
            samples: Samples::Images {
                images: indices.iter().map(image).collect(),
                normalization: Normalization::default(),
            },
            uris: indices.iter().map(usize::to_string).collect(),
            targets: Some(Targets::Classes(indices.iter().map(|index| (index % 2) as i64).collect())),
        })
    }
}

#[test]
fn a_convnet_learns_from_raw_pixels_the_same_each_time() {
    let mut data = fitted(table("iris.csv", 1, true, 1.0), None);
    data.train = Box::new(Lines(96));
    data.tests = vec![TestSet { name: "lines".into(), data: Box::new(Lines(48)) }];
    data.shape = SampleShape::Image { width: Some(12), height: Some(12), channels: 1 };
    let mllib = json!({"template": "convnet", "layers": ["1CR8", "32"], "nclasses": 2, "seed": 2, "bn": true,
        "net": {"batch_size": 16}, "solver": {"iterations": 80, "test_interval": 40, "solver_type": "ADAM", "base_lr": 0.01}});
    let train = || {
        let bench = Bench::new();
        let (directory, trained) = bench.train(&mllib, &data).unwrap();
        assert!(trained.best.unwrap().value > 0.95);
        assert_eq!(bench.progress.figures().tests[0].name, "lines");
        served(&directory)
    };
    assert!(train() == train(), "the same seed gives the same weights");
}

#[test]
fn mistakes_are_answered_before_the_job_starts() {
    let table = [
        (json!({"nclasses": 3}), "missing solver file in "),
        (json!({"template": "mlp"}), "number of classes is unknown (nclasses == 0)"),
        (json!({"template": "mlp", "regression": true}), "number of regression targets is unknown (ntargets == 0)"),
        (
            json!({"template": "mlp", "nclasses": 3, "resume": true}),
            "resuming a model requires a .solverstate file in model repository",
        ),
        (json!({"template": "mlp", "nclasses": 3, "net": {"batch_size": 0}}), "batch size set to zero"),
        (json!({"template": "mlp", "nclasses": "three"}), "parameters.mllib.nclasses"),
        (
            json!({"template": "mlp", "nclasses": 3, "ntargets": 1}),
            "expected none beside nclasses 3, as regression says which of them counts, found 1 (parameters.mllib.ntargets)",
        ),
        (
            json!({"template": "mlp", "regression": true, "ntargets": 1, "nclasses": 5}),
            "expected none beside ntargets 1, as regression says which of them counts, found 5 (parameters.mllib.nclasses)",
        ),
    ];
    for (mllib, expected) in table {
        let error = Bench::new().plan(&mllib, DataKind::Table, &|_| Ok(None)).err().unwrap();
        assert!(matches!(error, Error::BadParameter(_)), "{mllib}: {error:?}");
        assert!(error.to_string().contains(expected), "{mllib}: {error}");
    }
}

#[test]
fn a_training_state_of_the_original_is_named() {
    let bench = Bench::new();
    std::fs::write(bench.repository.root().join("model_iter_3.solverstate"), "state").unwrap();
    let resumed = json!({"template": "mlp", "nclasses": 3, "resume": true});
    let error = bench.plan(&resumed, DataKind::Table, &|_| Ok(None)).err().unwrap().to_string();
    assert!(error.contains("resuming from model_iter_3.solverstate") && error.contains("format"), "{error}");
}

#[test]
fn what_goes_wrong_under_way_is_said() {
    let cases = [
        (json!({"template": "mlp", "nclasses": 2, "seed": 1}), "target class has id 2"),
        (json!({"template": "mlp", "regression": true, "ntargets": 1}), "the data has a class per item"),
        (
            json!({"template": "mlp", "nclasses": 3, "seed": 1, "solver": {"base_lr": 1e30, "iterations": 20}}),
            "the training diverged",
        ),
        (
            json!({"template": "mlp", "layers": [30_000], "nclasses": 3, "net": {"batch_size": 16_777_216}}),
            "GiB of memory",
        ),
    ];
    for (mllib, expected) in cases {
        let error = Bench::new().train(&mllib, &iris()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    // With a test set and without, what does not fit is said alike.
    let values = json!({"template": "mlp", "regression": true, "ntargets": 2});
    for test in [None, Some(table("diabetes.csv", 1, false, 10.0))] {
        let error = Bench::new().train(&values, &fitted(table("diabetes.csv", 1, false, 10.0), test)).unwrap_err();
        assert!(matches!(error, Error::BadParameter(_)), "{error:?}");
        let expected = "the network learns 2 values per item (ntargets), the data has 1 values per item";
        assert!(error.to_string().contains(expected), "{error}");
    }
    let bench = Bench::new();
    let layers = |units: u64, resume: bool| json!({"template": "mlp", "layers": [units], "nclasses": 3, "resume": resume, "solver": {"iterations": 2}});
    bench.train(&layers(5, false), &iris()).unwrap();
    let error = bench.train(&layers(6, true), &iris()).unwrap_err().to_string();
    assert!(error.contains("another network or solver") && error.contains("checkpoint-2.safetensors"), "{error}");
}
