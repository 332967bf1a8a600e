//! Training of neural networks with burn, on the CPU.
//!
//! Read in this order: `settings` (parameters resolved), `trainer` (the loop), `interpreter` (a graph run layer by layer), `solver`
//! and `schedule` (update rules), `checkpoint`. What a run leaves is an ONNX file that any engine serves. This module must not
//! know engines, connectors or the server.

mod architecture;
mod checkpoint;
mod evaluation;
mod feed;
mod idle;
mod interpreter;
mod loss;
mod memory;
mod network;
mod options;
mod order;
mod origin;
mod plan;
mod schedule;
mod settings;
mod solver;
mod standardization;
#[cfg(test)]
mod tests;
mod trainer;

use std::sync::Arc;

use architecture::Architecture;
use dede_graph::Graph;
use dede_graph::caffe::LayerWeights;
use dede_model::backend::{Task, TrainRequest, TrainingPlan};
use dede_model::data::{DataKind, Samples};
use dede_model::error::Result;
use dede_model::parameters::Section;
use dede_model::tensor::Floats;
pub(super) use idle::leave_out;
use options::TrainOptions;
use settings::Settings;

/// Turns samples into what the network takes, `[items, …]`: the same function that prepares a predict, so that a network
/// is served what it was trained on.
pub type Prepare = Arc<dyn Fn(&Samples) -> Result<Floats> + Send + Sync>;

/// What a repository holds to begin with.
#[derive(Debug, Clone)]
pub enum Held {
    /// A network with its weights.
    Network(Graph),
    /// Weights alone, for the network of a template.
    Weights(LayerWeights),
}

/// Reads what the repository holds, or, with `true`, the weights alone that are there beside a network that was trained here; `None`
/// when there is nothing that can be trained.
pub type Existing<'a> = &'a dyn Fn(bool) -> Result<Option<Held>>;

/// Checks what a creation says of later trainings.
///
/// # Errors
/// [`dede_model::error::Error::BadParameter`] naming the parameter.
pub(super) fn check_creation(mllib: &Section) -> Result<()> {
    Settings::check_creation(&TrainOptions::parse(mllib, &Section::new())?)
}

/// Checks the template that a creation names, which its first training will draw.
///
/// # Errors
/// [`dede_model::error::Error::BadParameter`] naming the parameter.
pub(super) fn check_template(mllib: &Section, kind: DataKind) -> Result<()> {
    let options = TrainOptions::parse(mllib, &Section::new())?;
    Architecture::resolve(&options.mllib, kind).map(drop)
}

/// Checks what a creation says of the classes of a network that is there.
///
/// # Errors
/// [`dede_model::error::Error::BadParameter`] naming the parameter.
pub(super) fn check_classes(mllib: &Section, task: Task) -> Result<()> {
    match task {
        Task::Classification { .. } | Task::Regression { .. } => {
            Settings::check_class_weights(&TrainOptions::parse(mllib, &Section::new())?, task)
        }
        Task::Detection { .. } | Task::Segmentation { .. } | Task::Features | Task::Tensors => Ok(()),
    }
}

/// Prepares a training: every parameter is resolved and checked now.
///
/// # Errors
/// [`dede_model::error::Error::BadParameter`] naming the parameter, or with the texts of contract.md 3.9 and 4.5 when
/// template, network or checkpoint are missing.
pub fn plan(request: &TrainRequest<'_>, prepare: Prepare, existing: Existing<'_>) -> Result<Box<dyn TrainingPlan>> {
    Ok(Box::new(plan::Plan::resolve(request, prepare, existing)?))
}
