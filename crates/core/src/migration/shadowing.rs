//! Live requests on both services of a move: who gets copies, what is compared, and what follows from it.
//!
//! Before the switch the new service shadows the former one, after it the former one shadows the new. It owns the alias's shadow
//! and canary for as long as it lives, and takes them away when it ends.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Surroundings;
use crate::catalogue::Share;
use crate::comparison::{Answered, Comparison, NoiseFloor, Observation, Policy, Summary, Verdict};
use crate::error::{Error, Result};
use crate::name::ServiceName;
use crate::outputs::Outputs;
use crate::percent::Percent;
use crate::service::{Service, ServiceId};
use crate::shadow::{self, ShadowObserver};

/// Requests that the former service answers twice, to know what it differs from itself by.
const NOISE_REQUESTS: u64 = 100;

/// What is known of the new service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing yet.
    Undecided,
    /// As the policy wants it.
    Safe,
    /// Not so, and why.
    Worse(String),
}

/// A comparison that goes on.
pub(super) struct Shadowing<'a> {
    surroundings: &'a Surroundings,
    alias: ServiceName,
    new: Arc<Service>,
    /// Requests that the new service could not answer by its own fault, before this began.
    faults_before: u64,
    dropped_before: u64,
    live: Arc<Live>,
}

/// What the shadow's thread adds to.
struct Live {
    new: ServiceId,
    policy: Policy,
    found: Mutex<Found>,
}

struct Found {
    comparison: Comparison,
    floor: NoiseFloor,
}

impl<'a> Shadowing<'a> {
    /// Listens to the alias's shadows. Nobody shadows yet.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`].
    pub(super) fn begin(
        surroundings: &'a Surroundings,
        alias: &ServiceName,
        former: &Arc<Service>,
        new: &Arc<Service>,
        policy: Policy,
    ) -> Result<Self> {
        let (old_labels, new_labels) = (former.serving()?.labels.clone(), new.serving()?.labels.clone());
        let found = Found {
            comparison: Comparison::new(policy.tolerance, &old_labels, &new_labels),
            floor: NoiseFloor::new(policy.tolerance, &old_labels),
        };
        let live = Arc::new(Live { new: new.id, policy, found: Mutex::new(found) });
        let observer: Arc<dyn ShadowObserver> = Arc::<Live>::clone(&live);
        surroundings.catalogue.observe_shadow(alias.as_str(), Some(observer))?;
        let mut shadowing = Self {
            surroundings,
            alias: alias.clone(),
            new: Arc::clone(new),
            faults_before: new.statistics.faults(),
            dropped_before: 0,
            live,
        };
        shadowing.dropped_before = shadowing.dropped();
        Ok(shadowing)
    }

    /// Whether the noise is known well enough.
    pub(super) fn knows_noise(&self) -> bool {
        self.live.found().floor.summary().requests >= NOISE_REQUESTS
    }

    /// Copies go to this service from now on: the new one before the switch, the former one after it, the target itself to learn its
    /// noise.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`].
    pub(super) fn copy_to(&self, service: &Arc<Service>) -> Result<()> {
        self.surroundings.catalogue.lend_shadow(self.alias.as_str(), Some(Arc::clone(service)))
    }

    /// The new service answers a share of the requests.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`].
    pub(super) fn set_canary(&self, percent: u8) -> Result<()> {
        let percent = Percent::new(percent).map_err(Error::Malformed)?;
        let share = Share { service: self.new.id, percent };
        self.surroundings.catalogue.lend_canary(self.alias.as_str(), Some(share))
    }

    /// What is known now.
    pub(super) fn outcome(&self) -> Outcome {
        let (faults, allowed) = (self.new.statistics.faults() - self.faults_before, self.live.policy.max_errors);
        if faults > allowed {
            return Outcome::Worse(format!("it failed on {faults} requests by its own fault, {allowed} allowed"));
        }
        match self.verdict() {
            Verdict::Undecided { .. } => Outcome::Undecided,
            Verdict::Safe { .. } => Outcome::Safe,
            Verdict::Worse { reason, .. } => Outcome::Worse(reason.to_string()),
        }
    }

    /// Whether it is surely worse.
    pub(super) fn is_worse(&self) -> bool {
        matches!(self.outcome(), Outcome::Worse(_))
    }

    /// Requests compared so far.
    pub(super) fn requests(&self) -> u64 {
        self.live.found().comparison.requests()
    }

    /// Requests that are compared at most.
    pub(super) fn wanted(&self) -> u64 {
        self.live.policy.requests
    }

    /// Figures and verdict, for the report.
    pub(super) fn report(&self) -> (Summary, Verdict) {
        let dropped = self.dropped().saturating_sub(self.dropped_before);
        let mut summary = self.live.found().comparison.summary();
        summary.dropped = dropped;
        (summary, self.verdict())
    }

    fn verdict(&self) -> Verdict {
        let found = self.live.found();
        let floor = (found.floor.summary().requests > 0).then_some(&found.floor);
        self.live.policy.judge(&found.comparison, floor)
    }

    fn dropped(&self) -> u64 {
        let snapshot = self.surroundings.catalogue.snapshot();
        snapshot.alias(&self.alias).map_or(0, |alias| alias.shadow_counts().dropped)
    }
}

impl Drop for Shadowing<'_> {
    fn drop(&mut self) {
        let catalogue = &self.surroundings.catalogue;
        if catalogue.snapshot().alias(&self.alias).is_none() {
            return;
        }
        let alias = self.alias.as_str();
        let cleared = catalogue
            .observe_shadow(alias, None)
            .and_then(|()| catalogue.lend_shadow(alias, None))
            .and_then(|()| catalogue.lend_canary(alias, None));
        if let Err(error) = cleared {
            tracing::warn!(alias = %self.alias, %error, "shadow or canary of a move not taken away");
        }
    }
}

impl Live {
    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ShadowObserver for Live {
    fn observe(&self, observation: &shadow::Observation<'_>) {
        let shadow::Observation { id, primary, shadowed, .. } = observation;
        let reason = shadowed.outputs.as_ref().err().map(Error::to_string).unwrap_or_default();
        let outcome: std::result::Result<&Outputs, &str> = shadowed.outputs.as_ref().map_err(|_| reason.as_str());
        // Latencies of a thread that gives way to clients say nothing about the model.
        let took = shadowed.undisturbed;
        let client = Answered { outcome: Ok(&primary.outputs), took: took.then_some(primary.took) };
        let nobody = Answered { outcome, took: took.then_some(shadowed.took) };
        let input = format!("request {id}");
        let mut found = self.found();
        if primary.service == shadowed.service {
            if primary.service != self.new {
                found.floor.add(Observation { input: &input, old: client, new: nobody });
            }
        } else if shadowed.service == self.new {
            found.comparison.add(Observation { input: &input, old: client, new: nobody });
        } else {
            found.comparison.add(Observation { input: &input, old: nobody, new: client });
        }
    }
}
