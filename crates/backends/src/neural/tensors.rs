//! A network asked in tensors: every input by its name, every output as it is.
//!
//! It owns the check of what is given against what the network takes. It must not know what the numbers mean, nor file formats.

use std::sync::{Condvar, Mutex, PoisonError};

use dede_model::backend::{Model, ModelDescription, PredictOptions};
use dede_model::data::Samples;
use dede_model::error::{Error, Result};
use dede_model::outputs::Outputs;
use dede_model::quote::{quote, quote_list};
use dede_model::request_memory::MemoryShare;
use dede_model::tensor::{ElementType, NamedTensor, Port, Signature, Tensor, Values};
use half::{bf16, f16};

use super::engine::{EngineError, Parallelism, Session};
use super::options::MLLIB;

/// A loaded network.
pub(super) struct TensorModel {
    description: ModelDescription,
    signature: Signature,
    session: Box<dyn Session>,
    /// Its file, for messages.
    file: String,
    /// Runs that may begin now.
    free: Mutex<usize>,
    freed: Condvar,
}

/// A run that goes on.
struct Lane<'a>(&'a TensorModel);

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

impl TensorModel {
    /// A network in an engine that takes `lanes` runs at once.
    pub(super) fn new(description: ModelDescription, session: Box<dyn Session>, lanes: usize) -> Self {
        let signature = Signature { inputs: session.inputs().to_vec(), outputs: session.outputs().to_vec() };
        let (file, free) = (description.weights.clone(), Mutex::new(lanes.max(1)));
        Self { description, signature, session, file, free, freed: Condvar::new() }
    }

    fn lane(&self) -> Lane<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.freed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Lane(self)
    }

    /// What is given, in the order that the engine wants.
    fn ordered(&self, mut given: Vec<NamedTensor>) -> Result<Vec<Tensor>> {
        let take = |port: &Port| {
            let place = given.iter().position(|named| named.name == port.name);
            let place = place.ok_or_else(|| misfit(&port.name, "expected, found none of that name".into()))?;
            let tensor = given.swap_remove(place).tensor;
            check(port, &tensor)?;
            Ok(tensor)
        };
        let ordered = self.signature.inputs.iter().map(take).collect::<Result<_>>()?;
        let Some(more) = given.first() else { return Ok(ordered) };
        let known = quote_list(self.signature.inputs.iter().map(|port| port.name.as_str()));
        Err(misfit(&more.name, format!("expected one tensor for each of {known}, found another")))
    }

    fn complaint(&self, error: &EngineError) -> Error {
        Error::bad_parameter_at(&self.file, error.to_string())
    }
}

impl Model for TensorModel {
    fn description(&self) -> &ModelDescription {
        &self.description
    }

    fn predict(&self, _: &Samples, _: &PredictOptions, _: &MemoryShare) -> Result<Outputs> {
        let reason = "expected a call of tensors, as the service was created for them (tensors), found items";
        Err(Error::bad_parameter_at(format!("{MLLIB}.output_format"), reason))
    }

    fn signature(&self) -> Option<&Signature> {
        Some(&self.signature)
    }

    fn run(&self, inputs: Vec<NamedTensor>, memory: &MemoryShare) -> Result<Vec<NamedTensor>> {
        let inputs = self.ordered(inputs)?;
        let outputs = {
            let _lane = self.lane();
            self.session.run(inputs, Parallelism::One).map_err(|error| self.complaint(&error))?
        };
        let named = |(port, tensor): (&Port, Tensor)| {
            let tensor = declared(port, tensor);
            memory.grow(tensor.values().bytes())?;
            Ok(NamedTensor { name: port.name.clone(), tensor })
        };
        self.signature.outputs.iter().zip(outputs).map(named).collect()
    }
}

/// Checks type and shape, as far as the network says them.
fn check(port: &Port, tensor: &Tensor) -> Result<()> {
    if let Some(expected) = port.element.filter(|element| *element != tensor.element()) {
        return Err(misfit(&port.name, format!("expected type {expected}, found {}", tensor.element())));
    }
    let fits = |(expected, found): (&Option<usize>, &usize)| expected.is_none_or(|expected| expected == *found);
    let is_known = !port.dims.is_empty();
    if is_known && !(port.dims.len() == tensor.shape().len() && port.dims.iter().zip(tensor.shape()).all(fits)) {
        let shown = |size: &Option<usize>| size.map_or_else(|| "any".to_owned(), |size| size.to_string());
        let expected = port.dims.iter().map(shown).collect::<Vec<_>>().join(", ");
        return Err(misfit(&port.name, format!("expected shape [{expected}], found {:?}", tensor.shape())));
    }
    Ok(())
}

fn misfit(name: &str, reason: String) -> Error {
    Error::bad_input_at(format!("input {}", quote(name)), reason)
}

/// An output in the type that the file gives it, where an engine computes floats of another width.
fn declared(port: &Port, tensor: Tensor) -> Tensor {
    let (shape, values) = tensor.into_parts();
    let values = match (port.element, values) {
        (Some(ElementType::F16), Values::F32(values)) => Values::F16(values.into_iter().map(f16::from_f32).collect()),
        (Some(ElementType::Bf16), Values::F32(values)) => {
            Values::Bf16(values.into_iter().map(bf16::from_f32).collect())
        }
        (Some(ElementType::F64), Values::F32(values)) => Values::F64(values.into_iter().map(f64::from).collect()),
        (Some(_) | None, values) => values,
    };
    Tensor::new(shape, values).expect("the number of values did not change")
}
