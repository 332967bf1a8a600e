//! The phases that load the new service and run recent requests on it.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use dede_api::Object;
use dede_api::moves::MovePhase;
use dede_comparison::warming::warm;
use dede_engine::catalogue::Creation;
use dede_engine::name::ServiceName;
use dede_engine::service::{CreationRequest, PredictCall, Service};
use dede_model::error::{Error, Fault, Result};
use dede_model::repository::CONFIG;
use serde_json::Value;

use super::ownership::FileIdentity;
use super::plan::Planned;
use super::procedure::{Procedure, policy};

/// Generated requests that warm a network.
const WARMING_CALLS: usize = 32;

impl Procedure<'_> {
    /// Creates the service, which loads and warms its network; its version must be the one that was announced.
    pub(super) fn load(&self, planned: &Planned) -> Result<Arc<Service>> {
        self.this.enter(MovePhase::Loading)?;
        self.this.show("loads the network", None);
        self.check()?;
        let catalogue = &self.context.catalogue;
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
            unloaded: planned.plan.request.replace_first,
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
    pub(super) fn warm(&self, service: &Arc<Service>) -> Result<()> {
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
            let answered = service.dry_run(call);
            if let (Err(error), Some(former)) = (&answered, &former)
                && refused.is_new(call)
                && former.dry_run(call).is_ok()
            {
                refused.add(error);
            }
            Ok(answered.is_ok())
        })?;
        self.this.note(|record| record.report.warming = serde_json::to_value(&warmed).ok())?;
        self.judge_refused(&refused)
    }

    /// The new service may refuse captured requests, which the former one answered, no more often than the policy
    /// allows.
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
}

/// Recent requests that the new service refuses although the former one answered them.
#[derive(Debug, Default)]
pub(super) struct Refused {
    seen: HashSet<usize>,
    count: u64,
    first: String,
}

impl Refused {
    /// Whether a request was not seen before: warming repeats requests.
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

fn check_version(service: Arc<Service>, planned: &Planned) -> Result<Arc<Service>> {
    let (found, expected) = (service.version(), planned.bundle.version().to_string());
    if *found == *expected {
        return Ok(service);
    }
    Err(Error::MoveConflict(format!("what was loaded is {found}, the source announced {expected}")))
}

/// The creation of a service that came here, on its directory.
fn creation(description: &Object, repository: &Path) -> Result<CreationRequest> {
    let mut body = description.clone();
    let model = body.entry("model").or_insert_with(|| Object::new().into());
    let Value::Object(model) = model else {
        return Err(Error::Malformed(Fault::at("model", "an object expected")));
    };
    let place = repository.to_str().ok_or_else(|| Error::bad_parameter_at("repository", "a path in UTF-8 expected"))?;
    model.insert("repository".into(), place.into());
    CreationRequest::from_record(&Value::Object(body).to_string())
        .map_err(|error| Error::Malformed(Fault::at("the source's service", error.to_string())))
}
