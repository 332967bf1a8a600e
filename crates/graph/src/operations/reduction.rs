//! Sums over all axes from one on (Caffe's `reduction_layer.cpp`). It owns what is summed.

use serde::{Deserialize, Serialize};

use super::{CaffeType, Definition, Operation, input, sample_axis};
use crate::fields::{message, read};
use crate::operators::{Attribute, Emitter};
use crate::prototext::Message;
use crate::shape::Shape;

/// `factor` times the sum over the axes from `axis` on, which are gone after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reduction {
    /// What is summed.
    pub summand: Summand,
    /// First summed axis, 1 or more.
    pub axis: usize,
    /// Factor of the sum, of a mean without its division.
    pub factor: f32,
}

/// What is summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Summand {
    /// The values; their sum.
    Value,
    /// The values; their mean.
    Mean,
    /// Their absolute values.
    Absolute,
    /// Their squares.
    Square,
}

/// How Caffe writes it.
pub(super) const CAFFE: &[CaffeType] = &[CaffeType {
    names: &["Reduction"],
    parameters: Some(message("reduction_param", &[read("operation"), read("axis"), read("coeff")])),
    read: |text, inputs| reduction(text.message("reduction_param"), input(inputs, 0)?),
}];

fn reduction(param: &Message, input: &Shape) -> Result<Operation, String> {
    let summand = match param.text("operation") {
        None | Some("SUM" | "1") => Summand::Value,
        Some("ASUM" | "2") => Summand::Absolute,
        Some("SUMSQ" | "3") => Summand::Square,
        Some("MEAN" | "4") => Summand::Mean,
        Some(other) => return Err(format!("operation should be SUM, ASUM, SUMSQ or MEAN, found {other:.64}")),
    };
    let axis = sample_axis(param.number("axis")?.unwrap_or(0), input, "the samples of a batch would be summed")?;
    Ok(Reduction { summand, axis, factor: param.number("coeff")?.unwrap_or(1.0) }.into())
}

impl Reduction {
    fn summed<'a>(&self, dims: &'a [usize]) -> Result<(&'a [usize], &'a [usize]), String> {
        let place = self.axis.checked_sub(1).filter(|&place| place < dims.len());
        place.map(|place| dims.split_at(place)).ok_or_else(|| format!("axis {} is not an axis of {dims:?}", self.axis))
    }
}

impl Definition for Reduction {
    fn kind(&self) -> &'static str {
        "Reduction"
    }

    fn output_shapes(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, String> {
        let (kept, _) = self.summed(input(inputs, 0)?.dims())?;
        Ok(vec![Shape::new(kept)])
    }

    fn emit(&self, emit: &mut Emitter<'_>) -> Result<(), String> {
        let (x, y, rank) = (emit.x(), emit.y(), emit.dims().len());
        let count: usize = self.summed(emit.dims())?.1.iter().product();
        let x = match self.summand {
            Summand::Value | Summand::Mean => x,
            Summand::Absolute => emit.step("Abs", [x], "absolute", []),
            Summand::Square => emit.step("Mul", [x.clone(), x], "square", []),
        };
        let factor = match self.summand {
            Summand::Mean => self.factor / count as f32,
            Summand::Value | Summand::Absolute | Summand::Square => self.factor,
        };
        let axes = emit.integers("axes", (self.axis as i64..=rank as i64).collect());
        let sum = emit.step("ReduceSum", [x, axes], "sum", [("keepdims", Attribute::Int(0))]);
        let factor = emit.scalar("factor", factor);
        emit.operator("Mul", [sum, factor], y, []);
        Ok(())
    }
}
