//! Networks of unknown origin: loaded in another process before this one loads them.
//!
//! A file of a few hundred bytes can describe a network that takes more memory than there is, that crashes an engine,
//! or that never answers. Whatever becomes of the process that tries it, no service is harmed. This module must not
//! know processes.

use dede_model::error::Result;

use crate::creation::CreationRequest;

/// What a trial does while others run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// It waits with a few others, or is refused: a client asked for it, and each takes a thread.
    Client,
    /// It waits: neither a move nor a restart must fail because of what clients ask for, and only a few run at once.
    Own,
}

/// Tries what a service would be created with.
pub trait Trial: Send + Sync {
    /// Loads it and has it answer once, within bounds of memory and time.
    ///
    /// # Errors
    /// What creating it would be refused with; [`dede_model::error::Error::BadParameter`] where it met a bound, or its process ended;
    /// [`dede_model::error::Error::Overloaded`] where too many wait already, and this one is not patient.
    fn attempt(&self, request: &CreationRequest, patience: Patience) -> Result<()>;
}
