//! The phase that compares live answers: until a verdict, through the shares of a canary, until a person promotes.

use std::sync::Arc;
use std::time::Duration;

use dede_comparison::Expect;
use dede_engine::catalogue::{Expected, SwitchRequest};
use dede_engine::name::ServiceName;
use dede_engine::service::Service;
use dede_model::error::{Error, Result};
use dede_storage::failpoint;

use super::compare::Shadowing;
use crate::execution::Execution;
use crate::handle::turned_out_worse;
use crate::live::Outcome;
use crate::planning::CANARY_STEP;
use crate::record::{Before, Figures, MovePhase, MoveProgress, MoveSpec, bounded};

/// Longest time to measure the noise of the former service.
const LEARNING: Duration = Duration::from_secs(2);
/// How often the progress of a comparison is shown.
const SHOWN_EVERY: Duration = Duration::from_millis(500);

/// Live requests go to old and new; clients get the old one's answers. The comparison goes on as long as what is returned lives, so
/// that its verdict can be looked at in the switch.
pub(crate) fn shadow<'a>(run: &Execution<'a>, service: &Arc<Service>) -> Result<Option<Shadowing<'a>>> {
    let spec = run.this.record().spec;
    let (Some(alias), Some(former)) = (spec.alias().cloned(), run.former()?) else { return Ok(None) };
    run.this.enter(MovePhase::Shadowing)?;
    take_hold(run, &alias, &former)?;
    failpoint("held");
    if !former.is_loaded() {
        return replace_what_cannot_answer(run, &spec).map(|()| None);
    }
    let shadowing =
        Shadowing::begin(run.this, run.context, &alias, (&former, service), spec.policy()?, run.served.full_before())?;
    let shadow_for = bounded(spec.shadow_for);
    let compares_later = !spec.auto || !spec.canary.is_empty();
    learn_noise(run, &shadowing, &former, if compares_later { LEARNING } else { LEARNING.min(shadow_for) })?;
    // Where a person has decided already there is nothing to find out before the switch, unless shares of the requests come first.
    let shares = || spec.canary.iter().filter(|percent| **percent < 100);
    if !run.this.is_promoted() || shares().next().is_some() {
        shadowing.copy_to(service)?;
    }
    let compared = compare_live(run, &shadowing, shadow_for);
    note_shadow(run, &shadowing)?;
    judge(run, &spec, &compared?)?;
    for percent in shares() {
        canary(run, &shadowing, *percent)?;
    }
    if !spec.auto && !run.this.is_promoted() {
        let waited = wait_for_promotion(run, "live requests are compared meanwhile", || shadowing.outcome());
        note_shadow(run, &shadowing)?;
        waited?;
    }
    run.check()?;
    Ok(Some(shadowing))
}

/// There is nothing to compare with: a person decides, or the policy.
fn replace_what_cannot_answer(run: &Execution<'_>, spec: &MoveSpec) -> Result<()> {
    judge(run, spec, &Outcome::Undecided)?;
    if !spec.auto && !run.this.is_promoted() {
        let meanwhile = "the service there cannot answer, so nothing is compared";
        wait_for_promotion(run, meanwhile, || Outcome::Undecided)?;
    }
    run.check()
}

/// What follows from the comparison before the switch.
fn judge(run: &Execution<'_>, spec: &MoveSpec, outcome: &Outcome) -> Result<()> {
    let wants_proof = || spec.policy().map(|policy| policy.expect != Expect::Report);
    match outcome {
        Outcome::Worse(reason) => Err(Error::MoveConflict(format!("the new service is worse: {reason}"))),
        Outcome::Undecided if spec.auto && !run.this.is_promoted() && wants_proof()? => {
            let text =
                "the new service was not shown to be safe in time; compare longer with --shadow-for, or promote it";
            Err(Error::MoveConflict(text.into()))
        }
        Outcome::Safe | Outcome::Undecided => Ok(()),
    }
}

/// Waits for a person; ends with an error as soon as the new service turns out worse.
pub(crate) fn wait_for_promotion(run: &Execution<'_>, meanwhile: &str, outcome: impl Fn() -> Outcome) -> Result<()> {
    run.this.show_waiting(Some("promote"));
    run.this.show(format!("waits for a promotion: promote switches, abort undoes; {meanwhile}"), None);
    let worse = || match outcome() {
        Outcome::Worse(reason) => Some(reason),
        Outcome::Safe | Outcome::Undecided => None,
    };
    run.this.wait_until(None, || run.this.is_promoted() || run.must_end() || worse().is_some());
    run.this.show_waiting(None);
    run.check()?;
    worse().map_or(Ok(()), |reason| Err(Error::MoveConflict(turned_out_worse(&reason))))
}

/// What was under the name is noted; a plain service becomes the target of an alias of its name, so that it can be shadowed and
/// switched. Clients see no difference, and an abort gives the name back.
pub(crate) fn take_hold(run: &Execution<'_>, alias: &ServiceName, former: &Arc<Service>) -> Result<()> {
    let catalogue = &run.context.catalogue;
    let before = match catalogue.snapshot().alias(alias) {
        Some(_) => Before::Alias { service: former.id },
        None => Before::Service(former.id),
    };
    if run.this.look(|record| record.effects.before.is_none()) {
        run.this.note(|record| record.effects.before = Some(before))?;
    }
    if catalogue.snapshot().alias(alias).is_none() {
        let expect = vec![Expected::Service(former.id)];
        let request = SwitchRequest { expect, takeover: true, ..SwitchRequest::to(former.id) };
        catalogue.switch(alias.as_str(), request)?;
    }
    let snapshot = catalogue.snapshot();
    let generation = snapshot.alias(alias).map(|alias| alias.generation);
    // Looked at before it is noted: from here on any other generation is a change by a person.
    run.check()?;
    run.this.note(|record| record.effects.generation = generation)
}

/// The former service shadows itself for a moment: answers that it does not reproduce itself are not held against
/// the new one.
fn learn_noise(run: &Execution<'_>, shadowing: &Shadowing<'_>, former: &Arc<Service>, most: Duration) -> Result<()> {
    shadowing.copy_to(former)?;
    run.this.show("measures the baseline disagreement of the current service", None);
    let deadline = run.deadline(most);
    let decided = || run.this.is_promoted() || run.must_end();
    run.this.wait_until(Some(deadline), || shadowing.knows_noise() || decided());
    run.check()
}

/// The verdict on live requests; undecided when the time runs out, or when a person promotes the new service.
fn compare_live(run: &Execution<'_>, shadowing: &Shadowing<'_>, patience: Duration) -> Result<Outcome> {
    let deadline = run.deadline(patience);
    loop {
        run.check()?;
        let outcome = shadowing.outcome();
        let done = shadowing.requests();
        let progress = MoveProgress { done, total: shadowing.wanted(), unit: "requests".into() };
        run.this.show("compares live answers", Some(progress));
        if outcome != Outcome::Undecided || run.this.is_promoted() || run.context.clock.now() >= deadline {
            return Ok(outcome);
        }
        let step = deadline.min(run.deadline(SHOWN_EVERY));
        run.this.wait_until(Some(step), || {
            shadowing.outcome() != Outcome::Undecided || run.this.is_promoted() || run.must_end()
        });
    }
}

/// The new service answers a share of the requests for a while; one error more than allowed ends the move.
fn canary(run: &Execution<'_>, shadowing: &Shadowing<'_>, percent: u8) -> Result<()> {
    shadowing.set_canary(percent)?;
    run.this.show(format!("answers {percent} % of the requests"), None);
    let step = run.deadline(CANARY_STEP);
    run.this.wait_until(Some(step), || shadowing.is_worse() || run.must_end());
    let outcome = note_shadow(run, shadowing)?;
    run.check()?;
    match outcome {
        Outcome::Worse(reason) => {
            Err(Error::MoveConflict(format!("the new service is worse at {percent} %: {reason}")))
        }
        Outcome::Safe | Outcome::Undecided => Ok(()),
    }
}

/// Writes the comparison into the report; returns what follows from it.
fn note_shadow(run: &Execution<'_>, shadowing: &Shadowing<'_>) -> Result<Outcome> {
    let (summary, verdict, outcome) = shadowing.report();
    run.this.note(|record| {
        record.report.shadow = Figures::of(&summary).ok();
        record.report.verdict = Figures::of(&verdict).ok();
    })?;
    Ok(outcome)
}
