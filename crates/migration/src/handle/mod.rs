//! One move as seen from outside: its record and its present activity. Commands of operators are in [`commands`], its end in
//! [`ending`], the moves that switch with it in [`company`].
//!
//! One lock, held for memory only. The record is written outside of it and by the move's own thread alone, so that no
//! older one overwrites a newer one; commands reach the disk with that thread's next step.

mod commands;
pub(crate) mod company;
mod ending;
pub(crate) mod meeting;

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dede_engine::limiter::{Hold, HoldCounts};
use dede_engine::move_id::MoveId;
use dede_engine::service::Service;
use dede_model::error::Result;
use dede_model::watch::Watch;
use dede_storage::Place;
use dede_storage::failpoint;

use self::company::Company;
use crate::clock::Clock;
use crate::live::Live;
use crate::record::{ExchangeReport, MovePhase, MoveProgress, MoveRecord, MoveReport, PhaseTime};
use crate::status::{Companion, MoveStatus};

/// How often a thread that waits looks at what is not of the move.
const LOOK: Duration = Duration::from_millis(50);

/// A move, shared by its thread and all clients that ask about it.
pub struct Move {
    /// Which.
    pub id: MoveId,
    directory: PathBuf,
    clock: Arc<dyn Clock>,
    running: AtomicBool,
    state: Mutex<State>,
    /// Advanced with every change of `state`, under its lock: clients know by the version what they have seen. One for all moves that
    /// switch together.
    changed: Arc<Watch>,
    /// The moves that switch with it.
    company: Option<Arc<Company>>,
    /// The requests that wait for this move.
    held: Mutex<Option<Held>>,
    /// What is known of the new service while live requests are compared.
    live: Mutex<Option<Arc<Live>>>,
}

/// A service that gives up its place in memory, and the requests that wait meanwhile.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) service: Arc<Service>,
    pub(crate) hold: Arc<Hold>,
}

struct State {
    record: MoveRecord,
    activity: String,
    progress: Option<MoveProgress>,
    waits_for: Option<&'static str>,
    /// Where its files go, once that is known.
    place: Option<Place>,
    /// Its end is being recorded: commands wait for the outcome.
    is_ending: bool,
}

impl State {
    fn begin(&mut self, phase: MovePhase, now_ms: u64) {
        self.progress = None;
        self.activity.clear();
        self.waits_for = None;
        begin(&mut self.record, phase, now_ms);
    }
}

fn begin(record: &mut MoveRecord, phase: MovePhase, now: u64) {
    let phases = &mut record.report.phases;
    if let Some(last) = phases.last_mut() {
        last.took_ms = now.saturating_sub(last.began_ms);
    }
    if phases.last().is_none_or(|last| last.phase != phase) {
        phases.push(PhaseTime { phase, began_ms: now, took_ms: 0 });
    }
    record.phase = phase;
}

impl Move {
    /// A move found by a restart.
    pub(crate) fn recorded(
        record: MoveRecord,
        directory: PathBuf,
        company: Option<Arc<Company>>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let planned = record.plan.as_ref().map(|plan| PathBuf::from(&plan.repository));
        let place = planned.or_else(|| record.spec.repository.clone());
        let place = place.filter(|_| !record.phase.is_over()).map(|place| Place::of(&place));
        let interrupted = Self::new(record, directory, false, place, company, clock);
        if !interrupted.phase().is_over() {
            interrupted.show_interrupted("interrupted by a restart");
        }
        interrupted
    }

    /// A move that begins: its maker has the right to run it. `place`: where its files go, where that was asked for.
    pub(crate) fn begun(
        record: MoveRecord,
        directory: PathBuf,
        place: Option<Place>,
        company: Option<Arc<Company>>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Self::new(record, directory, true, place, company, clock)
    }

    fn new(
        record: MoveRecord,
        directory: PathBuf,
        running: bool,
        place: Option<Place>,
        company: Option<Arc<Company>>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let state = State { record, activity: String::new(), progress: None, waits_for: None, place, is_ending: false };
        let changed = company.as_ref().map(|company| Arc::clone(&company.changed)).unwrap_or_default();
        let made = Arc::new(Self {
            id: state.record.id,
            directory,
            clock,
            running: AtomicBool::new(running),
            state: Mutex::new(state),
            changed,
            company,
            held: Mutex::default(),
            live: Mutex::default(),
        });
        made.company.iter().for_each(|company| company.join(&made));
        made
    }

    fn show_interrupted(&self, why: &str) {
        self.show(format!("{why}: resume goes on, abort undoes"), None);
        self.show_waiting(Some("resume"));
    }

    pub(crate) fn set_held(&self, held: Option<Held>) -> Option<Held> {
        std::mem::replace(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner), held)
    }

    pub(crate) fn held(&self) -> Option<Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What [`Move::promote`] looks at, while live requests are compared.
    pub(crate) fn set_live(&self, live: Option<Arc<Live>>) {
        *self.live.lock().unwrap_or_else(PoisonError::into_inner) = live;
    }

    /// The comparison that goes on.
    pub(crate) fn live(&self) -> Option<Arc<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the report; it becomes durable with the next note.
    pub(crate) fn change_report(&self, change: impl FnOnce(&mut MoveReport)) {
        self.change(|state| change(&mut state.record.report));
    }

    /// The alias was made again by a person while it was compared; it becomes durable with the next note.
    pub(crate) fn note_remade(&self) {
        self.change(|state| state.record.effects.remade = true);
    }

    /// Requests that wait go on, and the report says what became of them; it becomes durable with the next note.
    pub(crate) fn release_held(&self) {
        if let Some(Held { service, hold }) = self.set_held(None) {
            let counts = service.queue.release(&hold);
            self.change_report(|report| report.exchange = Some(exchange_report(counts)));
        }
    }

    /// Where it is.
    pub fn phase(&self) -> MovePhase {
        self.lock().record.phase
    }

    /// All that is known of it.
    pub fn info(&self) -> MoveStatus {
        self.present().1
    }

    /// All that is known of it, and the version of that.
    fn present(&self) -> (u64, MoveStatus) {
        // Of several moves that share a version, each is looked at under its own lock: what changes meanwhile is a later version.
        let seen = self.changed.version();
        let together = self.company.as_ref().map(|company| company.companions()).unwrap_or_default();
        let state = self.lock();
        let seen = if together.is_empty() { self.changed.version() } else { seen };
        (seen, self.info_at(&state, together))
    }

    /// The state after `seen`, once there is one; `None` when nothing changed in time. A watcher holds no thread.
    pub async fn change_after(&self, seen: u64, patience: Duration) -> Option<(u64, MoveStatus)> {
        tokio::time::timeout(patience, self.changed.changed_after(seen)).await.ok()?;
        Some(self.present())
    }

    /// Waits until it is over.
    pub fn wait_until_over(&self) -> MoveStatus {
        self.changed.wait_until(|| self.phase().is_over().then(|| self.info()))
    }

    fn info_at(&self, state: &State, together: Vec<Companion>) -> MoveStatus {
        let mut report = state.record.report.clone();
        let now = self.clock.unix_ms();
        if let Some(present) = report.phases.last_mut().filter(|_| !state.record.phase.is_over()) {
            present.took_ms = now.saturating_sub(present.began_ms);
        }
        MoveStatus {
            id: self.id,
            spec: state.record.spec.clone(),
            phase: state.record.phase,
            waits_for: state.waits_for,
            activity: state.activity.clone(),
            progress: state.progress.clone(),
            error: state.record.undoing.clone(),
            report,
            together,
        }
    }

    /// Where its files go.
    pub(crate) fn set_place(&self, place: Place) {
        self.change(|state| state.place = Some(place));
    }

    /// When the service that it replaced leaves memory, if it still has to.
    pub(crate) fn keeps_until_ms(&self) -> Option<u64> {
        let state = self.lock();
        let kept = state.record.report.kept.as_ref().filter(|kept| kept.outcome.is_none())?;
        state.record.phase.is_over().then_some(kept.until_ms)
    }

    /// Looks at the record without copying it.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&MoveRecord) -> T) -> T {
        look(&self.lock().record)
    }

    /// Why it is being undone, or has to be, together with others.
    pub(crate) fn undoing(&self) -> Option<String> {
        let own = self.lock().record.undoing.clone();
        own.or_else(|| self.company.as_ref()?.failure(self))
    }

    pub(crate) fn is_promoted(&self) -> bool {
        self.lock().record.promoted
    }

    /// What is recorded.
    pub(crate) fn record(&self) -> MoveRecord {
        self.lock().record.clone()
    }

    /// Changes the record and makes it durable.
    pub(crate) fn note(&self, change: impl FnOnce(&mut MoveRecord)) -> Result<()> {
        self.change(|state| change(&mut state.record));
        self.save()
    }

    /// Begins a phase: recorded before anything of it is done.
    ///
    /// # Errors
    /// [`dede_model::error::Error::Io`].
    pub(crate) fn enter(&self, phase: MovePhase) -> Result<()> {
        self.change(|state| state.begin(phase, self.clock.unix_ms()));
        self.save()?;
        failpoint(phase.as_str());
        Ok(())
    }

    /// What it does now. Not durable.
    pub(crate) fn show(&self, activity: impl Into<String>, progress: Option<MoveProgress>) {
        self.change(|state| {
            state.activity = activity.into();
            state.progress = progress;
        });
    }

    /// Shows what the move waits for an operator to do.
    pub(crate) fn show_waiting(&self, what: Option<&'static str>) {
        self.change(|state| state.waits_for = what);
    }

    /// Waits until `done`, looked at whenever something changed, or until `deadline`. False when the time ran out.
    pub(crate) fn wait_until(&self, deadline: Option<Instant>, mut done: impl FnMut() -> bool) -> bool {
        loop {
            let seen = self.changed.version();
            // Called without the lock: `done` may lock this very move.
            if done() {
                return true;
            }
            let now = self.clock.now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                return false;
            }
            // Not all that `done` looks at is of this move.
            let look = now + LOOK;
            self.clock.wait(&self.changed, seen, deadline.map_or(look, |deadline| deadline.min(look)));
        }
    }

    /// The time of this move.
    pub(crate) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    pub(crate) fn save(&self) -> Result<()> {
        self.record().save(&self.directory)
    }

    /// Removes what is kept of it, except its certificate.
    pub(crate) fn forget(&self) -> Result<()> {
        MoveRecord::forget(&self.directory, self.id)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        self.changed.advance();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reason given for a new service that is not switched to, or not kept.
pub(crate) fn turned_out_worse(reason: &str) -> String {
    format!("the new service turned out worse: {reason}")
}

/// What clients noticed of the exchange.
fn exchange_report(counts: HoldCounts) -> ExchangeReport {
    ExchangeReport {
        pause_ms: counts.lasted.as_secs_f64() * 1000.0,
        held_requests: counts.held,
        failed_requests: counts.refused,
    }
}
