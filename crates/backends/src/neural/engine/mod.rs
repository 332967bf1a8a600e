//! Inference engines: what loads ONNX bytes and runs them.
//!
//! It owns the two traits, what crosses them and the choice of an engine. It must not know services, files of a repository
//! nor what outputs mean. How an engine runs several requests at once is its own affair.

mod footprint;
mod library;
mod onnxruntime;
mod ranks;
mod resize;
mod rten;
mod scope;

pub mod install;

use std::path::PathBuf;
use std::sync::Arc;

use dede_model::error::{Error, Result};
use dede_model::quote::quote;
use dede_model::tensor::{Floats, ShapeMismatch};

use super::content::Content;

pub use dede_model::tensor::{Port, Tensor, Values};
pub(super) use footprint::{Source, memory_needed, memory_of_another};
pub use library::{LIBRARY_VARIABLE, engine_directory};

/// An inference engine. All of them are in [`engines`].
pub trait Engine: Send + Sync {
    /// The name users choose it by.
    fn name(&self) -> &'static str;

    /// Whether it works here, and why not. The first call may load a library.
    fn check(&self) -> Availability;

    /// Loads a network. Never panics, whatever the bytes are.
    ///
    /// # Errors
    /// [`EngineError`] naming the node, also when the engine would compute it wrongly.
    fn load(&self, network: Network, options: &LoadOptions) -> Result<Box<dyn Session>, EngineError>;
}

/// A loaded network. Runs of several threads go on at once, up to [`LoadOptions::lanes`].
pub trait Session: Send + Sync {
    /// Inputs that a run must be given, in this order.
    fn inputs(&self) -> &[Port];

    /// Outputs of the graph. Without [`LoadOptions::outputs`] these are the outputs of the file.
    fn outputs(&self) -> &[Port];

    /// Runs the network: one tensor per input, answered by one tensor per output.
    ///
    /// # Errors
    /// [`EngineError`] when shapes or types do not fit the network.
    fn run(&self, inputs: Vec<Tensor>, parallelism: Parallelism) -> Result<Vec<Tensor>, EngineError>;

    /// Measuring is over, and clients are next: memory that only larger runs or loading needed goes back. `inputs` are those of a usual
    /// run, for engines that find out by one; without `all_threads` nothing will ask for [`Parallelism::All`].
    ///
    /// # Errors
    /// As [`Session::run`].
    fn settle(&mut self, inputs: &[Tensor], all_threads: bool) -> Result<(), EngineError> {
        let _ = (inputs, all_threads);
        Ok(())
    }
}

/// How many threads one run may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parallelism {
    /// One: other runs go on beside it.
    One,
    /// All that [`LoadOptions`] allow: nothing else is running.
    All,
}

/// How a network is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadOptions {
    /// Threads of a run alone; 1 where [`Parallelism::All`] is never asked for.
    pub threads: usize,
    /// Runs of one thread each that may go on at once.
    pub lanes: usize,
    /// Names of the values to answer; empty: the outputs of the file.
    pub outputs: Vec<String>,
    /// Whether the engine may put other operators in place of those of the file.
    pub is_optimised: bool,
}

/// ONNX bytes, with the files they refer to.
#[derive(Debug, Default)]
pub struct Network {
    /// A serialised `ModelProto`.
    pub onnx: Content,
    /// Its file, where it is one.
    pub path: Option<PathBuf>,
    /// Name as in the model → content, for tensors kept outside of it.
    pub external: Vec<(String, Arc<[u8]>)>,
}

/// Whether an engine works here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    /// It does.
    Usable {
        /// Its version.
        version: String,
        /// Where it comes from: `built in`, or the path of its library.
        origin: String,
    },
    /// It does not.
    Unusable {
        /// What is missing, and what to do about it.
        reason: String,
    },
}

/// What an engine could not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}{}", if node.is_empty() { String::new() } else { format!(" (layer {})", quote(node)) })]
pub struct EngineError {
    /// The node, where known.
    pub node: String,
    /// What was expected and what was found.
    pub reason: String,
}

impl EngineError {
    /// A complaint about the network as a whole.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { node: String::new(), reason: reason.into() }
    }

    /// A complaint about one node.
    pub fn at(node: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { node: node.into(), reason: reason.into() }
    }
}

impl From<ShapeMismatch> for EngineError {
    fn from(mismatch: ShapeMismatch) -> Self {
        Self::new(mismatch.to_string())
    }
}

/// The numbers of an output as 32-bit floats.
///
/// # Errors
/// [`EngineError`] where it holds texts.
pub(super) fn floats(output: Tensor) -> Result<Floats, EngineError> {
    let element = output.element();
    output.into_floats().ok_or_else(|| EngineError::new(format!("numbers expected, found values of type {element}")))
}

/// All engines, the preferred one first.
pub fn engines() -> [&'static dyn Engine; 2] {
    [&onnxruntime::OnnxRuntime, &rten::Rten]
}

/// The engine to use: the one named, or the first that works here.
///
/// # Errors
/// [`Error::BadParameter`] when the one named is unknown or does not work here, with the reason.
pub fn select(name: Option<&str>) -> Result<&'static dyn Engine> {
    let all = engines();
    let Some(name) = name else {
        let usable = all.into_iter().find(|engine| matches!(engine.check(), Availability::Usable { .. }));
        return usable.ok_or_else(|| Error::Internal("no inference engine works here".into()));
    };
    let Some(engine) = all.into_iter().find(|engine| engine.name() == name) else {
        let known = all.map(Engine::name).join(", ");
        return Err(Error::bad_parameter(format!("unknown engine {name}; known are {known}")));
    };
    match engine.check() {
        Availability::Usable { .. } => Ok(engine),
        Availability::Unusable { reason } => {
            Err(Error::bad_parameter(format!("engine {name} cannot be used: {reason}")))
        }
    }
}

/// One line of `dede engine list`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineReport {
    /// Name of the engine.
    pub name: &'static str,
    /// Whether it works, its version and origin, or why not.
    pub availability: Availability,
    /// Whether services run on it.
    pub in_use: bool,
}

/// What `dede engine list` shows, in the order of preference.
pub fn report(wanted: Option<&str>) -> Vec<EngineReport> {
    let used = select(wanted).ok().map(|engine| engine.name());
    let report = |engine: &'static dyn Engine| EngineReport {
        name: engine.name(),
        availability: engine.check(),
        in_use: used == Some(engine.name()),
    };
    engines().into_iter().map(report).collect()
}

/// Runs `work` of an engine, turning its panics into errors: bytes of a model are input, and input must not end a
/// request without an answer.
fn guarded<T>(engine: &str, work: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(EngineError::new(format!("{engine} failed on this network"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_engine_is_refused_by_name() {
        let error = select(Some("tract")).err().expect("no such engine").to_string();
        assert!(error.contains("tract") && error.contains("onnxruntime, rten"), "{error}");
    }

    #[test]
    fn exactly_one_engine_is_in_use() {
        assert_eq!(report(None).iter().filter(|line| line.in_use).count(), 1);
        let lines = report(Some("rten"));
        assert!(lines.iter().any(|line| line.name == "rten" && line.in_use));
    }

    #[test]
    fn panics_become_errors() {
        let error = guarded::<()>("rten", || panic!("inside the engine")).expect_err("must be an error");
        assert!(error.reason.contains("rten"));
    }
}
