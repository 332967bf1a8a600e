//! Two passes: along rows into a ring of intermediate rows, then down the columns.
//!
//! Intermediate values are single-precision floats. On 8 bits they are sums of products of whole numbers below 2²⁴,
//! hence exact, whatever the order of additions; on 16 bits they are added in OpenCV's order.

use super::axis::Taps;
use super::combine::Combine;
use super::vectors::{Plan, Vectors};
use super::{Sample, Scaling};
use crate::image::raster::Raster;

/// OpenCV works on this many values of a row at once; what is left over at its end is summed in another way.
pub(super) const LANES: usize = 8;

/// Runs both passes. `columns` and `rows` are the taps of the result's columns and rows.
pub(super) fn run<T: Sample, const N: usize>(
    source: &Raster<T>,
    scaling: &Scaling,
    (columns, rows): (&[Taps<N>], &[Taps<N>]),
    combine: impl Combine<T, N>,
    vectors: Vectors,
) -> Raster<T> {
    let row_len = scaling.width * source.channels;
    let mut result = Raster::<T>::black(scaling.width, scaling.height, source.channels);
    let mut ring = Ring::new(source, columns, vectors);
    let last = source.height as isize - 1;
    for (taps, out) in rows.iter().zip(result.values.chunks_exact_mut(row_len)) {
        let wanted: [usize; N] = std::array::from_fn(|k| (taps.first + k as isize).clamp(0, last) as usize);
        for y in wanted {
            ring.ensure(y, source.row(y));
        }
        ring.vectors.combine(combine, wanted.map(|y| ring.row(y)), &taps.weights, out);
    }
    result
}

/// The last `N` intermediate rows. Neighbouring result rows share most of theirs.
struct Ring<T, const N: usize> {
    vectors: Vectors,
    /// Start in the padded row, and weights, of each column of the result.
    columns: Vec<(usize, [f32; N])>,
    /// The same, as vector code wants it.
    plan: Option<Plan>,
    channels: usize,
    /// One source row with its border values repeated `N` times on both sides.
    padded: Vec<T>,
    /// Intermediate rows; source row `y` lives in slot `y % N`.
    slots: [Vec<f32>; N],
    /// Which source row each slot holds.
    held: [Option<usize>; N],
}

impl<T: Sample, const N: usize> Ring<T, N> {
    fn new(source: &Raster<T>, taps: &[Taps<N>], vectors: Vectors) -> Self {
        let (width, channels) = (source.width, source.channels);
        let furthest = (width + N) as isize;
        let start = |first: isize| (first + N as isize).clamp(0, furthest) as usize * channels;
        let columns: Vec<_> = taps.iter().map(|tap| (start(tap.first), tap.weights)).collect();
        Self {
            plan: if T::FIXED_POINT { vectors.plan(&columns, channels) } else { None },
            vectors,
            channels,
            padded: vec![T::default(); (width + 2 * N) * channels + Vectors::READ],
            slots: std::array::from_fn(|_| vec![0.0; taps.len() * channels + Vectors::WRITTEN]),
            held: [None; N],
            columns,
        }
    }

    /// Intermediate row of source row `y`.
    fn row(&self, y: usize) -> &[f32] {
        &self.slots[y % N][..self.columns.len() * self.channels]
    }

    fn ensure(&mut self, y: usize, row: &[T]) {
        let slot = y % N;
        if self.held[slot] == Some(y) {
            return;
        }
        self.held[slot] = Some(y);
        pad(row, self.channels, N * self.channels, &mut self.padded);
        let out = &mut self.slots[slot];
        if let Some((plan, bytes)) = self.plan.as_ref().zip(T::bytes(&self.padded)) {
            return self.vectors.convolve::<N>(self.channels, bytes, plan, out);
        }
        match self.channels {
            1 => convolve::<T, N, 1>(&self.padded, &self.columns, out),
            3 => convolve::<T, N, 3>(&self.padded, &self.columns, out),
            _ => convolve::<T, N, 4>(&self.padded, &self.columns, out),
        }
    }
}

/// Copies a row behind a margin, and repeats its first and last pixel over the margins.
fn pad<T: Copy>(row: &[T], channels: usize, margin: usize, padded: &mut [T]) {
    let (left, rest) = padded.split_at_mut(margin);
    let (middle, right) = rest.split_at_mut(row.len());
    middle.copy_from_slice(row);
    for pixel in left.chunks_exact_mut(channels) {
        pixel.copy_from_slice(&row[..channels]);
    }
    for pixel in right[..margin].chunks_exact_mut(channels) {
        pixel.copy_from_slice(&row[row.len() - channels..]);
    }
}

/// One intermediate row: for each column, the weighted sum of `N` neighbouring pixels, channel by channel.
fn convolve<T: Sample, const N: usize, const C: usize>(padded: &[T], columns: &[(usize, [f32; N])], out: &mut [f32]) {
    for ((start, weights), pixel) in columns.iter().zip(out.chunks_exact_mut(C)) {
        let window = &padded[*start..*start + N * C];
        let mut sum = [0.0; C];
        for (tap, weight) in window.chunks_exact(C).zip(weights) {
            for (sum, value) in sum.iter_mut().zip(tap) {
                *sum += (*value).into() * weight;
            }
        }
        pixel.copy_from_slice(&sum);
    }
}
