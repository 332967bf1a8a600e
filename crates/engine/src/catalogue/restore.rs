//! Bringing services and aliases back after a restart, in parallel, each with its own error if it has one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dede_model::error::{Error, Fault, Result};

use super::alias::Alias;
use super::snapshot::Snapshot;
use super::state::{self, ServiceEntry};
use crate::environment::Environment;
use crate::service::{CreationRequest, Definition, Service, Serving};
use crate::trial::Patience;

/// What became of one recorded service.
type Outcome = std::result::Result<Arc<Service>, ServiceEntry>;

/// Everything the state directory records, loaded and warmed.
pub(super) fn restore(environment: &Arc<Environment>) -> Result<Snapshot> {
    let record = state::load(&environment.state_directory)?;
    forget_orphans(environment, &record.services);
    let unloaded = record.services.iter().filter(|entry| entry.unloaded).map(|entry| entry.id).collect();
    let created_by = record.services.iter().filter_map(|entry| Some((entry.id, entry.created_by?))).collect();
    let listings: HashMap<_, _> = record.services.iter().map(|entry| (entry.id, entry.listing)).collect();
    let mut unbuildable = Vec::new();
    let mut services = Vec::new();
    for outcome in load_all(record.services, environment) {
        match outcome {
            Ok(service) => services.push(service),
            Err(entry) => unbuildable.push(entry),
        }
    }
    let mut snapshot = Snapshot::restored(unbuildable, unloaded, created_by);
    for service in services {
        let name = service.name();
        match snapshot.with_service((*name).clone(), service) {
            Ok(next) => snapshot = next,
            Err(error) => tracing::error!(service = %name, %error, "recorded twice; the second is left out"),
        }
    }
    for alias in record.aliases {
        snapshot = snapshot.with(Alias::try_from(alias)?);
    }
    let restored = snapshot.record();
    // What a training wrote was tried now, and need not be at the next restart.
    let is_new = restored.services.iter().any(|entry| listings.get(&entry.id) != Some(&entry.listing));
    // One that is left out keeps its record.
    if is_new
        && restored.services.len() == listings.len()
        && let Err(error) = state::save(&environment.state_directory, &restored)
    {
        tracing::warn!(%error, "networks that changed are tried again at the next start");
    }
    Ok(snapshot)
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
    let built = definition(&entry.request, environment).map(|definition| {
        let serving = if entry.unloaded {
            Err(Error::NotLoaded(entry.name.to_string()))
        } else {
            let opened =
                tried(entry, &definition, environment).and_then(|()| Serving::open_safely(&definition, environment));
            opened.inspect_err(|error| tracing::error!(service = %entry.name, %error, "service came back broken"))
        };
        Service::new(entry.id, entry.name.clone(), definition, serving, environment)
    });
    built.map_err(|error| {
        tracing::error!(service = %entry.name, %error, "recorded service cannot be built; its record is kept");
        entry.clone()
    })
}

/// Files that changed while no server ran get a trial, like those of a new service.
fn tried(entry: &ServiceEntry, definition: &Definition, environment: &Environment) -> Result<()> {
    let Some(trial) = &environment.trial else { return Ok(()) };
    let is_as_it_was = || entry.listing.is_some() && definition.repository.listing() == entry.listing;
    if !definition.may_hold_a_network() || is_as_it_was() {
        return Ok(());
    }
    trial.attempt(&definition.request, Patience::Own)
}

/// Removes job records of services that are not recorded: a new service must not inherit the jobs of one whose deletion a
/// crash cut short.
fn forget_orphans(environment: &Environment, recorded: &[ServiceEntry]) {
    let Ok(entries) = std::fs::read_dir(environment.state_directory.join("jobs")) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let id = name.strip_suffix(".json").and_then(|id| id.parse::<u64>().ok());
        if id.is_some_and(|id| recorded.iter().all(|service| service.id.0 != id)) {
            // Left over, it does no harm until its number is used again.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn definition(body: &str, environment: &Environment) -> Result<Definition> {
    let damaged = |error: Error| Error::Malformed(Fault::at("recorded request", error.to_string()));
    let request = CreationRequest::from_record(body).map_err(damaged)?;
    Definition::restore(request, environment)
}
