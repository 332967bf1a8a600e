//! A graph back from the ONNX file [`super::export`] wrote. The file carries the graph's description as JSON beside the
//! operators, so nothing is guessed from operators; the weights are the file's own. It owns that description.

use std::collections::BTreeMap;

use super::format;
use super::inspect::{self, Tensor};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::weights::{Weight, Weights};
use crate::wire::{Reader, floats};

/// Key of the description in the file's metadata.
pub(super) const DESCRIPTION: &str = "dede.graph";

/// The description of a graph: everything but the weights.
pub(super) fn describe(graph: &Graph) -> Result<String> {
    serde_json::to_string(graph).map_err(|error| Error::Network(format!("it cannot be described: {error}")))
}

/// Reads a graph from an ONNX file that [`super::export`] wrote; when it was written without `fold`, the graph is the one
/// that was exported.
///
/// # Errors
/// Says that the file is broken or was written by something else, or names the layer whose weights do not fit.
pub fn import(bytes: &[u8]) -> Result<Graph> {
    let (description, tensors) =
        parts(bytes).map_err(|message| Error::Format(format!("not an ONNX file: {message}")))?;
    let description = description.ok_or_else(|| {
        Error::Format(format!(
            "the ONNX file has no {DESCRIPTION:?} in its metadata: it was not written by this program"
        ))
    })?;
    let mut graph: Graph = serde_json::from_str(description)
        .map_err(|error| Error::Format(format!("the {DESCRIPTION:?} of the ONNX file cannot be read: {error}")))?;
    let mut weights = Weights::new();
    for parameter in graph.parameters()? {
        let tensor = tensors.get(parameter.name.as_str());
        let tensor =
            tensor.ok_or_else(|| Error::layer(&parameter.node, format!("weight {} is missing", parameter.name)))?;
        let weight = float_values(tensor).and_then(|values| Weight::new(parameter.shape, values));
        let fail = |message| Error::layer(&parameter.node, format!("weight {}: {message}", parameter.name));
        weights.insert(parameter.name.clone(), weight.map_err(fail)?);
    }
    graph.weights = weights;
    Ok(graph)
}

fn float_values(tensor: &Tensor<'_>) -> Result<std::sync::Arc<[f32]>, String> {
    match (tensor.data_type, tensor.raw) {
        (format::FLOAT, Some(raw)) => Ok(floats(raw)?.collect()),
        _ => Err("expected raw 32-bit floats".to_owned()),
    }
}

type Parts<'a> = (Option<&'a str>, BTreeMap<&'a str, Tensor<'a>>);

/// The description and the tensors of a file.
fn parts(bytes: &[u8]) -> Result<Parts<'_>, String> {
    let (mut description, mut tensors) = (None, BTreeMap::new());
    for field in Reader::new(bytes) {
        match field? {
            (format::model::METADATA_PROPS, value) => {
                let (key, value) = inspect::entry(value.bytes()?)?;
                if key == DESCRIPTION {
                    description = Some(value);
                }
            }
            (format::model::GRAPH, value) => {
                for field in Reader::new(value.bytes()?) {
                    if let (format::graph::INITIALIZER, value) = field? {
                        let tensor = Tensor::read(value.bytes()?)?;
                        tensors.insert(tensor.name, tensor);
                    }
                }
            }
            _ => {}
        }
    }
    Ok((description, tensors))
}
