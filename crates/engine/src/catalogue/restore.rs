//! Bringing services and aliases back after a restart, in parallel, each with its own error if it has one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dede_model::error::{Error, Fault, Result};

use super::desired::{DesiredState, ServiceEntry};
use super::ongoing::Ongoing;
use super::snapshot::Snapshot;
use super::store::{Put, Revision, StateStore};
use crate::environment::Environment;
use crate::service::{CreationRequest, Definition, Service, ServiceId, Serving};
use crate::trial::Patience;

/// Everything that is recorded, loaded and warmed.
pub(super) fn restore(environment: &Arc<Environment>, store: &mut dyn StateStore) -> Result<(Revision, Snapshot)> {
    let (revision, desired) = store.load()?;
    forget_orphans(environment, &desired);
    let services = load_all(&desired, environment);
    let restored = Snapshot::default().following(desired.clone(), Ongoing::default(), &services);
    // What a training wrote was tried now, and need not be at the next restart.
    let listed = desired.with_listings(&restored);
    if listed == desired {
        return Ok((revision, restored));
    }
    match store.compare_and_put(revision, &listed) {
        Ok(Put::Stored(revision)) => Ok((revision, restored.following(listed, Ongoing::default(), &[]))),
        // Found out at the first change.
        Ok(Put::Lost) => Ok((revision, restored)),
        Err(error) => {
            tracing::warn!(%error, "networks that changed are tried again at the next start");
            Ok((revision, restored))
        }
    }
}

/// Those that can be built, be it broken.
fn load_all(desired: &DesiredState, environment: &Arc<Environment>) -> Vec<Arc<Service>> {
    let entries: Vec<_> = desired.services().collect();
    let next = AtomicUsize::new(0);
    let services = Mutex::new(Vec::with_capacity(entries.len()));
    let workers = environment.engine.threads.clamp(1, entries.len().max(1));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(entry) = entries.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let loaded = load(entry, environment);
                    services.lock().unwrap_or_else(PoisonError::into_inner).extend(loaded);
                }
            });
        }
    });
    services.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn load(entry: &ServiceEntry, environment: &Arc<Environment>) -> Option<Arc<Service>> {
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
    let unbuildable = |error: &Error| {
        tracing::error!(service = %entry.name, %error, "recorded service cannot be built; its record is kept");
    };
    built.inspect_err(unbuildable).ok()
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
fn forget_orphans(environment: &Environment, recorded: &DesiredState) {
    let Ok(entries) = std::fs::read_dir(environment.state_directory.join("jobs")) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let id = name.strip_suffix(".json").and_then(|id| id.parse::<u64>().ok());
        if id.is_some_and(|id| recorded.service(ServiceId(id)).is_none()) {
            // Left over, it does no harm until its number is used again.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn definition(record: &str, environment: &Environment) -> Result<Definition> {
    let damaged = |error: Error| Error::Malformed(Fault::at("recorded request", error.to_string()));
    let request = CreationRequest::from_record(record).map_err(damaged)?;
    Definition::restore(request, environment)
}

#[cfg(test)]
mod tests {
    use dede_model::repository::Clear;
    use serde_json::json;

    use super::*;
    use crate::catalogue::store::FileStore;
    use crate::catalogue::{AliasChange, Share};
    use crate::name::ServiceName;
    use crate::percent::Percent;
    use crate::stage::{catalogue, create};

    #[test]
    fn a_service_that_cannot_be_built_keeps_its_name_and_its_record() {
        let directory = tempfile::tempdir().unwrap();
        let change = |service: &str| AliasChange { service: service.into(), ..AliasChange::default() };
        {
            let catalogue = catalogue(directory.path());
            for name in ["lost", "kept"] {
                create(&catalogue, directory.path(), name, &json!({}));
            }
            catalogue.put_alias("stable", change("lost")).unwrap();
            let lost = catalogue.resolve("lost").unwrap().service.id;
            let share = Share { service: lost, percent: Percent::ALL };
            catalogue.put_alias("other", change("kept")).unwrap();
            catalogue.set_canary("other", Some(share), None).unwrap();
        }
        let file = directory.path().join("state/state.json");
        let recorded = || std::fs::read_to_string(&file).unwrap();
        let text = recorded();
        let (before, after) = text.rsplit_once("adder").expect("they are recorded by name, so this is of the second");
        std::fs::write(&file, [before, "subtractor", after].concat()).unwrap();

        let catalogue = catalogue(directory.path());
        assert!(matches!(catalogue.resolve("lost"), Err(Error::ServiceNotFound(_))));
        assert!(matches!(catalogue.route("stable"), Err(Error::ServiceNotFound(_))));
        let view = catalogue.alias("stable").unwrap();
        assert_eq!((view.service.as_str(), view.digest), ("lost", None));
        assert_eq!(catalogue.alias("other").unwrap().canary.unwrap().service, None);
        assert_eq!(catalogue.resolve("other").unwrap().name.as_str(), "kept");
        let refused = [
            catalogue.rename("kept", "lost"),
            catalogue.rename("lost", "found"),
            catalogue.put_alias("third", change("lost")).map(drop),
            catalogue.put_alias("lost", AliasChange { takeover: true, ..change("kept") }).map(drop),
            catalogue.delete("lost", Clear::Full).map(drop),
        ];
        let reasons = refused.map(|outcome| outcome.unwrap_err().to_string());
        assert_eq!(
            reasons,
            [
                "service exists: lost",
                "service not found: lost",
                "service not found: lost",
                "service exists: lost, which this server cannot build",
                "the files of lost are not known to this server, so none are removed (clear)",
            ]
        );
        catalogue.rename("kept", "renamed").unwrap();
        assert!(recorded().contains("subtractor"), "a change keeps its record");
        catalogue.delete("lost", Clear::Memory).unwrap();
        assert!(!recorded().contains("subtractor"), "it is forgotten, though an alias leads there");
        create(&catalogue, directory.path(), "lost", &json!({}));
        drop(catalogue);
        let state = FileStore::open(&directory.path().join("state")).unwrap().load().unwrap().1;
        let lost = state.service_named(&ServiceName::parse("lost").unwrap()).unwrap();
        assert_eq!(lost.id, ServiceId(3), "its identity is not given again");
    }
}
