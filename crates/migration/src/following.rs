//! The phases after the switch: the former service is compared, its requests in flight finish, and the move is recorded as done.

use std::time::{Duration, Instant};

use dede_api::moves::{CutRequest, FormerService, MovePhase, MoveReport};
use dede_model::error::{Error, Result};
use serde_json::Value;

use super::certificate;
use super::ownership::{mark_of, unmark};
use super::procedure::{Procedure, alias, policy, seconds};
use super::shadowing::{Outcome, Shadowing};
use super::state::{now_ms, turned_out_worse};

/// Requests that are listed of those that were still running at the end of the drain.
const CUT_LISTED: usize = 100;

impl Procedure<'_> {
    /// The former service answers copies; a new one that turns out worse is rolled back.
    pub(super) fn watch(&self) -> Result<()> {
        let record = self.this.record();
        let Some(alias) = alias(&record.request)? else { return Ok(()) };
        self.this.enter(MovePhase::Watching)?;
        self.check()?;
        let new = self.own()?.ok_or_else(|| Error::MoveConflict("the new service is gone".into()))?;
        let Some(former) = self.replaced() else { return Ok(()) };
        let noted = record.former.as_ref().map(|former| former.version.as_str());
        if !former.is_loaded() || noted.is_some_and(|version| *former.version() != *version) {
            return self.watch_alone(&new, &record.request);
        }
        let policy = policy(&record.request)?;
        let full_before = self.served.full_before();
        let watching = Shadowing::begin(self.this, self.context, &alias, (&former, &new), policy, full_before)?;
        watching.copy_to(&former)?;
        let deadline = Instant::now() + seconds(record.request.watch_for_s);
        self.this.show("compares the former service's answers with the new one's", None);
        self.this.wait_until(Some(deadline), || watching.is_worse() || self.must_end());
        let (summary, _, outcome) = watching.report();
        self.this.note(|record| record.report.watch = serde_json::to_value(&summary).ok())?;
        self.check()?;
        match outcome {
            Outcome::Worse(reason) => Err(Error::MoveConflict(turned_out_worse(&reason))),
            Outcome::Safe | Outcome::Undecided => Ok(()),
        }
    }

    /// Requests that began on the former service finish.
    pub(super) fn drain(&self) -> Result<()> {
        let record = self.this.record();
        self.this.enter(MovePhase::Draining)?;
        let Some(former) = self.replaced() else { return Ok(()) };
        let deadline = Instant::now() + seconds(record.request.drain_for_s);
        self.this.show("waits for requests in flight on the former service", None);
        let drained = self.this.wait_until(Some(deadline), || former.queue.inside() == 0 || self.must_end());
        self.check()?;
        let left = if drained { Vec::new() } else { former.queue.running() };
        let cut = |ran: &Duration| {
            let ran_ms = u64::try_from(ran.as_millis()).unwrap_or(u64::MAX);
            CutRequest { began_ms: now_ms().saturating_sub(ran_ms), ran_ms }
        };
        self.this.note(|record| {
            record.report.cut_requests = left.len() as u64;
            record.report.cut = left.iter().take(CUT_LISTED).map(cut).collect();
        })
    }

    pub(super) fn finish(&self) -> Result<()> {
        self.check()?;
        let record = self.this.record();
        if let (Some(seconds), Some(_), None) = (record.request.keep_for_s, self.replaced(), &record.report.kept) {
            let until_ms = now_ms().saturating_add(seconds.saturating_mul(1000));
            self.this.note(|record| record.report.kept = Some(FormerService { until_ms, outcome: None }))?;
        }
        self.served.count(self.this, &self.context.catalogue);
        if record.request.alias.is_some() {
            self.this.note(|record| record.report.unproved = unproved(&record.report))?;
            // Undoing it removes no files from here on.
            self.unmark();
        }
        certificate::write(self.this, self.context)?;
        self.check()?;
        let catalogue = &self.context.catalogue;
        self.this.end_well(catalogue, || {
            self.unmark();
            catalogue.release_claims(self.this.id);
        })
    }

    fn unmark(&self) {
        let (directory, name) =
            self.this.look(|record| (record.effects.directory.clone(), mark_of(record.id, &record.effects)));
        directory.iter().for_each(|directory| unmark(directory, &name));
    }
}

/// Why nothing is proved on live requests, where no request was compared.
fn unproved(report: &MoveReport) -> Option<String> {
    let seen = |count: fn(&Value) -> &Value| {
        [&report.shadow, &report.watch].into_iter().flatten().any(|found| count(found).as_u64() > Some(0))
    };
    if seen(|found| &found["requests"]) {
        return None;
    }
    let reason = if report.former.is_none() {
        "no service answered under this name before, so nothing was compared on live requests"
    } else if report.exchange.is_some() {
        "the two networks were never in memory at once, so nothing was compared on live requests"
    } else if seen(|found| &found["errors"]["both"]) || seen(|found| &found["errors"]["old_only"]) {
        "no answer was compared on live requests: the former service refused all that were asked"
    } else {
        "no live request was compared, before or after the switch"
    };
    Some(reason.to_owned())
}
