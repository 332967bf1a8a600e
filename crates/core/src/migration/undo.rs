//! Undoing a move: before the switch everything is as it was, files included; after it the former service serves again.
//!
//! Each step looks at what is there, so it may be done any number of times, from any point of the procedure.

use std::path::Path;
use std::sync::Arc;

use dede_api::moves::MovePhase;
use dede_bundle::failpoint;

use super::copying::{partial, remove_directory};
use super::record::{Before, MoveRecord};
use super::state::{Held, Move};
use super::{Surroundings, golden_file};
use crate::catalogue::{Catalogue, Expected};
use crate::error::{Error, Result};
use crate::name::ServiceName;
use crate::priority;
use crate::repository::Clear;
use crate::service::{Service, ServiceId};

/// Undoes what a move did, and ends it.
///
/// # Errors
/// Whatever keeps it from being undone now; the move stays as it is, to be aborted again.
pub(super) fn undo(this: &Move, surroundings: &Surroundings) -> Result<()> {
    let record = this.record();
    // Clients wait for this, and a full disk must not keep it from them.
    if !points_to_it(&record, &surroundings.catalogue) {
        put_former_back(this, &record, &surroundings.catalogue);
    }
    // Why it is undone is durable before anything is. On a full disk, what is not in use yet makes room for that.
    if this.note(|_| ()).is_err() {
        if let Some(directory) = &record.effects.directory {
            remove_directory(&partial(directory))?;
        }
        forget_content(&record, surroundings);
        this.note(|_| ())?;
    }
    failpoint("undoing");
    let catalogue = &surroundings.catalogue;
    if points_to_it(&record, catalogue) {
        point_back(&record, catalogue)?;
        failpoint("pointed-back");
        // The new service stays for those who want to know what was wrong with it.
        return this.enter(MovePhase::RolledBack);
    }
    if record.phase.is_after_switch() {
        return this.enter(MovePhase::RolledBack);
    }
    let_go(&record, catalogue)?;
    failpoint("let-go");
    remove_service(&record, catalogue)?;
    failpoint("service-removed");
    remove_files(&record)?;
    failpoint("files-removed");
    forget_content(&record, surroundings);
    golden_file::forget(this, surroundings)?;
    this.enter(MovePhase::Aborted)
}

/// Goes back after a move that is done.
///
/// # Errors
/// [`Error::AliasConflict`] when the alias was pointed elsewhere since, or the former service is gone.
pub(super) fn roll_back_done(this: &Move, surroundings: &Surroundings) -> Result<()> {
    let record = this.record();
    if !points_to_it(&record, &surroundings.catalogue) {
        return Err(Error::AliasConflict("the alias was pointed elsewhere since".into()));
    }
    point_back(&record, &surroundings.catalogue)?;
    this.note(|record| record.undoing = Some("rolled back on request".into()))?;
    this.enter(MovePhase::RolledBack)
}

/// Whether the alias points to the service of this move.
fn points_to_it(record: &MoveRecord, catalogue: &Catalogue) -> bool {
    let (Some(alias), Some(service)) = (&record.request.alias, &record.effects.service) else { return false };
    catalogue.resolve(alias).is_ok_and(|found| found.is_alias() && found.name == *service)
}

/// To what it pointed to right before the switch.
fn point_back(record: &MoveRecord, catalogue: &Catalogue) -> Result<()> {
    let Some(alias) = &record.request.alias else { return Ok(()) };
    match &record.effects.before {
        Some(Before::Free) => catalogue.delete_alias(alias),
        Some(Before::Service(_) | Before::Alias { .. }) | None => catalogue.rollback_alias(alias, None).map(drop),
    }
}

/// Gives the name back to a plain service. What an alias was lent is gone already, and recorded nowhere.
fn let_go(record: &MoveRecord, catalogue: &Catalogue) -> Result<()> {
    let Some(alias) = &record.request.alias else { return Ok(()) };
    let name = ServiceName::parse(alias)?;
    let snapshot = catalogue.snapshot();
    let Some(known) = snapshot.alias(&name) else { return Ok(()) };
    let points_to = |service: &ServiceId| known.target().service() == Some(*service);
    match &record.effects.before {
        Some(Before::Service(service)) if points_to(service) => {
            catalogue.give_name_back(alias, Some(Expected::Service(*service)))
        }
        Some(Before::Service(_) | Before::Alias { .. } | Before::Free) | None => Ok(()),
    }
}

/// Brings the former service back into memory where it gave up its place, and lets its requests go on. Nothing of it is recorded: a
/// restart loads it anyway. One that cannot be loaded any more says so to its clients, and keeps nothing else from being undone.
fn put_former_back(this: &Move, record: &MoveRecord, catalogue: &Catalogue) {
    let Some(Held { service: former, .. }) = this.held() else { return };
    if !former.is_loaded() && !catalogue.snapshot().is_dormant(former.id) {
        if let Some(own) = own_service(record, catalogue) {
            own.unload();
        }
        if let Err(error) = priority::ordinary(|| former.load()) {
            tracing::error!(id = %this.id, service = %former.name(), %error, "cannot be loaded again");
        }
    }
    this.release_held();
}

/// The service that this move created, if it is there.
fn own_service(record: &MoveRecord, catalogue: &Catalogue) -> Option<Arc<Service>> {
    let (name, plan) = (record.effects.service.as_ref()?, record.plan.as_ref()?);
    let service = catalogue.service(name.as_str()).ok()?;
    (service.definition.repository.root() == Path::new(&plan.repository)).then_some(service)
}

fn remove_service(record: &MoveRecord, catalogue: &Catalogue) -> Result<()> {
    let Some(service) = own_service(record, catalogue) else { return Ok(()) };
    match catalogue.delete(service.name().as_str(), Clear::Memory) {
        Err(Error::NothingToDelete(_)) => Ok(()),
        other => other,
    }
}

/// What this move brought into the store; it may stay there until the next collection.
fn forget_content(record: &MoveRecord, surroundings: &Surroundings) {
    if let Err(error) = surroundings.store.discard(record.effects.blobs.iter().copied()) {
        tracing::warn!(%error, "content of the aborted move stays in the store until the next collection");
    }
}

fn remove_files(record: &MoveRecord) -> Result<()> {
    let Some(directory) = &record.effects.directory else { return Ok(()) };
    remove_directory(directory)?;
    remove_directory(&partial(directory))?;
    if record.request.repository.is_none() {
        // The two above it, where nothing else is in them: `repositories/<service>`.
        for parent in directory.ancestors().skip(1).take(2) {
            let _ = std::fs::remove_dir(parent);
        }
    }
    Ok(())
}
