//! A move that is carried out: the move and its dependencies, and what each phase looks at between its steps.
//!
//! It knows no phase.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dede_engine::service::Service;
use dede_model::error::{Error, Result};

use crate::MoveContext;
use crate::handle::Move;
use crate::planning::Planned;
use crate::served::Served;
use crate::source::ModelSource;
use crate::source::patient::abandonable;
use crate::standing::{Standing, changed, former_service, has_switched, own_service, standing};
use crate::versions::{unchanged, verified};

/// A move and its dependencies.
pub(crate) struct Execution<'a> {
    pub(crate) this: &'a Arc<Move>,
    pub(crate) context: &'a MoveContext,
    pub(crate) served: &'a Served,
}

impl Execution<'_> {
    /// The moment that is so far away.
    pub(crate) fn deadline(&self, after: Duration) -> Instant {
        self.context.clock.now() + after
    }

    /// The time since a moment.
    pub(crate) fn since(&self, began: Instant) -> Duration {
        self.context.clock.now().saturating_duration_since(began)
    }

    /// Runs a phase; what is logged meanwhile says so.
    pub(crate) fn in_phase<T>(&self, phase: &'static str, work: impl FnOnce() -> T) -> T {
        let _in_span = tracing::error_span!(target: "spans", "phase", phase).entered();
        tracing::info!(id = %self.this.id, phase, "a phase of the move begins");
        work()
    }

    /// The error of a question to the source; where the service has changed on the source meanwhile, an error that says
    /// so.
    pub(crate) fn explained(&self, error: Error, planned: &Planned) -> Error {
        let asked = self.context.peers.peer(&planned.plan.spec.source);
        match asked.map(|peer| abandonable(peer, self.this)) {
            Ok(peer) => self.explained_by(error, planned, peer.as_ref()),
            Err(_) => error,
        }
    }

    /// As [`Execution::explained`], by what that peer says.
    pub(crate) fn explained_by(&self, error: Error, planned: &Planned, peer: &dyn ModelSource) -> Error {
        if !matches!(error, Error::Peer(_) | Error::MoveConflict(_)) || self.this.undoing().is_some() {
            return error;
        }
        let spec = &planned.plan.spec;
        let Ok((manifest, _)) = peer.bundle(&spec.service, spec.with_training_state) else { return error };
        if dede_bundle::Digest::of(&manifest) == planned.bundle.manifest_digest() {
            return error;
        }
        let text = format!("{} changed on the source while it was moved; begin anew ({error})", spec.service);
        Error::MoveConflict(text)
    }

    /// The service that was replaced, by its identity: it may have another name now.
    pub(crate) fn replaced(&self) -> Option<Arc<Service>> {
        let snapshot = self.context.catalogue.snapshot();
        self.this.look(|record| former_service(record, &snapshot).cloned())
    }

    /// The service that this move created, whatever it is called now.
    pub(crate) fn own(&self) -> Result<Option<Arc<Service>>> {
        let snapshot = self.context.catalogue.snapshot();
        Ok(self.this.look(|record| own_service(record, &snapshot).cloned()))
    }

    /// The service that answers under the alias's name now, as long as it is the one that the move found there.
    pub(crate) fn former(&self) -> Result<Option<Arc<Service>>> {
        self.check()?;
        Ok(self.replaced())
    }

    /// Fails where the move is to be undone, and where a person changed what it works on: nothing more is done then.
    pub(crate) fn check(&self) -> Result<()> {
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

    /// Whether [`Execution::check`] would end the move.
    pub(crate) fn must_end(&self) -> bool {
        self.check().is_err()
    }

    pub(crate) fn check_abort(&self) -> Result<()> {
        match self.this.undoing() {
            Some(reason) => Err(Error::Cancelled(reason)),
            None => Ok(()),
        }
    }
}
