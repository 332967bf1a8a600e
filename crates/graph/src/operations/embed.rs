//! A row of a table for each whole number (Caffe's `embed_layer.cpp`). It owns the table's extents.

use serde::{Deserialize, Serialize};

use super::{CaffeType, Definition, Operation, Wanted, input};
use crate::fields::{FILLER, message, read};
use crate::initializer::Initializer;
use crate::operators::{Attribute, Emitter};
use crate::prototext::Message;
use crate::reading::{filler, outputs};
use crate::shape::Shape;

/// `y[…, :] = weight[x[…]] + bias`, of numbers from 0 to `rows - 1` that are cut off to whole ones.
/// Weight `weight`: `[rows, outputs]`; `bias`: `[outputs]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Embed {
    /// Rows of the table.
    pub rows: usize,
    /// Extent of the axis that is added at the end.
    pub outputs: usize,
    /// Whether there is a bias.
    pub bias: bool,
    /// Where the weight starts.
    pub weight_initializer: Initializer,
    /// Where the bias starts.
    pub bias_initializer: Initializer,
}

/// How Caffe writes it.
pub(super) const CAFFE: &[CaffeType] = &[CaffeType {
    names: &["Embed"],
    parameters: Some(message(
        "embed_param",
        &[
            read("num_output"),
            read("input_dim"),
            read("bias_term"),
            message("weight_filler", FILLER),
            message("bias_filler", FILLER),
        ],
    )),
    read: |text, _| embed(text.message("embed_param")),
}];

fn embed(param: &Message) -> Result<Operation, String> {
    Ok(Embed {
        rows: param.number("input_dim")?.filter(|&rows| rows > 0).ok_or("input_dim is missing or 0")?,
        outputs: outputs(param)?,
        bias: param.number("bias_term")?.unwrap_or(true),
        weight_initializer: filler(param, "weight_filler", Initializer::ZERO)?,
        bias_initializer: filler(param, "bias_filler", Initializer::ZERO)?,
    }
    .into())
}

impl Definition for Embed {
    fn kind(&self) -> &'static str {
        "Embed"
    }

    fn output_shapes(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, String> {
        Ok(vec![Shape::new([input(inputs, 0)?.dims(), &[self.outputs]].concat())])
    }

    fn weights(&self, _inputs: &[&Shape]) -> Result<Vec<Wanted>, String> {
        let shape = vec![self.rows, self.outputs];
        let mut weights = vec![Wanted { name: "weight", shape, initializer: self.weight_initializer }];
        if self.bias {
            let shape = vec![self.outputs];
            weights.push(Wanted { name: "bias", shape, initializer: self.bias_initializer });
        }
        Ok(weights)
    }

    fn emit(&self, emit: &mut Emitter<'_>) -> Result<(), String> {
        let (x, y) = (emit.x(), emit.y());
        let weight = emit.plain_weight("weight")?;
        let rows = emit.step("Cast", [x], "rows", [("to", Attribute::Int(7))]);
        let taken = if self.bias { emit.inner("taken") } else { y.clone() };
        emit.operator("Gather", [weight, rows], taken.clone(), [("axis", Attribute::Int(0))]);
        if self.bias {
            let bias = emit.plain_weight("bias")?;
            emit.operator("Add", [taken, bias], y, []);
        }
        Ok(())
    }
}
