//! What the engine leaves to the protocol that services are created by: records in its words, and the rendering of answers.

use std::collections::BTreeMap;

use dede_model::error::Result;
use dede_model::labels::Labels;
use dede_model::outputs::Outputs;
use serde_json::Value;

use crate::job::JobView;
use crate::output::OutputOptions;
use crate::service::{Answered, Service};

/// The protocol of a server.
pub trait Protocol: Send + Sync {
    /// How a training went, for metrics.json in the repository, which other programs read; none where nothing reads it.
    fn metrics(&self, service: &Service, job: &JobView) -> Option<String>;

    /// The histories in such a file, by the name of their measure, so that plots go on where a training does. A file of another kind has
    /// none.
    fn histories(&self, metrics: &str) -> BTreeMap<String, Vec<f64>>;

    /// Predictions as they are answered, one for each item.
    ///
    /// # Errors
    /// [`dede_model::error::Error::Internal`] where they cannot be written.
    fn predictions(
        &self,
        outputs: &Outputs,
        uris: Vec<String>,
        labels: &Labels,
        output: &OutputOptions,
    ) -> Result<Vec<Value>>;

    /// Renders an answer that is not sent, to see whether it can be.
    ///
    /// # Errors
    /// Those of rendering it for a client.
    fn rehearse(&self, service: &Service, answered: &Answered) -> Result<()>;
}

/// Records for no other program, and answers that need no rendering.
#[derive(Debug, Clone, Copy)]
pub struct Plain;

impl Protocol for Plain {
    fn metrics(&self, _service: &Service, _job: &JobView) -> Option<String> {
        None
    }

    fn histories(&self, _metrics: &str) -> BTreeMap<String, Vec<f64>> {
        BTreeMap::new()
    }

    fn predictions(&self, _: &Outputs, uris: Vec<String>, _: &Labels, _: &OutputOptions) -> Result<Vec<Value>> {
        Ok(uris.into_iter().map(Value::from).collect())
    }

    fn rehearse(&self, _service: &Service, _answered: &Answered) -> Result<()> {
        Ok(())
    }
}
