//! Whether the services of a move are still the versions that it compared and verified.

use dede_engine::service::Service;
use dede_model::error::{Error, Result};

/// Checks that a service that is compared with, or rolled back to, is still the same version; one that is not in memory
/// has none.
pub(crate) fn unchanged(service: &Service, version: &str) -> Result<()> {
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
pub(crate) fn verified(service: &Service, version: &str, answers: bool) -> Result<()> {
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
