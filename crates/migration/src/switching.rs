//! The phase that commits: the alias points to the new service.

use std::sync::Arc;
use std::time::Instant;

use dede_api::moves::MovePhase;
use dede_engine::catalogue::{Expected, SwitchRequest};
use dede_engine::service::{Service, ServiceId};
use dede_model::error::{Error, Result};
use dede_storage::failpoint;

use super::procedure::{Procedure, alias};
use super::record::Before;
use super::shadowing::{Live, Outcome};
use super::state::turned_out_worse;

impl Procedure<'_> {
    /// The commit: the alias points to the new service, if the alias is unchanged, both services are the versions that
    /// were compared, and the comparison allows it; all of that is checked in the same step. A service that was
    /// unloaded for it is not loaded by a restart any more.
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
            former.as_ref().map_or(Ok(()), |(former, version)| unchanged(former, version))?;
            match live.as_ref().map(|live| live.outcome()) {
                Some(Outcome::Worse(reason)) => Err(Error::MoveConflict(turned_out_worse(&reason))),
                Some(Outcome::Safe | Outcome::Undecided) | None => Ok(()),
            }
        };
        let version = Some(self.this.look(|record| record.report.version.clone()));
        let by = Some(self.this.id);
        let switch =
            SwitchRequest { expect, version, by, replaces_in_memory: given_up, ..SwitchRequest::to(service.id) };
        let started = Instant::now();
        let info = self.context.catalogue.switch_if(alias.as_str(), switch, allowed)?;
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
}

/// Checks that a service that is compared with, or rolled back to, is still the same version; one that is not in memory
/// has none.
pub(super) fn unchanged(service: &Service, version: &str) -> Result<()> {
    let found = service.version();
    if *found == *version || !service.is_loaded() {
        return Ok(());
    }
    let name = service.name();
    Err(Error::MoveConflict(format!(
        "{name} is another version by now: {found}, and was {version} when the move began"
    )))
}

/// Checks that the new service is still the version that was verified. One that answers clients has to be in memory.
pub(super) fn verified(service: &Service, version: &str, answers: bool) -> Result<()> {
    match service.serving() {
        Ok(serving) if *serving.version() == *version => Ok(()),
        Ok(serving) => Err(Error::MoveConflict(format!(
            "{} is another version by now: {}, and {version} is what the move brought",
            service.name(),
            serving.version()
        ))),
        Err(_) if !answers => Ok(()),
        Err(reason) => Err(Error::MoveConflict(format!("{} cannot answer any more: {reason}", service.name()))),
    }
}
