//! Networks built from a template's name and options. It owns their architecture, and names layers and values as the
//! original server does, so that an `extract_layer` goes on meaning the same; it knows no request.
//!
//! ```
//! use dede_graph::Shape;
//! use dede_graph::templates::{Head, Template, TemplateOptions};
//! let template = Template::parse("mlp", &["50".to_owned(), "20".to_owned()])?;
//! let options = TemplateOptions::new(Shape::columns(4), Head::Classification { classes: 3 });
//! let mut graph = template.build(&options)?;
//! graph.initialize(|| 0.5)?;
//! assert_eq!((graph.logits(), graph.output()), ("ip_loss", "loss"));
//! # Ok::<(), dede_graph::Error>(())
//! ```

mod chain;
mod convnet;
mod lregression;
mod mlp;

pub use convnet::{Block, ConvnetLayer};

use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::initializer::Initializer;
use crate::layer::Layer;
use crate::shape::Shape;

/// Most layers of a template: deeper chains are no architecture of these, and cannot be trained.
const MOST_LAYERS: usize = 1000;
/// Most weights of a template: 1 GiB of single precision, and four times as much while it is trained.
const MOST_WEIGHTS: usize = 1 << 28;

/// A template with its `layers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Template {
    /// One linear layer: logistic regression, or linear regression.
    ///
    /// The original server writes a hidden layer of 50 units under this name (the default of `layers`, meant for `mlp`).
    Lregression,
    /// Inner products of these sizes, each with an activation.
    Mlp(Vec<usize>),
    /// Blocks of convolutions, then inner products.
    Convnet(Vec<ConvnetLayer>),
}

/// What all templates take.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateOptions {
    /// Extents of one sample: `[columns]` or `[channels, height, width]`.
    pub shape: Shape,
    /// What the network predicts.
    pub head: Head,
    /// After each layer but the last.
    pub activation: Activation,
    /// Probability of dropping a hidden unit; the template's default when absent (`mlp` 0, `convnet` 0.5 after its inner
    /// products).
    pub dropout: Option<f32>,
    /// Whether each hidden layer is normalised over the batch, before its activation.
    pub batch_norm: bool,
}

impl TemplateOptions {
    /// The defaults: ReLU, no batch normalisation, the template's own dropout.
    #[must_use]
    pub fn new(shape: Shape, head: Head) -> Self {
        Self { shape, head, activation: Activation::Relu, dropout: None, batch_norm: false }
    }
}

/// What a network predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// Probabilities of classes: a softmax.
    Classification {
        /// Number of classes.
        classes: usize,
    },
    /// Real values.
    Regression {
        /// Number of values.
        targets: usize,
    },
}

/// Activation of hidden layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// ReLU with a learned slope below zero, from 0.25.
    Prelu,
    /// Exponential below zero.
    Elu,
    /// Logistic function.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
}

impl std::str::FromStr for Activation {
    type Err = String;

    /// Reads `relu`, `prelu`, `elu`, `sigmoid` or `tanh`, in any case.
    fn from_str(name: &str) -> Result<Self, String> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "relu" => Self::Relu,
            "prelu" => Self::Prelu,
            "elu" => Self::Elu,
            "sigmoid" => Self::Sigmoid,
            "tanh" => Self::Tanh,
            _ => return Err(format!("expected relu, prelu, elu, sigmoid or tanh, found {name:?}")),
        })
    }
}

impl Activation {
    /// The layer, and the kind of it that stands in layer names.
    fn layer(self) -> Layer {
        match self {
            Self::Relu => Layer::Relu { negative_slope: 0.0 },
            Self::Prelu => Layer::Prelu { channel_shared: false, initializer: Initializer::Constant { value: 0.25 } },
            Self::Elu => Layer::Elu { alpha: 1.0 },
            Self::Sigmoid => Layer::Sigmoid,
            Self::Tanh => Layer::Tanh,
        }
    }
}

impl Template {
    /// The template called `name` with the `layers` a request gives (numbers as text); none means the template's default.
    ///
    /// # Errors
    /// Says that there is no such template, or which layer cannot be read.
    pub fn parse(name: &str, layers: &[String]) -> Result<Self> {
        if layers.len() > MOST_LAYERS {
            return Err(Error::Network(format!("expected at most {MOST_LAYERS} layers, found {}", layers.len())));
        }
        match name {
            "lregression" => Ok(Self::Lregression),
            "mlp" if layers.is_empty() => Ok(Self::Mlp(vec![50])),
            "mlp" => layers.iter().map(|layer| mlp::parse_layer(layer)).collect::<Result<_>>().map(Self::Mlp),
            "convnet" if layers.is_empty() => Ok(Self::Convnet(convnet::default_layers())),
            "convnet" => layers.iter().map(|layer| layer.parse()).collect::<Result<_>>().map(Self::Convnet),
            _ => Err(Error::Network(format!("expected the template lregression, mlp or convnet, found {name:?}"))),
        }
    }

    /// The name of the template.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Lregression => "lregression",
            Self::Mlp(_) => "mlp",
            Self::Convnet(_) => "convnet",
        }
    }

    /// Builds the network; its weights are still to be made by [`Graph::initialize`].
    ///
    /// # Errors
    /// Names the layer that does not fit its input (an image too small for its convolutions), or the option out of range.
    pub fn build(&self, options: &TemplateOptions) -> Result<Graph> {
        let graph = match self {
            Self::Lregression => lregression::build(options),
            Self::Mlp(layers) => mlp::build(options, layers),
            Self::Convnet(layers) => convnet::build(options, layers)?,
        };
        let weights = graph.parameter_count()?;
        if weights > MOST_WEIGHTS {
            return Err(Error::Network(format!(
                "expected at most {MOST_WEIGHTS} weights in a template, found {weights}"
            )));
        }
        Ok(graph)
    }
}

#[cfg(test)]
mod tests;
