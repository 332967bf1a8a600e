//! The state of a move's alias: as the move found it, as the move left it, or changed by a person meanwhile.
//!
//! Aliases are told apart by their generation and by which move pointed them, services by their identity. So a rename changes nothing, and
//! an alias that was deleted and made again is another one.

use std::sync::Arc;

use dede_engine::catalogue::{Alias, Snapshot};
use dede_engine::name::ServiceName;
use dede_engine::service::{Service, ServiceId};

use crate::record::{Before, MoveRecord};

/// The state of a move's alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// As the move found it.
    Untouched,
    /// The move pointed it to its service, and it points there since.
    Switched,
    /// Changed otherwise: what it is now, for people.
    Changed(String),
}

/// Looks at the catalogue.
pub(crate) fn standing(record: &MoveRecord, snapshot: &Snapshot) -> Standing {
    let Some(name) = record.spec.alias() else { return Standing::Untouched };
    let alias = snapshot.alias(name);
    let own = own_service(record, snapshot).map(|service| service.id);
    // A canary or a shadow is a generation too, without being a step.
    let is_by_move =
        |alias: &&Alias| alias.present().by == Some(record.id) && alias.present().generation == alias.generation;
    if let Some(alias) = alias.filter(is_by_move)
        && alias.target().service() == own
    {
        return Standing::Switched;
    }
    if !record.effects.remade && !has_switched(record, snapshot) && is_untouched(record, snapshot, name, alias) {
        return Standing::Untouched;
    }
    Standing::Changed(changed(name, snapshot))
}

/// Whether the commit happened: the catalogue knows, whatever was recorded.
pub(crate) fn has_switched(record: &MoveRecord, snapshot: &Snapshot) -> bool {
    if record.phase.is_after_switch() || record.report.generation.is_some() {
        return true;
    }
    record.spec.alias().and_then(|name| snapshot.alias(name)).is_some_and(|alias| alias.was_pointed_by(record.id))
}

/// The service that the move created, whatever it is called now.
pub(crate) fn own_service<'a>(record: &MoveRecord, snapshot: &'a Snapshot) -> Option<&'a Arc<Service>> {
    snapshot.created_by(record.id).or_else(|| {
        // Moves of versions that did not record it.
        let (name, plan) = (record.effects.service.as_ref(), record.plan.as_ref()?);
        let named = snapshot.named_services().find(|(found, _)| Some(*found) == name).map(|(_, service)| service);
        let is_there =
            |service: &&Arc<Service>| service.definition.repository.root().as_os_str() == plan.repository.as_str();
        named.filter(is_there).filter(|_| record.effects.nonce.is_none())
    })
}

/// The service that the move replaces, also where it was deleted and created again since.
pub(crate) fn former_service<'a>(record: &MoveRecord, snapshot: &'a Snapshot) -> Option<&'a Arc<Service>> {
    let id = record.former_id()?;
    if let Some(found) = snapshot.by_id(id) {
        return Some(found);
    }
    let step =
        snapshot.alias(record.spec.alias()?)?.history.iter().rev().find(|step| step.target.service() == Some(id))?;
    snapshot.by_id(snapshot.place_of(step)?)
}

fn is_untouched(record: &MoveRecord, snapshot: &Snapshot, name: &ServiceName, alias: Option<&Alias>) -> bool {
    if record.plan.is_none() {
        // Nothing was found yet.
        return true;
    }
    let service_there = || snapshot.named_services().find(|(found, _)| *found == name).map(|(_, service)| service.id);
    let points_to = |alias: &Alias, id: ServiceId| {
        let generation = record.effects.generation;
        alias.target().service() == Some(id) && generation.is_none_or(|generation| generation == alias.generation)
    };
    match (&record.effects.before, record.former.as_ref().map(|former| &former.service)) {
        (Some(Before::Free), _) | (None, None) => alias.is_none() && service_there().is_none(),
        (Some(Before::Service(id)), _) | (None, Some(id)) => match alias {
            Some(alias) => points_to(alias, *id),
            None => service_there() == Some(*id),
        },
        (Some(Before::Alias { service }), _) => alias.is_some_and(|alias| points_to(alias, *service)),
    }
}

/// What became of the name of an alias that a person changed.
pub(crate) fn changed(name: &ServiceName, snapshot: &Snapshot) -> String {
    match snapshot.alias(name) {
        Some(alias) => {
            let target = snapshot.present(alias.target());
            format!(
                "{name} was changed meanwhile by another than this move, and points to {target} (generation {})",
                alias.generation
            )
        }
        None if snapshot.is_taken(name) => format!("{name} is another service than the move found"),
        None => format!("there is no {name} any more: it was renamed or deleted meanwhile by another than this move"),
    }
}
