//! The procedure of a move: one function per phase, top to bottom.
//!
//! Each phase is recorded before it begins and may be done again from its start after a crash. Before the switch any failure
//! undoes everything; the switch is one change of the catalogue, committed by its own fsync; after it a failure points the alias back.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dede_api::Object;
use dede_api::moves::{CutRequest, Kept, MovePhase, MoveReport, MoveRequest};
use dede_api::requests::CreateRequest;
use dede_bundle::failpoint;
use serde_json::{Value, json};

use super::destination::CONFIG;
use super::ownership::{FileIdentity, mark_of, unmark};
use super::patient::{abandonable, patient};
use super::plan::{Planned, plan};
use super::record::{Before, Former};
use super::served::Served;
use super::shadowing::{Live, Outcome, Shadowing};
use super::standing::{Standing, former_service, has_switched, own_service, standing};
use super::state::{Move, now_ms, turned_out_worse};
use super::{Peer, Surroundings, certificate, golden, golden_file, undo};
use crate::catalogue::{Creation, Expected, SwitchRequest};
use crate::comparison::{Exactness, Policy};
use crate::error::{Error, Fault, Result};
use crate::name::ServiceName;
use crate::priority;
use crate::service::{PredictCall, Service, ServiceId};
use crate::warming::warm;

/// The longest of the times that a request may name, seconds: a year.
pub(super) const LONGEST_S: u64 = 366 * 24 * 3600;

/// A time of a request; records of earlier versions may hold any number.
pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds.min(LONGEST_S))
}

/// Runs a move to its end, or until it waits for a person after a restart. The thread of the move does nothing else.
pub(super) fn run(this: &Arc<Move>, surroundings: &Surroundings) {
    priority::give_way();
    let served = Served::begin(&this.record(), &surroundings.catalogue);
    if let Err(error) = guarded(|| Mover { this, surroundings, served: &served }.go()) {
        tracing::warn!(id = %this.id, %error, "move failed");
        served.count(this, &surroundings.catalogue);
        let undone = this.ask_to_undo(&error.to_string()).and_then(|()| guarded(|| undo::undo(this, surroundings)));
        if let Err(error) = undone {
            tracing::error!(id = %this.id, %error, "the move cannot be undone now; abort it again");
            this.show(format!("cannot be undone now: {error}; remove the cause, then abort again"), None);
            this.show_waiting(Some("abort"));
        }
    }
    if this.phase().is_over() {
        surroundings.catalogue.release_claims(this.id);
    }
    this.release();
}

/// A bug ends the move, not the thread that has to put things right.
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

/// A move and what it works with.
pub(super) struct Mover<'a> {
    pub(super) this: &'a Arc<Move>,
    pub(super) surroundings: &'a Surroundings,
    pub(super) served: &'a Served,
}

impl<'a> Mover<'a> {
    /// From wherever the record says it is.
    fn go(&self) -> Result<()> {
        let record = self.this.record();
        if record.phase.is_over() {
            return Ok(());
        }
        if record.undoing.is_some() {
            return undo::undo(self.this, self.surroundings);
        }
        if !has_switched(&record, &self.surroundings.catalogue.snapshot()) {
            let planned = self.plan()?;
            self.claim(&planned)?;
            let lease = self.copy(&planned).map_err(|error| self.explained(error, &planned))?;
            match self.given_up(&planned)? {
                Some(former) => self.exchange(&planned, &former)?,
                None => {
                    let service = self.load(&planned)?;
                    self.warm(&service)?;
                    let verified = self.verify(&service, &planned.plan.request, planned.peer.as_ref());
                    verified.map_err(|error| self.explained(error, &planned))?;
                    drop(lease);
                    let shadowing = self.shadow(&service)?;
                    self.switch(&service, None, shadowing.as_ref().map(Shadowing::live))?;
                }
            }
        }
        self.watch()?;
        self.drain()?;
        self.finish()
    }

    fn plan(&self) -> Result<Planned> {
        self.this.enter(MovePhase::Planned)?;
        self.this.show("asks the source what there is to move", None);
        let request = self.this.record().request;
        let record = self.this.record();
        let peer = self.surroundings.peers.peer(&request.source)?;
        let patient = patient(Arc::clone(&peer), self.this);
        // Nobody waits for a source that never was there.
        let asked = if record.plan.is_some() { Arc::clone(&patient) } else { abandonable(peer, self.this) };
        let mut planned = plan(&request, asked, self.surroundings)?;
        planned.peer = patient;
        if let Some(agreed) = &record.plan {
            // Gone on with after a restart: the names, places and versions of then.
            self.check()?;
            if agreed.manifest != planned.plan.manifest {
                let text = "the service on the source changed since this move began; abort it, and begin anew";
                return Err(Error::MoveConflict(text.into()));
            }
            planned.plan = agreed.clone();
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
            record.plan = Some(planned.plan.clone());
            record.former = record.former.take().or_else(|| planned.former.as_deref().map(Former::of));
        })?;
        Ok(planned)
    }

    /// Keeps what the move relies on as it is: the former service, and the place of its files.
    fn claim(&self, planned: &Planned) -> Result<()> {
        let catalogue = &self.surroundings.catalogue;
        let snapshot = catalogue.snapshot();
        let own = self.this.look(|record| own_service(record, &snapshot).map(|own| own.id));
        catalogue.claim_directory(self.this.id, Path::new(&planned.plan.repository), own)?;
        let former = self.this.look(|record| former_service(record, &snapshot).cloned());
        former.map_or(Ok(()), |former| catalogue.claim_service(self.this.id, &former))?;
        self.check()
    }

    /// What failed while the source was asked, or the source itself where its service is another by now.
    pub(super) fn explained(&self, error: Error, planned: &Planned) -> Error {
        if !matches!(error, Error::Peer(_) | Error::MoveConflict(_)) || self.this.undoing().is_some() {
            return error;
        }
        let request = &planned.plan.request;
        let asked = self.surroundings.peers.peer(&request.source);
        let asked = asked.map(|peer| abandonable(peer, self.this));
        let now = asked.and_then(|peer| peer.bundle(&request.service, request.with_training_state));
        let Ok((manifest, _)) = now else { return error };
        if dede_bundle::Digest::of(&manifest) == planned.bundle.manifest_digest() {
            return error;
        }
        let text = format!("{} changed on the source while it was moved; begin anew ({error})", request.service);
        Error::MoveConflict(text)
    }

    /// Creates the service, which loads and warms its network; its version must be the one that was announced.
    pub(super) fn load(&self, planned: &Planned) -> Result<Arc<Service>> {
        self.this.enter(MovePhase::Loading)?;
        self.this.show("loads the network", None);
        self.check()?;
        let catalogue = &self.surroundings.catalogue;
        if let Some(found) = self.own()? {
            // Created before a restart.
            catalogue.claim_service(self.this.id, &found)?;
            if !found.is_loaded() {
                found.load()?;
            }
            return check_version(found, planned);
        }
        let (name, repository) = (ServiceName::parse(&planned.plan.name)?, Path::new(&planned.plan.repository));
        self.this.note(|record| record.effects.service = Some(name.clone()))?;
        let request = creation(planned.bundle.service(), repository)?;
        let was_there = self.this.look(|record| record.effects.owned.is_none());
        let how = Creation {
            by: Some(self.this.id),
            dormant: planned.plan.request.replace_first,
            keeps_config: was_there && repository.join(CONFIG).exists(),
        };
        let created = catalogue.create_as(name.as_str(), request, how)?;
        if was_there && !how.keeps_config {
            let written = FileIdentity::of(&repository.join(CONFIG)).map(|identity| (CONFIG.to_owned(), identity));
            self.this.note(|record| record.effects.added.extend(written))?;
        }
        check_version(created, planned)
    }

    /// Requests run on it until its latency is flat: recent ones of the service that it replaces, or generated ones.
    fn warm(&self, service: &Arc<Service>) -> Result<()> {
        self.this.enter(MovePhase::Warming)?;
        self.this.show("runs requests until the latency is flat", None);
        self.check()?;
        let former = self.former()?;
        let captured = former.as_ref().map(|former| former.captured()).unwrap_or_default();
        let calls: Vec<PredictCall> = if captured.is_empty() {
            service.generated_calls(WARMING_CALLS)?
        } else {
            captured.into_iter().map(|captured| captured.call).collect()
        };
        let mut refused = Refused::default();
        let warmed = warm(&calls, |call| {
            self.check()?;
            let answered = service.rehearse(call);
            if let (Err(error), Some(former)) = (&answered, &former)
                && refused.is_new(call)
                && former.rehearse(call).is_ok()
            {
                refused.add(error);
            }
            Ok(answered.is_ok())
        })?;
        self.this.note(|record| record.report.warming = serde_json::to_value(&warmed).ok())?;
        self.judge_refused(&refused)
    }

    /// What clients were answered before must be answered by the new service too, as often as the policy says.
    pub(super) fn judge_refused(&self, refused: &Refused) -> Result<()> {
        let allowed = policy(&self.this.record().request)?.max_errors;
        if refused.count <= allowed {
            return Ok(());
        }
        let (count, first) = (refused.count, &refused.first);
        let text =
            format!("the new service is worse: it refuses {count} of the recent requests that were answered: {first}");
        Err(Error::MoveConflict(text))
    }

    /// It must answer as it does on the source, before it sees traffic.
    pub(super) fn verify(&self, service: &Arc<Service>, request: &MoveRequest, peer: &dyn Peer) -> Result<()> {
        self.this.enter(MovePhase::Verifying)?;
        self.this.show("compares its answers with the source's", None);
        self.check()?;
        let host = peer.describe()?;
        if host.is_none() && request.golden.is_empty() {
            let nothing = json!({"origin": "none: the source cannot be asked, and no cases were given", "cases": 0});
            return self.this.note(|record| record.report.golden = Some(nothing));
        }
        let (origin, cases) = golden::cases(request, service, peer)?;
        let alike = host.is_some_and(|host| host.computes_alike(&self.surroundings.host));
        let exactness = if alike { Exactness::BitEqual } else { Exactness::WithinTolerance };
        let found = golden::check(service, &cases, exactness)?;
        let passed = found.passed();
        let kept = golden_file::keep(self.this, self.surroundings, origin, &cases)?;
        self.this.note(|record| {
            let (origin, cases) = (origin.as_str(), cases.len());
            record.report.golden = Some(json!({"origin": origin, "cases": cases, "digest": kept, "result": found}));
        })?;
        if passed {
            return Ok(());
        }
        let worst = found.worst.first().map(|missed| format!(", {}: {}", missed.input, missed.found));
        let text = format!(
            "{} of {} golden answers are not reproduced{}",
            found.missed,
            found.answers,
            worst.unwrap_or_default()
        );
        Err(Error::MoveConflict(text))
    }

    /// The commit: the alias points to the new service, if it still stands as it did, nothing became of either service since they were
    /// compared, and the comparison allows it; all of that is looked at in the same step. A service that gave up its place in memory is
    /// not loaded by a restart any more.
    pub(super) fn switch(
        &self,
        service: &Arc<Service>,
        given_up: Option<ServiceId>,
        live: Option<Arc<Live>>,
    ) -> Result<()> {
        let request = self.this.record().request;
        let Some(alias) = alias(&request)? else { return Ok(()) };
        if self.this.record().effects.before.is_none() {
            self.this.note(|record| record.effects.before = Some(Before::Free))?;
        }
        self.this.enter(MovePhase::Switching)?;
        self.check()?;
        let (before, generation) = self.this.look(|record| (record.effects.before.clone(), record.effects.generation));
        let expect = match before {
            None | Some(Before::Free) => vec![Expected::Generation(0)],
            Some(Before::Service(id) | Before::Alias { service: id }) => {
                std::iter::once(Expected::Service(id)).chain(generation.map(Expected::Generation)).collect()
            }
        };
        let former = self.this.look(|record| record.former.clone()).filter(|_| given_up.is_none());
        let former = former.and_then(|former| Some((self.replaced()?, former.version)));
        let allowed = move || {
            former.map_or(Ok(()), |(former, version)| unchanged(&former, &version))?;
            match live.map(|live| live.outcome()) {
                Some(Outcome::Worse(reason)) => Err(Error::MoveConflict(turned_out_worse(&reason))),
                Some(Outcome::Safe | Outcome::Undecided) | None => Ok(()),
            }
        };
        let version = Some(self.this.look(|record| record.report.version.clone()));
        let by = Some(self.this.id);
        let switch =
            SwitchRequest { expect, version, by, replaces_in_memory: given_up, ..SwitchRequest::to(service.id) };
        let started = Instant::now();
        let info = self.surroundings.catalogue.switch_if(alias.as_str(), switch, allowed)?;
        let took = started.elapsed();
        self.this.release_held();
        failpoint("switched");
        let former = self.replaced();
        self.this.note(|record| {
            record.report.switch_ms = Some(took.as_secs_f64() * 1000.0);
            record.report.generation = Some(info.generation);
            if let (Some(replaced), Some(former)) = (&mut record.report.former, &former) {
                replaced.service = former.name().to_string();
            }
        })
    }

    /// The former service answers copies; a new one that turns out worse is rolled back.
    fn watch(&self) -> Result<()> {
        let record = self.this.record();
        let Some(alias) = alias(&record.request)? else { return Ok(()) };
        self.this.enter(MovePhase::Watching)?;
        self.check()?;
        let new = self.own()?.ok_or_else(|| Error::MoveConflict("the new service is gone".into()))?;
        let Some(former) = self.replaced() else { return Ok(()) };
        if !former.is_loaded() {
            return self.watch_alone(&new, &former, &record.request);
        }
        let policy = policy(&record.request)?;
        let full_before = self.served.full_before();
        let watching = Shadowing::begin(self.this, self.surroundings, &alias, (&former, &new), policy, full_before)?;
        watching.copy_to(&former)?;
        let deadline = Instant::now() + seconds(record.request.watch_for_s);
        self.this.show("compares the former service's answers with the new one's", None);
        self.this.wait_until(Some(deadline), || watching.is_worse() || self.must_end());
        let (summary, _) = watching.report();
        self.this.note(|record| record.report.watch = serde_json::to_value(&summary).ok())?;
        self.check()?;
        match watching.outcome() {
            Outcome::Worse(reason) => Err(Error::MoveConflict(turned_out_worse(&reason))),
            Outcome::Safe | Outcome::Undecided => Ok(()),
        }
    }

    /// The service that was replaced, by its identity: it may have another name now.
    pub(super) fn replaced(&self) -> Option<Arc<Service>> {
        let snapshot = self.surroundings.catalogue.snapshot();
        self.this.look(|record| former_service(record, &snapshot).cloned())
    }

    /// The service that this move created, whatever it is called now.
    fn own(&self) -> Result<Option<Arc<Service>>> {
        let snapshot = self.surroundings.catalogue.snapshot();
        Ok(self.this.look(|record| own_service(record, &snapshot).cloned()))
    }

    /// Requests that began on the former service finish.
    fn drain(&self) -> Result<()> {
        let record = self.this.record();
        self.this.enter(MovePhase::Draining)?;
        let Some(former) = self.replaced() else { return Ok(()) };
        let deadline = Instant::now() + seconds(record.request.drain_for_s);
        self.this.show("waits for requests in flight on the former service", None);
        let drained = self.this.wait_until(Some(deadline), || former.admission.inside() == 0 || self.must_end());
        self.check()?;
        let left = if drained { Vec::new() } else { former.admission.running() };
        let cut = |ran: &Duration| {
            let ran_ms = u64::try_from(ran.as_millis()).unwrap_or(u64::MAX);
            CutRequest { began_ms: now_ms().saturating_sub(ran_ms), ran_ms }
        };
        self.this.note(|record| {
            record.report.cut_requests = left.len() as u64;
            record.report.cut = left.iter().take(CUT_LISTED).map(cut).collect();
        })
    }

    fn finish(&self) -> Result<()> {
        self.check()?;
        let record = self.this.record();
        if let (Some(seconds), Some(_), None) = (record.request.keep_for_s, self.replaced(), &record.report.kept) {
            let until_ms = now_ms().saturating_add(seconds.saturating_mul(1000));
            self.this.note(|record| record.report.kept = Some(Kept { until_ms, outcome: None }))?;
        }
        self.served.count(self.this, &self.surroundings.catalogue);
        if record.request.alias.is_some() {
            self.this.note(|record| record.report.unproved = unproved(&record.report))?;
            // Undoing it removes no files from here on.
            self.unmark();
        }
        certificate::write(self.this, self.surroundings)?;
        self.check()?;
        // A person who sees the end may change what the move needed.
        self.surroundings.catalogue.release_claims(self.this.id);
        self.this.enter(MovePhase::Done)?;
        self.unmark();
        Ok(())
    }

    fn unmark(&self) {
        let (directory, name) =
            self.this.look(|record| (record.effects.directory.clone(), mark_of(record.id, &record.effects)));
        directory.iter().for_each(|directory| unmark(directory, &name));
    }

    /// The service that answers under the alias's name now, as long as it is the one that the move found there.
    pub(super) fn former(&self) -> Result<Option<Arc<Service>>> {
        self.check()?;
        Ok(self.replaced())
    }

    /// Ends the move where it is to be undone, and where what it works on was changed by a person: nothing more is done then.
    pub(super) fn check(&self) -> Result<()> {
        self.check_abort()?;
        let snapshot = self.surroundings.catalogue.snapshot();
        let ended = |reason: String| Err(Error::MoveConflict(format!("{reason}; nothing more is done")));
        self.this.look(|record| {
            if let Standing::Changed(reason) = standing(record, &snapshot) {
                return ended(reason);
            }
            let former = record.former.as_ref().and_then(|noted| Some((former_service(record, &snapshot)?, noted)));
            former
                .map_or(Ok(()), |(former, noted)| unchanged(former, &noted.version))
                .or_else(|error| ended(error.to_string()))
        })
    }

    /// Whether [`Mover::check`] would end the move.
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

/// A service that is compared with, or gone back to, stays the version that it was; one that is not in memory has none.
pub(super) fn unchanged(service: &Service, version: &str) -> Result<()> {
    let found = service.version();
    if found == version || !service.is_loaded() {
        return Ok(());
    }
    let name = service.name();
    Err(Error::MoveConflict(format!(
        "{name} is another version by now: {found}, and was {version} when the move began"
    )))
}

/// Why nothing is proved on live requests, where no request was compared.
fn unproved(report: &MoveReport) -> Option<String> {
    let compared = [&report.shadow, &report.watch].into_iter().flatten().any(|found| {
        let errors = &found["errors"];
        let counts = [&found["requests"], &errors["old_only"], &errors["both"]];
        counts.into_iter().any(|count| count.as_u64() > Some(0))
    });
    if compared {
        return None;
    }
    let reason = if report.former.is_none() {
        "no service answered under this name before, so nothing was compared on live requests"
    } else if report.exchange.is_some() {
        "the two networks were never in memory at once, so nothing was compared on live requests"
    } else {
        "no live request was compared, before or after the switch"
    };
    Some(reason.to_owned())
}

/// Recent requests that the new service refuses although the former one answered them.
#[derive(Debug, Default)]
pub(super) struct Refused {
    seen: HashSet<usize>,
    count: u64,
    first: String,
}

impl Refused {
    /// Whether a request was not looked at before: requests that warm are repeated.
    fn is_new(&mut self, call: &PredictCall) -> bool {
        self.seen.insert(std::ptr::from_ref(call).addr())
    }

    pub(super) fn add(&mut self, error: &Error) {
        self.count += 1;
        if self.count == 1 {
            self.first = error.to_string();
        }
    }
}

/// Requests that are listed of those that were still running at the end of the drain.
const CUT_LISTED: usize = 100;
/// Generated requests that warm a network.
const WARMING_CALLS: usize = 32;
fn check_version(service: Arc<Service>, planned: &Planned) -> Result<Arc<Service>> {
    let (found, expected) = (service.version(), planned.bundle.version().to_string());
    if found == expected {
        return Ok(service);
    }
    Err(Error::MoveConflict(format!("what was loaded is {found}, the source announced {expected}")))
}

/// The creation of a service that came here, on its directory.
fn creation(description: &Object, repository: &Path) -> Result<CreateRequest> {
    let mut body = description.clone();
    let model = body.entry("model").or_insert_with(|| Object::new().into());
    let Value::Object(model) = model else {
        return Err(Error::Malformed(Fault::at("model", "an object expected")));
    };
    let place = repository.to_str().ok_or_else(|| Error::bad_parameter_at("repository", "a path in UTF-8 expected"))?;
    model.insert("repository".into(), place.into());
    let text = Value::Object(body.clone()).to_string();
    CreateRequest::read(body, &text)
        .map_err(|error| Error::Malformed(Fault::at("the source's service", error.to_string())))
}

/// The stable name of a request.
pub(super) fn alias(request: &MoveRequest) -> Result<Option<ServiceName>> {
    request.alias.as_deref().map(ServiceName::parse).transpose()
}
