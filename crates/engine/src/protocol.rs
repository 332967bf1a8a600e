//! What the engine leaves to the protocol that services are created by: records in its words, and the rendering of answers.

use std::collections::BTreeMap;

use dede_model::error::Result;

use crate::answered::Answered;
use crate::job::JobView;
use crate::name::ServiceName;

/// What is said of the service whose training a record tells of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceIdentity {
    /// Its name.
    pub name: String,
    /// What its answers are; empty while unknown.
    pub mltype: String,
    /// As created.
    pub description: String,
    /// `model.repository` as sent.
    pub repository: String,
}

/// The protocol of a server.
pub trait Protocol: Send + Sync {
    /// How a training went, for metrics.json in the repository, which other programs read; none where nothing reads it.
    fn metrics(&self, service: &ServiceIdentity, job: &JobView) -> Option<String>;

    /// The histories in such a file, by the name of their measure, so that plots go on where a training does. A file of another kind has
    /// none.
    fn histories(&self, metrics: &str) -> BTreeMap<String, Vec<f64>>;

    /// Renders an answer that is not sent, to see whether it can be.
    ///
    /// # Errors
    /// Those of rendering it for a client.
    fn rehearse(&self, service: &ServiceName, answered: &Answered) -> Result<()>;
}

/// Records for no other program, and answers that need no rendering.
#[derive(Debug, Clone, Copy)]
pub struct Plain;

impl Protocol for Plain {
    fn metrics(&self, _service: &ServiceIdentity, _job: &JobView) -> Option<String> {
        None
    }

    fn histories(&self, _metrics: &str) -> BTreeMap<String, Vec<f64>> {
        BTreeMap::new()
    }

    fn rehearse(&self, _service: &ServiceName, _answered: &Answered) -> Result<()> {
        Ok(())
    }
}
