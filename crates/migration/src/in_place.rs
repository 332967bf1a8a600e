//! A move whose two networks do not fit in memory side by side: the former is unloaded first, and requests wait
//! meanwhile.
//!
//! Live requests cannot be compared, so everything that can be checked beforehand is: files are there and verified, and
//! the source has been asked for its answers. At each point, a restart loads the service that the alias points to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dede_api::moves::{MovePhase, MoveRequest};
use dede_comparison::{ConfidenceSequence, Position};
use dede_engine::catalogue::check_idle;
use dede_engine::service::{PredictCall, Service};
use dede_model::error::{Error, Result};
use dede_model::priority;
use dede_storage::failpoint;
use serde_json::json;

use super::ModelSource;
use super::loading::Refused;
use super::patient::{abandonable, abandonable_at};
use super::plan::Planned;
use super::procedure::{Procedure, alias, policy, seconds};
use super::shadowing::Outcome;
use super::state::{Held, turned_out_worse};

/// Requests that run on the new network before clients do: each of them waits for this.
pub(super) const WARMING_CALLS: usize = 20;
/// The golden inputs may take as long as requests may wait, and this long where that is short.
const LEAST_VERIFYING: Duration = Duration::from_secs(5);
/// The part of the time that requests may wait which warming may take.
const WARMING_PART: u32 = 10;

impl Procedure<'_> {
    /// The service that is unloaded to make room for the new one, where that was asked for.
    pub(super) fn given_up(&self, planned: &Planned) -> Result<Option<Arc<Service>>> {
        if planned.plan.request.replace_first { self.former() } else { Ok(None) }
    }

    /// From loading to the switch, while requests wait. After a failure, undoing the move restores the former service
    /// and lets them go on.
    pub(super) fn exchange(&self, planned: &Planned, former: &Arc<Service>) -> Result<()> {
        let request = &planned.plan.request;
        let Some(alias) = alias(request)? else { return Ok(()) };
        if !request.auto && !self.this.is_promoted() {
            let meanwhile = "then requests are held while the network is exchanged";
            self.wait_for_promotion(meanwhile, || Outcome::Undecided)?;
        }
        // The promotion may have taken long. From here on a source that is away is not waited for, while clients wait.
        self.check()?;
        check_idle(former)?;
        self.context.catalogue.snapshot().check_alone(&alias, former.id)?;
        let usual = Refusals::of(former).share();
        self.this.note(|record| record.effects.usually_refused = Some(usual))?;
        let source = self.context.peers.peer(&request.source)?;
        abandonable(Arc::clone(&source), self.this).describe()?;
        let calls = former.captured();
        self.take_hold(&alias, former)?;
        failpoint("held");
        self.this.enter(MovePhase::Loading)?;
        let deadline = Instant::now() + seconds(request.hold_for_s);
        let hold = former.queue.hold(deadline)?;
        self.this.set_held(Some(Held { service: Arc::clone(former), hold }));
        self.this.show("waits for requests in flight, others are held", None);
        if !former.queue.wait_until_empty(deadline) {
            let text = format!("requests to {} did not end within {} s", former.name(), request.hold_for_s);
            return Err(Error::MoveConflict(text));
        }
        former.unload();
        failpoint("unloaded");
        // Clients wait for this, so it runs at ordinary priority.
        let service = priority::ordinary(|| self.load(planned))?;
        failpoint("exchanged");
        let calls = calls.into_iter().map(|captured| captured.call).collect();
        self.warm_shortly(&service, calls, seconds(request.hold_for_s) / WARMING_PART)?;
        self.verify_in_time(&service, planned, source)?;
        self.switch(&service, Some(former.id), None)
    }

    /// As [`Procedure::verify`], while clients wait.
    fn verify_in_time(&self, service: &Arc<Service>, planned: &Planned, source: Arc<dyn ModelSource>) -> Result<()> {
        let request = &planned.plan.request;
        let most = seconds(request.hold_for_s).max(LEAST_VERIFYING);
        let until = Instant::now() + most;
        let peer = abandonable_at(source, self.this, until);
        let in_time = || {
            let text = || format!("answering the golden inputs takes longer than {} s", most.as_secs());
            let is_late = Instant::now() >= until;
            self.check().and_then(|()| if is_late { Err(Error::MoveConflict(text())) } else { Ok(()) })
        };
        let verified = self.verify(service, request, peer.as_ref(), in_time);
        verified.map_err(|error| self.explained_by(error, planned, peer.as_ref()))
    }

    fn warm_shortly(&self, service: &Arc<Service>, captured: Vec<PredictCall>, most: Duration) -> Result<()> {
        self.this.enter(MovePhase::Warming)?;
        // Captured requests were answered to clients.
        let were_answered = !captured.is_empty();
        let calls = if were_answered { captured } else { service.generated_calls(WARMING_CALLS)? };
        let began = Instant::now();
        let (mut requests, mut failed, mut refused) = (0, 0, Refused::default());
        for call in calls.iter().take(WARMING_CALLS) {
            self.check()?;
            if requests > 0 && began.elapsed() >= most {
                break;
            }
            requests += 1;
            if let Err(error) = service.dry_run(call) {
                failed += 1;
                if were_answered {
                    refused.add(&error);
                }
            }
        }
        let took_ms = began.elapsed().as_secs_f64() * 1000.0;
        let warmed = json!({"requests": requests, "failed": failed, "took_ms": took_ms});
        self.this.note(|record| record.report.warming = Some(warmed))?;
        self.judge_refused(&refused)
    }

    /// Without the former service in memory, it cannot be asked about requests that the new one refuses: only faults
    /// show that the new one is worse, and a share of refused requests that is surely above the former one's. All
    /// requests to the new service count: none came before this move made it, and some may have come since the switch.
    pub(super) fn watch_alone(&self, new: &Service, request: &MoveRequest) -> Result<()> {
        let policy = policy(request)?;
        let usual = self.this.look(|record| record.effects.usually_refused).unwrap_or_default().max(LEAST_SHARE);
        let worse = || {
            let faults = new.statistics.faults();
            if faults > policy.max_errors {
                return Some(format!("it failed on {faults} requests by its own fault, {} allowed", policy.max_errors));
            }
            let since = Refusals::of(new);
            let is_surely_more = since.refused > policy.max_errors && since.is_surely_above(usual, policy.alpha);
            is_surely_more.then(|| {
                let Refusals { refused, requests } = since;
                format!("it refused {refused} of {requests} requests, the former service {:.1} %", usual * 100.0)
            })
        };
        self.this.show("counts errors of the new service", None);
        let deadline = Instant::now() + seconds(request.watch_for_s);
        self.this.wait_until(Some(deadline), || worse().is_some() || self.must_end());
        self.check()?;
        let since = Refusals::of(new);
        // Looked at once, at the end, so that a few requests are enough.
        let answered_none = || {
            let surely = since.refused > policy.max_errors && since.are_all_refused(usual, policy.alpha);
            surely.then(|| format!("it refused all {} requests since the switch", since.requests))
        };
        let worse = worse().or_else(answered_none);
        worse.map_or(Ok(()), |reason| Err(Error::MoveConflict(turned_out_worse(&reason))))
    }
}

/// A share of refused requests that is nothing unusual.
const LEAST_SHARE: f64 = 0.02;

/// Requests of a service, and those of them that it refused.
struct Refusals {
    requests: u64,
    refused: u64,
}

impl Refusals {
    fn of(service: &Service) -> Self {
        let counters = service.statistics.snapshot();
        Self { requests: counters.successes + counters.failures, refused: counters.failures }
    }

    fn share(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { self.refused as f64 / self.requests as f64 }
    }

    /// Whether all requests were refused, and that is as unlikely as `alpha` where each is refused with the probability
    /// `share`.
    fn are_all_refused(&self, share: f64, alpha: f64) -> bool {
        self.requests > 0 && self.refused == self.requests && share.powf(self.requests as f64) <= alpha
    }

    /// Whether the share of refused requests is above `share`; wrong with a probability of at most `alpha`, however
    /// often it is called.
    fn is_surely_above(&self, share: f64, alpha: f64) -> bool {
        let sequence = ConfidenceSequence::around(share.min(0.5));
        self.requests > 0
            && sequence.position(self.refused as f64, self.requests, share.min(0.99), alpha) == Position::Above
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_requests_that_are_all_refused_are_told_from_chance() {
        let all = |refused, requests, usual| Refusals { requests, refused }.are_all_refused(usual, 0.01);
        for (refused, requests, usual, expected) in [
            (0, 0, 0.02, false),
            (1, 1, 0.02, false),
            (2, 2, 0.02, true),
            (2, 3, 0.02, false),
            (3, 3, 0.5, false),
            (7, 7, 0.5, true),
            (100, 100, 1.0, false),
        ] {
            assert_eq!(all(refused, requests, usual), expected, "{refused} of {requests}, usually {usual}");
        }
    }

    #[test]
    fn a_service_that_refuses_most_is_told_from_one_that_refuses_as_usual() {
        let above = |refused, requests, usual| Refusals { requests, refused }.is_surely_above(usual, 0.01);
        for (refused, requests, usual, expected) in [
            (0, 0, 0.02, false),
            (0, 1000, 0.02, false),
            (1, 1, 0.02, false),
            (10, 10, 0.02, true),
            (20, 1000, 0.02, false),
            (300, 1000, 0.25, false),
            (900, 1000, 0.25, true),
        ] {
            assert_eq!(above(refused, requests, usual), expected, "{refused} of {requests}, usually {usual}");
        }
    }
}
