//! The EXIF orientation of JPEG files, and turning pixels by it.

use image::metadata::Orientation;

use crate::image::raster::Raster;

/// Finds the orientation that a JPEG declares, by walking its segments up to the first scan (ITU-T T.81, B.1.1).
pub(super) fn of_jpeg(bytes: &[u8]) -> Orientation {
    exif_chunk(bytes).and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms)
}

fn exif_chunk(bytes: &[u8]) -> Option<&[u8]> {
    const APP1: u8 = 0xe1;
    const START_OF_SCAN: u8 = 0xda;
    let mut rest = bytes.get(2..)?;
    loop {
        let start = rest.iter().position(|byte| *byte != 0xff)?;
        let marker = rest[start];
        if start == 0 || marker == START_OF_SCAN {
            return None;
        }
        rest = &rest[start + 1..];
        let length = usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
        let segment = rest.get(2..length)?;
        if let Some(chunk) = (marker == APP1).then(|| segment.strip_prefix(b"Exif\0\0")).flatten() {
            return Some(chunk);
        }
        rest = &rest[length..];
    }
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
