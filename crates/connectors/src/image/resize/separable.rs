//! Two passes: along rows into a ring of intermediate rows, then down the columns.
//!
//! Intermediate values are single-precision floats. On 8 bits they are sums of products of whole numbers below 2²⁴,
//! hence exact, whatever the order of additions; on 16 bits they are added in OpenCV's order.

use super::axis::Taps;
use super::{Sample, Scaling};
use crate::image::raster::Raster;

/// OpenCV works on this many values of a row at once; what is left over at its end is summed in another way.
pub(super) const LANES: usize = 8;

/// Runs both passes. `columns` and `rows` are the taps of the result's columns and rows; `combine` turns `N`
/// intermediate rows into one row of the result.
pub(super) fn run<T: Sample, const N: usize>(
    source: &Raster<T>,
    scaling: &Scaling,
    columns: &[Taps<N>],
    rows: &[Taps<N>],
    combine: impl Fn([&[f32]; N], &[f32; N], &mut [T]),
) -> Raster<T> {
    let row_len = scaling.width * source.channels;
    let mut result = Raster::<T>::black(scaling.width, scaling.height, source.channels);
    let mut ring = Ring::new(source.width, source.channels, columns);
    let last = source.height as isize - 1;
    for (taps, out) in rows.iter().zip(result.values.chunks_exact_mut(row_len)) {
        let wanted: [usize; N] = std::array::from_fn(|k| (taps.first + k as isize).clamp(0, last) as usize);
        for y in wanted {
            ring.ensure(y, source);
        }
        combine(wanted.map(|y| ring.row(y)), &taps.weights, out);
    }
    result
}

/// The last `N` intermediate rows. Neighbouring result rows share most of theirs.
struct Ring<const N: usize> {
    /// Start in the padded row, and weights, of each column of the result.
    columns: Vec<(usize, [f32; N])>,
    channels: usize,
    /// One source row with its border values repeated `N` times on both sides.
    padded: Vec<f32>,
    /// Intermediate rows; source row `y` lives in slot `y % N`.
    slots: [Vec<f32>; N],
    /// Which source row each slot holds.
    held: [Option<usize>; N],
}

impl<const N: usize> Ring<N> {
    fn new(source_width: usize, channels: usize, taps: &[Taps<N>]) -> Self {
        let furthest = (source_width + N) as isize;
        let columns = taps
            .iter()
            .map(|tap| ((tap.first + N as isize).clamp(0, furthest) as usize * channels, tap.weights))
            .collect();
        Self {
            columns,
            channels,
            padded: vec![0.0; (source_width + 2 * N) * channels],
            slots: std::array::from_fn(|_| vec![0.0; taps.len() * channels]),
            held: [None; N],
        }
    }

    fn row(&self, y: usize) -> &[f32] {
        &self.slots[y % N]
    }

    fn ensure<T: Sample>(&mut self, y: usize, source: &Raster<T>) {
        let slot = y % N;
        if self.held[slot] == Some(y) {
            return;
        }
        self.held[slot] = Some(y);
        pad(source.row(y), self.channels, N, &mut self.padded);
        let out = &mut self.slots[slot];
        match self.channels {
            1 => convolve::<N, 1>(&self.padded, &self.columns, out),
            3 => convolve::<N, 3>(&self.padded, &self.columns, out),
            _ => convolve::<N, 4>(&self.padded, &self.columns, out),
        }
    }
}

/// Converts a row and repeats its first and last pixel `times` times.
fn pad<T: Sample>(row: &[T], channels: usize, times: usize, padded: &mut [f32]) {
    let margin = times * channels;
    let (left, rest) = padded.split_at_mut(margin);
    let (middle, right) = rest.split_at_mut(row.len());
    for (to, from) in middle.iter_mut().zip(row) {
        *to = (*from).into();
    }
    for pixel in left.chunks_exact_mut(channels) {
        pixel.copy_from_slice(&middle[..channels]);
    }
    for pixel in right.chunks_exact_mut(channels) {
        pixel.copy_from_slice(&middle[middle.len() - channels..]);
    }
}

/// One intermediate row: for each column, the weighted sum of `N` neighbouring pixels, channel by channel.
fn convolve<const N: usize, const C: usize>(padded: &[f32], columns: &[(usize, [f32; N])], out: &mut [f32]) {
    for ((start, weights), pixel) in columns.iter().zip(out.chunks_exact_mut(C)) {
        let window = &padded[*start..*start + N * C];
        let mut sum = [0.0; C];
        for (tap, weight) in window.chunks_exact(C).zip(weights) {
            for (sum, value) in sum.iter_mut().zip(tap) {
                *sum += value * weight;
            }
        }
        pixel.copy_from_slice(&sum);
    }
}
