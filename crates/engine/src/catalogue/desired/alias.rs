//! An alias as data: a stable name that clients predict under, the target it points to, and the history of its targets.

use std::fmt;

use dede_bundle::Digest;
use serde::{Deserialize, Serialize};

use crate::move_id::MoveId;
use crate::name::{PeerName, ServiceName};
use crate::percent::Percent;
use crate::service::ServiceId;

/// Steps of history that are kept.
const KEPT_STEPS: usize = 100;

/// Where a name points. The history is never empty: its last step is the present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasEntry {
    /// The stable name.
    pub name: ServiceName,
    /// Grows by one each time the target, the canary or the shadow changes.
    pub generation: u64,
    /// Oldest first.
    pub history: Vec<Step>,
    /// The service that answers a share of the requests.
    pub canary: Option<Share>,
    /// The service that gets copies of a share of the requests.
    pub shadow: Option<Share>,
}

/// One step of an alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The generation it began.
    pub generation: u64,
    /// Where it pointed.
    pub target: Target,
    /// When, in seconds since 1970.
    pub at_s: u64,
    /// The move that pointed it there, if one did.
    pub by: Option<MoveId>,
    /// Version of that service when it was deleted; unknown while it is there.
    pub deleted_version: Option<Digest>,
}

/// What an alias can point to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A service of this server.
    Service {
        /// Stays when the service is renamed.
        id: ServiceId,
        /// The name it had then.
        name: ServiceName,
    },
    /// A service of another server, which requests are forwarded to.
    Peer {
        /// The server, by its name in the configuration.
        peer: PeerName,
        /// The name of the service there.
        service: ServiceName,
    },
}

/// A service of this server and its share of an alias's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// The service.
    pub service: ServiceId,
    /// Its share.
    pub percent: Percent,
}

impl Target {
    /// The service, where it is one of this server.
    pub fn service(&self) -> Option<ServiceId> {
        match self {
            Self::Service { id, .. } => Some(*id),
            Self::Peer { .. } => None,
        }
    }

    /// Whether both are the same target, whatever the service is called now.
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Service { id, .. }, Self::Service { id: others, .. }) => id == others,
            (Self::Peer { .. }, Self::Peer { .. }) => self == other,
            (Self::Service { .. }, Self::Peer { .. }) | (Self::Peer { .. }, Self::Service { .. }) => false,
        }
    }

    /// Whether a client wrote this target; names of services are the same in upper case.
    pub(super) fn is_written(&self, written: &str) -> bool {
        let parsed = |name: &str| ServiceName::parse(name).ok();
        match self {
            Self::Service { name, .. } => parsed(written).as_ref() == Some(name),
            Self::Peer { peer, service } => written
                .split_once('/')
                .is_some_and(|(server, name)| server == peer.as_str() && parsed(name).as_ref() == Some(service)),
        }
    }
}

/// As `expect` of a request writes it: `service`, or `peer/service`.
impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service { name, .. } => name.fmt(formatter),
            Self::Peer { peer, service } => write!(formatter, "{peer}/{service}"),
        }
    }
}

/// All that a change of an alias may set.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) target: Target,
    pub(super) canary: Option<Share>,
    pub(super) shadow: Option<Share>,
    pub(super) by: Option<MoveId>,
}

impl Route {
    /// To one target alone.
    pub(super) fn to(target: Target) -> Self {
        Self { target, canary: None, shadow: None, by: None }
    }
}

impl AliasEntry {
    /// A new alias, on one target alone; `by`: the move that made it, if one did.
    pub(super) fn new(name: ServiceName, target: Target, by: Option<MoveId>, now_s: u64) -> Self {
        let history = vec![Step { generation: 1, target, at_s: now_s, by, deleted_version: None }];
        Self { name, generation: 1, history, canary: None, shadow: None }
    }

    /// The target now.
    pub fn target(&self) -> &Target {
        &self.present().target
    }

    /// Its route, to be changed by something other than a move.
    pub(super) fn route(&self) -> Route {
        Route { target: self.target().clone(), canary: self.canary, shadow: self.shadow, by: None }
    }

    /// Whether this is a later state of the same alias, not one that was made again under its name.
    pub(in crate::catalogue) fn continues(&self, earlier: &Self) -> bool {
        let of_earlier = earlier.present();
        let is_same = |step: &Step| step.generation == of_earlier.generation && step.at_s == of_earlier.at_s;
        self.generation >= earlier.generation && self.history.iter().any(is_same)
    }

    /// The step before the present one.
    pub fn previous(&self) -> Option<&Step> {
        self.history.iter().rev().nth(1)
    }

    /// The step of now.
    pub fn present(&self) -> &Step {
        self.history.last().expect("the history of an alias is never empty")
    }

    /// Whether a move ever pointed it somewhere, as far as its history reaches.
    pub fn was_pointed_by(&self, by: MoveId) -> bool {
        self.history.iter().any(|step| step.by == Some(by))
    }

    pub(super) fn pointed_to(&self, id: ServiceId) -> bool {
        self.history.iter().any(|step| step.target.service() == Some(id))
    }

    /// The same alias; its history keeps the last name and version of a service that is deleted.
    pub(super) fn after_deletion(&self, id: ServiceId, name: &ServiceName, version: Option<Digest>) -> Self {
        let mut next = self.clone();
        for step in next.history.iter_mut().filter(|step| step.target.service() == Some(id)) {
            step.target = Target::Service { id, name: name.clone() };
            step.deleted_version = version;
        }
        next
    }

    /// The alias on another route: one generation more, unless it is the same route.
    pub(super) fn on(&self, route: Route, now_s: u64) -> Self {
        let mut next = self.clone();
        let moves = !self.target().is(&route.target);
        if !moves && self.canary == route.canary && self.shadow == route.shadow {
            return next;
        }
        next.generation += 1;
        next.canary = route.canary;
        next.shadow = route.shadow;
        if moves {
            let Route { target, by, .. } = route;
            next.history.push(Step { generation: next.generation, target, at_s: now_s, by, deleted_version: None });
        }
        if next.history.len() > KEPT_STEPS {
            next.history.remove(0);
        }
        next
    }
}
