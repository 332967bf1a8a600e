//! The seam to the API that servers speak with each other: what a move hands on in its words, and never reads.
//!
//! The server implements it. It must not know moves.

use std::path::Path;
use std::sync::Arc;

use dede_engine::catalogue::{Catalogue, Creation};
use dede_engine::name::ServiceName;
use dede_engine::service::{PredictCall, Service, Serving};
use dede_model::backend::Task;
use dede_model::error::Result;
use dede_model::outputs::Outputs;

use crate::record::{GoldenCase, Object};

/// Reads and writes what travels in the words of the API.
pub trait ServiceApi: Send + Sync {
    /// A call as another server is asked, so that the answer says as much as it can of this network.
    fn predict_request(&self, call: &PredictCall, serving: &Serving) -> Object;

    /// Reads a golden case as the service that has to reproduce it would.
    ///
    /// # Errors
    /// [`dede_model::error::Error::BadParameter`] with what was expected of the request.
    fn read_case<'a>(&self, case: &'a GoldenCase, serving: &'a Serving) -> Result<Box<dyn RecordedCase + 'a>>;

    /// Creates the service of a description on a directory.
    ///
    /// # Errors
    /// [`dede_model::error::Error::Malformed`] for a description that is none; those of creating a service.
    fn create(
        &self,
        catalogue: &Catalogue,
        name: &ServiceName,
        description: &Object,
        repository: &Path,
        how: Creation,
    ) -> Result<Arc<Service>>;
}

/// A golden case that was read.
pub trait RecordedCase {
    /// What was asked.
    fn call(&self) -> &PredictCall;

    /// The recorded answers and the new ones, as far as they can be compared.
    ///
    /// # Errors
    /// [`dede_model::error::Error::BadParameter`] with what was expected of the case and what it holds.
    fn beside(&self, task: Task, answered: Outputs) -> Result<(Outputs, Outputs)>;
}
