//! The claims of moves in progress: services that must not change, and a directory that nothing else may use.
//!
//! What is claimed is in `ongoing`. This module must not know what a move does with it.

use std::path::Path;
use std::sync::Arc;

use dede_model::error::{Error, Result};
use dede_storage::{Place, Relation};

use super::Catalogue;
use super::ongoing::OngoingChange;
use super::owner::Change;
use super::snapshot::Snapshot;
use crate::move_id::MoveId;
use crate::service::{Service, ServiceId};

impl Snapshot {
    /// Checks that no move but `by` has claimed a service.
    ///
    /// # Errors
    /// [`Error::MoveConflict`] naming the move.
    pub(super) fn check_unclaimed(&self, id: ServiceId, by: Option<MoveId>) -> Result<()> {
        let name = self.by_id(id).map(|service| service.name().to_string()).unwrap_or_default();
        let claimant = self.ongoing.claimant(id, by);
        claimant.map_or(Ok(()), |owner| Err(Error::MoveConflict(needed(&name, owner))))
    }

    /// Checks that no move but `by` has claimed a directory, one inside it or one around it.
    ///
    /// # Errors
    /// [`Error::MoveConflict`] naming the move.
    pub fn check_directory(&self, place: &Place, by: Option<MoveId>) -> Result<()> {
        match self.ongoing.claimant_of_place(place, by) {
            None => Ok(()),
            Some(owner) => {
                let text = format!("move {owner} needs what is in this directory; wait until it is over, or abort it");
                Err(Error::MoveConflict(text))
            }
        }
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
        let claim = Change::ongoing(OngoingChange::ClaimService(by, id, place.clone()));
        let snapshot = self.owner.change(claim.only_if(move |snapshot| snapshot.known().check_pointable(id)))?;
        // A training of another service on the same files would change them too.
        let on_it =
            |other: &&Arc<Service>| other.id == id || Place::of(other.definition.repository.root()).overlaps(&place);
        for other in snapshot.services().filter(on_it) {
            other.jobs.forbid(by.number(), needed("this service", by)).or_else(|error| {
                self.owner.change(Change::ongoing(OngoingChange::ReleaseService(by, id)))?;
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
        let (claim, asked) = (Change::ongoing(OngoingChange::ClaimDirectory(by, place.clone())), place.clone());
        let free = move |snapshot: &Snapshot| snapshot.check_directory(&asked, Some(by));
        let snapshot = self.owner.change(claim.only_if(free))?;
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
        self.snapshot().ongoing.set_undoing(by, undoing);
    }

    /// Calls `look` between two changes of the catalogue: what it finds in the snapshot holds until it returns. It must
    /// not block.
    ///
    /// # Errors
    /// Those of `look`.
    pub fn in_step(&self, look: impl FnOnce(&Snapshot) -> Result<()> + Send + 'static) -> Result<()> {
        self.owner.look(look).map(drop)
    }

    /// Releases all claims of a move.
    pub fn release_claims(&self, by: MoveId) {
        let services: Vec<_> = self.snapshot().services().cloned().collect();
        if let Err(error) = self.owner.change(Change::ongoing(OngoingChange::ReleaseAll(by))) {
            tracing::error!(%by, %error, "what the move needed stays claimed");
        }
        services.iter().for_each(|service| service.jobs.allow(by.number()));
    }
}

/// The error text for a client that wants to change what a move has claimed.
pub(super) fn needed(name: &str, by: MoveId) -> String {
    format!("{name} is needed by move {by} as it is; wait until the move is over, or abort it")
}
