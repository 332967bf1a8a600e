//! One service: a model repository under a name, predicting and training.
//!
//! `definition` is the checked creation request, `serving` what the service answers with now, `predict` and `train` its
//! two operations.
//! A service must not know other services, aliases or HTTP.

pub mod attempt;
pub(crate) mod definition;
mod generated;
mod predict;
mod serving;
mod state;
mod train;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use serde::{Deserialize, Serialize};

pub use crate::answered::{Answered, Timings};
pub use crate::call::PredictCall;
pub use crate::creation::CreationRequest;
pub use definition::Definition;
pub use predict::{DryRun, Predicted};
pub use serving::{ServedFile, Serving};
use state::ServiceState;
pub use train::TrainCall;

use crate::capture::{CapturedCall, Ring};
use crate::environment::Environment;
use crate::job::{JobQueue, JobStore};
use crate::limiter::ServiceQueue;
use crate::name::ServiceName;
use crate::output;
use crate::statistics::Statistics;
use dede_model::error::{Error, Result};
use dede_model::memory;
use dede_model::parameters::keys::{Call, Idle, Remarks};
use dede_model::parameters::{Parameters, Section};

/// Identity of a service within a server: it stays when the service is renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServiceId(pub u64);

/// What stands for the version of a service without a network.
pub const NO_VERSION: &str = "none";

/// A running service, shared by all its users.
pub struct Service {
    /// Stays for life.
    pub id: ServiceId,
    /// How it was asked for.
    pub definition: Definition,
    /// Its trainings.
    pub jobs: Arc<JobQueue>,
    /// Its counters.
    pub statistics: Statistics,
    /// Its bounded queue.
    pub queue: ServiceQueue,
    /// Its recent inputs; they go when it goes.
    ring: Ring,
    environment: Arc<Environment>,
    name: ArcSwap<ServiceName>,
    state: ArcSwap<ServiceState>,
    recent_reader: ArcSwapOption<predict::RecentReader>,
    warned: Mutex<HashSet<String>>,
}

/// Most different unknown keys remembered per service, so that a client cannot fill the memory with them.
const WARNED_LIMIT: usize = 1000;
/// Characters of an unknown key that are remembered and logged.
const WARNED_LENGTH: usize = 200;

impl Service {
    /// Builds a service around what `serving` says, good or bad: a service that came back broken still exists.
    pub fn new(
        id: ServiceId,
        name: ServiceName,
        definition: Definition,
        serving: Result<Serving>,
        environment: &Arc<Environment>,
    ) -> Arc<Self> {
        let store = JobStore::new(environment.state_directory.join("jobs").join(format!("{}.json", id.0)));
        Arc::new(Self {
            id,
            definition,
            jobs: JobQueue::open(store),
            statistics: Statistics::default(),
            queue: environment.limiter.queue(environment.queue_limit),
            ring: Ring::new(environment.capture_bytes),
            environment: Arc::clone(environment),
            name: ArcSwap::from_pointee(name),
            state: ArcSwap::from_pointee(ServiceState::of(serving)),
            recent_reader: ArcSwapOption::empty(),
            warned: Mutex::default(),
        })
    }

    /// Its name now.
    pub fn name(&self) -> Arc<ServiceName> {
        self.name.load_full()
    }

    pub(crate) fn set_name(&self, name: ServiceName) {
        self.name.store(Arc::new(name));
    }

    /// What it answers with now.
    ///
    /// # Errors
    /// Why it could not be loaded, when it came back broken after a restart; [`Error::NotLoaded`].
    pub fn serving(&self) -> Result<Arc<Serving>> {
        self.state.load().serving(|| self.name().to_string())
    }

    /// Replaces what it answers with. Requests in flight finish on the former one.
    fn serve(&self, serving: Serving) {
        self.state.store(Arc::new(ServiceState::Loaded(Arc::new(serving))));
        self.recent_reader.store(None);
        // Inputs of another network may have other columns.
        self.ring.clear();
    }

    /// Whether there is something to answer with in memory.
    pub fn is_loaded(&self) -> bool {
        self.state.load().is_loaded()
    }

    /// Lets go of what it answers with. Requests in flight finish on it.
    pub fn unload(&self) {
        let former = self.state.swap(Arc::new(ServiceState::Unloaded));
        self.recent_reader.store(None);
        // What takes its place needs the memory.
        drop(former);
        memory::give_back();
    }

    /// Loads what its repository holds now. Without success, later requests are answered with the reason.
    ///
    /// # Errors
    /// Those of [`Serving::open`].
    pub fn load(&self) -> Result<()> {
        self.state.rcu(ServiceState::while_loading);
        match Serving::open_safely(&self.definition, &self.environment) {
            Ok(serving) => {
                self.serve(serving);
                Ok(())
            }
            Err(error) => {
                self.state.rcu(|now| now.after_failure(&error));
                Err(error)
            }
        }
    }

    /// Recent inputs, the oldest first; none where capturing is off.
    pub fn captured(&self) -> Vec<CapturedCall> {
        self.ring.calls()
    }

    /// Threads that compute in this server.
    pub(crate) fn threads(&self) -> usize {
        self.environment.engine.threads
    }

    /// `sha256:…`, or `none` without a network.
    pub fn version(&self) -> Arc<str> {
        self.serving().map_or_else(|_| NO_VERSION.into(), |serving| serving.version())
    }

    /// Checks the keys of a predict or a training; `created` is what the service has where it says nothing, `known` what its network
    /// says under keys of `parameters.mllib`.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming a key that is not supported yet, one that cannot change in this call, or, in strict mode, one in no
    /// table.
    fn check_keys(&self, sent: &Parameters, created: &Parameters, known: &Section, call: Call) -> Result<()> {
        let none = Section::new();
        let sections = [
            (self.definition.connector.keys(), &sent.input, "parameters.input", [&created.input, &none]),
            (self.definition.backend.keys(), &sent.mllib, "parameters.mllib", [&created.mllib, known]),
            (output::KEYS, &sent.output, "parameters.output", [&created.output, &none]),
        ];
        for (table, section, at, created) in sections {
            if !section.is_empty() {
                self.note(&table.check_known(section, at, call, created)?)?;
            }
        }
        match sent.input.get("connector") {
            Some(found) if *found != *self.definition.request.connector => {
                let expected = &self.definition.request.connector;
                let reason = format!("expected {expected}, as the service was created with, found another value");
                Err(Error::bad_parameter_at("parameters.input.connector", reason))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Logs unknown keys, and those without effect, once per service; refuses unknown ones in strict mode.
    fn note(&self, remarks: &Remarks) -> Result<()> {
        for path in &remarks.unknown {
            if self.environment.strict {
                return Err(definition::unknown_key(path));
            }
            if let Some(shown) = self.first_seen(path) {
                tracing::warn!(service = %self.name(), parameter = shown, "unknown parameter ignored");
            }
        }
        for Idle { path, reason } in &remarks.idle {
            if let Some(shown) = self.first_seen(path) {
                tracing::warn!(service = %self.name(), parameter = shown, reason, "parameter without effect");
            }
        }
        Ok(())
    }

    /// The path as it is logged, the first time it comes.
    fn first_seen(&self, path: &str) -> Option<String> {
        let path: String = path.chars().take(WARNED_LENGTH).collect();
        let shown = path.escape_debug().to_string();
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        (warned.len() < WARNED_LIMIT && warned.insert(path)).then_some(shown)
    }

    /// Logs what the check of the creation found.
    pub(crate) fn note_creation(&self) -> Result<()> {
        self.note(&self.definition.remarks)
    }
}
