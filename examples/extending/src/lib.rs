//! A connector, a backend, a head and a protocol of one's own, each in one file and one line of a list.
//!
//! [`readings`] reads rows of numbers as sensors send them, [`centroids`] answers the class whose centre is nearest, [`head`] makes grades
//! of what a neural network computes, [`lines`] lets clients ask over a Unix socket. What stands here is what a server of one's own needs to put them beside the built-in ones.

pub mod centroids;
pub mod head;
pub mod lines;
pub mod readings;

use std::path::Path;
use std::sync::Arc;

use dede_backends::neural::{caffe::Caffe, onnx::Onnx};
use dede_connectors::{csv::CsvConnector, image::ImageConnector};
use dede_engine::catalogue::Catalogue;
use dede_engine::environment::Environment;
use dede_engine::limiter::{Bounds, Limiter};
use dede_engine::protocol::Plain;
use dede_engine::service::CreationRequest;
use dede_model::backend::{Backend, EngineOptions};
use dede_model::connector::{Connector, InputLimits};
use dede_model::error::Result;
use dede_storage::Roots;
use serde_json::Value;

/// The built-in connectors, and one more.
static CONNECTORS: &[&dyn Connector] = &[&CsvConnector, &ImageConnector, &readings::Readings];

/// The built-in backends, one of them with one more head, and one more.
static BACKENDS: &[&dyn Backend] = &[&Caffe, &Onnx::with_heads(&[&head::Ordinal]), &centroids::Centroids];

/// Requests of all services that may wait or run at once, and of one.
const REQUESTS: usize = 64;

/// Services whose state is kept in `directory`.
///
/// # Errors
/// [`dede_model::error::Error::Io`] where the directory cannot be used.
pub fn catalogue(directory: &Path) -> Result<Arc<Catalogue>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Catalogue::start(Environment {
        connectors: CONNECTORS,
        backends: BACKENDS,
        engine: EngineOptions { threads, concurrency: threads, engine: None },
        limits: Arc::new(InputLimits::default()),
        guest_limits: None,
        limiter: Limiter::new(Bounds::of_machine(REQUESTS, threads)),
        queue_limit: REQUESTS,
        capture_bytes: 0,
        strict: true,
        repository_roots: Roots::default(),
        state_directory: directory.to_owned(),
        protocol: &Plain,
        trial: None,
    })
}

/// Creates a service as `PUT /services/{name}` with this body does.
///
/// # Errors
/// Those of the body, and of [`Catalogue::create`].
pub fn create(catalogue: &Catalogue, name: &str, body: &Value) -> Result<()> {
    catalogue.create(name, CreationRequest::from_record(&body.to_string())?)
}
