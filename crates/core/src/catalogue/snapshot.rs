//! Services and aliases at one moment, and the changes that lead to the next.
//!
//! Every change is a pure function from snapshot to snapshot, or a reason why not: nothing here does I/O.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use dede_api::aliases::{AliasInfo, AliasStep};
use dede_api::requests::PutAlias;

use super::alias::Alias;
use super::state::{ServiceEntry, StateRecord};
use crate::error::{Error, Result};
use crate::name::ServiceName;
use crate::service::{Service, ServiceId};

/// Immutable; cloning copies handles, not services.
#[derive(Clone, Default)]
pub struct Snapshot {
    services: BTreeMap<ServiceName, Arc<Service>>,
    names: BTreeMap<ServiceId, ServiceName>,
    aliases: BTreeMap<ServiceName, Arc<Alias>>,
    /// Being deleted: still answering, but nothing may point there any more.
    deleting: HashSet<ServiceId>,
    /// Recorded services that this binary cannot even build; kept under their names, so that nothing is lost.
    unbuildable: Vec<ServiceEntry>,
}

/// A service, and by which names it was found.
#[derive(Clone)]
pub struct Resolved {
    /// The service.
    pub service: Arc<Service>,
    /// Its name in this snapshot.
    pub name: ServiceName,
    /// The name that was asked for: its own, or an alias.
    pub asked: ServiceName,
}

impl Resolved {
    /// Whether an alias was asked for.
    pub fn is_alias(&self) -> bool {
        self.name != self.asked
    }
}

impl Snapshot {
    pub(super) fn restored(unbuildable: Vec<ServiceEntry>) -> Self {
        Self { unbuildable, ..Self::default() }
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

    /// The service behind a name, be it its own or an alias.
    ///
    /// # Errors
    /// [`Error::ServiceNotFound`].
    pub fn resolve(&self, name: &str) -> Result<Resolved> {
        let missing = || Error::ServiceNotFound(name.to_owned());
        let asked = ServiceName::parse(name).map_err(|_| missing())?;
        let own = match self.aliases.get(&asked) {
            Some(alias) => self.names.get(&alias.service()).ok_or_else(missing)?.clone(),
            None => asked.clone(),
        };
        let service = Arc::clone(self.services.get(&own).ok_or_else(missing)?);
        Ok(Resolved { service, name: own, asked })
    }

    pub(super) fn recorded_ids(&self) -> impl Iterator<Item = ServiceId> {
        let live = self.names.keys().copied();
        let steps = self.aliases.values().flat_map(|alias| alias.history.iter().map(|step| step.service));
        live.chain(self.unbuildable.iter().map(|entry| entry.id)).chain(steps)
    }

    pub(super) fn record(&self) -> StateRecord {
        let live = self.services.iter().map(|(name, service)| ServiceEntry {
            id: service.id,
            name: name.clone(),
            request: service.definition.request.body.clone(),
        });
        let aliases = self.aliases.values().map(|alias| Alias::clone(alias)).collect();
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

    /// Puts an alias back after a restart, whatever it points to.
    pub(super) fn with_restored_alias(mut self, alias: Alias) -> Self {
        self.aliases.insert(alias.name.clone(), Arc::new(alias));
        self
    }

    pub(super) fn deletable(&self, name: &ServiceName) -> Result<Arc<Service>> {
        if self.aliases.contains_key(name) {
            return Err(Error::AliasConflict(format!("{name} is an alias, not a service")));
        }
        let service = self.services.get(name).ok_or_else(|| Error::NothingToDelete(name.to_string()))?;
        self.check_unaliased(service.id)?;
        Ok(Arc::clone(service))
    }

    fn check_unaliased(&self, id: ServiceId) -> Result<()> {
        match self.aliases.values().find(|alias| alias.service() == id) {
            Some(alias) => Err(Error::AliasConflict(format!("alias {} points to this service", alias.name))),
            None => Ok(()),
        }
    }

    pub(super) fn with_deletion(&self, id: ServiceId, deleting: bool) -> Result<Self> {
        let mut next = self.clone();
        if deleting {
            self.check_unaliased(id)?;
            if !self.names.contains_key(&id) || !next.deleting.insert(id) {
                return Err(Error::NothingToDelete("it is being deleted already".into()));
            }
        } else {
            next.deleting.remove(&id);
        }
        Ok(next)
    }

    pub(super) fn without_service(&self, id: ServiceId) -> Result<Self> {
        let mut next = self.clone();
        next.deleting.remove(&id);
        if let Some(name) = next.names.remove(&id) {
            next.services.remove(&name);
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

    pub(super) fn with_alias(&self, name: ServiceName, put: &PutAlias) -> Result<Self> {
        let target = self.target(&put.service)?;
        self.check_expected(&name, put.expect.as_deref())?;
        if let Some(alias) = self.aliases.get(&name) {
            if alias.service() == target {
                return Ok(self.clone());
            }
            return Ok(self.with(alias.pointed(target, self.name_of(target))));
        }
        let Some(service) = self.services.get(&name) else {
            let alias = Alias::new(name, target, self.name_of(target));
            return Ok(self.with(alias));
        };
        if !put.takeover {
            let text = format!("{name} is a service; takeover:true renames it and puts the alias in its place");
            return Err(Error::AliasConflict(text));
        }
        let moved = self.with_rename(&name, self.name_after_takeover(&name, service)?)?;
        let former = Alias::new(name, service.id, moved.name_of(service.id));
        let alias = if target == service.id { former } else { former.pointed(target, moved.name_of(target)) };
        Ok(moved.with(alias))
    }

    fn with(&self, alias: Alias) -> Self {
        self.clone().with_restored_alias(alias)
    }

    fn target(&self, name: &str) -> Result<ServiceId> {
        let resolved = self.resolve(name)?;
        if resolved.is_alias() {
            return Err(Error::AliasConflict(format!("{} is an alias; an alias points to a service", resolved.asked)));
        }
        if self.deleting.contains(&resolved.service.id) {
            return Err(Error::AliasConflict(format!("{} is being deleted", resolved.name)));
        }
        Ok(resolved.service.id)
    }

    /// Compare-and-swap: the target must be `expected` now. A service in the alias's place counts as its own target.
    fn check_expected(&self, name: &ServiceName, expected: Option<&str>) -> Result<()> {
        let Some(expected) = expected else { return Ok(()) };
        let found = self.resolve(name.as_str()).ok().map(|resolved| resolved.name);
        if found.as_ref().is_some_and(|found| found.as_str() == expected.to_ascii_lowercase()) {
            return Ok(());
        }
        let found = found.map_or_else(|| "nothing".to_owned(), |name| name.to_string());
        Err(Error::AliasConflict(format!("expected {name} to point to {expected}, found {found}")))
    }

    /// `service1-<first 8 of its digest>`, with a number when that is taken too.
    fn name_after_takeover(&self, name: &ServiceName, service: &Service) -> Result<ServiceName> {
        let digest = service.serving().ok().and_then(|serving| serving.digest);
        let suffix = digest.map_or_else(|| "untrained".to_owned(), |digest| digest.short());
        let plain = ServiceName::parse(&format!("{name}-{suffix}"))?;
        if !self.is_taken(&plain) {
            return Ok(plain);
        }
        let numbered = (2..u32::MAX).map(|number| ServiceName::parse(&format!("{plain}-{number}")));
        numbered
            .take_while(Result::is_ok)
            .flatten()
            .find(|candidate| !self.is_taken(candidate))
            .ok_or_else(|| Error::ServiceExists(plain.to_string()))
    }

    pub(super) fn with_rollback(&self, name: &ServiceName) -> Result<Self> {
        let alias = self.aliases.get(name).ok_or_else(|| Error::AliasNotFound(name.to_string()))?;
        let step = alias.previous().ok_or_else(|| {
            Error::AliasConflict(format!("{name} has pointed to one service only: nothing to go back to"))
        })?;
        if !self.names.contains_key(&step.service) || self.deleting.contains(&step.service) {
            let text = format!("{name} pointed to {} before, which is not there any more", step.name);
            return Err(Error::AliasConflict(text));
        }
        Ok(self.with(alias.pointed(step.service, self.name_of(step.service))))
    }

    pub(super) fn without_alias(&self, name: &ServiceName) -> Result<Self> {
        let mut next = self.clone();
        match next.aliases.remove(name) {
            Some(_) => Ok(next),
            None => Err(Error::AliasNotFound(name.to_string())),
        }
    }

    fn name_of(&self, id: ServiceId) -> ServiceName {
        self.names.get(&id).expect("only identities found in this snapshot are asked for").clone()
    }

    /// What GET /aliases/{name} shows.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`].
    pub fn alias_info(&self, name: &ServiceName) -> Result<AliasInfo> {
        let alias = self.aliases.get(name).ok_or_else(|| Error::AliasNotFound(name.to_string()))?;
        let shown = |step: &super::alias::Step| AliasStep {
            generation: step.generation,
            service: self.names.get(&step.service).unwrap_or(&step.name).to_string(),
            at_s: step.at_s,
        };
        let target = self.names.get(&alias.service()).and_then(|name| self.services.get(name));
        let serving = target.and_then(|service| service.serving().ok());
        Ok(AliasInfo {
            name: name.to_string(),
            service: alias.history.last().map(|step| shown(step).service).unwrap_or_default(),
            digest: serving.and_then(|serving| serving.digest).map(|digest| digest.to_string()),
            generation: alias.generation,
            history: alias.history.iter().map(shown).collect(),
        })
    }
}
