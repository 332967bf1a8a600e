//! The first phase: the plan is computed, and what the move relies on is claimed, so that it stays as it is.

use std::path::Path;
use std::sync::Arc;

use dede_model::error::{Error, Result};
use dede_storage::Place;

use crate::execution::Execution;
use crate::golden::file;
use crate::planning::{self, Planned};
use crate::record::{Former, MovePhase, MovePlan};
use crate::source::patient::{abandonable, patient};
use crate::standing::{former_service, own_service};

/// Computes the plan, or finds that of the record again.
pub(crate) fn plan(run: &Execution<'_>) -> Result<Planned> {
    run.this.enter(MovePhase::Planned)?;
    run.this.show("asks the source what there is to move", None);
    let record = run.this.record();
    let mut spec = record.spec.clone();
    if record.golden_given {
        spec.golden = file::given(run.this, run.context)?;
    }
    let peer = run.context.peers.peer(&spec.source)?;
    let patient = patient(Arc::clone(&peer), run.this);
    // A source that was never reached is not retried.
    let asked = if record.plan.is_some() { Arc::clone(&patient) } else { abandonable(peer, run.this) };
    let mut planned = planning::plan(&spec, asked, run.context)?;
    planned.peer = patient;
    if let Some(agreed) = &record.plan {
        // Resumed after a restart: names, places and versions are those of the record.
        run.check()?;
        if agreed.manifest != planned.plan.manifest {
            let text = "the service on the source changed since this move began; abort it, and begin anew";
            return Err(Error::MoveConflict(text.into()));
        }
        planned.plan = MovePlan { spec, ..agreed.clone() };
    } else if let Some(digest) = spec.plan.as_ref().filter(|digest| **digest != planned.plan.digest) {
        let text = format!("the plan {digest} is out of date: it would be {} now", planned.plan.digest);
        return Err(Error::MoveConflict(text));
    }
    if record.plan.is_none() && !planned.plan.obstacles.is_empty() {
        return Err(Error::MoveConflict(planned.plan.obstacles.join("; ")));
    }
    run.this.note(|record| {
        let report = &mut record.report;
        report.service = planned.plan.name.clone();
        report.version = planned.plan.version.clone();
        report.manifest = planned.plan.manifest.clone();
        report.repository = planned.plan.repository.clone();
        report.former = planned.plan.replaces.clone();
        report.total_bytes = planned.plan.total_bytes;
        record.plan = Some(MovePlan { spec: record.spec.clone(), ..planned.plan.clone() });
        record.former = record.former.take().or_else(|| planned.former.as_deref().map(Former::of));
    })?;
    Ok(planned)
}

/// Keeps what the move relies on as it is: the former service, and the place of its files.
pub(crate) fn claim(run: &Execution<'_>, planned: &Planned) -> Result<()> {
    let catalogue = &run.context.catalogue;
    let snapshot = catalogue.snapshot();
    let own = run.this.look(|record| own_service(record, &snapshot).map(|own| own.id));
    run.this.set_place(Place::of(Path::new(&planned.plan.repository)));
    catalogue.claim_directory(run.this.id, Path::new(&planned.plan.repository), own)?;
    let former = run.this.look(|record| former_service(record, &snapshot).cloned());
    former.map_or(Ok(()), |former| catalogue.claim_service(run.this.id, &former))?;
    run.check()
}
