//! How aliases change: pure functions from state to state, or a reason why not.

use dede_model::error::{Error, Fault, Result};

use super::DesiredState;
use super::alias::{AliasEntry, Route, Share, Target};
use super::command::{AliasChange, AliasCommand, Expected, ShareChange, SwitchRequest};
use super::known::Known;
use crate::name::{PeerName, ServiceName};
use crate::percent::Percent;
use crate::service::ServiceId;

/// A requested route, with its names looked up.
struct Wanted {
    route: Route,
    expect: Vec<Expected>,
    takeover: bool,
}

impl Known<'_> {
    pub(super) fn with_alias_command(self, name: &ServiceName, command: &AliasCommand) -> Result<DesiredState> {
        match command {
            AliasCommand::Set(change) => {
                self.check_free(name)?;
                self.with_route(name, self.wanted_by_client(change)?)
            }
            AliasCommand::Switch(request) => {
                self.check_free(name)?;
                self.with_switch(name, request)
            }
            AliasCommand::SetCanary { canary, expect } => {
                self.check_free(name)?;
                let alias = self.expected_alias(name, expect.as_ref())?;
                self.with_alias_on(alias, Route { canary: *canary, ..alias.route() })
            }
            AliasCommand::SetShadow { shadow, expect } => {
                self.check_free(name)?;
                let alias = self.expected_alias(name, expect.as_ref())?;
                self.with_alias_on(alias, Route { shadow: *shadow, ..alias.route() })
            }
            AliasCommand::RollBack { expect } => {
                self.check_free(name)?;
                self.with_rollback(name, expect.as_ref())
            }
            AliasCommand::Return { generation, from, to, version } => {
                self.check_not_returning(name)?;
                self.check_expected(name, &Expected::Generation(*generation))?;
                self.check_version(*to, version.as_deref())?;
                self.with_return(name, *from, *to)
            }
            AliasCommand::Exchange { expect, from, to } => self.with_exchange(name, expect.as_ref(), (*from, *to)),
            AliasCommand::GiveNameBack { expect } => self.with_name_given_back(name, expect.as_ref()),
            AliasCommand::Delete => {
                self.check_free(name)?;
                self.without_alias(name)
            }
            AliasCommand::DeleteOf(target) => {
                self.check_expected(name, &Expected::Service(*target))?;
                self.without_alias(name)
            }
        }
    }

    /// Checks that nothing is on its way that would overrule a change.
    pub(in crate::catalogue) fn check_free(self, name: &ServiceName) -> Result<()> {
        self.check_not_returning(name)?;
        self.check_not_undone(name)
    }

    fn with_switch(self, name: &ServiceName, request: &SwitchRequest) -> Result<DesiredState> {
        let (former, new) = (request.replaces_in_memory, request.to);
        former.map_or(Ok(()), |former| self.check_alone(name, former))?;
        let mut next = self.with_route(name, self.wanted_by_move(request)?)?;
        // A restart must load the new target, also where no service gave up its memory for it.
        next.set_unloaded(new, false);
        if let Some(former) = former {
            next.set_unloaded(former, true);
        }
        Ok(next)
    }

    /// Points an alias somewhere, creates it, or puts it in the place of a service.
    fn with_route(self, name: &ServiceName, wanted: Wanted) -> Result<DesiredState> {
        for expected in &wanted.expect {
            self.check_expected(name, expected)?;
        }
        let Wanted { route, takeover, .. } = wanted;
        if let Some(alias) = self.state.alias(name) {
            return self.with_alias_on(alias, route);
        }
        let Some(entry) = self.state.service_named(name) else {
            let alias = AliasEntry::new(name.clone(), route.target.clone(), route.by, self.facts.now_s());
            return self.with_alias_on(&alias, route);
        };
        let id = entry.id;
        if !self.facts.is_built(id) {
            return Err(Error::ServiceExists(format!("{name}, which this server cannot build")));
        }
        if !takeover {
            let text = format!("{name} is a service; takeover:true renames it and puts the alias in its place");
            return Err(Error::AliasConflict(text));
        }
        let renamed = self.with_rename(name, &self.name_after_takeover(name, id)?)?;
        let moved = Known { state: &renamed, facts: self.facts };
        let former = AliasEntry::new(name.clone(), moved.target(id), None, self.facts.now_s());
        // Renaming may have changed how the target is called.
        let target = route.target.service().map_or(route.target, |id| moved.target(id));
        moved.with_alias_on(&former, Route { target, ..route })
    }

    /// Points an alias to what it pointed to before, alone.
    fn with_rollback(self, name: &ServiceName, expect: Option<&Expected>) -> Result<DesiredState> {
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
        self.with_alias_on(alias, Route::to(target))
    }

    /// Points an alias from one service to another, which it pointed to before, alone.
    fn with_return(self, name: &ServiceName, from: ServiceId, to: ServiceId) -> Result<DesiredState> {
        self.check_expected(name, &Expected::Service(from))?;
        let alias = self.expected_alias(name, None)?;
        self.check_pointable(to)?;
        self.check_loaded(to)?;
        self.with_alias_on(alias, Route::to(self.target(to)))
    }

    /// Rolls back to a service that is loaded in place of the present one.
    fn with_exchange(
        self,
        name: &ServiceName,
        expect: Option<&Expected>,
        (from, to): (ServiceId, ServiceId),
    ) -> Result<DesiredState> {
        expect.map_or(Ok(()), |expected| self.check_expected(name, expected))?;
        self.check_alone(name, from)?;
        let mut exchanged = self.state.clone();
        exchanged.set_unloaded(to, false);
        exchanged.set_unloaded(from, true);
        Known { state: &exchanged, facts: self.facts }.with_return(name, from, to)
    }

    /// Undoes a takeover: the alias goes, and the service it points to has its name again.
    fn with_name_given_back(self, name: &ServiceName, expect: Option<&Expected>) -> Result<DesiredState> {
        let alias = self.expected_alias(name, expect)?;
        let target = alias.target();
        let service = target.service().and_then(|id| self.name_of(id)).ok_or_else(|| {
            Error::AliasConflict(format!("{name} points to {target}, which is no service of this server"))
        })?;
        let without = self.without_alias(name)?;
        Known { state: &without, facts: self.facts }.with_rename(service, name)
    }

    fn without_alias(self, name: &ServiceName) -> Result<DesiredState> {
        let mut next = self.state.clone();
        match next.aliases.remove(name) {
            Some(_) => Ok(next),
            None => Err(Error::AliasNotFound(name.to_string())),
        }
    }

    fn with_alias_on(self, alias: &AliasEntry, route: Route) -> Result<DesiredState> {
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
        Ok(self.state.clone().with_alias(alias.on(route, self.facts.now_s())))
    }

    fn expected_alias(&self, name: &ServiceName, expect: Option<&Expected>) -> Result<&AliasEntry> {
        let alias = self.state.alias(name).ok_or_else(|| Error::AliasNotFound(name.to_string()))?;
        if let Some(expected) = expect {
            self.check_expected(name, expected)?;
        }
        Ok(alias)
    }

    /// `service1-<first 8 of its digest>`, with a number when that is taken too.
    fn name_after_takeover(self, name: &ServiceName, id: ServiceId) -> Result<ServiceName> {
        let digest = self.served(id).and_then(|serving| serving.digest);
        let suffix = digest.map_or_else(|| "untrained".to_owned(), |digest| digest.short());
        let plain = name.with_suffix(&suffix);
        let numbered = (2..u32::MAX).map(|number| name.with_suffix(&format!("{suffix}-{number}")));
        std::iter::once(plain.clone())
            .chain(numbered)
            .find(|candidate| !self.state.is_taken(candidate))
            .ok_or_else(|| Error::ServiceExists(plain.to_string()))
    }

    /// Looks up the names that a client wrote.
    fn wanted_by_client(self, change: &AliasChange) -> Result<Wanted> {
        let target = match &change.peer {
            Some(peer) => Target::Peer { peer: PeerName::parse(peer)?, service: ServiceName::parse(&change.service)? },
            None => self.target(self.pointable(&change.service)?),
        };
        let route = Route {
            target,
            canary: self.share(change.canary.as_ref(), "canary.service")?,
            shadow: self.share(change.shadow.as_ref(), "shadow.service")?,
            by: None,
        };
        let shown = change.expect.clone().map(Expected::Shown);
        let expect = shown.into_iter().chain(change.expect_generation.map(Expected::Generation)).collect();
        Ok(Wanted { route, expect, takeover: change.takeover })
    }

    /// The same of a typed request.
    fn wanted_by_move(self, request: &SwitchRequest) -> Result<Wanted> {
        self.check_pointable(request.to)?;
        self.check_version(request.to, request.version.as_deref())?;
        let SwitchRequest { canary, shadow, by, .. } = *request;
        let route = Route { target: self.target(request.to), canary, shadow, by };
        Ok(Wanted { route, expect: request.expect.clone(), takeover: request.takeover })
    }

    fn share(self, asked: Option<&ShareChange>, at: &str) -> Result<Option<Share>> {
        let Some(asked) = asked else { return Ok(None) };
        if !ServiceName::parse(&asked.service).is_ok_and(|name| self.state.is_taken(&name)) {
            return Err(Error::bad_parameter_at(at, format!("no service {}", asked.service)));
        }
        let service = self.pointable(&asked.service)?;
        let percent = Percent::new(asked.percent).map_err(|fault| Error::Malformed(Fault::at(at, fault.reason)))?;
        Ok(Some(Share { service, percent }))
    }
}
