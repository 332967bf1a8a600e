//! ONNX Runtime, loaded as a library when it is found: the preferred engine.
//!
//! It owns how the library is loaded (never by `ort`'s own lazy way, which panics when there is none) and how runs share
//! the machine: `ort` runs a session by one caller at a time, so there is one session of a single thread for each
//! lane, and one of all threads for a request that is alone. Only the latter spins, and only while it runs.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use dede_core::priority;
use ort::environment::Environment;
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, Session as OrtSession};
use ort::value::{DynValue, Outlet, TensorElementType};

use super::library;
use super::{Array, Availability, Engine, EngineError, LoadOptions, Network, Port, Session, Values, Width, guarded};
use crate::neural::onnx_view::{ElementType, OnnxView};

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
        Ok(Box::new(RuntimeSession::open(&network, options)?))
    }

    fn load_for_trial(
        &self,
        network: &Network,
        options: &LoadOptions,
    ) -> Result<Option<Box<dyn Session>>, EngineError> {
        let options = LoadOptions { lanes: 1, ..options.clone() };
        Ok(Some(Box::new(RuntimeSession::open(network, &options)?)))
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

struct RuntimeSession {
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    /// Sessions of one thread that nobody uses now.
    lanes: Mutex<Vec<Lane>>,
    freed: Condvar,
    /// The session of all threads.
    all: Option<Mutex<Lane>>,
}

impl Session for RuntimeSession {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn run(&self, inputs: Vec<Array>, width: Width) -> Result<Vec<Array>, EngineError> {
        if inputs.len() != self.inputs.len() {
            let (wanted, found) = (self.inputs.len(), inputs.len());
            return Err(EngineError::new(format!("the network takes {wanted} inputs, found {found}")));
        }
        if let (Width::All, Some(all)) = (width, &self.all) {
            let mut lane = all.lock().unwrap_or_else(PoisonError::into_inner);
            return guarded("ONNX Runtime", || lane.run(&self.inputs, inputs));
        }
        let mut lane = self.take();
        let answer = guarded("ONNX Runtime", || lane.run(&self.inputs, inputs));
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).push(lane);
        self.freed.notify_one();
        answer
    }
}

impl RuntimeSession {
    fn open(network: &Network, options: &LoadOptions) -> Result<Self, EngineError> {
        let library = loaded().map_err(EngineError::new)?;
        let onnx = with_outputs(&network.onnx, &options.outputs)?;
        let open = |threads| Lane::open(&library.environment, &onnx, &network.external, threads, &options.outputs);
        guarded("ONNX Runtime", || {
            let lanes = (0..options.lanes.max(1)).map(|_| open(1)).collect::<Result<Vec<_>, _>>()?;
            // It starts threads that serve clients, whoever loads the network.
            let open_wide = || priority::ordinary(|| open(options.threads));
            let all = if options.threads > 1 { Some(Mutex::new(open_wide()?)) } else { None };
            let (inputs, outputs) = lanes.first().map(Lane::ports).unwrap_or_default();
            Ok(Self { inputs, outputs, lanes: Mutex::new(lanes), freed: Condvar::new(), all })
        })
    }

    /// Waits for a lane.
    fn take(&self) -> Lane {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(lane) = lanes.pop() {
                return lane;
            }
            lanes = self.freed.wait(lanes).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// One session, run by one caller at a time.
struct Lane {
    session: OrtSession,
    options: RunOptions<HasSelectedOutputs>,
    wanted: Vec<Port>,
}

impl Lane {
    fn open(
        environment: &Environment,
        onnx: &[u8],
        external: &[(String, Arc<[u8]>)],
        threads: usize,
        outputs: &[String],
    ) -> Result<Self, EngineError> {
        let builder = OrtSession::builder(environment).map_err(failed)?;
        let builder = builder.with_intra_threads(threads).map_err(failed)?;
        let builder = builder.with_inter_threads(1).map_err(failed)?;
        let builder = builder.with_intra_op_spinning(threads > 1).map_err(failed)?;
        let mut builder = builder.with_config_entry("session.force_spinning_stop", "1").map_err(failed)?;
        for (name, content) in external {
            builder = builder.with_external_initializer_file_in_memory(name, Arc::clone(content)).map_err(failed)?;
        }
        let session = builder.commit_from_memory(onnx).map_err(failed)?;
        let ports = session.outputs().iter().map(port);
        let wanted: Vec<Port> = if outputs.is_empty() {
            ports.collect()
        } else {
            let ports: Vec<Port> = ports.collect();
            let find = |name: &String| ports.iter().find(|port| port.name == *name).cloned();
            outputs.iter().filter_map(find).collect()
        };
        let selected = wanted.iter().fold(OutputSelector::no_default(), |all, port| all.with(&port.name));
        let options = RunOptions::new().map_err(failed)?.with_outputs(selected);
        Ok(Self { session, options, wanted })
    }

    fn ports(&self) -> (Vec<Port>, Vec<Port>) {
        (self.session.inputs().iter().map(port).collect(), self.wanted.clone())
    }

    fn run(&mut self, ports: &[Port], inputs: Vec<Array>) -> Result<Vec<Array>, EngineError> {
        let mut named = Vec::with_capacity(inputs.len());
        for (port, input) in ports.iter().zip(inputs) {
            named.push((port.name.as_str(), to_runtime(input)?));
        }
        let outputs = self.session.run_with_options(named, &self.options).map_err(failed)?;
        let read = |port: &Port| {
            let value = outputs.get(&port.name).ok_or_else(|| EngineError::at(&port.name, "no such output"))?;
            from_runtime(&port.name, value)
        };
        self.wanted.iter().map(read).collect()
    }
}

fn port(outlet: &Outlet) -> Port {
    let element = outlet.dtype().tensor_type().map(element_type);
    let dims =
        outlet.dtype().tensor_shape().map(|shape| shape.iter().map(|&size| usize::try_from(size).ok()).collect());
    Port { name: outlet.name().to_owned(), element, dims: dims.unwrap_or_default() }
}

fn element_type(element: TensorElementType) -> ElementType {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the many others are all alike here: they cannot be used")]
    match element {
        TensorElementType::Float32 => ElementType::F32,
        TensorElementType::Float64 => ElementType::F64,
        TensorElementType::Float16 => ElementType::F16,
        TensorElementType::Bfloat16 => ElementType::Bf16,
        TensorElementType::Uint8 => ElementType::U8,
        TensorElementType::Int8 => ElementType::I8,
        TensorElementType::Int32 => ElementType::I32,
        TensorElementType::Int64 => ElementType::I64,
        TensorElementType::Bool => ElementType::Bool,
        _ => ElementType::Other(0),
    }
}

fn to_runtime(array: Array) -> Result<DynValue, EngineError> {
    use ort::value::Tensor;
    let (shape, values) = array.into_parts();
    let value = match values {
        Values::F32(values) => Tensor::from_array((shape, values)).map(Tensor::into_dyn),
        Values::U8(values) => Tensor::from_array((shape, values)).map(Tensor::into_dyn),
        Values::I8(values) => Tensor::from_array((shape, values)).map(Tensor::into_dyn),
        Values::I32(values) => Tensor::from_array((shape, values)).map(Tensor::into_dyn),
        Values::I64(values) => Tensor::from_array((shape, values)).map(Tensor::into_dyn),
        Values::Bool(values) => Tensor::from_array((shape, values)).map(Tensor::into_dyn),
    };
    value.map_err(failed)
}

fn from_runtime(name: &str, value: &DynValue) -> Result<Array, EngineError> {
    let element = value.dtype().tensor_type();
    let shape = value.dtype().tensor_shape();
    let (Some(element), Some(shape)) = (element, shape) else {
        return Err(EngineError::at(name, "the output is no tensor"));
    };
    let shape: Vec<usize> = shape.iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect();
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever cannot cross is refused by name")]
    let values = match element {
        TensorElementType::Float32 => Values::F32(numbers(value)?),
        TensorElementType::Float64 => {
            Values::F32(numbers::<f64>(value)?.into_iter().map(|number| number as f32).collect())
        }
        TensorElementType::Uint8 => Values::U8(numbers(value)?),
        TensorElementType::Int8 => Values::I8(numbers(value)?),
        TensorElementType::Int32 => Values::I32(numbers(value)?),
        TensorElementType::Int64 => Values::I64(numbers(value)?),
        TensorElementType::Bool => Values::Bool(numbers(value)?),
        other => return Err(EngineError::at(name, format!("the output's type {other} is not supported"))),
    };
    Array::new(shape, values)
}

fn numbers<T: ort::value::PrimitiveTensorElementType + Copy>(value: &DynValue) -> Result<Vec<T>, EngineError> {
    value.try_extract_tensor::<T>().map(|(_, values)| values.to_vec()).map_err(failed)
}

/// An error of the library, with the node it names.
fn failed<R>(error: ort::Error<R>) -> EngineError {
    let message = error.message();
    EngineError::at(named_node(message), format!("ONNX Runtime: {message}"))
}

/// The node in messages such as `Non-zero status code returned while running Conv node. Name:'conv1' Status …` and
/// `Node (conv1) Op (Conv) [ShapeInferenceError] …`.
fn named_node(message: &str) -> &str {
    let between = |start: &str, end: char| Some(message.split_once(start)?.1.split_once(end)?.0);
    between("Name:'", '\'').or_else(|| between("Node (", ')')).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_is_read_from_the_message() {
        let cases = [
            ("Non-zero status code returned while running Conv node. Name:'conv1' Status Message: x", "conv1"),
            ("Node (fc7) Op (Gemm) [ShapeInferenceError] x", "fc7"),
            ("protobuf parsing failed", ""),
        ];
        for (message, expected) in cases {
            assert_eq!(named_node(message), expected);
        }
    }
}
