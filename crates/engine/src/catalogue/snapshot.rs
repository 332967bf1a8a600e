//! What runs at one moment: the loaded services and the aliases with their traffic, beside the recorded state that they follow.
//!
//! A snapshot is made by bringing the former one in line with a state that is recorded already; nothing here does I/O. Where requests go is
//! in `routing`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use dede_model::error::{Error, Result};

use super::alias::Alias;
use super::desired::{AliasEntry, DesiredState, Facts, Known, Served, Share, Step, Target};
use super::ongoing::Ongoing;
use crate::move_id::MoveId;
use crate::name::ServiceName;
use crate::service::{Service, ServiceId};

/// Immutable; each change makes another.
#[derive(Default)]
pub struct Snapshot {
    /// What should be, and is recorded.
    pub(super) desired: DesiredState,
    /// What goes on in this process.
    pub(super) ongoing: Ongoing,
    /// The services of the state that this binary could build. The others are kept under their names, so that nothing is lost.
    pub(super) services: BTreeMap<ServiceName, Arc<Service>>,
    aliases: BTreeMap<ServiceName, Alias>,
}

impl Snapshot {
    /// What runs, in line with another state. `brought`: services that were built for that state.
    pub(super) fn following(&self, desired: DesiredState, ongoing: Ongoing, brought: &[Arc<Service>]) -> Self {
        let built = |id| self.by_id(id).or_else(|| brought.iter().find(|service| service.id == id)).cloned();
        let services = desired.services().filter_map(|entry| Some((entry.name.clone(), built(entry.id)?))).collect();
        let alias = |entry: &Arc<AliasEntry>| Alias::after(self.alias(&entry.name), entry);
        let aliases = desired.aliases().map(|entry| (entry.name.clone(), alias(entry))).collect();
        Self { desired, ongoing, services, aliases }
    }

    /// Tells services their names here.
    pub(super) fn name_services(&self) {
        for (name, service) in self.named_services() {
            if service.name().as_ref() != name {
                service.set_name(name.clone());
            }
        }
    }

    /// Starts and ends shadows, so that those run that this snapshot asks for and `before` did not.
    pub(super) fn run_shadows(&self, before: &Self) {
        self.aliases.values().for_each(|alias| self.run_shadow(alias));
        before.aliases.values().filter(|alias| !self.is_there(alias)).for_each(|alias| alias.traffic.run(None));
    }

    /// Starts or ends the shadow of one alias.
    pub(super) fn run_shadow(&self, alias: &Alias) {
        let service = |share: Share| Some((self.by_id(share.service)?, share.percent));
        alias.traffic.run(alias.shadow.and_then(service));
    }

    /// The state with what runs as the answer to its questions.
    pub(super) fn known(&self) -> Known<'_> {
        Known { state: &self.desired, facts: self }
    }

    /// The highest number of a move that created a service or pointed an alias, as far as that is remembered.
    pub fn highest_move(&self) -> u64 {
        self.desired.highest_move()
    }

    /// A service by its identity.
    pub fn by_id(&self, id: ServiceId) -> Option<&Arc<Service>> {
        self.services.get(&self.desired.service(id)?.name)
    }

    /// The name of a service, unless this binary could not build it.
    pub(super) fn name_of(&self, id: ServiceId) -> Option<&ServiceName> {
        self.desired.service(id).map(|entry| &entry.name).filter(|name| self.services.contains_key(*name))
    }

    /// The service that a move created, whatever it is called now.
    pub fn created_by(&self, by: MoveId) -> Option<&Arc<Service>> {
        let created = self.desired.services().filter(|entry| entry.created_by == Some(by));
        created.filter_map(|entry| self.by_id(entry.id)).next()
    }

    /// A service of this name that this binary could not build.
    pub(super) fn unbuildable(&self, name: &ServiceName) -> Option<ServiceId> {
        self.desired.service_named(name).map(|entry| entry.id).filter(|_| !self.services.contains_key(name))
    }

    /// All services, by name.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.values()
    }

    /// All services with the names they have here.
    pub fn named_services(&self) -> impl Iterator<Item = (&ServiceName, &Arc<Service>)> {
        self.services.iter()
    }

    /// All aliases, by name.
    pub fn aliases(&self) -> impl Iterator<Item = &Alias> {
        self.aliases.values()
    }

    /// Whether a service or an alias has this name.
    pub fn is_taken(&self, name: &ServiceName) -> bool {
        self.desired.is_taken(name)
    }

    /// An alias by its name.
    pub fn alias(&self, name: &ServiceName) -> Option<&Alias> {
        self.aliases.get(name)
    }

    /// Whether an alias is still there: not one that was made again under its name.
    pub fn is_there(&self, alias: &Alias) -> bool {
        self.alias(&alias.name).is_some_and(|now| Arc::ptr_eq(&now.traffic, &alias.traffic))
    }

    /// Whether a restart leaves this service unloaded, in favour of another.
    pub fn is_unloaded(&self, id: ServiceId) -> bool {
        self.desired.service(id).is_some_and(|entry| entry.unloaded)
    }

    /// A target under its present name.
    pub fn present(&self, target: &Target) -> Target {
        self.known().present(target)
    }

    /// The service that a step of an alias stands for: the one that it led to, or, when that was deleted, one of the same name and
    /// version that was created since; `None` for a service of a peer.
    pub fn place_of(&self, step: &Step) -> Option<ServiceId> {
        self.known().place_of(step)
    }

    /// Whether no alias leads to a service.
    ///
    /// # Errors
    /// [`Error::AliasConflict`] naming the alias.
    pub fn check_unaliased(&self, id: ServiceId) -> Result<()> {
        self.known().check_unaliased(id)
    }

    /// Checks that no other alias leads to this service, which is about to leave memory.
    ///
    /// # Errors
    /// [`Error::AliasConflict`] with the alias that does.
    pub fn check_alone(&self, name: &ServiceName, id: ServiceId) -> Result<()> {
        self.known().check_alone(name, id)
    }

    /// Checks that a service is the version that was proved.
    ///
    /// # Errors
    /// [`Error::AliasConflict`] with the version that it is, or why it cannot answer.
    pub fn check_version(&self, id: ServiceId, expected: Option<&str>) -> Result<()> {
        self.known().check_version(id, expected)
    }

    /// The service of this name, where it may be deleted.
    pub(super) fn deletable(&self, name: &ServiceName) -> Result<Arc<Service>> {
        if self.alias(name).is_some() {
            return Err(Error::AliasConflict(format!("{name} is an alias, not a service")));
        }
        let service = self.services.get(name).ok_or_else(|| Error::NothingToDelete(name.to_string()))?;
        self.check_unaliased(service.id)?;
        self.check_unclaimed(service.id, None)?;
        Ok(Arc::clone(service))
    }

    /// Checks that the deletion of a service may begin.
    pub(super) fn check_deletable(&self, id: ServiceId, by: Option<MoveId>) -> Result<()> {
        self.check_unaliased(id)?;
        self.check_unclaimed(id, by)?;
        if self.by_id(id).is_none() || self.is_being_deleted(id) {
            return Err(Error::NothingToDelete("it is being deleted already".into()));
        }
        Ok(())
    }
}

impl Facts for Snapshot {
    fn serving(&self, service: ServiceId) -> Option<Result<Served>> {
        let serving = self.by_id(service)?.serving();
        let served = serving.map(|now| Served { version: now.version(), digest: now.digest, listing: now.listing });
        Some(served)
    }

    fn is_built(&self, service: ServiceId) -> bool {
        self.by_id(service).is_some()
    }

    fn is_being_deleted(&self, service: ServiceId) -> bool {
        self.ongoing.is_being_deleted(service)
    }

    fn is_returning(&self, alias: &ServiceName) -> bool {
        self.alias(alias).is_some_and(|alias| alias.traffic.is_returning())
    }

    fn is_being_undone(&self, by: MoveId) -> bool {
        self.ongoing.is_being_undone(by)
    }

    fn canary_override(&self, alias: &ServiceName) -> Option<Share> {
        self.alias(alias)?.traffic.canary_override()
    }

    fn now_s(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}
