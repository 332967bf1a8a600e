//! The engine that is always there: `rten`, in pure Rust.
//!
//! It owns how rten is loaded and run, and undoes rten's narrower types (it answers 32-bit integers where ONNX says 64-bit
//! or truth values). What rten cannot be trusted with is in [`gaps`], what it is given instead in [`lowering`].

mod bounds;
mod captures;
mod depth;
mod failures;
mod fusing;
mod gaps;
mod indexing;
mod lowering;
mod moving;
mod quantizing;
mod refusal;
mod replacement;
mod undefined;
mod uses;
mod wide;
mod windows;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use dede_graph::onnx::{ExternalFile, Rewrite};
use dede_model::priority;
use dede_model::tensor;
use half::f16;
use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value, ValueOrView};

use self::failures::Operators;
use super::{
    Availability, Engine, EngineError, LoadOptions, Network, Parallelism, Port, Session, Tensor, Values, guarded,
};
use crate::neural::onnx_view::{Dimension, ElementType, OnnxView, ValueView};

/// Name and version as built in.
const VERSION: &str = "0.27.0";

/// The engine.
pub(super) struct Rten;

impl Engine for Rten {
    fn name(&self) -> &'static str {
        "rten"
    }

    fn check(&self) -> Availability {
        Availability::Usable { version: VERSION.into(), origin: "built in".into() }
    }

    fn load(&self, network: Network, options: &LoadOptions) -> Result<Box<dyn Session>, EngineError> {
        let view = OnnxView::parse(&network.onnx).map_err(|error| EngineError::new(error.to_string()))?;
        let rewrite = gaps::check(&view)?;
        let inputs: Vec<Port> = view.graph.required_inputs().map(port).collect();
        let outputs = wanted_outputs(&view, &options.outputs)?;
        let operators = Operators::of(&view);
        let model = guarded("rten", || load_model(network, rewrite, &operators, options.is_optimised))?;
        let find = |ports: &[Port]| -> Result<Vec<NodeId>, EngineError> {
            let id = |port: &Port| model.node_id(&port.name).map_err(|_| EngineError::at(&port.name, "no such value"));
            ports.iter().map(id).collect()
        };
        let (input_ids, output_ids) = (find(&inputs)?, find(&outputs)?);
        let single = (0..options.lanes.max(1)).map(|_| pool(1)).collect();
        Ok(Box::new(RtenSession {
            model,
            operators,
            inputs,
            outputs,
            input_ids,
            output_ids,
            all: pool(options.threads.max(1)),
            single: Mutex::new(single),
            giving_way: OnceLock::new(),
        }))
    }
}

/// Threads that serve clients, whoever loads the network.
fn pool(threads: usize) -> Arc<ThreadPool> {
    priority::ordinary(|| Arc::new(ThreadPool::with_num_threads(threads)))
}

fn load_model(
    network: Network,
    mut rewrite: Rewrite,
    operators: &Operators,
    is_optimised: bool,
) -> Result<Model, EngineError> {
    let mut options = ModelOptions::with_all_ops();
    options.prepack_weights(true).enable_optimization(is_optimised);
    if rewrite.is_empty()
        && let Some(model) = load_mapped(&network, &options)
    {
        return Ok(model);
    }
    rewrite.name_suffix = operators.name_suffix();
    for (index, (name, content)) in network.external.iter().enumerate() {
        // rten takes such names only.
        let location = format!("{index}.data");
        options.external_data(&location, content.to_vec());
        rewrite.external.push(ExternalFile { name: name.clone(), location, size: content.len() });
    }
    let onnx = match rewrite.is_empty() {
        true => network.onnx.into_vec(),
        false => {
            let changed = rewrite.apply(&network.onnx).map_err(|error| EngineError::new(error.to_string()))?;
            drop(network);
            changed
        }
    };
    options.load(onnx).map_err(|error| operators.at_load(&error))
}

/// A large network by its path: rten reads it weight by weight, where a copy of its bytes would be held beside them all. What goes wrong
/// shows again where it is loaded from its bytes.
#[cfg(target_os = "linux")]
fn load_mapped(network: &Network, options: &ModelOptions) -> Option<Model> {
    let (mapping, path) = (network.onnx.mapping()?, network.path.as_ref()?);
    mapping.drop_pages();
    if !network.external.is_empty() || path.extension()? != "onnx" {
        return None;
    }
    let model = options.load_file(path).ok()?;
    // It is the file that was looked at, whose lease keeps it as it was.
    mapping.is_at(path).then_some(model)
}

#[cfg(not(target_os = "linux"))]
fn load_mapped(_: &Network, _: &ModelOptions) -> Option<Model> {
    None
}

/// The ports for the names asked for; without any, those of the graph.
fn wanted_outputs(view: &OnnxView<'_>, names: &[String]) -> Result<Vec<Port>, EngineError> {
    if names.is_empty() {
        return Ok(view.graph.outputs.iter().map(port).collect());
    }
    let find = |name: &String| {
        let produced = view.graph.nodes.iter().any(|node| node.outputs.contains(&name.as_str()));
        let known = view.graph.value(name);
        match known {
            Some(value) => Ok(port(value)),
            None if produced => Ok(Port { name: name.clone(), element: None, dims: Vec::new() }),
            None => Err(EngineError::at(name, "no such value")),
        }
    };
    names.iter().map(find).collect()
}

fn port(value: &ValueView<'_>) -> Port {
    let dims = value.dims.iter().flatten().map(Dimension::size).collect();
    Port { name: value.name.to_owned(), element: value.element.and_then(ElementType::of_tensors), dims }
}

struct RtenSession {
    model: Model,
    operators: Operators,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    input_ids: Vec<NodeId>,
    output_ids: Vec<NodeId>,
    all: Arc<ThreadPool>,
    /// Pools of one thread that nobody uses now; one more is made when they are all out.
    single: Mutex<Vec<Arc<ThreadPool>>>,
    /// One thread that has the priority of those that give way, because one of them started it.
    giving_way: OnceLock<Arc<ThreadPool>>,
}

impl Session for RtenSession {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn run(&self, inputs: Vec<Tensor>, parallelism: Parallelism) -> Result<Vec<Tensor>, EngineError> {
        if priority::gives_way() {
            let pool = self.giving_way.get_or_init(|| Arc::new(ThreadPool::with_num_threads(1)));
            return guarded("rten", || self.run_in(inputs, Arc::clone(pool)));
        }
        let pool = match parallelism {
            Parallelism::All => Arc::clone(&self.all),
            Parallelism::One => self.pools(Vec::pop).unwrap_or_else(|| pool(1)),
        };
        let answer = guarded("rten", || self.run_in(inputs, Arc::clone(&pool)));
        if parallelism == Parallelism::One {
            self.pools(|pools| pools.push(pool));
        }
        answer
    }
}

impl RtenSession {
    fn pools<T>(&self, change: impl FnOnce(&mut Vec<Arc<ThreadPool>>) -> T) -> T {
        change(&mut self.single.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn run_in(&self, inputs: Vec<Tensor>, pool: Arc<ThreadPool>) -> Result<Vec<Tensor>, EngineError> {
        if inputs.len() != self.input_ids.len() {
            let (wanted, found) = (self.input_ids.len(), inputs.len());
            return Err(EngineError::new(format!("the network takes {wanted} inputs, found {found}")));
        }
        let inputs: Vec<(NodeId, ValueOrView<'_>)> = self
            .input_ids
            .iter()
            .copied()
            .zip(self.inputs.iter().zip(inputs))
            .map(|(id, input)| Ok((id, to_rten(input)?.into())))
            .collect::<Result<_, EngineError>>()?;
        let options = RunOptions::default().with_thread_pool(Some(pool));
        let answer = self.model.run(inputs, &self.output_ids, Some(options));
        let values = answer.map_err(|error| self.operators.at_run(&error))?;
        self.outputs.iter().zip(values).map(|(port, value)| from_rten(port, value)).collect()
    }
}

fn to_rten(input: (&Port, Tensor)) -> Result<Value, EngineError> {
    let (port, tensor) = input;
    let (shape, values) = tensor.into_parts();
    let fits = "a tensor's shape fits its values";
    Ok(match values {
        Values::F32(values) => Value::from_shape(&shape, values).expect(fits),
        Values::U8(values) => Value::from_shape(&shape, values).expect(fits),
        Values::I8(values) => Value::from_shape(&shape, values).expect(fits),
        Values::I32(values) => Value::from_shape(&shape, values).expect(fits),
        Values::I64(values) => {
            let narrow = |value: i64| {
                let reason =
                    format!("the engine rten computes with 32 bits, in which {value} has no place; use ONNX Runtime");
                i32::try_from(value).map_err(|_| EngineError::new(reason))
            };
            let values = values.into_iter().map(narrow).collect::<Result<Vec<i32>, _>>()?;
            Value::from_shape(&shape, values).expect(fits)
        }
        Values::Bool(values) => {
            Value::from_shape(&shape, values.into_iter().map(i32::from).collect::<Vec<i32>>()).expect(fits)
        }
        // Each is a 32-bit float, too.
        Values::F16(values) => {
            Value::from_shape(&shape, values.into_iter().map(f16::to_f32).collect::<Vec<f32>>()).expect(fits)
        }
        // What is done with one in a network that is not refused rounds it so.
        Values::F64(values) => {
            Value::from_shape(&shape, values.into_iter().map(|value| value as f32).collect::<Vec<f32>>()).expect(fits)
        }
        Values::Bf16(_) | Values::I16(_) | Values::U16(_) | Values::U32(_) | Values::U64(_) | Values::Bytes(_) => {
            let problem = format!("values of type {} have no place in it", values.element());
            return Err(refusal::refusal(&port.name, &problem));
        }
    })
}

fn from_rten(port: &Port, value: Value) -> Result<Tensor, EngineError> {
    use rten_tensor::prelude::*;
    let (shape, values) = match value {
        Value::FloatTensor(tensor) => (tensor.shape().to_vec(), Values::F32(tensor.into_data())),
        Value::UInt8Tensor(tensor) => (tensor.shape().to_vec(), Values::U8(tensor.into_data())),
        Value::Int8Tensor(tensor) => (tensor.shape().to_vec(), Values::I8(tensor.into_data())),
        Value::Int32Tensor(tensor) => {
            let shape = tensor.shape().to_vec();
            let numbers = tensor.into_data();
            let values = match port.element {
                Some(tensor::ElementType::I64) => Values::I64(numbers.into_iter().map(i64::from).collect()),
                Some(tensor::ElementType::Bool) => {
                    Values::Bool(numbers.into_iter().map(|number| number != 0).collect())
                }
                _ => Values::I32(numbers),
            };
            (shape, values)
        }
        Value::Sequence(_) | _ => return Err(EngineError::at(&port.name, "the output is no tensor")),
    };
    Ok(Tensor::new(shape, values)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_get_back_the_type_that_onnx_gives_them() {
        let port = |element| Port { name: "y".into(), element: Some(element), dims: vec![] };
        let value = || Value::from_shape([2], vec![0i32, 5]).expect("two values");
        let cases = [
            (tensor::ElementType::I64, Values::I64(vec![0, 5])),
            (tensor::ElementType::Bool, Values::Bool(vec![false, true])),
            (tensor::ElementType::I32, Values::I32(vec![0, 5])),
        ];
        for (element, expected) in cases {
            let array = from_rten(&port(element), value()).expect("a tensor");
            assert_eq!(array.values(), &expected, "{element:?}");
        }
    }
}
