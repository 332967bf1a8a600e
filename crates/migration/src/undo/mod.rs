//! Undoing a move: before the switch everything is as it was, files included; after it the former service serves again. What a person
//! changed meanwhile stays as it is.
//!
//! Each step looks at what is there, so it may be done any number of times, from any point of the procedure. Where aliases lead back to is in
//! `way_back`.

mod way_back;

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
use crate::record::{Before, MovePhase, MoveRecord};
use crate::standing::{Standing, former_service, has_switched, own_service, standing};
use crate::{MoveContext, certificate};

pub(crate) use self::way_back::roll_back_done;
use self::way_back::{former_version, gone, point_all_back, point_back, pointed_back, switched};

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
        forget_content(this, context);
        this.note(|_| ())?;
    }
    failpoint("undoing");
    // Where several go back, the first of them takes all along.
    let turn = this.company().map(|company| company.turn());
    let standing = standing(&record, &catalogue.snapshot());
    if standing == Standing::Switched {
        match this.company() {
            Some(company) => point_all_back(&switched(company.records()?, &catalogue.snapshot()), catalogue)?,
            None => point_back(&record, catalogue)?,
        }
        failpoint("pointed-back");
    }
    drop(turn);
    if let Standing::Changed(reason) = &standing
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
    // Directories above that another made, and could not remove while this one's stood in them.
    let others = this.company().map(|company| company.known()).unwrap_or_default();
    others.iter().for_each(|other| other.look(|record| remove_parents(&record.effects)));
    forget_content(this, context);
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

/// What this move brought into the store; it may stay there until the next collection. What others brought that go back with it could not go
/// while this one needed it.
fn forget_content(this: &Move, context: &MoveContext) {
    let brought = |of: &Move| of.look(|record| record.effects.blobs.clone());
    let of_others = this.company().map(|company| company.known()).unwrap_or_default();
    let brought = of_others.iter().map(|other| brought(other)).fold(brought(this), |all, more| &all | &more);
    if let Err(error) = context.store.discard(brought) {
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
