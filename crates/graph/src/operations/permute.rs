//! Axes in another order (`permute_layer.cpp` of SSD's Caffe). It owns the order; the batch stays where it is.

use serde::{Deserialize, Serialize};

use super::{CaffeType, Definition, Operation, extent, input};
use crate::fields::{message, reads};
use crate::operators::{Emitter, ints};
use crate::prototext::Message;
use crate::shape::Shape;

/// Output axis `i` is input axis `order[i]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Permute {
    /// Every axis once; the first is 0, the batch.
    pub order: Vec<usize>,
}

/// How Caffe writes it.
pub(super) const CAFFE: &[CaffeType] = &[CaffeType {
    names: &["Permute"],
    parameters: Some(message("permute_param", &[reads("order")])),
    read: |text, inputs| permute(text.message("permute_param"), input(inputs, 0)?),
}];

/// The order of all axes, the batch among them. Axes that `order` does not name follow in their own order.
///
/// # Errors
/// Names an axis that is not there, or is there twice.
pub(crate) fn order_of_axes(param: &Message, input: &Shape) -> Result<Vec<usize>, String> {
    let axes = input.dims().len() + 1;
    let mut order: Vec<usize> = Vec::new();
    for axis in param.numbers::<usize>("order")? {
        if axis >= axes {
            return Err(format!("order names axis {axis}, its input has {axes} axes with the batch"));
        }
        if order.contains(&axis) {
            return Err(format!("order names axis {axis} twice"));
        }
        order.push(axis);
    }
    let rest: Vec<usize> = (0..axes).filter(|axis| !order.contains(axis)).collect();
    order.extend(rest);
    Ok(order)
}

/// An order that puts the batch second, behind time, leaves it where it is: whether it may is up to the importer.
fn permute(param: &Message, input: &Shape) -> Result<Operation, String> {
    let mut order = order_of_axes(param, input)?;
    if let [_, 0, ..] = order[..] {
        order.swap(0, 1);
    }
    match order.first() {
        Some(0) => Ok(Permute { order }.into()),
        Some(_) | None => {
            Err(format!("order {order:?} moves the batch from its place, axis 0, which is not supported yet"))
        }
    }
}

impl Definition for Permute {
    fn kind(&self) -> &'static str {
        "Permute"
    }

    fn output_shapes(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, String> {
        let input = input(inputs, 0)?;
        let mut sorted = self.order.clone();
        sorted.sort_unstable();
        if self.order.first() != Some(&0) || !sorted.iter().copied().eq(0..=input.dims().len()) {
            return Err(format!("order {:?} should begin with 0 and name every axis of {input} once", self.order));
        }
        let dims: Result<Vec<usize>, String> = self.order.iter().skip(1).map(|&axis| extent(input, axis)).collect();
        Ok(vec![Shape::new(dims?)])
    }

    fn emit(&self, emit: &mut Emitter<'_>) -> Result<(), String> {
        let (x, y) = (emit.x(), emit.y());
        emit.operator("Transpose", [x], y, [("perm", ints(&self.order))]);
        Ok(())
    }
}
