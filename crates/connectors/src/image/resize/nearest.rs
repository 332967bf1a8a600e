//! Nearest neighbour, by OpenCV's rule: the source position is rounded down.

use super::{Sample, Scaling};
use crate::image::raster::Raster;

/// Source position of each target position.
fn sources(target: usize, source: usize, factor: f64) -> impl Iterator<Item = usize> {
    let step = 1.0 / factor;
    (0..target).map(move |at| ((at as f64 * step).floor() as usize).min(source - 1))
}

/// See [`super::resize`].
pub(super) fn resize<T: Sample>(source: &Raster<T>, scaling: &Scaling) -> Raster<T> {
    match source.channels {
        1 => pick::<T, 1>(source, scaling),
        3 => pick::<T, 3>(source, scaling),
        _ => pick::<T, 4>(source, scaling),
    }
}

fn pick<T: Sample, const C: usize>(source: &Raster<T>, scaling: &Scaling) -> Raster<T> {
    let columns: Vec<usize> = sources(scaling.width, source.width, scaling.factor_x).collect();
    let mut values = Vec::with_capacity(scaling.width * scaling.height * C);
    for y in sources(scaling.height, source.height, scaling.factor_y) {
        let (pixels, _) = source.row(y).as_chunks::<C>();
        values.extend(columns.iter().flat_map(|column| pixels[*column]));
    }
    Raster::new(scaling.width, scaling.height, C, values)
}
