//! The phase after the switch in which the former service is compared with the new one.

use dede_engine::service::Service;
use dede_model::error::{Error, Result};

use super::compare::Shadowing;
use super::refusals::{LEAST_SHARE, Refusals};
use crate::execution::Execution;
use crate::handle::turned_out_worse;
use crate::live::Outcome;
use crate::record::{Figures, MovePhase, MoveSpec, bounded};

/// The former service answers copies; a new one that turns out worse is rolled back.
pub(crate) fn watch(run: &Execution<'_>) -> Result<()> {
    let record = run.this.record();
    let Some(alias) = record.spec.alias().cloned() else { return Ok(()) };
    run.this.enter(MovePhase::Watching)?;
    run.check()?;
    let new = run.own()?.ok_or_else(|| Error::MoveConflict("the new service is gone".into()))?;
    let Some(former) = run.replaced() else { return Ok(()) };
    let noted = record.former.as_ref().map(|former| former.version.as_str());
    if !former.is_loaded() || noted.is_some_and(|version| *former.version() != *version) {
        return watch_alone(run, &new, &record.spec);
    }
    let policy = record.spec.policy()?;
    let full_before = run.served.full_before();
    let watching = Shadowing::begin(run.this, run.context, &alias, (&former, &new), policy, full_before)?;
    watching.copy_to(&former)?;
    let deadline = run.deadline(bounded(record.spec.watch_for));
    run.this.show("compares the former service's answers with the new one's", None);
    run.this.wait_until(Some(deadline), || watching.is_worse() || run.must_end());
    let (summary, _, outcome) = watching.report();
    run.this.note(|record| record.report.watch = Figures::of(&summary).ok())?;
    run.check()?;
    match outcome {
        Outcome::Worse(reason) => Err(Error::MoveConflict(turned_out_worse(&reason))),
        Outcome::Safe | Outcome::Undecided => Ok(()),
    }
}

/// Without the former service in memory, it cannot be asked about requests that the new one refuses: only faults
/// show that the new one is worse, and a share of refused requests that is surely above the former one's. All
/// requests to the new service count: none came before this move made it, and some may have come since the switch.
pub(crate) fn watch_alone(run: &Execution<'_>, new: &Service, spec: &MoveSpec) -> Result<()> {
    let policy = spec.policy()?;
    let usual = run.this.look(|record| record.effects.usually_refused).unwrap_or_default().max(LEAST_SHARE);
    let worse = || {
        let faults = new.statistics.faults();
        if faults > policy.max_errors {
            return Some(format!("it failed on {faults} requests by its own fault, {} allowed", policy.max_errors));
        }
        let since = Refusals::of(new);
        let is_surely_more = since.refused > policy.max_errors && since.is_surely_above(usual, policy.alpha);
        is_surely_more.then(|| {
            let Refusals { refused, requests } = since;
            format!("it refused {refused} of {requests} requests, the former service {:.1} %", usual * 100.0)
        })
    };
    run.this.show("counts errors of the new service", None);
    let deadline = run.deadline(bounded(spec.watch_for));
    run.this.wait_until(Some(deadline), || worse().is_some() || run.must_end());
    run.check()?;
    let since = Refusals::of(new);
    // Looked at once, at the end, so that a few requests are enough.
    let answered_none = || {
        let surely = since.refused > policy.max_errors && since.are_all_refused(usual, policy.alpha);
        surely.then(|| format!("it refused all {} requests since the switch", since.requests))
    };
    let worse = worse().or_else(answered_none);
    worse.map_or(Ok(()), |reason| Err(Error::MoveConflict(turned_out_worse(&reason))))
}
