//! The life of a server: bind, bring services back, make the calls of the start list, serve, drain, stop.

mod access;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use dede_backends::neural::engine;
use dede_bundle::store::BlobStore;
use dede_engine::catalogue::Catalogue;
use dede_engine::environment::{BROUGHT, Environment};
use dede_engine::limiter::{Bounds, Limiter};
use dede_migration::{HostDescription, MoveContext, Moves, SystemClock, TransferRate};
use dede_model::backend::EngineOptions;
use dede_model::connector::InputLimits;
use dede_model::egress::EgressPolicy;
use dede_model::request_memory::RequestMemory;
use dede_storage::FileAccess;
use dede_storage::Roots;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::catalog::{BACKENDS, CONNECTORS};
use crate::cli::ServeOptions;
use crate::config::Configuration;
use crate::deepdetect::DeepDetect;
use crate::host;
use crate::http::distribution;
use crate::http::transport::connection;
use crate::http::transport::connections::ConnectionLimits;
use crate::http::{HttpSettings, Server, router};
use crate::leaving::leave;
use crate::peer::Peers;
use crate::peer::source::ConfiguredPeers;
use crate::start_list;
use crate::tls::Certificates;
use crate::tokens::Tokens;

/// How often samples of histograms are collected.
const METRICS_INTERVAL: Duration = Duration::from_secs(5);
/// Threads that may block at once: each admitted request takes one while it computes.
const BLOCKING_THREADS: usize = 512;
/// Requests that compute besides one per thread: with exactly one per thread, a core stands idle whenever the system
/// puts two threads on the same core.
const SPARE_LANES: usize = 1;
/// Threads that speak HTTP besides one per core: quick requests are computed on them, and one that waits for a thread of the engine
/// leaves its core to another.
const SPARE_WORKERS: usize = 1;
/// Exit status after a second signal: what a shell reports for SIGTERM.
const EXIT_AT_ONCE: u8 = 143;
/// Exit status where it could not serve.
const EXIT_FAILED: u8 = 1;

/// Serves until told to stop; the exit status.
pub(crate) fn run(options: &ServeOptions) -> u8 {
    dede_model::memory::prepare();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(options.threads() + SPARE_WORKERS)
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("http")
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(serve(options));
            // No client waits for what still computes: what was promised is on disk.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(format!("cannot start threads: {error}")),
    };
    match outcome {
        Ok(()) => 0,
        Err(reason) => {
            tracing::error!(target: "api", "{reason}");
            EXIT_FAILED
        }
    }
}

async fn serve(options: &ServeOptions) -> Result<(), String> {
    options.check()?;
    let mut signals = Signals::listen()?;
    let configuration = Arc::new(Configuration::of(&options.file)?);
    let tokens = access::tokens(&options.access)?;
    let certificates = access::certificates(&options.access)?;
    access::reload_on_hangup(&tokens, certificates.as_ref())?;
    let listener = connection::listen(&options.host, options.port)?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    access::tell(address, tokens.has_owner(), &configuration);
    let limits = Arc::new(input_limits(options, address));
    // Clients that are not the server's owner can reach it.
    let is_strict = tokens.has_owner() || !address.ip().is_loopback();
    let server = Server::new(HttpSettings { is_strict, ..http_settings(options, tokens, &configuration, &limits)? })?;
    let (stop, stopped) = watch::channel(false);
    let bounds = options.limits.connections();
    let connections = tokio::spawn(accept(listener, certificates, Arc::clone(&server), bounds, stopped));
    tokio::spawn(collect_metrics(Arc::clone(&server)));

    let environment = environment(options, limits, address)?;
    let started = tokio::select! {
        started = bring_back(environment, configuration, options) => started?,
        () = signals.next() => return Ok(()),
    };
    let Started { catalogue: started, moves, store, host } = started;
    tokio::spawn(distribution::collect_garbage(Arc::clone(&store)));
    server.open(Arc::clone(&started), moves, store, host);
    announce(address);
    signals.next().await;
    drain(&server, &started, signals, options).await;
    let _ = stop.send(true);
    let _ = connections.await;
    tracing::info!(target: "api", "stopped");
    Ok(())
}

async fn accept(
    listener: TcpListener,
    certificates: Option<Arc<Certificates>>,
    server: Arc<Server>,
    limits: ConnectionLimits,
    mut stopped: watch::Receiver<bool>,
) {
    let stop = async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    connection::serve(listener, certificates, router(&server), limits, stop).await;
}

async fn collect_metrics(server: Arc<Server>) {
    loop {
        tokio::time::sleep(METRICS_INTERVAL).await;
        server.collect_metrics();
    }
}

/// The parts of a server that has started.
struct Started {
    catalogue: Arc<Catalogue>,
    moves: Arc<Moves>,
    store: Arc<BlobStore>,
    host: HostDescription,
}

/// Opens the state directory, loads what it records, makes the calls of the start list, and takes up moves.
async fn bring_back(
    environment: Environment,
    configuration: Arc<Configuration>,
    options: &ServeOptions,
) -> Result<Started, String> {
    let list = options.service_start_list.clone();
    let go_on = options.service_start_list_no_exit_on_failure;
    let keep_moves = options.keep_moves.get();
    let limits = options.limits.clone();
    let work = move || {
        let directory = environment.state_directory.clone();
        let engine = environment.engine.engine.clone();
        let failed =
            |error: &dyn std::fmt::Display| format!("cannot start on state directory {}: {error}", directory.display());
        let catalogue = Catalogue::start(environment).map_err(|error| failed(&error))?;
        if let Some(list) = list {
            start_list::run(&list, &catalogue, go_on)?;
        }
        let store = Arc::new(BlobStore::open(&directory.join("blobs")).map_err(|error| failed(&error))?);
        let free = store.free_on_disk().map_err(|error| failed(&error))?;
        store.set_quota(limits.registry_quota(store.taken(), free));
        let host = host::describe(engine.as_deref());
        let context = MoveContext {
            catalogue: Arc::clone(&catalogue),
            store: Arc::clone(&store),
            peers: Arc::new(ConfiguredPeers(configuration)),
            host: host.clone(),
            directory: directory.clone(),
            rate: TransferRate::default(),
            clock: Arc::new(SystemClock),
            api: Arc::new(DeepDetect),
        };
        let moves = Moves::start(context, keep_moves);
        Ok(Started { catalogue, moves: moves.map_err(|error| failed(&error))?, store, host })
    };
    tokio::task::spawn_blocking(work).await.map_err(|_| "a bug while starting, see above".to_owned())?
}

/// Not ready first; then, after the drain delay, trainings stop with a checkpoint. A second signal ends everything.
async fn drain(server: &Server, catalogue: &Arc<Catalogue>, mut signals: Signals, options: &ServeOptions) {
    tracing::info!(target: "api", "stopping: requests in flight are answered, trainings stop with a checkpoint");
    server.drain();
    tokio::spawn(async move {
        signals.next().await;
        leave(EXIT_AT_ONCE);
    });
    tokio::time::sleep(Duration::from_secs(options.drain_delay)).await;
    let catalogue = Arc::clone(catalogue);
    if tokio::task::spawn_blocking(move || catalogue.stop()).await.is_err() {
        tracing::error!(target: "api", "trainings could not be stopped in order");
    }
}

/// Tells where the server listens: a log line, and the only line ever written to standard output.
fn announce(address: SocketAddr) {
    let line = format!("DeepDetect HTTP server listening on {address}");
    tracing::info!(target: "api", "{line}");
    let mut out = std::io::stdout().lock();
    if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush()) {
        tracing::debug!(target: "api", "standard output: {error}");
    }
}

/// SIGTERM and SIGINT, as one.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> Result<Self, String> {
        let listen = |kind| signal(kind).map_err(|error| format!("cannot listen to signals: {error}"));
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn http_settings(
    options: &ServeOptions,
    tokens: Arc<Tokens>,
    configuration: &Arc<Configuration>,
    limits: &Arc<InputLimits>,
) -> Result<HttpSettings, String> {
    let allow_origin = options.allow_origin.as_deref().filter(|origin| !origin.is_empty());
    let allow_origin = allow_origin.map(HeaderValue::from_str).transpose();
    Ok(HttpSettings {
        allow_origin: allow_origin.map_err(|_| "--allow-origin cannot be sent in a header".to_owned())?,
        tokens,
        hosts: options.access.allow_host.clone(),
        body_limit: options.limits.max_body << 20,
        request_memory: limits.memory.clone(),
        threads: options.threads(),
        strict: options.strict,
        is_strict: true,
        limits: Arc::clone(limits),
        peers: Peers::new(Arc::clone(configuration)),
    })
}

fn input_limits(options: &ServeOptions, address: SocketAddr) -> InputLimits {
    let limits = &options.limits;
    InputLimits {
        files: FileAccess::Anywhere,
        fetch_bytes: limits.max_fetch << 20,
        connect_timeout_ms: limits.connect_timeout * 1000,
        fetch_timeout_ms: limits.fetch_timeout * 1000,
        redirects: limits.max_redirects,
        egress: EgressPolicy::new(address.ip().is_loopback(), options.access.allow_fetch.clone()).besides(address),
        image_pixels: limits.max_image * 1_000_000,
        table_bytes: limits.max_table << 20,
        items: limits.max_items,
        memory: RequestMemory::new(limits.request_memory()),
    }
}

fn environment(options: &ServeOptions, limits: Arc<InputLimits>, address: SocketAddr) -> Result<Environment, String> {
    let threads = options.threads();
    if let Some(name) = &options.engine {
        engine::select(Some(name)).map_err(|error| error.to_string())?;
    }
    let state_directory = unambiguous(options.state_directory(address.port())?)?;
    let data = Roots::new(&options.access.data_root).map_err(|error| format!("--data-root: {error}"))?;
    let guests = || Arc::new(InputLimits { files: FileAccess::Beneath(data), ..InputLimits::clone(&limits) });
    let guest_limits = Some(guests());
    Ok(Environment {
        connectors: CONNECTORS,
        backends: BACKENDS,
        engine: EngineOptions { threads, concurrency: threads + SPARE_LANES, engine: options.engine.clone() },
        limits,
        guest_limits,
        limiter: Limiter::new(Bounds::of_machine(options.limits.max_requests.get(), threads)),
        queue_limit: options.limits.queue.get(),
        capture_bytes: usize::try_from(options.capture.saturating_mul(1 << 20)).unwrap_or(usize::MAX),
        strict: options.strict,
        repository_roots: repository_roots(&options.access.repository_root, &state_directory)?,
        state_directory,
        protocol: &DeepDetect,
        trial: Some(Arc::new(options.limits.trials(options.engine.clone()))),
    })
}

/// A directory by a path that means the same wherever it is read: what moves bring is recorded by it. It is made where it is not there.
fn unambiguous(directory: PathBuf) -> Result<PathBuf, String> {
    let goes_up = directory.components().any(|part| part == Component::ParentDir);
    if directory.is_absolute() && !goes_up {
        return Ok(directory);
    }
    let made = std::fs::create_dir_all(&directory).and_then(|()| directory.canonicalize());
    made.map_err(|error| format!("the state directory {}: {error}", directory.display()))
}

/// The directories that repositories are confined to, if any were named; what moves bring is always beneath the state directory.
fn repository_roots(named: &[PathBuf], state_directory: &Path) -> Result<Roots, String> {
    let mut roots = named.to_vec();
    if !roots.is_empty() {
        let brought = state_directory.join(BROUGHT);
        std::fs::create_dir_all(&brought).map_err(|error| format!("create {}: {error}", brought.display()))?;
        roots.push(brought);
    }
    Roots::new(&roots).map_err(|error| format!("--repository-root: {error}"))
}
