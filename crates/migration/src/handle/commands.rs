//! What operators tell a move, and who may run it: promote, undo, resume, and whether another move would get in its way.

use std::sync::MutexGuard;
use std::sync::atomic::Ordering;

use dede_engine::catalogue::Catalogue;
use dede_model::error::{Error, Result};
use dede_storage::Place;

use super::{Move, State, turned_out_worse};
use crate::live::Outcome;
use crate::record::MoveSpec;
use crate::standing::has_switched;

impl Move {
    /// Whether it works on a name, or brings files to a directory, that another move wants too.
    /// `place`: where that one wants its files.
    pub(crate) fn touches(&self, spec: &MoveSpec, place: Option<&Place>) -> bool {
        let state = self.lock();
        let names = |spec: &MoveSpec| [spec.alias().cloned(), spec.name_here()];
        let own = names(&state.record.spec);
        if names(spec).into_iter().flatten().any(|name| own.contains(&Some(name))) {
            return true;
        }
        state.place.as_ref().zip(place).is_some_and(|(own, other)| own.overlaps(other))
    }

    /// Whether a restart takes it up without being told.
    pub(crate) fn goes_on_by_itself(&self, catalogue: &Catalogue) -> bool {
        let record = self.record();
        !record.phase.is_over() && (self.undoing().is_some() || has_switched(&record, &catalogue.snapshot()))
    }

    /// Takes the right to run it; false when another thread has it.
    pub(crate) fn claim(&self) -> bool {
        let claimed = !self.running.swap(true, Ordering::AcqRel);
        if claimed {
            self.change(|state| {
                state.waits_for = None;
                state.activity.clear();
            });
        }
        claimed
    }

    /// Gives the right to run it back where nothing runs: an operator may try again.
    pub(crate) fn release_unfinished(&self) {
        self.release();
        if !self.phase().is_over() {
            self.show_interrupted("no thread could be started for it");
        }
    }

    /// Gives the right to run it back.
    pub(crate) fn release(&self) {
        self.running.store(false, Ordering::Release);
    }

    /// Why the new service is worse than the former one, where that is known.
    fn worse(&self) -> Option<String> {
        match self.live()?.outcome() {
            Outcome::Worse(reason) => Some(reason),
            Outcome::Safe | Outcome::Undecided => None,
        }
    }

    /// Allows the switch; whether it can be made is checked by the switch itself.
    pub(crate) fn promote(&self) -> Result<()> {
        let mut state = self.promotable()?;
        state.record.promoted = true;
        drop(state);
        self.change(|_| ());
        Ok(())
    }

    /// Whether it could be promoted now.
    pub(crate) fn check_promotion(&self) -> Result<()> {
        self.promotable().map(drop)
    }

    fn promotable(&self) -> Result<MutexGuard<'_, State>> {
        if let Some(reason) = self.worse() {
            return Err(Error::MoveConflict(format!(
                "move {} does not switch, {}",
                self.id,
                turned_out_worse(&reason)
            )));
        }
        let state = self.decided();
        if state.record.phase.is_over() || state.record.phase.is_after_switch() {
            return Err(self.over(&state));
        }
        if state.waits_for == Some("resume") && !self.running.load(Ordering::Acquire) {
            return Err(Error::MoveConflict(format!(
                "move {} was interrupted: resume it first, then promote",
                self.id
            )));
        }
        Ok(state)
    }

    pub(crate) fn ask_to_undo(&self, reason: &str) -> Result<()> {
        let mut state = self.decided();
        if state.record.phase.is_over() {
            return Err(self.over(&state));
        }
        self.note_cause(&state.record, reason);
        state.record.undoing.get_or_insert_with(|| reason.to_owned());
        drop(state);
        self.change(|_| ());
        Ok(())
    }

    /// Adds to the reason that people read; it becomes durable with the next note.
    pub(crate) fn tell(&self, more: &str) {
        self.change(|state| {
            let reason = state.record.undoing.get_or_insert_default();
            if !reason.contains(more) {
                reason.push_str("; ");
                reason.push_str(more);
            }
        });
    }

    pub(super) fn over(&self, state: &State) -> Error {
        let why = state.record.undoing.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        Error::MoveConflict(format!("move {} is {}{why}", self.id, state.record.phase.as_str().replace('_', " ")))
    }

    /// The error of a command that comes after the end, with why the move ended.
    pub(crate) fn refusal(&self) -> Error {
        self.over(&self.lock())
    }
}
