//! A move whose two networks are in memory at once: the new one is proved beside the former one, which serves meanwhile.

use dede_bundle::store::Lease;
use dede_model::error::Result;

use crate::execution::Execution;
use crate::phases::compare::Shadowing;
use crate::phases::{load, shadow, switch, together, verify, warm};
use crate::planning::Planned;

/// From loading to the switch. `lease`: keeps the content in the store until the service has answered with it.
pub(crate) fn prove(run: &Execution<'_>, planned: &Planned, lease: Lease) -> Result<()> {
    let service = run.in_phase("loading", || load::load(run, planned))?;
    run.in_phase("warming", || warm::warm(run, &service))?;
    let (spec, source) = (&planned.plan.spec, planned.peer.as_ref());
    let verified = run.in_phase("verifying", || verify::verify(run, &service, spec, source, || run.check()));
    verified.map_err(|error| run.explained(error, planned))?;
    drop(lease);
    let shadowing = run.in_phase("shadowing", || shadow::shadow(run, &service))?;
    let live = shadowing.as_ref().map(Shadowing::live);
    together::be_ready(run, live.as_deref())?;
    run.in_phase("switching", || switch::switch(run, &service, None, live))
}
