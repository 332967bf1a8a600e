//! A network being built layer upon layer. It owns the names of layers and values.

use super::{Head, TemplateOptions};
use crate::graph::{Graph, Input, Node, Transform};
use crate::initializer::Initializer;
use crate::layer::{BatchNorm, InnerProduct, Layer, Scale};
use crate::weights::Weights;

/// Share of the old running statistics in an update (Caffe's default is 0.999, too slow for runs of a few hundred steps).
const MOMENTUM: f32 = 0.9;

/// Nodes so far; the last one's output is what the next reads.
pub(super) struct Chain<'a> {
    options: &'a TemplateOptions,
    nodes: Vec<Node>,
    value: String,
}

impl<'a> Chain<'a> {
    pub(super) fn new(options: &'a TemplateOptions) -> Self {
        Self { options, nodes: Vec::new(), value: "data".to_owned() }
    }

    /// The value the next layer reads.
    pub(super) fn value(&self) -> &str {
        &self.value
    }

    /// A layer with a value of its own.
    pub(super) fn layer(&mut self, name: String, layer: Layer, output: String) {
        let inputs = vec![std::mem::replace(&mut self.value, output.clone())];
        self.nodes.push(Node { name, layer, inputs, outputs: vec![output] });
    }

    /// A layer whose value takes over the name of the one before, which becomes `<value>@<its layer>`.
    fn in_place(&mut self, name: String, layer: Layer) {
        let output = self.value.clone();
        if let Some(last) = self.nodes.last_mut() {
            self.value = format!("{output}@{}", last.name);
            last.outputs = vec![self.value.clone()];
        }
        self.layer(name, layer, output);
    }

    /// An inner product named after what it reads.
    pub(super) fn inner_product(&mut self, outputs: usize, value: String) {
        let layer = Layer::InnerProduct(InnerProduct {
            outputs,
            bias: true,
            axis: 1,
            weight_initializer: Initializer::Xavier,
            bias_initializer: Initializer::ZERO,
        });
        self.layer(format!("fc_{}", self.value), layer, value);
    }

    /// Batch normalisation, if asked for, and the activation, in place.
    pub(super) fn activation(&mut self) {
        let value = self.value.clone();
        if self.options.batch_norm {
            self.in_place(
                format!("bn_{value}"),
                Layer::BatchNorm(BatchNorm { epsilon: 1e-5, momentum: MOMENTUM, affine: false }),
            );
            let scale = Scale {
                axis: 1,
                axes: 1,
                bias: true,
                weight_initializer: Initializer::ONE,
                bias_initializer: Initializer::ZERO,
            };
            self.in_place(format!("scale_{value}"), Layer::Scale(scale));
        }
        let activation = self.options.activation.layer();
        self.in_place(format!("act_{}_{value}", activation.kind()), activation);
    }

    /// Dropout in place; batch normalisation makes it superfluous.
    pub(super) fn dropout(&mut self, default: f32) {
        let ratio = self.options.dropout.unwrap_or(default);
        if ratio != 0.0 && !self.options.batch_norm {
            self.in_place(format!("drop_{}", self.value), Layer::Dropout { ratio });
        }
    }

    /// The last inner product and what makes predictions of it.
    pub(super) fn finish(mut self, name: &str) -> Graph {
        match self.options.head {
            Head::Classification { classes } => {
                self.inner_product(classes, "ip_loss".to_owned());
                self.layer("prob".to_owned(), Layer::Softmax { axis: 1 }, "loss".to_owned());
            }
            Head::Regression { targets } => self.inner_product(targets, "ip_loss".to_owned()),
        }
        let input =
            Input { name: "data".to_owned(), shape: self.options.shape.clone(), transform: Transform::default() };
        Graph {
            name: name.to_owned(),
            inputs: vec![input],
            nodes: self.nodes,
            outputs: vec![self.value],
            weights: Weights::new(),
        }
    }
}
