//! What the segments of JPEG files say before the pixels: orientation (EXIF) and whether they come in several scans; turning pixels.

use image::metadata::Orientation;

use crate::image::raster::Raster;

/// Finds the orientation that a JPEG declares, by walking its segments up to the first scan (ITU-T T.81, B.1.1).
pub(super) fn of_jpeg(bytes: &[u8]) -> Orientation {
    exif_chunk(bytes).and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms)
}

/// Whether it comes in several scans, whose coefficients are all held until the last of them (ITU-T T.81, table B.1).
pub(super) fn is_progressive(bytes: &[u8]) -> bool {
    const PROGRESSIVE: [u8; 4] = [0xc2, 0xc6, 0xca, 0xce];
    Segments(bytes.get(2..).unwrap_or_default()).any(|(marker, _)| PROGRESSIVE.contains(&marker))
}

fn exif_chunk(bytes: &[u8]) -> Option<&[u8]> {
    const APP1: u8 = 0xe1;
    let mut segments = Segments(bytes.get(2..)?);
    segments.find_map(|(marker, segment)| (marker == APP1).then(|| segment.strip_prefix(b"Exif\0\0")).flatten())
}

/// Marker and content of the segments up to the first scan.
struct Segments<'a>(&'a [u8]);

impl<'a> Iterator for Segments<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        const START_OF_SCAN: u8 = 0xda;
        let start = self.0.iter().position(|byte| *byte != 0xff)?;
        let marker = self.0[start];
        if start == 0 || marker == START_OF_SCAN {
            return None;
        }
        let rest = &self.0[start + 1..];
        let length = usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
        let segment = rest.get(2..length)?;
        self.0 = &rest[length..];
        Some((marker, segment))
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
