//! How aliases change: pure functions from snapshot to snapshot, or a reason why not.

use dede_model::error::{Error, Result};

use super::alias::{Alias, Route, Share, Step, Target};
use super::request::{Expected, Wanted};
use super::snapshot::Snapshot;
use crate::name::ServiceName;
use crate::service::{NO_VERSION, Service, ServiceId};

impl Snapshot {
    /// Points an alias somewhere, creates it, or puts it in the place of a service.
    pub(super) fn with_route(&self, name: ServiceName, wanted: Wanted) -> Result<Self> {
        for expected in &wanted.expect {
            self.check_expected(&name, expected)?;
        }
        let Wanted { target, canary, shadow, takeover, by, .. } = wanted;
        let route = Route { target, canary, shadow, by };
        if let Some(alias) = self.alias(&name) {
            return self.with_alias_on(alias, route);
        }
        if self.is_unbuildable(&name) {
            return Err(Error::ServiceExists(format!("{name}, which this server cannot build")));
        }
        let Some(service) = self.services.get(&name) else {
            let alias = Alias::new(name, route.target.clone(), route.by);
            return self.with_alias_on(&alias, route);
        };
        if !takeover {
            let text = format!("{name} is a service; takeover:true renames it and puts the alias in its place");
            return Err(Error::AliasConflict(text));
        }
        let id = service.id;
        let moved = self.with_rename(&name, self.name_after_takeover(&name, service)?)?;
        let former = Alias::new(name, moved.target(id), None);
        // Renaming may have changed how the target is called.
        let target = route.target.service().map_or(route.target, |id| moved.target(id));
        moved.with_alias_on(&former, Route { target, ..route })
    }

    /// Gives an alias another canary, or none; everything else stays.
    pub(super) fn with_canary(
        &self,
        name: &ServiceName,
        canary: Option<Share>,
        expect: Option<&Expected>,
    ) -> Result<Self> {
        let alias = self.expected_alias(name, expect)?;
        self.with_alias_on(alias, Route { target: alias.target().clone(), canary, shadow: alias.shadow, by: None })
    }

    /// Gives an alias another shadow, or none; everything else stays.
    pub(super) fn with_shadow(
        &self,
        name: &ServiceName,
        shadow: Option<Share>,
        expect: Option<&Expected>,
    ) -> Result<Self> {
        let alias = self.expected_alias(name, expect)?;
        self.with_alias_on(alias, Route { target: alias.target().clone(), canary: alias.canary, shadow, by: None })
    }

    /// Points an alias to what it pointed to before, alone.
    pub(super) fn with_rollback(&self, name: &ServiceName, expect: Option<&Expected>) -> Result<Self> {
        let alias = self.expected_alias(name, expect)?;
        let step = alias.previous().ok_or_else(|| {
            Error::AliasConflict(format!("{name} has pointed to one service only: nothing to go back to"))
        })?;
        let target = match self.place_of(step) {
            None => step.target.clone(),
            Some(id) if self.check_pointable(id).is_ok() => {
                self.check_loaded(id)?;
                self.target(id)
            }
            Some(_) => {
                let text = format!("{name} pointed to {} before, which is not there any more", step.target);
                return Err(Error::AliasConflict(text));
            }
        };
        self.with_alias_on(alias, Route { target, canary: None, shadow: None, by: None })
    }

    /// Points an alias from one service to another, which it pointed to before, alone.
    pub(super) fn with_return(&self, name: &ServiceName, from: ServiceId, to: ServiceId) -> Result<Self> {
        self.check_expected(name, &Expected::Service(from))?;
        let alias = self.expected_alias(name, None)?;
        self.check_pointable(to)?;
        self.check_loaded(to)?;
        self.with_alias_on(alias, Route { target: self.target(to), canary: None, shadow: None, by: None })
    }

    /// The service that a step of an alias stands for: the one that it led to, or, when that was deleted, one of the same name and
    /// version that was created since; `None` for a service of a peer.
    pub fn place_of(&self, step: &Step) -> Option<ServiceId> {
        let id = step.target.service()?;
        let (Target::Service { name, .. }, Some(version), false) =
            (&step.target, step.deleted_version, self.names.contains_key(&id))
        else {
            return Some(id);
        };
        let again = self.services.get(name);
        let again = again.filter(|service| service.serving().is_ok_and(|serving| serving.digest == Some(version)));
        Some(again.map_or(id, |service| service.id))
    }

    /// Undoes a takeover: the alias goes, and the service it points to has its name again.
    pub(super) fn with_name_given_back(&self, name: &ServiceName, expect: Option<&Expected>) -> Result<Self> {
        let alias = self.expected_alias(name, expect)?;
        let target = alias.target();
        let service = target.service().and_then(|id| self.names.get(&id)).ok_or_else(|| {
            Error::AliasConflict(format!("{name} points to {target}, which is no service of this server"))
        })?;
        self.without_alias(name)?.with_rename(service, name.clone())
    }

    pub(super) fn without_alias(&self, name: &ServiceName) -> Result<Self> {
        let mut next = self.clone();
        match next.aliases.remove(name) {
            Some(_) => Ok(next),
            None => Err(Error::AliasNotFound(name.to_string())),
        }
    }

    fn with_alias_on(&self, alias: &Alias, route: Route) -> Result<Self> {
        let target = route.target.service();
        if route.canary.is_some_and(|canary| Some(canary.service) == target) {
            return Err(Error::bad_parameter_at("canary.service", "the alias points to this service already"));
        }
        if route.shadow.is_some() && target.is_none() {
            return Err(Error::bad_parameter_at("shadow", "answers of a peer cannot be compared"));
        }
        for share in [route.canary, route.shadow].into_iter().flatten() {
            self.check_pointable(share.service)?;
        }
        Ok(self.clone().with(alias.on(route)))
    }

    fn expected_alias(&self, name: &ServiceName, expect: Option<&Expected>) -> Result<&Alias> {
        let alias = self.alias(name).ok_or_else(|| Error::AliasNotFound(name.to_string()))?;
        if let Some(expected) = expect {
            self.check_expected(name, expected)?;
        }
        Ok(alias)
    }

    pub(super) fn check_expected(&self, name: &ServiceName, expected: &Expected) -> Result<()> {
        let found = match self.alias(name) {
            Some(alias) => Some(self.present(alias.target())),
            None => self.services.get(name).map(|service| self.target(service.id)),
        };
        let (holds, wanted) = match expected {
            Expected::Generation(wanted) => {
                let generation = self.alias(name).map_or(0, |alias| alias.generation);
                if generation == *wanted {
                    return Ok(());
                }
                let text = format!("expected generation {wanted} of {name}, found {generation}");
                return Err(Error::AliasConflict(text));
            }
            Expected::Service(id) => {
                let wanted =
                    self.names.get(id).map_or_else(|| "a service that is gone".to_owned(), ToString::to_string);
                (found.as_ref().and_then(Target::service) == Some(*id), wanted)
            }
            Expected::Shown(wanted) => (found.as_ref().is_some_and(|found| shown_as(found, wanted)), wanted.clone()),
        };
        if holds {
            return Ok(());
        }
        let found = found.map_or_else(|| "nothing".to_owned(), |found| found.to_string());
        Err(Error::AliasConflict(format!("expected {name} to point to {wanted}, found {found}")))
    }

    /// `service1-<first 8 of its digest>`, with a number when that is taken too.
    fn name_after_takeover(&self, name: &ServiceName, service: &Service) -> Result<ServiceName> {
        let digest = service.serving().ok().and_then(|serving| serving.digest);
        let suffix = digest.map_or_else(|| "untrained".to_owned(), |digest| digest.short());
        let plain = name.with_suffix(&suffix);
        let numbered = (2..u32::MAX).map(|number| name.with_suffix(&format!("{suffix}-{number}")));
        std::iter::once(plain.clone())
            .chain(numbered)
            .find(|candidate| !self.is_taken(candidate))
            .ok_or_else(|| Error::ServiceExists(plain.to_string()))
    }

    /// The service of this very name, where something may point to it.
    pub(super) fn pointable(&self, name: &str) -> Result<ServiceId> {
        let missing = || Error::ServiceNotFound(name.to_owned());
        let parsed = ServiceName::parse(name).map_err(|_| missing())?;
        if self.alias(&parsed).is_some() {
            return Err(Error::AliasConflict(format!("{parsed} is an alias; an alias points to a service")));
        }
        let id = self.services.get(&parsed).ok_or_else(missing)?.id;
        self.check_pointable(id)?;
        self.check_loaded(id)?;
        Ok(id)
    }

    /// A service that is not in memory cannot answer.
    fn check_loaded(&self, id: ServiceId) -> Result<()> {
        match self.names.get(&id) {
            Some(name) if self.unloaded.contains(&id) => Err(Error::NotLoaded(name.to_string())),
            _ => Ok(()),
        }
    }

    /// Checks that a service is the version that was proved.
    pub fn check_version(&self, id: ServiceId, expected: Option<&str>) -> Result<()> {
        let (Some(expected), Some(service)) = (expected, self.by_id(id)) else { return Ok(()) };
        let name = service.name();
        let found = match service.serving() {
            Ok(serving) => serving.version(),
            Err(_) if expected == NO_VERSION => return Ok(()),
            Err(reason) => return Err(Error::AliasConflict(format!("{name} cannot answer: {reason}"))),
        };
        if *found == *expected {
            return Ok(());
        }
        Err(Error::AliasConflict(format!("expected version {expected} of {name}, found {found}")))
    }

    /// Checks that an alias may point to a service.
    pub(super) fn check_pointable(&self, id: ServiceId) -> Result<()> {
        match self.names.get(&id) {
            None => Err(Error::AliasConflict("the service is not there any more".into())),
            Some(name) if self.deleting.contains(&id) => Err(Error::AliasConflict(format!("{name} is being deleted"))),
            Some(_) => Ok(()),
        }
    }

    /// A service of this snapshot as a target.
    pub(super) fn target(&self, id: ServiceId) -> Target {
        let name = self.names.get(&id).expect("only identities found in this snapshot are asked for").clone();
        Target::Service { id, name }
    }
}

/// Whether a request wrote this target; names of services are the same in upper case.
fn shown_as(target: &Target, written: &str) -> bool {
    let parsed = |name: &str| ServiceName::parse(name).ok();
    match target {
        Target::Service { name, .. } => parsed(written).as_ref() == Some(name),
        Target::Peer { peer, service } => written
            .split_once('/')
            .is_some_and(|(server, name)| server == peer.as_str() && parsed(name).as_ref() == Some(service)),
    }
}
