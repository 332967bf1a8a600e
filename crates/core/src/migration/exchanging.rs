//! The way of a move whose two networks do not fit beside each other: the former leaves memory first, and requests wait meanwhile.
//!
//! Nothing can be compared on live requests, so all that can be known before is known before: files are there and verified, the source was
//! asked what it can be asked. A restart loads the one that the alias points to, at each point of this.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dede_api::moves::{MovePhase, MoveRequest};
use dede_bundle::failpoint;
use serde_json::json;

use super::mover::{Mover, alias, policy};
use super::plan::Planned;
use super::state::Held;
use crate::catalogue::check_idle;
use crate::error::{Error, Result};
use crate::priority;
use crate::service::{PredictCall, Service};

/// Requests that run on the new network before clients do: each of them waits for this.
pub(super) const WARMING_CALLS: usize = 20;
/// The part of the time that requests may wait which warming may take.
const WARMING_PART: u32 = 10;

impl Mover<'_> {
    /// The service whose place in memory the new one takes, where that was asked for.
    pub(super) fn given_up(&self, planned: &Planned) -> Result<Option<Arc<Service>>> {
        if planned.plan.request.replace_first { self.former() } else { Ok(None) }
    }

    /// From loading to the switch, while requests wait. What fails is put right by undoing the move, which lets them go on too.
    pub(super) fn exchange(&self, planned: &Planned, former: &Arc<Service>) -> Result<()> {
        let request = &planned.plan.request;
        let Some(alias) = alias(request)? else { return Ok(()) };
        if !request.auto && !self.this.is_promoted() {
            self.wait_for_promotion("then requests are held while the network is exchanged", || None);
        }
        self.check_abort()?;
        // Somebody may have waited long for the promotion. From here on nobody waits for a source that is away while clients do.
        if self.former()?.is_none_or(|present| present.id != former.id) {
            return Err(Error::MoveConflict(format!("{alias} was pointed elsewhere meanwhile")));
        }
        check_idle(former)?;
        let peer = self.surroundings.peers.peer(&request.source)?;
        peer.describe()?;
        let calls = former.captured();
        self.take_hold(&alias, former)?;
        failpoint("held");
        self.this.enter(MovePhase::Loading)?;
        let deadline = Instant::now() + Duration::from_secs(request.hold_for_s);
        let hold = former.admission.hold(deadline)?;
        self.this.set_held(Some(Held { service: Arc::clone(former), hold }));
        self.this.show("waits for requests in flight, others are held", None);
        if !former.admission.wait_until_empty(deadline) {
            let text = format!("requests to {} did not end within {} s", former.name(), request.hold_for_s);
            return Err(Error::MoveConflict(text));
        }
        former.unload();
        failpoint("unloaded");
        // Clients wait for this, so it gives way to nobody.
        let service = priority::ordinary(|| self.load(planned))?;
        failpoint("exchanged");
        let calls = calls.into_iter().map(|captured| captured.call).collect();
        self.warm_shortly(&service, calls, Duration::from_secs(request.hold_for_s) / WARMING_PART)?;
        self.verify(&service, request, peer.as_ref())?;
        self.switch(&service, Some(former.id))
    }

    fn warm_shortly(&self, service: &Arc<Service>, captured: Vec<PredictCall>, most: Duration) -> Result<()> {
        self.this.enter(MovePhase::Warming)?;
        let calls = if captured.is_empty() { service.generated_calls(WARMING_CALLS)? } else { captured };
        let began = Instant::now();
        let (mut requests, mut failed) = (0, 0);
        for call in calls.iter().take(WARMING_CALLS) {
            self.check_abort()?;
            if requests > 0 && began.elapsed() >= most {
                break;
            }
            requests += 1;
            // A request of another model need not suit this one.
            failed += usize::from(service.rehearse(call).is_err());
        }
        let took_ms = began.elapsed().as_secs_f64() * 1000.0;
        let warmed = json!({"requests": requests, "failed": failed, "took_ms": took_ms});
        self.this.note(|record| record.report.warming = Some(warmed))
    }

    /// Without the former service only errors can show that the new one is worse.
    pub(super) fn watch_alone(&self, new: &Arc<Service>, request: &MoveRequest) -> Result<()> {
        let (before, allowed) = (new.statistics.faults(), policy(request)?.max_errors);
        let faults = || new.statistics.faults() - before;
        self.this.show("counts errors of the new service", None);
        let deadline = Instant::now() + Duration::from_secs(request.watch_for_s);
        self.this.wait_until(Some(deadline), || faults() > allowed || self.this.undoing().is_some());
        self.check_abort()?;
        if faults() > allowed {
            let text = format!("it failed on {} requests by its own fault, {allowed} allowed", faults());
            return Err(Error::MoveConflict(format!("the new service turned out worse: {text}")));
        }
        Ok(())
    }
}
