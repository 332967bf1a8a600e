//! The operations on the aliases of a catalogue. Each change is one synced record and one pointer swap.

use std::sync::Arc;

use dede_model::error::{Error, Result};

use super::Catalogue;
use super::desired::{AliasChange, AliasCommand, Command, Expected, Share, SwitchRequest};
use super::owner::Change;
use super::snapshot::Snapshot;
use super::view::AliasView;
use crate::name::ServiceName;
use crate::service::{Service, ServiceId};
use crate::shadow::ShadowObserver;

impl Catalogue {
    /// One alias.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`].
    pub fn alias(&self, name: &str) -> Result<AliasView> {
        self.snapshot().alias_view(&ServiceName::parse(name)?)
    }

    /// Sets the whole route of an alias, or creates it.
    ///
    /// # Errors
    /// [`Error::ServiceNotFound`] for an unknown target, [`Error::BadParameter`] for a canary or shadow that
    /// cannot be one, [`Error::AliasConflict`] when an expectation is wrong, or the name is a service and `takeover` was not
    /// asked for.
    pub fn put_alias(&self, name: &str, change: AliasChange) -> Result<AliasView> {
        self.change_alias(name, AliasCommand::Set(change))
    }

    /// Points an alias to a service, or creates it: the commit of a move.
    ///
    /// # Errors
    /// [`Error::AliasConflict`] when the expectation is wrong, a service is gone or being deleted, or the name is a
    /// service and `takeover` was not asked for.
    pub fn switch(&self, name: &str, request: SwitchRequest) -> Result<AliasView> {
        self.change_alias(name, AliasCommand::Switch(request))
    }

    /// As [`Catalogue::switch`], unless `allowed` returns an error; it is called in the same step, again where that is tried again.
    ///
    /// # Errors
    /// As there, and that of `allowed`.
    pub fn switch_if(
        &self,
        name: &str,
        request: SwitchRequest,
        allowed: impl Fn() -> Result<()> + Send + 'static,
    ) -> Result<AliasView> {
        let name = ServiceName::parse(name)?;
        let asked = name.clone();
        let change = Change::record(Command::Alias(name.clone(), AliasCommand::Switch(request)));
        let change = change.only_if(move |snapshot| {
            snapshot.known().check_free(&asked)?;
            allowed()
        });
        self.owner.change(change)?.alias_view(&name)
    }

    /// Gives an alias another canary, or none.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`], [`Error::AliasConflict`], [`Error::BadParameter`] when it is the
    /// target.
    pub fn set_canary(&self, name: &str, canary: Option<Share>, expect: Option<Expected>) -> Result<AliasView> {
        self.change_alias(name, AliasCommand::SetCanary { canary, expect })
    }

    /// Gives an alias another shadow, or none. The target itself may be its own shadow: that measures the noise.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`], [`Error::AliasConflict`], [`Error::BadParameter`] when the alias
    /// points to a peer.
    pub fn set_shadow(&self, name: &str, shadow: Option<Share>, expect: Option<Expected>) -> Result<AliasView> {
        self.change_alias(name, AliasCommand::SetShadow { shadow, expect })
    }

    /// Sets or clears the shadow observer of an alias. It survives changes of the route, but not a restart. Copies that
    /// already wait are reported to the new observer too: an [`crate::shadow::Observation`] says which services
    /// answered.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`].
    pub fn observe_shadow(&self, name: &str, observer: Option<Arc<dyn ShadowObserver>>) -> Result<()> {
        let (name, snapshot) = (ServiceName::parse(name)?, self.snapshot());
        let alias = snapshot.alias(&name).ok_or_else(|| Error::AliasNotFound(name.to_string()))?;
        alias.traffic.ledger.set_observer(observer);
        Ok(())
    }

    /// Temporarily overrides the shadow of an alias: this service gets copies of all requests in place of the recorded
    /// shadow; `None` ends the override. It is not recorded, changes no generation, and ends with the process.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`].
    pub fn override_shadow(&self, name: &str, service: Option<Arc<Service>>) -> Result<()> {
        let name = ServiceName::parse(name)?;
        // Through the owner, so that no change of the route happens at the same time.
        let change = move |snapshot: &Snapshot| {
            let alias = snapshot.alias(&name).ok_or_else(|| Error::AliasNotFound(name.to_string()))?;
            alias.traffic.override_shadow(service);
            snapshot.run_shadow(alias);
            Ok(())
        };
        self.owner.look(change).map(drop)
    }

    /// Temporarily overrides the canary of an alias: this service answers a share of the requests in place of the
    /// recorded canary; `None` ends the override. It is not recorded, changes no generation, and ends with the process.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`]; [`Error::AliasConflict`] for a service that is gone.
    pub fn override_canary(&self, name: &str, canary: Option<Share>) -> Result<()> {
        let name = ServiceName::parse(name)?;
        let change = move |snapshot: &Snapshot| {
            let alias = snapshot.alias(&name).ok_or_else(|| Error::AliasNotFound(name.to_string()))?;
            canary.map_or(Ok(()), |share| snapshot.known().check_pointable(share.service))?;
            let target = alias.target().service().and_then(|id| snapshot.by_id(id));
            alias.traffic.override_canary(canary, target);
            Ok(())
        };
        self.owner.look(change).map(drop)
    }

    /// Points an alias to its previous target, without canary and shadow. A service that is not in memory is loaded
    /// first, in place of the present one; requests wait meanwhile.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`]; [`Error::AliasConflict`] when there is nothing to go back to, or the
    /// expectation is wrong; why it could not be loaded.
    pub fn rollback_alias(&self, name: &str, expect: Option<Expected>) -> Result<AliasView> {
        let parsed = ServiceName::parse(name)?;
        self.snapshot().known().check_not_undone(&parsed)?;
        if let Some(outcome) = self.roll_back_loading(&parsed, expect.as_ref(), None) {
            outcome?;
            return self.snapshot().alias_view(&parsed);
        }
        self.change_alias(name, AliasCommand::RollBack { expect })
    }

    /// Points an alias from one service back to another, without canary and shadow; loaded first, as by [`Catalogue::rollback_alias`].
    /// `generation`: of the alias now; `version`: the one that `to` must have.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`]; [`Error::AliasConflict`] when it does not point to `from`, or `to` is gone or another version; why it could
    /// not be loaded.
    pub fn return_alias(
        &self,
        name: &ServiceName,
        (generation, from): (u64, ServiceId),
        to: ServiceId,
        version: Option<String>,
    ) -> Result<()> {
        let (back_to, expect) = (Some((to, version.clone())), Expected::Generation(generation));
        if let Some(outcome) = self.roll_back_loading(name, Some(&expect), back_to) {
            return outcome;
        }
        self.record_alias(name.clone(), AliasCommand::Return { generation, from, to, version }).map(drop)
    }

    /// Undoes a takeover: the alias goes, and the service it points to gets its name, in one step.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`]; [`Error::AliasConflict`] when it points to a peer, or the expectation is
    /// wrong.
    pub fn give_name_back(&self, name: &str, expect: Option<Expected>) -> Result<()> {
        self.record_alias(ServiceName::parse(name)?, AliasCommand::GiveNameBack { expect }).map(drop)
    }

    /// Removes an alias; the service it points to stays.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`].
    pub fn delete_alias(&self, name: &str) -> Result<()> {
        self.record_alias(ServiceName::parse(name)?, AliasCommand::Delete).map(drop)
    }

    /// As [`Catalogue::delete_alias`], if it still points to a service.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`]; [`Error::AliasConflict`] where it points elsewhere.
    pub fn delete_alias_of(&self, name: &ServiceName, target: ServiceId) -> Result<()> {
        self.record_alias(name.clone(), AliasCommand::DeleteOf(target)).map(drop)
    }

    fn change_alias(&self, name: &str, command: AliasCommand) -> Result<AliasView> {
        let name = ServiceName::parse(name)?;
        self.record_alias(name.clone(), command)?.alias_view(&name)
    }

    fn record_alias(&self, name: ServiceName, command: AliasCommand) -> Result<Arc<Snapshot>> {
        self.owner.change(Change::record(Command::Alias(name, command)))
    }
}
