//! The changes of services; those of aliases are in `route`. Pure functions from state to state, or a reason why not.

use std::collections::BTreeSet;

use dede_model::error::{Error, Result};

use super::DesiredState;
use super::command::{AliasCommand, Command};
use super::facts::Facts;
use super::known::Known;
use super::service::ServiceEntry;
use crate::name::ServiceName;
use crate::service::ServiceId;

impl DesiredState {
    /// The state after a command. Nothing else happens, so a command that lost a race may be applied to the state that won.
    ///
    /// # Errors
    /// Why the command is refused, as its client is told.
    pub fn apply(&self, command: &Command, facts: &dyn Facts) -> Result<Self> {
        let known = Known { state: self, facts };
        match command {
            Command::Create(entry) => self.with_service(entry),
            Command::Delete(id) => known.without_service(*id),
            Command::Rename { from, to } => known.with_rename(from, to),
            Command::Alias(name, command) => known.with_alias_command(name, command),
            Command::Together(changes) => self.with_all(changes, facts),
        }
    }

    /// One that is refused refuses all: what those before it led to is dropped with the copy that it was made to.
    fn with_all(&self, changes: &[(ServiceName, AliasCommand)], facts: &dyn Facts) -> Result<Self> {
        let mut named = BTreeSet::new();
        if let Some((twice, _)) = changes.iter().find(|(name, _)| !named.insert(name)) {
            return Err(Error::AliasConflict(format!("{twice} stands twice among aliases that change together")));
        }
        let mut next = self.clone();
        for (name, command) in changes {
            next = Known { state: &next, facts }.with_alias_command(name, command)?;
        }
        Ok(next)
    }

    fn with_service(&self, entry: &ServiceEntry) -> Result<Self> {
        if self.is_taken(&entry.name) {
            return Err(Error::ServiceExists(entry.name.to_string()));
        }
        let mut next = self.clone();
        next.insert(entry.clone());
        Ok(next)
    }
}

impl Known<'_> {
    /// Aliases that pointed to it remember what it was, so that the same service can be gone back to when it is created again. One that
    /// cannot be built here is forgotten, whatever points there.
    fn without_service(&self, id: ServiceId) -> Result<DesiredState> {
        let mut next = self.state.clone();
        next.remove(id);
        let Some(name) = self.name_of(id) else { return Ok(next) };
        self.check_unaliased(id)?;
        let version = self.facts.serving(id).and_then(Result::ok).and_then(|serving| serving.digest);
        for alias in self.state.aliases().filter(|alias| alias.pointed_to(id)) {
            next = next.with_alias(alias.after_deletion(id, name, version));
        }
        Ok(next)
    }

    pub(super) fn with_rename(&self, from: &ServiceName, to: &ServiceName) -> Result<DesiredState> {
        if self.state.alias(from).is_some() {
            return Err(Error::AliasConflict(format!("{from} is an alias; only services are renamed")));
        }
        let id = self.service_named(from).ok_or_else(|| Error::ServiceNotFound(from.to_string()))?;
        if from == to {
            return Ok(self.state.clone());
        }
        if self.state.is_taken(to) {
            return Err(Error::ServiceExists(to.to_string()));
        }
        let mut next = self.state.clone();
        if let Some(entry) = self.state.service(id) {
            next.insert(ServiceEntry { name: to.clone(), ..entry.clone() });
        }
        Ok(next)
    }
}
