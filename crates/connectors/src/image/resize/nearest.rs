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
    let channels = source.channels;
    let columns: Vec<usize> =
        sources(scaling.width, source.width, scaling.factor_x).map(|column| column * channels).collect();
    let mut values = Vec::with_capacity(scaling.width * scaling.height * channels);
    for y in sources(scaling.height, source.height, scaling.factor_y) {
        let row = source.row(y);
        for &start in &columns {
            values.extend_from_slice(&row[start..start + channels]);
        }
    }
    Raster::new(scaling.width, scaling.height, channels, values)
}
