//! An axis from its end to its start (`reverse_layer.cpp` of DeepDetect's Caffe). It owns which.

use serde::{Deserialize, Serialize};

use super::{CaffeType, Definition, Operation, extent, input, sample_axis, unchanged};
use crate::fields::{message, read};
use crate::operators::Emitter;
use crate::prototext::Message;
use crate::shape::Shape;

/// Position `i` along the axis is position `extent - 1 - i` of the input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reverse {
    /// Axis, 1 or more.
    pub axis: usize,
}

/// How Caffe writes it.
pub(super) const CAFFE: &[CaffeType] = &[CaffeType {
    names: &["Reverse"],
    parameters: Some(message("reverse_param", &[read("axis")])),
    read: |text, inputs| reverse(text.message("reverse_param"), input(inputs, 0)?),
}];

/// Unlike elsewhere in Caffe the axis is not counted from the end.
fn reverse(param: &Message, input: &Shape) -> Result<Operation, String> {
    let axis = param.number::<i64>("axis")?.unwrap_or(0);
    if axis < 0 {
        return Err(format!("axis should be 0 or more, found {axis}"));
    }
    let axis = sample_axis(axis, input, "the samples of a batch would change places")?;
    Ok(Reverse { axis }.into())
}

impl Definition for Reverse {
    fn kind(&self) -> &'static str {
        "Reverse"
    }

    fn output_shapes(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, String> {
        extent(input(inputs, 0)?, self.axis)?;
        unchanged(inputs)
    }

    fn emit(&self, emit: &mut Emitter<'_>) -> Result<(), String> {
        let (x, y) = (emit.x(), emit.y());
        let extent = emit.dims().get(self.axis - 1).copied().unwrap_or(1) as i64;
        let [starts, ends, axes, steps] =
            [("starts", -1), ("ends", -extent - 1), ("axes", self.axis as i64), ("steps", -1)]
                .map(|(name, value)| emit.integers(name, vec![value]));
        emit.operator("Slice", [x, starts, ends, axes, steps], y, []);
        Ok(())
    }
}
