//! An answer to a call, before a protocol renders it.
//!
//! It must not know services.

use std::sync::Arc;
use std::time::Duration;

use dede_model::labels::Labels;
use dede_model::measure::MeasureValues;
use dede_model::outputs::Outputs;
use dede_model::picture::KeptPicture;

use crate::output::OutputOptions;

/// An answer, before a protocol renders it.
#[derive(Debug)]
pub struct Answered {
    /// What the model said.
    pub outputs: Outputs,
    /// The images of the items, where the call asks for them; they count in its memory.
    pub pictures: Vec<KeptPicture>,
    /// A name for each item: that of the connector, or the client's own.
    pub uris: Vec<String>,
    /// Names of classes.
    pub labels: Arc<Labels>,
    /// What is answered instead of predictions, where measures are asked for.
    pub measures: Option<MeasureValues>,
    /// How it is to be rendered.
    pub output: OutputOptions,
    /// How long it took.
    pub took: Timings,
}

/// Timings of a predict.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timings {
    /// Reading and transforming.
    pub transform: Duration,
    /// All of it.
    pub total: Duration,
}
