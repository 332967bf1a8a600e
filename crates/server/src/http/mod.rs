//! The HTTP side of the server: routes, and what all handlers share.
//!
//! Nothing that computes or touches files runs on the threads that serve connections: handlers receive bodies, wait for their
//! turn, and hand the rest to a blocking thread. This module must not know what a network or a data format is.

mod access;
mod aliases;
mod body;
pub(crate) mod connection;
mod error;
mod health;
mod info;
mod metrics;
mod network;
mod predict;
mod reply;
mod services;
mod template;
mod train;
mod turns;
mod unsupported;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{any, get, post};
use dede_api::answer::{Answer, Status};
use dede_api::errors::ErrorKind;
use dede_api::query::{Query, decode_path};
use dede_api::requests::RequestParameters;
use dede_core::catalogue::Catalogue;
use dede_core::connector::InputLimits;
use dede_core::error::Error;
use dede_core::parameters::Parameters;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use body::Bodies;
use error::{Failure, Outcome};
use turns::Turns;

/// Longest time a request waits for a server that is starting.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// Requests that may wait for trainings at once: a fraction of the threads that may block.
const WAITERS: usize = 128;
/// Most unknown members remembered, so that clients cannot fill the memory with them.
const WARNED_LIMIT: usize = 1000;
/// Characters of an unknown member that are remembered and logged.
const WARNED_LENGTH: usize = 200;

/// Settings of the HTTP side.
#[derive(Debug, Clone)]
pub(crate) struct HttpSettings {
    /// Value of `Access-Control-Allow-Origin`, when pages may call the server.
    pub(crate) allow_origin: Option<HeaderValue>,
    /// Largest request body after inflating, bytes.
    pub(crate) body_limit: u64,
    /// Predicts and trains of all services that may wait or run at once.
    pub(crate) requests: usize,
    /// Threads that compute.
    pub(crate) threads: usize,
    /// Refuse members that nobody knows.
    pub(crate) strict: bool,
    /// Bounds on what is fetched.
    pub(crate) limits: Arc<InputLimits>,
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
    phase: watch::Sender<Phase>,
    admitted: Arc<Semaphore>,
    waiters: Arc<Semaphore>,
    bodies: Bodies,
    turns: Turns,
    prometheus: PrometheusHandle,
    /// Members of requests that nobody knows and that were warned of.
    warned: Mutex<HashSet<String>>,
}

impl Server {
    /// A server that is starting.
    ///
    /// # Errors
    /// A sentence, when metrics cannot be recorded.
    pub(crate) fn new(settings: HttpSettings) -> Result<Arc<Self>, String> {
        let prometheus = metrics::install().map_err(|error| format!("cannot record metrics: {error}"))?;
        Ok(Arc::new(Self {
            catalogue: OnceLock::new(),
            phase: watch::Sender::new(Phase::Starting),
            admitted: Arc::new(Semaphore::new(settings.requests)),
            waiters: Arc::new(Semaphore::new(WAITERS)),
            bodies: Bodies::new(settings.body_limit),
            turns: Turns::new(settings.threads),
            prometheus,
            warned: Mutex::default(),
            settings,
        }))
    }

    /// Lets one request wait for a training. Each takes a thread, and there must be some left for everything else.
    ///
    /// # Errors
    /// [`Error::Overloaded`].
    fn waiter(&self) -> Result<OwnedSemaphorePermit, Error> {
        let full = |_| Error::Overloaded(format!("{WAITERS} requests are waiting for trainings already"));
        Arc::clone(&self.waiters).try_acquire_owned().map_err(full)
    }

    /// Begins to serve what is in the catalogue.
    pub(crate) fn open(&self, catalogue: Arc<Catalogue>) {
        let _ = self.catalogue.set(catalogue);
        self.phase.send_if_modified(|phase| {
            let starting = *phase == Phase::Starting;
            if starting {
                *phase = Phase::Ready;
            }
            starting
        });
    }

    /// Tells everybody to go elsewhere.
    pub(crate) fn drain(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    /// Where the server is in its life.
    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
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

    /// Runs `work` where blocking is allowed.
    async fn blocking<T, F>(&self, work: F) -> Outcome<T>
    where
        T: Send + 'static,
        F: FnOnce() -> Outcome<T> + Send + 'static,
    {
        match tokio::task::spawn_blocking(work).await {
            Ok(outcome) => outcome,
            Err(_) => Err(access::panicked()),
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

    /// Warns once of each member of a request that nobody knows; refuses them in strict mode.
    fn check_unknown(&self, service: &str, unknown: Vec<String>) -> Result<(), Error> {
        for path in unknown {
            if self.settings.strict {
                return Err(Error::bad_parameter_at(path, "unknown member"));
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
    async fn receive(&self, request: Request) -> Outcome<body::Received> {
        let (parts, body) = request.into_parts();
        body::receive(&parts.headers, body, &self.bodies).await
    }
}

/// All routes, with what every request goes through.
pub(crate) fn router(server: &Arc<Server>) -> Router {
    let mut router = Router::new()
        .route("/info", get(info::get))
        .route("/services/{name}", post(services::create).put(services::create))
        .route("/services/{name}", get(services::get).delete(services::delete).patch(services::rename))
        .route("/train", post(train::start).put(train::start).get(train::get).delete(train::delete))
        .route("/predict", post(predict::predict))
        .route("/aliases/{name}", get(aliases::get).put(aliases::put).delete(aliases::delete))
        .route("/aliases/{name}/rollback", post(aliases::rollback))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics));
    for route in unsupported::ROUTES {
        router = router.route(&format!("/{route}/{{name}}"), any(not_supported_yet));
    }
    router
        .fallback(no_mapping)
        .method_not_allowed_fallback(no_mapping)
        .layer(from_fn_with_state(Arc::clone(server), access::observe))
        .with_state(Arc::clone(server))
}

/// An unknown route, or a known one with another method; the words are the original's.
async fn no_mapping(request: Request) -> Response {
    let text = format!("No mapping for HTTP-method: '{}', URL: '{}'", request.method(), request.uri());
    reply::json(&Answer::bare(Status::framework(404, "Not Found", &text)))
}

async fn not_supported_yet(State(_): State<Arc<Server>>, uri: Uri) -> Response {
    let route = uri.path().trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
    reply::of(Err(unsupported::refusal(&route).into()))
}

/// The last part of `/services/{name}` or `/aliases/{name}`, decoded.
fn name_in(uri: &Uri) -> String {
    let mut parts = uri.path().split('/').skip(2);
    decode_path(parts.next().unwrap_or_default())
}

/// The sections of a request as the core takes them.
pub(crate) fn sections(parameters: RequestParameters) -> Parameters {
    Parameters { input: parameters.input, mllib: parameters.mllib, output: parameters.output }
}

fn query_of(uri: &Uri) -> Query {
    Query::parse(uri.query().unwrap_or_default())
}
