//! Layers that each stand in one file: options, shapes, weights, ONNX operators, and how Caffe writes them. It owns what every
//! one of them must say (`Definition`, `CaffeType`) and the list of them; a layer more is a file and a line of the list.
//!
//! They are layers for prediction: training refuses them by name.

mod argmax;
mod axpy;
mod crop;
mod deconvolution;
mod detection_output;
mod embed;
mod interp;
mod lstm;
mod normalize;
mod permute;
mod pointwise;
mod pooling_mask;
mod prior_box;
mod reduction;
mod reverse;
mod shuffle_channel;
#[cfg(test)]
mod tests;
mod tile;
mod upsample;

use serde::{Deserialize, Serialize};

pub use detection_output::{BoxCode, DetectionOutput};
pub(crate) use permute::order_of_axes;
pub(crate) use pooling_mask::masked_pooling;
pub use prior_box::PriorBox;

use crate::fields::Entry;
use crate::initializer::Initializer;
use crate::operators::Emitter;
use crate::prototext::Message;
use crate::shape::Shape;

/// What a layer is, whatever it was read from.
pub(crate) trait Definition {
    /// The name of the kind, as Caffe writes it where Caffe has it.
    fn kind(&self) -> &'static str;

    /// Numbers of inputs and outputs.
    fn arity(&self) -> (usize, usize) {
        (1, 1)
    }

    /// Shapes of the outputs; the number of inputs is that of [`Definition::arity`].
    ///
    /// # Errors
    /// Says which extent does not fit.
    fn output_shapes(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, String>;

    /// Weights in the order of Caffe's blobs.
    ///
    /// # Errors
    /// Says which extent does not fit.
    fn weights(&self, _inputs: &[&Shape]) -> Result<Vec<Wanted>, String> {
        Ok(Vec::new())
    }

    /// How often each weight is multiplied for one sample of this shape, where it counts as work.
    fn uses_of_weights(&self, _input: &Shape) -> usize {
        0
    }

    /// Writes its operators. Shapes and weights have been checked.
    ///
    /// # Errors
    /// Names a weight that is missing.
    fn emit(&self, emit: &mut Emitter<'_>) -> Result<(), String>;
}

/// A weight that a layer wants.
pub(crate) struct Wanted {
    /// Its name within the layer.
    pub(crate) name: &'static str,
    /// Extents, outermost first.
    pub(crate) shape: Vec<usize>,
    /// Where it starts.
    pub(crate) initializer: Initializer,
}

/// A type of layer as Caffe's networks write it.
pub(crate) struct CaffeType {
    /// Its name in `layer { type: "…" }`, then the one in the older `layers { type: … }` if it has one there.
    pub(crate) names: &'static [&'static str],
    /// Its parameter message, if it has one.
    pub(crate) parameters: Option<Entry>,
    /// Reads a layer whose fields are those of `parameters`; the shapes are those of its bottoms, at least one.
    pub(crate) read: fn(&Message, &[&Shape]) -> Result<Operation, String>,
}

impl CaffeType {
    /// Its present name.
    pub(crate) fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }
}

/// Makes the closed set of operations from the list of them.
macro_rules! operations {
    ($($(#[$doc:meta])* $variant:ident($module:ident::$options:ident),)*) => {
        /// The layers that each have a file of their own.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "operation", rename_all = "snake_case")]
        pub enum Operation {
            $($(#[$doc])* $variant($module::$options),)*
        }

        impl Operation {
            /// What it computes.
            pub(crate) fn definition(&self) -> &dyn Definition {
                match self {
                    $(Self::$variant(options) => options,)*
                }
            }
        }

        $(impl From<$module::$options> for Operation {
            fn from(options: $module::$options) -> Self {
                Self::$variant(options)
            }
        })*

        const TYPES: &[&[CaffeType]] = &[$($module::CAFFE,)*];
    };
}

operations! {
    /// The greatest values, or where they are.
    ArgMax(argmax::ArgMax),
    /// `y = a x + b`, one `a` for each channel.
    Axpy(axpy::Axpy),
    /// A part of the first input, of the extents of the second.
    Crop(crop::Crop),
    /// Transposed convolution.
    Deconvolution(deconvolution::Deconvolution),
    /// Detections from offsets, scores and boxes; decoded after the engine.
    DetectionOutput(detection_output::DetectionOutput),
    /// A row of a table for each whole number.
    Embed(embed::Embed),
    /// Bilinear resizing with aligned corners.
    Interp(interp::Interp),
    /// Long short-term memory over a series.
    Lstm(lstm::Lstm),
    /// Values divided by their Euclidean norm.
    Normalize(normalize::Normalize),
    /// Axes in another order.
    Permute(permute::Permute),
    /// A function of each value alone.
    Pointwise(pointwise::Pointwise),
    /// Maxima of windows and where they were.
    PoolingMask(pooling_mask::PoolingMask),
    /// The boxes that a detector's offsets refer to.
    PriorBox(prior_box::PriorBox),
    /// Sums over the last axes.
    Reduction(reduction::Reduction),
    /// An axis from its end to its start.
    Reverse(reverse::Reverse),
    /// Channels of groups in turn.
    ShuffleChannel(shuffle_channel::ShuffleChannel),
    /// Copies side by side.
    Tile(tile::Tile),
    /// Values put back where the maxima of a pooling were.
    Upsample(upsample::Upsample),
}

/// All types of Caffe's layers that are operations.
pub(crate) fn types() -> impl Iterator<Item = &'static CaffeType> {
    TYPES.iter().copied().flatten()
}

/// The type of a name, of the present or the older form.
pub(crate) fn named(name: &str) -> Option<&'static CaffeType> {
    types().find(|kind| kind.names.contains(&name))
}

/// The input's shape as the only one.
fn unchanged(inputs: &[&Shape]) -> Result<Vec<Shape>, String> {
    inputs.first().map(|shape| vec![(*shape).clone()]).ok_or_else(|| "it has no input".to_owned())
}

/// One of the inputs.
fn input<'a>(inputs: &[&'a Shape], place: usize) -> Result<&'a Shape, String> {
    inputs.get(place).copied().ok_or_else(|| format!("it has no input {}", place + 1))
}

/// Channels, height and width of an image.
fn image(shape: &Shape) -> Result<(usize, usize, usize), String> {
    shape.as_image().ok_or_else(|| format!("its input should be [channels, height, width], found {shape}"))
}

/// The extent of an axis that is not the batch.
fn extent(shape: &Shape, axis: usize) -> Result<usize, String> {
    shape.axis(axis).ok_or_else(|| format!("axis {axis} is not an axis of one sample of shape {shape}"))
}

/// Refuses an axis that is the batch, or that the shape does not have; Caffe counts negative ones from the end.
fn sample_axis(axis: i64, shape: &Shape, over_batch: &str) -> Result<usize, String> {
    match crate::reading::resolve_axis(axis, shape) {
        Some(0) => Err(format!("axis {axis} is the batch: {over_batch}, which is not supported; expected 1 or more")),
        Some(axis) => Ok(axis),
        None => Err(format!("axis {axis} is not an axis of a batch of samples of shape {shape}")),
    }
}
