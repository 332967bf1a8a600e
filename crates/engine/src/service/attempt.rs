//! Loading a network that may not be sound, and asking it once: the work of a trial, in a process of its own.

use dede_model::backend::PredictOptions;
use dede_model::data::SampleShape;
use dede_model::error::Result;
use dede_model::request_memory::MemoryShare;

use super::{CreationRequest, Definition, Serving};
use crate::environment::Environment;

/// As many rows and images as a network is given at once: what it takes may grow with their number.
const ROWS: usize = 512;
const IMAGES: usize = 4;

/// The work of [`crate::trial::Trial::attempt`], in this process.
///
/// # Errors
/// As creating the service.
pub fn attempt(request: CreationRequest, environment: &Environment) -> Result<()> {
    let definition = Definition::restore(request, environment)?;
    let serving = Serving::open(&definition, environment)?;
    let Some(model) = &serving.model else { return Ok(()) };
    let (items, batch_size) = match model.description().shape {
        Some(SampleShape::Row { .. }) => (ROWS, None),
        Some(SampleShape::Image { .. }) => (IMAGES, Some(IMAGES)),
        // Its tensors cannot be made up.
        None => return Ok(()),
    };
    // Where items cannot be made up the network answered what loading asks of it.
    let examples: Result<Vec<String>> = (0..items as u64).map(|seed| serving.reader.example(seed)).collect();
    let Ok(batch) = examples.and_then(|examples| serving.reader.read(&examples)) else { return Ok(()) };
    let options = PredictOptions { batch_size, ..PredictOptions::default() };
    model.predict(&batch.samples, &options, &MemoryShare::unbounded()).map(drop)
}
