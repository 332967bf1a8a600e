//! The catalogue of services and aliases: one namespace, one snapshot, one owner.
//!
//! `desired` is what should be: plain data, changed by commands and kept in a `store`. `snapshot` is what runs, and follows it. Readers take
//! the snapshot and never wait. Changes go through `owner`, which records each one durably before readers see it, so that a restart brings
//! back the state that clients were told.

mod alias;
mod aliases;
mod claims;
pub mod desired;
mod exchange;
mod ongoing;
mod owner;
mod restore;
mod routing;
mod snapshot;
pub mod store;
mod together;
mod traffic;
mod view;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub use alias::Alias;
pub use desired::{AliasChange, Expected, Share, ShareChange, Step, SwitchRequest, Target};
pub use exchange::check_idle;
pub use routing::{Resolved, Routed};
pub use snapshot::Snapshot;
pub use view::{AliasView, ShadowView, ShareView, StepView};

use desired::{Command, ServiceEntry};
use ongoing::OngoingChange;
use owner::Change;
use store::{FileStore, StateStore};

use crate::environment::Environment;
use crate::limiter::Limiter;
use crate::move_id::MoveId;
use crate::name::ServiceName;
use crate::output::OutputOptions;
use crate::service::{CreationRequest, Definition, Service, Serving};
use crate::trial::Patience;
use dede_model::backend::{Backend, WeightFile};
use dede_model::error::{Error, Result};
use dede_model::priority;
use dede_model::repository::{CONFIG, Clear, Cleared, OwnFiles};
use dede_storage::Place;

/// All services and aliases of a server.
pub struct Catalogue {
    environment: Arc<Environment>,
    owner: owner::Owner,
    /// Names whose service is being loaded: a second PUT is told so at once.
    reserved: Mutex<HashSet<ServiceName>>,
}

impl Catalogue {
    /// Opens the state directory and brings back what it records, services in parallel. A service that cannot
    /// be loaded is there with its error; the others are not held up.
    ///
    /// # Errors
    /// [`Error::Io`] when the directory cannot be used, also when another server uses it; [`Error::Internal`] when its
    /// record is damaged.
    pub fn start(environment: Environment) -> Result<Arc<Self>> {
        let store = FileStore::open(&environment.state_directory)?;
        Self::start_with(environment, Box::new(store))
    }

    /// The same, with the record in this store.
    ///
    /// # Errors
    /// Those of the store.
    pub fn start_with(environment: Environment, mut store: Box<dyn StateStore>) -> Result<Arc<Self>> {
        priority::prepare();
        let environment = Arc::new(environment);
        let (revision, snapshot) = restore::restore(&environment, &mut *store)?;
        let owner = owner::Owner::start(store, revision, snapshot)?;
        Ok(Arc::new(Self { environment, owner, reserved: Mutex::default() }))
    }

    /// Where requests of all services wait.
    pub(crate) fn limiter(&self) -> &Limiter {
        &self.environment.limiter
    }

    /// Everything at this moment.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.owner.snapshot()
    }

    /// The service behind a name, be it its own or an alias.
    ///
    /// # Errors
    /// [`Error::ServiceNotFound`]; [`Error::AliasConflict`] when the name points to a peer.
    pub fn resolve(&self, name: &str) -> Result<Resolved> {
        self.snapshot().resolve(name)
    }

    /// Where the next predict addressed to a name goes.
    ///
    /// # Errors
    /// [`Error::ServiceNotFound`].
    pub fn route(&self, name: &str) -> Result<Routed> {
        self.snapshot().route(name)
    }

    /// Memory that a network of such files takes here at most, by its backend's account: [`Backend::memory_needed`]. A backend that is not
    /// here takes none, as it loads nothing.
    ///
    /// [`Backend::memory_needed`]: dede_model::backend::Backend::memory_needed
    pub fn memory_needed(&self, mllib: &str, weights: &[WeightFile<'_>]) -> u64 {
        let backend = self.environment.backend(mllib).ok();
        backend.map_or(0, |backend| backend.memory_needed(weights, &self.environment.engine))
    }

    /// Checks that repositories may be in this directory on this server.
    ///
    /// # Errors
    /// [`Error::BadParameter`] when it is outside of the directories that were named for them, or has another purpose.
    pub fn check_repository(&self, directory: &Path) -> Result<()> {
        self.environment.check_repository(directory)
    }

    /// The service of this very name, for what an alias cannot stand for.
    ///
    /// # Errors
    /// [`Error::ServiceNotFound`]; [`Error::BadParameter`] when the name is an alias.
    pub fn service(&self, name: &str) -> Result<Arc<Service>> {
        let snapshot = self.snapshot();
        if let Some(alias) = ServiceName::parse(name).ok().and_then(|name| snapshot.alias(&name)) {
            let target = snapshot.present(alias.target());
            let reason = format!("{} is an alias; train the service it points to, {target}", alias.name);
            return Err(Error::bad_parameter_at("service", reason));
        }
        Ok(snapshot.resolve(name)?.service)
    }

    /// Whether unknown keys and members are refused, rather than logged.
    pub fn is_strict(&self) -> bool {
        self.environment.strict
    }

    /// Creates a service: checks, loads, warms, records. On failure nothing is left but created directories.
    ///
    /// # Errors
    /// Those of contract.md 1.2, in its order.
    pub fn create(&self, name: &str, request: CreationRequest) -> Result<()> {
        self.create_as(name, request, Creation::default()).map(drop)
    }

    /// Creates a service that a move brings, and claims it for that move in the same step.
    ///
    /// # Errors
    /// As [`Catalogue::create`].
    pub fn create_as(&self, name: &str, request: CreationRequest, how: Creation) -> Result<Arc<Service>> {
        let name = ServiceName::parse(name)?;
        let _reservation = self.reserve(&name)?;
        let record = request.to_record();
        let keeps_record = !request.parameters.mllib.contains_key("from_repository") && !how.keeps_config;
        let is_free = |place: &Place| {
            self.snapshot().check_directory(place, how.by)?;
            self.snapshot().check_not_nested(place)
        };
        let definition = Definition::check(request, &self.environment, is_free)?;
        let place = definition.repository.place().clone();
        is_free(&place)?;
        if keeps_record {
            definition.repository.check_record()?;
        }
        // No trial where a network takes the place of another: there is no room for both, and its source has answered
        // with it.
        if let Some(trial) =
            self.environment.trial.as_ref().filter(|_| !how.unloaded && definition.may_hold_a_network())
        {
            let patience = if how.by.is_some() { Patience::Own } else { Patience::Client };
            trial.attempt(&definition.request, patience)?;
        }
        let serving = Serving::open(&definition, &self.environment)?;
        if let Some(task) = serving.task {
            OutputOptions::parse(&definition.parameters.output)?.check_task(task)?;
        }
        let environment = Arc::clone(&self.environment);
        let repository = definition.repository.clone();
        let id = self.owner.next_id();
        let service = Service::new(id, name.clone(), definition, Ok(serving), &environment);
        service.note_creation()?;
        if let Some(by) = how.by {
            service.jobs.forbid(by.number(), claims::needed("this service", by))?;
        }
        let entry = ServiceEntry {
            id,
            name,
            request: service.definition.request.to_record(),
            unloaded: how.unloaded,
            created_by: how.by,
            listing: service.serving().ok().and_then(|serving| serving.listing),
        };
        let mut change = Change::record(Command::Create(entry)).bringing(Arc::clone(&service));
        if let Some(by) = how.by {
            change = change.and_ongoing(OngoingChange::ClaimService(by, id, place.clone()));
        }
        self.owner.change(change.only_if(move |snapshot| {
            snapshot.check_directory(&place, how.by)?;
            snapshot.check_not_nested(&place)
        }))?;
        if keeps_record && let Err(error) = repository.write_record(CONFIG, format!("{record}\n").as_bytes()) {
            // A repository that cannot be written is served as it is.
            tracing::warn!(%error, "config.json not written");
        }
        Ok(service)
    }

    fn reserve(&self, name: &ServiceName) -> Result<Reservation<'_>> {
        if self.snapshot().is_taken(name) {
            return Err(Error::ServiceExists(name.to_string()));
        }
        let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        if !reserved.insert(name.clone()) {
            return Err(Error::ServiceExists(format!("{name} is being created")));
        }
        Ok(Reservation { reserved: &self.reserved, name: name.clone() })
    }

    /// Stops the jobs of a service, removes the files asked for, and forgets it. Requests in flight are answered. Answers what was left
    /// of the files, as it is not the service's.
    ///
    /// # Errors
    /// [`Error::NothingToDelete`]; [`Error::AliasConflict`] when an alias points to it; [`Error::BadParameter`] when its files are no
    /// longer where they may be; [`Error::Io`] when files could not be removed: the service stays then.
    pub fn delete(&self, name: &str, clear: Clear) -> Result<Cleared> {
        let name = ServiceName::parse(name)?;
        if let Some(id) = self.snapshot().unbuildable(&name) {
            if clear != Clear::Memory {
                let text = format!("the files of {name} are not known to this server, so none are removed");
                return Err(Error::bad_parameter_at("clear", text));
            }
            self.owner.change(Change::record(Command::Delete(id)))?;
            return Ok(Cleared::default());
        }
        let service = self.snapshot().deletable(&name)?;
        self.delete_service(&service, clear, None)
    }

    /// As [`Catalogue::delete`], by identity, also where the move `by` needs the service.
    ///
    /// # Errors
    /// As there.
    pub fn delete_service(&self, service: &Service, clear: Clear, by: Option<MoveId>) -> Result<Cleared> {
        let id = service.id;
        let repository = &service.definition.repository;
        if clear != Clear::Memory && repository.root().exists() {
            self.environment.check_repository(repository.root())?;
            repository.check_unmoved()?;
        }
        let place = (clear != Clear::Memory).then(|| Place::of(service.definition.repository.root()));
        self.owner.change(Change::ongoing(OngoingChange::BeginDeletion(id)).only_if(move |snapshot| {
            place.as_ref().map_or(Ok(()), |place| snapshot.check_directory(place, by))?;
            snapshot.check_deletable(id, by)
        }))?;
        service.jobs.close();
        let own = Own::of(service);
        let cleared = repository.clear(clear, &own);
        let forget = |cleared| {
            self.owner.change(Change::record(Command::Delete(id)).and_ongoing(OngoingChange::EndDeletion(id)))?;
            Ok(cleared)
        };
        match cleared.and_then(forget) {
            Ok(cleared) => {
                service.jobs.forget();
                Ok(cleared)
            }
            Err(error) => {
                self.owner.change(Change::ongoing(OngoingChange::EndDeletion(id)))?;
                service.jobs.reopen();
                Err(error)
            }
        }
    }

    /// Renames a running service; an alias on it follows.
    ///
    /// # Errors
    /// [`Error::ServiceNotFound`], [`Error::ServiceExists`], [`Error::AliasConflict`] when `from` is an alias.
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (from, to) = (ServiceName::parse(from)?, ServiceName::parse(to)?);
        let _reservation = if from == to { None } else { Some(self.reserve(&to)?) };
        self.owner.change(Change::record(Command::Rename { from, to }))?;
        Ok(())
    }

    /// Stops all jobs, each with a checkpoint, and waits for them. Predicting goes on.
    pub fn stop(&self) {
        let snapshot = self.snapshot();
        std::thread::scope(|scope| {
            for service in snapshot.services() {
                scope.spawn(|| service.jobs.close());
            }
        });
    }
}

/// What is special about the creation of a service by a move.
#[derive(Debug, Clone, Copy, Default)]
pub struct Creation {
    /// The move.
    pub by: Option<MoveId>,
    /// It takes the place of another in memory: a restart does not load it until the alias is switched to it.
    pub unloaded: bool,
    /// The config.json that is in the directory stays as it is.
    pub keeps_config: bool,
}

/// Tells which files of a repository are the service's own.
struct Own {
    backend: &'static dyn Backend,
    /// Relative to its repository.
    served: Vec<PathBuf>,
}

impl Own {
    fn of(service: &Service) -> Self {
        let root = service.definition.repository.root();
        let served = service.serving().map(|serving| {
            serving.files.iter().filter_map(|file| Some(file.path.strip_prefix(root).ok()?.to_owned())).collect()
        });
        Self { backend: service.definition.backend, served: served.unwrap_or_default() }
    }
}

impl OwnFiles for Own {
    fn is_library_file(&self, name: &str) -> bool {
        self.backend.is_library_file(name)
    }

    fn is_served(&self, relative: &Path) -> bool {
        self.served.iter().any(|served| served.starts_with(relative))
    }
}

/// Reserves a name, so that no other creation takes it meanwhile.
struct Reservation<'a> {
    reserved: &'a Mutex<HashSet<ServiceName>>,
    name: ServiceName,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

#[cfg(test)]
mod tests;
