//! `a x + b` with one factor for each channel (`axpy_layer.cpp` of SENet's Caffe). It owns the shapes that go together.

use serde::{Deserialize, Serialize};

use super::{CaffeType, Definition, extent, input};
use crate::operators::Emitter;
use crate::shape::Shape;

/// Inputs `a`, `x` and `b`: `x` and `b` have one shape, `a` has its channels and ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Axpy {}

/// How Caffe writes it.
pub(super) const CAFFE: &[CaffeType] =
    &[CaffeType { names: &["Axpy"], parameters: None, read: |_, _| Ok(Axpy {}.into()) }];

impl Definition for Axpy {
    fn kind(&self) -> &'static str {
        "Axpy"
    }

    fn arity(&self) -> (usize, usize) {
        (3, 1)
    }

    fn output_shapes(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, String> {
        let (a, x, b) = (input(inputs, 0)?, input(inputs, 1)?, input(inputs, 2)?);
        let ones = a.dims().iter().skip(1).all(|&extent| extent == 1);
        if extent(a, 1)? != extent(x, 1)? || !ones {
            return Err(format!("its first input should have one value for each channel of {x}, found {a}"));
        }
        match x == b {
            true => Ok(vec![x.clone()]),
            false => Err(format!("its second and third input should have one shape, found {x} and {b}")),
        }
    }

    fn emit(&self, emit: &mut Emitter<'_>) -> Result<(), String> {
        let [a, x, b] = emit.inputs else { return Err("it has three inputs".to_owned()) };
        let (a, x, b, y) = (a.clone(), x.clone(), b.clone(), emit.y());
        let mut dims = vec![1; emit.shapes.get(1).map_or(1, |shape| shape.dims().len())];
        if let (Some(first), Some(&channels)) = (dims.first_mut(), emit.dims().first()) {
            *first = channels;
        }
        let factor = emit.inner("factor");
        emit.reshape("shape", a, factor.clone(), &dims);
        let product = emit.step("Mul", [x, factor], "product", []);
        emit.operator("Add", [product, b], y, []);
        Ok(())
    }
}
