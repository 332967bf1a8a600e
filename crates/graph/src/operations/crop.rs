//! A part of the first input, of the extents of the second (Caffe's `crop_layer.cpp`). It owns where the part begins.

use serde::{Deserialize, Serialize};

use super::{CaffeType, Definition, Operation, input, sample_axis};
use crate::fields::{message, read, reads};
use crate::operators::Emitter;
use crate::prototext::Message;
use crate::shape::Shape;

/// The part that begins at `offsets` along the axes from `axis` on, and has the second input's extents there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Crop {
    /// First cropped axis, 1 or more.
    pub axis: usize,
    /// Where the part begins, for each axis from `axis` on.
    pub offsets: Vec<usize>,
}

/// How Caffe writes it.
pub(super) const CAFFE: &[CaffeType] = &[CaffeType {
    names: &["Crop"],
    parameters: Some(message("crop_param", &[read("axis"), reads("offset")])),
    read: |text, inputs| crop(text.message("crop_param"), input(inputs, 0)?),
}];

fn crop(param: &Message, input: &Shape) -> Result<Operation, String> {
    let axis = sample_axis(param.number("axis")?.unwrap_or(2), input, "samples of a batch would be left out")?;
    let cropped = input.dims().len() + 1 - axis;
    let offsets = match param.numbers::<usize>("offset")?.as_slice() {
        [] => vec![0; cropped],
        &[one] => vec![one; cropped],
        all if all.len() == cropped => all.to_vec(),
        other => {
            return Err(format!("offset should be there once or for each of {cropped} axes, found {}", other.len()));
        }
    };
    Ok(Crop { axis, offsets }.into())
}

impl Crop {
    /// First and end of the part along each axis.
    fn ranges(&self, inputs: &[&Shape]) -> Result<Vec<(usize, usize)>, String> {
        let (whole, part) = (input(inputs, 0)?, input(inputs, 1)?);
        if whole.dims().len() != part.dims().len() {
            return Err(format!("its inputs should have as many axes, found {whole} and {part}"));
        }
        let place = self.axis.checked_sub(1).filter(|place| place + self.offsets.len() == whole.dims().len());
        let Some(place) = place else {
            return Err(format!("offsets {:?} from axis {} on do not fit {whole}", self.offsets, self.axis));
        };
        let axes = whole.dims().iter().zip(part.dims()).enumerate().map(|(index, (&whole, &part))| {
            let Some(&start) = index.checked_sub(place).and_then(|index| self.offsets.get(index)) else {
                return Ok((0, whole));
            };
            start.checked_add(part).filter(|&end| end <= whole).map(|end| (start, end)).ok_or_else(|| {
                format!("a part of {part} from offset {start} on does not fit the {whole} of axis {}", index + 1)
            })
        });
        axes.collect()
    }
}

impl Definition for Crop {
    fn kind(&self) -> &'static str {
        "Crop"
    }

    fn arity(&self) -> (usize, usize) {
        (2, 1)
    }

    fn output_shapes(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, String> {
        let extents: Vec<usize> = self.ranges(inputs)?.iter().map(|(start, end)| end - start).collect();
        Ok(vec![Shape::new(extents)])
    }

    fn emit(&self, emit: &mut Emitter<'_>) -> Result<(), String> {
        let ranges = self.ranges(emit.shapes)?;
        let (x, y) = (emit.x(), emit.y());
        let starts = emit.integers("starts", ranges.iter().map(|&(start, _)| start as i64).collect());
        let ends = emit.integers("ends", ranges.iter().map(|&(_, end)| end as i64).collect());
        let axes = emit.integers("axes", (1..=ranges.len() as i64).collect());
        emit.operator("Slice", [x, starts, ends, axes], y, []);
        Ok(())
    }
}
