//! The phase that commits: the alias points to the new service.

use std::sync::Arc;
use std::time::Instant;

use dede_engine::catalogue::{Expected, SwitchRequest};
use dede_engine::service::{Service, ServiceId};
use dede_model::error::{Error, Result};
use dede_storage::failpoint;

use super::together;
use crate::execution::Execution;
use crate::handle::turned_out_worse;
use crate::live::{Live, Outcome};
use crate::record::{Before, MovePhase};
use crate::versions::unchanged;

/// The commit: the alias points to the new service, if the alias is unchanged, both services are the versions that
/// were compared, and the comparison allows it; all of that is checked in the same step. A service that was
/// unloaded for it is not loaded by a restart any more. Moves that switch together do so in one change.
pub(crate) fn switch(
    run: &Execution<'_>,
    service: &Arc<Service>,
    given_up: Option<ServiceId>,
    live: Option<Arc<Live>>,
) -> Result<()> {
    let spec = run.this.record().spec;
    let Some(alias) = spec.alias().cloned() else { return Ok(()) };
    if run.this.record().effects.before.is_none() {
        run.this.note(|record| record.effects.before = Some(Before::Free))?;
    }
    run.this.enter(MovePhase::Switching)?;
    run.check()?;
    let (before, generation) = run.this.look(|record| (record.effects.before.clone(), record.effects.generation));
    let expect = match before {
        None | Some(Before::Free) => vec![Expected::Generation(0)],
        Some(Before::Service(id) | Before::Alias { service: id }) => {
            std::iter::once(Expected::Service(id)).chain(generation.map(Expected::Generation)).collect()
        }
    };
    let former = run.this.look(|record| record.former.clone()).filter(|_| given_up.is_none());
    let former = former.and_then(|former| Some((run.replaced()?, former.version)));
    let allowed = move || {
        former.as_ref().map_or(Ok(()), |(former, version)| unchanged(former, version))?;
        match live.as_ref().map(|live| live.outcome()) {
            Some(Outcome::Worse(reason)) => Err(Error::MoveConflict(turned_out_worse(&reason))),
            Some(Outcome::Safe | Outcome::Undecided) | None => Ok(()),
        }
    };
    let version = Some(run.this.look(|record| record.report.version.clone()));
    let by = Some(run.this.id);
    let switch = SwitchRequest { expect, version, by, replaces_in_memory: given_up, ..SwitchRequest::to(service.id) };
    let (took, generation) = match run.this.company() {
        Some(company) => together::switch(run, company, &alias, switch, allowed)?,
        None => {
            let started = Instant::now();
            let info = run.context.catalogue.switch_if(alias.as_str(), switch, allowed)?;
            (started.elapsed(), info.generation)
        }
    };
    run.this.release_held();
    failpoint("switched");
    let former = run.replaced();
    run.this.note(|record| {
        record.report.switch_ms = Some(took.as_secs_f64() * 1000.0);
        record.report.generation = Some(generation);
        if let (Some(replaced), Some(former)) = (&mut record.report.former, &former) {
            replaced.service = former.name().to_string();
        }
    })
}
