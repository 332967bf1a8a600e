//! The greatest values, or where they are (Caffe's `argmax_layer.cpp`). It owns the order of ties: Caffe sorts pairs of value
//! and place downwards, so that of equal values the last is first.

use serde::{Deserialize, Serialize};

use super::{CaffeType, Definition, Operation, extent, input, sample_axis};
use crate::fields::{message, read};
use crate::operators::{Attribute, Emitter};
use crate::prototext::Message;
use crate::shape::Shape;

/// The `count` greatest values along an axis or of a whole sample, or their places as floats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArgMax {
    /// Axis, 1 or more, whose extent becomes `count`; none for all values of a sample, which become `[rows, count, 1 …]`.
    pub axis: Option<usize>,
    /// How many, at least 1, in falling order.
    pub count: usize,
    /// Along an axis: the values instead of their places. Of a whole sample: a row of places, then one of values.
    pub with_values: bool,
}

/// How Caffe writes it.
pub(super) const CAFFE: &[CaffeType] = &[CaffeType {
    names: &["ArgMax", "ARGMAX"],
    parameters: Some(message("argmax_param", &[read("out_max_val"), read("top_k"), read("axis")])),
    read: |text, inputs| argmax(text.message("argmax_param"), input(inputs, 0)?),
}];

fn argmax(param: &Message, input: &Shape) -> Result<Operation, String> {
    let axis = param.number("axis")?.map(|axis| sample_axis(axis, input, "the samples of a batch would be compared"));
    Ok(ArgMax {
        axis: axis.transpose()?,
        count: param.number("top_k")?.unwrap_or(1),
        with_values: param.number("out_max_val")?.unwrap_or(false),
    }
    .into())
}

impl Definition for ArgMax {
    fn kind(&self) -> &'static str {
        "ArgMax"
    }

    fn output_shapes(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, String> {
        let shape = input(inputs, 0)?;
        let compared = match self.axis {
            Some(axis) => extent(shape, axis)?,
            None => shape.elements()?,
        };
        if self.count == 0 || self.count > compared {
            return Err(format!("top_k should be from 1 to {compared}, found {}", self.count));
        }
        let mut dims = shape.dims().to_vec();
        match self.axis {
            Some(axis) => dims[axis - 1] = self.count,
            None => {
                // Caffe's blob has three axes with the batch, or as many as its bottom.
                dims = vec![1; dims.len().max(2)];
                (dims[0], dims[1]) = (if self.with_values { 2 } else { 1 }, self.count);
            }
        }
        Ok(vec![Shape::new(dims)])
    }

    fn emit(&self, emit: &mut Emitter<'_>) -> Result<(), String> {
        let (y, output) = (emit.y(), self.output_shapes(emit.shapes)?);
        let Some(axis) = self.axis else {
            let x = emit.x();
            let flat = emit.step("Flatten", [x], "flat", [("axis", Attribute::Int(1))]);
            let elements = emit.dims().iter().product();
            let (places, values) = self.greatest(emit, flat, 1, elements);
            let rows = match self.with_values {
                true => emit.step("Concat", [places, values], "rows", [("axis", Attribute::Int(1))]),
                false => places,
            };
            let dims = output.first().map_or(&[][..], |shape| shape.dims());
            emit.reshape("shape", rows, y, dims);
            return Ok(());
        };
        let (x, compared) = (emit.x(), emit.dims().get(axis - 1).copied().unwrap_or(1));
        let (places, values) = self.greatest(emit, x, axis, compared);
        emit.operator("Identity", [if self.with_values { values } else { places }], y, []);
        Ok(())
    }
}

impl ArgMax {
    /// Places as floats, and values; of the two, what is not used is written all the same where one operator makes both.
    fn greatest(&self, emit: &mut Emitter<'_>, x: String, axis: usize, compared: usize) -> (String, String) {
        let along = axis as i64;
        if self.count == 1 {
            let attributes = [
                ("axis", Attribute::Int(along)),
                ("keepdims", Attribute::Int(1)),
                ("select_last_index", Attribute::Int(1)),
            ];
            let places = emit.step("ArgMax", [x.clone()], "whole_places", attributes);
            let places = emit.step("Cast", [places], "places", [("to", Attribute::Int(1))]);
            let attributes = [("axes", Attribute::Ints(vec![along])), ("keepdims", Attribute::Int(1))];
            let values = emit.step("ReduceMax", [x], "values", attributes);
            return (places, values);
        }
        // ONNX takes the first of equal values, so that it is asked about the reversed axis.
        let [starts, ends, axes, steps] =
            [("starts", -1), ("ends", -(compared as i64) - 1), ("axes", along), ("steps", -1)]
                .map(|(name, value)| emit.integers(name, vec![value]));
        let reversed = emit.step("Slice", [x, starts, ends, axes, steps], "reversed", []);
        let count = emit.integers("count", vec![self.count as i64]);
        let values = emit.step("TopK", [reversed, count], "values", [("axis", Attribute::Int(along))]);
        let places = emit.inner("reversed_places");
        if let Some(last) = emit.operators.operators.last_mut() {
            last.outputs.push(places.clone());
        }
        let places = emit.step("Cast", [places], "from_the_end", [("to", Attribute::Int(1))]);
        let last = emit.scalar("last", (compared - 1) as f32);
        let places = emit.step("Sub", [last, places], "places", []);
        (places, values)
    }
}
