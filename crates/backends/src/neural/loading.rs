//! Loading a network into an engine, warming it, and measuring what pays.
//!
//! It owns the generated inputs of the warm-up and the wording of engine errors with the file they belong to.

use std::ops::Range;

use dede_core::backend::EngineOptions;
use dede_core::data::{Image, Normalization, Pixels, SampleShape, Samples};
use dede_core::error::{Error, Fault, Result};
use dede_core::memory;
use dede_core::tensor::Tensor;

use super::as_written;
use super::engine::{self, Array, Availability, Engine, EngineError, LoadOptions, Network, Session};
use super::independence::Tried;
use super::preparation::Preparation;
use super::runner::{Runner, measure, warm};
use super::sizes_by_value;

/// Side of generated images for a network that takes any size.
const ANY_SIZE: usize = 224;
/// Batches of waiting images to try: what a queue plausibly holds, and no larger, since they bound the memory of a run.
/// Rows of a table take too little time to wait long enough.
const IMAGE_BATCHES: [usize; 1] = [4];

/// By what numbers of generated rows are multiplied, one after the other.
const ROW_STRENGTHS: [f32; 4] = [1.0, 4.0, 0.25, 2.0];
/// How dark generated images are: each half as bright as the one before, and so on again.
const DARKNESSES: usize = 4;

/// A network in an engine, ready to run.
pub(super) struct Loaded {
    /// Runs it.
    pub(super) runner: Runner,
    /// Most threads that the batches of one request run on.
    pub(super) threads: usize,
    /// The number of samples that every run must have, where the network's file fixes it.
    pub(super) fixed_batch: Option<usize>,
    /// Its file, for messages.
    pub(super) file: String,
}

/// What a loaded network did with generated samples.
pub(super) struct Trial {
    /// One array per output.
    pub(super) outputs: Vec<Array>,
    /// Samples that were given.
    pub(super) samples: usize,
    /// Whether each had the same answer in a run of several as alone.
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
        let items = |range: Range<usize>| {
            let samples = example(&self.preparation.shape, range.end);
            self.preparation.batch(&samples, range).map_err(unprepared)
        };
        let example = |count: usize| items(0..self.fixed_batch.unwrap_or(count));
        let sizes = match (self.fixed_batch, self.preparation.shape) {
            (None, SampleShape::Image { .. }) => &IMAGE_BATCHES[..],
            (Some(_), _) | (None, SampleShape::Row { .. }) => &[],
        };
        let options = LoadOptions { threads, lanes, outputs: self.outputs, is_optimised: true };
        let is_coarse = as_written::is_quantised(&self.network);
        sizes_by_value::check(&self.network.onnx).map_err(fail)?;
        let item = |number: usize| match self.fixed_batch {
            Some(rows) => items(number..number + 1).and_then(|item| item.padded(rows)),
            None => items(number..number + 1),
        };
        let session = match self.again {
            Some(again) => as_written::load(engine, self.network, &|| again().map_err(unprepared), options, &item),
            None => engine.load(self.network, &options),
        };
        let mut session = session.map_err(fail)?;
        check_inputs(session.as_ref()).map_err(fail)?;
        let mut habit = measure(session.as_ref(), threads, sizes, &example).map_err(fail)?;
        let tried = Tried {
            session: session.as_ref(),
            items: &items,
            padded: &|batch| match self.fixed_batch {
                Some(rows) => batch.padded(rows),
                None => Ok(batch),
            },
            item_time: habit.row_time,
        };
        let are_apart = tried.are_apart(self.fixed_batch).map_err(fail)?;
        if !are_apart && self.fixed_batch.is_none() {
            tracing::info!(file, "items are computed one by one: generated ones had other answers together");
            habit.rows_together = 1;
        }
        let single = example(1).map_err(fail)?;
        session.settle(std::slice::from_ref(&single), habit.alone_on_all_threads).map_err(fail)?;
        warm(session.as_ref(), lanes, habit, &single).map_err(fail)?;
        // The bytes of the network, and what the engine made of them on the way.
        memory::give_back();
        tracing::debug!(file, engine = engine.name(), ?habit, "network loaded and warmed");
        let samples = self.fixed_batch.unwrap_or(2);
        let runner = Runner::new(session, lanes, habit);
        // A network whose shapes only fit one sample shows that here.
        let (samples, outputs) = match example(samples).and_then(|batch| runner.run(batch)) {
            Ok(outputs) => (samples, outputs),
            Err(_) => (1, example(1).and_then(|batch| runner.run(batch)).map_err(fail)?),
        };
        let fixed_batch = self.fixed_batch.or((samples == 1 || !are_apart).then_some(1));
        let loaded = Loaded { runner, threads, fixed_batch, file: file.to_owned() };
        Ok((loaded, Trial { outputs, samples, are_apart, is_coarse }))
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

/// Samples of the right shape with varied content, always the same. Some are stronger than others, so that their answers differ.
fn example(shape: &SampleShape, count: usize) -> Samples {
    let mut state = 0x2545_f491u32;
    let mut next = move || {
        // xorshift32 (Marsaglia, 2003): any noise will do here.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 24) as u8
    };
    match *shape {
        SampleShape::Row { columns } => {
            let value =
                |place: usize| (f32::from(next()) / 128.0 - 1.0) * ROW_STRENGTHS[place / columns % ROW_STRENGTHS.len()];
            let values = (0..count * columns).map(value).collect();
            Samples::Table(Tensor::new(vec![count, columns], values).expect("as many values as the shape wants"))
        }
        SampleShape::Image { width, height, channels } => {
            let (width, height) = (width.unwrap_or(ANY_SIZE), height.unwrap_or(ANY_SIZE));
            let mut image = |number: usize| Image {
                width,
                height,
                channels,
                pixels: Pixels::U8((0..width * height * channels).map(|_| next() >> (number % DARKNESSES)).collect()),
                original_width: width,
                original_height: height,
            };
            let images = (0..count).map(&mut image).collect();
            Samples::Images { images, normalization: Normalization::default() }
        }
    }
}
