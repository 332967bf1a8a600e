//! A [`Graph`] as an ONNX file. It owns what surrounds the operators: inputs, outputs, weights, and the description by
//! which [`super::import`] reads the graph back.

use super::format::{self, FIRST, SECOND, graph as field};
use super::{fold, lower, read};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::wire::Writer;

/// The operator set written: the oldest with every operator used here in the form all engines read.
const OPSET: i64 = 17;
/// The file version that goes with it.
const IR_VERSION: i64 = 8;

/// How a graph is written.
#[derive(Debug, Clone, Default)]
pub struct ExportOptions {
    /// Samples in a batch; any number when absent.
    pub batch: Option<usize>,
    /// Multiplies BatchNorm, Scale and Bias into the convolution or inner product before them: faster, the same up to
    /// rounding, and no longer what training wants. Values inside a folded chain disappear unless they are named below.
    pub fold: bool,
    /// Values to give out besides the graph's outputs (`extract_layer`).
    pub extra_outputs: Vec<String>,
}

/// Writes `graph` as an ONNX file. Every value keeps its name, and every weight its name and values.
///
/// # Errors
/// Names the layer whose weights are missing or do not fit, or an extra output that no layer makes.
pub fn export(graph: &Graph, options: &ExportOptions) -> Result<Vec<u8>> {
    graph.check()?;
    let mut graph = graph.clone();
    for output in &options.extra_outputs {
        if !graph.outputs.contains(output) {
            graph.outputs.push(output.clone());
        }
    }
    if options.fold {
        graph = fold::fold(&graph)?;
    }
    let shapes = graph.shapes()?;
    let operators = lower::lower(&graph, &shapes)?;
    let description = read::describe(&graph)?;
    // Weights are nearly all of a file: with room for them the buffer never grows to twice its size.
    let weights: usize = graph.weights.iter().map(|(_, weight)| size_of_val(&weight.data()[..])).sum();
    let mut writer = Writer::with_capacity(weights + weights / 64 + 512 * (graph.nodes.len() + 8) + description.len());
    writer.integer(format::model::IR_VERSION, IR_VERSION);
    writer.bytes(format::model::PRODUCER_NAME, b"dede");
    writer.message(format::model::OPSET_IMPORT, |writer| writer.integer(SECOND, OPSET));
    writer.message(format::model::METADATA_PROPS, |writer| {
        writer.bytes(FIRST, read::DESCRIPTION.as_bytes());
        writer.bytes(SECOND, description.as_bytes());
    });
    writer.message(format::model::GRAPH, |writer| {
        // ONNX wants a name, Caffe does not.
        let name = if graph.name.is_empty() { "network" } else { &graph.name };
        writer.bytes(field::NAME, name.as_bytes());
        lower::write(&operators, writer);
        let mut value = |number, name: &str| {
            let dims = shapes.get(name).map_or(&[][..], |shape| shape.dims());
            writer.message(number, |writer| format::write_value(writer, name, options.batch, dims));
        };
        graph.inputs.iter().for_each(|input| value(field::INPUT, &input.name));
        graph.outputs.iter().for_each(|output| value(field::OUTPUT, output));
        let inner = graph.nodes.iter().flat_map(|node| &node.outputs).filter(|name| !graph.outputs.contains(name));
        inner.for_each(|name| value(field::VALUE_INFO, name));
    });
    let bytes = writer.into_bytes();
    // Protobuf messages end at 2 GiB; engines refuse larger files with less clear words.
    if i32::try_from(bytes.len()).is_err() {
        return Err(Error::Network(format!("an ONNX file may have 2 GiB, this network takes {} bytes", bytes.len())));
    }
    Ok(bytes)
}
