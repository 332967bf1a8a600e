//! Values divided by their Euclidean norm and scaled (`normalize_layer.cpp` of SSD's Caffe). It owns over which values the
//! norm goes.

use serde::{Deserialize, Serialize};

use super::{CaffeType, Definition, Wanted, extent, input, unchanged};
use crate::fields::{FILLER, message, read};
use crate::initializer::Initializer;
use crate::operators::{Attribute, Emitter};
use crate::reading::filler;
use crate::shape::Shape;

/// `y = scale[channel] * x / sqrt(sum of x² + epsilon)`, of `[channels]` or `[channels, height, width]`.
/// Weight `scale`: `[channels]`, or `[1]` when `channel_shared`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Normalize {
    /// Whether the sum goes over the whole sample, or over the channels of each place.
    pub across_spatial: bool,
    /// One scale for all channels.
    pub channel_shared: bool,
    /// Added to the sum.
    pub epsilon: f32,
    /// Where the scale starts.
    pub initializer: Initializer,
}

/// How Caffe writes it.
pub(super) const CAFFE: &[CaffeType] = &[CaffeType {
    names: &["Normalize"],
    parameters: Some(message(
        "norm_param",
        &[read("across_spatial"), message("scale_filler", FILLER), read("channel_shared"), read("eps")],
    )),
    read: |text, _| {
        let param = text.message("norm_param");
        let normalize = Normalize {
            across_spatial: param.number("across_spatial")?.unwrap_or(true),
            channel_shared: param.number("channel_shared")?.unwrap_or(true),
            epsilon: param.number("eps")?.unwrap_or(1e-10),
            initializer: filler(param, "scale_filler", Initializer::ONE)?,
        };
        match normalize.epsilon >= 0.0 {
            true => Ok(normalize.into()),
            false => Err(format!("eps should be 0 or more, found {}", normalize.epsilon)),
        }
    },
}];

impl Definition for Normalize {
    fn kind(&self) -> &'static str {
        "Normalize"
    }

    fn output_shapes(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, String> {
        let shape = input(inputs, 0)?;
        match shape.dims().len() {
            1 | 3 => unchanged(inputs),
            _ => Err(format!("its input should be [channels] or [channels, height, width], found {shape}")),
        }
    }

    fn weights(&self, inputs: &[&Shape]) -> Result<Vec<Wanted>, String> {
        let channels = if self.channel_shared { 1 } else { extent(input(inputs, 0)?, 1)? };
        Ok(vec![Wanted { name: "scale", shape: vec![channels], initializer: self.initializer }])
    }

    fn emit(&self, emit: &mut Emitter<'_>) -> Result<(), String> {
        let (x, y, rank) = (emit.x(), emit.y(), emit.dims().len() as i64);
        let square = emit.step("Mul", [x.clone(), x.clone()], "square", []);
        let axes = emit.integers("axes", (1..=if self.across_spatial { rank } else { 1 }).collect());
        let sum = emit.step("ReduceSum", [square, axes], "sum", [("keepdims", Attribute::Int(1))]);
        let epsilon = emit.scalar("epsilon", self.epsilon);
        let sum = emit.step("Add", [sum, epsilon], "some", []);
        let norm = emit.step("Sqrt", [sum], "norm", []);
        // Not a division: rten divides by a single number, as the norm of one sample may be, in another way than by several.
        let inverse = emit.step("Reciprocal", [norm], "inverse", []);
        let unit = emit.step("Mul", [x, inverse], "unit", []);
        let scale = emit.weight("scale", 1)?;
        emit.operator("Mul", [unit, scale], y, []);
        Ok(())
    }
}
