//! The catalogue as its documentation says it is, without a thought for how it is kept.

use std::collections::{BTreeMap, BTreeSet};

use dede_bundle::Digest;
use dede_model::error::{Error, Result};

use super::super::*;

/// Few names, for services and aliases alike, so that they meet.
pub(super) const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
/// A name by its place in the list.
pub(super) type Name = usize;
/// A canary or shadow by its identity, with its percentage.
type Portion = Option<(u64, u8)>;
/// The same by its name.
pub(super) type Part = Option<(Name, u8)>;

#[derive(Debug, Clone)]
pub(super) enum Operation {
    /// The second is the content of its network; 0: none.
    Create(Name, u8),
    Delete(Name),
    Rename(Name, Name),
    Set {
        alias: Name,
        service: Name,
        peer: bool,
        canary: Part,
        shadow: Part,
        expect: Expect,
        takeover: bool,
    },
    Switch {
        alias: Name,
        service: Name,
        shadow: Part,
        expect: Expect,
        takeover: bool,
        replaces: Option<Name>,
    },
    SetCanary(Name, Part, Expect),
    SetShadow(Name, Part, Expect),
    RollBack(Name, Expect),
    /// Without `from` and `generation`: the present ones.
    Return {
        alias: Name,
        from: Option<Name>,
        to: Name,
        generation: Option<u64>,
    },
    Exchange {
        alias: Name,
        from: Option<Name>,
        to: Name,
    },
    GiveNameBack(Name),
    DeleteAlias(Name),
    /// If it still points to the second, or without one.
    DeleteAliasOf(Name, Option<Name>),
    /// Changes of aliases, all or none.
    Together(Vec<Operation>),
    /// A deletion of the service begins, or is given up.
    Hold(Name),
    /// A rollback of the alias begins, or ends.
    Busy(Name),
    /// The state is recorded and read again.
    Restart,
}

impl Operation {
    /// The alias that a change names, where there is something to be changed.
    fn alias(&self, model: &Model) -> Option<Name> {
        match self {
            Self::Set { alias, .. }
            | Self::SetCanary(alias, ..)
            | Self::SetShadow(alias, ..)
            | Self::RollBack(alias, _)
            | Self::GiveNameBack(alias)
            | Self::DeleteAlias(alias) => Some(*alias),
            Self::Switch { alias, service, .. } => model.id(*service).map(|_| *alias),
            Self::Return { alias, from, to, .. } | Self::Exchange { alias, from, to } => {
                model.target(*alias, *from).and(model.id(*to)).map(|_| *alias)
            }
            Self::DeleteAliasOf(alias, target) => model.target(*alias, *target).map(|_| *alias),
            Self::Create(..)
            | Self::Delete(_)
            | Self::Rename(..)
            | Self::Together(_)
            | Self::Hold(_)
            | Self::Busy(_)
            | Self::Restart => None,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum Expect {
    Anything,
    Generation(u64),
    Shown(Name),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Here(u64),
    Peer(String),
}

/// Generation, steps with the generations they began, canary, shadow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ModelAlias {
    pub(super) generation: u64,
    pub(super) steps: Vec<(u64, Place)>,
    pub(super) canary: Portion,
    pub(super) shadow: Portion,
}

impl ModelAlias {
    fn new(place: Place) -> Self {
        Self { generation: 1, steps: vec![(1, place)], canary: None, shadow: None }
    }

    pub(super) fn target(&self) -> &Place {
        &self.steps.last().unwrap().1
    }

    fn leads_to(&self, id: u64) -> bool {
        let shares = self.canary.iter().chain(&self.shadow).any(|share| share.0 == id);
        shares || *self.target() == Place::Here(id)
    }

    fn route(&mut self, target: Place, canary: Portion, shadow: Portion) {
        if (self.target(), self.canary, self.shadow) == (&target, canary, shadow) {
            return;
        }
        self.generation += 1;
        if *self.target() != target {
            self.steps.push((self.generation, target));
        }
        (self.canary, self.shadow) = (canary, shadow);
    }
}

/// What is there, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) services: BTreeMap<String, (u64, bool)>,
    pub(super) aliases: BTreeMap<String, ModelAlias>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) shown: Shown,
    contents: BTreeMap<u64, u8>,
    /// Name and content of services that were deleted.
    deleted: BTreeMap<u64, (String, u8)>,
    held: BTreeSet<u64>,
    busy: BTreeSet<String>,
    pub(super) created: u64,
}

impl Model {
    pub(super) fn id(&self, name: Name) -> Option<u64> {
        self.shown.services.get(NAMES[name]).map(|service| service.0)
    }

    /// The present target of an alias, where nothing else is named.
    pub(super) fn target(&self, alias: Name, named: Option<Name>) -> Option<u64> {
        match (named, self.shown.aliases.get(NAMES[alias])?.target()) {
            (Some(name), _) => self.id(name),
            (None, Place::Here(id)) => Some(*id),
            (None, Place::Peer(_)) => None,
        }
    }

    pub(super) fn generation(&self, alias: Name) -> u64 {
        self.shown.aliases.get(NAMES[alias]).map_or(0, |alias| alias.generation)
    }

    fn is_taken(&self, name: &str) -> bool {
        self.shown.services.contains_key(name) || self.shown.aliases.contains_key(name)
    }

    fn name_of(&self, id: u64) -> Option<&String> {
        self.shown.services.iter().find(|(_, service)| service.0 == id).map(|(name, _)| name)
    }

    fn is_unloaded(&self, id: u64) -> bool {
        self.shown.services.values().any(|service| *service == (id, true))
    }

    fn set_unloaded(&mut self, id: u64, unloaded: bool) {
        self.shown.services.values_mut().filter(|service| service.0 == id).for_each(|service| service.1 = unloaded);
    }

    /// What a service answers with; 0: nothing.
    fn content(&self, id: u64) -> u8 {
        if self.is_unloaded(id) { 0 } else { self.contents[&id] }
    }

    /// Whether an alias may lead to a service.
    fn is_good(&self, id: u64) -> bool {
        self.name_of(id).is_some() && !self.held.contains(&id)
    }

    fn leads_to(&self, id: u64, but: Option<&str>) -> bool {
        self.shown.aliases.iter().any(|(name, alias)| Some(name.as_str()) != but && alias.leads_to(id))
    }

    fn meets(&self, name: &str, expect: &Expect) -> bool {
        let alias = self.shown.aliases.get(name);
        match expect {
            Expect::Anything => true,
            Expect::Generation(wanted) => alias.map_or(0, |alias| alias.generation) == *wanted,
            Expect::Shown(wanted) => match alias.map(ModelAlias::target) {
                Some(Place::Here(id)) => self.name_of(*id).is_some_and(|found| found == NAMES[*wanted]),
                Some(Place::Peer(_)) => false,
                None => self.shown.services.contains_key(name) && name == NAMES[*wanted],
            },
        }
    }

    fn rename(&mut self, from: &str, to: &str) -> bool {
        if from == to {
            return self.shown.services.contains_key(from);
        }
        if !self.shown.services.contains_key(from) || self.is_taken(to) {
            return false;
        }
        let service = self.shown.services.remove(from).unwrap();
        self.shown.services.insert(to.to_owned(), service);
        true
    }

    fn free_name(&self, name: &str, id: u64) -> String {
        let suffix = digest(self.content(id)).map_or_else(|| "untrained".to_owned(), |digest| digest.short());
        let plain = format!("{name}-{suffix}");
        let numbered = (2..).map(|number| format!("{plain}-{number}"));
        std::iter::once(plain.clone()).chain(numbered).find(|name| !self.is_taken(name)).unwrap()
    }

    /// Leads an alias somewhere else; whether that was possible.
    fn route(&mut self, name: &str, target: Place, canary: Portion, shadow: Portion) -> bool {
        let canary_is_target = canary.is_some_and(|canary| target == Place::Here(canary.0));
        let bad = canary.iter().chain(&shadow).any(|share| !self.is_good(share.0));
        if canary_is_target || bad || (shadow.is_some() && matches!(target, Place::Peer(_))) {
            return false;
        }
        let alias = self.shown.aliases.entry(name.to_owned()).or_insert_with(|| ModelAlias::new(target.clone()));
        alias.route(target, canary, shadow);
        true
    }

    /// The same, also for a name that is free or a service's.
    fn set(&mut self, name: &str, target: Place, (canary, shadow): (Portion, Portion), takeover: bool) -> bool {
        if let Some((id, _)) = self.shown.services.get(name).copied() {
            if !takeover {
                return false;
            }
            let free = self.free_name(name, id);
            self.rename(name, &free);
            self.shown.aliases.insert(name.to_owned(), ModelAlias::new(Place::Here(id)));
        }
        self.route(name, target, canary, shadow)
    }

    /// The service that a step stands for now.
    fn again(&self, id: u64) -> u64 {
        let Some((name, content)) = self.deleted.get(&id) else { return id };
        let named = self.shown.services.get(name).map(|service| service.0);
        named.filter(|named| *content != 0 && self.content(*named) == *content).unwrap_or(id)
    }

    /// By name, as a client names it: not one that is unloaded.
    fn named_part(&self, part: Part) -> Option<Portion> {
        let Some((name, percent)) = part else { return Some(None) };
        let id = self.id(name).filter(|id| self.is_good(*id) && !self.is_unloaded(*id))?;
        Some(Some((id, percent)))
    }

    /// By identity, as a move names it.
    pub(super) fn part(&self, part: Part) -> Portion {
        part.and_then(|(name, percent)| Some((self.id(name)?, percent)))
    }

    /// Identities are not given twice, and nothing else is left of an attempt.
    pub(super) fn after_refusal(self, attempt: Self) -> Self {
        Self { contents: attempt.contents, created: attempt.created, ..self }
    }

    /// Does it; whether it was possible. What was not possible changes nothing: the caller keeps a copy.
    pub(super) fn perform(&mut self, operation: &Operation) -> bool {
        let is_free = |model: &Self, alias: Name| !model.busy.contains(NAMES[alias]);
        match operation {
            Operation::Create(name, content) => {
                self.created += 1;
                let free = !self.is_taken(NAMES[*name]);
                self.contents.insert(self.created, *content);
                free && self.shown.services.insert(NAMES[*name].to_owned(), (self.created, false)).is_none()
            }
            Operation::Delete(name) => {
                let Some(id) = self.id(*name) else { return true };
                if self.leads_to(id, None) {
                    return false;
                }
                self.deleted.insert(id, (NAMES[*name].to_owned(), self.content(id)));
                self.shown.services.remove(NAMES[*name]).is_some()
            }
            Operation::Rename(from, to) => self.rename(NAMES[*from], NAMES[*to]),
            Operation::Set { alias, service, peer, canary, shadow, expect, takeover } => {
                let here = self.id(*service).filter(|id| self.is_good(*id) && !self.is_unloaded(*id));
                let peer = peer.then(|| Place::Peer(NAMES[*service].to_owned()));
                let (Some(target), Some(canary), Some(shadow)) =
                    (peer.or(here.map(Place::Here)), self.named_part(*canary), self.named_part(*shadow))
                else {
                    return false;
                };
                is_free(self, *alias)
                    && self.meets(NAMES[*alias], expect)
                    && self.set(NAMES[*alias], target, (canary, shadow), *takeover)
            }
            Operation::Switch { alias, service, shadow, expect, takeover, replaces } => {
                let Some(to) = self.id(*service) else { return true };
                let (former, shadow) = (replaces.and_then(|name| self.id(name)), self.part(*shadow));
                let alone = former.is_none_or(|former| !self.leads_to(former, Some(NAMES[*alias])));
                let possible = is_free(self, *alias)
                    && alone
                    && self.is_good(to)
                    && self.meets(NAMES[*alias], expect)
                    && self.set(NAMES[*alias], Place::Here(to), (None, shadow), *takeover);
                self.set_unloaded(to, false);
                former.into_iter().for_each(|former| self.set_unloaded(former, true));
                possible
            }
            Operation::SetCanary(alias, part, expect) => {
                let (name, canary) = (NAMES[*alias], self.part(*part));
                let Some(found) = self.shown.aliases.get(name).cloned() else { return false };
                is_free(self, *alias)
                    && self.meets(name, expect)
                    && self.route(name, found.target().clone(), canary, found.shadow)
            }
            Operation::SetShadow(alias, part, expect) => {
                let (name, shadow) = (NAMES[*alias], self.part(*part));
                let Some(found) = self.shown.aliases.get(name).cloned() else { return false };
                is_free(self, *alias)
                    && self.meets(name, expect)
                    && self.route(name, found.target().clone(), found.canary, shadow)
            }
            Operation::RollBack(alias, expect) => {
                let Some(found) = self.shown.aliases.get(NAMES[*alias]) else { return false };
                let target = match found.steps.iter().rev().nth(1) {
                    None => return false,
                    Some((_, Place::Peer(peer))) => Place::Peer(peer.clone()),
                    Some((_, Place::Here(id))) => Place::Here(self.again(*id)),
                };
                let good = match target {
                    Place::Here(id) => self.is_good(id) && !self.is_unloaded(id),
                    Place::Peer(_) => true,
                };
                is_free(self, *alias)
                    && good
                    && self.meets(NAMES[*alias], expect)
                    && self.route(NAMES[*alias], target, None, None)
            }
            Operation::Return { alias, from, to, generation } => {
                let (Some(from), Some(to)) = (self.target(*alias, *from), self.id(*to)) else { return true };
                let Some(found) = self.shown.aliases.get(NAMES[*alias]) else { return false };
                let expected =
                    generation.is_none_or(|wanted| found.generation == wanted) && *found.target() == Place::Here(from);
                is_free(self, *alias)
                    && expected
                    && self.is_good(to)
                    && !self.is_unloaded(to)
                    && self.route(NAMES[*alias], Place::Here(to), None, None)
            }
            Operation::Exchange { alias, from, to } => {
                let (Some(from), Some(to)) = (self.target(*alias, *from), self.id(*to)) else { return true };
                let Some(found) = self.shown.aliases.get(NAMES[*alias]) else { return false };
                let possible = *found.target() == Place::Here(from)
                    && from != to
                    && !self.leads_to(from, Some(NAMES[*alias]))
                    && self.is_good(to);
                self.set_unloaded(to, false);
                self.set_unloaded(from, true);
                possible && self.route(NAMES[*alias], Place::Here(to), None, None)
            }
            Operation::GiveNameBack(alias) => {
                let Some(found) = self.shown.aliases.get(NAMES[*alias]).cloned() else { return false };
                let Place::Here(id) = found.target() else { return false };
                let Some(name) = self.name_of(*id).cloned() else { return false };
                self.shown.aliases.remove(NAMES[*alias]);
                self.rename(&name, NAMES[*alias])
            }
            Operation::DeleteAlias(alias) => {
                is_free(self, *alias) && self.shown.aliases.remove(NAMES[*alias]).is_some()
            }
            Operation::DeleteAliasOf(alias, target) => {
                let Some(id) = self.target(*alias, *target) else { return true };
                let points_there = |alias: &ModelAlias| *alias.target() == Place::Here(id);
                let points_there = self.shown.aliases.get(NAMES[*alias]).is_some_and(points_there);
                points_there && self.shown.aliases.remove(NAMES[*alias]).is_some()
            }
            Operation::Together(operations) => {
                let changes: Vec<(Name, &Operation)> =
                    operations.iter().filter_map(|operation| Some((operation.alias(self)?, operation))).collect();
                let named: BTreeSet<Name> = changes.iter().map(|(alias, _)| *alias).collect();
                named.len() == changes.len() && changes.iter().all(|(_, operation)| self.perform(operation))
            }
            Operation::Hold(name) => {
                if let Some(id) = self.id(*name).filter(|id| !self.leads_to(*id, None))
                    && !self.held.remove(&id)
                {
                    self.held.insert(id);
                }
                true
            }
            Operation::Busy(alias) => {
                let name = NAMES[*alias];
                if self.shown.aliases.contains_key(name) && !self.busy.remove(name) {
                    self.busy.insert(name.to_owned());
                }
                true
            }
            Operation::Restart => {
                self.held.clear();
                self.busy.clear();
                true
            }
        }
    }
}

fn digest(content: u8) -> Option<Digest> {
    (content != 0).then(|| Digest::of(&[content]))
}

/// What runs according to the model.
impl Facts for Model {
    fn serving(&self, service: ServiceId) -> Option<Result<Served>> {
        self.name_of(service.0)?;
        if self.is_unloaded(service.0) {
            return Some(Err(Error::NotLoaded("it gave up its memory".into())));
        }
        let digest = digest(self.content(service.0));
        let version = digest.map_or_else(|| "none".into(), |digest| digest.to_string().into());
        Some(Ok(Served { version, digest, listing: None }))
    }

    fn is_being_deleted(&self, service: ServiceId) -> bool {
        self.held.contains(&service.0)
    }

    fn is_returning(&self, alias: &ServiceName) -> bool {
        self.busy.contains(alias.as_str())
    }

    fn is_being_undone(&self, _: MoveId) -> bool {
        false
    }

    fn canary_override(&self, _: &ServiceName) -> Option<Share> {
        None
    }

    fn now_s(&self) -> u64 {
        7
    }
}
