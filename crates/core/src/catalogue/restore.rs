//! Bringing services and aliases back after a restart, in parallel, each with its own error if it has one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dede_api::requests::CreateRequest;

use super::snapshot::Snapshot;
use super::state::{self, ServiceEntry};
use crate::environment::Environment;
use crate::error::{Error, Fault, Result};
use crate::service::{Definition, Service, Serving};

/// What became of one recorded service.
type Outcome = std::result::Result<Arc<Service>, ServiceEntry>;

/// Everything the state directory records, loaded and warmed.
pub(super) fn restore(environment: &Arc<Environment>) -> Result<Snapshot> {
    let record = state::load(&environment.state_directory)?;
    let mut unknown = Vec::new();
    let mut services = Vec::new();
    for outcome in load_all(record.services, environment) {
        match outcome {
            Ok(service) => services.push(service),
            Err(entry) => unknown.push(entry),
        }
    }
    let mut snapshot = Snapshot::restored(unknown);
    for service in services {
        snapshot = snapshot.with_service((*service.name()).clone(), service)?;
    }
    Ok(record.aliases.into_iter().fold(snapshot, Snapshot::with_restored_alias))
}

fn load_all(entries: Vec<ServiceEntry>, environment: &Arc<Environment>) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::with_capacity(entries.len()));
    let workers = environment.engine.threads.clamp(1, entries.len().max(1));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(entry) = entries.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = load(entry, environment);
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
                }
            });
        }
    });
    outcomes.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn load(entry: &ServiceEntry, environment: &Arc<Environment>) -> Outcome {
    let built = definition(&entry.request, environment).and_then(|definition| {
        let serving = Serving::open(&definition, environment);
        if let Err(error) = &serving {
            tracing::error!(service = %entry.name, %error, "service came back broken");
        }
        Service::new(entry.id, entry.name.clone(), definition, serving, environment)
    });
    built.map_err(|error| {
        tracing::error!(service = %entry.name, %error, "recorded service cannot be built; its record is kept");
        entry.clone()
    })
}

fn definition(body: &str, environment: &Environment) -> Result<Definition> {
    let damaged = |reason: String| Error::Malformed(Fault::at("recorded request", reason));
    let object = dede_api::json::parse_object(body)
        .map_err(|error| damaged(error.to_string()))?
        .map_err(|error| damaged(error.to_string()))?;
    let request = CreateRequest::read(object, body).map_err(|error| damaged(error.to_string()))?;
    Definition::restore(request, environment)
}
