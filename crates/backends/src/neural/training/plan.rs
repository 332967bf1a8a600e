//! From a train request to a training that can run: where the network and its first weights come from.
//!
//! With a template, the network is drawn anew; the weights of a network that the repository holds are taken over when
//! `finetuning` asks for it, or when that network was not trained here, as the original does with weights it finds. Without a
//! template, the repository's network is trained further. `resume` goes on from the newest checkpoint of any run.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;

use dede_core::backend::{Task, TrainRequest, Trained, TrainingPlan, TrainingRun};
use dede_core::data::{DataKind, SampleShape};
use dede_core::error::{Error, Result};
use dede_core::parameters::Section;
use dede_graph::{Graph, Shape};
use rand::Rng;

use super::architecture::Architecture;
use super::checkpoint::{self, Position};
use super::evaluation::Evaluation;
use super::feed::{Feed, Source};
use super::interpreter::{Interpreter, device};
use super::network::{Network, bad_network};
use super::options::{MLLIB, TrainOptions};
use super::order::{Order, Stream, generator};
use super::settings::Settings;
use super::solver::Solver;
use super::trainer::{NETWORK_FILE, Trainer};
use super::{Existing, Prepare};

/// Keys of `parameters.mllib` that recreate a service on the network that was trained.
const STATE: [&str; 9] =
    ["activation", "bn", "dropout", "layers", "nclasses", "ntargets", "regression", "scale", "template"];

/// Where the network comes from.
enum Origin {
    /// Drawn anew.
    Template(Architecture),
    /// Drawn anew, with the weights of this one where names and shapes agree.
    Finetuned(Architecture, Graph),
    /// The repository's network.
    Repository(Graph),
}

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
        let origin = origin(request, &options, existing)?;
        let task = task(&options, &origin)?;
        let settings = Settings::resolve(&options, task)?;
        let resume = if settings.resume { Some(newest_checkpoint(request)?) } else { None };
        let mut state: Section = request.mllib.clone();
        state.retain(|key, value| STATE.contains(&key.as_str()) && !value.is_null());
        match task {
            Task::Classification { classes } => state.insert("nclasses".to_owned(), classes.into()),
            Task::Regression { targets } => state.insert("ntargets".to_owned(), targets.into()),
            Task::Features => None,
        };
        Ok(Self { settings, origin, resume, prepare, kind: request.kind, threads: request.engine.threads, state })
    }

    /// The network before the first iteration.
    fn network(&self, shape: &Shape, seed: u64) -> Result<Network> {
        let (graph, fresh) = match &self.origin {
            Origin::Template(architecture) => (architecture.build(shape, self.settings.task)?, true),
            Origin::Finetuned(architecture, from) => {
                let mut graph = architecture.build(shape, self.settings.task)?;
                take_over(&mut graph, from)?;
                (graph, false)
            }
            Origin::Repository(graph) => (graph.clone(), false),
        };
        let mut graph = graph;
        let mut random = generator(seed, Stream::Weights);
        // 53 bits are what a double holds.
        graph.initialize(|| (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64).map_err(bad_network)?;
        let found = graph.inputs.first().map(|input| input.shape.clone());
        let elements = |shape: &Shape| shape.elements().unwrap_or(0);
        if found.as_ref().map(elements) != Some(elements(shape)) {
            let found = found.map_or_else(|| "none".to_owned(), |shape| shape.to_string());
            let text = format!("the network takes {found}, the data has samples of {shape}");
            return Err(Error::bad_parameter_at("parameters.input", text));
        }
        let network = Network::new(graph, fresh)?;
        match network.parameters().iter().any(|parameter| parameter.trainable) {
            true => Ok(network),
            false => Err(Error::bad_parameter("the network has no weights to train")),
        }
    }

    /// Network, solver and position to begin with: those of the checkpoint, or fresh ones.
    fn start(&self, shape: &Shape, directory: &std::path::Path) -> Result<(Network, Solver, Position)> {
        let seed = self.settings.seed.unwrap_or_else(|| RandomState::new().hash_one("seed"));
        let mut network = self.network(shape, seed)?;
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
    fn resumes(&self) -> bool {
        self.resume.is_some()
    }

    fn run(self: Box<Self>, run: TrainingRun<'_>) -> Result<Trained> {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(self.threads.max(1));
        let pool = threads
            .thread_name(|index| format!("training-{index}"))
            .build()
            .map_err(|error| Error::Internal(format!("start {} threads: {error}", self.threads)))?;
        let best = pool.install(|| self.train(&run))?;
        Ok(Trained {
            state: self.state.clone(),
            report: Section::new(),
            task: self.settings.task,
            best,
            network: NETWORK_FILE.to_owned(),
            labels: None,
        })
    }
}

impl Plan {
    fn train(&self, run: &TrainingRun<'_>) -> Result<Option<dede_core::backend::Best>> {
        let shape = sample_shape(run.data.shape)?;
        if run.data.train.is_empty() {
            return Err(Error::bad_input("the training set is empty"));
        }
        let settings = &self.settings;
        let (network, solver, position) = self.start(&shape, run.directory)?;
        let graph = network.graph();
        check_outputs(graph, settings.task)?;
        let evaluation = Evaluation {
            interpreter: Interpreter::new(graph, graph.output())?,
            output: graph.output().to_owned(),
            device: device(),
            tests: &run.data.tests,
            measures: run.measures,
            labels: &run.data.labels,
            batch_size: settings.test_batch_size,
        };
        let source = Source {
            data: run.data.train.as_ref(),
            prepare: &self.prepare,
            elements: shape.elements().map_err(Error::bad_parameter)?,
            task: settings.task,
            class_weights: &settings.class_weights,
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
}

fn origin(request: &TrainRequest<'_>, options: &TrainOptions, existing: Existing<'_>) -> Result<Origin> {
    let finetuning = options.mllib.finetuning.unwrap_or(false);
    let architecture = Architecture::resolve(&options.mllib, request.kind)?;
    match architecture {
        None => match existing()? {
            Some(graph) => Ok(Origin::Repository(graph)),
            None => {
                let root = request.repository.root().display();
                Err(Error::bad_parameter(format!("missing solver file in {root}")))
            }
        },
        Some(architecture) => {
            // A template over a network that was trained here starts anew, unless asked otherwise; what resumes has its weights.
            let ours = !request.repository.runs()?.is_empty();
            let resumes = options.mllib.resume.unwrap_or(false);
            if resumes || (ours && !finetuning) {
                return Ok(Origin::Template(architecture));
            }
            match existing()? {
                Some(graph) => Ok(Origin::Finetuned(architecture, graph)),
                None if finetuning => {
                    Err(Error::bad_parameter("finetuning requires specifying an existing weights file"))
                }
                None => Ok(Origin::Template(architecture)),
            }
        }
    }
}

/// What the network is for: as asked, or as the repository's network says.
fn task(options: &TrainOptions, origin: &Origin) -> Result<Task> {
    let asked = |count: Option<super::options::Count>| count.map_or(0, |count| count.0 as usize);
    let outputs = match origin {
        Origin::Repository(graph) => outputs_of(graph),
        Origin::Template(_) | Origin::Finetuned(..) => 0,
    };
    let (regression, classes, targets) =
        (options.mllib.regression.unwrap_or(false), asked(options.mllib.nclasses), asked(options.mllib.ntargets));
    match (
        regression,
        classes.max(outputs * usize::from(classes == 0)),
        targets.max(outputs * usize::from(targets == 0)),
    ) {
        (true, _, 0) => Err(Error::bad_parameter_at(
            format!("{MLLIB}.ntargets"),
            "number of regression targets is unknown (ntargets == 0)",
        )),
        (true, _, targets) => Ok(Task::Regression { targets }),
        (false, 0, _) => {
            Err(Error::bad_parameter_at(format!("{MLLIB}.nclasses"), "number of classes is unknown (nclasses == 0)"))
        }
        (false, classes, _) => Ok(Task::Classification { classes }),
    }
}

/// Values that a network answers per sample; 0 when it is broken.
fn outputs_of(graph: &Graph) -> usize {
    let shapes = graph.shapes().unwrap_or_default();
    shapes.get(graph.output()).and_then(|shape| shape.elements().ok()).unwrap_or(0)
}

fn check_outputs(graph: &Graph, task: Task) -> Result<()> {
    let (key, wanted) = match task {
        Task::Classification { classes } => ("nclasses", classes),
        Task::Regression { targets } => ("ntargets", targets),
        Task::Features => return Ok(()),
    };
    match outputs_of(graph) {
        found if found == wanted => Ok(()),
        found => {
            let text = format!("the network answers {found} values per sample, {key} says {wanted}");
            Err(Error::bad_parameter_at(format!("{MLLIB}.{key}"), text))
        }
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

/// Copies weights that agree in name and shape.
fn take_over(graph: &mut Graph, from: &Graph) -> Result<()> {
    let mut missing = BTreeSet::new();
    let parameters = graph.parameters().map_err(bad_network)?;
    for parameter in &parameters {
        match from.weights.get(&parameter.name) {
            Some(weight) if weight.shape() == parameter.shape => {
                graph.weights.insert(parameter.name.clone(), weight.clone());
            }
            Some(_) | None => {
                missing.insert(parameter.name.as_str());
            }
        }
    }
    if missing.len() == parameters.len() {
        return Err(Error::bad_parameter("no layer of the existing network fits the template: nothing to finetune"));
    }
    if !missing.is_empty() {
        tracing::info!(weights = ?missing, "not in the existing network, drawn anew");
    }
    Ok(())
}

fn newest_checkpoint(request: &TrainRequest<'_>) -> Result<PathBuf> {
    match checkpoint::newest(request.repository)? {
        Some(path) => Ok(path),
        None => Err(Error::bad_parameter("resuming a model requires a .solverstate file in model repository")),
    }
}

/// Copies the best checkpoint of the run that is resumed, so that the new run's directory is complete.
fn carry_over(resumed: &std::path::Path, iteration: u64, directory: &std::path::Path) -> bool {
    let name = checkpoint::file_name(iteration);
    let read = std::fs::read(resumed.with_file_name(&name)).map_err(Error::io(format!("read {name}")));
    let copied = read.and_then(|bytes| dede_core::files::write_atomically(&directory.join(&name), &bytes));
    if let Err(error) = &copied {
        tracing::warn!(%error, "the best checkpoint of the resumed run is lost; the search for the best starts anew");
    }
    copied.is_ok()
}
