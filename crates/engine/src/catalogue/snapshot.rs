//! Services and aliases at one moment, and the changes that lead to the next.
//!
//! Every change is a pure function from snapshot to snapshot, or a reason why not: nothing here does I/O. How aliases change is in
//! `switching`, where requests go in `routing`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use dede_model::error::{Error, Result};

use super::alias::{Alias, Share};
use super::claims::Claims;
use super::record::AliasRecord;
use super::state::{ServiceEntry, StateRecord};
use crate::move_id::MoveId;
use crate::name::ServiceName;
use crate::service::{Service, ServiceId};

/// Immutable; cloning copies handles, not services.
#[derive(Clone, Default)]
pub struct Snapshot {
    pub(super) services: BTreeMap<ServiceName, Arc<Service>>,
    pub(super) names: BTreeMap<ServiceId, ServiceName>,
    pub(super) aliases: BTreeMap<ServiceName, Arc<Alias>>,
    /// Being deleted: still answering, but nothing may point there any more.
    pub(super) deleting: HashSet<ServiceId>,
    /// Not loaded by a restart, in favour of another service.
    pub(super) unloaded: HashSet<ServiceId>,
    /// The moves that created services.
    pub(super) created_by: HashMap<ServiceId, MoveId>,
    /// What moves in progress need.
    pub(super) claims: Claims,
    /// Recorded services that this binary cannot even build; kept under their names, so that nothing is lost.
    unbuildable: Vec<ServiceEntry>,
}

impl Snapshot {
    /// The highest number of a move that created a service or pointed an alias, as far as that is remembered.
    pub fn highest_move(&self) -> u64 {
        let steps = self.aliases.values().flat_map(|alias| alias.history.iter().filter_map(|step| step.by));
        steps.chain(self.created_by.values().copied()).map(MoveId::number).max().unwrap_or(0)
    }

    pub(super) fn restored(
        unbuildable: Vec<ServiceEntry>,
        unloaded: HashSet<ServiceId>,
        created_by: HashMap<ServiceId, MoveId>,
    ) -> Self {
        Self { unbuildable, unloaded, created_by, ..Self::default() }
    }

    /// A service by its identity.
    pub fn by_id(&self, id: ServiceId) -> Option<&Arc<Service>> {
        self.services.get(self.names.get(&id)?)
    }

    /// The service that a move created, whatever it is called now.
    pub fn created_by(&self, by: MoveId) -> Option<&Arc<Service>> {
        self.services().find(|service| self.created_by.get(&service.id) == Some(&by))
    }

    pub(super) fn is_unbuildable(&self, name: &ServiceName) -> bool {
        self.unbuildable.iter().any(|entry| entry.name == *name)
    }

    pub(super) fn without_unbuildable(&self, name: &ServiceName) -> Result<Self> {
        let mut next = self.clone();
        next.unbuildable.retain(|entry| entry.name != *name);
        Ok(next)
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
    pub fn aliases(&self) -> impl Iterator<Item = &Arc<Alias>> {
        self.aliases.values()
    }

    /// Whether a service or an alias has this name.
    pub fn is_taken(&self, name: &ServiceName) -> bool {
        self.services.contains_key(name) || self.aliases.contains_key(name) || self.is_unbuildable(name)
    }

    /// An alias by its name.
    pub fn alias(&self, name: &ServiceName) -> Option<&Alias> {
        self.aliases.get(name).map(|alias| &**alias)
    }

    /// Whether an alias is still there: not one that was made again under its name.
    pub fn is_there(&self, alias: &Alias) -> bool {
        self.alias(&alias.name).is_some_and(|now| Arc::ptr_eq(&now.traffic, &alias.traffic))
    }

    /// Starts and ends shadows, so that those run that this snapshot asks for and `before` did not.
    pub(super) fn run_shadows(&self, before: &Self) {
        for alias in self.aliases.values() {
            let service = |share: Share| Some((self.services.get(self.names.get(&share.service)?)?, share.percent));
            alias.traffic.run(alias.shadow.and_then(service));
        }
        before.aliases.values().filter(|alias| !self.is_there(alias)).for_each(|alias| alias.traffic.run(None));
    }

    pub(super) fn recorded_ids(&self) -> impl Iterator<Item = ServiceId> {
        let live = self.names.keys().copied();
        let steps =
            self.aliases.values().flat_map(|alias| alias.history.iter().filter_map(|step| step.target.service()));
        let shares = self.aliases.values().flat_map(|alias| alias.canary.into_iter().chain(alias.shadow));
        let shares = shares.map(|share| share.service);
        live.chain(self.unbuildable.iter().map(|entry| entry.id)).chain(steps).chain(shares)
    }

    pub(super) fn record(&self) -> StateRecord {
        let live = self.services.iter().map(|(name, service)| ServiceEntry {
            id: service.id,
            name: name.clone(),
            request: service.definition.request.to_record(),
            unloaded: self.unloaded.contains(&service.id),
            created_by: self.created_by.get(&service.id).copied(),
            listing: service.serving().ok().and_then(|serving| serving.listing),
        });
        let aliases = self.aliases.values().map(|alias| AliasRecord::from(&**alias)).collect();
        StateRecord::new(live.chain(self.unbuildable.iter().cloned()).collect(), aliases)
    }

    pub(super) fn with_service(&self, name: ServiceName, service: Arc<Service>) -> Result<Self> {
        if self.is_taken(&name) {
            return Err(Error::ServiceExists(name.to_string()));
        }
        let mut next = self.clone();
        next.names.insert(service.id, name.clone());
        next.services.insert(name, service);
        Ok(next)
    }

    /// Puts an alias in, whatever it points to.
    pub(super) fn with(mut self, alias: Alias) -> Self {
        self.aliases.insert(alias.name.clone(), Arc::new(alias));
        self
    }

    pub(super) fn deletable(&self, name: &ServiceName) -> Result<Arc<Service>> {
        if self.aliases.contains_key(name) {
            return Err(Error::AliasConflict(format!("{name} is an alias, not a service")));
        }
        let service = self.services.get(name).ok_or_else(|| Error::NothingToDelete(name.to_string()))?;
        self.check_unaliased(service.id)?;
        self.check_unclaimed(service.id, None)?;
        Ok(Arc::clone(service))
    }

    /// Whether no alias leads to a service.
    ///
    /// # Errors
    /// [`Error::AliasConflict`] naming the alias.
    pub fn check_unaliased(&self, id: ServiceId) -> Result<()> {
        let used = self.aliases.values().find_map(|alias| Some((&alias.name, alias.role_of(id)?)));
        match used {
            Some((alias, role)) => Err(Error::AliasConflict(format!("this service is the {role} of alias {alias}"))),
            None => Ok(()),
        }
    }

    pub(super) fn with_deletion(&self, id: ServiceId, deleting: bool, by: Option<MoveId>) -> Result<Self> {
        let mut next = self.clone();
        if deleting {
            self.check_unaliased(id)?;
            self.check_unclaimed(id, by)?;
            if !self.names.contains_key(&id) || !next.deleting.insert(id) {
                return Err(Error::NothingToDelete("it is being deleted already".into()));
            }
        } else {
            next.deleting.remove(&id);
        }
        Ok(next)
    }

    /// Aliases that pointed to it remember what it was, so that the same service can be gone back to when it is created again.
    pub(super) fn without_service(&self, id: ServiceId) -> Result<Self> {
        let mut next = self.clone();
        next.deleting.remove(&id);
        next.unloaded.remove(&id);
        next.created_by.remove(&id);
        let Some(name) = next.names.remove(&id) else { return Ok(next) };
        if let Some(service) = next.services.remove(&name) {
            let version = service.serving().ok().and_then(|serving| serving.digest);
            let pointed_there = self.aliases.values().filter(|alias| alias.pointed_to(id));
            for alias in pointed_there {
                next = next.with(alias.after_deletion(id, &name, version));
            }
        }
        Ok(next)
    }

    pub(super) fn with_rename(&self, from: &ServiceName, to: ServiceName) -> Result<Self> {
        if self.aliases.contains_key(from) {
            return Err(Error::AliasConflict(format!("{from} is an alias; only services are renamed")));
        }
        let service = self.services.get(from).ok_or_else(|| Error::ServiceNotFound(from.to_string()))?;
        if *from == to {
            return Ok(self.clone());
        }
        if self.is_taken(&to) {
            return Err(Error::ServiceExists(to.to_string()));
        }
        let mut next = self.clone();
        let service = Arc::clone(service);
        next.services.remove(from);
        next.names.insert(service.id, to.clone());
        next.services.insert(to, service);
        Ok(next)
    }
}
