//! A state together with what is known of what runs: the look-ups and checks that changes and readers share.

use dede_model::error::{Error, Result};

use super::DesiredState;
use super::alias::{AliasEntry, Share, Step, Target};
use super::command::Expected;
use super::facts::{Facts, Served};
use crate::name::ServiceName;
use crate::service::{NO_VERSION, ServiceId};

/// A state, and the answers that hold for it.
#[derive(Clone, Copy)]
pub(in crate::catalogue) struct Known<'a> {
    pub(in crate::catalogue) state: &'a DesiredState,
    pub(in crate::catalogue) facts: &'a dyn Facts,
}

impl<'a> Known<'a> {
    /// The name of a service, unless this server cannot build it.
    pub(in crate::catalogue) fn name_of(self, id: ServiceId) -> Option<&'a ServiceName> {
        self.state.service(id).filter(|_| self.facts.is_built(id)).map(|entry| &entry.name)
    }

    /// The service of a name, unless this server cannot build it.
    pub(super) fn service_named(self, name: &ServiceName) -> Option<ServiceId> {
        self.state.service_named(name).map(|entry| entry.id).filter(|id| self.facts.is_built(*id))
    }

    /// What a service answers with, as far as it can.
    pub(super) fn served(self, id: ServiceId) -> Option<Served> {
        self.facts.serving(id).and_then(Result::ok)
    }

    /// A service as a target.
    pub(super) fn target(self, id: ServiceId) -> Target {
        let name = self.name_of(id).expect("only identities found in this state are asked for").clone();
        Target::Service { id, name }
    }

    /// A target under its present name.
    pub(in crate::catalogue) fn present(self, target: &Target) -> Target {
        match target.service().filter(|id| self.name_of(*id).is_some()) {
            Some(id) => self.target(id),
            None => target.clone(),
        }
    }

    /// The service that a step of an alias stands for: the one that it led to, or, when that was deleted, one of the same name and version
    /// that was created since; `None` for a service of a peer.
    pub(in crate::catalogue) fn place_of(self, step: &Step) -> Option<ServiceId> {
        let id = step.target.service()?;
        let (Target::Service { name, .. }, Some(version), None) =
            (&step.target, step.deleted_version, self.name_of(id))
        else {
            return Some(id);
        };
        let is_again = |again: &ServiceId| self.served(*again).is_some_and(|serving| serving.digest == Some(version));
        Some(self.service_named(name).filter(is_again).unwrap_or(id))
    }

    /// The role that a service has in an alias, if any.
    fn role_of(self, alias: &AliasEntry, id: ServiceId) -> Option<&'static str> {
        let is = |share: Option<Share>| share.is_some_and(|share| share.service == id);
        if alias.target().service() == Some(id) {
            Some("target")
        } else if is(self.facts.canary_override(&alias.name)) || is(alias.canary) {
            Some("canary")
        } else {
            is(alias.shadow).then_some("shadow")
        }
    }

    /// Checks that no alias leads to a service.
    pub(in crate::catalogue) fn check_unaliased(self, id: ServiceId) -> Result<()> {
        match self.state.aliases().find_map(|alias| Some((&alias.name, self.role_of(alias, id)?))) {
            Some((alias, role)) => Err(Error::AliasConflict(format!("this service is the {role} of alias {alias}"))),
            None => Ok(()),
        }
    }

    /// Checks that no other alias leads to this service, which is about to leave memory.
    pub(in crate::catalogue) fn check_alone(self, name: &ServiceName, id: ServiceId) -> Result<()> {
        let mut others = self.state.aliases().filter(|alias| alias.name != *name);
        match others.find_map(|alias| Some((&alias.name, self.role_of(alias, id)?))) {
            None => Ok(()),
            Some((other, role)) => {
                let text = format!("it is the {role} of alias {other} too, which would have no network");
                Err(Error::AliasConflict(text))
            }
        }
    }

    /// The service of this very name, where an alias may point to it.
    pub(super) fn pointable(self, name: &str) -> Result<ServiceId> {
        let missing = || Error::ServiceNotFound(name.to_owned());
        let parsed = ServiceName::parse(name).map_err(|_| missing())?;
        if self.state.alias(&parsed).is_some() {
            return Err(Error::AliasConflict(format!("{parsed} is an alias; an alias points to a service")));
        }
        let id = self.service_named(&parsed).ok_or_else(missing)?;
        self.check_pointable(id)?;
        self.check_loaded(id)?;
        Ok(id)
    }

    /// Checks that an alias may point to a service.
    pub(in crate::catalogue) fn check_pointable(self, id: ServiceId) -> Result<()> {
        match self.name_of(id) {
            None => Err(Error::AliasConflict("the service is not there any more".into())),
            Some(name) if self.facts.is_being_deleted(id) => {
                Err(Error::AliasConflict(format!("{name} is being deleted")))
            }
            Some(_) => Ok(()),
        }
    }

    /// Checks that a service is not one that gave up its memory: such a service cannot answer.
    pub(super) fn check_loaded(self, id: ServiceId) -> Result<()> {
        match self.state.service(id) {
            Some(entry) if entry.unloaded && self.facts.is_built(id) => Err(Error::NotLoaded(entry.name.to_string())),
            Some(_) | None => Ok(()),
        }
    }

    /// Checks that a service is the version that was proved.
    pub(in crate::catalogue) fn check_version(self, id: ServiceId, expected: Option<&str>) -> Result<()> {
        let (Some(expected), Some(name)) = (expected, self.name_of(id)) else { return Ok(()) };
        let found = match self.facts.serving(id) {
            None => return Ok(()),
            Some(Ok(serving)) => serving.version,
            Some(Err(_)) if expected == NO_VERSION => return Ok(()),
            Some(Err(reason)) => return Err(Error::AliasConflict(format!("{name} cannot answer: {reason}"))),
        };
        if *found == *expected {
            return Ok(());
        }
        Err(Error::AliasConflict(format!("expected version {expected} of {name}, found {found}")))
    }

    /// Refuses to change an alias while a rollback loads its former network: a change answered with success would be overruled.
    pub(in crate::catalogue) fn check_not_returning(self, name: &ServiceName) -> Result<()> {
        if self.facts.is_returning(name) {
            let text =
                format!("{name} is on its way back to another network, which is being loaded; ask again shortly");
            return Err(Error::AliasConflict(text));
        }
        Ok(())
    }

    /// Refuses to change an alias while the move that pointed it to its target is being undone: a change answered with success would be
    /// overruled.
    pub(in crate::catalogue) fn check_not_undone(self, name: &ServiceName) -> Result<()> {
        let by = self.state.alias(name).and_then(|alias| alias.present().by);
        match by.filter(|by| self.facts.is_being_undone(*by)) {
            None => Ok(()),
            Some(by) => {
                Err(Error::AliasConflict(format!("{name} goes back, as move {by} is being undone; ask again shortly")))
            }
        }
    }

    pub(super) fn check_expected(self, name: &ServiceName, expected: &Expected) -> Result<()> {
        let found = match self.state.alias(name) {
            Some(alias) => Some(self.present(alias.target())),
            None => self.service_named(name).map(|id| self.target(id)),
        };
        let (holds, wanted) = match expected {
            Expected::Generation(wanted) => return self.check_generation(name, *wanted),
            Expected::Service(id) => {
                let wanted = self.name_of(*id).map_or_else(|| "a service that is gone".to_owned(), ToString::to_string);
                (found.as_ref().and_then(Target::service) == Some(*id), wanted)
            }
            Expected::Shown(wanted) => (found.as_ref().is_some_and(|found| found.is_written(wanted)), wanted.clone()),
        };
        if holds {
            return Ok(());
        }
        let found = found.map_or_else(|| "nothing".to_owned(), |found| found.to_string());
        Err(Error::AliasConflict(format!("expected {name} to point to {wanted}, found {found}")))
    }

    fn check_generation(self, name: &ServiceName, wanted: u64) -> Result<()> {
        let generation = self.state.alias(name).map_or(0, |alias| alias.generation);
        if generation == wanted {
            return Ok(());
        }
        Err(Error::AliasConflict(format!("expected generation {wanted} of {name}, found {generation}")))
    }
}
