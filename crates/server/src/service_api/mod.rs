//! What travels between servers in DeepDetect's words, for moves, which never read it: predicts and their answers as golden cases,
//! and the description that creates a service again.
//!
//! It must not know HTTP, nor what a move does with it.

mod answers;
mod description;
mod golden;

use std::path::Path;
use std::sync::Arc;

use dede_engine::catalogue::{Catalogue, Creation};
use dede_engine::name::ServiceName;
use dede_engine::service::{PredictCall, Service, Serving};
use dede_migration::{GoldenCase, Object, RecordedCase, ServiceApi};
use dede_model::error::Result;

pub(crate) use self::description::describe;
pub(crate) use self::golden::captured_cases;

/// DeepDetect's API.
pub(crate) struct DeepDetectApi;

impl ServiceApi for DeepDetectApi {
    fn predict_request(&self, call: &PredictCall, serving: &Serving) -> Object {
        golden::request_of(call, serving)
    }

    fn read_case<'a>(&self, case: &'a GoldenCase, serving: &'a Serving) -> Result<Box<dyn RecordedCase + 'a>> {
        golden::read(case, serving).map(|read| Box::new(read) as Box<dyn RecordedCase + 'a>)
    }

    fn create(
        &self,
        catalogue: &Catalogue,
        name: &ServiceName,
        description: &Object,
        repository: &Path,
        how: Creation,
    ) -> Result<Arc<Service>> {
        catalogue.create_as(name.as_str(), description::creation(description, repository)?, how)
    }
}
