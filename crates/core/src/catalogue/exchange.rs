//! Exchanging networks in memory, for two that do not fit beside each other: requests wait while one is let go of and the other is
//! loaded.
//!
//! Which of them a restart loads changes in the same step as the alias, so that after a crash there is never more in memory than before
//! it. What is in memory now is the services' own business.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Catalogue;
use super::request::Expected;
use super::snapshot::Snapshot;
use crate::error::{Error, Result};
use crate::name::ServiceName;
use crate::service::{Service, ServiceId};

/// How long requests wait for a network that is loaded again.
const HOLD_FOR: Duration = Duration::from_secs(10);

impl Snapshot {
    /// The target of an alias and the one to go back to, where that one is not in memory.
    fn dormant_before(&self, name: &ServiceName, back_to: Option<ServiceId>) -> Option<(Arc<Service>, Arc<Service>)> {
        let alias = self.alias(name)?;
        let previous = back_to.or_else(|| self.place_of(alias.previous()?)).filter(|id| self.dormant.contains(id))?;
        Some((Arc::clone(self.by_id(alias.target().service()?)?), Arc::clone(self.by_id(previous)?)))
    }

    /// Whether another took the place of this service in memory, for good: a restart does not load it.
    pub fn is_dormant(&self, id: ServiceId) -> bool {
        self.dormant.contains(&id)
    }

    /// Whether no other alias needs this service: it is about to leave memory.
    ///
    /// # Errors
    /// [`Error::AliasConflict`] with the alias that does.
    pub fn check_alone(&self, name: &ServiceName, id: ServiceId) -> Result<()> {
        let others = self.aliases.values().filter(|alias| alias.name != *name);
        match others.filter_map(|alias| Some((&alias.name, alias.role_of(id)?))).next() {
            None => Ok(()),
            Some((other, role)) => {
                let text = format!("it is the {role} of alias {other} too, which would have no network");
                Err(Error::AliasConflict(text))
            }
        }
    }

    /// A restart loads one of them from now on, and not the other.
    pub(super) fn with_exchanged(&self, dormant: Option<ServiceId>, loaded: ServiceId) -> Self {
        let mut next = self.clone();
        next.dormant.remove(&loaded);
        next.dormant.extend(dormant);
        next
    }

    /// Back to the service before, which is loaded in the place of the present one.
    fn with_exchanged_back(
        &self,
        name: &ServiceName,
        expect: Option<&Expected>,
        (present, previous): (ServiceId, ServiceId),
    ) -> Result<Self> {
        if let Some(expected) = expect {
            self.check_expected(name, expected)?;
        }
        self.check_alone(name, present)?;
        self.with_exchanged(Some(present), previous).with_return(name, present, previous)
    }
}

/// A training that ends would load its network again.
///
/// # Errors
/// [`Error::AliasConflict`] while one goes on.
pub fn check_idle(service: &Service) -> Result<()> {
    if service.jobs.is_busy() {
        return Err(Error::AliasConflict(format!("{} is in training, and cannot leave memory", service.name())));
    }
    Ok(())
}

impl Catalogue {
    /// Goes back to a service that is not in memory, the one before where none is named; `None` where it is in memory.
    pub(super) fn roll_back_loading(
        &self,
        name: &ServiceName,
        expect: Option<&Expected>,
        back_to: Option<ServiceId>,
    ) -> Option<Result<()>> {
        let (present, previous) = self.snapshot().dormant_before(name, back_to)?;
        Some(self.exchange_back(name, expect, &present, &previous))
    }

    fn exchange_back(
        &self,
        name: &ServiceName,
        expect: Option<&Expected>,
        present: &Arc<Service>,
        previous: &Arc<Service>,
    ) -> Result<()> {
        // What would be refused afterwards is refused before anybody waits.
        self.snapshot().with_exchanged_back(name, expect, (present.id, previous.id))?;
        check_idle(present)?;
        let deadline = Instant::now() + HOLD_FOR;
        let hold = present.admission.hold(deadline)?;
        let outcome = self.exchange_held(name, expect, (present, previous), deadline);
        let counts = present.admission.release(&hold);
        let (pause_ms, loaded) = (counts.lasted.as_millis(), outcome.is_ok());
        tracing::info!(alias = %name, held = counts.held, refused = counts.refused, pause_ms, loaded, "network exchanged");
        outcome
    }

    fn exchange_held(
        &self,
        name: &ServiceName,
        expect: Option<&Expected>,
        (present, previous): (&Arc<Service>, &Arc<Service>),
        deadline: Instant,
    ) -> Result<()> {
        if !present.admission.wait_until_empty(deadline) {
            let text = format!("requests to {} did not end in time; nothing was changed", present.name());
            return Err(Error::AliasConflict(text));
        }
        present.unload();
        let (ids, name, expect) = ((present.id, previous.id), name.clone(), expect.cloned());
        let change = move |snapshot: &Snapshot| snapshot.with_exchanged_back(&name, expect.as_ref(), ids);
        let gone_back = previous.load().and_then(|()| self.owner.change(change).map(drop));
        gone_back.inspect_err(|_| {
            previous.unload();
            if let Err(error) = present.load() {
                tracing::error!(service = %present.name(), %error, "cannot be loaded again");
            }
        })
    }
}
