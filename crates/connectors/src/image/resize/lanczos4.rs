//! Lanczos over 8 × 8 pixels.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use super::axis::{Positions, taps};
use super::vectors::Vectors;
use super::{Sample, Scaling, separable, whole_number};
use crate::image::raster::Raster;

/// See [`super::resize`].
pub(super) fn resize<T: Sample>(source: &Raster<T>, scaling: &Scaling, vectors: Vectors) -> Raster<T> {
    let columns = taps(scaling.width, scaling.factor_x, Positions::Centres, T::FIXED_POINT, weights);
    let rows = taps(scaling.height, scaling.factor_y, Positions::Centres, T::FIXED_POINT, weights);
    separable::run(source, scaling, (&columns, &rows), T::lanczos4, vectors)
}

/// `sin(πd) · sin(πd/4) / d²` at the eight distances d from the position, up to a common factor, made to sum to 1.
/// All eight follow from one sine and one cosine, since the distances are an eighth of a turn apart.
fn weights(x: f32) -> [f32; 8] {
    const H: f64 = FRAC_1_SQRT_2;
    const TURNS: [[f64; 2]; 8] = [[1.0, 0.0], [-H, -H], [0.0, 1.0], [H, -H], [-1.0, 0.0], [H, H], [0.0, -1.0], [-H, H]];
    let start = -(f64::from(x) + 3.0) * PI * 0.25;
    let (sine, cosine) = (start.sin(), start.cos());
    let mut weights = [0.0f32; 8];
    for (at, weight) in weights.iter_mut().enumerate() {
        let distance = x + 3.0 - at as f32;
        *weight = if distance.abs() >= 1e-6 {
            let angle = -f64::from(distance) * PI * 0.25;
            ((TURNS[at][0] * sine + TURNS[at][1] * cosine) / (angle * angle)) as f32
        } else {
            // On a pixel: this one takes everything once they are made to sum to 1.
            1e30
        };
    }
    let scale = 1.0 / weights.iter().sum::<f32>();
    weights.map(|weight| weight * scale)
}

/// The vertical pass.
pub(in crate::image) trait Lanczos4: Sized {
    /// Combines eight intermediate rows into one row of the result.
    fn lanczos4(rows: [&[f32]; 8], weights: &[f32; 8], out: &mut [Self]);
}

impl Lanczos4 for u8 {
    #[inline(always)]
    fn lanczos4(rows: [&[f32]; 8], weights: &[f32; 8], out: &mut [Self]) {
        let weights = weights.map(whole_number);
        let rows = rows.map(|row| &row[..out.len()]);
        for (at, out) in out.iter_mut().enumerate() {
            let mut sum = 1i32 << 21;
            for (row, weight) in rows.iter().zip(weights) {
                sum = sum.wrapping_add(whole_number(row[at]).wrapping_mul(weight));
            }
            *out = (sum >> 22).clamp(0, 255) as Self;
        }
    }
}

impl Lanczos4 for u16 {
    /// May differ from OpenCV by one level: the order of its additions depends on the processor.
    fn lanczos4(rows: [&[f32]; 8], weights: &[f32; 8], out: &mut [Self]) {
        for (at, out) in out.iter_mut().enumerate() {
            let products = rows.iter().zip(weights).map(|(row, weight)| row[at] * weight);
            *out = Self::from_f32(products.fold(0.0, |sum, product| sum + product));
        }
    }
}
