//! Bilinear, and `area` where it enlarges.

use super::axis::{FIXED_ONE, Positions, clamp_linear, taps};
use super::vectors::Vectors;
use super::{Sample, Scaling, separable, whole_number};
use crate::image::raster::Raster;

/// See [`super::resize`].
pub(super) fn resize<T: Sample>(
    source: &Raster<T>,
    scaling: &Scaling,
    positions: Positions,
    vectors: Vectors,
) -> Raster<T> {
    let weights = |x: f32| [1.0 - x, x];
    let mut columns = taps(scaling.width, scaling.factor_x, positions, T::FIXED_POINT, weights);
    clamp_linear(&mut columns, source.width, if T::FIXED_POINT { FIXED_ONE } else { 1.0 });
    let rows = taps(scaling.height, scaling.factor_y, positions, T::FIXED_POINT, weights);
    separable::run(source, scaling, (&columns, &rows), T::linear, vectors)
}

/// The vertical pass.
pub(in crate::image) trait Linear: Sized {
    /// Combines two intermediate rows into one row of the result.
    fn linear(rows: [&[f32]; 2], weights: &[f32; 2], out: &mut [Self]);
}

impl Linear for u8 {
    /// In 16-bit steps, each of which drops bits.
    #[inline(always)]
    fn linear(rows: [&[f32]; 2], weights: &[f32; 2], out: &mut [Self]) {
        let [above, below] = rows;
        let [first, second] = weights.map(whole_number);
        for ((out, above), below) in out.iter_mut().zip(above).zip(below) {
            let above = (first * (whole_number(*above) >> 4)) >> 16;
            let below = (second * (whole_number(*below) >> 4)) >> 16;
            *out = ((above + below + 2) >> 2) as Self;
        }
    }
}

impl Linear for u16 {
    fn linear(rows: [&[f32]; 2], weights: &[f32; 2], out: &mut [Self]) {
        let [above, below] = rows;
        for ((out, above), below) in out.iter_mut().zip(above).zip(below) {
            *out = Self::from_f32(above * weights[0] + below * weights[1]);
        }
    }
}
