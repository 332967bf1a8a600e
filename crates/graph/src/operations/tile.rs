//! Copies side by side along an axis (Caffe's `tile_layer.cpp`). It owns how many.

use serde::{Deserialize, Serialize};

use super::{CaffeType, Definition, Operation, extent, input, sample_axis};
use crate::fields::{message, read};
use crate::operators::Emitter;
use crate::prototext::Message;
use crate::shape::Shape;

/// The input `tiles` times along an axis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tile {
    /// Axis, 1 or more.
    pub axis: usize,
    /// How often, at least once.
    pub tiles: usize,
}

/// How Caffe writes it.
pub(super) const CAFFE: &[CaffeType] = &[CaffeType {
    names: &["Tile"],
    parameters: Some(message("tile_param", &[read("axis"), read("tiles")])),
    read: |text, inputs| tile(text.message("tile_param"), input(inputs, 0)?),
}];

fn tile(param: &Message, input: &Shape) -> Result<Operation, String> {
    let axis = sample_axis(param.number("axis")?.unwrap_or(1), input, "a batch would have more samples")?;
    let tiles = param.number("tiles")?.ok_or("tile_param has no tiles")?;
    Ok(Tile { axis, tiles }.into())
}

impl Definition for Tile {
    fn kind(&self) -> &'static str {
        "Tile"
    }

    fn output_shapes(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, String> {
        let shape = input(inputs, 0)?;
        let tiled = extent(shape, self.axis)?.checked_mul(self.tiles).filter(|&tiled| tiled > 0);
        let tiled =
            tiled.ok_or_else(|| format!("tiles should be at least 1 and not too many, found {}", self.tiles))?;
        let mut dims = shape.dims().to_vec();
        dims[self.axis - 1] = tiled;
        Ok(vec![Shape::new(dims)])
    }

    fn emit(&self, emit: &mut Emitter<'_>) -> Result<(), String> {
        let (x, y, rank) = (emit.x(), emit.y(), emit.dims().len());
        let repeats = (0..=rank).map(|axis| if axis == self.axis { self.tiles as i64 } else { 1 }).collect();
        let repeats = emit.integers("repeats", repeats);
        emit.operator("Tile", [x, repeats], y, []);
        Ok(())
    }
}
