//! The HTTP side of the server: what all handlers share. [`routes`] lists them.
//!
//! Nothing that computes or touches files runs on the threads that serve connections: handlers receive bodies and hand the
//! rest to the dispatcher, or to a blocking thread. This module must not know what a network or a data format is.

mod access;
mod admission;
mod aliases;
pub(crate) mod authority;
mod body;
mod chain;
pub(crate) mod distribution;
mod error;
mod forward;
mod health;
mod identity;
mod info;
mod memory;
mod metrics;
mod moves;
mod network;
mod origin;
mod predict;
mod relays;
mod reply;
mod routes;
mod services;
mod source;
mod train;
pub(crate) mod transport;
pub(crate) mod unsupported;
mod uploads;

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderValue, Uri};
use body::{Bodies, Received};
use dede_api::Object;
use dede_api::errors::ErrorKind;
use dede_api::query::{Query, decode_path};
use dede_bundle::store::BlobStore;
use dede_engine::catalogue::Catalogue;
use dede_engine::dispatch::Dispatcher;
use dede_engine::name::ServiceName;
use dede_migration::{HostDescription, Moves};
use dede_model::connector::InputLimits;
use dede_model::error::Error;
use dede_model::quote::quote;
use dede_model::request_memory::RequestMemory;
use distribution::Distribution;
use error::{Failure, Outcome};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::tokens::Tokens;
pub(crate) use memory::of_machine as memory_of_machine;
pub(crate) use routes::router;
use source::Bundles;

use crate::peer::Peers;

/// Longest time a request waits for a server that is starting.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// Files that may be uploaded for moves at once: each takes room on the disk until it is whole.
const UPLOADS: usize = 128;
/// Most unknown members remembered, so that clients cannot fill the memory with them.
const WARNED_LIMIT: usize = 1000;
/// Characters of an unknown member that are remembered and logged.
const WARNED_LENGTH: usize = 200;

/// Settings of the HTTP side.
#[derive(Debug, Clone)]
pub(crate) struct HttpSettings {
    /// Value of `Access-Control-Allow-Origin`, when pages may call the server.
    pub(crate) allow_origin: Option<HeaderValue>,
    /// The tokens that clients must present.
    pub(crate) tokens: Arc<Tokens>,
    /// Names under which this server may be called where it listens on loopback without a token.
    pub(crate) hosts: Vec<String>,
    /// Largest request body after inflating, bytes.
    pub(crate) body_limit: u64,
    /// Memory that the bodies of all requests may take together, inflated and parsed, bytes.
    pub(crate) request_memory: RequestMemory,
    /// Threads that compute.
    pub(crate) threads: usize,
    /// Refuse unknown members of requests.
    pub(crate) strict: bool,
    /// Clients without the token are guests: a token is set, or others than this machine can reach the server.
    pub(crate) is_strict: bool,
    /// Bounds on what is fetched.
    pub(crate) limits: Arc<InputLimits>,
    /// Servers that aliases may point to.
    pub(crate) peers: Peers,
}

/// Where the server is in its life. It only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(crate) enum Phase {
    /// Bringing services back.
    Starting,
    /// Serving.
    Ready,
    /// Finishing what it has begun.
    Draining,
}

impl Phase {
    /// Whether the server is on its way out.
    pub(crate) fn is_draining(self) -> bool {
        self == Self::Draining
    }
}

/// What all handlers share.
pub(crate) struct Server {
    settings: HttpSettings,
    catalogue: OnceLock<Arc<Catalogue>>,
    dispatcher: OnceLock<Arc<Dispatcher>>,
    moves: OnceLock<Arc<Moves>>,
    bundles: Bundles,
    distribution: Distribution,
    phase: watch::Sender<Phase>,
    uploads: Arc<Semaphore>,
    /// Permits to read long bodies.
    reading: Arc<Semaphore>,
    /// Makes the marks of this server, which differ from those of any other.
    marks: RandomState,
    bodies: Bodies,
    prometheus: PrometheusHandle,
    /// Unknown members of requests that were warned of.
    warned: Mutex<HashSet<String>>,
}

impl Server {
    /// A server that is starting.
    ///
    /// # Errors
    /// A sentence, when metrics cannot be recorded.
    pub(crate) fn new(settings: HttpSettings) -> Result<Arc<Self>, String> {
        let prometheus = metrics::install().map_err(|error| format!("cannot record metrics: {error}"))?;
        Ok(Self::with_metrics(settings, prometheus))
    }

    /// As [`Server::new`], where metrics are recorded already.
    fn with_metrics(settings: HttpSettings, prometheus: PrometheusHandle) -> Arc<Self> {
        Arc::new(Self {
            catalogue: OnceLock::new(),
            dispatcher: OnceLock::new(),
            moves: OnceLock::new(),
            bundles: Bundles::default(),
            distribution: Distribution::default(),
            phase: watch::Sender::new(Phase::Starting),
            uploads: Arc::new(Semaphore::new(UPLOADS)),
            reading: Arc::new(Semaphore::new(settings.threads.max(1))),
            marks: RandomState::new(),
            bodies: Bodies::new(settings.body_limit, settings.request_memory.clone()),
            prometheus,
            warned: Mutex::default(),
            settings,
        })
    }

    /// The mark of a request that this server forwards for an alias.
    fn mark(&self, alias: &ServiceName) -> String {
        format!("{:016x}", self.marks.hash_one(alias))
    }

    /// A permit to upload a file.
    ///
    /// # Errors
    /// [`Error::Overloaded`].
    fn upload(&self) -> Result<OwnedSemaphorePermit, Error> {
        let full = |_| Error::Overloaded(format!("{UPLOADS} uploads are on their way already"));
        Arc::clone(&self.uploads).try_acquire_owned().map_err(full)
    }

    /// Begins to serve what is in the catalogue and in the store.
    pub(crate) fn open(
        &self,
        catalogue: Arc<Catalogue>,
        moves: Arc<Moves>,
        store: Arc<BlobStore>,
        host: HostDescription,
    ) {
        self.distribution.open(store, host);
        let _ = self.moves.set(moves);
        let _ = self.dispatcher.set(Arc::new(Dispatcher::new(Arc::clone(&catalogue))));
        let _ = self.catalogue.set(catalogue);
        self.phase.send_if_modified(|phase| {
            let starting = *phase == Phase::Starting;
            if starting {
                *phase = Phase::Ready;
            }
            starting
        });
    }

    /// Begins to drain: from now on the server says that it is not ready.
    pub(crate) fn drain(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    /// Where the server is in its life.
    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Waits until the server begins to drain.
    async fn draining(&self) {
        // The sender is here as long as `self` is.
        let _ = self.phase.subscribe().wait_for(|phase| phase.is_draining()).await;
    }

    /// Metrics must be collected now and then, or the samples of histograms pile up.
    pub(crate) fn collect_metrics(&self) {
        self.prometheus.run_upkeep();
    }

    /// The catalogue, once the server has started.
    async fn catalogue(&self) -> Outcome<Arc<Catalogue>> {
        if let Some(catalogue) = self.catalogue.get() {
            return Ok(Arc::clone(catalogue));
        }
        let mut phase = self.phase.subscribe();
        let started = phase.wait_for(|phase| *phase > Phase::Starting);
        let waited = tokio::time::timeout(START_PATIENCE, started).await;
        drop(waited);
        let catalogue = self.catalogue.get().map(Arc::clone);
        catalogue.ok_or_else(|| Failure::new(ErrorKind::Overloaded, "the server is starting"))
    }

    /// Where all predicts go, once the server has started.
    async fn dispatcher(&self) -> Outcome<Arc<Dispatcher>> {
        self.catalogue().await?;
        let dispatcher = self.dispatcher.get().map(Arc::clone);
        dispatcher.ok_or_else(|| Failure::new(ErrorKind::Overloaded, "the server is starting"))
    }

    /// The moves to this server, once it has started.
    async fn moves(&self) -> Outcome<Arc<Moves>> {
        self.catalogue().await?;
        let moves = self.moves.get().map(Arc::clone);
        moves.ok_or_else(|| Failure::new(ErrorKind::Overloaded, "the server is starting"))
    }

    /// Runs `work` where blocking is allowed.
    async fn blocking<T, F>(&self, work: F) -> Outcome<T>
    where
        T: Send + 'static,
        F: FnOnce() -> Outcome<T> + Send + 'static,
    {
        let span = tracing::Span::current();
        match tokio::task::spawn_blocking(move || span.in_scope(work)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::panicked()),
        }
    }

    /// As [`Server::blocking`], on the catalogue.
    async fn manage<T, F>(&self, work: F) -> Outcome<T>
    where
        T: Send + 'static,
        F: FnOnce(&Catalogue) -> Outcome<T> + Send + 'static,
    {
        let catalogue = self.catalogue().await?;
        self.blocking(move || work(&catalogue)).await
    }

    /// Warns once of each unknown member of a request; refuses them in strict mode.
    fn check_unknown(&self, service: &str, unknown: Vec<String>) -> Result<(), Error> {
        for path in unknown {
            if self.settings.strict {
                return Err(Error::bad_parameter_at(quote(&path), "unknown member"));
            }
            let path: String = path.chars().take(WARNED_LENGTH).collect();
            let is_new = {
                let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
                warned.len() < WARNED_LIMIT && warned.insert(format!("{service} {path}"))
            };
            if is_new {
                tracing::warn!(target: "api", "{service}: unknown member {path:?} ignored");
            }
        }
        Ok(())
    }

    /// Receives a request's body.
    async fn receive(&self, request: Request) -> Outcome<Received> {
        let (parts, body) = request.into_parts();
        body::receive(&parts.headers, body, &self.bodies).await
    }

    /// As [`Server::receive`], and the JSON object in the body.
    async fn receive_object(&self, request: Request) -> Outcome<(Received, Object)> {
        let received = self.receive(request).await?;
        self.read(received, Received::object).await
    }

    /// Reads a body: at once where it is short, else with one of as many permits as there are computing threads, so
    /// that clients that send little are answered meanwhile.
    async fn read<T: Send + 'static>(
        &self,
        mut received: Received,
        read: impl FnOnce(&mut Received) -> Outcome<T> + Send + 'static,
    ) -> Outcome<(Received, T)> {
        let is_short = received.is_short();
        let work = move || {
            let value = read(&mut received)?;
            Ok((received, value))
        };
        if is_short {
            return work();
        }
        let place = Arc::clone(&self.reading).acquire_owned().await.ok();
        self.blocking(move || {
            let outcome = work();
            drop(place);
            outcome
        })
        .await
    }
}

/// The last part of `/services/{name}` or `/aliases/{name}`, decoded.
fn name_in(uri: &Uri) -> String {
    let mut parts = uri.path().split('/').skip(2);
    decode_path(parts.next().unwrap_or_default())
}

fn query_of(uri: &Uri) -> Query {
    Query::parse(uri.query().unwrap_or_default())
}
