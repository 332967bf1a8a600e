//! How an image is to be turned, and turning its pixels.

use image::metadata::Orientation;

use super::{exif, segments};
use crate::image::raster::Raster;

/// The orientation that a JPEG declares.
pub(super) fn of_jpeg(bytes: &[u8]) -> Orientation {
    exif::orientation(segments::exif(bytes))
}

/// Turns and mirrors.
pub(super) fn apply<T: Copy + Default>(raster: Raster<T>, orientation: Orientation) -> Raster<T> {
    let (width, height) = (raster.width, raster.height);
    let (right, bottom) = (width.saturating_sub(1), height.saturating_sub(1));
    match orientation {
        Orientation::NoTransforms => raster,
        Orientation::FlipHorizontal => gather(&raster, width, height, |x, y| (right - x, y)),
        Orientation::FlipVertical => gather(&raster, width, height, |x, y| (x, bottom - y)),
        Orientation::Rotate180 => gather(&raster, width, height, |x, y| (right - x, bottom - y)),
        Orientation::Rotate90 => gather(&raster, height, width, |x, y| (y, bottom - x)),
        Orientation::Rotate270 => gather(&raster, height, width, |x, y| (right - y, x)),
        Orientation::Rotate90FlipH => gather(&raster, height, width, |x, y| (y, x)),
        Orientation::Rotate270FlipH => gather(&raster, height, width, |x, y| (right - y, bottom - x)),
    }
}

/// A raster of the given size; `from` gives the source column and row of each of its pixels.
fn gather<T: Copy + Default>(
    source: &Raster<T>,
    width: usize,
    height: usize,
    from: impl Fn(usize, usize) -> (usize, usize),
) -> Raster<T> {
    let channels = source.channels;
    let mut values = Vec::with_capacity(source.values.len());
    for y in 0..height {
        for x in 0..width {
            let (column, row) = from(x, y);
            let start = (row * source.width + column) * channels;
            values.extend_from_slice(&source.values[start..start + channels]);
        }
    }
    Raster::new(width, height, channels, values)
}
