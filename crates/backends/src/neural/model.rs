//! A loaded network as the core sees it: samples in, answers back.
//!
//! It owns how a request is cut into batches. It must not know what the numbers that come back mean, which its [`Head`] does, nor file
//! formats: the network's files are read again through [`LayerSource`] when a request asks for values inside the network.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::Duration;

use dede_model::backend::{Model, ModelDescription, PredictOptions};
use dede_model::data::{Image, SampleShape, Samples};
use dede_model::error::{Error, Result};
use dede_model::outputs::Outputs;
use dede_model::priority;
use dede_model::quote::quote;
use dede_model::request_memory::{KeptMemory, MemoryShare};
use dede_model::tensor::Floats;

use super::engine::{Tensor, floats};
use super::heads::{Asked, Batches, Features, Head, check_outputs};
use super::loading::Loaded;
use super::preparation::Preparation;
use super::runner::{padded, rows_of};

/// Layers other than the output that stay loaded at most; each costs about as much memory as the network.
const LAYERS_KEPT: usize = 2;
/// Most images of one run: bounds the memory of a request.
const MOST_IMAGES: usize = 4;
/// Most rows of a table in one run.
const MOST_ROWS: usize = 512;
/// How often the values of an answer are there while it leaves the engine: there, and as what is given back.
const ANSWER_COPIES: u64 = 2;
/// Work worth more than starting a thread.
const WORTH_A_THREAD: Duration = Duration::from_millis(1);

/// Loads the network once more, to answer the values of another layer. `None`: it has no such layer.
pub(super) type LayerSource = Box<dyn Fn(&str) -> Result<Option<Loaded>> + Send + Sync>;

/// The network with another layer as its output.
struct Layer {
    loaded: Loaded,
    memory: MemoryShare,
}

/// One that stays for further requests.
struct KeptLayer {
    name: String,
    layer: Arc<Layer>,
    _kept: KeptMemory,
}

/// A loaded network.
pub(super) struct NeuralModel {
    description: ModelDescription,
    head: Box<dyn Head>,
    preparation: Preparation,
    loaded: Loaded,
    /// Memory that the network takes about, bytes.
    memory_bytes: u64,
    /// Layers other than the output, the one used last at the end.
    layers: Mutex<Vec<KeptLayer>>,
    /// Held while one is loaded.
    loading: Mutex<()>,
    source: LayerSource,
}

impl NeuralModel {
    pub(super) fn new(
        description: ModelDescription,
        head: Box<dyn Head>,
        preparation: Preparation,
        loaded: Loaded,
        (memory_bytes, source): (u64, LayerSource),
    ) -> Self {
        let (layers, loading) = (Mutex::default(), Mutex::default());
        Self { description, head, preparation, loaded, memory_bytes, layers, loading, source }
    }

    /// The network with the values of `name` as output, loaded at the first request for it. One is loaded at a time: each takes as much
    /// memory as the network, and more while it is loaded.
    fn layer(&self, name: &str, memory: &MemoryShare) -> Result<Arc<Layer>> {
        if let Some(kept) = self.kept(name) {
            return Ok(kept);
        }
        let busy = || Error::Overloaded("another layer of this network is being loaded".into());
        let _loading = match self.loading.try_lock() {
            Ok(loading) => loading,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(busy()),
        };
        // Another request may have loaded it meanwhile.
        if let Some(kept) = self.kept(name) {
            return Ok(kept);
        }
        let memory = memory.beside(self.memory_bytes)?;
        // Names that clients invent push out no layer that is used.
        let unknown = || Error::bad_parameter(format!("unknown extract layer {}", quote(name)));
        let loaded = (self.source)(name)?.ok_or_else(unknown)?;
        let layer = Arc::new(Layer { loaded, memory });
        self.keep_layer(name, &layer);
        Ok(layer)
    }

    /// Keeps it for further requests, in place of the one that was not used for the longest time. Without room it serves this one alone.
    fn keep_layer(&self, name: &str, layer: &Arc<Layer>) {
        let gone: Vec<_> = {
            let mut layers = self.layers();
            let beyond = (layers.len() + 1).saturating_sub(LAYERS_KEPT);
            layers.drain(..beyond).collect()
        };
        drop(gone);
        if let Some(kept) = layer.memory.keep() {
            self.layers().push(KeptLayer { name: name.to_owned(), layer: Arc::clone(layer), _kept: kept });
        }
    }

    /// A layer that is loaded, which is then the one that was used last.
    fn kept(&self, name: &str) -> Option<Arc<Layer>> {
        let mut layers = self.layers();
        let place = layers.iter().position(|known| known.name == name)?;
        let known = layers.remove(place);
        let layer = Arc::clone(&known.layer);
        layers.push(known);
        Some(layer)
    }

    fn layers(&self) -> MutexGuard<'_, Vec<KeptLayer>> {
        self.layers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The outputs for all samples.
    fn found(
        &self,
        loaded: &Loaded,
        samples: &Samples,
        batch_size: Option<usize>,
        memory: &MemoryShare,
    ) -> Result<Vec<Batches>> {
        let plan = Cut::of(loaded, self.preparation.shape, samples.len(), batch_size);
        let next = AtomicUsize::new(0);
        let results: Vec<OnceLock<Result<Vec<Floats>>>> = (0..plan.batches()).map(|_| OnceLock::new()).collect();
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(result) = results.get(index) else { break };
                // Each index is handed out once, so the cell is empty.
                let _ = result.set(self.batch(loaded, samples, plan.range(index), memory));
            }
        };
        let threads = if priority::gives_way() { 1 } else { plan.threads };
        std::thread::scope(|scope| {
            (1..threads).for_each(|_| drop(scope.spawn(work)));
            work();
        });
        let lost = || Err(Error::Internal("a batch was not computed".into()));
        let mut found: Vec<Vec<Floats>> = (0..loaded.outputs).map(|_| Vec::with_capacity(plan.batches())).collect();
        for result in results {
            let outputs = result.into_inner().unwrap_or_else(lost)?;
            found.iter_mut().zip(outputs).for_each(|(found, output)| found.push(output));
        }
        Ok(found.into_iter().map(Batches::new).collect())
    }

    /// The outputs for some samples, a row for each.
    fn batch(
        &self,
        loaded: &Loaded,
        samples: &Samples,
        range: Range<usize>,
        memory: &MemoryShare,
    ) -> Result<Vec<Floats>> {
        let count = range.len();
        let _input = memory.borrow(input_values(samples, &range).saturating_mul(size_of::<f32>() as u64))?;
        let mut batch = self.preparation.batch(samples, range)?;
        if let Some(fixed) = loaded.fixed_batch {
            batch = padded(batch, fixed).map_err(|error| Error::Internal(error.to_string()))?;
        }
        let rows = batch.shape().first().copied().unwrap_or(0);
        let expected = (rows as u64).saturating_mul(loaded.answer_bytes).saturating_mul(ANSWER_COPIES);
        let answer = memory.try_borrow(expected)?;
        let outputs = loaded.runner.run(batch).map_err(|error| loaded.complaint(&error))?;
        let of_samples = |output: Tensor| -> Result<Floats> {
            let output = match rows == count && output.shape().first() == Some(&count) {
                true => output,
                false => rows_of(&output, 0, count, rows).map_err(|error| loaded.complaint(&error))?,
            };
            floats(output).map_err(|error| loaded.complaint(&error))
        };
        let outputs = outputs.into_iter().map(of_samples).collect::<Result<Vec<Floats>>>()?;
        let bytes = outputs.iter().map(|output| size_of_val(output.values()) as u64).sum::<u64>();
        memory.grow(bytes.saturating_sub(expected))?;
        answer.keep(bytes);
        Ok(outputs)
    }
}

impl Model for NeuralModel {
    fn description(&self) -> &ModelDescription {
        &self.description
    }

    fn predict(&self, samples: &Samples, options: &PredictOptions, memory: &MemoryShare) -> Result<Outputs> {
        self.preparation.check(samples)?;
        let images = samples.image_sizes();
        let asked = Asked { images: &images, options, memory };
        if let Some(name) = &options.extract_layer {
            let layer = self.layer(name, memory)?;
            return Features.outputs(self.found(&layer.loaded, samples, options.batch_size, memory)?, &asked);
        }
        let outputs = self.head.outputs(self.found(&self.loaded, samples, options.batch_size, memory)?, &asked)?;
        check_outputs(self.description.task, &outputs, samples.len())?;
        Ok(outputs)
    }
}

/// Values that samples have, as numbers of the network's input.
fn input_values(samples: &Samples, range: &Range<usize>) -> u64 {
    match samples {
        Samples::Table(table) => (range.len() * table.row_len()) as u64,
        Samples::Images { images, .. } => {
            let values = |image: &Image| (image.width * image.height * image.channels) as u64;
            images.get(range.clone()).unwrap_or_default().iter().map(values).sum()
        }
    }
}

/// How a request is cut into batches. Engines add in another order for another number of rows, so the cut depends on the
/// request alone, never on measurements or the machine: the same request on a copy of the directory gives the same bits.
#[derive(Debug, PartialEq, Eq)]
struct Cut {
    rows: usize,
    batch: usize,
    threads: usize,
}

impl Cut {
    fn of(loaded: &Loaded, shape: SampleShape, rows: usize, asked: Option<usize>) -> Self {
        let batch = match (loaded.fixed_batch, shape) {
            (Some(batch), _) => batch,
            (None, SampleShape::Image { .. }) => asked.unwrap_or(1).clamp(1, MOST_IMAGES),
            (None, SampleShape::Row { .. }) => asked.unwrap_or(MOST_ROWS).clamp(1, MOST_ROWS),
        };
        Self::sized(rows, batch, loaded.threads, loaded.runner.profile().row_time)
    }

    /// Batches of that size, on several threads where the work is worth them.
    fn sized(rows: usize, batch: usize, most: usize, row_time: Duration) -> Self {
        let work = row_time.saturating_mul(u32::try_from(rows).unwrap_or(u32::MAX));
        let threads = if work < WORTH_A_THREAD { 1 } else { most.min(rows.div_ceil(batch)).max(1) };
        Self { rows, batch, threads }
    }

    fn batches(&self) -> usize {
        self.rows.div_ceil(self.batch)
    }

    fn range(&self, index: usize) -> Range<usize> {
        let start = index * self.batch;
        start..(start + self.batch).min(self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_cut_evenly_and_spread_where_that_is_worth_it() {
        let slow = Duration::from_millis(30);
        let fast = Duration::from_micros(1);
        let cases = [
            (Cut::sized(1, 1, 2, slow), 1),
            (Cut::sized(2, 1, 2, slow), 2),
            (Cut::sized(32, 4, 2, slow), 2),
            (Cut::sized(32, 4, 1, slow), 1),
            (Cut::sized(600, 512, 2, fast), 1),
            (Cut::sized(5000, 512, 2, fast), 2),
            (Cut::sized(0, 512, 2, fast), 1),
        ];
        for (cut, threads) in cases {
            assert_eq!(cut.threads, threads, "{cut:?}");
            let covered: usize = (0..cut.batches()).map(|index| cut.range(index).len()).sum();
            assert_eq!(covered, cut.rows);
        }
    }
}
