//! What live requests on both services of a move show: their answers are compared as the shadow's thread brings them.
//!
//! It must not know which phase the move is in, nor who gets copies.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dede_comparison::{Answered, Comparison, NoiseFloor, Observation, Policy, Summary, Verdict};
use dede_engine::catalogue::Alias;
use dede_engine::service::{Service, ServiceId};
use dede_engine::shadow::{self, ShadowObserver};
use dede_model::error::{Error, Result};
use dede_model::outputs::Outputs;

/// What is known of the new service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing yet.
    Undecided,
    /// As the policy wants it.
    Safe,
    /// Not so, and why.
    Worse(String),
}

/// What the shadow's thread adds to.
pub(crate) struct Live {
    /// The alias whose requests are compared.
    alias: Alias,
    former: Arc<Service>,
    new: Arc<Service>,
    policy: Policy,
    /// Requests that found the queues full before this began: of the former service when the move began.
    full_before: FullQueues,
    found: Mutex<Found>,
}

/// Requests that found all places of a service taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FullQueues {
    former: u64,
    new: u64,
}

struct Found {
    comparison: Comparison,
    floor: NoiseFloor,
}

impl Live {
    /// Compares the answers of two services from now on. `full_before`: requests that found the former service's queue full
    /// before the move began.
    ///
    /// # Errors
    /// That of a service without a network.
    pub(crate) fn new(
        alias: Alias,
        (former, new): (&Arc<Service>, &Arc<Service>),
        policy: Policy,
        full_before: u64,
    ) -> Result<Self> {
        let (old_labels, new_labels) = (former.serving()?.labels.clone(), new.serving()?.labels.clone());
        let found = Found {
            comparison: Comparison::new(policy.tolerance, &old_labels, &new_labels),
            floor: NoiseFloor::new(policy.tolerance, &old_labels),
        };
        let full_before = FullQueues { former: full_before, new: new.queue.refused() };
        let (former, new) = (Arc::clone(former), Arc::clone(new));
        Ok(Self { alias, former, new, policy, full_before, found: Mutex::new(found) })
    }

    /// The service that the move brought.
    pub(crate) fn new_service(&self) -> ServiceId {
        self.new.id
    }

    /// Requests that the former service answered twice so far.
    pub(crate) fn noise_requests(&self) -> u64 {
        self.found().floor.summary().requests
    }

    /// Requests compared so far.
    pub(crate) fn requests(&self) -> u64 {
        self.found().comparison.requests()
    }

    /// Requests that are compared at most.
    pub(crate) fn wanted(&self) -> u64 {
        self.policy.requests
    }

    /// Figures of the comparison and the verdict on just these figures.
    pub(crate) fn figures(&self) -> (Summary, Verdict) {
        let found = self.found();
        (found.comparison.summary(), self.verdict(&found))
    }

    /// The alias whose requests are compared, as it was when that began.
    pub(crate) fn alias(&self) -> &Alias {
        &self.alias
    }

    /// What is known now.
    pub(crate) fn outcome(&self) -> Outcome {
        let verdict = self.verdict(&self.found());
        self.outcome_of(&verdict)
    }

    /// What follows from a verdict, and from queues that were full.
    pub(crate) fn outcome_of(&self, verdict: &Verdict) -> Outcome {
        match verdict {
            Verdict::Worse { reason, .. } => Outcome::Worse(reason.to_string()),
            _ if self.is_overrun() => {
                Outcome::Worse("its queue was full, and the former service's never was during this move".into())
            }
            Verdict::Undecided { .. } => Outcome::Undecided,
            Verdict::Safe { .. } => Outcome::Safe,
        }
    }

    /// Whether the new service refused more requests for a full queue than it may fail on, and the former one none. What one of them
    /// would have done under the load of the other cannot be asked.
    fn is_overrun(&self) -> bool {
        let new = self.new.queue.refused().saturating_sub(self.full_before.new);
        new > self.policy.max_errors && self.former.queue.refused() == self.full_before.former
    }

    fn verdict(&self, found: &Found) -> Verdict {
        let floor = (found.floor.summary().requests > 0).then_some(&found.floor);
        self.policy.judge(&found.comparison, floor)
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which of the two gave an answer; `None` for any other service, of a copy that was made before this began.
    fn is_new(&self, service: ServiceId) -> Option<bool> {
        [(self.former.id, false), (self.new.id, true)].into_iter().find_map(|(id, new)| (id == service).then_some(new))
    }
}

impl ShadowObserver for Live {
    fn observe(&self, observation: &shadow::Observation<'_>) {
        let shadow::Observation { id, primary, shadowed, .. } = observation;
        // A shadow that is not in memory any more was not asked.
        if matches!(shadowed.outputs, Err(Error::NotLoaded(_))) {
            return;
        }
        let reason = shadowed.outputs.as_ref().err().map(Error::to_string).unwrap_or_default();
        let outcome: std::result::Result<&Outputs, &str> = shadowed.outputs.as_ref().map_err(|_| reason.as_str());
        let answered = primary.outputs.as_ref().map(|outputs| &**outputs).map_err(|refusal| refusal.reason.as_str());
        // Latencies of a thread that gives way to clients say nothing about the model.
        let took = shadowed.undisturbed;
        let client = Answered { outcome: answered, took: took.then_some(primary.took) };
        let copy = Answered { outcome, took: took.then_some(shadowed.took) };
        let input = format!("request {id}");
        let mut found = self.found();
        match (self.is_new(primary.service.id), self.is_new(shadowed.service)) {
            (Some(false), Some(false)) => found.floor.add(Observation { input: &input, old: client, new: copy }),
            (Some(false), Some(true)) => found.comparison.add(Observation { input: &input, old: client, new: copy }),
            (Some(true), Some(false)) => found.comparison.add(Observation { input: &input, old: copy, new: client }),
            (Some(true), Some(true)) | (None, _) | (_, None) => {}
        }
    }
}
