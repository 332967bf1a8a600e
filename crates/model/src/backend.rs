//! The seam to model libraries: what turns samples into outputs, and what trains.
//!
//! A backend is a stateless factory in a list of the server; a [`Model`] is what it loaded, shared by all requests. Backends
//! see their own section of the parameters and a repository; they must not know requests, services or HTTP.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use crate::task::{ServiceType, Task};

use crate::cancel::CancelToken;
use crate::connector::Fitted;
use crate::data::{DataKind, SampleShape, Samples};
use crate::error::{Error, Result};
use crate::labels::Labels;
use crate::measure::MeasureSpec;
use crate::outputs::{Confidence, Outputs};
use crate::parameters::Section;
use crate::parameters::keys::{Key, KeyTable};
use crate::progress::Progress;
use crate::repository::{MODEL_KEYS, Repository};
use crate::request_memory::MemoryShare;
use crate::tensor::{NamedTensor, Signature};

/// One per `mllib` name.
pub trait Backend: Send + Sync {
    /// The name in `mllib`.
    fn name(&self) -> &'static str;

    /// Other spellings of the name that requests may have.
    fn other_names(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether services of this type can be built on such data.
    fn accepts(&self, kind: DataKind, service_type: ServiceType) -> bool;

    /// Every key of `parameters.mllib` that there is, applied or refused. Requests are checked against it before they come here.
    fn keys(&self) -> KeyTable;

    /// Every key of `model` that there is, applied or refused.
    fn model_keys(&self) -> KeyTable {
        const KEYS: KeyTable = KeyTable(&[&MODEL_KEYS, &[Key::not_yet("def")]]);
        KEYS
    }

    /// Checks the values of what a creation says of later trainings; `mllib` is that section of the request.
    ///
    /// # Errors
    /// [`crate::error::Error::BadParameter`] naming the parameter.
    fn check_creation(&self, mllib: &Section) -> Result<()> {
        let _ = mllib;
        Ok(())
    }

    /// Checks the creation parameters against the repository and loads the model it holds, if any. Never writes
    /// over a trained network.
    ///
    /// # Errors
    /// [`crate::error::Error::BadParameter`] naming the parameter, or the file and layer.
    fn open(&self, request: &OpenRequest<'_>) -> Result<Opened>;

    /// Memory that loading and serving a network takes at most, bytes, as far as the files with its weights tell.
    fn memory_needed(&self, weights: &[WeightFile<'_>], engine: &EngineOptions) -> u64 {
        let _ = engine;
        weights.iter().map(|file| file.size).sum::<u64>().saturating_mul(2)
    }

    /// Prepares a training run: all parameters are resolved here, so that mistakes are answered at once.
    ///
    /// # Errors
    /// [`crate::error::Error::BadParameter`] naming the parameter; also when this backend cannot train.
    fn plan(&self, request: &TrainRequest<'_>) -> Result<Box<dyn TrainingPlan>>;

    /// Whether `DELETE …?clear=lib` removes a file of this name from the top level of a repository. Matched on
    /// the suffix of the file name only.
    fn is_library_file(&self, file_name: &str) -> bool;
}

/// What a service is opened with.
pub struct OpenRequest<'a> {
    /// Where the network is.
    pub repository: &'a Repository,
    /// `parameters.mllib`: creation over stored.
    pub mllib: &'a Section,
    /// `parameters.mllib` as the request wrote it, for rules that ask what was explicit.
    pub mllib_in_call: &'a Section,
    /// `parameters.mllib` stored by the training whose network the repository holds; empty otherwise.
    pub mllib_stored: &'a Section,
    /// `parameters.input`: creation over stored; `width`, `height`, `bw`, `rgb` are checked against the network.
    pub input: &'a Section,
    /// The `model` object of the request (`repository`, `weights`, `templates`, …).
    pub model: &'a Section,
    /// Supervised or not.
    pub service_type: ServiceType,
    /// What the connector yields.
    pub kind: DataKind,
    /// How engines run.
    pub engine: &'a EngineOptions,
}

/// How engines run; set once per server.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Threads of all computing together.
    pub threads: usize,
    /// Requests of one service that may compute at once.
    pub concurrency: usize,
    /// An engine asked for by name; otherwise the best one that works here.
    pub engine: Option<String>,
}

/// What opening gives.
pub struct Opened {
    /// The loaded and warmed model; `None` when the repository holds no trained network yet.
    pub model: Option<Arc<dyn Model>>,
    /// The task, known from the model or from the creation parameters.
    pub task: Option<Task>,
    /// The files that decide an answer, for the digest: name in the manifest and place on disk.
    pub files: Vec<DecidingFile>,
}

/// A file with weights of a network, by name and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeightFile<'a> {
    /// Its name in the repository.
    pub name: &'a str,
    /// Bytes.
    pub size: u64,
}

/// One file of the digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecidingFile {
    /// Relative name in the manifest.
    pub name: String,
    /// Where it is now.
    pub path: PathBuf,
}

/// A loaded network. Requests run on it concurrently.
pub trait Model: Send + Sync {
    /// The model's task, output, input shape and origin.
    fn description(&self) -> &ModelDescription;

    /// Answers all samples, in order. Results must not depend on how samples are batched. Memory is counted in `memory`
    /// before it is allocated.
    ///
    /// # Errors
    /// [`crate::error::Error::BadParameter`] when the samples do not fit the network or the layer asked for does not exist;
    /// [`crate::error::Error::TooLarge`] and [`crate::error::Error::Overloaded`] of the memory.
    fn predict(&self, samples: &Samples, options: &PredictOptions, memory: &MemoryShare) -> Result<Outputs>;

    /// What it takes and gives as tensors; `None` where it is asked in samples alone.
    fn signature(&self) -> Option<&Signature> {
        None
    }

    /// Runs on tensors: one for each input, in any order; answers one for each output, in that of the signature. Memory is counted in
    /// `memory`.
    ///
    /// # Errors
    /// [`crate::error::Error::BadInput`] naming the input that is missing, unknown, or of another type or shape;
    /// [`crate::error::Error::BadParameter`] where it is asked in samples alone, or the network fails on these tensors;
    /// [`crate::error::Error::TooLarge`] and [`crate::error::Error::Overloaded`] of the memory.
    fn run(&self, inputs: Vec<NamedTensor>, memory: &MemoryShare) -> Result<Vec<NamedTensor>> {
        let _ = (inputs, memory);
        Err(Error::bad_parameter("this service is asked in items, found tensors"))
    }
}

/// Options of one predict, from `parameters.mllib` of the call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PredictOptions {
    /// Answer the values of this layer instead (`extract_layer`).
    pub extract_layer: Option<String>,
    /// Samples per run of the engine (`net.test_batch_size`); all at once without it.
    pub batch_size: Option<usize>,
    /// Which boxes are answered, where the network finds some.
    pub boxes: BoxOptions,
    /// The confidences that are answered, where the network answers masks.
    pub confidences: Confidences,
}

/// Which confidences of masks are answered, from `parameters.output.confidences` of the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confidences {
    /// Those of each class, and those of the best one where that is said.
    All {
        /// Whether those of the best class are asked for as well.
        with_best: bool,
    },
    /// These, each once and in order.
    Of(Vec<Confidence>),
}

impl Default for Confidences {
    fn default() -> Self {
        Self::Of(Vec::new())
    }
}

/// Which boxes are answered, from `parameters.output` of the call.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct BoxOptions {
    /// Boxes of a lower score are left out (`confidence_threshold`).
    pub least_score: f32,
    /// Of two boxes of one class that overlap by more (Jaccard index), the one of the lower score is left out (`nms_threshold`). `None`: as
    /// it is usual for the network, which may have done so itself.
    pub most_overlap: Option<f32>,
    /// Boxes that are looked at in each sample, by their scores (`top_k`); `None`: all.
    pub candidates: Option<usize>,
}

/// The activation that the output values of a classifier went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputActivation {
    /// Probabilities that sum to 1; answered as they are.
    Softmax,
    /// Logarithms of probabilities; answered as `exp` of them.
    LogSoftmax,
    /// Independent scores from 0 to 1, any number of which may be high; answered as they are.
    Sigmoid,
    /// Several of these beside each other; answered as they are.
    Heads,
    /// None: raw scores, answered as their softmax.
    Logits,
}

impl OutputActivation {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Softmax => "softmax",
            Self::LogSoftmax => "log_softmax",
            Self::Sigmoid => "sigmoid",
            Self::Heads => "heads",
            Self::Logits => "logits",
        }
    }
}

/// The output of a network that answers are made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputDescription {
    /// Its name in the network's file.
    pub name: String,
    /// The activation its values went through; `None` where they are answered unchanged.
    pub activation: Option<OutputActivation>,
}

/// A model's task, output, input shape and origin.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelDescription {
    /// What its outputs mean.
    pub task: Task,
    /// The output that is answered.
    pub output: OutputDescription,
    /// What one sample looks like; `None` where the network takes tensors alone.
    pub shape: Option<SampleShape>,
    /// Number of trained values.
    pub parameters: u64,
    /// Floating-point operations for one sample, multiply and add counted apart; 0 when unknown.
    pub flops: u64,
    /// Name and version of the engine that runs it.
    pub engine: String,
    /// File the weights came from, relative to the repository.
    pub weights: String,
}

/// What a training is planned with.
pub struct TrainRequest<'a> {
    /// Where checkpoints of earlier runs are, for `resume` and as initial weights.
    pub repository: &'a Repository,
    /// `parameters.mllib`: call over creation over stored.
    pub mllib: &'a Section,
    /// `parameters.input`: call over creation over stored.
    pub input: &'a Section,
    /// `model` of the creation: `weights` and `def` name files of the repository.
    pub model: &'a Section,
    /// What the connector yields.
    pub kind: DataKind,
    /// How engines run.
    pub engine: &'a EngineOptions,
}

/// A training whose parameters are all resolved.
pub trait TrainingPlan: Send {
    /// What the outputs of the trained network will mean.
    fn task(&self) -> Task;

    /// With `resume`, the checkpoint that the training continues from: the histories, bounds and class names of its run
    /// continue too.
    fn resumes_from(&self) -> Option<&Path>;

    /// Trains, writes the network and checkpoints into `run.directory`, and returns what to record. A
    /// cancelled run still writes the network as it stands.
    ///
    /// # Errors
    /// Anything that went wrong; the directory is then not published.
    fn run(self: Box<Self>, run: TrainingRun<'_>) -> Result<Trained>;
}

/// One run.
pub struct TrainingRun<'a> {
    /// Training and test data.
    pub data: &'a Fitted,
    /// Where this run writes; exists and is empty.
    pub directory: &'a Path,
    /// What to compute on the test sets.
    pub measures: &'a MeasureSpec,
    /// Where live figures go.
    pub progress: &'a Progress,
    /// Asked once per iteration.
    pub cancel: &'a CancelToken,
}

/// What a run leaves, besides its files.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// `parameters.mllib` that recreate the service on this network: stored in the repository.
    pub state: Section,
    /// What the train answer reports under `body.parameters.mllib`, such as a batch size that differs from the one
    /// asked for; may be empty.
    pub report: Section,
    /// The task of the trained network.
    pub task: Task,
    /// The best test result so far: iteration, name and value of the deciding measure.
    pub best: Option<Best>,
    /// The file in the run's directory that holds the network to serve, relative.
    pub network: String,
    /// Classes of the network, when the backend knows names the data does not.
    pub labels: Option<Labels>,
}

/// Content of best_model.txt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// 0-based, as in the measures.
    pub iteration: u64,
    /// Name of the measure that decided.
    pub measure: String,
    /// Its value.
    pub value: f64,
}
