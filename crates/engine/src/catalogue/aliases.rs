//! The operations on the aliases of a catalogue. Each change is one synced record and one pointer swap.

use std::sync::Arc;

use dede_api::aliases::AliasInfo;
use dede_api::requests::PutAlias;
use dede_model::error::{Error, Result};

use super::Catalogue;
use super::alias::Share;
use super::request::{Expected, SwitchRequest, Wanted};
use super::snapshot::Snapshot;
use crate::name::ServiceName;
use crate::service::{Service, ServiceId};
use crate::shadow::ShadowObserver;

impl Catalogue {
    /// One alias.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`].
    pub fn alias(&self, name: &str) -> Result<AliasInfo> {
        self.snapshot().alias_info(&ServiceName::parse(name)?)
    }

    /// Sets the whole route of an alias, or creates it.
    ///
    /// # Errors
    /// [`Error::ServiceNotFound`] for an unknown target, [`Error::BadParameter`] for a canary or shadow that
    /// cannot be one, [`Error::AliasConflict`] when an expectation is wrong, or the name is a service and `takeover` was not
    /// asked for.
    pub fn put_alias(&self, name: &str, put: PutAlias) -> Result<AliasInfo> {
        self.change_alias(name, move |snapshot, name| {
            snapshot.with_route(name.clone(), Wanted::from_put(&put, snapshot)?)
        })
    }

    /// Points an alias to a service, or creates it: the commit of a move.
    ///
    /// # Errors
    /// [`Error::AliasConflict`] when the expectation is wrong, a service is gone or being deleted, or the name is a
    /// service and `takeover` was not asked for.
    pub fn switch(&self, name: &str, request: SwitchRequest) -> Result<AliasInfo> {
        self.switch_if(name, request, || Ok(()))
    }

    /// As [`Catalogue::switch`], unless `allowed` returns an error; it is called in the same step.
    ///
    /// # Errors
    /// As there, and that of `allowed`.
    pub fn switch_if(
        &self,
        name: &str,
        request: SwitchRequest,
        allowed: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Result<AliasInfo> {
        self.change_alias(name, move |snapshot, name| {
            allowed()?;
            let (former, new) = (request.replaces_in_memory, request.to);
            former.map_or(Ok(()), |former| snapshot.check_alone(name, former))?;
            let next = snapshot.with_route(name.clone(), Wanted::from_switch(request, snapshot)?)?;
            // A restart must load the new target, also where no service gave up its memory for it.
            Ok(next.with_exchanged(former, new))
        })
    }

    /// Gives an alias another canary, or none.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`], [`Error::AliasConflict`], [`Error::BadParameter`] when it is the
    /// target.
    pub fn set_canary(&self, name: &str, canary: Option<Share>, expect: Option<Expected>) -> Result<AliasInfo> {
        self.change_alias(name, move |snapshot, name| snapshot.with_canary(name, canary, expect.as_ref()))
    }

    /// Gives an alias another shadow, or none. The target itself may be its own shadow: that measures the noise.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`], [`Error::AliasConflict`], [`Error::BadParameter`] when the alias
    /// points to a peer.
    pub fn set_shadow(&self, name: &str, shadow: Option<Share>, expect: Option<Expected>) -> Result<AliasInfo> {
        self.change_alias(name, move |snapshot, name| snapshot.with_shadow(name, shadow, expect.as_ref()))
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
        self.owner.change(move |snapshot| {
            let alias = snapshot.alias(&name).ok_or_else(|| Error::AliasNotFound(name.to_string()))?;
            alias.traffic.override_shadow(service);
            Ok(snapshot.clone())
        })?;
        Ok(())
    }

    /// Temporarily overrides the canary of an alias: this service answers a share of the requests in place of the
    /// recorded canary; `None` ends the override. It is not recorded, changes no generation, and ends with the process.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`]; [`Error::AliasConflict`] for a service that is gone.
    pub fn override_canary(&self, name: &str, canary: Option<Share>) -> Result<()> {
        let name = ServiceName::parse(name)?;
        self.owner.change(move |snapshot| {
            let alias = snapshot.alias(&name).ok_or_else(|| Error::AliasNotFound(name.to_string()))?;
            canary.map_or(Ok(()), |share| snapshot.check_pointable(share.service))?;
            let target = alias.target().service().and_then(|id| snapshot.by_id(id));
            alias.traffic.override_canary(canary, target);
            Ok(snapshot.clone())
        })?;
        Ok(())
    }

    /// Points an alias to its previous target, without canary and shadow. A service that is not in memory is loaded
    /// first, in place of the present one; requests wait meanwhile.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`]; [`Error::AliasConflict`] when there is nothing to go back to, or the
    /// expectation is wrong; why it could not be loaded.
    pub fn rollback_alias(&self, name: &str, expect: Option<Expected>) -> Result<AliasInfo> {
        let parsed = ServiceName::parse(name)?;
        self.snapshot().check_not_undone(&parsed)?;
        if let Some(outcome) = self.roll_back_loading(&parsed, expect.as_ref(), None) {
            outcome?;
            return self.snapshot().alias_info(&parsed);
        }
        self.change_alias(name, move |snapshot, name| snapshot.with_rollback(name, expect.as_ref()))
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
        let name = name.clone();
        let change = move |snapshot: &Snapshot| {
            snapshot.check_not_returning(&name)?;
            snapshot.check_expected(&name, &expect)?;
            snapshot.check_version(to, version.as_deref())?;
            snapshot.with_return(&name, from, to)
        };
        self.owner.change(change).map(drop)
    }

    /// Undoes a takeover: the alias goes, and the service it points to gets its name, in one step.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`]; [`Error::AliasConflict`] when it points to a peer, or the expectation is
    /// wrong.
    pub fn give_name_back(&self, name: &str, expect: Option<Expected>) -> Result<()> {
        let name = ServiceName::parse(name)?;
        self.owner.change(move |snapshot| snapshot.with_name_given_back(&name, expect.as_ref()))?;
        Ok(())
    }

    /// Removes an alias; the service it points to stays.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`].
    pub fn delete_alias(&self, name: &str) -> Result<()> {
        let name = ServiceName::parse(name)?;
        self.owner.change(move |snapshot| {
            snapshot.check_not_returning(&name)?;
            snapshot.check_not_undone(&name)?;
            snapshot.without_alias(&name)
        })?;
        Ok(())
    }

    /// As [`Catalogue::delete_alias`], if it still points to a service.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`]; [`Error::AliasConflict`] where it points elsewhere.
    pub fn delete_alias_of(&self, name: &ServiceName, target: ServiceId) -> Result<()> {
        let name = name.clone();
        self.owner.change(move |snapshot| {
            snapshot.check_expected(&name, &Expected::Service(target))?;
            snapshot.without_alias(&name)
        })?;
        Ok(())
    }

    fn change_alias(
        &self,
        name: &str,
        change: impl FnOnce(&Snapshot, &ServiceName) -> Result<Snapshot> + Send + 'static,
    ) -> Result<AliasInfo> {
        let name = ServiceName::parse(name)?;
        let asked = name.clone();
        let change = move |snapshot: &Snapshot| {
            snapshot.check_not_returning(&asked)?;
            snapshot.check_not_undone(&asked)?;
            change(snapshot, &asked)
        };
        self.owner.change(change)?.alias_info(&name)
    }
}
