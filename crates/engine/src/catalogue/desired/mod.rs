//! What should be on this server: the services, the aliases, and where each alias leads. Plain data that is recorded, compared and read
//! back; `command` lists its changes and `apply` makes them, as a pure function.
//!
//! It must not know what runs: what a change depends on besides this data is asked of [`Facts`]. How it is written is in `record`, where it
//! is kept in `store`.

mod alias;
mod apply;
mod command;
mod facts;
mod known;
mod record;
mod route;
mod service;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use alias::{AliasEntry, Share, Step, Target};
pub use command::{AliasChange, AliasCommand, Command, Expected, ShareChange, SwitchRequest};
pub use facts::{Facts, Served};
pub(super) use known::Known;
pub use service::ServiceEntry;

use crate::move_id::MoveId;
use crate::name::ServiceName;
use crate::service::ServiceId;

/// Services and aliases, one namespace. Cloning copies handles, not content.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DesiredState {
    services: BTreeMap<ServiceId, Arc<ServiceEntry>>,
    /// The services by name: always the same ones.
    names: BTreeMap<ServiceName, ServiceId>,
    aliases: BTreeMap<ServiceName, Arc<AliasEntry>>,
}

impl DesiredState {
    /// All services, by name.
    pub fn services(&self) -> impl Iterator<Item = &Arc<ServiceEntry>> {
        self.names.values().filter_map(|id| self.services.get(id))
    }

    /// A service by its identity.
    pub fn service(&self, id: ServiceId) -> Option<&ServiceEntry> {
        self.services.get(&id).map(|entry| &**entry)
    }

    /// A service by its name.
    pub fn service_named(&self, name: &ServiceName) -> Option<&ServiceEntry> {
        self.service(*self.names.get(name)?)
    }

    /// All aliases, by name.
    pub fn aliases(&self) -> impl Iterator<Item = &Arc<AliasEntry>> {
        self.aliases.values()
    }

    /// An alias by its name.
    pub fn alias(&self, name: &ServiceName) -> Option<&AliasEntry> {
        self.aliases.get(name).map(|alias| &**alias)
    }

    /// Whether a service or an alias has this name.
    pub fn is_taken(&self, name: &ServiceName) -> bool {
        self.names.contains_key(name) || self.aliases.contains_key(name)
    }

    /// The highest number of a move that created a service or pointed an alias, as far as that is remembered.
    pub fn highest_move(&self) -> u64 {
        let steps = self.aliases.values().flat_map(|alias| alias.history.iter().filter_map(|step| step.by));
        let services = self.services.values().filter_map(|entry| entry.created_by);
        steps.chain(services).map(MoveId::number).max().unwrap_or(0)
    }

    /// The next identity after those of services, also of services that aliases only remember.
    pub(super) fn first_free_id(&self) -> u64 {
        let remembered = self.aliases.values().flat_map(|alias| {
            let steps = alias.history.iter().filter_map(|step| step.target.service());
            steps.chain(alias.canary.into_iter().chain(alias.shadow).map(|share| share.service))
        });
        self.services.keys().copied().chain(remembered).map(|id| id.0).max().map_or(1, |highest| highest + 1)
    }

    /// The same, with what the repositories of the services look like now. It changes while a service is loaded or trained, and is recorded
    /// along with the next command.
    #[must_use]
    pub(super) fn with_listings(&self, facts: &dyn Facts) -> Self {
        let mut next = self.clone();
        for entry in next.services.values_mut() {
            let Some(serving) = facts.serving(entry.id) else { continue };
            let listing = serving.ok().and_then(|serving| serving.listing);
            if entry.listing != listing {
                *entry = Arc::new(ServiceEntry { listing, ..ServiceEntry::clone(entry) });
            }
        }
        next
    }

    /// Puts a service in, under its name.
    fn insert(&mut self, entry: ServiceEntry) {
        self.remove(entry.id);
        self.names.insert(entry.name.clone(), entry.id);
        self.services.insert(entry.id, Arc::new(entry));
    }

    fn remove(&mut self, id: ServiceId) {
        if let Some(entry) = self.services.remove(&id) {
            self.names.remove(&entry.name);
        }
    }

    /// Says of a service whether a restart loads it.
    fn set_unloaded(&mut self, id: ServiceId, unloaded: bool) {
        if let Some(entry) = self.service(id).filter(|entry| entry.unloaded != unloaded) {
            self.insert(ServiceEntry { unloaded, ..entry.clone() });
        }
    }

    /// Puts an alias in, whatever it points to.
    fn with_alias(mut self, alias: AliasEntry) -> Self {
        self.aliases.insert(alias.name.clone(), Arc::new(alias));
        self
    }
}

#[cfg(test)]
mod tests;
