//! A move whose two networks do not fit in memory side by side: the former is unloaded first, and requests wait
//! meanwhile.
//!
//! Live requests cannot be compared, so everything that can be checked beforehand is: files are there and verified, and
//! the source has been asked for its answers. At each point, a restart loads the service that the alias points to.

use std::sync::Arc;
use std::time::Duration;

use dede_engine::catalogue::check_idle;
use dede_engine::dispatch::rehearse;
use dede_engine::service::{PredictCall, Service};
use dede_model::error::{Error, Result};
use dede_model::priority;
use dede_storage::failpoint;

use crate::execution::Execution;
use crate::handle::Held;
use crate::live::Outcome;
use crate::phases::refusals::Refusals;
use crate::phases::warm::{self, Refused};
use crate::phases::{load, shadow, switch, verify};
use crate::planning::{IN_PLACE_WARMING_CALLS, Planned};
use crate::record::{Figures, MovePhase, Warming, bounded};
use crate::source::ModelSource;
use crate::source::patient::{abandonable, abandonable_at};

/// The golden inputs may take as long as requests may wait, and this long where that is short.
const LEAST_VERIFYING: Duration = Duration::from_secs(5);
/// The part of the time that requests may wait which warming may take.
const WARMING_PART: u32 = 10;

/// The service that is unloaded to make room for the new one, where that was asked for.
pub(crate) fn given_up(run: &Execution<'_>, planned: &Planned) -> Result<Option<Arc<Service>>> {
    if planned.plan.spec.replace_first { run.former() } else { Ok(None) }
}

/// From loading to the switch, while requests wait. After a failure, undoing the move restores the former service
/// and lets them go on.
pub(crate) fn exchange(run: &Execution<'_>, planned: &Planned, former: &Arc<Service>) -> Result<()> {
    let spec = &planned.plan.spec;
    let Some(alias) = spec.alias().cloned() else { return Ok(()) };
    if !spec.auto && !run.this.is_promoted() {
        let meanwhile = "then requests are held while the network is exchanged";
        shadow::wait_for_promotion(run, meanwhile, || Outcome::Undecided)?;
    }
    // The promotion may have taken long. From here on a source that is away is not waited for, while clients wait.
    run.check()?;
    check_idle(former)?;
    run.context.catalogue.snapshot().check_alone(&alias, former.id)?;
    let usual = Refusals::of(former).share();
    run.this.note(|record| record.effects.usually_refused = Some(usual))?;
    let source = run.context.peers.peer(&spec.source)?;
    abandonable(Arc::clone(&source), run.this).describe()?;
    let calls = former.captured();
    shadow::take_hold(run, &alias, former)?;
    failpoint("held");
    run.this.enter(MovePhase::Loading)?;
    let deadline = run.deadline(bounded(spec.hold_for));
    let hold = former.queue.hold(deadline)?;
    run.this.set_held(Some(Held { service: Arc::clone(former), hold }));
    run.this.show("waits for requests in flight, others are held", None);
    if !former.queue.wait_until_empty(deadline) {
        let text = format!("requests to {} did not end within {} s", former.name(), spec.hold_for.as_secs());
        return Err(Error::MoveConflict(text));
    }
    former.unload();
    failpoint("unloaded");
    // Clients wait for this, so it runs at ordinary priority.
    let service = priority::ordinary(|| load::load(run, planned))?;
    failpoint("exchanged");
    let calls = calls.into_iter().map(|captured| captured.call).collect();
    warm_shortly(run, &service, calls, bounded(spec.hold_for) / WARMING_PART)?;
    verify_in_time(run, &service, planned, source)?;
    switch::switch(run, &service, Some(former.id), None)
}

/// As [`verify::verify`], while clients wait.
fn verify_in_time(
    run: &Execution<'_>,
    service: &Arc<Service>,
    planned: &Planned,
    source: Arc<dyn ModelSource>,
) -> Result<()> {
    let spec = &planned.plan.spec;
    let most = bounded(spec.hold_for).max(LEAST_VERIFYING);
    let until = run.deadline(most);
    let peer = abandonable_at(source, run.this, until);
    let in_time = || {
        let text = || format!("answering the golden inputs takes longer than {} s", most.as_secs());
        let is_late = run.context.clock.now() >= until;
        run.check().and_then(|()| if is_late { Err(Error::MoveConflict(text())) } else { Ok(()) })
    };
    let verified = verify::verify(run, service, spec, peer.as_ref(), in_time);
    verified.map_err(|error| run.explained_by(error, planned, peer.as_ref()))
}

fn warm_shortly(run: &Execution<'_>, service: &Arc<Service>, captured: Vec<PredictCall>, most: Duration) -> Result<()> {
    run.this.enter(MovePhase::Warming)?;
    // Captured requests were answered to clients.
    let were_answered = !captured.is_empty();
    let calls = if were_answered { captured } else { service.generated_calls(IN_PLACE_WARMING_CALLS)? };
    let began = run.context.clock.now();
    let (mut requests, mut failed, mut refused) = (0, 0, Refused::default());
    for call in calls.iter().take(IN_PLACE_WARMING_CALLS) {
        run.check()?;
        if requests > 0 && run.since(began) >= most {
            break;
        }
        requests += 1;
        if let Err(error) = rehearse(service, call) {
            failed += 1;
            if were_answered {
                refused.add(&error);
            }
        }
    }
    let took_ms = run.since(began).as_secs_f64() * 1000.0;
    let warmed = Warming::Shortly { requests, failed, took_ms };
    run.this.note(|record| record.report.warming = Figures::of(&warmed).ok())?;
    warm::judge_refused(run, &refused)
}
