//! Networks of unknown origin: loaded in another process before this one loads them.
//!
//! A file of a few hundred bytes can describe a network that takes more memory than there is, that crashes an engine,
//! or that never answers. Whatever becomes of the process that tries it, no service is harmed. This module must not
//! know processes.

use dede_api::requests::CreateRequest;

use crate::backend::PredictOptions;
use crate::data::SampleShape;
use crate::environment::Environment;
use crate::error::Result;
use crate::request_memory::MemoryShare;
use crate::service::{Definition, Serving};

/// As many rows and images as a network is given at once: what it takes may grow with their number.
const ROWS: usize = 512;
const IMAGES: usize = 4;

/// What a trial does while others run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// It waits with a few others, or is refused: a client asked for it, and each takes a thread.
    Client,
    /// It waits: neither a move nor a restart must fail because of what clients ask for, and only a few run at once.
    Own,
}

/// Tries what a service would be created with.
pub trait Trial: Send + Sync {
    /// Loads it and has it answer once, within bounds of memory and time.
    ///
    /// # Errors
    /// What creating it would be refused with; [`crate::error::Error::BadParameter`] where it met a bound, or its process ended;
    /// [`crate::error::Error::Overloaded`] where too many wait already, and this one is not patient.
    fn attempt(&self, request: &CreateRequest, patience: Patience) -> Result<()>;
}

/// The work of [`Trial::attempt`], in this process.
///
/// # Errors
/// As creating the service.
pub fn attempt(request: CreateRequest, environment: &Environment) -> Result<()> {
    let definition = Definition::restore(request, environment)?;
    let serving = Serving::open(&definition, environment)?;
    let Some(model) = &serving.model else { return Ok(()) };
    let (items, batch_size) = match model.description().shape {
        SampleShape::Row { .. } => (ROWS, None),
        SampleShape::Image { .. } => (IMAGES, Some(IMAGES)),
    };
    // Where items cannot be made up the network answered what loading asks of it.
    let examples: Result<Vec<String>> = (0..items as u64).map(|seed| serving.reader.example(seed)).collect();
    let Ok(batch) = examples.and_then(|examples| serving.reader.read(&examples)) else { return Ok(()) };
    let options = PredictOptions { batch_size, ..PredictOptions::default() };
    model.predict(&batch.samples, &options, &MemoryShare::unbounded()).map(drop)
}
