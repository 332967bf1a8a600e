//! The moves that switch together: which they are, where they wait for one another, and why all of them are undone when one is.
//!
//! Each of them is a move like any other, with a number, a record and a thread of its own; the record names the numbers of all. It must not
//! know what is done in a phase.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::Duration;

use dede_engine::catalogue::SwitchRequest;
use dede_engine::move_id::MoveId;
use dede_engine::name::ServiceName;
use dede_model::error::{Error, Result};
use dede_model::watch::Watch;

use super::Move;
use super::meeting::{Meeting, Patience};
use crate::record::{MovePhase, MoveRecord};
use crate::status::Companion;

/// A point of the procedure that no member passes before all have reached it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Milestone {
    /// Its plan is recorded.
    Planned,
    /// Its service is proved, and a person or the policy lets it switch.
    Proved,
    /// Its alias is switched, its service was watched, and requests on the former one have ended.
    Drained,
}

/// What a member brings to the switch.
pub(crate) struct Ready {
    /// The alias.
    pub(crate) alias: ServiceName,
    /// Its switch.
    pub(crate) request: SwitchRequest,
    /// Looked at in the same step.
    pub(crate) allowed: Box<dyn Fn() -> Result<()> + Send>,
}

/// The switch of all.
#[derive(Debug, Clone)]
pub(crate) struct Switched {
    /// How long it took, the fsync included.
    pub(crate) took: Duration,
    /// The generation that it began for each alias.
    pub(crate) generations: BTreeMap<ServiceName, u64>,
}

/// What a member brings to the end: itself, the record of its end, and what it cleans up before that is seen.
pub(crate) struct Ended {
    pub(crate) member: Arc<Move>,
    pub(crate) record: MoveRecord,
    pub(crate) clean_up: Box<dyn FnOnce() + Send>,
}

/// The moves that switch together.
pub(crate) struct Company {
    /// All of them, in the order they were asked for.
    ids: Vec<MoveId>,
    moves: Mutex<BTreeMap<MoveId, Weak<Move>>>,
    reached: Mutex<BTreeMap<MoveId, Milestone>>,
    /// Why all are undone, as the first of them said it.
    cause: Mutex<Option<String>>,
    /// Held by the member that copies: services of one source may share files, and the store puts a file together once.
    copying: Mutex<()>,
    /// Held by the member that points aliases back.
    turn: Mutex<()>,
    /// Advanced with every change of any of them.
    pub(super) changed: Arc<Watch>,
    pub(crate) switching: Meeting<Ready, Switched>,
    pub(crate) ending: Meeting<Ended, ()>,
}

impl Company {
    /// Of moves that are made next; `ids` in the order they were asked for.
    pub(crate) fn of(ids: Vec<MoveId>) -> Arc<Self> {
        let changed = Arc::new(Watch::default());
        Arc::new(Self {
            ids,
            moves: Mutex::default(),
            reached: Mutex::default(),
            cause: Mutex::default(),
            copying: Mutex::default(),
            turn: Mutex::default(),
            switching: Meeting::new(Arc::clone(&changed)),
            ending: Meeting::new(Arc::clone(&changed)),
            changed,
        })
    }

    pub(super) fn join(&self, member: &Arc<Move>) {
        locked(&self.moves).insert(member.id, Arc::downgrade(member));
    }

    /// All of them, as far as they are known, in the order they were asked for. One whose record is damaged is not: it is not waited for.
    pub(crate) fn known(&self) -> Vec<Arc<Move>> {
        self.all().into_iter().filter_map(|(_, member)| member).collect()
    }

    fn all(&self) -> Vec<(MoveId, Option<Arc<Move>>)> {
        let moves = locked(&self.moves);
        self.ids.iter().map(|id| (*id, moves.get(id).and_then(Weak::upgrade))).collect()
    }

    /// The records of all.
    ///
    /// # Errors
    /// [`Error::MoveConflict`] where one is not known any more.
    pub(crate) fn records(&self) -> Result<Vec<MoveRecord>> {
        let record = |(id, member): (MoveId, Option<Arc<Move>>)| {
            member.map(|member| member.record()).ok_or_else(|| {
                let text = format!("{id}, which switched with it, is not known any more: nothing was changed; point the aliases one by one");
                Error::MoveConflict(text)
            })
        };
        self.all().into_iter().map(record).collect()
    }

    /// A member has come to a point of the procedure.
    pub(crate) fn reach(&self, id: MoveId, milestone: Milestone) {
        locked(&self.reached).insert(id, milestone);
        self.changed.advance();
    }

    /// The members that have not come to a point yet.
    pub(crate) fn missing(&self, milestone: Milestone) -> Vec<MoveId> {
        let known = self.known();
        let reached = locked(&self.reached);
        let is_there = |id: &MoveId| reached.get(id).is_some_and(|reached| *reached >= milestone);
        known.iter().map(|member| member.id).filter(|id| !is_there(id)).collect()
    }

    /// Only the member that holds this copies files; `None` while another does.
    pub(crate) fn begin_to_copy(&self) -> Option<MutexGuard<'_, ()>> {
        match self.copying.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Only the member that holds this points aliases back.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        locked(&self.turn)
    }

    /// Why all are undone; the first reason stays.
    pub(crate) fn note_cause(&self, reason: String) {
        locked(&self.cause).get_or_insert(reason);
    }

    /// Why a member has to be undone: another is undone, or was, or is not there although it has to switch too.
    pub(super) fn failure(&self, of: &Move) -> Option<String> {
        let reason = self.all().into_iter().filter(|(id, _)| *id != of.id).find_map(|(id, other)| {
            match other {
                Some(other) => other.look(undone),
                // What has switched stays, since the other one cannot go back with it.
                None if of.look(has_passed_the_switch) => None,
                None => Some(format!("{id}, which was to switch with it, is not recorded, or its record is damaged")),
            }
        })?;
        Some(locked(&self.cause).clone().unwrap_or(reason))
    }

    /// What people are shown of all.
    pub(super) fn companions(&self) -> Vec<Companion> {
        self.known().iter().map(|member| member.companion()).collect()
    }
}

impl Move {
    /// The moves that switch together with this one, if any do.
    pub(crate) fn company(&self) -> Option<&Arc<Company>> {
        self.company.as_ref()
    }

    /// All moves that switch together with this one, itself among them.
    pub(crate) fn members(self: &Arc<Self>) -> Vec<Arc<Self>> {
        self.company.as_ref().map_or_else(|| vec![Arc::clone(self)], |company| company.known())
    }

    /// Comes to a meeting of all members, and waits there as long as `goes_on` says so.
    ///
    /// # Errors
    /// As [`Meeting::attend`].
    pub(crate) fn attend<T, R: Clone>(
        &self,
        (company, meeting): (&Company, &Meeting<T, R>),
        what: T,
        goes_on: &dyn Fn() -> Result<()>,
        act: impl FnOnce(Vec<T>) -> Result<R>,
    ) -> Result<R> {
        let wait = |done: &dyn Fn() -> bool| {
            self.wait_until(None, done);
        };
        meeting.attend((self.id, company.known().len()), what, &Patience { wait: &wait, goes_on }, act)
    }

    /// What those that switch with it show of it.
    fn companion(&self) -> Companion {
        let state = self.lock();
        let spec = &state.record.spec;
        Companion {
            id: self.id,
            service: spec.service.clone(),
            alias: spec.alias.as_ref().map(ToString::to_string).unwrap_or_default(),
            phase: state.record.phase,
            waits_for: state.waits_for,
            activity: state.activity.clone(),
            error: state.record.undoing.clone(),
        }
    }

    /// Why it is undone together with others.
    pub(super) fn note_cause(&self, record: &MoveRecord, reason: &str) {
        if let Some(company) = &self.company {
            company.note_cause(format!("{} ({}) is undone: {reason}", self.id, name(record)));
        }
    }
}

/// What people call a member by: the alias that it switches.
fn name(record: &MoveRecord) -> &str {
    record.spec.alias.as_ref().map_or("", |alias| alias.as_written())
}

/// Why a member that is undone, or was, takes the others with it.
fn undone(record: &MoveRecord) -> Option<String> {
    let is_undone = record.undoing.is_some() || matches!(record.phase, MovePhase::Aborted | MovePhase::RolledBack);
    let reason = record.undoing.as_deref().unwrap_or("no reason is recorded");
    is_undone.then(|| format!("{} ({}) is undone: {reason}", record.id, name(record)))
}

fn has_passed_the_switch(record: &MoveRecord) -> bool {
    record.phase.is_after_switch() || record.report.generation.is_some()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
