//! A training whose parameters are resolved, and how it starts: fresh, or from the last checkpoint of the newest run that wrote one
//! (`resume`).

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use dede_graph::Shape;
use dede_model::backend::{Best, Task, TrainRequest, Trained, TrainingPlan, TrainingRun};
use dede_model::data::{DataKind, SampleShape};
use dede_model::error::{Error, Result};
use dede_model::parameters::Section;
use dede_storage::files::write_atomically;

use super::checkpoint::{self, Position};
use super::evaluation::Evaluation;
use super::feed::{Feed, Source};
use super::interpreter::{Interpreter, device};
use super::network::Network;
use super::options::TrainOptions;
use super::order::Order;
use super::origin::{Beginning, Origin};
use super::settings::Settings;
use super::solver::Solver;
use super::trainer::{NETWORK_FILE, Trainer};
use super::{Existing, Prepare, standardization};

/// Keys of `parameters.mllib` that recreate a service on the network that was trained.
const STATE: [&str; 9] =
    ["activation", "bn", "dropout", "layers", "nclasses", "ntargets", "regression", "scale", "template"];

/// A training whose parameters are resolved.
pub(super) struct Plan {
    settings: Settings,
    origin: Origin,
    resume: Option<PathBuf>,
    prepare: Prepare,
    kind: DataKind,
    threads: usize,
    state: Section,
}

impl Plan {
    /// Resolves a request; see [`super::plan`].
    pub(super) fn resolve(request: &TrainRequest<'_>, prepare: Prepare, existing: Existing<'_>) -> Result<Self> {
        let options = TrainOptions::parse(request.mllib, request.input)?;
        let origin = Origin::resolve(request, &options.mllib, existing)?;
        let task = origin.task(&options)?;
        Origin::check_other_count(&options.mllib, task)?;
        let settings = Settings::resolve(&options, task)?;
        let resume = if settings.resume { Some(newest_checkpoint(request)?) } else { None };
        let mut state: Section = request.mllib.clone();
        state.retain(|key, value| STATE.contains(&key.as_str()) && !value.is_null());
        match task {
            Task::Classification { classes } => state.insert("nclasses".to_owned(), classes.into()),
            Task::Regression { targets } => state.insert("ntargets".to_owned(), targets.into()),
            Task::Detection { .. } | Task::Segmentation { .. } | Task::Features | Task::Tensors => None,
        };
        let threads = request.engine.threads;
        Ok(Self { settings, origin, resume, prepare, kind: request.kind, threads, state })
    }

    fn train(&self, run: &TrainingRun<'_>) -> Result<Option<Best>> {
        let shape = sample_shape(run.data.shape)?;
        if run.data.train.is_empty() {
            return Err(Error::bad_input("the training set is empty"));
        }
        let settings = &self.settings;
        let source = Source {
            data: run.data.train.as_ref(),
            prepare: &self.prepare,
            elements: shape.elements().map_err(Error::bad_parameter)?,
            task: settings.task,
            class_weights: &settings.class_weights,
        };
        let (network, solver, position) = self.start(&shape, &source, run.directory)?;
        let graph = network.graph();
        let evaluation = Evaluation {
            interpreter: Interpreter::new(graph, graph.output())?,
            output: graph.output().to_owned(),
            device: device(),
            tests: &run.data.tests,
            measures: run.measures,
            labels: &run.data.labels,
            batch_size: settings.test_batch_size,
        };
        let order = Order::new(source.data.len(), settings.batch_size, position.seed, settings.shuffle);
        let first = position.iteration * settings.batches_per_iteration;
        let trainer = Trainer {
            settings,
            interpreter: Interpreter::new(graph, graph.logits())?,
            network,
            solver,
            evaluation,
            source,
            device: device().autodiff(),
            directory: run.directory,
            progress: run.progress,
            cancel: run.cancel,
            position,
        };
        std::thread::scope(|scope| trainer.train(Feed::start(scope, self.kind, source, order, first)?))
    }

    /// Network, solver and position to begin with: those of the checkpoint, or fresh ones.
    fn start(&self, shape: &Shape, source: &Source<'_>, directory: &Path) -> Result<(Network, Solver, Position)> {
        let seed = self.settings.seed.unwrap_or_else(|| RandomState::new().hash_one("seed"));
        let beginning = match &self.resume {
            None => Beginning::Fresh(source),
            Some(path) => Beginning::Resumed { standardized: standardization::is_in_checkpoint(path)? },
        };
        let mut network = self.origin.network(shape, self.kind, &self.settings, seed, beginning)?;
        let lengths: Vec<usize> = network.weights().iter().map(Vec::len).collect();
        let mut solver = Solver::new(self.settings.rule, self.settings.weight_decay, &lengths);
        let Some(path) = &self.resume else {
            let position = Position { iteration: 0, seed, elapsed_ms: 0.0, best: None };
            return Ok((network, solver, position));
        };
        let mut position = checkpoint::read(path, &mut network, Some(&mut solver))?;
        position.best = position.best.filter(|best| carry_over(path, best.iteration, directory));
        Ok((network, solver, position))
    }
}

impl TrainingPlan for Plan {
    fn task(&self) -> Task {
        self.settings.task
    }

    fn resumes_from(&self) -> Option<&Path> {
        self.resume.as_deref()
    }

    fn run(self: Box<Self>, run: TrainingRun<'_>) -> Result<Trained> {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(self.threads.max(1));
        let pool = threads
            .thread_name(|index| format!("training-{index}"))
            .build()
            .map_err(|error| Error::Internal(format!("start {} threads: {error}", self.threads)))?;
        let best = pool.install(|| self.train(&run))?;
        Ok(Trained {
            state: self.state,
            report: Section::new(),
            task: self.settings.task,
            best,
            network: NETWORK_FILE.to_owned(),
            labels: None,
        })
    }
}

/// The shape that the network must take.
fn sample_shape(shape: SampleShape) -> Result<Shape> {
    match shape {
        SampleShape::Row { columns } => Ok(Shape::columns(columns)),
        SampleShape::Image { width: Some(width), height: Some(height), channels } => {
            Ok(Shape::image(channels, height, width))
        }
        SampleShape::Image { .. } => {
            Err(Error::bad_parameter_at("parameters.input.width", "training needs images of one width and height"))
        }
    }
}

fn newest_checkpoint(request: &TrainRequest<'_>) -> Result<PathBuf> {
    match checkpoint::newest(request.repository)? {
        Some(path) => Ok(path),
        None => Err(no_checkpoint(&request.repository.files().unwrap_or_default())),
    }
}

/// Why nothing can be resumed in a repository with these files.
fn no_checkpoint(files: &[String]) -> Error {
    match files.iter().find(|name| name.ends_with(".solverstate")) {
        Some(name) => Error::bad_parameter(format!(
            "not supported yet: resuming from {name}, as the format of DeepDetect's training states is not read; without \
             resume the training begins with the weights beside it"
        )),
        None => Error::bad_parameter("resuming a model requires a .solverstate file in model repository"),
    }
}

/// Copies the best checkpoint of the run that is resumed, so that the new run's directory is complete.
fn carry_over(resumed: &Path, iteration: u64, directory: &Path) -> bool {
    let name = checkpoint::file_name(iteration);
    let read = std::fs::read(resumed.with_file_name(&name)).map_err(Error::io(format!("read {name}")));
    let copied = read.and_then(|bytes| Ok(write_atomically(&directory.join(&name), &bytes)?));
    if let Err(error) = &copied {
        tracing::warn!(%error, "the best checkpoint of the resumed run is lost; the search for the best starts anew");
    }
    copied.is_ok()
}
