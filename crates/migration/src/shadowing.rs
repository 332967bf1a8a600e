//! Live requests on both services of a move: which of them gets copies, what is compared, and what follows from it.
//!
//! Before the switch the new service shadows the former one, after it the former one shadows the new. A request that
//! one of them refuses is put to the other too. It owns the alias's shadow and canary for as long as it lives, and
//! removes them when it ends.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dede_comparison::{Answered, Comparison, NoiseFloor, Observation, Policy, Summary, Verdict};
use dede_engine::catalogue::{Alias, Share};
use dede_engine::name::ServiceName;
use dede_engine::percent::Percent;
use dede_engine::service::{Service, ServiceId};
use dede_engine::shadow::{self, ShadowCounts, ShadowObserver};
use dede_model::error::{Error, Result};
use dede_model::outputs::Outputs;

use super::MoveContext;
use super::state::Move;

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
    this: &'a Move,
    context: &'a MoveContext,
    alias: ServiceName,
    /// Counts of copies before it began.
    before: ShadowCounts,
    live: Arc<Live>,
}

/// What the shadow's thread adds to.
pub(super) struct Live {
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
pub(super) struct FullQueues {
    pub(super) former: u64,
    pub(super) new: u64,
}

struct Found {
    comparison: Comparison,
    floor: NoiseFloor,
}

impl<'a> Shadowing<'a> {
    /// Listens to the alias's shadows; no service shadows yet. `full_before`: requests that found the former service's queue full
    /// before the move began.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`].
    pub(super) fn begin(
        this: &'a Move,
        context: &'a MoveContext,
        alias: &ServiceName,
        (former, new): (&Arc<Service>, &Arc<Service>),
        policy: Policy,
        full_before: u64,
    ) -> Result<Self> {
        let (old_labels, new_labels) = (former.serving()?.labels.clone(), new.serving()?.labels.clone());
        let found = Found {
            comparison: Comparison::new(policy.tolerance, &old_labels, &new_labels),
            floor: NoiseFloor::new(policy.tolerance, &old_labels),
        };
        let present = context.catalogue.snapshot().alias(alias).cloned();
        let live = Arc::new(Live {
            alias: present.ok_or_else(|| Error::AliasNotFound(alias.to_string()))?,
            former: Arc::clone(former),
            new: Arc::clone(new),
            policy,
            full_before: FullQueues { former: full_before, new: new.queue.refused() },
            found: Mutex::new(found),
        });
        let observer: Arc<dyn ShadowObserver> = Arc::<Live>::clone(&live);
        context.catalogue.observe_shadow(alias.as_str(), Some(observer))?;
        this.set_live(Some(Arc::clone(&live)));
        let mut shadowing = Self { this, context, alias: alias.clone(), before: ShadowCounts::default(), live };
        shadowing.before = shadowing.counts();
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
        self.context.catalogue.override_shadow(self.alias.as_str(), Some(Arc::clone(service)))
    }

    /// The new service answers a share of the requests; those it refuses are put to the former one.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`].
    pub(super) fn set_canary(&self, percent: u8) -> Result<()> {
        let percent = Percent::new(percent).map_err(Error::Malformed)?;
        let share = Share { service: self.live.new.id, percent };
        self.context.catalogue.override_canary(self.alias.as_str(), Some(share))
    }

    /// What is known now.
    pub(super) fn outcome(&self) -> Outcome {
        self.live.outcome()
    }

    /// What is known, for others to look at.
    pub(super) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live)
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

    /// Figures and verdict for the report, and what follows from just these figures.
    pub(super) fn report(&self) -> (Summary, Verdict, Outcome) {
        let counts = self.counts();
        let (mut summary, verdict) = {
            let found = self.live.found();
            (found.comparison.summary(), self.live.verdict(&found))
        };
        summary.dropped = counts.dropped.saturating_sub(self.before.dropped);
        summary.changed = counts.changed.saturating_sub(self.before.changed);
        let outcome = self.live.outcome_of(&verdict);
        (summary, verdict, outcome)
    }

    fn counts(&self) -> ShadowCounts {
        let snapshot = self.context.catalogue.snapshot();
        snapshot.alias(&self.alias).map(|alias| alias.shadow_counts()).unwrap_or_default()
    }
}

impl Drop for Shadowing<'_> {
    fn drop(&mut self) {
        self.this.set_live(None);
        let catalogue = &self.context.catalogue;
        if catalogue.snapshot().alias(&self.alias).is_none() {
            return;
        }
        let alias = self.alias.as_str();
        let cleared = catalogue
            .observe_shadow(alias, None)
            .and_then(|()| catalogue.override_shadow(alias, None))
            .and_then(|()| catalogue.override_canary(alias, None));
        if let Err(error) = cleared {
            tracing::warn!(alias = %self.alias, %error, "shadow or canary of a move not taken away");
        }
    }
}

impl Live {
    /// The alias whose requests are compared, as it was when that began.
    pub(super) fn alias(&self) -> &Alias {
        &self.alias
    }

    /// What is known now.
    pub(super) fn outcome(&self) -> Outcome {
        let verdict = self.verdict(&self.found());
        self.outcome_of(&verdict)
    }

    fn outcome_of(&self, verdict: &Verdict) -> Outcome {
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
