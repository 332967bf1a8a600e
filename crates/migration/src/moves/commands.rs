//! What operators tell a move that was begun: promote, abort, resume, roll back. Moves that switch together are told together.

use std::sync::Arc;

use dede_model::error::{Error, Result};

use super::{Moves, PATIENCE};
use crate::handle::Move;
use crate::record::MovePhase;
use crate::standing::has_switched;
use crate::status::MoveStatus;
use crate::{certificate, undo};

impl Moves {
    /// Lets a move switch without waiting for more, and those that switch with it.
    ///
    /// # Errors
    /// [`Error::MoveNotFound`]; [`Error::MoveConflict`] when it has switched, is over, or was interrupted and waits for a resume.
    pub fn promote(&self, id: &str) -> Result<MoveStatus> {
        let found = self.find(id)?;
        certificate::check_key(&self.context.directory)?;
        let members = found.members();
        if members.len() > 1 {
            members.iter().try_for_each(|member| member.check_promotion())?;
        }
        members.iter().try_for_each(|member| member.promote())?;
        members.iter().try_for_each(|member| self.run(member))?;
        Ok(found.info())
    }

    /// Undoes a move, and those that switch with it: before the switch everything is as it was, after it the former services serve again.
    ///
    /// # Errors
    /// [`Error::MoveNotFound`]; [`Error::MoveConflict`] when it is over; [`Error::AliasConflict`] when the former service cannot serve
    /// again.
    pub fn abort(&self, id: &str, reason: &str) -> Result<MoveStatus> {
        let found = self.find(id)?;
        let mut members = found.members();
        members.retain(|member| !member.phase().is_over());
        if members.is_empty() {
            return Err(found.refusal());
        }
        let catalogue = &self.context.catalogue;
        members.iter().try_for_each(|member| undo::check_possible(&member.record(), catalogue))?;
        if let Some(company) = found.company().filter(|_| self.has_switched(&members)) {
            // They go back together.
            company.records()?;
        }
        // Set before a move is told to undo, because its own thread clears it at the end.
        members.iter().for_each(|member| catalogue.claim_undoing(member.id, true));
        if let Some(company) = found.company() {
            company.note_cause(reason.to_owned());
        }
        let told = members.iter().try_for_each(|member| match member.ask_to_undo(reason) {
            // One that noticed that another is undone may be over already.
            Err(_) if members.len() > 1 && member.phase().is_over() && member.phase() != MovePhase::Done => Ok(()),
            told => told,
        });
        let told = told.and_then(|()| members.iter().try_for_each(|member| self.run(member)));
        told.inspect_err(|_| members.iter().for_each(|member| catalogue.claim_undoing(member.id, false)))?;
        Ok(found.info())
    }

    /// Goes on with a move that a restart interrupted, and with those that switch with it.
    ///
    /// # Errors
    /// [`Error::MoveNotFound`]; [`Error::MoveConflict`] when it is over, or when no command relays its source.
    pub fn resume(&self, id: &str) -> Result<MoveStatus> {
        let found = self.find(id)?;
        if found.phase().is_over() {
            return Err(found.refusal());
        }
        certificate::check_key(&self.context.directory)?;
        if !found.goes_on_by_itself(&self.context.catalogue) {
            self.relays.check(&found.info().spec.source)?;
        }
        let members = found.members().into_iter().filter(|member| !member.phase().is_over());
        members.into_iter().try_for_each(|member| self.run(&member))?;
        Ok(found.info())
    }

    /// Goes back to the former service after a move, also when the move is done; all that switched together go back in one change.
    ///
    /// # Errors
    /// [`Error::MoveNotFound`]; [`Error::AliasConflict`] when the alias was pointed elsewhere since.
    pub fn roll_back(&self, id: &str) -> Result<MoveStatus> {
        let found = self.find(id)?;
        if found.phase() != MovePhase::Done {
            let reason = if found.phase().is_after_switch() { "rolled back on request" } else { "aborted on request" };
            return self.abort(id, reason);
        }
        // All of them must be known.
        found.company().map_or(Ok(()), |company| company.records().map(drop))?;
        let mut members = found.members();
        members.retain(|member| member.phase() == MovePhase::Done);
        let claimed = self.claim_all(&members)?;
        let outcome = undo::roll_back_done(&members, &self.context);
        claimed.iter().for_each(|member| member.release());
        outcome.map(|()| found.info())
    }

    fn has_switched(&self, members: &[Arc<Move>]) -> bool {
        let snapshot = self.context.catalogue.snapshot();
        members.iter().any(|member| has_switched(&member.record(), &snapshot))
    }

    /// The right to run all of these, whose threads may not have ended yet.
    fn claim_all(&self, members: &[Arc<Move>]) -> Result<Vec<Arc<Move>>> {
        let mut claimed: Vec<Arc<Move>> = Vec::new();
        let deadline = self.context.clock.now() + PATIENCE;
        for member in members {
            if !member.wait_until(Some(deadline), || member.claim()) {
                claimed.iter().for_each(|member| member.release());
                return Err(Error::MoveConflict(format!("move {} is being worked on; try again", member.id)));
            }
            claimed.push(Arc::clone(member));
        }
        Ok(claimed)
    }
}
