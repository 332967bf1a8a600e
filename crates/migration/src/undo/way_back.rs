//! Where the aliases of moves that have switched lead back to: one by itself, those that switched together in one change.

use std::sync::Arc;

use dede_engine::catalogue::desired::AliasCommand;
use dede_engine::catalogue::{Catalogue, Snapshot, Target};
use dede_engine::name::ServiceName;
use dede_model::error::{Error, Result};

use crate::MoveContext;
use crate::handle::Move;
use crate::record::{Before, MovePhase, MoveRecord, RequestedName};
use crate::standing::{Standing, former_service, has_switched, own_service, standing};

/// Rolls back moves that are done: one, or all that switched together.
///
/// # Errors
/// [`Error::AliasConflict`] when an alias leads elsewhere, or was made again; when a former service is gone, cannot answer, or is another
/// version by now. No alias was changed then.
pub(crate) fn roll_back_done(members: &[Arc<Move>], context: &MoveContext) -> Result<()> {
    let snapshot = context.catalogue.snapshot();
    let mut to_go = Vec::new();
    for record in members.iter().map(|member| member.record()) {
        if !leads_back(&record, &snapshot)? {
            to_go.push(record);
        }
    }
    match to_go.as_slice() {
        [] => {}
        [alone] if alone.together.is_empty() => point_back(alone, &context.catalogue)?,
        all => point_all_back(all, &context.catalogue)?,
    }
    members.iter().try_for_each(|member| member.end_done(MovePhase::RolledBack, "rolled back on request"))
}

/// Whether the alias of a move that is done was pointed back before, without that being recorded; `false`: it leads to the service of the
/// move.
fn leads_back(record: &MoveRecord, snapshot: &Snapshot) -> Result<bool> {
    let Some(alias) = &record.spec.alias else {
        return Err(Error::MoveConflict(format!(
            "move {} switched no alias: there is nothing to go back to",
            record.id
        )));
    };
    let there = snapshot.alias(alias.name());
    let found = there.map(|alias| alias.target().clone());
    let own = own_service(record, snapshot).map(|own| own.id);
    let former = former_service(record, snapshot).map(|former| former.id);
    let target = found.as_ref().and_then(Target::service);
    let by_move = there.and_then(|there| there.previous()).is_some_and(|before| before.by == Some(record.id));
    if (by_move && former.is_some() && target == former) || is_free_again(record, snapshot) {
        return Ok(true);
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
    Ok(false)
}

/// Points the alias back to its target right before the switch.
pub(super) fn point_back(record: &MoveRecord, catalogue: &Catalogue) -> Result<()> {
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

/// The same for all moves that switched together, in one change: all of these aliases, or none.
pub(super) fn point_all_back(records: &[MoveRecord], catalogue: &Catalogue) -> Result<()> {
    let snapshot = catalogue.snapshot();
    let changes = records.iter().filter_map(|record| change_back(record, &snapshot).transpose());
    catalogue.change_together(changes.collect::<Result<_>>()?, || Ok(())).map(drop)
}

/// The records of those moves whose aliases lead to their new services; the others were changed by a person, which stands.
pub(super) fn switched(records: Vec<MoveRecord>, snapshot: &Snapshot) -> Vec<MoveRecord> {
    records.into_iter().filter(|record| standing(record, snapshot) == Standing::Switched).collect()
}

fn change_back(record: &MoveRecord, snapshot: &Snapshot) -> Result<Option<(ServiceName, AliasCommand)>> {
    let (Some(name), Some(own)) = (record.spec.alias(), own_service(record, snapshot)) else { return Ok(None) };
    let from = own.id;
    if record.effects.before == Some(Before::Free) {
        return Ok(Some((name.clone(), AliasCommand::DeleteOf(from))));
    }
    let to = former_service(record, snapshot).ok_or_else(|| gone(record))?.id;
    let generation = snapshot.alias(name).map_or(0, |alias| alias.generation);
    Ok(Some((name.clone(), AliasCommand::Return { generation, from, to, version: former_version(record) })))
}

/// The error that there is nothing to go back to.
pub(super) fn gone(record: &MoveRecord) -> Error {
    let former = record.report.former.as_ref().map_or("the former service", |former| former.service.as_str());
    let alias = record.spec.alias.as_ref().map_or("", RequestedName::as_written);
    let again = if record.phase == MovePhase::Done { "" } else { ", then abort again" };
    Error::AliasConflict(format!("{former} is not there any more; point {alias} to another service{again}"))
}

/// Version of the former service when the move began.
pub(super) fn former_version(record: &MoveRecord) -> Option<String> {
    record.former.as_ref().map(|former| former.version.clone())
}

/// Whether the alias leads to the former service.
pub(super) fn pointed_back(record: &MoveRecord, catalogue: &Catalogue) -> bool {
    let snapshot = catalogue.snapshot();
    let target = record.spec.alias().and_then(|name| snapshot.alias(name)).and_then(|alias| alias.target().service());
    let leads_there = target.is_some() && target == former_service(record, &snapshot).map(|former| former.id);
    has_switched(record, &snapshot) && (leads_there || is_free_again(record, &snapshot))
}

/// Whether there is no alias any more, as there was none before: one that switched together with it took it along.
fn is_free_again(record: &MoveRecord, snapshot: &Snapshot) -> bool {
    let is_gone = record.spec.alias().is_some_and(|name| snapshot.alias(name).is_none());
    is_gone && !record.together.is_empty() && record.effects.before == Some(Before::Free)
}
