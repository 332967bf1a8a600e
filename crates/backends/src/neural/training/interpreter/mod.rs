//! Runs a graph layer by layer on burn tensors, recording what is needed for gradients.
//!
//! Every value is a matrix `[batch, elements of one sample]`; a layer views it under the rank it computes in and gives a matrix
//! back, so that the ranks burn keeps in types never meet the ranks a network is free to choose. Shapes were checked by
//! `dede_graph::Graph::shapes` beforehand: nothing here can meet another one. This module must not know losses, solvers or
//! files.

mod elementwise;
mod linear;
mod normalization;
mod pooling;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData, activation};
use dede_graph::{Graph, Layer, Node, Shape};
use dede_model::error::{Error, Result};

/// A value of the network: `[batch, elements]`.
pub(super) type Matrix = Tensor<2>;

/// What the network is computed on. The one place that names a burn backend.
pub(super) fn device() -> Device {
    Device::flex()
}

/// A flat array of values on a device.
pub(super) fn vector(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), device)
}

/// `[rows, columns]` from row-major values.
pub(super) fn matrix(values: Vec<f32>, rows: usize, columns: usize, device: &Device) -> Matrix {
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}

/// Reads a tensor back, row-major.
pub(super) fn values<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let data = tensor.into_data();
    data.try_into_vec::<f32>().map_err(|error| Error::Internal(format!("read a tensor: {error:?}")))
}

/// Weights on the device, flat, by name.
pub(super) type Leaves = BTreeMap<String, Tensor<1>>;

/// Whether the network learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Dropout passes everything, batch normalisation uses its running statistics.
    Test,
    /// Dropout masks are drawn for this batch, batch normalisation uses the batch.
    Train {
        /// Seed of the training.
        seed: u64,
        /// Number of the batch since the start.
        batch: u64,
    },
}

/// Statistics of one batch, for the running ones of a batch normalisation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct BatchStatistics {
    /// Name of the node.
    pub(super) node: String,
    /// Mean of each channel.
    pub(super) mean: Vec<f32>,
    /// Variance of each channel, divided by the count less one as Caffe's running variance is.
    pub(super) variance: Vec<f32>,
    /// Share of the old value when the running statistics are updated.
    pub(super) momentum: f32,
}

/// A graph with all shapes known.
#[derive(Debug)]
pub(super) struct Interpreter {
    input: String,
    nodes: Vec<Node>,
    shapes: BTreeMap<String, Shape>,
    /// How often each value is read, the final one once more.
    uses: BTreeMap<String, usize>,
}

/// One node with what its computation may look at.
struct Place<'a> {
    node: &'a Node,
    index: usize,
    shapes: &'a BTreeMap<String, Shape>,
    leaves: &'a Leaves,
    phase: Phase,
}

impl Place<'_> {
    /// Extents of one sample of the first input.
    fn input(&self) -> &[usize] {
        self.shapes[&self.node.inputs[0]].dims()
    }

    /// Extents of one sample of the first output.
    fn output(&self) -> &[usize] {
        self.shapes[&self.node.outputs[0]].dims()
    }

    /// The weight called `<node>.<name>`, flat.
    fn weight(&self, name: &str) -> Tensor<1> {
        self.leaves[&format!("{}.{name}", self.node.name)].clone()
    }
}

/// The extents before axis `axis`, of the `axes` axes from it on, and after them, each as one product. Axis 0 is the batch.
fn split(dims: &[usize], axis: usize, axes: usize) -> [usize; 3] {
    let (before, rest) = dims.split_at(axis - 1);
    let (on, after) = rest.split_at(axes);
    [before.iter().product(), on.iter().product(), after.iter().product()]
}

/// Views a value as rank 4.
fn image(x: Matrix, extents: [usize; 3]) -> Tensor<4> {
    let [batch, _] = x.dims();
    let [first, second, third] = extents;
    x.reshape([batch, first, second, third])
}

impl Interpreter {
    /// Prepares a graph whose value `target` is to be computed.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the layer that cannot be computed.
    pub(super) fn new(graph: &Graph, target: &str) -> Result<Self> {
        let bad = |error: dede_graph::Error| Error::bad_parameter(error.to_string());
        let shapes = graph.shapes().map_err(bad)?;
        let [input] = graph.inputs.as_slice() else {
            return Err(Error::bad_parameter(format!(
                "a network with one input expected, found {}",
                graph.inputs.len()
            )));
        };
        if let Some(node) = graph.layer_for_prediction() {
            return Err(Error::bad_parameter(not_trained(node)));
        }
        let nodes = needed(graph, target);
        let mut uses = BTreeMap::from([(target.to_owned(), 1)]);
        for name in nodes.iter().flat_map(|node| &node.inputs) {
            *uses.entry(name.clone()).or_insert(0) += 1;
        }
        Ok(Self { input: input.name.clone(), nodes, shapes, uses })
    }

    /// Computes `target` for a batch `[batch, elements]`. The statistics are empty in [`Phase::Test`].
    pub(super) fn run(
        &self,
        target: &str,
        input: Matrix,
        leaves: &Leaves,
        phase: Phase,
    ) -> Result<(Matrix, Vec<BatchStatistics>)> {
        let mut values =
            BTreeMap::from([(self.input.as_str(), (input, self.uses.get(&self.input).copied().unwrap_or(0)))]);
        let mut statistics = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let mut inputs = Vec::with_capacity(node.inputs.len());
            for name in &node.inputs {
                inputs.push(take(&mut values, name)?);
            }
            let place = Place { node, index, shapes: &self.shapes, leaves, phase };
            let outputs = compute(&place, inputs, &mut statistics)?;
            for (name, value) in node.outputs.iter().zip(outputs) {
                if let Some(uses) = self.uses.get(name) {
                    values.insert(name, (value, *uses));
                }
            }
        }
        Ok((take(&mut values, target)?, statistics))
    }
}

fn not_trained(node: &Node) -> String {
    format!(
        "layer {}: a network with a layer of type {} predicts and cannot be trained yet",
        node.name,
        node.layer.kind()
    )
}

/// The nodes that `target` depends on, in order.
fn needed(graph: &Graph, target: &str) -> Vec<Node> {
    let mut wanted = vec![target];
    let mut nodes = Vec::new();
    for node in graph.nodes.iter().rev() {
        if node.outputs.iter().any(|output| wanted.contains(&output.as_str())) {
            wanted.extend(node.inputs.iter().map(String::as_str));
            nodes.push(node.clone());
        }
    }
    nodes.reverse();
    nodes
}

/// Hands a value out, for good when this is its last use, so that its memory can be used again.
fn take(values: &mut BTreeMap<&str, (Matrix, usize)>, name: &str) -> Result<Matrix> {
    let missing = || Error::Internal(format!("value {name} is used before it is made"));
    let (value, uses) = values.get_mut(name).ok_or_else(missing)?;
    *uses = uses.saturating_sub(1);
    if *uses > 0 {
        return Ok(value.clone());
    }
    values.remove(name).map(|(value, _)| value).ok_or_else(missing)
}

fn compute(place: &Place<'_>, mut inputs: Vec<Matrix>, statistics: &mut Vec<BatchStatistics>) -> Result<Vec<Matrix>> {
    if inputs.is_empty() {
        return Err(Error::Internal(format!("layer {} has no input", place.node.name)));
    }
    let x = inputs.remove(0);
    let all = |x: Matrix, rest: Vec<Matrix>| std::iter::once(x).chain(rest).collect();
    let y = match &place.node.layer {
        Layer::Convolution(options) => linear::convolution(place, x, options),
        Layer::InnerProduct(options) => linear::inner_product(place, x, options),
        Layer::Relu { negative_slope } => elementwise::relu(x, *negative_slope),
        Layer::Prelu { .. } => elementwise::prelu(place, x),
        Layer::Elu { alpha } => activation::elu(x, f64::from(*alpha)),
        Layer::Sigmoid => activation::sigmoid(x),
        Layer::Tanh => activation::tanh(x),
        Layer::Pooling(options) => pooling::pool(place, x, options),
        Layer::Lrn(options) => normalization::lrn(place, x, options),
        Layer::BatchNorm(options) => normalization::batch_norm(place, x, options, statistics)?,
        Layer::Scale(options) => elementwise::scale(place, x, options),
        Layer::Bias(options) => elementwise::bias(place, x, options.axis, options.axes),
        Layer::Broadcast { operation } => elementwise::broadcast(x, inputs.remove(0), *operation),
        Layer::Concat { axis } => elementwise::concat(place, all(x, inputs), *axis),
        Layer::Eltwise(options) => elementwise::eltwise(all(x, inputs), options),
        Layer::Dropout { ratio } => elementwise::dropout(place, x, *ratio),
        Layer::Flatten | Layer::Reshape { .. } => x,
        Layer::Softmax { axis } => elementwise::softmax(place, x, *axis),
        Layer::Split => return Ok(vec![x; place.node.outputs.len()]),
        Layer::Slice { axis, sizes } => return Ok(elementwise::slice(place, x, *axis, sizes)),
        Layer::Operation(_) => return Err(Error::bad_parameter(not_trained(place.node))),
    };
    Ok(vec![y])
}
