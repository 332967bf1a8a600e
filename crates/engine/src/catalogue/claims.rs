//! The claims of moves in progress: services that must not change, and a directory that nothing else may use.
//!
//! Claims are part of the snapshot, so that a deletion or creation and a claim never pass each other; they are not recorded: moves make
//! them again after a restart. This module must not know what a move does with them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dede_model::error::{Error, Result};
use dede_storage::{Place, Relation};

use super::Catalogue;
use super::snapshot::Snapshot;
use crate::move_id::MoveId;
use crate::name::ServiceName;
use crate::service::{Service, ServiceId};

/// The claims of all moves.
pub(super) type Claims = BTreeMap<MoveId, Claim>;

/// The claims of one move.
#[derive(Debug, Clone, Default)]
pub(super) struct Claim {
    /// The claimed services, with the directories that they are loaded from.
    services: BTreeMap<ServiceId, Place>,
    directory: Option<Place>,
    /// Set once a client was told that the move is being undone; shared by all snapshots, so that setting it waits for
    /// no change of the catalogue.
    undoing: Arc<AtomicBool>,
}

impl Claim {
    fn overlaps(&self, place: &Place) -> bool {
        self.services.values().chain(&self.directory).any(|claimed| claimed.overlaps(place))
    }
}

impl Snapshot {
    /// Checks that no move but `by` has claimed a service.
    ///
    /// # Errors
    /// [`Error::MoveConflict`] naming the move.
    pub(super) fn check_unclaimed(&self, id: ServiceId, by: Option<MoveId>) -> Result<()> {
        let claim = self.claims.iter().find(|(owner, claim)| Some(**owner) != by && claim.services.contains_key(&id));
        let name = self.by_id(id).map(|service| service.name().to_string()).unwrap_or_default();
        claim.map_or(Ok(()), |(owner, _)| Err(Error::MoveConflict(needed(&name, *owner))))
    }

    /// Checks that no move but `by` has claimed a directory, one inside it or one around it.
    ///
    /// # Errors
    /// [`Error::MoveConflict`] naming the move.
    pub fn check_directory(&self, place: &Place, by: Option<MoveId>) -> Result<()> {
        let mut claims = self.claims.iter().filter(|(owner, _)| Some(**owner) != by);
        match claims.find(|(_, claim)| claim.overlaps(place)) {
            None => Ok(()),
            Some((owner, _)) => {
                let text = format!("move {owner} needs what is in this directory; wait until it is over, or abort it");
                Err(Error::MoveConflict(text))
            }
        }
    }

    /// Refuses to change an alias while the move that pointed it to its target is being undone: a change answered with
    /// success would be overruled.
    ///
    /// # Errors
    /// [`Error::AliasConflict`] naming the move.
    pub(super) fn check_not_undone(&self, name: &ServiceName) -> Result<()> {
        let by = self.alias(name).and_then(|alias| alias.present().by);
        match by.filter(|by| self.claims.get(by).is_some_and(|claim| claim.undoing.load(Ordering::Acquire))) {
            None => Ok(()),
            Some(by) => {
                Err(Error::AliasConflict(format!("{name} goes back, as move {by} is being undone; ask again shortly")))
            }
        }
    }

    pub(super) fn with_claim(&self, by: MoveId, id: ServiceId, place: Place) -> Result<Self> {
        self.check_pointable(id)?;
        let mut next = self.clone();
        next.claims.entry(by).or_default().services.insert(id, place);
        Ok(next)
    }

    fn with_claimed_directory(&self, by: MoveId, place: Place) -> Result<Self> {
        self.check_directory(&place, Some(by))?;
        let mut next = self.clone();
        next.claims.entry(by).or_default().directory = Some(place);
        Ok(next)
    }

    fn without_claim(&self, by: MoveId, id: ServiceId) -> Self {
        let mut next = self.clone();
        if let Some(claim) = next.claims.get_mut(&by) {
            claim.services.remove(&id);
        }
        next
    }

    fn without_claims(&self, by: MoveId) -> Self {
        let mut next = self.clone();
        next.claims.remove(&by);
        next
    }

    /// Checks that no service has its repository inside a directory or around it. Several services may share the very
    /// directory.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the service.
    pub(super) fn check_not_nested(&self, place: &Place) -> Result<()> {
        for service in self.services() {
            let what = match place.relation(service.definition.repository.place()) {
                Relation::Inside => "in",
                Relation::Around => "around",
                Relation::Same | Relation::Apart => continue,
            };
            let reason = format!("it lies {what} the repository of service {}", service.name());
            return Err(Error::bad_parameter_at("model.repository", reason));
        }
        Ok(())
    }

    /// A service other than `but` whose repository is a directory, lies in it, or contains it.
    pub fn service_at(&self, place: &Place, but: Option<ServiceId>) -> Option<&Arc<Service>> {
        let others = self.services().filter(|service| Some(service.id) != but);
        others.into_iter().find(|service| Place::of(service.definition.repository.root()).overlaps(place))
    }
}

impl Catalogue {
    /// Claims a service until the move is over: it is neither deleted nor trained.
    ///
    /// # Errors
    /// [`Error::MoveConflict`] while it is in training; [`Error::AliasConflict`] for one that is gone or being deleted.
    pub fn claim_service(&self, by: MoveId, service: &Service) -> Result<()> {
        let (id, place) = (service.id, Place::of(service.definition.repository.root()));
        let claimed = place.clone();
        let snapshot = self.owner.change(move |snapshot| snapshot.with_claim(by, id, claimed))?;
        // A training of another service on the same files would change them too.
        let on_it =
            |other: &&Arc<Service>| other.id == id || Place::of(other.definition.repository.root()).overlaps(&place);
        for other in snapshot.services().filter(on_it) {
            other.jobs.forbid(by.number(), needed("this service", by)).or_else(|error| {
                self.owner.change(move |snapshot| Ok(snapshot.without_claim(by, id)))?;
                Err(Error::MoveConflict(format!("{}: {error}", other.name())))
            })?;
        }
        Ok(())
    }

    /// Claims a directory until the move is over.
    ///
    /// # Errors
    /// [`Error::MoveConflict`] where another move or a service uses it, one in it or one around it.
    pub fn claim_directory(&self, by: MoveId, directory: &Path, own: Option<ServiceId>) -> Result<()> {
        let place = Place::of(directory);
        let claimed = place.clone();
        let snapshot = self.owner.change(move |snapshot| snapshot.with_claimed_directory(by, claimed))?;
        // Looked at after the claim: a service that is created from now on is refused.
        match snapshot.service_at(&place, own) {
            None => Ok(()),
            Some(service) => {
                let text =
                    format!("{} is, or overlaps, the directory of service {}", directory.display(), service.name());
                Err(Error::MoveConflict(text))
            }
        }
    }

    /// While a client waits for a move to be undone, no other change of the alias that the move switched is accepted.
    pub fn claim_undoing(&self, by: MoveId, undoing: bool) {
        if let Some(claim) = self.snapshot().claims.get(&by) {
            claim.undoing.store(undoing, Ordering::Release);
        }
    }

    /// Calls `look` between two changes of the catalogue: what it finds in the snapshot holds until it returns. It must
    /// not block.
    ///
    /// # Errors
    /// Those of `look`.
    pub fn in_step(&self, look: impl FnOnce(&Snapshot) -> Result<()> + Send + 'static) -> Result<()> {
        self.owner.change(move |snapshot| look(snapshot).map(|()| snapshot.clone())).map(drop)
    }

    /// Releases all claims of a move.
    pub fn release_claims(&self, by: MoveId) {
        let services: Vec<_> = self.snapshot().services().cloned().collect();
        if let Err(error) = self.owner.change(move |snapshot| Ok(snapshot.without_claims(by))) {
            tracing::error!(%by, %error, "what the move needed stays claimed");
        }
        services.iter().for_each(|service| service.jobs.allow(by.number()));
    }
}

/// The error text for a client that wants to change what a move has claimed.
pub(super) fn needed(name: &str, by: MoveId) -> String {
    format!("{name} is needed by move {by} as it is; wait until the move is over, or abort it")
}
