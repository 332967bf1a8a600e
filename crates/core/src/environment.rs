//! What all services of a server share: the lists of connectors and backends, and the limits.

use std::path::PathBuf;
use std::sync::Arc;

use crate::backend::{Backend, EngineOptions};
use crate::connector::{Connector, InputLimits};
use crate::error::{Error, Result};
use crate::repository::Roots;
use crate::trial::Trial;

/// Set once, when the server starts.
#[derive(Clone)]
pub struct Environment {
    /// Every connector of this server.
    pub connectors: &'static [&'static dyn Connector],
    /// Every backend of this server.
    pub backends: &'static [&'static dyn Backend],
    /// How engines run.
    pub engine: EngineOptions,
    /// Bounds on input.
    pub limits: Arc<InputLimits>,
    /// The same for requests of guests, where they may name fewer files.
    pub guest_limits: Option<Arc<InputLimits>>,
    /// Requests of one service that may wait and run at once.
    pub queue_limit: usize,
    /// Recent inputs kept in memory per service, bytes; 0: none.
    pub capture_bytes: usize,
    /// Refuse unknown parameters instead of logging them.
    pub strict: bool,
    /// Where repositories may be.
    pub repository_roots: Roots,
    /// Where services and aliases are recorded.
    pub state_directory: PathBuf,
    /// Tries networks before they are loaded here, where that is wanted.
    pub trial: Option<Arc<dyn Trial>>,
}

impl Environment {
    /// The backend of this name.
    ///
    /// # Errors
    /// [`Error::UnknownBackend`].
    pub fn backend(&self, name: &str) -> Result<&'static dyn Backend> {
        let found = self.backends.iter().copied().find(|backend| backend.name() == name);
        found.ok_or_else(|| Error::UnknownBackend(name.to_owned()))
    }

    /// The connector of this name.
    ///
    /// # Errors
    /// [`Error::UnknownConnector`].
    pub fn connector(&self, name: &str) -> Result<&'static dyn Connector> {
        let found = self.connectors.iter().copied().find(|connector| connector.name() == name);
        found.ok_or_else(|| Error::UnknownConnector(name.to_owned()))
    }
}
