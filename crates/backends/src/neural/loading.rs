//! Loading a network into an engine, warming it, and measuring what pays.
//!
//! It owns the generated inputs of the warm-up and the wording of engine errors with the file they belong to.

use dede_model::backend::EngineOptions;
use dede_model::data::{ImageSizes, SampleShape, Samples};
use dede_model::error::{Error, Fault, Result};
use dede_model::memory;

use super::as_written;
use super::engine::{self, Availability, Engine, EngineError, LoadOptions, Network, Session, Tensor};
use super::generated;
use super::independence::{LONG, Tried, answers};
use super::preparation::Preparation;
use super::runner::{Runner, join, measure, warm};
use super::sizes_by_value;

/// Batches of waiting images to try: what a queue plausibly holds, and no larger, since they bound the memory of a run.
/// Rows of a table take too little time to wait long enough.
const IMAGE_BATCHES: [usize; 1] = [4];

/// A network in an engine, ready to run.
pub(super) struct Loaded {
    /// Runs it.
    pub(super) runner: Runner,
    /// Most threads that the batches of one request run on.
    pub(super) threads: usize,
    /// The number of samples that every run must have, where the network's file fixes it.
    pub(super) fixed_batch: Option<usize>,
    /// Outputs that a run answers.
    pub(super) outputs: usize,
    /// Bytes that a run answers for each sample, as it did for generated ones.
    pub(super) answer_bytes: u64,
    /// Its file, for messages.
    pub(super) file: String,
}

/// What a loaded network did with generated samples.
pub(super) struct Trial {
    /// One array per output.
    pub(super) outputs: Vec<Tensor>,
    /// Samples that were given.
    pub(super) samples: usize,
    /// The sizes of each of them, where they were images.
    pub(super) image: Option<ImageSizes>,
    /// One array per output for each of several other samples alone.
    pub(super) alone: Vec<Vec<Tensor>>,
    /// Whether each of these had the same answer in a run of several as alone.
    pub(super) are_apart: bool,
    /// Whether the network computes with whole numbers that stand for others.
    pub(super) is_coarse: bool,
}

/// What is to be loaded.
pub(super) struct Loading<'a> {
    /// The ONNX bytes.
    pub(super) network: Network,
    /// Makes the same once more; `None` for networks that this server wrote, whose operators engines are tested with.
    pub(super) again: Option<&'a dyn Fn() -> Result<Network>>,
    /// Values to answer; empty: the outputs of the file.
    pub(super) outputs: Vec<String>,
    /// How samples become inputs.
    pub(super) preparation: &'a Preparation,
    /// See [`Loaded`].
    pub(super) fixed_batch: Option<usize>,
    /// Its file, for messages.
    pub(super) file: &'a str,
}

impl Loading<'_> {
    /// Loads, warms and measures.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the file and the layer.
    pub(super) fn load(self, options: &EngineOptions) -> Result<(Loaded, Trial)> {
        let engine = engine::select(options.engine.as_deref())?;
        let threads = options.threads.max(1);
        let lanes = options.concurrency.max(1);
        let file = self.file;
        let fail = |error: EngineError| complaint(file, &error);
        let unprepared = |error: Error| EngineError::new(error.to_string());
        let prepared = |samples: Samples, count| self.preparation.batch(&samples, 0..count).map_err(unprepared);
        let Preparation { shape, usual, .. } = self.preparation;
        let example = |count: usize| {
            let count = self.fixed_batch.unwrap_or(count);
            prepared(generated::alike(shape, count, usual), count)
        };
        let item = |number: usize| prepared(generated::varied(shape, number, usual), 1);
        let in_each_row = |item: Tensor| match self.fixed_batch {
            Some(rows) => join(&vec![item; rows]),
            None => Ok(item),
        };
        let sizes = match (self.fixed_batch, self.preparation.shape) {
            (None, SampleShape::Image { .. }) => &IMAGE_BATCHES[..],
            (Some(_), _) | (None, SampleShape::Row { .. }) => &[],
        };
        let options = LoadOptions { threads, lanes, outputs: self.outputs, is_optimised: true };
        let is_coarse = as_written::is_quantised(&self.network);
        sizes_by_value::check(&self.network.onnx).map_err(fail)?;
        let session = match self.again {
            Some(again) => {
                as_written::load(engine, self.network, &|| again().map_err(unprepared), options, &|number| {
                    item(number).and_then(in_each_row)
                })
            }
            None => engine.load(self.network, &options),
        };
        let mut session = session.map_err(fail)?;
        check_inputs(session.as_ref()).map_err(fail)?;
        let mut profile = measure(session.as_ref(), threads, sizes, &example).map_err(fail)?;
        let tried = Tried { session: session.as_ref(), item: &item, fixed: self.fixed_batch, is_coarse };
        let alone = tried.alone(profile.row_time);
        let is_long = profile.row_time >= LONG && self.fixed_batch.is_none();
        let are_apart = is_long || tried.are_apart(&alone);
        if !are_apart && self.fixed_batch.is_none() {
            tracing::info!(file, "items are computed one by one: generated ones had other answers together");
        }
        let is_one_by_one = is_long || !are_apart;
        if is_one_by_one {
            profile.rows_together = 1;
        }
        let single = example(1).map_err(fail)?;
        session.settle(std::slice::from_ref(&single), profile.alone_on_all_threads).map_err(fail)?;
        warm(session.as_ref(), lanes, profile, &single).map_err(fail)?;
        // The bytes of the network, and what the engine made of them on the way.
        memory::give_back();
        tracing::debug!(file, engine = engine.name(), ?profile, "network loaded and warmed");
        let samples = self.fixed_batch.unwrap_or(2);
        let runner = Runner::new(session, lanes, profile);
        // A network whose shapes only fit one sample shows that here.
        let (samples, outputs) = match example(samples).and_then(|batch| runner.run(batch)) {
            Ok(outputs) => (samples, outputs),
            Err(_) => (1, example(1).and_then(|batch| runner.run(batch)).map_err(fail)?),
        };
        let fixed_batch = self.fixed_batch.or((samples == 1 || is_one_by_one).then_some(1));
        let answer_bytes = outputs.iter().map(|output| output.values().bytes()).sum::<u64>() / samples as u64;
        let file = file.to_owned();
        let loaded = Loaded { runner, threads, fixed_batch, outputs: outputs.len(), answer_bytes, file };
        let image = generated::alike(shape, 1, usual).image_sizes().first().copied();
        Ok((loaded, Trial { outputs, samples, image, alone: answers(alone), are_apart, is_coarse }))
    }
}

impl Loaded {
    /// An error of the engine about this network.
    pub(super) fn complaint(&self, error: &EngineError) -> Error {
        complaint(&self.file, error)
    }
}

/// Samples are the only input.
fn check_inputs(session: &dyn Session) -> Result<(), EngineError> {
    if session.inputs().len() == 1 {
        return Ok(());
    }
    let names: Vec<_> = session.inputs().iter().map(|port| port.name.as_str()).collect();
    Err(EngineError::new(format!("a network with one input expected, found {names:?}")))
}

fn complaint(file: &str, error: &EngineError) -> Error {
    Error::BadParameter(Fault::at(file, error.to_string()))
}

/// Name and version of the engine that [`Loading::load`] uses, as `onnxruntime 1.31.1`.
pub(super) fn engine_name(options: &EngineOptions) -> Result<String> {
    let engine: &'static dyn Engine = engine::select(options.engine.as_deref())?;
    Ok(match engine.check() {
        Availability::Usable { version, .. } => format!("{} {version}", engine.name()),
        Availability::Unusable { .. } => engine.name().to_owned(),
    })
}
