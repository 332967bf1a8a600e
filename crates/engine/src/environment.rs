//! What all services of a server share: the lists of connectors and backends, and the limits.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dede_model::backend::{Backend, EngineOptions};
use dede_model::connector::{Connector, InputLimits};
use dede_model::error::{Error, Result};
use dede_storage::FileAccess;
use dede_storage::{Place, Relation, Roots};

use crate::limiter::Limiter;
use crate::protocol::Protocol;
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
    /// Where all requests wait.
    pub limiter: Limiter,
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
    /// The protocol that services are created by.
    pub protocol: &'static dyn Protocol,
    /// Tries networks before they are loaded here, where that is wanted.
    pub trial: Option<Arc<dyn Trial>>,
}

/// Name, in the state directory, of the directory that holds the repositories of services that moves brought.
pub const BROUGHT: &str = "repositories";

impl Environment {
    /// Checks where a repository is, or would be made: beneath a root where there are some, and neither in nor around a directory that
    /// has another purpose on this server.
    ///
    /// # Errors
    /// [`Error::BadParameter`] saying which purpose.
    pub fn check_repository(&self, path: &Path) -> Result<()> {
        self.repository_roots.check(path)?;
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        let place = Place::of(path);
        let refuse = |what: &str| {
            let reason = format!("{} is {what}; a directory of its own expected", path.display());
            Err(Error::bad_parameter_at("model.repository", reason))
        };
        let brought = Place::of(&self.state_directory.join(BROUGHT));
        match place.relation(&Place::of(&self.state_directory)) {
            Relation::Apart => {}
            Relation::Inside if place.relation(&brought) == Relation::Inside => {}
            Relation::Same | Relation::Inside | Relation::Around => {
                return refuse("where this server keeps its own state, or in it, or around it");
            }
        }
        let data = self.guest_limits.as_ref().map(|limits| &limits.files);
        let data = data.and_then(|files| if let FileAccess::Beneath(roots) = files { Some(roots) } else { None });
        for root in self.repository_roots.iter().chain(data.into_iter().flat_map(Roots::iter)) {
            if matches!(place.relation(&Place::of(root)), Relation::Same | Relation::Around) {
                return refuse("a directory for the repositories or data of many, or around one");
            }
        }
        Ok(())
    }

    /// The backend of this name, or of this spelling of its name.
    ///
    /// # Errors
    /// [`Error::UnknownBackend`].
    pub fn backend(&self, name: &str) -> Result<&'static dyn Backend> {
        let is_named = |backend: &&dyn Backend| backend.name() == name || backend.other_names().contains(&name);
        let found = self.backends.iter().copied().find(is_named);
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
