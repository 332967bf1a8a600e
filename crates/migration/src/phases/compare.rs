//! Live requests on both services of a move, while a phase lasts: which of them gets copies, and which share of the
//! clients the new one answers.
//!
//! Before the switch the new service shadows the former one, after it the former one shadows the new. It owns the alias's
//! shadow and canary for as long as it lives, and removes them when it ends; what is found out is in `live`.

use std::sync::Arc;

use dede_comparison::{Policy, Summary, Verdict};
use dede_engine::catalogue::Share;
use dede_engine::name::ServiceName;
use dede_engine::percent::Percent;
use dede_engine::service::Service;
use dede_engine::shadow::{ShadowCounts, ShadowObserver};
use dede_model::error::{Error, Result};

use crate::MoveContext;
use crate::handle::Move;
use crate::live::{Live, Outcome};

/// Requests that the former service answers twice, to know what it differs from itself by.
const NOISE_REQUESTS: u64 = 100;

/// A comparison that goes on.
pub(crate) struct Shadowing<'a> {
    this: &'a Move,
    context: &'a MoveContext,
    alias: ServiceName,
    /// Counts of copies before it began.
    before: ShadowCounts,
    live: Arc<Live>,
}

impl<'a> Shadowing<'a> {
    /// Listens to the alias's shadows; no service shadows yet. `full_before`: requests that found the former service's queue full
    /// before the move began.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`].
    pub(crate) fn begin(
        this: &'a Move,
        context: &'a MoveContext,
        alias: &ServiceName,
        (former, new): (&Arc<Service>, &Arc<Service>),
        policy: Policy,
        full_before: u64,
    ) -> Result<Self> {
        let present = context.catalogue.snapshot().alias(alias).cloned();
        let compared = present.ok_or_else(|| Error::AliasNotFound(alias.to_string()))?;
        let live = Arc::new(Live::new(compared, (former, new), policy, full_before)?);
        let observer: Arc<dyn ShadowObserver> = Arc::<Live>::clone(&live);
        context.catalogue.observe_shadow(alias.as_str(), Some(observer))?;
        this.set_live(Some(Arc::clone(&live)));
        let mut shadowing = Self { this, context, alias: alias.clone(), before: ShadowCounts::default(), live };
        shadowing.before = shadowing.counts();
        Ok(shadowing)
    }

    /// Whether the noise is known well enough.
    pub(crate) fn knows_noise(&self) -> bool {
        self.live.noise_requests() >= NOISE_REQUESTS
    }

    /// Copies go to this service from now on: the new one before the switch, the former one after it, the target itself to learn its
    /// noise.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`].
    pub(crate) fn copy_to(&self, service: &Arc<Service>) -> Result<()> {
        self.context.catalogue.override_shadow(self.alias.as_str(), Some(Arc::clone(service)))
    }

    /// The new service answers a share of the requests; those it refuses are put to the former one.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`].
    pub(crate) fn set_canary(&self, percent: u8) -> Result<()> {
        let percent = Percent::new(percent).map_err(Error::Malformed)?;
        let share = Share { service: self.live.new_service(), percent };
        self.context.catalogue.override_canary(self.alias.as_str(), Some(share))
    }

    /// What is known now.
    pub(crate) fn outcome(&self) -> Outcome {
        self.live.outcome()
    }

    /// What is known, for others to look at.
    pub(crate) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live)
    }

    /// Whether it is surely worse.
    pub(crate) fn is_worse(&self) -> bool {
        matches!(self.outcome(), Outcome::Worse(_))
    }

    /// Requests compared so far.
    pub(crate) fn requests(&self) -> u64 {
        self.live.requests()
    }

    /// Requests that are compared at most.
    pub(crate) fn wanted(&self) -> u64 {
        self.live.wanted()
    }

    /// Figures and verdict for the report, and what follows from just these figures.
    pub(crate) fn report(&self) -> (Summary, Verdict, Outcome) {
        let counts = self.counts();
        let (mut summary, verdict) = self.live.figures();
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
