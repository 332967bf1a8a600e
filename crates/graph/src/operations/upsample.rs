//! Values put back where the maxima of a pooling were (`upsample_layer.cpp` of SegNet's Caffe). It owns the extents it makes; the
//! places are its second input.

use serde::{Deserialize, Serialize};

use super::{CaffeType, Definition, Operation, image, input};
use crate::fields::{message, read};
use crate::operators::{Attribute, ElementType, Emitter};
use crate::prototext::Message;
use crate::shape::Shape;

/// Inputs: values, and their places `row * width + column` in the output; everywhere else is 0, and of several values with one
/// place the last counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Upsample {
    /// Height and width of the output.
    pub size: [usize; 2],
}

/// How Caffe writes it.
pub(super) const CAFFE: &[CaffeType] = &[CaffeType {
    names: &["Upsample"],
    parameters: Some(message(
        "upsample_param",
        &[
            read("scale"),
            read("scale_h"),
            read("scale_w"),
            read("pad_out_h"),
            read("pad_out_w"),
            read("upsample_h"),
            read("upsample_w"),
        ],
    )),
    read: |text, inputs| upsample(text.message("upsample_param"), input(inputs, 0)?),
}];

/// Extents, or else a scale for both axes or one for each, less one row or column where the pooling had an odd extent.
fn upsample(param: &Message, input: &Shape) -> Result<Operation, String> {
    let (_, height, width) = image(input)?;
    let number = |name: &str| param.number::<usize>(name);
    let odd = [param.number("pad_out_h")?.unwrap_or(false), param.number("pad_out_w")?.unwrap_or(false)];
    let scales = match (number("scale")?, number("scale_h")?, number("scale_w")?) {
        (both, None, None) => [both.unwrap_or(2); 2],
        (None, Some(rows), Some(columns)) => [rows, columns],
        (_, Some(_), None) | (_, None, Some(_)) => return Err("scale_h and scale_w should both be given".to_owned()),
        (Some(_), Some(_), Some(_)) => return Err("scale stands beside scale_h and scale_w".to_owned()),
    };
    if let [Some(rows), Some(columns)] = [number("upsample_h")?, number("upsample_w")?] {
        let beside = ["scale_h", "scale_w", "pad_out_h", "pad_out_w"].into_iter().find(|name| param.has(name));
        return match beside {
            // A scale is passed over by Caffe where there are extents, and its own networks have both.
            None => Ok(Upsample { size: [rows, columns] }.into()),
            Some(name) => Err(format!("{name} stands beside upsample_h and upsample_w, expected one of them")),
        };
    }
    if param.has("upsample_h") || param.has("upsample_w") {
        return Err("upsample_h and upsample_w should both be given".to_owned());
    }
    if scales.iter().zip(odd).any(|(&scale, odd)| scale < 2 || (odd && scale != 2)) {
        return Err(format!("scale should be 2 or more, and 2 with pad_out_h or pad_out_w, found {scales:?}"));
    }
    let scaled = |extent: usize, scale: usize, odd: bool| {
        let whole = extent.checked_mul(scale).and_then(|whole| whole.checked_sub(usize::from(odd)));
        whole.ok_or_else(|| format!("scale {scale} is too large"))
    };
    Ok(Upsample { size: [scaled(height, scales[0], odd[0])?, scaled(width, scales[1], odd[1])?] }.into())
}

impl Definition for Upsample {
    fn kind(&self) -> &'static str {
        "Upsample"
    }

    fn arity(&self) -> (usize, usize) {
        (2, 1)
    }

    fn output_shapes(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, String> {
        let (values, places) = (input(inputs, 0)?, input(inputs, 1)?);
        if values != places {
            return Err(format!("its inputs should have one shape, found {values} and {places}"));
        }
        let ((channels, ..), [height, width]) = (image(values)?, self.size);
        match height > 1 && width > 1 {
            true => Ok(vec![Shape::image(channels, height, width)]),
            false => Err(format!("upsample_h and upsample_w should be 2 or more, found {height} and {width}")),
        }
    }

    /// All channels of all samples as one long row, so that what is scattered has one axis: engines agree on that alone.
    fn emit(&self, emit: &mut Emitter<'_>) -> Result<(), String> {
        let &[channels, height, width] = emit.dims() else { return Err("its input is no image".to_owned()) };
        let [values, places] = emit.inputs else { return Err("it has two inputs".to_owned()) };
        let (values, places, y, [rows, columns]) = (values.clone(), places.clone(), emit.y(), self.size);
        let [to_planes, to_row] = [("to_planes", vec![-1, (height * width) as i64]), ("to_row", vec![-1])]
            .map(|(name, dims)| emit.integers(name, dims));
        let whole_places = emit.step("Cast", [places], "whole_places", [("to", Attribute::Int(7))]);
        let in_plane = emit.step("Reshape", [whole_places, to_planes], "in_plane", []);
        let planes = emit.step(
            "Shape",
            [in_plane.clone()],
            "planes",
            [("start", Attribute::Int(0)), ("end", Attribute::Int(1))],
        );
        let plane = emit.integers("plane", vec![(rows * columns) as i64]);
        let total = emit.step("Mul", [planes, plane.clone()], "total", []);
        let zeros = emit.step("ConstantOfShape", [total.clone()], "zeros", []);
        // 0, plane, 2 * plane …: one for each channel of each sample.
        let first_axis = emit.integers("first_axis", vec![0]);
        let zero = emit.integers("zero", vec![0]);
        let bounds = [("start", zero), ("end", total), ("step", plane)]
            .map(|(name, value)| emit.step("Squeeze", [value, first_axis.clone()], name, []));
        let offsets = emit.step("Range", bounds, "offsets", []);
        let second_axis = emit.integers("second_axis", vec![1]);
        let offsets = emit.step("Unsqueeze", [offsets, second_axis], "offset_column", []);
        let whole = emit.step("Add", [in_plane, offsets], "in_row", []);
        let whole = emit.step("Reshape", [whole, to_row.clone()], "indices", []);
        let updates = emit.step("Reshape", [values, to_row], "updates", []);
        emit.is_row(&zeros, ElementType::Float);
        emit.is_row(&whole, ElementType::Integer);
        let scattered =
            emit.step("ScatterElements", [zeros, whole, updates], "scattered", [("axis", Attribute::Int(0))]);
        let shape = emit.integers("shape", vec![-1, channels as i64, rows as i64, columns as i64]);
        emit.operator("Reshape", [scattered, shape], y, []);
        Ok(())
    }
}
