//! Trial loads of networks, each in a process of its own: one that is killed, crashes or never ends takes no service
//! with it.
//!
//! The process is this program again (`dede try-service`). It gets the request that creates the service on its standard input, has bounds
//! on memory, and says on its standard output what came of it, as JSON. It must not know networks.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dede_engine::environment::Environment;
use dede_engine::limiter::{Bounds, Limiter};
use dede_engine::protocol::Plain;
use dede_engine::service::CreationRequest;
use dede_engine::service::attempt::attempt;
use dede_engine::trial::{Patience, Trial};
use dede_model::backend::EngineOptions;
use dede_model::error::{Error, Fault, Result};
use dede_storage::Roots;
use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use serde::{Deserialize, Serialize};

use crate::catalog::{BACKENDS, CONNECTORS};

/// Longest request and longest answer, bytes.
const LONGEST: u64 = 256 << 20;
/// Memory of the process that is not the network's: the program, the engine's library, stacks of threads, bytes.
const BESIDES: u64 = 256 << 20;
/// Stack of the thread that tries a network, bytes: less than a thread of the server has, so that what goes deep ends here and not there.
const STACK: usize = 3 << 19;
/// This very program, also where its file was replaced since.
const PROGRAM: &str = "/proc/self/exe";

/// It keeps nothing, and forbids no directory.
const NO_STATE: &str = "/proc/self/no-state";

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
/// Trials that go on or wait.
static WAITING: AtomicUsize = AtomicUsize::new(0);
/// Most of them that clients may begin: each holds a thread that predicts need too.
const MOST_WAITING: usize = 16;

/// A trial that goes on or waits.
struct Waiting;

impl Waiting {
    fn begin(patience: Patience) -> Result<Self> {
        let waiting = Self;
        let before = WAITING.fetch_add(1, Ordering::AcqRel);
        if patience == Patience::Client && before >= MOST_WAITING {
            return Err(Error::Overloaded(format!("{MOST_WAITING} networks are being tried already")));
        }
        Ok(waiting)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Bounds on a trial.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Trials {
    /// Memory that it may take, bytes.
    pub(crate) memory_bytes: u64,
    /// Time to load it and to answer once.
    pub(crate) timeout: Duration,
    /// The engine asked for.
    pub(crate) engine: Option<String>,
}

/// What the process is told.
#[derive(Serialize, Deserialize)]
struct Task {
    trials: Trials,
    /// The record of what is to be tried.
    creation: String,
}

/// What the process reports. One that reports nothing did not come to an end.
#[derive(Debug, Serialize, Deserialize)]
enum Verdict {
    Good,
    BadInput { at: String, reason: String },
    BadParameter { at: String, reason: String },
    Failed(String),
}

impl Trial for Trials {
    fn attempt(&self, request: &CreationRequest, patience: Patience) -> Result<()> {
        let _waiting = Waiting::begin(patience)?;
        // Each may take half of the memory.
        let _one_at_a_time = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let task = Task { trials: self.clone(), creation: request.to_record() };
        let task = serde_json::to_vec(&task).map_err(|error| Error::Internal(error.to_string()))?;
        let mut command = Command::new(PROGRAM);
        command.arg("try-service").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let child = command.spawn().map_err(Error::io("start a process that tries the network"))?;
        match self.wait(child, task)? {
            (_, Some(verdict)) => verdict.into_result(),
            (Some(status), None) => Err(self.refusal(&format!("its process ended ({status})"))),
            (None, None) => Err(self.refusal(&format!("it took more than {} s", self.timeout.as_secs()))),
        }
    }
}

impl Trials {
    /// Waits for the process; ends it where it takes too long. Its exit status, if it ended by itself, and what it said.
    fn wait(&self, mut child: Child, task: Vec<u8>) -> Result<(Option<ExitStatus>, Option<Verdict>)> {
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (sender, said) = channel();
        let talk = move || {
            let mut answer = Vec::new();
            // A process that is gone reads nothing, and has said what it said.
            let _ = stdin.map(|mut stdin| stdin.write_all(&task));
            let _ = stdout.map(|stdout| stdout.take(LONGEST).read_to_end(&mut answer));
            // It is not waited for any more where it takes too long.
            let _ = sender.send(answer);
        };
        let talking = std::thread::Builder::new().name("trial".into()).spawn(talk);
        let waited = talking.map_err(Error::io("start a thread")).map(|_| said.recv_timeout(self.timeout));
        let is_late = matches!(waited, Ok(Err(RecvTimeoutError::Timeout)) | Err(_));
        if is_late && let Err(error) = child.kill() {
            tracing::warn!(target: "api", %error, "a process that tries a network cannot be ended");
        }
        let status = child.wait().map_err(Error::io("wait for a process that tries a network"))?;
        let answer = waited?.unwrap_or_default();
        let verdict = serde_json::from_slice(&answer).ok().filter(|_| status.success());
        Ok(((!is_late).then_some(status), verdict))
    }

    fn refusal(&self, what: &str) -> Error {
        let text = format!(
            "tried in a process of {} MiB, {what}: the network is too large for this server, or not sound \
             (--max-network-memory, --network-timeout)",
            self.memory_bytes >> 20
        );
        Error::bad_parameter_at("model.repository", text)
    }

    /// Sets the bounds of this process.
    fn confine(&self) -> std::io::Result<()> {
        let bounded = |bytes: u64| Rlimit { current: Some(bytes), maximum: Some(bytes) };
        setrlimit(Resource::Data, bounded(self.memory_bytes.saturating_add(BESIDES)))?;
        setrlimit(Resource::Core, bounded(0))?;
        setrlimit(Resource::Cpu, bounded(self.timeout.as_secs().saturating_mul(4).max(1)))?;
        // The server that waits for it may be killed.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        Ok(())
    }
}

impl Verdict {
    fn of(outcome: Result<()>) -> Self {
        match outcome {
            Ok(()) => Self::Good,
            Err(Error::BadInput(Fault { at, reason })) => Self::BadInput { at, reason },
            Err(Error::BadParameter(Fault { at, reason })) => Self::BadParameter { at, reason },
            Err(error) => Self::Failed(error.to_string()),
        }
    }

    fn into_result(self) -> Result<()> {
        match self {
            Self::Good => Ok(()),
            Self::BadInput { at, reason } => Err(Error::BadInput(Fault { at, reason })),
            Self::BadParameter { at, reason } => Err(Error::BadParameter(Fault { at, reason })),
            Self::Failed(text) => Err(Error::Internal(text)),
        }
    }
}

/// `dede try-service`: what the process does.
///
/// # Errors
/// A sentence: it was not told what to try, or cannot be confined.
pub(crate) fn run() -> std::result::Result<(), String> {
    let mut text = Vec::new();
    std::io::stdin().take(LONGEST).read_to_end(&mut text).map_err(|error| error.to_string())?;
    let Task { trials, creation } = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    trials.confine().map_err(|error| format!("cannot set its bounds: {error}"))?;
    let request = CreationRequest::from_record(&creation).map_err(|error| error.to_string())?;
    let attempting = move || Verdict::of(attempt(request, &environment(trials.engine)));
    let attempting = std::thread::Builder::new().name("trial".into()).stack_size(STACK).spawn(attempting);
    let attempted = attempting.map_err(|error| format!("cannot start a thread: {error}"))?.join();
    let verdict = attempted.map_err(|_| "the trial ended in an internal error (panic)".to_owned())?;
    let said = serde_json::to_vec(&verdict).map_err(|error| error.to_string())?;
    std::io::stdout().lock().write_all(&said).map_err(|error| error.to_string())
}

/// One thread is enough to find out whether a network can be loaded.
fn environment(engine: Option<String>) -> Environment {
    Environment {
        connectors: CONNECTORS,
        backends: BACKENDS,
        engine: EngineOptions { threads: 1, concurrency: 1, engine },
        limits: Arc::default(),
        guest_limits: None,
        limiter: Limiter::new(Bounds::of_machine(1, 1)),
        queue_limit: 1,
        capture_bytes: 0,
        strict: false,
        repository_roots: Roots::default(),
        state_directory: NO_STATE.into(),
        protocol: &Plain,
        trial: None,
    }
}
