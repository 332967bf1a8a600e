//! The procedure of a move on one page: its phases, top to bottom, and what follows a failure.
//!
//! Each phase is recorded before it begins and may be done again from its start after a crash. Before the switch any failure
//! undoes everything; the switch is one change of the catalogue, committed by its own fsync; after it a failure points the alias back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use dede_model::error::{Error, Result};
use dede_model::priority;

use crate::MoveContext;
use crate::execution::Execution;
use crate::handle::Move;
use crate::handle::company::Milestone;
use crate::phases::{copy, drain, finish, plan, together, watch};
use crate::served::Served;
use crate::standing::has_switched;
use crate::strategy::{in_place, side_by_side};
use crate::undo;

/// Continues from the phase that the record names.
fn go(run: &Execution<'_>) -> Result<()> {
    let record = run.this.record();
    if record.phase.is_over() {
        return Ok(());
    }
    if record.undoing.is_some() {
        return undo::undo(run.this, run.context);
    }
    // One that switches with others has to be undone with them.
    run.check_abort()?;
    if !has_switched(&record, &run.context.catalogue.snapshot()) {
        let planned = run.in_phase("planned", || plan::plan(run))?;
        plan::claim(run, &planned)?;
        together::agree(run, record.plan.is_some())?;
        let copied = run.in_phase("copying", || together::copy_in_turn(run, || copy::copy(run, &planned)));
        let lease = copied.map_err(|error| run.explained(error, &planned))?;
        match in_place::given_up(run, &planned)? {
            // The content stays in the store meanwhile.
            Some(former) => run.in_phase("exchanging", || in_place::exchange(run, &planned, &former))?,
            None => side_by_side::prove(run, &planned, lease)?,
        }
    }
    run.in_phase("watching", || watch::watch(run))?;
    run.in_phase("draining", || drain::drain(run))?;
    together::meet(run, Milestone::Drained, "waits for the others to end", &|| run.check())?;
    finish::finish(run)
}

/// Runs a move to its end, or until it waits for an operator after a restart. The thread of the move does nothing else.
pub(crate) fn run(this: &Arc<Move>, context: &MoveContext) {
    priority::give_way();
    let _in_span = tracing::error_span!(target: "spans", "move", id = %this.id).entered();
    let served = Served::begin(&this.record(), &context.catalogue);
    if let Err(error) = guarded(|| go(&Execution { this, context, served: &served })) {
        tracing::warn!(id = %this.id, %error, "move failed");
        served.count(this, &context.catalogue);
        // One that goes back with others says why they do.
        let reason = this.undoing().unwrap_or_else(|| error.to_string());
        let undone = this.ask_to_undo(&reason).and_then(|()| guarded(|| undo::undo(this, context)));
        if let Err(error) = undone {
            tracing::error!(id = %this.id, %error, "the move cannot be undone now; abort it again");
            // From here on an operator may change the alias again.
            context.catalogue.claim_undoing(this.id, false);
            this.show(format!("cannot be undone now: {error}; remove the cause, then abort again"), None);
            this.show_waiting(Some("abort"));
        }
    }
    if this.phase().is_over() {
        context.catalogue.release_claims(this.id);
    }
    this.release();
}

/// A panic ends the move, not the thread that has to undo it.
fn guarded(work: impl FnOnce() -> Result<()>) -> Result<()> {
    let outcome = catch_unwind(AssertUnwindSafe(work));
    outcome.unwrap_or_else(|_| Err(Error::Internal("internal error (panic); see the log".into())))
}
