//! The end of a move: recorded first, and visible only when everything is in its final state, so that no restart takes back what
//! a client saw. Commands that come meanwhile wait for the outcome.

use std::sync::{Arc, MutexGuard};

use dede_engine::catalogue::Catalogue;
use dede_model::error::{Error, Result};
use dede_storage::failpoint;

use super::company::Ended;
use super::{Move, State, begin};
use crate::record::{MovePhase, MoveRecord};
use crate::standing::{Standing, standing};

/// When this is dropped, it is known whether the move has ended; a panic drops it too.
struct Decided<'a>(&'a Move);

impl Drop for Decided<'_> {
    fn drop(&mut self) {
        self.0.change(|state| state.is_ending = false);
    }
}

impl Move {
    /// Ends it. The end is recorded, `before_it_is_seen` cleans up, then the end becomes visible: no restart takes it
    /// back, and a client that sees it finds everything in its final state. An end that cannot be recorded does not
    /// happen.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn end(&self, phase: MovePhase, before_it_is_seen: impl FnOnce()) -> Result<()> {
        let (record, decided) = self.record_end(phase)?;
        before_it_is_seen();
        self.see_end(record);
        drop(decided);
        failpoint(phase.as_str());
        Ok(())
    }

    /// As [`Move::end`], for a move that is done: whether the alias still leads to its service is checked, and the end
    /// becomes visible, in one step among the changes of the catalogue. Moves that switched together end in one step.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Cancelled`] where a person was promised that it is undone; [`Error::MoveConflict`] where a person changed
    /// the alias while the end was recorded: it is to be undone then.
    pub(crate) fn end_well(
        self: &Arc<Self>,
        catalogue: &Catalogue,
        before_it_is_seen: impl FnOnce() + Send + 'static,
    ) -> Result<()> {
        let (record, decided) = self.record_end(MovePhase::Done)?;
        let ended = Ended { member: Arc::clone(self), record, clean_up: Box::new(before_it_is_seen) };
        match &self.company {
            None => see_all(vec![ended], catalogue)?,
            Some(company) => {
                let goes_on = || self.undoing().map_or(Ok(()), |reason| Err(Error::Cancelled(reason)));
                self.attend((&**company, &company.ending), ended, &goes_on, |all| see_all(all, catalogue))?;
            }
        }
        drop(decided);
        failpoint(MovePhase::Done.as_str());
        Ok(())
    }

    /// Another end of a move that is done. Nothing changes where it cannot be recorded.
    pub(crate) fn end_done(&self, phase: MovePhase, reason: &str) -> Result<()> {
        let before = self.record();
        self.change(|state| state.record.undoing = Some(reason.to_owned()));
        self.end(phase, || ()).inspect_err(|_| self.change(|state| state.record = before))
    }

    /// Records an end, without making it visible.
    fn record_end(&self, phase: MovePhase) -> Result<(MoveRecord, Decided<'_>)> {
        let record = {
            let mut state = self.lock();
            if let Some(reason) = state.record.undoing.clone().filter(|_| phase == MovePhase::Done) {
                return Err(Error::Cancelled(reason));
            }
            state.is_ending = true;
            let mut record = state.record.clone();
            begin(&mut record, phase, self.clock.unix_ms());
            record
        };
        let decided = Decided(self);
        record.save(&self.directory)?;
        failpoint("ending");
        Ok((record, decided))
    }

    fn see_end(&self, record: MoveRecord) {
        self.change(|state| {
            state.begin(record.phase, self.clock.unix_ms());
            state.record = record;
        });
    }

    /// The state once it is known whether the move has ended.
    pub(super) fn decided(&self) -> MutexGuard<'_, State> {
        self.changed.wait_until(|| Some(self.lock()).filter(|state| !state.is_ending))
    }
}

/// The ends of moves that switched together are seen in one step, unless the alias of one of them was changed.
fn see_all(all: Vec<Ended>, catalogue: &Catalogue) -> Result<()> {
    let clean_up = |Ended { member, record, clean_up }| {
        clean_up();
        (member, record)
    };
    let all: Vec<(Arc<Move>, MoveRecord)> = all.into_iter().map(clean_up).collect();
    catalogue.in_step(move |snapshot| {
        for (_, record) in &all {
            if let Standing::Changed(reason) = standing(record, snapshot) {
                return Err(Error::MoveConflict(format!("{reason}; nothing more is done")));
            }
        }
        all.into_iter().for_each(|(member, record)| member.see_end(record));
        Ok(())
    })
}
