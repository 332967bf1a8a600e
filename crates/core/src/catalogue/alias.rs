//! An alias: a stable name that clients predict under, and where it pointed when.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::name::ServiceName;
use crate::service::ServiceId;

/// Steps of history that are kept.
const KEPT_STEPS: usize = 100;

/// Where a name points. The history is never empty: its last step is the present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    /// The stable name.
    pub name: ServiceName,
    /// Grows by one each time the alias is pointed anywhere.
    pub generation: u64,
    /// Oldest first.
    pub history: Vec<Step>,
}

/// One step of an alias.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The generation it began.
    pub generation: u64,
    /// The target, which keeps its identity when it is renamed.
    pub service: ServiceId,
    /// The target's name then.
    pub name: ServiceName,
    /// When, in seconds since 1970.
    pub at_s: u64,
}

impl Alias {
    /// A new alias on a service.
    pub(super) fn new(name: ServiceName, service: ServiceId, target: ServiceName) -> Self {
        let first = Step { generation: 1, service, name: target, at_s: now_s() };
        Self { name, generation: 1, history: vec![first] }
    }

    /// The target now.
    pub fn service(&self) -> ServiceId {
        // The invariant of the type; a record without history would point nowhere.
        self.history.last().map_or(ServiceId(0), |step| step.service)
    }

    /// The target before the present one.
    pub(super) fn previous(&self) -> Option<&Step> {
        self.history.iter().rev().nth(1)
    }

    /// Pointed to another service.
    pub(super) fn pointed(&self, service: ServiceId, target: ServiceName) -> Self {
        let mut next = self.clone();
        next.generation += 1;
        next.history.push(Step { generation: next.generation, service, name: target, at_s: now_s() });
        if next.history.len() > KEPT_STEPS {
            next.history.remove(0);
        }
        next
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
