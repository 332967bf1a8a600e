//! A head's first answer: to the samples that were generated when its network was loaded.
//!
//! It must not know what heads do with numbers, nor file formats.

use dede_model::backend::{PredictOptions, Task};
use dede_model::error::{Error, Result};
use dede_model::request_memory::MemoryShare;

use super::engine::{EngineError, floats};
use super::heads::{Asked, Batches, Head, check_outputs};
use super::loading::Trial;
use super::runner::rows_of;

/// Has a head answer the samples of a trial, in the outputs that it takes and in their order; `name` says which head it is.
///
/// # Errors
/// Those of the head; [`Error::BadParameter`] naming the file whose numbers cannot be read, and where a head that answers places in images
/// has none.
pub(super) fn try_head(head: &dyn Head, name: &str, file: &str, trial: &Trial) -> Result<()> {
    if matches!(head.task(), Task::Detection { .. } | Task::Segmentation { .. }) && trial.image.is_none() {
        let reason = format!("expected images, in which {name} places what it answers, found rows");
        return Err(Error::bad_parameter_at("parameters.input.connector", reason));
    }
    let unread = |error: EngineError| Error::bad_parameter_at(file, error.to_string());
    let samples = trial.samples;
    let found = trial.outputs.iter().map(|output| {
        let rows = rows_of(output, 0, samples, samples).and_then(floats);
        Ok(Batches::new(vec![rows.map_err(unread)?]))
    });
    let images = vec![trial.image; samples];
    let images = images.into_iter().flatten().collect::<Vec<_>>();
    let asked = Asked { images: &images, options: &PredictOptions::default(), memory: &MemoryShare::unbounded() };
    let outputs = head.outputs(found.collect::<Result<_>>()?, &asked)?;
    check_outputs(head.task(), &outputs, samples)
}
