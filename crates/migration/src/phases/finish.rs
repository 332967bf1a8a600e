//! The last step of a move that is done: the certificate is written, and the end recorded.

use std::sync::Arc;

use dede_comparison::Summary;
use dede_model::error::Result;

use crate::certificate;
use crate::execution::Execution;
use crate::files::ownership::{self, mark_of};
use crate::handle::Move;
use crate::record::{Figures, FormerService, MoveReport};

/// Certifies the move, and ends it.
pub(crate) fn finish(run: &Execution<'_>) -> Result<()> {
    run.check()?;
    let record = run.this.record();
    if let (Some(keep_for), Some(_), None) = (record.spec.keep_for, run.replaced(), &record.report.kept) {
        let until_ms = run.context.clock.unix_ms().saturating_add(keep_for.as_secs().saturating_mul(1000));
        run.this.note(|record| record.report.kept = Some(FormerService { until_ms, outcome: None }))?;
    }
    run.served.count(run.this, &run.context.catalogue);
    if record.spec.alias.is_some() {
        run.this.note(|record| record.report.unproved = unproved(&record.report))?;
        // Undoing it removes no files from here on.
        unmark(run.this);
    }
    certificate::write(run.this, run.context)?;
    run.check()?;
    let (catalogue, this) = (Arc::clone(&run.context.catalogue), Arc::clone(run.this));
    run.this.end_well(&run.context.catalogue, move || {
        unmark(&this);
        catalogue.release_claims(this.id);
    })
}

fn unmark(this: &Move) {
    let (directory, name) = this.look(|record| (record.effects.directory.clone(), mark_of(record.id, &record.effects)));
    directory.iter().for_each(|directory| ownership::unmark(directory, &name));
}

/// Why nothing is proved on live requests, where no request was compared.
fn unproved(report: &MoveReport) -> Option<String> {
    let figures = [&report.shadow, &report.watch].map(|figures| figures.as_ref().and_then(Figures::read));
    let seen = |count: fn(&Summary) -> u64| figures.iter().flatten().any(|summary| count(summary) > 0);
    if seen(|summary| summary.requests) {
        return None;
    }
    let reason = if report.former.is_none() {
        "no service answered under this name before, so nothing was compared on live requests"
    } else if report.exchange.is_some() {
        "the two networks were never in memory at once, so nothing was compared on live requests"
    } else if seen(|summary| summary.errors.both + summary.errors.old_only) {
        "no answer was compared on live requests: the former service refused all that were asked"
    } else {
        "no live request was compared, before or after the switch"
    };
    Some(reason.to_owned())
}
