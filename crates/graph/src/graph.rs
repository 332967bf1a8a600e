//! A network: inputs, nodes in order of execution, named weights, outputs. It owns the rules that hold for every network
//! whatever it was read from (names are unique, values are defined before they are used, weights fit); it knows no file
//! format and runs nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::inference::{self, Parameter};
use crate::layer::Layer;
use crate::shape::{MAX_ELEMENTS, Shape};
use crate::weights::{Weight, Weights};

/// A neural network.
///
/// Nodes stand in an order in which they can run. Every value has one producer; a value that Caffe computes in place keeps
/// the blob's name in its last version, earlier ones are called `<blob>@<layer>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// Name of the network; may be empty.
    pub name: String,
    /// Values the caller gives.
    pub inputs: Vec<Input>,
    /// Layers in order of execution.
    pub nodes: Vec<Node>,
    /// Names of the values the caller gets; the first is what the network predicts.
    pub outputs: Vec<String>,
    /// Weights, `<node>.<weight>`; may lack some or all until [`Graph::initialize`] or an importer fills them.
    #[serde(skip)]
    pub weights: Weights,
}

/// A value the caller gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// Name of the value.
    pub name: String,
    /// Extents of one sample.
    pub shape: Shape,
    /// What the network's file says is to be done to an image before it comes in; nothing in the graph does it.
    #[serde(default)]
    pub transform: Transform,
}

/// Caffe's `transform_param`: first the mean is subtracted, then the scale multiplies.
///
/// The original server subtracts the mean image of the repository (`mean.binaryproto`) from the resized image first, if
/// there is one, and then these values as well: its recorded answers of `imgsq` come out to 2e-6 with both, and only so.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Transform {
    /// Mean of each channel, one for all, or none.
    pub mean_values: Vec<f32>,
    /// File with a mean image (`mean.binaryproto`), as written in the network's file.
    pub mean_file: Option<String>,
    /// Factor, 1 when absent.
    pub scale: Option<f32>,
    /// Extent of a centre crop.
    pub crop_size: Option<usize>,
}

/// One layer in its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Unique name; the weights are called `<name>.<weight>`.
    pub name: String,
    /// What it computes.
    pub layer: Layer,
    /// Values it reads.
    pub inputs: Vec<String>,
    /// Values it makes; one, but for `Split` and `Slice`.
    pub outputs: Vec<String>,
}

impl Graph {
    /// Shapes of all values (one sample), by name. Checks the whole structure on the way.
    ///
    /// # Errors
    /// Names the layer whose inputs are undefined or of the wrong shape, or whose name or outputs are already taken.
    pub fn shapes(&self) -> Result<BTreeMap<String, Shape>> {
        let mut shapes = BTreeMap::new();
        for input in &self.inputs {
            input.shape.elements().map_err(|message| Error::Network(format!("input {}: {message}", input.name)))?;
            if shapes.insert(input.name.clone(), input.shape.clone()).is_some() {
                return Err(Error::Network(format!("two inputs are called {}", input.name)));
            }
        }
        let mut names = BTreeSet::new();
        for node in &self.nodes {
            let fail = |message: String| Error::layer(&node.name, message);
            if !names.insert(node.name.as_str()) {
                return Err(fail("another layer has this name".to_owned()));
            }
            let made = inference::output_shapes(node, &node.input_shapes(&shapes)?).map_err(fail)?;
            for (name, shape) in node.outputs.iter().zip(made) {
                shape.elements().map_err(fail)?;
                if shapes.insert(name.clone(), shape).is_some() {
                    return Err(fail(format!("value {name} is already made by another layer")));
                }
            }
        }
        match self.outputs.iter().find(|name| !shapes.contains_key(*name)) {
            Some(name) => Err(Error::Network(format!("output {name} is made by no layer"))),
            None if self.outputs.is_empty() => Err(Error::Network("it has no output".to_owned())),
            None => Ok(shapes),
        }
    }

    /// Every weight the layers want, in order of execution.
    ///
    /// # Errors
    /// As [`Graph::shapes`].
    pub fn parameters(&self) -> Result<Vec<Parameter>> {
        let shapes = self.shapes()?;
        let mut parameters = Vec::new();
        for node in &self.nodes {
            parameters.extend(self.node_parameters(node, &shapes)?);
        }
        Ok(parameters)
    }

    /// The weights one node wants, given the shapes of all values.
    pub(crate) fn node_parameters(&self, node: &Node, shapes: &BTreeMap<String, Shape>) -> Result<Vec<Parameter>> {
        inference::parameters(node, &node.input_shapes(shapes)?).map_err(|message| Error::layer(&node.name, message))
    }

    /// Checks that each weight is there and has the shape its layer wants. To be called once after reading.
    ///
    /// # Errors
    /// As [`Graph::shapes`], and names the layer whose weight is missing or of another shape.
    pub fn check(&self) -> Result<()> {
        for parameter in self.parameters()? {
            let fail = |message| Err(Error::layer(&parameter.node, message));
            match self.weights.get(&parameter.name) {
                None => return fail(format!("weight {} is missing", parameter.name)),
                Some(weight) if weight.shape() != parameter.shape => {
                    let (wanted, found) = (&parameter.shape, weight.shape());
                    return fail(format!("weight {} should have shape {wanted:?}, found {found:?}", parameter.name));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Fills every weight that is missing from its initialiser; weights that are there stay. `uniform` returns independent
    /// numbers uniform in `[0, 1)`; the same sequence gives the same weights.
    ///
    /// # Errors
    /// As [`Graph::shapes`], or the network has more weights than fit in memory.
    pub fn initialize(&mut self, mut uniform: impl FnMut() -> f64) -> Result<()> {
        let parameters = self.parameters()?;
        parameter_count(&parameters)?;
        for parameter in parameters {
            if self.weights.get(&parameter.name).is_none() {
                let values = parameter.initializer.values(&parameter.shape, &mut uniform);
                let weight =
                    Weight::new(parameter.shape, values).map_err(|message| Error::layer(&parameter.node, message))?;
                self.weights.insert(parameter.name, weight);
            }
        }
        Ok(())
    }

    /// Number of values of all weights, running statistics included.
    ///
    /// # Errors
    /// As [`Graph::shapes`], or there are more than [`MAX_ELEMENTS`].
    pub fn parameter_count(&self) -> Result<usize> {
        parameter_count(&self.parameters()?)
    }

    /// Floating-point operations for one sample, a multiplication with its addition counted as two; convolutions and
    /// inner products alone, as is usual.
    ///
    /// # Errors
    /// As [`Graph::shapes`].
    pub fn flops(&self) -> Result<u64> {
        let shapes = self.shapes()?;
        let mut flops = 0u64;
        for node in &self.nodes {
            let output = node.outputs.first().and_then(|name| shapes.get(name));
            let input = node.inputs.first().and_then(|name| shapes.get(name));
            for (parameter, output) in self.node_parameters(node, &shapes)?.iter().zip(output) {
                let uses = match &node.layer {
                    Layer::Convolution(_) => output.dims().iter().skip(1).product::<usize>(),
                    Layer::Operation(operation) => {
                        input.map_or(0, |input| operation.definition().uses_of_weights(input))
                    }
                    Layer::InnerProduct(inner) => output.dims().iter().take(inner.axis - 1).product::<usize>(),
                    Layer::Relu { .. }
                    | Layer::Prelu { .. }
                    | Layer::Elu { .. }
                    | Layer::Sigmoid
                    | Layer::Tanh
                    | Layer::Pooling(_)
                    | Layer::Lrn(_)
                    | Layer::BatchNorm(_)
                    | Layer::Scale(_)
                    | Layer::Bias(_)
                    | Layer::Broadcast { .. }
                    | Layer::Concat { .. }
                    | Layer::Eltwise(_)
                    | Layer::Dropout { .. }
                    | Layer::Flatten
                    | Layer::Reshape { .. }
                    | Layer::Softmax { .. }
                    | Layer::Split
                    | Layer::Slice { .. } => 0,
                };
                let weights = parameter.shape.iter().product::<usize>() as u64;
                flops = flops.saturating_add(weights.saturating_mul(uses as u64).saturating_mul(2));
            }
        }
        Ok(flops)
    }

    /// The first output; [`Graph::shapes`] has checked that there is one.
    #[must_use]
    pub fn output(&self) -> &str {
        self.outputs.first().map_or("", String::as_str)
    }

    /// The node that makes a value; `None` for inputs and unknown names.
    #[must_use]
    pub fn producer(&self, value: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.outputs.iter().any(|output| output == value))
    }

    /// The first layer that predicts and is not trained, if there is one.
    #[must_use]
    pub fn layer_for_prediction(&self) -> Option<&Node> {
        self.nodes.iter().find(|node| matches!(node.layer, Layer::Operation(_)))
    }

    /// What training compares with the targets: the input of the softmax that makes the first output, or the first output
    /// itself when it is not made by a softmax.
    #[must_use]
    pub fn logits(&self) -> &str {
        let output = self.output();
        match self.producer(output) {
            Some(Node { layer: Layer::Softmax { .. }, inputs, .. }) => inputs.first().map_or(output, String::as_str),
            _ => output,
        }
    }
}

fn parameter_count(parameters: &[Parameter]) -> Result<usize> {
    parameters
        .iter()
        .try_fold(0usize, |sum, parameter| {
            let count = parameter.shape.iter().product::<usize>();
            sum.checked_add(count).filter(|&sum| sum <= MAX_ELEMENTS)
        })
        .ok_or_else(|| Error::Network(format!("it has more than {MAX_ELEMENTS} weights")))
}

impl Node {
    /// Shapes of the values this node reads.
    ///
    /// # Errors
    /// Names the value that no earlier layer makes.
    pub(crate) fn input_shapes<'a>(&self, shapes: &'a BTreeMap<String, Shape>) -> Result<Vec<&'a Shape>> {
        let find = |name: &String| {
            let missing = || Error::layer(&self.name, format!("input {name} is made by no earlier layer"));
            shapes.get(name).ok_or_else(missing)
        };
        self.inputs.iter().map(find).collect()
    }
}
