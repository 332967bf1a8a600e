//! The phase that compares live answers: until a verdict, through the shares of a canary, until a person promotes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dede_api::moves::{MovePhase, MoveProgress, MoveRequest};
use dede_comparison::Expect;
use dede_engine::catalogue::{Expected, SwitchRequest};
use dede_engine::name::ServiceName;
use dede_engine::service::Service;
use dede_model::error::{Error, Result};
use dede_storage::failpoint;

use super::procedure::{Procedure, alias, policy, seconds};
use super::record::Before;
use super::shadowing::{Outcome, Shadowing};
use super::state::turned_out_worse;

/// Longest time to measure the noise of the former service.
const LEARNING: Duration = Duration::from_secs(2);
/// How often the progress of a comparison is shown.
const SHOWN_EVERY: Duration = Duration::from_millis(500);
/// Time of each share of a canary.
pub(super) const CANARY_STEP: Duration = Duration::from_secs(5);

impl<'a> Procedure<'a> {
    /// Live requests go to old and new; clients get the old one's answers. The comparison goes on as long as what is returned lives, so
    /// that its verdict can be looked at in the switch.
    pub(super) fn shadow(&self, service: &Arc<Service>) -> Result<Option<Shadowing<'a>>> {
        let request = self.this.record().request;
        let (Some(alias), Some(former)) = (alias(&request)?, self.former()?) else { return Ok(None) };
        self.this.enter(MovePhase::Shadowing)?;
        self.take_hold(&alias, &former)?;
        failpoint("held");
        if !former.is_loaded() {
            return self.replace_what_cannot_answer(&request).map(|()| None);
        }
        let shadowing = Shadowing::begin(
            self.this,
            self.context,
            &alias,
            (&former, service),
            policy(&request)?,
            self.served.full_before(),
        )?;
        let shadow_for = seconds(request.shadow_for_s);
        let compares_later = !request.auto || !request.canary.is_empty();
        self.learn_noise(&shadowing, &former, if compares_later { LEARNING } else { LEARNING.min(shadow_for) })?;
        // Where a person has decided already there is nothing to find out before the switch, unless shares of the requests come first.
        let shares = || request.canary.iter().filter(|percent| **percent < 100);
        if !self.this.is_promoted() || shares().next().is_some() {
            shadowing.copy_to(service)?;
        }
        let compared = self.compare_live(&shadowing, shadow_for);
        self.note_shadow(&shadowing)?;
        self.judge(&request, &compared?)?;
        for percent in shares() {
            self.canary(&shadowing, *percent)?;
        }
        if !request.auto && !self.this.is_promoted() {
            let waited = self.wait_for_promotion("live requests are compared meanwhile", || shadowing.outcome());
            self.note_shadow(&shadowing)?;
            waited?;
        }
        self.check()?;
        Ok(Some(shadowing))
    }

    /// There is nothing to compare with: a person decides, or the policy.
    fn replace_what_cannot_answer(&self, request: &MoveRequest) -> Result<()> {
        self.judge(request, &Outcome::Undecided)?;
        if !request.auto && !self.this.is_promoted() {
            let meanwhile = "the service there cannot answer, so nothing is compared";
            self.wait_for_promotion(meanwhile, || Outcome::Undecided)?;
        }
        self.check()
    }

    /// What follows from the comparison before the switch.
    fn judge(&self, request: &MoveRequest, outcome: &Outcome) -> Result<()> {
        let wants_proof = || policy(request).map(|policy| policy.expect != Expect::Report);
        match outcome {
            Outcome::Worse(reason) => Err(Error::MoveConflict(format!("the new service is worse: {reason}"))),
            Outcome::Undecided if request.auto && !self.this.is_promoted() && wants_proof()? => {
                let text =
                    "the new service was not shown to be safe in time; compare longer with --shadow-for, or promote it";
                Err(Error::MoveConflict(text.into()))
            }
            Outcome::Safe | Outcome::Undecided => Ok(()),
        }
    }

    /// Waits for a person; ends with an error as soon as the new service turns out worse.
    pub(super) fn wait_for_promotion(&self, meanwhile: &str, outcome: impl Fn() -> Outcome) -> Result<()> {
        self.this.show_waiting(Some("promote"));
        self.this.show(format!("waits for a promotion: promote switches, abort undoes; {meanwhile}"), None);
        let worse = || match outcome() {
            Outcome::Worse(reason) => Some(reason),
            Outcome::Safe | Outcome::Undecided => None,
        };
        self.this.wait_until(None, || self.this.is_promoted() || self.must_end() || worse().is_some());
        self.this.show_waiting(None);
        self.check()?;
        worse().map_or(Ok(()), |reason| Err(Error::MoveConflict(turned_out_worse(&reason))))
    }

    /// What was under the name is noted; a plain service becomes the target of an alias of its name, so that it can be shadowed and
    /// switched. Clients see no difference, and an abort gives the name back.
    pub(super) fn take_hold(&self, alias: &ServiceName, former: &Arc<Service>) -> Result<()> {
        let catalogue = &self.context.catalogue;
        let before = match catalogue.snapshot().alias(alias) {
            Some(_) => Before::Alias { service: former.id },
            None => Before::Service(former.id),
        };
        if self.this.look(|record| record.effects.before.is_none()) {
            self.this.note(|record| record.effects.before = Some(before))?;
        }
        if catalogue.snapshot().alias(alias).is_none() {
            let expect = vec![Expected::Service(former.id)];
            let request = SwitchRequest { expect, takeover: true, ..SwitchRequest::to(former.id) };
            catalogue.switch(alias.as_str(), request)?;
        }
        let snapshot = catalogue.snapshot();
        let generation = snapshot.alias(alias).map(|alias| alias.generation);
        // Looked at before it is noted: from here on any other generation is a change by a person.
        self.check()?;
        self.this.note(|record| record.effects.generation = generation)
    }

    /// The former service shadows itself for a moment: answers that it does not reproduce itself are not held against
    /// the new one.
    fn learn_noise(&self, shadowing: &Shadowing<'_>, former: &Arc<Service>, most: Duration) -> Result<()> {
        shadowing.copy_to(former)?;
        self.this.show("measures the baseline disagreement of the current service", None);
        let deadline = Instant::now() + most;
        let decided = || self.this.is_promoted() || self.must_end();
        self.this.wait_until(Some(deadline), || shadowing.knows_noise() || decided());
        self.check()
    }

    /// The verdict on live requests; undecided when the time runs out, or when a person promotes the new service.
    fn compare_live(&self, shadowing: &Shadowing<'_>, patience: Duration) -> Result<Outcome> {
        let deadline = Instant::now() + patience;
        loop {
            self.check()?;
            let outcome = shadowing.outcome();
            let done = shadowing.requests();
            let progress = MoveProgress { done, total: shadowing.wanted(), unit: "requests".into() };
            self.this.show("compares live answers", Some(progress));
            if outcome != Outcome::Undecided || self.this.is_promoted() || Instant::now() >= deadline {
                return Ok(outcome);
            }
            let step = deadline.min(Instant::now() + SHOWN_EVERY);
            self.this.wait_until(Some(step), || {
                shadowing.outcome() != Outcome::Undecided || self.this.is_promoted() || self.must_end()
            });
        }
    }

    /// The new service answers a share of the requests for a while; one error more than allowed ends the move.
    fn canary(&self, shadowing: &Shadowing<'_>, percent: u8) -> Result<()> {
        shadowing.set_canary(percent)?;
        self.this.show(format!("answers {percent} % of the requests"), None);
        let step = Instant::now() + CANARY_STEP;
        self.this.wait_until(Some(step), || shadowing.is_worse() || self.must_end());
        let outcome = self.note_shadow(shadowing)?;
        self.check()?;
        match outcome {
            Outcome::Worse(reason) => {
                Err(Error::MoveConflict(format!("the new service is worse at {percent} %: {reason}")))
            }
            Outcome::Safe | Outcome::Undecided => Ok(()),
        }
    }

    /// Writes the comparison into the report; returns what follows from it.
    fn note_shadow(&self, shadowing: &Shadowing<'_>) -> Result<Outcome> {
        let (summary, verdict, outcome) = shadowing.report();
        self.this.note(|record| {
            record.report.shadow = serde_json::to_value(&summary).ok();
            record.report.verdict = serde_json::to_value(&verdict).ok();
        })?;
        Ok(outcome)
    }
}
