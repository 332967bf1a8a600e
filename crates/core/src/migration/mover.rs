//! The procedure of a move: one function per phase, top to bottom.
//!
//! Each phase is recorded before it begins and may be done again from its start after a crash. Before the switch any failure
//! undoes everything; the switch is one change of the catalogue, committed by its own fsync; after it a failure points the alias back.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dede_api::Object;
use dede_api::moves::{Kept, MovePhase, MoveProgress, MoveRequest};
use dede_api::requests::CreateRequest;
use dede_bundle::store::Lease;
use dede_bundle::{Digest, Directory, failpoint};
use serde_json::{Value, json};

use super::fetch::fetch;
use super::patient::patient;
use super::plan::{Planned, plan};
use super::record::{Before, MoveRecord};
use super::shadowing::{Outcome, Shadowing};
use super::state::{Move, now_ms};
use super::{Surroundings, certificate, golden, stored, undo};
use crate::catalogue::{Catalogue, Expected, SwitchRequest};
use crate::comparison::{Exactness, Expect, Policy};
use crate::error::{Error, Fault, Result};
use crate::files::sync_directory;
use crate::name::ServiceName;
use crate::priority;
use crate::service::{PredictCall, Service};
use crate::warming::warm;

/// Runs a move to its end, or until it waits for people after a restart. The thread of the move does nothing else.
pub(super) fn run(this: &Arc<Move>, surroundings: &Surroundings) {
    priority::give_way();
    let outcome = catch_unwind(AssertUnwindSafe(|| Mover { this, surroundings }.go()));
    let outcome = outcome.unwrap_or_else(|_| Err(Error::Internal("the move met a bug, see the log".into())));
    if let Err(error) = outcome {
        tracing::warn!(id = %this.id, %error, "move failed");
        let undone = this.ask_to_undo(&error.to_string()).and_then(|()| undo::undo(this, surroundings));
        if let Err(error) = undone {
            tracing::error!(id = %this.id, %error, "the move cannot be undone now; abort it again");
            this.show(format!("cannot be undone now: {error}"), None);
            this.show_waiting(Some("abort"));
        }
    }
    this.release();
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

struct Mover<'a> {
    this: &'a Arc<Move>,
    surroundings: &'a Surroundings,
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
            let service = self.load(&planned)?;
            self.warm(&service)?;
            self.verify(&service, &planned)?;
            drop(lease);
            self.shadow(&service)?;
            self.switch(&service)?;
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

    /// Brings the files into a directory beside its final place, and renames it when all are there.
    fn copy(&self, planned: &Planned) -> Result<Lease> {
        self.this.enter(MovePhase::Copying)?;
        let store = &self.surroundings.store;
        let lease = store.lease();
        let directory = PathBuf::from(&planned.plan.repository);
        if is_complete(&directory, planned) {
            return Ok(lease);
        }
        if directory.exists() && self.this.record().effects.directory.as_ref() != Some(&directory) {
            let text = format!("{} is there already, with other files", directory.display());
            return Err(Error::MoveConflict(text));
        }
        let snapshot = self.surroundings.catalogue.snapshot();
        let local = super::plan::local(planned.plan.replaces.as_ref(), &snapshot);
        let mut brought: Vec<Digest> =
            planned.bundle.files().iter().map(|file| file.digest).chain(local.digests()).collect();
        brought.retain(|digest| matches!(store.contains(digest), Ok(false)));
        self.this.note(|record| {
            record.effects.directory = Some(directory.clone());
            record.effects.blobs.extend(brought);
        })?;
        let mut there = 0;
        let mut sent = 0;
        for file in planned.bundle.files() {
            self.check_abort()?;
            let total = planned.plan.total_bytes;
            let mut watch = |of_file: u64| {
                let progress = MoveProgress { done: there + of_file.min(file.size), total, unit: "bytes".into() };
                self.this.show(format!("fetches {}", file.name), Some(progress));
                self.check_abort()
            };
            let service = &planned.plan.request.service;
            sent += fetch(file, service, &planned.peer, &local, (store, &lease), &mut watch)?;
            there += file.size;
            failpoint("file");
        }
        self.this.note(|record| record.report.sent_bytes += sent)?;
        self.this.show("places the files", None);
        self.place(&directory, planned)?;
        Ok(lease)
    }

    fn place(&self, directory: &Path, planned: &Planned) -> Result<()> {
        let partial = partial(directory);
        remove_directory(&partial)?;
        let made = Directory::create(&partial).map_err(Error::io(format!("create {}", partial.display())))?;
        for file in planned.bundle.files() {
            self.surroundings.store.place(&file.digest, &made, &file.name, file.role).map_err(stored)?;
        }
        failpoint("placed");
        fs::rename(&partial, directory).map_err(Error::io(format!("rename {}", partial.display())))?;
        failpoint("in-place");
        sync_directory(directory.parent().unwrap_or(directory))
    }

    /// Creates the service, which loads and warms its network; its version must be the one that was announced.
    fn load(&self, planned: &Planned) -> Result<Arc<Service>> {
        self.this.enter(MovePhase::Loading)?;
        self.this.show("loads the network", None);
        self.check_abort()?;
        let name = ServiceName::parse(&planned.plan.name)?;
        let catalogue = &self.surroundings.catalogue;
        let repository = Path::new(&planned.plan.repository);
        if let Ok(found) = catalogue.service(name.as_str()) {
            // Created before a restart.
            return if found.definition.repository.root() == repository {
                check_version(found, planned)
            } else {
                Err(Error::ServiceExists(name.to_string()))
            };
        }
        self.this.note(|record| record.effects.service = Some(name.clone()))?;
        catalogue.create(name.as_str(), creation(planned.bundle.service(), repository)?)?;
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
    fn verify(&self, service: &Arc<Service>, planned: &Planned) -> Result<()> {
        self.this.enter(MovePhase::Verifying)?;
        self.this.show("compares its answers with the source's", None);
        self.check_abort()?;
        let request = &planned.plan.request;
        let host = planned.peer.describe()?;
        if host.is_none() && request.golden.is_empty() {
            let nothing = json!({"origin": "none: the source cannot be asked, and no cases were given", "cases": 0});
            return self.this.note(|record| record.report.golden = Some(nothing));
        }
        let (origin, cases) = golden::cases(request, service, planned.peer.as_ref())?;
        let alike = host.is_some_and(|host| host.computes_alike(&self.surroundings.host));
        let exactness = if alike { Exactness::BitEqual } else { Exactness::WithinTolerance };
        let found = golden::check(service, &cases, exactness)?;
        let passed = found.passed();
        self.this.note(|record| {
            record.report.golden = Some(json!({"origin": origin.as_str(), "cases": cases.len(), "result": found}));
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

    /// Live requests go to old and new; clients get the old one's answers.
    fn shadow(&self, service: &Arc<Service>) -> Result<()> {
        let request = self.this.record().request;
        let (Some(alias), Some(former)) = (alias(&request)?, self.former()?) else { return Ok(()) };
        self.this.enter(MovePhase::Shadowing)?;
        self.take_hold(&alias, &former)?;
        failpoint("held");
        let policy = policy(&request)?;
        let shadowing = Shadowing::begin(self.surroundings, &alias, &former, service, policy.clone())?;
        self.learn_noise(&shadowing, &former)?;
        shadowing.copy_to(service)?;
        let verdict = self.compare_live(&shadowing, Duration::from_secs(request.shadow_for_s))?;
        self.note_shadow(&shadowing)?;
        match verdict {
            Outcome::Worse(reason) => return Err(Error::MoveConflict(format!("the new service is worse: {reason}"))),
            Outcome::Undecided if request.auto && policy.expect != Expect::Report && !self.this.is_promoted() => {
                let text =
                    "the new service was not shown to be safe in time; compare longer with --shadow-for, or promote it";
                return Err(Error::MoveConflict(text.into()));
            }
            Outcome::Safe | Outcome::Undecided => {}
        }
        for percent in request.canary.iter().filter(|percent| **percent < 100) {
            self.canary(&shadowing, *percent)?;
        }
        if !request.auto && !self.this.is_promoted() {
            self.this.show("waits for a promotion; live requests are compared meanwhile", None);
            self.this.show_waiting(Some("promote"));
            self.this.wait_until(None, || self.this.is_promoted() || self.this.undoing().is_some());
            self.note_shadow(&shadowing)?;
        }
        self.check_abort()
    }

    /// What was under the name is noted; a plain service becomes the target of an alias of its name, so that it can be shadowed and
    /// switched. Clients see no difference, and an abort gives the name back.
    fn take_hold(&self, alias: &ServiceName, former: &Arc<Service>) -> Result<()> {
        let snapshot = self.surroundings.catalogue.snapshot();
        if self.this.record().effects.before.is_none() {
            let before = match snapshot.alias(alias) {
                Some(_) => Before::Alias { service: former.id },
                None => Before::Service(former.id),
            };
            self.this.note(|record| record.effects.before = Some(before))?;
        }
        if snapshot.alias(alias).is_some() {
            return Ok(());
        }
        let expect = Some(Expected::Service(former.id));
        let request = SwitchRequest { expect, takeover: true, ..SwitchRequest::to(former.id) };
        self.surroundings.catalogue.switch(alias.as_str(), request).map(drop)
    }

    /// The former service shadows itself for a moment: what it differs from itself by is not held against the new one.
    fn learn_noise(&self, shadowing: &Shadowing<'_>, former: &Arc<Service>) -> Result<()> {
        shadowing.copy_to(former)?;
        self.this.show("learns what the former service differs from itself by", None);
        let deadline = Instant::now() + LEARNING;
        let decided = || self.this.is_promoted() || self.this.undoing().is_some();
        self.this.wait_until(Some(deadline), || shadowing.knows_noise() || decided());
        self.check_abort()
    }

    /// The verdict on live requests; none when the time runs out, or when somebody promotes the new service: a person's decision is
    /// looked at first, so that no verdict of the same moment overrides it.
    fn compare_live(&self, shadowing: &Shadowing<'_>, patience: Duration) -> Result<Outcome> {
        let deadline = Instant::now() + patience;
        loop {
            self.check_abort()?;
            if self.this.is_promoted() {
                return Ok(Outcome::Undecided);
            }
            let outcome = shadowing.outcome();
            let done = shadowing.requests();
            let progress = MoveProgress { done, total: shadowing.wanted(), unit: "requests".into() };
            self.this.show("compares live answers", Some(progress));
            if outcome != Outcome::Undecided || Instant::now() >= deadline {
                return Ok(outcome);
            }
            let step = deadline.min(Instant::now() + SHOWN_EVERY);
            self.this.wait_until(Some(step), || {
                shadowing.outcome() != Outcome::Undecided || self.this.is_promoted() || self.this.undoing().is_some()
            });
        }
    }

    /// The new service answers a share of the requests for a while; one error more than allowed ends the move.
    fn canary(&self, shadowing: &Shadowing<'_>, percent: u8) -> Result<()> {
        self.this.show(format!("answers {percent} % of the requests"), None);
        shadowing.set_canary(percent)?;
        let step = Instant::now() + CANARY_STEP;
        self.this.wait_until(Some(step), || shadowing.is_worse() || self.this.undoing().is_some());
        self.check_abort()?;
        match shadowing.outcome() {
            Outcome::Worse(reason) => {
                Err(Error::MoveConflict(format!("the new service is worse at {percent} %: {reason}")))
            }
            Outcome::Safe | Outcome::Undecided => Ok(()),
        }
    }

    fn note_shadow(&self, shadowing: &Shadowing<'_>) -> Result<()> {
        let (summary, verdict) = shadowing.report();
        self.this.note(|record| {
            record.report.shadow = serde_json::to_value(&summary).ok();
            record.report.verdict = serde_json::to_value(&verdict).ok();
        })
    }

    /// The commit: the alias points to the new service, if it still points where it did.
    fn switch(&self, service: &Arc<Service>) -> Result<()> {
        let request = self.this.record().request;
        let Some(alias) = alias(&request)? else { return Ok(()) };
        let former = self.former()?;
        if former.is_none() {
            self.this.note(|record| record.effects.before = Some(Before::Free))?;
        }
        self.this.enter(MovePhase::Switching)?;
        self.check_abort()?;
        let expect = former.as_ref().map_or(Expected::Generation(0), |former| Expected::Service(former.id));
        let started = Instant::now();
        let by = Some(self.this.id);
        let switch = SwitchRequest { expect: Some(expect), by, ..SwitchRequest::to(service.id) };
        let info = self.surroundings.catalogue.switch(alias.as_str(), switch)?;
        let took = started.elapsed();
        failpoint("switched");
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
    fn former(&self) -> Result<Option<Arc<Service>>> {
        let record = self.this.record();
        let Some(alias) = &record.request.alias else { return Ok(None) };
        let resolved = self.surroundings.catalogue.resolve(alias).ok();
        Ok(resolved.filter(|found| Some(&found.name) != record.effects.service.as_ref()).map(|found| found.service))
    }

    fn check_abort(&self) -> Result<()> {
        match self.this.undoing() {
            Some(reason) => Err(Error::Cancelled(reason)),
            None => Ok(()),
        }
    }
}

/// Generated requests that warm a network.
const WARMING_CALLS: usize = 32;
/// Longest time to learn what the former service differs from itself by.
const LEARNING: Duration = Duration::from_secs(2);
/// How often the progress of a comparison is shown.
const SHOWN_EVERY: Duration = Duration::from_millis(500);
/// Time of each share of a canary.
const CANARY_STEP: Duration = Duration::from_secs(5);

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

/// Where files are put until all are there.
pub(super) fn partial(directory: &Path) -> PathBuf {
    let name = directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    directory.with_file_name(format!(".{name}.partial"))
}

/// Whether a directory holds exactly what the bundle says.
fn is_complete(directory: &Path, planned: &Planned) -> bool {
    directory.is_dir()
        && planned.bundle.files().iter().all(|file| {
            dede_bundle::hash_file(&directory.join(file.name.as_str())).ok() == Some((file.size, file.digest))
        })
}

/// Removes a directory that may be gone already.
pub(super) fn remove_directory(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("remove {}", path.display()))(error))
        }
        _ => Ok(()),
    }
}

/// The stable name of a request.
fn alias(request: &MoveRequest) -> Result<Option<ServiceName>> {
    request.alias.as_deref().map(ServiceName::parse).transpose()
}
