//! Networks of unknown origin: tried elsewhere before this process loads them.
//!
//! A file of a few hundred bytes can describe a network that takes more memory than there is, that crashes an engine, or that never
//! answers. What happens to the process that tries it happens to no service. It must not know processes.

use dede_api::requests::CreateRequest;

use crate::environment::Environment;
use crate::error::Result;
use crate::service::{Definition, Serving};

/// Tries what a service would be created with.
pub trait Trial: Send + Sync {
    /// Loads it and has it answer once, within bounds of memory and time.
    ///
    /// # Errors
    /// What creating it would be refused with; [`crate::error::Error::BadParameter`] where it met a bound, or its process ended.
    fn attempt(&self, request: &CreateRequest) -> Result<()>;
}

/// Does what [`Trial::attempt`] is for, in this process.
///
/// # Errors
/// As creating the service.
pub fn attempt(request: CreateRequest, environment: &Environment) -> Result<()> {
    let definition = Definition::restore(request, environment)?;
    Serving::open(&definition, environment).map(drop)
}
