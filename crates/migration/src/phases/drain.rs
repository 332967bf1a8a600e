//! The phase in which requests that began on the former service finish.

use std::time::Duration;

use dede_model::error::Result;

use crate::execution::Execution;
use crate::record::{CutRequest, MovePhase, bounded};

/// Requests that are listed of those that were still running at the end of the drain.
const CUT_LISTED: usize = 100;

/// Requests that began on the former service finish.
pub(crate) fn drain(run: &Execution<'_>) -> Result<()> {
    let record = run.this.record();
    run.this.enter(MovePhase::Draining)?;
    let Some(former) = run.replaced() else { return Ok(()) };
    let deadline = run.deadline(bounded(record.spec.drain_for));
    run.this.show("waits for requests in flight on the former service", None);
    let drained = run.this.wait_until(Some(deadline), || former.queue.inside() == 0 || run.must_end());
    run.check()?;
    let left = if drained { Vec::new() } else { former.queue.running() };
    let cut = |ran: &Duration| {
        let ran_ms = u64::try_from(ran.as_millis()).unwrap_or(u64::MAX);
        CutRequest { began_ms: run.context.clock.unix_ms().saturating_sub(ran_ms), ran_ms }
    };
    run.this.note(|record| {
        record.report.cut_requests = left.len() as u64;
        record.report.cut = left.iter().take(CUT_LISTED).map(cut).collect();
    })
}
