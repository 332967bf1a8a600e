//! The closed set of layers and their options. It owns what each option means; shapes are in `inference`, arithmetic is
//! up to whoever runs the network (the exporter lowers it to ONNX, training interprets it).
//!
//! Values carry a batch in front: an image value is `[batch, channels, height, width]`. Axes count it (axis 1 is the
//! channels), shapes leave it out. Pairs are `[height, width]`.

use serde::{Deserialize, Serialize};

use crate::initializer::Initializer;
use crate::operations::Operation;
pub use crate::pooling::{Pooling, PoolingMethod, Rounding};

/// One layer: what it computes, with all options resolved. Weight names are `<node name>.<weight>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Layer {
    /// Cross-correlation over `[channels, height, width]`.
    Convolution(Convolution),
    /// `y = W x + b`, with the axes from `axis` on flattened.
    InnerProduct(InnerProduct),
    /// `x > 0 ? x : negative_slope * x`.
    Relu {
        /// 0 for the plain form.
        negative_slope: f32,
    },
    /// `x > 0 ? x : slope[channel] * x`. Weight: `slope`, `[channels]`, or `[1]` when `channel_shared`.
    Prelu {
        /// One slope for all channels.
        channel_shared: bool,
        /// Where the slopes start.
        initializer: Initializer,
    },
    /// `x > 0 ? x : alpha * (exp(x) - 1)`.
    Elu {
        /// Value approached at minus infinity, negated.
        alpha: f32,
    },
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// Maximum or average of windows of `[channels, height, width]`.
    Pooling(Pooling),
    /// Local response normalisation over `[channels, height, width]`.
    Lrn(Lrn),
    /// `(x - running_mean[channel]) / sqrt(running_variance[channel] + epsilon)`, where `affine` then
    /// `x * weight[channel] + bias[channel]` (Caffe has a [`Layer::Scale`] follow instead). Training uses the statistics of the
    /// batch and updates the running ones.
    /// Weights, not trained: `running_mean`, `running_variance`; where `affine`, trained: `weight`, `bias`; all `[channels]`.
    BatchNorm(BatchNorm),
    /// `y = x * weight (+ bias)`. Weights `weight` and `bias` have the extents of the input's axes `axis..axis+axes` and
    /// are broadcast over the others.
    Scale(Scale),
    /// `y = x + bias`; weight `bias` shaped as in [`Layer::Scale`].
    Bias(Bias),
    /// Two inputs, `y = a * b` or `a + b`, the extents of `b` being the first of those of `a`; `b` is broadcast over the rest.
    Broadcast {
        /// Product or sum.
        operation: BroadcastOperation,
    },
    /// Joins its inputs along an axis.
    Concat {
        /// Axis, 1 or more.
        axis: usize,
    },
    /// Element-wise combination of inputs of one shape.
    Eltwise(Eltwise),
    /// The input itself when predicting; when training, zero with probability `ratio` and else `x / (1 - ratio)`.
    Dropout {
        /// Probability of zero, in `[0, 1)`.
        ratio: f32,
    },
    /// All axes but the batch made one.
    Flatten,
    /// The same elements under another shape.
    Reshape {
        /// Extents of one sample.
        dims: Vec<usize>,
    },
    /// `exp(x_i) / sum_j exp(x_j)` along an axis.
    Softmax {
        /// Axis, 1 or more.
        axis: usize,
    },
    /// Each output is the input.
    Split,
    /// Cuts its input along an axis into one piece per output.
    Slice {
        /// Axis, 1 or more.
        axis: usize,
        /// Extent of each piece; they sum to the input's.
        sizes: Vec<usize>,
    },
    /// One of the layers that each have a file of their own. They predict; training does not interpret them.
    Operation(Operation),
}

/// Weight `weight`: `[outputs, input channels / groups, kernel height, kernel width]`; `bias`: `[outputs]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Convolution {
    /// Number of filters.
    pub outputs: usize,
    /// Extents of the kernel.
    pub kernel: [usize; 2],
    /// Steps between windows.
    pub stride: [usize; 2],
    /// Zeros before and after.
    pub padding: [usize; 2],
    /// Distance between the taps of the kernel.
    pub dilation: [usize; 2],
    /// Number of independent groups of channels.
    pub groups: usize,
    /// Whether there is a bias.
    pub bias: bool,
    /// Where the weight starts.
    pub weight_initializer: Initializer,
    /// Where the bias starts.
    pub bias_initializer: Initializer,
}

/// Weight `weight`: `[outputs, product of the input's extents from axis on]`; `bias`: `[outputs]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InnerProduct {
    /// Number of outputs.
    pub outputs: usize,
    /// Whether there is a bias.
    pub bias: bool,
    /// First flattened axis, 1 or more; 1 (everything but the batch) nearly always.
    pub axis: usize,
    /// Where the weight starts.
    pub weight_initializer: Initializer,
    /// Where the bias starts.
    pub bias_initializer: Initializer,
}

/// `y = x / (k + alpha / n * sum of x² over the n neighbours)^beta`, zeros outside; `n` is `size` or `size²`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lrn {
    /// Neighbours across channels or within one.
    pub region: LrnRegion,
    /// Odd extent of the neighbourhood.
    pub size: usize,
    /// Factor of the mean square.
    pub alpha: f32,
    /// Exponent.
    pub beta: f32,
    /// Added constant; 1 within a channel.
    pub k: f32,
}

/// Which neighbours a local response normalisation looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LrnRegion {
    /// `size` channels at the same place.
    AcrossChannels,
    /// `size` × `size` places of the same channel.
    WithinChannel,
}

/// Options of [`Layer::BatchNorm`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchNorm {
    /// Added to the variance.
    pub epsilon: f32,
    /// Share of the old value when a running statistic is updated (Caffe's `moving_average_fraction`, 0.999).
    pub momentum: f32,
    /// Whether a scale and a bias of its own follow (NVCaffe's `scale_bias`).
    #[serde(default)]
    pub affine: bool,
}

/// Options of [`Layer::Scale`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// First scaled axis, 1 or more.
    pub axis: usize,
    /// Number of scaled axes.
    pub axes: usize,
    /// Whether there is a bias.
    pub bias: bool,
    /// Where the factor starts.
    pub weight_initializer: Initializer,
    /// Where the bias starts.
    pub bias_initializer: Initializer,
}

/// Options of [`Layer::Bias`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bias {
    /// First axis, 1 or more.
    pub axis: usize,
    /// Number of axes.
    pub axes: usize,
    /// Where the bias starts.
    pub initializer: Initializer,
}

/// Options of [`Layer::Broadcast`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BroadcastOperation {
    /// `a * b`.
    Product,
    /// `a + b`.
    Sum,
}

/// Options of [`Layer::Eltwise`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "snake_case")]
pub enum Eltwise {
    /// Sum of the inputs, each times its coefficient.
    Sum {
        /// One per input, or none: all 1.
        coefficients: Vec<f32>,
    },
    /// Product of the inputs.
    Product,
    /// Maximum of the inputs.
    Max,
}

impl Layer {
    /// The name of the kind, as Caffe writes it where Caffe has it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Convolution(_) => "Convolution",
            Self::InnerProduct(_) => "InnerProduct",
            Self::Relu { .. } => "ReLU",
            Self::Prelu { .. } => "PReLU",
            Self::Elu { .. } => "ELU",
            Self::Sigmoid => "Sigmoid",
            Self::Tanh => "TanH",
            Self::Pooling(_) => "Pooling",
            Self::Lrn(_) => "LRN",
            Self::BatchNorm(_) => "BatchNorm",
            Self::Scale(_) => "Scale",
            Self::Bias(_) => "Bias",
            Self::Broadcast { .. } => "Broadcast",
            Self::Concat { .. } => "Concat",
            Self::Eltwise(_) => "Eltwise",
            Self::Dropout { .. } => "Dropout",
            Self::Flatten => "Flatten",
            Self::Reshape { .. } => "Reshape",
            Self::Softmax { .. } => "Softmax",
            Self::Split => "Split",
            Self::Slice { .. } => "Slice",
            Self::Operation(operation) => operation.definition().kind(),
        }
    }
}
