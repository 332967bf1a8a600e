//! The phases that load the new service and run recent requests on it.

use std::path::Path;
use std::sync::Arc;

use dede_api::Object;
use dede_api::moves::MovePhase;
use dede_api::requests::CreateRequest;
use dede_engine::catalogue::Creation;
use dede_engine::name::ServiceName;
use dede_engine::service::Service;
use dede_model::error::{Error, Fault, Result};
use dede_model::repository::CONFIG;
use serde_json::Value;

use crate::execution::Execution;
use crate::planning::Planned;
use crate::record::FileIdentity;

/// Creates the service, which loads and warms its network; its version must be the one that was announced.
pub(crate) fn load(run: &Execution<'_>, planned: &Planned) -> Result<Arc<Service>> {
    run.this.enter(MovePhase::Loading)?;
    run.this.show("loads the network", None);
    run.check()?;
    let catalogue = &run.context.catalogue;
    if let Some(found) = run.own()? {
        // Created before a restart.
        catalogue.claim_service(run.this.id, &found)?;
        if !found.is_loaded() {
            found.load()?;
        }
        return check_version(found, planned);
    }
    let (name, repository) = (ServiceName::parse(&planned.plan.name)?, Path::new(&planned.plan.repository));
    run.this.note(|record| record.effects.service = Some(name.clone()))?;
    let request = creation(planned.bundle.service(), repository)?;
    let was_there = run.this.look(|record| record.effects.owned.is_none());
    let how = Creation {
        by: Some(run.this.id),
        unloaded: planned.plan.request.replace_first,
        keeps_config: was_there && repository.join(CONFIG).exists(),
    };
    let created = catalogue.create_as(name.as_str(), request, how)?;
    if was_there && !how.keeps_config {
        let written = FileIdentity::of(&repository.join(CONFIG)).map(|identity| (CONFIG.to_owned(), identity));
        run.this.note(|record| record.effects.added.extend(written))?;
    }
    check_version(created, planned)
}

fn check_version(service: Arc<Service>, planned: &Planned) -> Result<Arc<Service>> {
    let (found, expected) = (service.version(), planned.bundle.version().to_string());
    if *found == *expected {
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
