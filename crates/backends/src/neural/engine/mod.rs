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
use dede_model::tensor::Tensor;

use super::content::Content;
use super::onnx_view::ElementType;

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

    /// Runs the network: one array per input, answered by one array per output.
    ///
    /// # Errors
    /// [`EngineError`] when shapes or types do not fit the network.
    fn run(&self, inputs: Vec<Array>, parallelism: Parallelism) -> Result<Vec<Array>, EngineError>;

    /// Measuring is over, and clients are next: memory that only larger runs or loading needed goes back. `inputs` are those of a usual
    /// run, for engines that find out by one; without `all_threads` nothing will ask for [`Parallelism::All`].
    ///
    /// # Errors
    /// As [`Session::run`].
    fn settle(&mut self, inputs: &[Array], all_threads: bool) -> Result<(), EngineError> {
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

/// An input or output of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Name in the graph.
    pub name: String,
    /// Element type; `None` where the file does not tell.
    pub element: Option<ElementType>,
    /// Size of each dimension, `None` where decided at run time; empty when unknown.
    pub dims: Vec<Option<usize>>,
}

/// A dense array of any type that crosses an engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    shape: Vec<usize>,
    values: Values,
}

/// Row-major values of an [`Array`].
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// Unsigned bytes.
    U8(Vec<u8>),
    /// Signed bytes.
    I8(Vec<i8>),
    /// 32-bit integers.
    I32(Vec<i32>),
    /// 64-bit integers.
    I64(Vec<i64>),
    /// Truth values.
    Bool(Vec<bool>),
}

impl Values {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::U8(values) => values.len(),
            Self::I8(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::Bool(values) => values.len(),
        }
    }

    /// True without values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Array {
    /// An array of that shape.
    ///
    /// # Errors
    /// [`EngineError`] when the number of values is not the product of the shape.
    pub fn new(shape: Vec<usize>, values: Values) -> Result<Self, EngineError> {
        let wanted = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        if wanted == Some(values.len()) {
            return Ok(Self { shape, values });
        }
        Err(EngineError::new(format!("shape {shape:?} does not hold {} values", values.len())))
    }

    /// Size of each dimension, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// As many rows as that, the new ones of zeros.
    ///
    /// # Errors
    /// [`EngineError`] for values that no input of a network has.
    pub(super) fn padded(self, rows: usize) -> Result<Self, EngineError> {
        let (mut shape, mut values) = self.into_parts();
        let row: usize = shape.iter().skip(1).product();
        match &mut values {
            Values::F32(values) => values.resize(rows * row, 0.0),
            Values::U8(values) => values.resize(rows * row, 0),
            Values::I8(_) | Values::I32(_) | Values::I64(_) | Values::Bool(_) => {}
        }
        if let Some(count) = shape.first_mut() {
            *count = rows;
        }
        Self::new(shape, values)
    }

    /// Shape and values, given away.
    pub fn into_parts(self) -> (Vec<usize>, Values) {
        (self.shape, self.values)
    }

    /// The same numbers as 32-bit floats; truth values become 0 and 1.
    pub fn into_tensor(self) -> Tensor {
        let values = match self.values {
            Values::F32(values) => values,
            Values::U8(values) => values.into_iter().map(f32::from).collect(),
            Values::I8(values) => values.into_iter().map(f32::from).collect(),
            Values::I32(values) => values.into_iter().map(|value| value as f32).collect(),
            Values::I64(values) => values.into_iter().map(|value| value as f32).collect(),
            Values::Bool(values) => values.into_iter().map(|value| f32::from(u8::from(value))).collect(),
        };
        Tensor::new(self.shape, values).expect("the shape fitted the values already")
    }
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
