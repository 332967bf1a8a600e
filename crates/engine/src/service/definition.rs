//! How a service was asked for: its creation request, checked against what this server has.

use std::path::PathBuf;

use dede_model::backend::{Backend, ServiceType};
use dede_model::connector::Connector;
use dede_model::error::{Error, Result};
use dede_model::parameters::keys::{Call, Remarks};
use dede_model::parameters::{Parameters, Section};
use dede_model::quote::quote;
use dede_model::repository::{Repository, Run};
use dede_storage::Place;
use serde_json::Value;

use super::CreationRequest;
use crate::environment::Environment;
use crate::output::{self, OutputOptions};

/// Immutable for the life of a service.
#[derive(Clone)]
pub struct Definition {
    /// What it was created with, as written.
    pub request: CreationRequest,
    /// Supervised or not.
    pub service_type: ServiceType,
    /// Reads its data.
    pub connector: &'static dyn Connector,
    /// Runs its network.
    pub backend: &'static dyn Backend,
    /// Parameters of creation.
    pub parameters: Parameters,
    /// Where its network is.
    pub repository: Repository,
    /// Keys of the request that are unknown, or without effect; none for a service that was there before a restart.
    pub(crate) remarks: Remarks,
}

impl Definition {
    /// Checks a request: its keys, then in the order of contract.md 1.2 repository, mllib, type, connector. `is_free` is asked before a
    /// directory is made. Whatever creates a service comes through here: a PUT, the start list, a move.
    ///
    /// # Errors
    /// [`Error::BadParameter`], [`Error::UnknownBackend`], [`Error::UnknownConnector`].
    pub fn check(
        request: CreationRequest,
        environment: &Environment,
        is_free: impl FnOnce(&Place) -> Result<()>,
    ) -> Result<Self> {
        let remarks = checked_keys(&request, environment)?;
        let path = repository_path(&request)?;
        let create = flag(&request, "create_repository")?;
        environment.repository_roots.check(&path)?;
        is_free(&Place::of(&path))?;
        environment.check_repository(&path)?;
        let repository = Repository::open(&path, create)?;
        // A link may have come between the check and the opening.
        environment.check_repository(repository.place().path())?;
        Ok(Self { remarks, ..Self::with_repository(request, repository, environment)? })
    }

    /// The definition of a service that was there before a restart: its repository may be gone meanwhile, which is
    /// found out when it is loaded.
    ///
    /// # Errors
    /// [`Error::UnknownBackend`], [`Error::UnknownConnector`], [`Error::BadParameter`] when this server is another than the one
    /// that recorded it, or keeps models elsewhere.
    pub(crate) fn restore(request: CreationRequest, environment: &Environment) -> Result<Self> {
        let path = repository_path(&request)?;
        environment.repository_roots.check_recorded(&path)?;
        let repository = Repository::recorded(path);
        Self::with_repository(request, repository, environment)
    }

    /// Whether there is anything in its repository, or below it, that a network could be read from.
    pub(crate) fn may_hold_a_network(&self) -> bool {
        self.names_weights() || self.repository.files().map_or(true, |files| !files.is_empty())
    }

    fn with_repository(
        mut request: CreationRequest,
        repository: Repository,
        environment: &Environment,
    ) -> Result<Self> {
        let backend = environment.backend(&request.mllib)?;
        backend.name().clone_into(&mut request.mllib);
        let service_type = match request.service_type.as_str() {
            "supervised" => ServiceType::Supervised,
            "unsupervised" => ServiceType::Unsupervised,
            other => return Err(Error::bad_parameter_at("type", format!("unknown type {:?}", quote(other)))),
        };
        let connector = environment.connector(&request.connector)?;
        if !backend.accepts(connector.kind(), service_type) {
            return Err(Error::UnknownConnector(format!("{} for mllib {}", request.connector, request.mllib)));
        }
        let mut parameters = request.parameters.clone();
        parameters.input.remove("connector");
        Ok(Self { request, service_type, connector, backend, parameters, repository, remarks: Remarks::default() })
    }

    /// Whether `model.weights` says which network to serve.
    pub fn names_weights(&self) -> bool {
        self.request.model.get("weights").and_then(Value::as_str).is_some_and(|weights| !weights.is_empty())
    }

    /// This service on a run that is not published yet.
    pub(crate) fn previewing(&self, run: &Run) -> Self {
        let mut preview = self.clone();
        preview.repository = self.repository.previewing(run);
        preview.request.model.remove("weights");
        preview
    }

    /// `model.repository` as sent.
    pub fn repository_as_sent(&self) -> &str {
        self.request.model.get("repository").and_then(Value::as_str).unwrap_or_default()
    }
}

/// Checks every key of a creation against the tables of those that read it, and the types of those that this crate reads itself. An mllib
/// or a connector that is not there is named later, in its turn.
fn checked_keys(request: &CreationRequest, environment: &Environment) -> Result<Remarks> {
    let (Ok(backend), Ok(connector)) = (environment.backend(&request.mllib), environment.connector(&request.connector))
    else {
        return Ok(Remarks::default());
    };
    let (sections, none) = (&request.parameters, Section::new());
    let input = connector.keys().check(&sections.input, "parameters.input", Call::Create, &none)?;
    let mllib = backend.keys().check(&sections.mllib, "parameters.mllib", Call::Create, &none)?;
    let output = output::KEYS.check(&sections.output, "parameters.output", Call::Create, &none)?;
    backend.check_creation(&sections.mllib)?;
    OutputOptions::parse(&sections.output)?;
    let model = backend.model_keys().check(&request.model, "model", Call::Create, &none)?;
    let members = Remarks { unknown: request.unknown.clone(), idle: Vec::new() };
    let remarks = members.and(input).and(mllib).and(output).and(model);
    match remarks.unknown.first().filter(|_| environment.strict) {
        None => Ok(remarks),
        Some(path) => Err(unknown_key(path)),
    }
}

/// What a strict server says to a key that is in no table.
pub(super) fn unknown_key(path: &str) -> Error {
    Error::bad_parameter_at(quote(path), "unknown parameter")
}

fn repository_path(request: &CreationRequest) -> Result<PathBuf> {
    match request.model.get("repository") {
        None | Some(Value::Null) => Err(no_repository()),
        Some(Value::String(path)) if path.is_empty() => Err(no_repository()),
        Some(Value::String(path)) if path.contains('\0') => {
            Err(Error::bad_parameter_at("model.repository", "a path without NUL expected"))
        }
        Some(Value::String(path)) => Ok(PathBuf::from(path)),
        Some(_) => Err(Error::bad_parameter_at("model.repository", "a string expected")),
    }
}

fn no_repository() -> Error {
    Error::bad_parameter_at("model.repository", "destination model directory  is not writable or does not exist.")
}

fn flag(request: &CreationRequest, key: &str) -> Result<bool> {
    match request.model.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(Error::bad_parameter_at(format!("model.{key}"), "expected true or false")),
    }
}
