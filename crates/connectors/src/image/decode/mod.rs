//! From the bytes of an image file to pixels.
//!
//! It owns the choice of decoder, the bound on what an image may declare, and the orientation. It must not know sizes
//! asked for, nor where bytes come from.

mod bmp;
mod exif;
#[cfg(not(feature = "turbojpeg"))]
mod jpeg;
#[cfg(feature = "turbojpeg")]
#[path = "jpeg_turbo.rs"]
mod jpeg;
mod orientation;
mod others;
mod png;
mod room;
mod segments;
mod stray;
#[cfg(test)]
mod tests;
mod tiff;

use std::panic::AssertUnwindSafe;

use image::metadata::Orientation;

use super::colour::Order;
use super::raster::Raster;
pub(super) use room::{Room, Undecoded};
use segments::Frame;

/// Which pixels are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Three channels of 8 bits.
    Colour,
    /// One channel of 8 bits.
    Grey,
    /// Channels and depth as in the file; its orientation is not applied.
    Unchanged,
}

/// Pixels of either depth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pixels {
    U8(Raster<u8>),
    U16(Raster<u16>),
}

/// A decoded image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decoded {
    pub(super) pixels: Pixels,
    pub(super) order: Order,
}

/// Decodes. `buffer` becomes the memory of the pixels where that is possible; its content does not matter.
///
/// # Errors
/// Why these bytes are no image, in words.
pub(super) fn decode(bytes: &[u8], mode: Mode, room: &mut Room<'_>, buffer: Vec<u8>) -> Result<Decoded, Undecoded> {
    // Bytes of strangers meet decoders of others: should one give up, this image is refused and nothing else happens.
    // Everything that the closure changes is its own.
    std::panic::catch_unwind(AssertUnwindSafe(|| decode_upright(bytes, mode, room, buffer)))
        .unwrap_or_else(|_| Err("the decoder gave up on it".into()))
}

fn decode_upright(bytes: &[u8], mode: Mode, room: &mut Room<'_>, buffer: Vec<u8>) -> Result<Decoded, Undecoded> {
    // What is kept as it is in the file is not turned, but for TIFF: there OpenCV always does.
    let (decoded, orientation) = if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        let bytes = &*stray::left_out(bytes, room)?;
        let orientation = if mode == Mode::Unchanged { Orientation::NoTransforms } else { orientation::of_jpeg(bytes) };
        (jpeg::decode(bytes, mode, room, buffer)?, orientation)
    } else if tiff::is_one(bytes) {
        tiff::decode(bytes, mode, room)?
    } else {
        others::decode(bytes, mode, room)?
    };
    let pixels = match decoded.pixels {
        Pixels::U8(raster) => Pixels::U8(orientation::apply(raster, orientation)),
        Pixels::U16(raster) => Pixels::U16(orientation::apply(raster, orientation)),
    };
    Ok(Decoded { pixels, order: decoded.order })
}

/// What a JPEG takes for each of its pixels: three bytes, as many for a copy that stands upright, and twice as many for the
/// coefficients of one that comes in several scans.
fn jpeg_pixel_bytes(bytes: &[u8]) -> u64 {
    let turned = orientation::of_jpeg(bytes) != Orientation::NoTransforms;
    let holds_coefficients = Frame::of(bytes).is_some_and(|frame| frame.comes_in_several_scans());
    let copies = 1 + u64::from(turned) + 2 * u64::from(holds_coefficients);
    3 * copies
}

/// `buffer` with exactly `length` values, which the caller overwrites.
fn sized(mut buffer: Vec<u8>, length: usize) -> Vec<u8> {
    buffer.resize(length, 0);
    buffer
}
