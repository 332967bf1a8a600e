//! Options of `dede serve`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::HeaderValue;
use clap::{ArgAction, Args};
use dede_backends::neural::engine;
use dede_model::egress::AddressRange;

use super::peers::ConfigOption;
use crate::config::{ConfigFile, shown};
use crate::http;
use crate::http::transport::connections::ConnectionLimits;
use crate::logging::LogFormat;
use crate::trial::Trials;

/// Memory for the bodies of requests where nothing is said, bytes, as far as the machine has four times as much.
const MOST_REQUEST_MEMORY: u64 = 1 << 30;

/// Largest sizes, MiB, and times, seconds, and images, millions of pixels: beyond what machines have, and within what is computed with.
const MEBIBYTES: u64 = 1 << 33;
const SECONDS: u64 = 365 * 24 * 60 * 60;
const MEGAPIXELS: u64 = 1_000_000;
/// Most threads that compute, and most connections and requests.
const THREADS: usize = 4096;
const PLACES: usize = 1 << 24;

/// Of a hundred bytes that the disk has for the blob store, those that it takes where nothing is said.
const REGISTRY_PERCENT: u64 = 80;

/// What `dede serve` is started with.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_line_help = false)]
pub(crate) struct ServeOptions {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1", help_heading = "Server")]
    pub(crate) host: String,

    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 8080, help_heading = "Server")]
    pub(crate) port: u16,

    /// Directory that keeps services and aliases across restarts [default: $XDG_STATE_HOME/dede/PORT].
    #[arg(long, value_name = "DIR", help_heading = "Server")]
    pub(crate) state_dir: Option<PathBuf>,

    /// Let web pages of this origin call the server ("*" for all).
    #[arg(long, value_name = "ORIGIN", help_heading = "Server")]
    pub(crate) allow_origin: Option<String>,

    /// Refuse unknown keys of requests, instead of logging them.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, hide_default_value = true, hide_possible_values = true, action = ArgAction::Set, value_name = "BOOL", help_heading = "Server")]
    pub(crate) strict: bool,

    /// What a log line is.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t, help_heading = "Server")]
    pub(crate) log_format: LogFormat,

    /// Threads that compute [default: all cores].
    #[arg(long, value_name = "N", help_heading = "Server")]
    pub(crate) threads: Option<NonZeroUsize>,

    /// Memory for recent inputs of each service, MiB, to warm and check its successor with; 0 keeps none.
    #[arg(long, value_name = "MIB", default_value_t = 16, help_heading = "Server", value_parser = clap::value_parser!(u64).range(..=MEBIBYTES))]
    pub(crate) capture: u64,

    /// Moves that are over and stay on the list; of older ones only the certificates are kept.
    #[arg(long, value_name = "N", default_value_t = NonZeroUsize::new(dede_migration::KEPT_MOVES).unwrap_or(NonZeroUsize::MIN), help_heading = "Server")]
    pub(crate) keep_moves: NonZeroUsize,

    /// Inference engine to use [default: the best one that works here].
    #[arg(long, value_name = "NAME", help_heading = "Server")]
    pub(crate) engine: Option<String>,

    /// File with calls to make at the start, one per line; services that came back are skipped.
    #[arg(long, value_name = "FILE", help_heading = "Start")]
    pub(crate) service_start_list: Option<PathBuf>,

    /// Go on when a call of the list fails.
    #[arg(long,
        overrides_with = "service_start_list_no_exit_on_failure", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, hide_default_value = true, hide_possible_values = true, action = ArgAction::Set, value_name = "BOOL", help_heading = "Start")]
    pub(crate) service_start_list_no_exit_on_failure: bool,

    /// Seconds between "not ready" and the end of listening, for load balancers to notice.
    #[arg(long, value_name = "S", default_value_t = 0, help_heading = "Start", value_parser = clap::value_parser!(u64).range(..=SECONDS))]
    pub(crate) drain_delay: u64,

    #[command(flatten)]
    pub(crate) config: ConfigOption,

    /// What is in it, as it was read once: settings and peers are those of one state of the file.
    #[arg(skip)]
    pub(crate) file: ConfigFile,

    #[command(flatten)]
    pub(crate) access: AccessOptions,

    #[command(flatten)]
    pub(crate) limits: LimitOptions,
}

/// Who may call the server, and what its clients may make it open.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Access")]
pub(crate) struct AccessOptions {
    /// File with the token that is required for everything but predicts, info and health. Read again on SIGHUP.
    #[arg(long, value_name = "FILE", env = "DEDE_TOKEN_FILE", hide_env_values = true)]
    pub(crate) token_file: Option<PathBuf>,

    /// Refuse to start without a token.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, hide_default_value = true, hide_possible_values = true, action = ArgAction::Set, value_name = "BOOL")]
    pub(crate) require_token: bool,

    /// Answer predicts with a token only: the server's own, or that of --predict-token-file.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, hide_default_value = true, hide_possible_values = true, action = ArgAction::Set, value_name = "BOOL")]
    pub(crate) predict_wants_token: bool,

    /// File with a second token, which may only predict; predicts then want one. Read again on SIGHUP.
    #[arg(long, value_name = "FILE")]
    pub(crate) predict_token_file: Option<PathBuf>,

    /// Host name, such as that of a proxy, under which a server that listens on loopback without a token accepts
    /// requests, besides localhost and IP addresses; may be given more than once.
    #[arg(long, value_name = "NAME")]
    pub(crate) allow_host: Vec<String>,

    /// Certificate chain (PEM): speak https. Read again on SIGHUP.
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// Private key (PEM) of the certificate.
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Private addresses that URLs in requests may lead to, like 10.0.0.0/8 [default: all when listening on loopback, else none].
    #[arg(long, value_name = "CIDR")]
    pub(crate) allow_fetch: Vec<AddressRange>,

    /// Directory whose files requests may name without the token, where one is set or the server listens beyond loopback; may be given
    /// more than once [default: none].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_root: Vec<PathBuf>,

    /// Directory that model repositories must lie in; may be given more than once [default: anywhere].
    #[arg(long, value_name = "DIR")]
    pub(crate) repository_root: Vec<PathBuf>,
}

/// Bounds on what requests may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitOptions {
    /// Largest request body after decompression, MiB.
    #[arg(long, value_name = "MIB", default_value_t = 128, value_parser = clap::value_parser!(u64).range(..=MEBIBYTES))]
    pub(crate) max_body: u64,

    /// Memory that the bodies of all requests may take together, inflated and parsed, MiB [default: a quarter of the memory, 1024 at most].
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(..=MEBIBYTES))]
    pub(crate) request_memory: Option<u64>,

    /// Memory that a network may take when it is tried before a service is created with it, MiB [default: half of the memory].
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(..=MEBIBYTES))]
    pub(crate) max_network_memory: Option<u64>,

    /// Seconds within which that network must be loaded and must answer once.
    #[arg(long, value_name = "S", default_value_t = 120, value_parser = clap::value_parser!(u64).range(..=SECONDS))]
    pub(crate) network_timeout: u64,

    /// Open connections; more wait to be accepted, and idle ones are closed.
    #[arg(long, value_name = "N", default_value = "4096")]
    pub(crate) max_connections: NonZeroUsize,

    /// Open connections of one address; more are closed [default: an eighth of --max-connections].
    #[arg(long, value_name = "N")]
    pub(crate) connections_per_address: Option<NonZeroUsize>,

    /// Room for what clients push to /v2, together with everything else in the blob store, MiB [default: 80 % of what the disk has for it
    /// at the start].
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(..=MEBIBYTES))]
    pub(crate) registry_quota: Option<u64>,

    /// Requests of one service that may wait or run at once; more are answered 503.
    #[arg(long, value_name = "N", default_value = "256")]
    pub(crate) queue: NonZeroUsize,

    /// Requests of all services that may wait or run at once.
    #[arg(long, value_name = "N", default_value = "1024")]
    pub(crate) max_requests: NonZeroUsize,

    /// Largest body fetched from a URL, MiB.
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(..=MEBIBYTES))]
    pub(crate) max_fetch: u64,

    /// Seconds to connect to a URL's host.
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u64).range(..=SECONDS))]
    pub(crate) connect_timeout: u64,

    /// Seconds to fetch all URLs of one request.
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u64).range(..=SECONDS))]
    pub(crate) fetch_timeout: u64,

    /// Redirects followed when fetching.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) max_redirects: u32,

    /// Largest image, millions of pixels.
    #[arg(long, value_name = "MP", default_value_t = 100, value_parser = clap::value_parser!(u64).range(..=MEGAPIXELS))]
    pub(crate) max_image: u64,

    /// Largest csv file, MiB.
    #[arg(long, value_name = "MIB", default_value_t = 4096, value_parser = clap::value_parser!(u64).range(..=MEBIBYTES))]
    pub(crate) max_table: u64,

    /// Most items (files, rows) that one predict may expand to.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub(crate) max_items: usize,
}

impl AccessOptions {
    fn check(&self) -> Result<(), String> {
        if self.token_file.is_none() && self.require_token {
            return Err("--require-token: expected --token-file or DEDE_TOKEN_FILE".to_owned());
        }
        if self.token_file.is_none() && self.predict_token_file.is_none() && self.predict_wants_token {
            return Err("--predict-wants-token: expected --token-file or --predict-token-file".to_owned());
        }
        match (&self.tls_cert, &self.tls_key) {
            (Some(_), None) => Err("--tls-cert: expected --tls-key beside it".to_owned()),
            (None, Some(_)) => Err("--tls-key: expected --tls-cert beside it".to_owned()),
            (Some(_), Some(_)) | (None, None) => Ok(()),
        }
    }
}

impl LimitOptions {
    /// Bounds on the first look at a network.
    pub(crate) fn trials(&self, engine: Option<String>) -> Trials {
        let half = || http::memory_of_machine().map_or(u64::MAX / 2, |memory| memory / 2);
        let memory_bytes = self.max_network_memory.map_or_else(half, |mebibytes| mebibytes.saturating_mul(1 << 20));
        Trials { memory_bytes, timeout: Duration::from_secs(self.network_timeout), engine }
    }

    /// Bounds on open connections.
    pub(crate) fn connections(&self) -> ConnectionLimits {
        let all = self.max_connections.get();
        let per_address = self.connections_per_address.map_or((all / 8).max(1), NonZeroUsize::get);
        ConnectionLimits { all, per_address }
    }

    /// Memory for the bodies of all requests, bytes.
    pub(crate) fn request_memory(&self) -> u64 {
        let default = || http::memory_of_machine().map_or(MOST_REQUEST_MEMORY, |memory| memory / 4);
        self.request_memory.map_or_else(|| default().min(MOST_REQUEST_MEMORY), |mebibytes| mebibytes << 20)
    }
}

impl LimitOptions {
    /// Bytes that the blob store may take, which takes some already; `free` is what the disk has left. What is taken counts as free, so
    /// that every start comes to the same.
    pub(crate) fn registry_quota(&self, taken: u64, free: u64) -> u64 {
        let default = || taken.saturating_add(free) / 100 * REGISTRY_PERCENT;
        self.registry_quota.map_or_else(default, |mebibytes| mebibytes.saturating_mul(1 << 20))
    }
}

impl ServeOptions {
    /// Checks what options say together, be they flags or of the configuration file. Which files there are shows at the start.
    ///
    /// # Errors
    /// A sentence naming the flag.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.access.check()?;
        if let Some(name) = &self.engine {
            engine::select(Some(name)).map_err(|error| format!("--engine: {error}"))?;
        }
        if self.allow_origin.as_deref().is_some_and(|origin| HeaderValue::from_str(origin).is_err()) {
            return Err("--allow-origin cannot be sent in a header".to_owned());
        }
        let (limits, threads) = (&self.limits, self.threads.map_or(1, NonZeroUsize::get));
        let per_address = limits.connections_per_address.map_or(1, NonZeroUsize::get);
        for (flag, value, most) in [
            ("--threads", threads, THREADS),
            ("--max-connections", limits.max_connections.get(), PLACES),
            ("--connections-per-address", per_address, PLACES),
            ("--queue", limits.queue.get(), PLACES),
            ("--max-requests", limits.max_requests.get(), PLACES),
        ] {
            if value > most {
                return Err(format!("{flag}: expected at most {most}, found {value}"));
            }
        }
        Ok(())
    }

    /// Where state is kept when the server listens on `port`.
    ///
    /// # Errors
    /// A sentence, when neither `--state-dir` nor a home directory is known.
    pub(crate) fn state_directory(&self, port: u16) -> Result<PathBuf, String> {
        if let Some(directory) = &self.state_dir {
            return Ok(directory.clone());
        }
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        absolute("XDG_STATE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
            .map(|base| base.join("dede").join(port.to_string()))
            .ok_or_else(|| {
                "neither XDG_STATE_HOME nor HOME is set: say where to keep state with --state-dir".to_owned()
            })
    }

    /// What is used for a setting that is not set and depends on the machine, in TOML.
    pub(crate) fn computed(&self, key: &str) -> Option<String> {
        match key {
            "threads" => Some(self.threads().to_string()),
            // With port 0 the directory is that of the port that the system gives.
            "state_dir" if self.port != 0 => self.state_directory(self.port).ok().as_deref().and_then(shown::path),
            "request_memory" => Some((self.limits.request_memory() >> 20).to_string()),
            "max_network_memory" => Some((self.limits.trials(None).memory_bytes >> 20).to_string()),
            "connections_per_address" => Some(self.limits.connections().per_address.to_string()),
            _ => None,
        }
    }

    /// Number of computing threads.
    pub(crate) fn threads(&self) -> usize {
        self.threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
    }
}
