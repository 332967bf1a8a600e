//! Exchanging networks in memory, for two that do not fit side by side: requests wait while one is unloaded and the
//! other is loaded.
//!
//! Which of the two a restart loads changes in the same step as the alias, so that a restart after a crash never needs
//! more memory than before it. The services themselves own what is in memory now.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dede_model::error::{Error, Result};

use super::Catalogue;
use super::desired::{AliasCommand, Command, Expected};
use super::owner::Change;
use super::snapshot::Snapshot;
use super::traffic::Traffic;
use crate::name::ServiceName;
use crate::service::{Service, ServiceId};

/// How long requests wait for a network that is loaded again.
const HOLD_FOR: Duration = Duration::from_secs(10);
/// Takes the place of a move's number where a rollback forbids trainings.
const RETURNING: u64 = 0;

impl Snapshot {
    /// The target of an alias and the service to go back to, where that one is not in memory.
    fn unloaded_before(&self, name: &ServiceName, back_to: Option<ServiceId>) -> Option<(Arc<Service>, Arc<Service>)> {
        let alias = self.alias(name)?;
        let previous = back_to.or_else(|| self.place_of(alias.previous()?)).filter(|id| self.is_unloaded(*id))?;
        Some((Arc::clone(self.by_id(alias.target().service()?)?), Arc::clone(self.by_id(previous)?)))
    }
}

/// Checks that a service is not in training: the training would load its network again at its end.
///
/// # Errors
/// [`Error::AliasConflict`] during a training.
pub fn check_idle(service: &Service) -> Result<()> {
    if service.jobs.is_busy() { Err(in_training(service)) } else { Ok(()) }
}

fn in_training(service: &Service) -> Error {
    Error::AliasConflict(format!("{} is in training, and cannot leave memory", service.name()))
}

/// The rollback of an alias to a service that is loaded in place of the present one.
struct Exchange<'a> {
    name: &'a ServiceName,
    expect: Option<&'a Expected>,
    present: &'a Arc<Service>,
    previous: &'a Arc<Service>,
    /// The version that `previous` must have.
    version: Option<String>,
}

impl Exchange<'_> {
    /// The command that commits the rollback.
    fn command(&self) -> Command {
        let (expect, from, to) = (self.expect.cloned(), self.present.id, self.previous.id);
        Command::Alias(self.name.clone(), AliasCommand::Exchange { expect, from, to })
    }
}

/// Marks an alias as being rolled back, until this is dropped.
struct Returning(Arc<Traffic>, Arc<Service>);

impl Drop for Returning {
    fn drop(&mut self) {
        self.1.jobs.allow(RETURNING);
        self.0.end_return();
    }
}

impl Catalogue {
    /// Rolls back to a service that is not in memory; `None` where it is in memory. `back_to`: the service, and the
    /// version that it must have; the previous target without it.
    pub(super) fn roll_back_loading(
        &self,
        name: &ServiceName,
        expect: Option<&Expected>,
        back_to: Option<(ServiceId, Option<String>)>,
    ) -> Option<Result<()>> {
        let (back_to, version) = back_to.unzip();
        let (present, previous) = self.snapshot().unloaded_before(name, back_to)?;
        let exchange = Exchange { name, expect, present: &present, previous: &previous, version: version.flatten() };
        Some(self.exchange_back(&exchange))
    }

    fn exchange_back(&self, exchange: &Exchange<'_>) -> Result<()> {
        let Exchange { name, present, .. } = exchange;
        let _returning = self.begin_return(exchange)?;
        let deadline = Instant::now() + HOLD_FOR;
        let hold = present.queue.hold(deadline)?;
        // Requests wait for the outcome, so a panic must not leave them waiting.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.exchange_held(exchange, deadline)));
        let counts = present.queue.release(&hold);
        let outcome = outcome.unwrap_or_else(|_| {
            Err(Error::Internal("going back ended in an internal error (panic); see the log".into()))
        });
        let (pause_ms, loaded) = (counts.lasted.as_millis(), outcome.is_ok());
        tracing::info!(alias = %name, held = counts.held, refused = counts.refused, pause_ms, loaded, "network exchanged");
        outcome
    }

    /// Checks before requests wait what would be refused afterwards; other changes of the alias are refused from here
    /// on.
    fn begin_return(&self, exchange: &Exchange<'_>) -> Result<Returning> {
        let (command, name) = (exchange.command(), exchange.name.clone());
        let snapshot = self.owner.look(move |snapshot| {
            snapshot.known().check_not_returning(&name)?;
            snapshot.desired.apply(&command, snapshot)?;
            snapshot.alias(&name).iter().for_each(|alias| alias.traffic.begin_return());
            Ok(())
        })?;
        let alias = snapshot.alias(exchange.name).ok_or_else(|| Error::AliasNotFound(exchange.name.to_string()))?;
        let returning = Returning(Arc::clone(&alias.traffic), Arc::clone(exchange.present));
        // A training that ends would load its network again.
        let reason = format!("{} is leaving memory, as {} goes back", exchange.present.name(), exchange.name);
        exchange.present.jobs.forbid(RETURNING, reason).map_err(|_| in_training(exchange.present))?;
        Ok(returning)
    }

    fn exchange_held(&self, exchange: &Exchange<'_>, deadline: Instant) -> Result<()> {
        let Exchange { present, previous, version, .. } = exchange;
        if !present.queue.wait_until_empty(deadline) {
            let text = format!("requests to {} did not end in time; nothing was changed", present.name());
            return Err(Error::AliasConflict(text));
        }
        present.unload();
        let is_version = || self.snapshot().check_version(previous.id, version.as_deref());
        let gone_back = previous.load().and_then(|()| is_version());
        let gone_back = gone_back.and_then(|()| self.owner.change(Change::record(exchange.command())).map(drop));
        gone_back.inspect_err(|_| {
            previous.unload();
            if let Err(error) = present.load() {
                tracing::error!(service = %present.name(), %error, "cannot be loaded again");
            }
        })
    }
}
