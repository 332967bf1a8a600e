//! Undoing a move: before the switch everything is as it was, files included; after it the former service serves again. What a person
//! changed meanwhile stays as it is.
//!
//! Each step looks at what is there, so it may be done any number of times, from any point of the procedure.

use dede_engine::catalogue::{Catalogue, Expected};
use dede_model::error::{Error, Result};
use dede_model::priority;
use dede_model::repository::Clear;
use dede_storage::Place;
use dede_storage::failpoint;

use crate::files::ownership::{
    is_own, mark_of, partial, remove_added, remove_directory, remove_own, remove_parents, unmark,
};
use crate::golden::file;
use crate::handle::{Held, Move};
use crate::record::{Before, MovePhase, MoveRecord, RequestedName};
use crate::standing::{Standing, former_service, has_switched, own_service, standing};
use crate::{MoveContext, certificate};

/// Files of others that are named to people.
const NAMED: usize = 3;

/// Undoes what a move did, and ends it.
///
/// # Errors
/// Whatever keeps it from being undone now; the move stays as it is, to be aborted again.
pub(crate) fn undo(this: &Move, context: &MoveContext) -> Result<()> {
    let (record, catalogue) = (this.record(), &context.catalogue);
    // Clients wait for this, and a full disk must not keep it from them.
    if standing(&record, &catalogue.snapshot()) != Standing::Switched {
        put_former_back(this, &record, catalogue);
    }
    let record = this.record();
    // Why it is undone is durable before anything is. On a full disk, what is not in use yet makes room for that.
    if this.note(|_| ()).is_err() {
        if let Some(directory) = &record.effects.directory {
            remove_directory(&partial(directory, &mark_of(record.id, &record.effects)))?;
        }
        forget_content(&record, context);
        this.note(|_| ())?;
    }
    failpoint("undoing");
    let standing = standing(&record, &catalogue.snapshot());
    if standing == Standing::Switched {
        point_back(&record, catalogue)?;
        failpoint("pointed-back");
    } else if let Standing::Changed(reason) = &standing
        && !pointed_back(&record, catalogue)
    {
        tell(this, reason)?;
    }
    if standing == Standing::Switched || has_switched(&record, &catalogue.snapshot()) {
        // The new service stays, so that its faults can be examined.
        keep_files(&record);
        certificate::forget(this, context)?;
        return end(this, catalogue, MovePhase::RolledBack);
    }
    if standing == Standing::Untouched {
        let_go(&record, catalogue)?;
    }
    failpoint("let-go");
    if let Some(reason) = remove_service(&record, catalogue)? {
        tell(this, &reason)?;
        keep_files(&record);
        return end(this, catalogue, MovePhase::Aborted);
    }
    failpoint("service-removed");
    if let Some(reason) = remove_files(&record, catalogue)? {
        tell(this, &reason)?;
    }
    failpoint("files-removed");
    forget_content(&record, context);
    file::forget(this, context)?;
    end(this, catalogue, MovePhase::Aborted)
}

/// Adds to the reason that people read, durably.
fn tell(this: &Move, more: &str) -> Result<()> {
    this.tell(more);
    this.note(|_| ())
}

/// The last step: once a person sees the end, what the move had claimed may be changed.
fn end(this: &Move, catalogue: &Catalogue, phase: MovePhase) -> Result<()> {
    this.end(phase, || catalogue.release_claims(this.id))
}

/// Whether a move that has switched could be undone now, as far as that can be known without doing it.
///
/// # Errors
/// As [`roll_back_done`]; nothing was changed.
pub(crate) fn check_possible(record: &MoveRecord, catalogue: &Catalogue) -> Result<()> {
    let snapshot = catalogue.snapshot();
    if standing(record, &snapshot) != Standing::Switched || record.effects.before == Some(Before::Free) {
        return Ok(());
    }
    let former = former_service(record, &snapshot).ok_or_else(|| gone(record))?;
    if snapshot.is_unloaded(former.id) {
        return Ok(());
    }
    snapshot.check_version(former.id, former_version(record).as_deref())
}

/// Rolls back a move that is done.
///
/// # Errors
/// [`Error::AliasConflict`] when the alias leads elsewhere, or was made again; when the former service is gone, cannot answer, or is another
/// version by now.
pub(crate) fn roll_back_done(this: &Move, context: &MoveContext) -> Result<()> {
    let (record, snapshot) = (this.record(), context.catalogue.snapshot());
    let Some(alias) = &record.spec.alias else {
        return Err(Error::MoveConflict(format!("move {} switched no alias: there is nothing to go back to", this.id)));
    };
    let there = snapshot.alias(alias.name());
    let found = there.map(|alias| alias.target().clone());
    let own = own_service(&record, &snapshot).map(|own| own.id);
    let former = former_service(&record, &snapshot).map(|former| former.id);
    let target = found.as_ref().and_then(dede_engine::catalogue::Target::service);
    let by_move = there.and_then(|there| there.previous()).is_some_and(|before| before.by == Some(record.id));
    if by_move && former.is_some() && target == former {
        // Pointed back before, and not recorded.
        return rolled_back(this);
    }
    if own.is_none() || target != own {
        let found = found.map_or_else(|| "nothing".to_owned(), |found| snapshot.present(&found).to_string());
        let text = format!("{alias} leads to {found} by now, not to the service of this move: nothing was changed");
        return Err(Error::AliasConflict(text));
    }
    if !there.is_some_and(|there| there.was_pointed_by(record.id)) {
        let text = format!("{alias} was made again since, it is not the alias of this move: nothing was changed");
        return Err(Error::AliasConflict(text));
    }
    point_back(&record, &context.catalogue)?;
    rolled_back(this)
}

fn rolled_back(this: &Move) -> Result<()> {
    this.end_done(MovePhase::RolledBack, "rolled back on request")
}

/// Points the alias back to its target right before the switch.
fn point_back(record: &MoveRecord, catalogue: &Catalogue) -> Result<()> {
    let (Some(alias), snapshot) = (&record.spec.alias, catalogue.snapshot()) else { return Ok(()) };
    let name = alias.name();
    let Some(own) = own_service(record, &snapshot) else { return Ok(()) };
    if record.effects.before == Some(Before::Free) {
        return catalogue.delete_alias_of(name, own.id);
    }
    let former = former_service(record, &snapshot).ok_or_else(|| gone(record))?;
    let generation = snapshot.alias(name).map_or(0, |alias| alias.generation);
    catalogue.return_alias(name, (generation, own.id), former.id, former_version(record))
}

/// The error that there is nothing to go back to.
fn gone(record: &MoveRecord) -> Error {
    let former = record.report.former.as_ref().map_or("the former service", |former| former.service.as_str());
    let alias = record.spec.alias.as_ref().map_or("", RequestedName::as_written);
    let again = if record.phase == MovePhase::Done { "" } else { ", then abort again" };
    Error::AliasConflict(format!("{former} is not there any more; point {alias} to another service{again}"))
}

/// Version of the former service when the move began.
fn former_version(record: &MoveRecord) -> Option<String> {
    record.former.as_ref().map(|former| former.version.clone())
}

/// Whether the alias leads to the former service.
fn pointed_back(record: &MoveRecord, catalogue: &Catalogue) -> bool {
    let snapshot = catalogue.snapshot();
    let target = record.spec.alias().and_then(|name| snapshot.alias(name)).and_then(|alias| alias.target().service());
    has_switched(record, &snapshot)
        && target.is_some()
        && target == former_service(record, &snapshot).map(|former| former.id)
}

/// Gives the name back to a plain service. Temporary overrides of the alias are gone already, and were never recorded.
fn let_go(record: &MoveRecord, catalogue: &Catalogue) -> Result<()> {
    let (Some(alias), Some(Before::Service(service))) = (record.spec.alias(), &record.effects.before) else {
        return Ok(());
    };
    if catalogue.snapshot().alias(alias).is_none() {
        return Ok(());
    }
    catalogue.give_name_back(alias.as_str(), Some(Expected::Service(*service)))
}

/// Loads the former service again where it was unloaded, and lets its requests go on. Nothing of it is recorded: a
/// restart loads it anyway. One that cannot be loaded any more answers its clients with the error, and does not keep
/// the rest from being undone.
fn put_former_back(this: &Move, record: &MoveRecord, catalogue: &Catalogue) {
    let Some(Held { service: former, .. }) = this.held() else { return };
    let snapshot = catalogue.snapshot();
    if !former.is_loaded() && !snapshot.is_unloaded(former.id) {
        if let Some(own) = own_service(record, &snapshot).filter(|own| snapshot.check_unaliased(own.id).is_ok()) {
            own.unload();
        }
        let loaded = priority::ordinary(|| former.load());
        let found = loaded.map(|()| former.version());
        let noted = former_version(record);
        let wrong = match found {
            Ok(found) if noted.as_ref().is_none_or(|noted| **noted == *found) => None,
            Ok(found) => Some(format!("{} came back as another version, {found}", former.name())),
            Err(error) => Some(format!("{} cannot be loaded again: {error}", former.name())),
        };
        if let Some(wrong) = wrong {
            tracing::error!(id = %this.id, "{wrong}");
            this.tell(&wrong);
        }
    }
    this.release_held();
}

/// Removes the service of the move, unless an alias leads to it by now; returns why it stays.
fn remove_service(record: &MoveRecord, catalogue: &Catalogue) -> Result<Option<String>> {
    let snapshot = catalogue.snapshot();
    let Some(service) = own_service(record, &snapshot) else { return Ok(None) };
    match catalogue.delete_service(service, Clear::Memory, Some(record.id)) {
        Ok(_) | Err(Error::NothingToDelete(_)) => Ok(None),
        Err(Error::AliasConflict(reason)) => Ok(Some(format!("{} stays: {reason}", service.name()))),
        Err(other) => Err(other),
    }
}

/// What this move brought into the store; it may stay there until the next collection.
fn forget_content(record: &MoveRecord, context: &MoveContext) {
    if let Err(error) = context.store.discard(record.effects.blobs.iter().copied()) {
        tracing::warn!(%error, "content of the aborted move stays in the store until the next collection");
    }
}

/// Keeps the files: removes the marker that says that they could go.
fn keep_files(record: &MoveRecord) {
    if let Some(directory) = &record.effects.directory {
        unmark(directory, &mark_of(record.id, &record.effects));
    }
}

/// Removes what the move put on the disk, unless a service uses it by now; returns why it stays.
fn remove_files(record: &MoveRecord, catalogue: &Catalogue) -> Result<Option<String>> {
    let Some(directory) = &record.effects.directory else { return Ok(None) };
    let (name, effects) = (mark_of(record.id, &record.effects), &record.effects);
    let made = is_own(directory, &name, effects) || !effects.added.is_empty();
    if let Some(user) = catalogue.snapshot().service_at(&Place::of(directory), None).filter(|_| made) {
        keep_files(record);
        return Ok(Some(format!("{} stays: service {} uses it", directory.display(), user.name())));
    }
    let others = remove_own(directory, &name, effects)?;
    remove_added(directory, effects)?;
    remove_parents(effects);
    let stays = |others: &[String]| {
        let names = others.iter().take(NAMED).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        let more = if others.len() > NAMED { " and more" } else { "" };
        format!("{} stays: {names}{more} in it are not of this move", directory.display())
    };
    Ok((!others.is_empty()).then(|| stays(&others)))
}
