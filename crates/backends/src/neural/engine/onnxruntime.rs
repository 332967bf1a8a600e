//! ONNX Runtime, loaded as a library when it is found: the preferred engine.
//!
//! It owns how the library is loaded (never by `ort`'s own lazy way, which panics when there is none) and how runs share
//! the machine: one session of a single thread is run by all lanes at once, and one of all threads by a request that is alone. Only the
//! latter spins, and only while it runs. The two hold the weights of a large network once, see [`weights`].

mod concurrent;
mod gaps;
mod values;
#[cfg(target_os = "linux")]
mod weights;

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use dede_graph::onnx::{ExternalFile, Rewrite};
use dede_model::priority;
use ort::environment::Environment;
use ort::session::Session as OrtSession;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use super::library;
use super::{Availability, Engine, EngineError, LoadOptions, Network, Parallelism, Port, Session, Tensor, guarded};
#[cfg(target_os = "linux")]
use crate::neural::content::Released;
use crate::neural::onnx_view::OnnxView;
use concurrent::SharedSession;
use values::failed;
#[cfg(target_os = "linux")]
use weights::SharedWeights;

/// The engine.
pub(super) struct OnnxRuntime;

/// The library once it is loaded; it stays for the life of the process.
#[derive(Clone)]
struct Loaded {
    environment: Environment,
    version: String,
    path: PathBuf,
}

/// Set by the first success. After a failure the next call looks again: the library may have been installed meanwhile.
static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

impl Engine for OnnxRuntime {
    fn name(&self) -> &'static str {
        "onnxruntime"
    }

    fn check(&self) -> Availability {
        match loaded() {
            Ok(Loaded { version, path, .. }) => Availability::Usable { version, origin: path.display().to_string() },
            Err(reason) => Availability::Unusable { reason },
        }
    }

    fn load(&self, network: Network, options: &LoadOptions) -> Result<Box<dyn Session>, EngineError> {
        let view = OnnxView::parse(&network.onnx).map_err(|error| EngineError::new(error.to_string()))?;
        gaps::check(&view)?;
        Ok(Box::new(RuntimeSession::open(network, options)?))
    }
}

fn loaded() -> Result<Loaded, String> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(library) = &*loaded {
        return Ok(library.clone());
    }
    let library = find()?;
    *loaded = Some(library.clone());
    Ok(library)
}

/// Loads the first library that can be used.
fn find() -> Result<Loaded, String> {
    let mut failures = Vec::new();
    for path in library::candidates() {
        let built = ort::init_from(&path).map_err(|error| error.to_string()).and_then(|builder| {
            let builder = builder.with_name("dede").with_telemetry(false).with_logger(Arc::new(log));
            builder.build().map_err(|error| error.to_string())
        });
        match built {
            Ok(environment) => {
                let version =
                    library::version_of(&path).unwrap_or_else(|| format!("1.{} or newer", ort::MINOR_VERSION));
                return Ok(Loaded { environment, version, path });
            }
            Err(error) => failures.push(error),
        }
    }
    let advice =
        format!("run `dede engine install`, or set {} to the path of libonnxruntime", library::LIBRARY_VARIABLE);
    if failures.is_empty() {
        return Err(format!("its library was not found; {advice}"));
    }
    Err(format!("{}; {advice}", failures.join("; ")))
}

/// What the library says goes to the server's log, one level lower: it warns about much that is no user's concern.
fn log(level: ort::logging::LogLevel, _category: &str, _id: &str, place: &str, message: &str) {
    match level {
        ort::logging::LogLevel::Error | ort::logging::LogLevel::Fatal => {
            tracing::warn!(target: "dede::onnxruntime", place, "{message}");
        }
        ort::logging::LogLevel::Warning => tracing::debug!(target: "dede::onnxruntime", place, "{message}"),
        ort::logging::LogLevel::Info | ort::logging::LogLevel::Verbose => {
            tracing::trace!(target: "dede::onnxruntime", place, "{message}");
        }
    }
}

/// The network with the names asked for among its outputs; the runtime gives out nothing else.
fn with_outputs<'a>(onnx: &'a [u8], names: &[String]) -> Result<Cow<'a, [u8]>, EngineError> {
    // Looked at even when nothing is to be added: what this refuses, the runtime need not survive.
    let view = OnnxView::parse(onnx).map_err(|error| EngineError::new(error.to_string()))?;
    let mut onnx = Cow::Borrowed(onnx);
    for name in names.iter().filter(|name| !view.graph.outputs.iter().any(|output| output.name == **name)) {
        let extended = dede_graph::onnx::with_extra_output(&onnx, name);
        onnx = Cow::Owned(extended.map_err(|error| EngineError::at(name, error.to_string()))?);
    }
    Ok(onnx)
}

/// The network that calls the files of its weights by the names under which they are given.
fn with_names(network: &Network) -> Result<Cow<'_, [u8]>, EngineError> {
    let file = |(name, content): &(String, Arc<[u8]>)| ExternalFile {
        name: name.clone(),
        location: name.clone(),
        size: content.len(),
    };
    let rewrite = Rewrite { external: network.external.iter().map(file).collect(), ..Rewrite::default() };
    if rewrite.is_empty() {
        return Ok(Cow::Borrowed(&network.onnx));
    }
    rewrite.apply(&network.onnx).map(Cow::Owned).map_err(|error| EngineError::new(error.to_string()))
}

struct RuntimeSession {
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    sessions: Sessions,
    // Fields go in this order: what the sessions point into after them.
    #[cfg(target_os = "linux")]
    released: Option<Released>,
    /// What sessions that share weights were made of, until it is known that they read it no more.
    source: Option<(Network, LoadOptions)>,
}

/// The same network for both widths.
struct Sessions {
    one: SharedSession,
    all: Option<Mutex<SharedSession>>,
}

/// What is added to the options of each session.
type Extras<'a> = &'a (dyn Fn(SessionBuilder) -> Result<SessionBuilder, EngineError> + Sync);

impl Session for RuntimeSession {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn run(&self, inputs: Vec<Tensor>, parallelism: Parallelism) -> Result<Vec<Tensor>, EngineError> {
        if let (Parallelism::All, Some(all)) = (parallelism, &self.sessions.all) {
            let all = all.lock().unwrap_or_else(PoisonError::into_inner);
            return guarded("ONNX Runtime", || all.run(inputs));
        }
        guarded("ONNX Runtime", || self.sessions.one.run(inputs))
    }

    fn settle(&mut self, inputs: &[Tensor], all_threads: bool) -> Result<(), EngineError> {
        if !all_threads {
            self.sessions.all = None;
        }
        match self.source.take() {
            None => self.sessions.shrink(inputs),
            Some((network, options)) => self.let_go_of(network, options, inputs),
        }
    }
}

impl RuntimeSession {
    fn open(network: Network, options: &LoadOptions) -> Result<Self, EngineError> {
        #[cfg(target_os = "linux")]
        match Sessions::sharing(&network, options) {
            Ok(Some(sessions)) => return Ok(Self::new(sessions, Some((network, options.clone())))),
            Ok(None) => {}
            // Whatever is wrong with the network itself is found again.
            Err(error) => tracing::debug!(%error, "weights are not shared: each session gets its own"),
        }
        Ok(Self::new(Sessions::apart(&network, options)?, None))
    }

    fn new(sessions: Sessions, source: Option<(Network, LoadOptions)>) -> Self {
        let (inputs, outputs) = sessions.one.ports();
        Self {
            inputs,
            outputs,
            sessions,
            #[cfg(target_os = "linux")]
            released: None,
            source,
        }
    }

    /// Gives the file back once it is known that no session reads it: the runtime has made copies in its own order. Where one does, each
    /// session gets weights of its own.
    #[cfg(target_os = "linux")]
    fn let_go_of(&mut self, network: Network, mut options: LoadOptions, inputs: &[Tensor]) -> Result<(), EngineError> {
        if let Some(mapping) = network.onnx.mapping() {
            mapping.drop_pages();
            self.sessions.shrink(inputs)?;
            if mapping.was_read().unwrap_or(true) {
                tracing::debug!("a session reads weights of the file: each session gets its own");
                options.threads = if self.sessions.all.is_some() { options.threads } else { 1 };
                self.sessions = Sessions::apart(&network, &options)?;
                return self.sessions.shrink(inputs);
            }
        }
        self.released = network.onnx.released();
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    fn let_go_of(&mut self, _: Network, _: LoadOptions, inputs: &[Tensor]) -> Result<(), EngineError> {
        self.sessions.shrink(inputs)
    }
}

impl Sessions {
    /// Each holds the weights.
    fn apart(network: &Network, options: &LoadOptions) -> Result<Self, EngineError> {
        let named = with_names(network)?;
        let onnx = with_outputs(&named, &options.outputs)?;
        Self::open(&onnx, options, &|mut builder| {
            for (name, content) in &network.external {
                let added = builder.with_external_initializer_file_in_memory(name, Arc::clone(content));
                builder = added.map_err(failed)?;
            }
            Ok(builder)
        })
    }

    /// Those of a large network, which hold its weights once; `None` where there is nothing to share. They must go before the network,
    /// or what it leaves.
    #[cfg(target_os = "linux")]
    fn sharing(network: &Network, options: &LoadOptions) -> Result<Option<Self>, EngineError> {
        let (Some(mapping), Some(path)) = (network.onnx.mapping(), &network.path) else { return Ok(None) };
        let Some(weights) = SharedWeights::of(mapping, path)? else { return Ok(None) };
        let onnx = with_outputs(weights.rest(), &options.outputs)?;
        let sessions = mapping.dropping(|| Self::open(&onnx, options, &|builder| weights.given_to(builder)))?;
        // An optimization may have read weights by the path.
        match mapping.is_at(path) {
            true => Ok(Some(sessions)),
            false => Err(EngineError::new("the file was replaced while it was loaded")),
        }
    }

    fn open(onnx: &[u8], options: &LoadOptions, extras: Extras<'_>) -> Result<Self, EngineError> {
        let library = loaded().map_err(EngineError::new)?;
        let open = |threads| {
            guarded("ONNX Runtime", || {
                let builder = extras(builder(&library.environment, threads, options.is_optimised)?)?;
                let session = { builder }.commit_from_memory(onnx).map_err(failed)?;
                SharedSession::new(session, &options.outputs)
            })
        };
        if options.threads <= 1 {
            return Ok(Self { one: open(1)?, all: None });
        }
        let gives_way = priority::gives_way();
        std::thread::scope(|scope| {
            let one = scope.spawn(|| {
                if gives_way {
                    priority::give_way();
                }
                open(1)
            });
            // It starts threads that serve clients, at whatever priority the network is loaded.
            let all = priority::ordinary(|| open(options.threads));
            let one =
                one.join().unwrap_or_else(|_| Err(EngineError::new("loading ended in an internal error (panic)")))?;
            Ok(Self { one, all: Some(Mutex::new(all?)) })
        })
    }

    /// Gives back memory that larger runs left, by a run each.
    fn shrink(&self, inputs: &[Tensor]) -> Result<(), EngineError> {
        guarded("ONNX Runtime", || {
            if let Some(all) = &self.all {
                all.lock().unwrap_or_else(PoisonError::into_inner).run_and_shrink(inputs.to_vec())?;
            }
            self.one.run_and_shrink(inputs.to_vec()).map(drop)
        })
    }
}

fn builder(environment: &Environment, threads: usize, is_optimised: bool) -> Result<SessionBuilder, EngineError> {
    let mut builder = OrtSession::builder(environment).map_err(failed)?;
    if !is_optimised {
        builder = builder.with_optimization_level(GraphOptimizationLevel::Disable).map_err(failed)?;
    }
    let builder = builder.with_intra_threads(threads).map_err(failed)?;
    let builder = builder.with_inter_threads(1).map_err(failed)?;
    let builder = builder.with_intra_op_spinning(threads > 1).map_err(failed)?;
    builder.with_config_entry("session.force_spinning_stop", "1").map_err(failed)
}
