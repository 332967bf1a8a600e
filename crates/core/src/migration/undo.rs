//! Undoing a move: before the switch everything is as it was, files included; after it the former service serves again.
//!
//! Each step looks at what is there, so it may be done any number of times, from any point of the procedure.

use std::path::Path;
use std::sync::Arc;

use dede_api::moves::MovePhase;
use dede_bundle::failpoint;

use super::copying::{partial, remove_directory};
use super::record::{Before, MoveRecord};
use super::state::Move;
use super::{Surroundings, golden_file};
use crate::catalogue::{Catalogue, Expected};
use crate::error::{Error, Result};
use crate::name::ServiceName;
use crate::repository::Clear;
use crate::service::{Service, ServiceId};

/// Undoes what a move did, and ends it.
///
/// # Errors
/// Whatever keeps it from being undone now; the move stays as it is, to be aborted again.
pub(super) fn undo(this: &Move, surroundings: &Surroundings) -> Result<()> {
    let record = this.record();
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
        release_former(&record, catalogue);
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
    load_former(&record, catalogue)?;
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

/// Brings the former service back into memory where it gave up its place, and lets its requests go on.
fn load_former(record: &MoveRecord, catalogue: &Catalogue) -> Result<()> {
    if let Some(former) = given_up(record, catalogue) {
        if !former.is_loaded() {
            former.load()?;
        }
        former.admission.release();
    }
    Ok(())
}

/// Its requests go on, whoever answers them now.
fn release_former(record: &MoveRecord, catalogue: &Catalogue) {
    if let Some(former) = given_up(record, catalogue) {
        former.admission.release();
    }
}

/// The service that gave up its place in memory for this move.
fn given_up(record: &MoveRecord, catalogue: &Catalogue) -> Option<Arc<Service>> {
    let (Before::Service(id) | Before::Alias { service: id }) = record.effects.before.as_ref()? else { return None };
    let snapshot = catalogue.snapshot();
    snapshot.services().find(|service| record.request.replace_first && service.id == *id).cloned()
}

fn remove_service(record: &MoveRecord, catalogue: &Catalogue) -> Result<()> {
    let (Some(name), Some(plan)) = (&record.effects.service, &record.plan) else { return Ok(()) };
    let Ok(service) = catalogue.service(name.as_str()) else { return Ok(()) };
    if service.definition.repository.root() != Path::new(&plan.repository) {
        return Ok(());
    }
    match catalogue.delete(name.as_str(), Clear::Memory) {
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
