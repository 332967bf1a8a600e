//! Bilinear resizing with aligned corners (`interp_layer.cpp` of DeepLab's Caffe). It owns the extents that its parameters ask for.

use serde::{Deserialize, Serialize};

use super::{CaffeType, Definition, Operation, image, input};
use crate::fields::{Constant, message, only, read};
use crate::operators::{Attribute, Emitter};
use crate::prototext::Message;
use crate::shape::Shape;

/// `[channels, height, width]`, cut at its edges, then resized so that the corners are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interp {
    /// Rows and columns cut off at the top and the left.
    pub cut_before: usize,
    /// Rows and columns cut off at the bottom and the right.
    pub cut_after: usize,
    /// Height and width of the output.
    pub size: [usize; 2],
}

/// How Caffe writes it.
pub(super) const CAFFE: &[CaffeType] = &[CaffeType {
    names: &["Interp"],
    parameters: Some(message(
        "interp_param",
        &[
            read("height"),
            read("width"),
            read("zoom_factor"),
            read("shrink_factor"),
            read("pad_beg"),
            read("pad_end"),
            only("mode", Constant::Name("LINEAR", "1"), "of mode NEAREST Caffe computes one channel alone"),
        ],
    )),
    read: |text, inputs| interp(text.message("interp_param"), input(inputs, 0)?),
}];

fn interp(param: &Message, input: &Shape) -> Result<Operation, String> {
    let (_, height, width) = image(input)?;
    let cut = |name: &str| match param.number::<i64>(name)?.unwrap_or(0) {
        pad @ ..=0 => Ok(usize::try_from(pad.unsigned_abs()).unwrap_or(usize::MAX)),
        pad => Err(format!("{name} should be 0 or less, which cuts off, found {pad}")),
    };
    let (cut_before, cut_after) = (cut("pad_beg")?, cut("pad_end")?);
    let left = |extent: usize| left(extent, cut_before, cut_after);
    let kept = [left(height)?, left(width)?];
    let factor = |name: &str| match param.number::<usize>(name)? {
        Some(0) => Err(format!("{name} should be at least 1, found 0")),
        other => Ok(other),
    };
    let (shrink, zoom) = (factor("shrink_factor")?, factor("zoom_factor")?);
    let given = [param.number::<usize>("height")?, param.number("width")?];
    let scaled = |extent: usize| {
        let shrunk = (extent - 1) / shrink.unwrap_or(1) + 1;
        (shrunk - 1).checked_mul(zoom.unwrap_or(1)).and_then(|steps| steps.checked_add(1))
    };
    let by_factors = match kept.map(scaled) {
        [Some(height), Some(width)] => [height, width],
        _ => return Err("zoom_factor is too large".to_owned()),
    };
    let size = match (given, shrink.or(zoom)) {
        ([Some(height), Some(width)], None) => [height, width],
        ([None, None], Some(_)) => by_factors,
        // One factor counts beside a size, both together do not; where all say the same, it does not matter.
        ([Some(height), Some(width)], Some(_)) if [height, width] == by_factors => by_factors,
        ([_, _], Some(_)) => {
            return Err(format!(
                "height and width stand beside zoom_factor or shrink_factor, which make {by_factors:?}: expected one of them"
            ));
        }
        ([_, _], None) => return Err("height and width, zoom_factor or shrink_factor should be given".to_owned()),
    };
    Ok(Interp { cut_before, cut_after, size }.into())
}

/// What a cut leaves of an extent.
fn left(extent: usize, before: usize, after: usize) -> Result<usize, String> {
    let left = extent.checked_sub(before).and_then(|left| left.checked_sub(after)).filter(|&left| left > 0);
    left.ok_or_else(|| format!("pad_beg -{before} and pad_end -{after} leave nothing of {extent}"))
}

impl Definition for Interp {
    fn kind(&self) -> &'static str {
        "Interp"
    }

    fn output_shapes(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, String> {
        let (channels, height, width) = image(input(inputs, 0)?)?;
        left(height, self.cut_before, self.cut_after)?;
        left(width, self.cut_before, self.cut_after)?;
        let [height, width] = self.size;
        match height > 0 && width > 0 {
            true => Ok(vec![Shape::image(channels, height, width)]),
            false => Err(format!("height and width should be at least 1, found {height} and {width}")),
        }
    }

    fn emit(&self, emit: &mut Emitter<'_>) -> Result<(), String> {
        let &[channels, height, width] = emit.dims() else { return Err("its input is no image".to_owned()) };
        let (mut x, y, mut kept) = (emit.x(), emit.y(), [height, width]);
        if (self.cut_before, self.cut_after) != (0, 0) {
            let ends = kept.map(|extent| extent - self.cut_after);
            let starts = emit.integers("starts", vec![self.cut_before as i64; 2]);
            let cut_ends = emit.integers("ends", ends.iter().map(|&end| end as i64).collect());
            let axes = emit.integers("axes", vec![2, 3]);
            x = emit.step("Slice", [x, starts, cut_ends, axes], "cut", []);
            kept = ends.map(|end| end - self.cut_before);
        }
        if kept == self.size {
            emit.operator("Identity", [x], y, []);
            return Ok(());
        }
        let [rows, columns] = self.size;
        let batch =
            emit.step("Shape", [x.clone()], "batch", [("start", Attribute::Int(0)), ("end", Attribute::Int(1))]);
        let sample = emit.integers("sample", vec![channels as i64, rows as i64, columns as i64]);
        let sizes = emit.step("Concat", [batch, sample], "sizes", [("axis", Attribute::Int(0))]);
        let attributes =
            [("mode", Attribute::Text("linear")), ("coordinate_transformation_mode", Attribute::Text("align_corners"))];
        emit.operator("Resize", [x, String::new(), String::new(), sizes], y, attributes);
        Ok(())
    }
}
