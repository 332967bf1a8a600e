//! Averages over the area that a target pixel covers. Only where both axes shrink or keep their size.

use super::{Sample, Scaling};
use crate::image::raster::Raster;

/// Source pixels per target pixel on each axis.
pub(super) struct Steps {
    x: f64,
    y: f64,
}

impl Steps {
    pub(super) fn of(scaling: &Scaling) -> Self {
        Self { x: 1.0 / scaling.factor_x, y: 1.0 / scaling.factor_y }
    }

    /// Whether averaging applies at all.
    pub(super) fn shrink(&self) -> bool {
        self.x >= 1.0 && self.y >= 1.0
    }

    /// Exactly half the size on both axes, where linear interpolation and averaging are the same.
    pub(super) fn is_half(&self) -> bool {
        self.whole() == Some((2, 2))
    }

    /// Steps when both are whole numbers.
    fn whole(&self) -> Option<(usize, usize)> {
        let (x, y) = (self.x.round_ties_even(), self.y.round_ties_even());
        let whole = (self.x - x).abs() < f64::EPSILON && (self.y - y).abs() < f64::EPSILON;
        whole.then_some((x as usize, y as usize))
    }
}

/// See [`super::resize`].
pub(super) fn resize<T: Sample>(source: &Raster<T>, scaling: &Scaling, steps: &Steps) -> Raster<T> {
    match steps.whole() {
        Some(whole) => by_whole_steps(source, scaling, whole),
        None => by_shares(source, scaling, steps),
    }
}

/// Means of equal cells of whole pixels. Cells that reach over the edge are averaged over what there is of them.
fn by_whole_steps<T: Sample>(source: &Raster<T>, scaling: &Scaling, steps: (usize, usize)) -> Raster<T> {
    let channels = source.channels;
    let mut result = Raster::<T>::black(scaling.width, scaling.height, channels);
    let row_len = result.row_len();
    let mut sums = vec![0u32; row_len];
    for (y, out) in result.values.chunks_exact_mut(row_len).enumerate() {
        let rows = (y * steps.1).min(source.height)..((y + 1) * steps.1).min(source.height);
        sums.fill(0);
        for y in rows.clone() {
            for (cell, sums) in source.row(y).chunks(steps.0 * channels).zip(sums.chunks_exact_mut(channels)) {
                for pixel in cell.chunks_exact(channels) {
                    for (sum, value) in sums.iter_mut().zip(pixel) {
                        *sum += value.to_u32();
                    }
                }
            }
        }
        let pixels = out.chunks_exact_mut(channels).zip(sums.chunks_exact(channels));
        for (x, (pixel, sums)) in pixels.enumerate() {
            let columns = (x * steps.0).min(source.width)..((x + 1) * steps.0).min(source.width);
            let count = rows.len() * columns.len();
            for (value, sum) in pixel.iter_mut().zip(sums) {
                *value = mean(*sum, count, steps);
            }
        }
    }
    result
}

/// The mean of `count` values, with OpenCV's rounding for whole and for cut cells.
fn mean<T: Sample>(sum: u32, count: usize, steps: (usize, usize)) -> T {
    match count {
        0 => T::default(),
        4 if steps == (2, 2) => T::quarter(sum),
        _ if count == steps.0 * steps.1 => T::from_f32(sum as f32 * (1.0 / count as f32)),
        _ => T::from_f32(sum as f32 / count as f32),
    }
}

/// How much one source position gives to one target position.
struct Share {
    target: usize,
    source: usize,
    weight: f32,
}

/// The shares along one axis, by ascending target.
fn shares(source: usize, target: usize, step: f64) -> Vec<Share> {
    /// Slivers narrower than this are left out.
    const SLIVER: f64 = 1e-3;
    let mut shares = Vec::with_capacity(2 * source);
    for at in 0..target {
        let (start, end) = (at as f64 * step, at as f64 * step + step);
        let width = step.min(source as f64 - start);
        let last_whole = (end.floor() as usize).min(source - 1);
        let first_whole = (start.ceil() as usize).min(last_whole);
        let mut add = |source: usize, weight: f64| shares.push(Share { target: at, source, weight: weight as f32 });
        if first_whole as f64 - start > SLIVER {
            add(first_whole - 1, (first_whole as f64 - start) / width);
        }
        for whole in first_whole..last_whole {
            add(whole, 1.0 / width);
        }
        if end - last_whole as f64 > SLIVER {
            add(last_whole, (end - last_whole as f64).min(1.0).min(width) / width);
        }
    }
    shares
}

/// Weighted means of cells that cut through pixels.
fn by_shares<T: Sample>(source: &Raster<T>, scaling: &Scaling, steps: &Steps) -> Raster<T> {
    let channels = source.channels;
    let columns = shares(source.width, scaling.width, steps.x);
    let rows = shares(source.height, scaling.height, steps.y);
    let mut result = Raster::<T>::black(scaling.width, scaling.height, channels);
    let row_len = result.row_len();
    let (mut line, mut sum) = (vec![0.0f32; row_len], vec![0.0f32; row_len]);
    for cell in rows.chunk_by(|a, b| a.target == b.target) {
        for (nth, row) in cell.iter().enumerate() {
            average_row(source.row(row.source), channels, &columns, &mut line);
            for (sum, value) in sum.iter_mut().zip(&line) {
                *sum = if nth == 0 { row.weight * value } else { *sum + row.weight * value };
            }
        }
        let start = cell[0].target * row_len;
        for (out, sum) in result.values[start..start + row_len].iter_mut().zip(&sum) {
            *out = T::from_f32(*sum);
        }
    }
    result
}

/// One source row, averaged along itself.
fn average_row<T: Sample>(row: &[T], channels: usize, columns: &[Share], line: &mut [f32]) {
    match channels {
        1 => add_shares::<T, 1>(row, columns, line),
        3 => add_shares::<T, 3>(row, columns, line),
        _ => add_shares::<T, 4>(row, columns, line),
    }
}

fn add_shares<T: Sample, const C: usize>(row: &[T], columns: &[Share], line: &mut [f32]) {
    for cell in columns.chunk_by(|a, b| a.target == b.target) {
        let mut sum = [0.0; C];
        for share in cell {
            let from = &row[share.source * C..(share.source + 1) * C];
            for (sum, value) in sum.iter_mut().zip(from) {
                *sum += (*value).into() * share.weight;
            }
        }
        let start = cell[0].target * C;
        line[start..start + C].copy_from_slice(&sum);
    }
}
