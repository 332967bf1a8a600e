//! Training of neural networks with burn, on the CPU.
//!
//! Read in this order: `settings` (parameters resolved), `trainer` (the loop), `interpreter` (a graph run layer by layer), `solver`
//! and `schedule` (update rules), `checkpoint`. What a run leaves is an ONNX file that any engine serves. This module must not
//! know engines, connectors or the server.

mod checkpoint;
mod evaluation;
mod feed;
mod interpreter;
mod loss;
mod network;
mod options;
mod order;
mod schedule;
mod settings;
mod solver;
mod trainer;

use std::sync::Arc;

use dede_core::data::Samples;
use dede_core::error::Result;
use dede_core::tensor::Tensor;

/// Turns samples into what the network takes, `[items, …]`: the same function that prepares a predict, so that a network
/// is served what it was trained on.
pub type Prepare = Arc<dyn Fn(&Samples) -> Result<Tensor> + Send + Sync>;
