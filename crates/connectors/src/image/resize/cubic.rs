//! Bicubic, a = -0.75, over 4 × 4 pixels.

use super::axis::{FIXED_ONE, Positions, taps};
use super::separable::{self, LANES};
use super::vectors::Vectors;
use super::{Sample, Scaling, whole_number};
use crate::image::raster::Raster;

/// See [`super::resize`].
pub(super) fn resize<T: Sample>(source: &Raster<T>, scaling: &Scaling, vectors: Vectors) -> Raster<T> {
    let columns = taps(scaling.width, scaling.factor_x, Positions::Centres, T::FIXED_POINT, weights);
    let rows = taps(scaling.height, scaling.factor_y, Positions::Centres, T::FIXED_POINT, weights);
    separable::run(source, scaling, (&columns, &rows), T::cubic, vectors)
}

/// Keys' cubic convolution kernel with a = -0.75 at distances 1 + x, x, 1 - x, 2 - x.
fn weights(x: f32) -> [f32; 4] {
    const A: f32 = -0.75;
    let first = ((A * (x + 1.0) - 5.0 * A) * (x + 1.0) + 8.0 * A) * (x + 1.0) - 4.0 * A;
    let second = ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let third = ((A + 2.0) * (1.0 - x) - (A + 3.0)) * (1.0 - x) * (1.0 - x) + 1.0;
    [first, second, third, 1.0 - first - second - third]
}

/// The vertical pass.
pub(in crate::image) trait Cubic: Sized {
    /// Combines four intermediate rows into one row of the result.
    fn cubic(rows: [&[f32]; 4], weights: &[f32; 4], out: &mut [Self]);
}

impl Cubic for u8 {
    /// In single precision; the rest of a row in whole numbers.
    #[inline(always)]
    fn cubic(rows: [&[f32]; 4], weights: &[f32; 4], out: &mut [Self]) {
        let whole = out.len() - out.len() % LANES;
        let scaled = weights.map(|weight| weight / (FIXED_ONE * FIXED_ONE));
        let (head, tail) = out.split_at_mut(whole);
        let [a, b, c, d] = rows.map(|row| &row[..whole]);
        for (at, out) in head.iter_mut().enumerate() {
            // The sum as OpenCV nests it: from the last row to the first.
            let below = b[at] * scaled[1] + (c[at] * scaled[2] + d[at] * scaled[3]);
            *out = Self::from_f32(a[at] * scaled[0] + below);
        }
        for (at, out) in tail.iter_mut().enumerate() {
            let sum: i32 = rows
                .iter()
                .zip(weights)
                .map(|(row, weight)| whole_number(row[whole + at]) * whole_number(*weight))
                .sum();
            *out = ((sum + (1 << 21)) >> 22).clamp(0, 255) as Self;
        }
    }
}

impl Cubic for u16 {
    /// From the last row to the first, and at the end of a row the other way round.
    fn cubic(rows: [&[f32]; 4], weights: &[f32; 4], out: &mut [Self]) {
        let whole = out.len() - out.len() % LANES;
        for (at, out) in out.iter_mut().enumerate() {
            let products = rows.iter().zip(weights).map(|(row, weight)| row[at] * weight);
            let add = |sum: f32, product: f32| sum + product;
            *out = Self::from_f32(if at < whole { products.rev().fold(0.0, add) } else { products.fold(0.0, add) });
        }
    }
}
