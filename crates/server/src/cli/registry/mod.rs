//! `dede push` and `dede pull`: services to and from OCI registries.

mod destination;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use dede_bundle::Directory;
use dede_bundle::modelpack::Bundle;
use dede_bundle::oci::{Reference, RepositoryName};
use dede_bundle::store::{BlobStore, StoreError};
use serde_json::{Map, Value};

use self::destination::{Destination, beside, check_unused};
use super::peers::ConfigOption;
use super::remote;
use super::report::say;
use super::transfer::Transfer;
use crate::config::Configuration;
use crate::peer::client::AgentOptions;
use crate::peer::registry::{Artifact, Credentials, Endpoint, Place, Registry, Retry, Scope, copy, read_small};
use crate::peer::{Peer, PeerUrl};
use crate::token::Token;

/// The user that goes with a token where Basic wants one.
const TOKEN_USER: &str = "dede";

/// With the pauses between them, half a minute without a registry.
const ATTEMPTS: u32 = 8;

/// How to connect to a registry, and as which user.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct RegistryOptions {
    /// User at the registry. A registry that is a peer of the configuration gets that one's token.
    #[arg(long, value_name = "NAME", requires = "password_file")]
    user: Option<String>,

    /// File with the user's password or token.
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,

    /// Certificates of the authorities to trust for the registry, instead of the well-known ones.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// Speak plain http to a registry on another machine; the password is sent unencrypted.
    #[arg(long)]
    plain_http: bool,

    /// Attempts in a row that together bring less than 64 KiB, after which a blob or a request is given up. What has
    /// arrived is kept: the same command continues from there.
    #[arg(long, value_name = "NUMBER", default_value_t = ATTEMPTS, value_parser = clap::value_parser!(u32).range(1..))]
    attempts: u32,

    #[command(flatten)]
    config: ConfigOption,
}

/// What to push where.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct PushOptions {
    /// Where to: registry.example:5000/models/iris:v3.
    reference: String,

    /// Service, or alias of one [default: the last part of the repository's name].
    #[arg(long, value_name = "NAME")]
    service: Option<String>,

    /// Server that has it: a peer in the configuration, or a URL [default: the only peer there is].
    #[arg(long, value_name = "PEER")]
    on: Option<String>,

    #[command(flatten)]
    registry: RegistryOptions,
}

/// What to pull.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct PullOptions {
    /// What: registry.example:5000/models/iris:v3, or …/iris@sha256:…
    reference: String,

    /// Directory for its files, new or empty [default: the last part of the repository's name].
    directory: Option<PathBuf>,

    #[command(flatten)]
    registry: RegistryOptions,
}

/// `dede push`: the bundle of a service, and what its server says about it.
///
/// # Errors
/// What went wrong, in words.
pub(crate) fn push(options: &PushOptions) -> Result<(), String> {
    let place = Place::parse(&options.reference, options.registry.plain_http)?;
    let service = options.service.as_deref().unwrap_or(last_part(&place));
    let name = service.parse().map_err(|error| format!("a service is pushed under its name, and {error}"))?;
    let peer = remote::peer(options.on.as_deref(), &options.registry.config)?;
    let transfer = Transfer::new();
    let retry = options.registry.retry(&transfer);
    let source = Registry::connect(endpoint(&peer, name)?, Scope::Pull, &retry)?;
    let latest: Reference = "latest".parse().map_err(|error| format!("{error}"))?;
    let target = options.registry.connect(&place, Scope::PullAndPush, &retry)?;
    let from = Artifact { registry: &source, reference: &latest };
    let to = Artifact { registry: &target, reference: &place.reference };
    let copied = copy(&from, &to, &|done, total| transfer.moved(done, total))?;
    drop(transfer);
    say(&format!(
        "{service} is {} at {}: {} of {} bytes sent, {} statements about it",
        copied.digest, options.reference, copied.sent, copied.total, copied.referrers
    ));
    Ok(())
}

/// `dede pull`: a bundle into a directory that a service can be created on, and what to create it with beside it.
///
/// # Errors
/// What went wrong, in words; the directory is only there when all is well.
pub(crate) fn pull(options: &PullOptions) -> Result<(), String> {
    let place = Place::parse(&options.reference, options.registry.plain_http)?;
    let directory = options.directory.clone().unwrap_or_else(|| PathBuf::from(last_part(&place)));
    check_unused(&directory)?;
    let transfer = Transfer::new();
    let source = options.registry.connect(&place, Scope::Pull, &options.registry.retry(&transfer))?;
    let found = source.manifest(&place.reference)?;
    let (_, manifest) = found.ok_or_else(|| format!("there is no {}", options.reference))?;
    let refused = |error| format!("{} is no service: {error}", options.reference);
    let config = read_small(&source, &Bundle::config_of(&manifest).map_err(refused)?)?;
    let bundle = Bundle::parse(&manifest, &config).map_err(refused)?;
    let destination = Destination::take(&directory)?;
    fetch(&source, &bundle, &destination, &transfer)?;
    drop(transfer);
    let (creation, files) = (beside(&directory, "put.json")?, destination.absolute()?);
    write_creation(&creation, &bundle, &files)?;
    destination.finish()?;
    say(&format!("{} files of version {} are in {}", bundle.files().len(), bundle.version(), files.display()));
    say(&format!("create a service: curl -X PUT http://localhost:8080/services/NAME -d @{}", creation.display()));
    Ok(())
}

/// Fetches all files and checks each. An interrupted fetch continues, inside of a file too.
fn fetch(source: &Registry, bundle: &Bundle, destination: &Destination, transfer: &Transfer) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| destination.failed(error);
    destination.clear_content()?;
    let store = BlobStore::open(&destination.blobs()).map_err(|error| failed(&error))?;
    let target = Directory::open(&destination.content()).map_err(|error| failed(&error))?;
    let lease = store.lease();
    let total = bundle.files().iter().fold(0, |sum: u64, file| sum.saturating_add(file.size));
    let mut before = 0u64;
    for file in bundle.files() {
        if store.size(&file.digest).map_err(|error| failed(&error))? != Some(file.size) {
            let open = |offset| transfer.watch(source.blob(file.blob(), offset), before + offset, total);
            let put = store.put_resumed(file.blob(), open, &lease);
            put.map_err(|error| format!("{}: {}", file.name, not_stored(source, destination, &error)))?;
        }
        before = before.saturating_add(file.size);
        transfer.moved(before, total);
        store.place(&file.digest, &target, &file.name, file.role, &lease).map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// Why a blob is not in the store. An error of the connection names its registry, blob and step itself.
fn not_stored(source: &Registry, destination: &Destination, error: &StoreError) -> String {
    if let StoreError::Source(error) = error {
        return error.to_string();
    }
    if let StoreError::DigestMismatch { expected, .. } = error {
        return source.about_blob(expected, &error.to_string());
    }
    destination.failed(error)
}

/// The body of a PUT that creates the service on these files.
fn write_creation(path: &Path, bundle: &Bundle, files: &Path) -> Result<(), String> {
    let mut creation = bundle.service().clone();
    let model = creation.entry("model").or_insert_with(|| Value::Object(Map::new()));
    model["repository"] = files.to_str().ok_or("the directory's name is no UTF-8")?.into();
    fs::write(path, format!("{:#}\n", Value::Object(creation))).map_err(|error| format!("{}: {error}", path.display()))
}

fn last_part(place: &Place) -> &str {
    place.repository.as_str().rsplit('/').next().unwrap_or_default()
}

impl RegistryOptions {
    /// What is done about connections that break.
    fn retry(&self, transfer: &Transfer) -> Retry {
        Retry { attempts: self.attempts, report: transfer.reporter() }
    }

    /// The registry at a place: a peer of the configuration with what that one needs, or any other.
    fn connect(&self, place: &Place, scope: Scope, retry: &Retry) -> Result<Registry, String> {
        let configuration = Configuration::load(self.config.config.as_deref())?;
        let given = match (&self.user, &self.password_file) {
            (Some(user), Some(file)) => Some(Credentials { user: user.clone(), password: Token::read(file)? }),
            _ => None,
        };
        let peer = configuration.peers().find(|peer| is_at(peer, &place.registry) && given.is_none());
        let endpoint = match peer {
            Some(peer) => endpoint(peer, place.repository.clone())?,
            None => Endpoint {
                registry: &place.registry,
                repository: place.repository.clone(),
                credentials: given,
                agent: AgentOptions {
                    ca_file: self.ca_file.as_deref(),
                    only_loopback: place.registry.is_plain() && !self.plain_http,
                },
            },
        };
        Registry::connect(endpoint, scope, retry)
    }
}

/// Whether a peer is the registry that a reference names: the same host and port.
fn is_at(peer: &Peer, registry: &PeerUrl) -> bool {
    peer.url.authority() == registry.authority()
}

fn credentials(peer: &Peer) -> Result<Option<Credentials>, String> {
    let token = peer.token_file.as_deref().map(Token::read).transpose()?;
    if token.is_some() && peer.url.is_plain() && !peer.plain_http && !peer.url.is_loopback() {
        return Err(format!(
            "{}: the token is not sent over plain http: use https, or set plain_http = true",
            peer.name
        ));
    }
    Ok(token.map(|password| Credentials { user: TOKEN_USER.to_owned(), password }))
}

/// A repository of a peer, with what that one needs.
fn endpoint(peer: &Peer, repository: RepositoryName) -> Result<Endpoint<'_>, String> {
    let only_loopback = peer.url.is_plain() && !peer.plain_http && peer.token_file.is_some();
    let agent = AgentOptions { ca_file: peer.ca_file.as_deref(), only_loopback };
    Ok(Endpoint { registry: &peer.url, repository, credentials: credentials(peer)?, agent })
}
