//! A maximum pooling with a second output that says where each maximum was (Caffe's `pooling_layer.cpp` with two tops). It owns
//! how the places are found: each window is compared place by place, which needs windows that do not overlap.

use serde::{Deserialize, Serialize};

use super::{CaffeType, Definition, Operation, image, input};
use crate::operators::Emitter;
use crate::pooling::{Pooling, PoolingMethod, Rounding};
use crate::shape::Shape;

/// The most places that a float counts exactly.
const MOST_PLACES: usize = 1 << 24;
/// The most operators that a window may become: a slice and a comparison for each of its places.
const MOST_TAPS: usize = 64;

/// Outputs: the maxima, and for each the place `row * width + column` of the first of the values in its window that are as great, as
/// a float.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PoolingMask {
    /// Extents of the windows, which are their steps too.
    pub kernel: [usize; 2],
    /// Whether a last window that the input does not fill is kept.
    pub rounding: Rounding,
}

/// Caffe writes it as a Pooling.
pub(super) const CAFFE: &[CaffeType] = &[];

/// The pooling of a Pooling layer that has a second top.
///
/// # Errors
/// Says what is not supported of it.
pub(crate) fn masked_pooling(pooling: &Pooling) -> Result<Operation, String> {
    if pooling.method != PoolingMethod::Max {
        return Err("a second top of a Pooling is for pool: MAX".to_owned());
    }
    if pooling.global || pooling.padding != [0, 0] || pooling.kernel != pooling.stride {
        return Err(
            "a second top, the places of the maxima, is supported for windows that do not overlap (stride equal to \
                    kernel_size) without pad and global_pooling"
                .to_owned(),
        );
    }
    Ok(PoolingMask { kernel: pooling.kernel, rounding: pooling.rounding }.into())
}

impl PoolingMask {
    /// The number of windows along height and width.
    fn windows(&self, [height, width]: [usize; 2]) -> Result<[usize; 2], String> {
        let pooling = Pooling {
            method: PoolingMethod::Max,
            kernel: self.kernel,
            stride: self.kernel,
            padding: [0, 0],
            global: false,
            rounding: self.rounding,
        };
        Ok(pooling.windows([height, width])?.map(|windows| windows.count))
    }
}

impl Definition for PoolingMask {
    fn kind(&self) -> &'static str {
        "Pooling"
    }

    fn arity(&self) -> (usize, usize) {
        (1, 2)
    }

    fn output_shapes(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, String> {
        let (channels, height, width) = image(input(inputs, 0)?)?;
        if height.checked_mul(width).is_none_or(|places| places > MOST_PLACES) {
            return Err(format!("the places of {height} times {width} values are more than a float counts"));
        }
        if self.kernel[0].checked_mul(self.kernel[1]).is_none_or(|taps| taps > MOST_TAPS) {
            return Err(format!("windows of {:?} have more than {MOST_TAPS} places", self.kernel));
        }
        let [rows, columns] = self.windows([height, width])?;
        let shape = Shape::image(channels, rows, columns);
        Ok(vec![shape.clone(), shape])
    }

    fn emit(&self, emit: &mut Emitter<'_>) -> Result<(), String> {
        let &[_, height, width] = emit.dims() else { return Err("its input is no image".to_owned()) };
        let [values, places] = emit.outputs else { return Err("it has two outputs".to_owned()) };
        let (values, places) = (values.clone(), places.clone());
        let [rows, columns] = self.windows([height, width])?;
        let [tall, wide] = self.kernel;
        let (whole_height, whole_width) = (rows * tall, columns * wide);
        let mut x = emit.x();
        if whole_height > height || whole_width > width {
            let end = |whole: usize, extent: usize| whole.saturating_sub(extent) as i64;
            let amounts = vec![0, 0, 0, 0, 0, 0, end(whole_height, height), end(whole_width, width)];
            let amounts = emit.integers("pads", amounts);
            let lowest = emit.scalar("lowest", f32::MIN);
            x = emit.step("Pad", [x, amounts, lowest], "padded", []);
        }
        let axes = emit.integers("axes", vec![2, 3]);
        let ends = emit.integers("ends", vec![whole_height as i64, whole_width as i64]);
        let steps = emit.integers("steps", vec![tall as i64, wide as i64]);
        let taps: Vec<(usize, usize)> = (0..tall).flat_map(|i| (0..wide).map(move |j| (i, j))).collect();
        let mut slices = Vec::new();
        for (tap, &(i, j)) in taps.iter().enumerate() {
            let starts = emit.integers(&format!("starts{tap}"), vec![i as i64, j as i64]);
            let inputs = [x.clone(), starts, ends.clone(), axes.clone(), steps.clone()];
            slices.push(emit.step("Slice", inputs, &format!("tap{tap}"), []));
        }
        emit.operator("Max", slices.clone(), values.clone(), []);
        let place = |(i, j): (usize, usize)| -> Vec<f32> {
            let rows = (0..rows).map(|row| (row * tall + i) * width);
            rows.flat_map(|row| (0..columns).map(move |column| (row + column * wide + j) as f32)).collect()
        };
        let mut found: Option<String> = None;
        for (tap, (slice, &at)) in slices.iter().zip(&taps).enumerate().rev() {
            let here = emit.floats(&format!("places{tap}"), vec![1, 1, rows, columns], place(at).into());
            found = Some(match found {
                // The last place is what is left: it is there where no other is.
                None => here,
                Some(later) => {
                    let is_here = emit.step("Equal", [slice.clone(), values.clone()], &format!("is{tap}"), []);
                    emit.step("Where", [is_here, here, later], &format!("found{tap}"), [])
                }
            });
        }
        let found = found.ok_or("its windows are empty")?;
        if taps.len() == 1 {
            // Every value is the maximum of its window; the places still want the batch.
            let zero = emit.scalar("zero", 0.0);
            let [low, high] = [zero.clone(), zero];
            let zeros = emit.step("Clip", [values, low, high], "zeros", []);
            emit.operator("Add", [zeros, found], places, []);
        } else {
            emit.operator("Identity", [found], places, []);
        }
        Ok(())
    }
}
