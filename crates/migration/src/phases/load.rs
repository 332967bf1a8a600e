//! The phase that creates the new service on the files that were brought, and loads its network.

use std::path::Path;
use std::sync::Arc;

use dede_engine::catalogue::Creation;
use dede_engine::name::ServiceName;
use dede_engine::service::Service;
use dede_model::error::{Error, Result};
use dede_model::repository::CONFIG;

use crate::execution::Execution;
use crate::planning::Planned;
use crate::record::{FileIdentity, MovePhase};

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
    let was_there = run.this.look(|record| record.effects.owned.is_none());
    let how = Creation {
        by: Some(run.this.id),
        unloaded: planned.plan.spec.replace_first,
        keeps_config: was_there && repository.join(CONFIG).exists(),
    };
    let created = run.context.api.create(catalogue, &name, planned.bundle.service(), repository, how)?;
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
