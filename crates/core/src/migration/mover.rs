//! The procedure of a move: one function per phase, top to bottom.
//!
//! Each phase is recorded before it begins and may be done again from its start after a crash. Before the switch any failure
//! undoes everything; the switch is one change of the catalogue, committed by its own fsync; after it a failure points the alias back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dede_api::Object;
use dede_api::moves::{Kept, MovePhase, MoveRequest};
use dede_api::requests::CreateRequest;
use dede_bundle::failpoint;
use serde_json::{Value, json};

use super::patient::patient;
use super::plan::{Planned, plan};
use super::record::{Before, MoveRecord};
use super::shadowing::{Outcome, Shadowing};
use super::state::{Move, now_ms};
use super::{Peer, Surroundings, certificate, golden, golden_file, undo};
use crate::catalogue::{Catalogue, Expected, SwitchRequest};
use crate::comparison::{Exactness, Policy};
use crate::error::{Error, Fault, Result};
use crate::name::ServiceName;
use crate::priority;
use crate::service::{PredictCall, Service, ServiceId};
use crate::warming::warm;

/// Runs a move to its end, or until it waits for people after a restart. The thread of the move does nothing else.
pub(super) fn run(this: &Arc<Move>, surroundings: &Surroundings) {
    priority::give_way();
    if let Err(error) = guarded(|| Mover { this, surroundings }.go()) {
        tracing::warn!(id = %this.id, %error, "move failed");
        let undone = this.ask_to_undo(&error.to_string()).and_then(|()| guarded(|| undo::undo(this, surroundings)));
        if let Err(error) = undone {
            tracing::error!(id = %this.id, %error, "the move cannot be undone now; abort it again");
            this.show(format!("cannot be undone now: {error}"), None);
            this.show_waiting(Some("abort"));
        }
    }
    this.release();
}

/// A bug ends the move, not the thread that has to put things right.
fn guarded(work: impl FnOnce() -> Result<()>) -> Result<()> {
    let outcome = catch_unwind(AssertUnwindSafe(work));
    outcome.unwrap_or_else(|_| Err(Error::Internal("the move met a bug, see the log".into())))
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

/// Whether the commit happened: the catalogue knows, whatever was recorded.
pub(super) fn has_switched(record: &MoveRecord, catalogue: &Catalogue) -> bool {
    if record.phase.is_after_switch() {
        return true;
    }
    let (Some(alias), Some(service)) = (&record.request.alias, &record.effects.service) else { return false };
    record.phase == MovePhase::Switching
        && catalogue.resolve(alias).is_ok_and(|found| found.is_alias() && found.name == *service)
}

/// A move and what it works with.
pub(super) struct Mover<'a> {
    pub(super) this: &'a Arc<Move>,
    pub(super) surroundings: &'a Surroundings,
}

impl Mover<'_> {
    /// From wherever the record says it is.
    fn go(&self) -> Result<()> {
        let record = self.this.record();
        if record.phase.is_over() {
            return Ok(());
        }
        if record.undoing.is_some() {
            return undo::undo(self.this, self.surroundings);
        }
        if !has_switched(&record, &self.surroundings.catalogue) {
            let planned = self.plan()?;
            let lease = self.copy(&planned)?;
            match self.given_up(&planned)? {
                Some(former) => self.exchange(&planned, &former)?,
                None => {
                    let service = self.load(&planned)?;
                    self.warm(&service)?;
                    self.verify(&service, &planned.plan.request, planned.peer.as_ref())?;
                    drop(lease);
                    self.shadow(&service)?;
                    self.switch(&service, None)?;
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
        let asked = if record.plan.is_some() { Arc::clone(&patient) } else { peer };
        let mut planned = plan(&request, asked, self.surroundings)?;
        planned.peer = patient;
        if let Some(agreed) = &record.plan {
            // Gone on with after a restart: the names and places of then.
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
        })?;
        Ok(planned)
    }

    /// Creates the service, which loads and warms its network; its version must be the one that was announced.
    pub(super) fn load(&self, planned: &Planned) -> Result<Arc<Service>> {
        self.this.enter(MovePhase::Loading)?;
        self.this.show("loads the network", None);
        self.check_abort()?;
        let name = ServiceName::parse(&planned.plan.name)?;
        let catalogue = &self.surroundings.catalogue;
        let repository = Path::new(&planned.plan.repository);
        if let Ok(found) = catalogue.service(name.as_str()) {
            // Created before a restart.
            if found.definition.repository.root() != repository {
                return Err(Error::ServiceExists(name.to_string()));
            }
            if !found.is_loaded() {
                found.load()?;
            }
            return check_version(found, planned);
        }
        self.this.note(|record| record.effects.service = Some(name.clone()))?;
        let request = creation(planned.bundle.service(), repository)?;
        if self.this.record().request.replace_first {
            catalogue.create_dormant(name.as_str(), request)?;
        } else {
            catalogue.create(name.as_str(), request)?;
        }
        check_version(catalogue.service(name.as_str())?, planned)
    }

    /// Requests run on it until its latency is flat: recent ones of the service that it replaces, or generated ones.
    fn warm(&self, service: &Arc<Service>) -> Result<()> {
        self.this.enter(MovePhase::Warming)?;
        self.this.show("runs requests until the latency is flat", None);
        self.check_abort()?;
        let calls: Vec<PredictCall> = match self.former()?.map(|former| former.captured()) {
            Some(captured) if !captured.is_empty() => captured.into_iter().map(|captured| captured.call).collect(),
            _ => service.generated_calls(WARMING_CALLS)?,
        };
        let warmed = warm(&calls, |call| {
            self.check_abort()?;
            // A request of another model need not suit this one: what it fails on warms nothing, and is no failure of the move.
            Ok(service.rehearse(call).is_ok())
        })?;
        self.this.note(|record| record.report.warming = serde_json::to_value(&warmed).ok())
    }

    /// It must answer as it does on the source, before it sees traffic.
    pub(super) fn verify(&self, service: &Arc<Service>, request: &MoveRequest, peer: &dyn Peer) -> Result<()> {
        self.this.enter(MovePhase::Verifying)?;
        self.this.show("compares its answers with the source's", None);
        self.check_abort()?;
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

    /// The commit: the alias points to the new service, if it still points where it did. Whoever gave up its place in memory is not
    /// loaded by a restart any more.
    pub(super) fn switch(&self, service: &Arc<Service>, given_up: Option<ServiceId>) -> Result<()> {
        let request = self.this.record().request;
        let Some(alias) = alias(&request)? else { return Ok(()) };
        if self.this.record().effects.before.is_none() {
            self.this.note(|record| record.effects.before = Some(Before::Free))?;
        }
        self.this.enter(MovePhase::Switching)?;
        self.check_abort()?;
        // What was proved was proved against the one that answered then: whoever pointed the alias elsewhere since is not overruled.
        let expect = match self.this.record().effects.before {
            None | Some(Before::Free) => Expected::Generation(0),
            Some(Before::Service(id) | Before::Alias { service: id }) => Expected::Service(id),
        };
        let started = Instant::now();
        let by = Some(self.this.id);
        let switch =
            SwitchRequest { expect: Some(expect), by, replaces_in_memory: given_up, ..SwitchRequest::to(service.id) };
        let info = self.surroundings.catalogue.switch(alias.as_str(), switch)?;
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
        let new = self.surroundings.catalogue.resolve(alias.as_str())?.service;
        let Some(former) = self.replaced() else { return Ok(()) };
        if !former.is_loaded() {
            return self.watch_alone(&new, &record.request);
        }
        let watching = Shadowing::begin(self.surroundings, &alias, &former, &new, policy(&record.request)?)?;
        watching.copy_to(&former)?;
        let deadline = Instant::now() + Duration::from_secs(record.request.watch_for_s);
        self.this.show("compares the former service's answers with the new one's", None);
        self.this.wait_until(Some(deadline), || watching.is_worse() || self.this.undoing().is_some());
        let (summary, _) = watching.report();
        self.this.note(|record| record.report.watch = serde_json::to_value(&summary).ok())?;
        self.check_abort()?;
        match watching.outcome() {
            Outcome::Worse(reason) => Err(Error::MoveConflict(format!("the new service turned out worse: {reason}"))),
            Outcome::Safe | Outcome::Undecided => Ok(()),
        }
    }

    /// The service that was replaced, by its identity: it may have another name now.
    fn replaced(&self) -> Option<Arc<Service>> {
        let id = match self.this.record().effects.before? {
            Before::Free => return None,
            Before::Service(id) | Before::Alias { service: id } => id,
        };
        self.surroundings.catalogue.snapshot().services().find(|service| service.id == id).cloned()
    }

    /// Requests that began on the former service finish.
    fn drain(&self) -> Result<()> {
        let record = self.this.record();
        self.this.enter(MovePhase::Draining)?;
        let Some(former) = self.replaced() else { return Ok(()) };
        let deadline = Instant::now() + Duration::from_secs(record.request.drain_for_s);
        self.this.show("waits for requests in flight on the former service", None);
        let drained =
            self.this.wait_until(Some(deadline), || former.admission.inside() == 0 || self.this.undoing().is_some());
        self.check_abort()?;
        let left = if drained { 0 } else { former.admission.inside() as u64 };
        self.this.note(|record| record.report.cut_requests = left)
    }

    fn finish(&self) -> Result<()> {
        self.check_abort()?;
        let record = self.this.record();
        if let (Some(seconds), Some(_), None) = (record.request.keep_for_s, self.replaced(), &record.report.kept) {
            let until_ms = now_ms().saturating_add(seconds.saturating_mul(1000));
            self.this.note(|record| record.report.kept = Some(Kept { until_ms, outcome: None }))?;
        }
        certificate::write(self.this, self.surroundings)?;
        self.this.enter(MovePhase::Done)
    }

    /// The service that answers under the alias's name now, unless it is the new one.
    pub(super) fn former(&self) -> Result<Option<Arc<Service>>> {
        let record = self.this.record();
        let Some(alias) = &record.request.alias else { return Ok(None) };
        let resolved = self.surroundings.catalogue.resolve(alias).ok();
        Ok(resolved.filter(|found| Some(&found.name) != record.effects.service.as_ref()).map(|found| found.service))
    }

    pub(super) fn check_abort(&self) -> Result<()> {
        match self.this.undoing() {
            Some(reason) => Err(Error::Cancelled(reason)),
            None => Ok(()),
        }
    }
}

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
