//! The phase that compares live answers: until a verdict, through the shares of a canary, until somebody promotes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dede_api::moves::{MovePhase, MoveProgress};
use dede_bundle::failpoint;

use super::mover::{Mover, alias, policy};
use super::record::Before;
use super::shadowing::{Outcome, Shadowing};
use crate::catalogue::{Expected, SwitchRequest};
use crate::comparison::Expect;
use crate::error::{Error, Result};
use crate::name::ServiceName;
use crate::service::Service;

/// Longest time to learn what the former service differs from itself by.
const LEARNING: Duration = Duration::from_secs(2);
/// How often the progress of a comparison is shown.
const SHOWN_EVERY: Duration = Duration::from_millis(500);
/// Time of each share of a canary.
const CANARY_STEP: Duration = Duration::from_secs(5);

impl Mover<'_> {
    /// Live requests go to old and new; clients get the old one's answers.
    pub(super) fn shadow(&self, service: &Arc<Service>) -> Result<()> {
        let request = self.this.record().request;
        let (Some(alias), Some(former)) = (alias(&request)?, self.former()?) else { return Ok(()) };
        self.this.enter(MovePhase::Shadowing)?;
        self.take_hold(&alias, &former)?;
        failpoint("held");
        let policy = policy(&request)?;
        let shadowing = Shadowing::begin(self.surroundings, &alias, &former, service, policy.clone())?;
        self.learn_noise(&shadowing, &former)?;
        shadowing.copy_to(service)?;
        let verdict = self.compare_live(&shadowing, Duration::from_secs(request.shadow_for_s))?;
        self.note_shadow(&shadowing)?;
        match verdict {
            Outcome::Worse(reason) => return Err(Error::MoveConflict(format!("the new service is worse: {reason}"))),
            Outcome::Undecided if request.auto && policy.expect != Expect::Report && !self.this.is_promoted() => {
                let text =
                    "the new service was not shown to be safe in time; compare longer with --shadow-for, or promote it";
                return Err(Error::MoveConflict(text.into()));
            }
            Outcome::Safe | Outcome::Undecided => {}
        }
        for percent in request.canary.iter().filter(|percent| **percent < 100) {
            self.canary(&shadowing, *percent)?;
        }
        if !request.auto && !self.this.is_promoted() {
            self.wait_for_promotion("live requests are compared meanwhile", || match shadowing.outcome() {
                Outcome::Worse(reason) => Some(format!("it turned out worse: {reason}")),
                Outcome::Safe | Outcome::Undecided => None,
            });
            self.note_shadow(&shadowing)?;
        }
        self.check_abort()
    }

    /// Waits for people, and tells them what they should know when there is something.
    pub(super) fn wait_for_promotion(&self, meanwhile: &str, warning: impl Fn() -> Option<String>) {
        let decided = || self.this.is_promoted() || self.this.undoing().is_some();
        let mut shown = None;
        self.this.show_waiting(Some("promote"));
        while !decided() {
            let text = format!("waits for a promotion; {}", warning().as_deref().unwrap_or(meanwhile));
            if shown.as_ref() != Some(&text) {
                self.this.show(text.clone(), None);
                shown = Some(text);
            }
            self.this.wait_until(Some(Instant::now() + SHOWN_EVERY), decided);
        }
    }

    /// What was under the name is noted; a plain service becomes the target of an alias of its name, so that it can be shadowed and
    /// switched. Clients see no difference, and an abort gives the name back.
    pub(super) fn take_hold(&self, alias: &ServiceName, former: &Arc<Service>) -> Result<()> {
        let snapshot = self.surroundings.catalogue.snapshot();
        if self.this.record().effects.before.is_none() {
            let before = match snapshot.alias(alias) {
                Some(_) => Before::Alias { service: former.id },
                None => Before::Service(former.id),
            };
            self.this.note(|record| record.effects.before = Some(before))?;
        }
        if snapshot.alias(alias).is_some() {
            return Ok(());
        }
        let expect = Some(Expected::Service(former.id));
        let request = SwitchRequest { expect, takeover: true, ..SwitchRequest::to(former.id) };
        self.surroundings.catalogue.switch(alias.as_str(), request).map(drop)
    }

    /// The former service shadows itself for a moment: what it differs from itself by is not held against the new one.
    fn learn_noise(&self, shadowing: &Shadowing<'_>, former: &Arc<Service>) -> Result<()> {
        shadowing.copy_to(former)?;
        self.this.show("learns what the former service differs from itself by", None);
        let deadline = Instant::now() + LEARNING;
        let decided = || self.this.is_promoted() || self.this.undoing().is_some();
        self.this.wait_until(Some(deadline), || shadowing.knows_noise() || decided());
        self.check_abort()
    }

    /// The verdict on live requests; none when the time runs out, or when somebody promotes the new service: a person's decision is
    /// looked at first, so that no verdict of the same moment overrides it.
    fn compare_live(&self, shadowing: &Shadowing<'_>, patience: Duration) -> Result<Outcome> {
        let deadline = Instant::now() + patience;
        loop {
            self.check_abort()?;
            if self.this.is_promoted() {
                return Ok(Outcome::Undecided);
            }
            let outcome = shadowing.outcome();
            let done = shadowing.requests();
            let progress = MoveProgress { done, total: shadowing.wanted(), unit: "requests".into() };
            self.this.show("compares live answers", Some(progress));
            if outcome != Outcome::Undecided || Instant::now() >= deadline {
                return Ok(outcome);
            }
            let step = deadline.min(Instant::now() + SHOWN_EVERY);
            self.this.wait_until(Some(step), || {
                shadowing.outcome() != Outcome::Undecided || self.this.is_promoted() || self.this.undoing().is_some()
            });
        }
    }

    /// The new service answers a share of the requests for a while; one error more than allowed ends the move.
    fn canary(&self, shadowing: &Shadowing<'_>, percent: u8) -> Result<()> {
        self.this.show(format!("answers {percent} % of the requests"), None);
        shadowing.set_canary(percent)?;
        let step = Instant::now() + CANARY_STEP;
        self.this.wait_until(Some(step), || shadowing.is_worse() || self.this.undoing().is_some());
        self.check_abort()?;
        match shadowing.outcome() {
            Outcome::Worse(reason) => {
                Err(Error::MoveConflict(format!("the new service is worse at {percent} %: {reason}")))
            }
            Outcome::Safe | Outcome::Undecided => Ok(()),
        }
    }

    fn note_shadow(&self, shadowing: &Shadowing<'_>) -> Result<()> {
        let (summary, verdict) = shadowing.report();
        self.this.note(|record| {
            record.report.shadow = serde_json::to_value(&summary).ok();
            record.report.verdict = serde_json::to_value(&verdict).ok();
        })
    }
}
