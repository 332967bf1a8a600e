//! What goes on in this process, and keeps services and directories from being changed: deletions under way, and the claims of moves.
//!
//! Nothing of it is recorded: after a restart a deletion that was cut short did not happen, and moves make their claims again. It changes in
//! step with the recorded state, so that a deletion or creation and a claim never pass each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dede_storage::Place;

use crate::move_id::MoveId;
use crate::service::ServiceId;

/// All deletions and claims of a server.
#[derive(Debug, Clone, Default)]
pub(super) struct Ongoing {
    deleting: BTreeSet<ServiceId>,
    claims: BTreeMap<MoveId, Claim>,
}

/// The claims of one move.
#[derive(Debug, Clone, Default)]
struct Claim {
    /// The claimed services, with the directories that they are loaded from.
    services: BTreeMap<ServiceId, Place>,
    directory: Option<Place>,
    /// Set once a client was told that the move is being undone; shared by all snapshots, so that setting it waits for
    /// no change of the catalogue.
    undoing: Arc<AtomicBool>,
}

/// One of them begins or ends. Whether it may be made is checked in the same step.
#[derive(Debug, Clone)]
pub(super) enum OngoingChange {
    /// A service is being deleted.
    BeginDeletion(ServiceId),
    /// It was deleted, or stays after all.
    EndDeletion(ServiceId),
    /// A move claims a service, with its directory.
    ClaimService(MoveId, ServiceId, Place),
    /// It does not need it after all.
    ReleaseService(MoveId, ServiceId),
    /// A move claims a directory.
    ClaimDirectory(MoveId, Place),
    /// A move releases all its claims.
    ReleaseAll(MoveId),
}

impl Ongoing {
    pub(super) fn with(&self, change: Option<&OngoingChange>) -> Self {
        let mut next = self.clone();
        let Some(change) = change else { return next };
        match change {
            OngoingChange::BeginDeletion(id) => drop(next.deleting.insert(*id)),
            OngoingChange::EndDeletion(id) => drop(next.deleting.remove(id)),
            OngoingChange::ClaimService(by, id, place) => {
                next.claims.entry(*by).or_default().services.insert(*id, place.clone());
            }
            OngoingChange::ReleaseService(by, id) => {
                if let Some(claim) = next.claims.get_mut(by) {
                    claim.services.remove(id);
                }
            }
            OngoingChange::ClaimDirectory(by, place) => {
                next.claims.entry(*by).or_default().directory = Some(place.clone());
            }
            OngoingChange::ReleaseAll(by) => drop(next.claims.remove(by)),
        }
        next
    }

    pub(super) fn is_being_deleted(&self, id: ServiceId) -> bool {
        self.deleting.contains(&id)
    }

    /// A move other than `but` that has claimed a service.
    pub(super) fn claimant(&self, id: ServiceId, but: Option<MoveId>) -> Option<MoveId> {
        self.others(but).find(|(_, claim)| claim.services.contains_key(&id)).map(|(by, _)| by)
    }

    /// A move other than `but` that has claimed a directory, one inside it or one around it.
    pub(super) fn claimant_of_place(&self, place: &Place, but: Option<MoveId>) -> Option<MoveId> {
        let overlaps = |claim: &Claim| claim.services.values().chain(&claim.directory).any(|own| own.overlaps(place));
        self.others(but).find(|(_, claim)| overlaps(claim)).map(|(by, _)| by)
    }

    fn others(&self, but: Option<MoveId>) -> impl Iterator<Item = (MoveId, &Claim)> {
        self.claims.iter().map(|(by, claim)| (*by, claim)).filter(move |(by, _)| Some(*by) != but)
    }

    /// Whether a client was told that a move is being undone.
    pub(super) fn is_being_undone(&self, by: MoveId) -> bool {
        self.claims.get(&by).is_some_and(|claim| claim.undoing.load(Ordering::Acquire))
    }

    /// Sets whether a client was told so.
    pub(super) fn set_undoing(&self, by: MoveId, undoing: bool) {
        if let Some(claim) = self.claims.get(&by) {
            claim.undoing.store(undoing, Ordering::Release);
        }
    }
}
