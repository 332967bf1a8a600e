//! The procedure of a move: one function per phase, top to bottom.
//!
//! Each phase is recorded before it begins and may be done again from its start after a crash. Before the switch any failure
//! undoes everything; the switch is one change of the catalogue, committed by its own fsync; after it a failure points the alias back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dede_api::moves::{MovePhase, MovePlan, MoveRequest};
use dede_comparison::Policy;
use dede_engine::name::ServiceName;
use dede_engine::service::Service;
use dede_model::error::{Error, Fault, Result};
use dede_model::priority;
use dede_storage::Place;
use serde_json::Value;

use super::patient::{abandonable, patient};
use super::plan::{Planned, plan};
use super::record::Former;
use super::served::Served;
use super::shadowing::Shadowing;
use super::standing::{Standing, changed, former_service, has_switched, own_service, standing};
use super::state::Move;
use super::switching::{unchanged, verified};
use super::{ModelSource, MoveContext, golden_store, undo};

/// The longest of the times that a request may name, seconds: a year.
pub(super) const LONGEST_S: u64 = 366 * 24 * 3600;

/// A time of a request; records of earlier versions may hold any number.
pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds.min(LONGEST_S))
}

/// Runs a move to its end, or until it waits for an operator after a restart. The thread of the move does nothing else.
pub(super) fn run(this: &Arc<Move>, context: &MoveContext) {
    priority::give_way();
    let _in_span = tracing::error_span!(target: "spans", "move", id = %this.id).entered();
    let served = Served::begin(&this.record(), &context.catalogue);
    if let Err(error) = guarded(|| Procedure { this, context, served: &served }.go()) {
        tracing::warn!(id = %this.id, %error, "move failed");
        served.count(this, &context.catalogue);
        let undone = this.ask_to_undo(&error.to_string()).and_then(|()| guarded(|| undo::undo(this, context)));
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

/// The policy of a request: what it says over the defaults. Answers of a new model are meant to differ, so they are only reported
/// unless something else is asked for.
pub(super) fn policy(request: &MoveRequest) -> Result<Policy> {
    let mut members = request.policy.clone();
    members.entry("expect").or_insert_with(|| "report".into());
    let parsed = serde_json::from_value::<Policy>(Value::Object(members));
    let policy = parsed.map_err(|error| Error::Malformed(Fault::at("policy", error.to_string())))?;
    policy.check()?;
    Ok(policy)
}

/// A move and its dependencies.
pub(super) struct Procedure<'a> {
    pub(super) this: &'a Arc<Move>,
    pub(super) context: &'a MoveContext,
    pub(super) served: &'a Served,
}

impl<'a> Procedure<'a> {
    /// Continues from the phase that the record names.
    fn go(&self) -> Result<()> {
        let record = self.this.record();
        if record.phase.is_over() {
            return Ok(());
        }
        if record.undoing.is_some() {
            return undo::undo(self.this, self.context);
        }
        if !has_switched(&record, &self.context.catalogue.snapshot()) {
            let planned = self.in_phase("planned", || self.plan())?;
            self.claim(&planned)?;
            let lease =
                self.in_phase("copying", || self.copy(&planned)).map_err(|error| self.explained(error, &planned))?;
            match self.given_up(&planned)? {
                Some(former) => self.in_phase("exchanging", || self.exchange(&planned, &former))?,
                None => {
                    let service = self.in_phase("loading", || self.load(&planned))?;
                    self.in_phase("warming", || self.warm(&service))?;
                    let (request, source) = (&planned.plan.request, planned.peer.as_ref());
                    let verified =
                        self.in_phase("verifying", || self.verify(&service, request, source, || self.check()));
                    verified.map_err(|error| self.explained(error, &planned))?;
                    drop(lease);
                    let shadowing = self.in_phase("shadowing", || self.shadow(&service))?;
                    let live = shadowing.as_ref().map(Shadowing::live);
                    self.in_phase("switching", || self.switch(&service, None, live))?;
                }
            }
        }
        self.in_phase("watching", || self.watch())?;
        self.in_phase("draining", || self.drain())?;
        self.finish()
    }

    /// Runs a phase; what is logged meanwhile says so.
    fn in_phase<T>(&self, phase: &'static str, work: impl FnOnce() -> T) -> T {
        let _in_span = tracing::error_span!(target: "spans", "phase", phase).entered();
        tracing::info!(id = %self.this.id, phase, "a phase of the move begins");
        work()
    }

    fn plan(&self) -> Result<Planned> {
        self.this.enter(MovePhase::Planned)?;
        self.this.show("asks the source what there is to move", None);
        let record = self.this.record();
        let mut request = record.request.clone();
        if record.golden_given {
            request.golden = golden_store::given(self.this, self.context)?;
        }
        let peer = self.context.peers.peer(&request.source)?;
        let patient = patient(Arc::clone(&peer), self.this);
        // A source that was never reached is not retried.
        let asked = if record.plan.is_some() { Arc::clone(&patient) } else { abandonable(peer, self.this) };
        let mut planned = plan(&request, asked, self.context)?;
        planned.peer = patient;
        if let Some(agreed) = &record.plan {
            // Resumed after a restart: names, places and versions are those of the record.
            self.check()?;
            if agreed.manifest != planned.plan.manifest {
                let text = "the service on the source changed since this move began; abort it, and begin anew";
                return Err(Error::MoveConflict(text.into()));
            }
            planned.plan = MovePlan { request, ..agreed.clone() };
        } else if let Some(digest) = request.plan.as_ref().filter(|digest| **digest != planned.plan.digest) {
            let text = format!("the plan {digest} is out of date: it would be {} now", planned.plan.digest);
            return Err(Error::MoveConflict(text));
        }
        if record.plan.is_none() && !planned.plan.obstacles.is_empty() {
            return Err(Error::MoveConflict(planned.plan.obstacles.join("; ")));
        }
        self.this.note(|record| {
            let report = &mut record.report;
            report.service = planned.plan.name.clone();
            report.version = planned.plan.version.clone();
            report.manifest = planned.plan.manifest.clone();
            report.repository = planned.plan.repository.clone();
            report.former = planned.plan.replaces.clone();
            report.total_bytes = planned.plan.total_bytes;
            record.plan = Some(MovePlan { request: record.request.clone(), ..planned.plan.clone() });
            record.former = record.former.take().or_else(|| planned.former.as_deref().map(Former::of));
        })?;
        Ok(planned)
    }

    /// Keeps what the move relies on as it is: the former service, and the place of its files.
    fn claim(&self, planned: &Planned) -> Result<()> {
        let catalogue = &self.context.catalogue;
        let snapshot = catalogue.snapshot();
        let own = self.this.look(|record| own_service(record, &snapshot).map(|own| own.id));
        self.this.set_place(Place::of(Path::new(&planned.plan.repository)));
        catalogue.claim_directory(self.this.id, Path::new(&planned.plan.repository), own)?;
        let former = self.this.look(|record| former_service(record, &snapshot).cloned());
        former.map_or(Ok(()), |former| catalogue.claim_service(self.this.id, &former))?;
        self.check()
    }

    /// The error of a question to the source; where the service has changed on the source meanwhile, an error that says
    /// so.
    pub(super) fn explained(&self, error: Error, planned: &Planned) -> Error {
        let asked = self.context.peers.peer(&planned.plan.request.source);
        match asked.map(|peer| abandonable(peer, self.this)) {
            Ok(peer) => self.explained_by(error, planned, peer.as_ref()),
            Err(_) => error,
        }
    }

    /// As [`Procedure::explained`], by what that peer says.
    pub(super) fn explained_by(&self, error: Error, planned: &Planned, peer: &dyn ModelSource) -> Error {
        if !matches!(error, Error::Peer(_) | Error::MoveConflict(_)) || self.this.undoing().is_some() {
            return error;
        }
        let request = &planned.plan.request;
        let Ok((manifest, _)) = peer.bundle(&request.service, request.with_training_state) else { return error };
        if dede_bundle::Digest::of(&manifest) == planned.bundle.manifest_digest() {
            return error;
        }
        let text = format!("{} changed on the source while it was moved; begin anew ({error})", request.service);
        Error::MoveConflict(text)
    }

    /// The service that was replaced, by its identity: it may have another name now.
    pub(super) fn replaced(&self) -> Option<Arc<Service>> {
        let snapshot = self.context.catalogue.snapshot();
        self.this.look(|record| former_service(record, &snapshot).cloned())
    }

    /// The service that this move created, whatever it is called now.
    pub(super) fn own(&self) -> Result<Option<Arc<Service>>> {
        let snapshot = self.context.catalogue.snapshot();
        Ok(self.this.look(|record| own_service(record, &snapshot).cloned()))
    }

    /// The service that answers under the alias's name now, as long as it is the one that the move found there.
    pub(super) fn former(&self) -> Result<Option<Arc<Service>>> {
        self.check()?;
        Ok(self.replaced())
    }

    /// Fails where the move is to be undone, and where a person changed what it works on: nothing more is done then.
    pub(super) fn check(&self) -> Result<()> {
        self.check_abort()?;
        let snapshot = self.context.catalogue.snapshot();
        let ended = |reason: String| Err(Error::MoveConflict(format!("{reason}; nothing more is done")));
        // An alias that was deleted and made again may have the same generation and the same target.
        let compared = self.this.live();
        if let Some(live) = compared.filter(|live| !snapshot.is_there(live.alias())) {
            self.this.note_remade();
            return ended(changed(&live.alias().name, &snapshot));
        }
        self.this.look(|record| {
            if let Standing::Changed(reason) = standing(record, &snapshot) {
                return ended(reason);
            }
            let switched = has_switched(record, &snapshot);
            if let Some(own) = own_service(record, &snapshot) {
                verified(own, &record.report.version, switched)?;
            }
            // After the switch, a former service that changed is neither compared with nor rolled back to.
            let former = record.former.as_ref().filter(|_| !switched);
            let former = former.and_then(|noted| Some((former_service(record, &snapshot)?, noted)));
            former
                .map_or(Ok(()), |(former, noted)| unchanged(former, &noted.version))
                .or_else(|error| ended(error.to_string()))
        })
    }

    /// Whether [`Procedure::check`] would end the move.
    pub(super) fn must_end(&self) -> bool {
        self.check().is_err()
    }

    pub(super) fn check_abort(&self) -> Result<()> {
        match self.this.undoing() {
            Some(reason) => Err(Error::Cancelled(reason)),
            None => Ok(()),
        }
    }
}

/// The stable name of a request.
pub(super) fn alias(request: &MoveRequest) -> Result<Option<ServiceName>> {
    request.alias.as_deref().map(ServiceName::parse).transpose()
}
