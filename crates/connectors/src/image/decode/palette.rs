//! TIFF files whose pixels are numbers of colours in a table (TIFF 6.0, section 5).
//!
//! The decoder reads such numbers as levels of grey, once the file says that they are: one byte of a copy is changed. This owns where
//! that byte is and what colours the numbers stand for. It must not know how strips are compressed.

use std::io::Cursor;

use image::metadata::Orientation;
use tiff::ColorType;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;

use super::others::{CONVERTED_BYTES, WORKING_BYTES};
use super::{Room, Undecoded};
use crate::image::raster::Raster;

/// `PhotometricInterpretation` of palettes, and of grey that grows with the number.
const PALETTE: u64 = 3;
const BLACK_IS_ZERO: u8 = 1;
/// `FillOrder` whose bytes begin with the highest bit: the decoder knows no other.
const HIGHEST_FIRST: u16 = 1;
/// A number, and its colour.
const PIXEL_BYTES: u64 = 4;

/// An image with a palette.
pub(super) struct Painted {
    /// Three channels, red first.
    pub(super) raster: Raster<u8>,
    /// How it is to be turned.
    pub(super) orientation: Orientation,
    /// It has two colours.
    pub(super) is_bilevel: bool,
}

/// Decodes; nothing for a TIFF that has no palette.
///
/// # Errors
/// Why it cannot be read, in words; that there is no memory for it.
pub(super) fn decode(bytes: &[u8], room: &mut Room<'_>) -> Result<Option<Painted>, Undecoded> {
    let Some(place) = place_of_palette(bytes) else { return Ok(None) };
    let words = |error: tiff::TiffError| format!("Tiff with a palette: {error}");
    room.take_copy(bytes.len())?;
    let mut copy = bytes.to_vec();
    copy[place] = BLACK_IS_ZERO;
    let mut limits = Limits::default();
    let most = usize::try_from(room.most_pixels()).unwrap_or(usize::MAX);
    limits.decoding_buffer_size = most.saturating_add(WORKING_BYTES as usize);
    limits.intermediate_buffer_size = limits.decoding_buffer_size;
    limits.ifd_value_size = WORKING_BYTES as usize;
    let mut decoder = Decoder::new(Cursor::new(copy)).map_err(words)?.with_limits(limits);
    let (width, height) = decoder.dimensions().map_err(words)?;
    let (width, height) = (width as usize, height as usize);
    let kind = decoder.colortype().map_err(words)?;
    let ColorType::Gray(bits @ (1 | 2 | 4 | 8)) = kind else {
        return Err(format!("Tiff with a palette: expected 1, 2, 4 or 8 bits per pixel, found {kind:?}").into());
    };
    let bits = usize::from(bits);
    let fill = decoder.find_tag_unsigned::<u16>(Tag::FillOrder).map_err(words)?.unwrap_or(HIGHEST_FIRST);
    if fill != HIGHEST_FIRST {
        return Err(format!("Tiff with a palette: expected a FillOrder of {HIGHEST_FIRST}, found {fill}").into());
    }
    let colours = colours(&decoder.get_tag_u16_vec(Tag::ColorMap).map_err(words)?, bits)?;
    room.take(width, height, PIXEL_BYTES + CONVERTED_BYTES)?;
    let orientation = decoder.find_tag_unsigned::<u8>(Tag::Orientation).ok().flatten();
    let orientation = orientation.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms);
    let DecodingResult::U8(numbers) = decoder.read_image().map_err(words)? else {
        return Err("Tiff with a palette: expected numbers without a sign".into());
    };
    let row_bytes = (width * bits).div_ceil(8);
    if numbers.len() != row_bytes * height {
        return Err(format!(
            "Tiff with a palette: expected {} bytes of pixels, found {}",
            row_bytes * height,
            numbers.len()
        )
        .into());
    }
    let mut values = Vec::with_capacity(width * height * 3);
    for row in numbers.chunks_exact(row_bytes) {
        for at in 0..width {
            let shift = 8 - bits - at * bits % 8;
            let number = usize::from(row[at * bits / 8] >> shift) & ((1 << bits) - 1);
            values.extend_from_slice(&colours[number]);
        }
    }
    Ok(Some(Painted { raster: Raster::new(width, height, 3, values), orientation, is_bilevel: bits == 1 }))
}

/// Colours by number. The table holds all reds, then all greens, then all blues, of 16 bits each; where none of them needs more than
/// 8 bits, libtiff takes it for a table of 8 bits.
fn colours(table: &[u16], bits: usize) -> Result<Vec<[u8; 3]>, String> {
    let count = 1 << bits;
    if table.len() != 3 * count {
        return Err(format!("Tiff with a palette: expected a table of {} values, found {}", 3 * count, table.len()));
    }
    let shift = if table.iter().any(|value| *value > 255) { 8 } else { 0 };
    let level = |at: usize| (table[at] >> shift) as u8;
    Ok((0..count).map(|number| [level(number), level(count + number), level(2 * count + number)]).collect())
}

/// The lowest byte of `PhotometricInterpretation` in the first directory, where it says that there is a palette.
fn place_of_palette(bytes: &[u8]) -> Option<usize> {
    const PHOTOMETRIC: u64 = 262;
    const LARGE_FILE: u64 = 43;
    let is_little = bytes.starts_with(b"II");
    let number = |at: usize, length: usize| -> Option<u64> {
        let bytes = bytes.get(at..at.checked_add(length)?)?;
        let append = |number: u64, byte: &u8| (number << 8) | u64::from(*byte);
        Some(if is_little { bytes.iter().rev().fold(0, append) } else { bytes.iter().fold(0, append) })
    };
    let place = |number: u64| usize::try_from(number).ok();
    // Lengths of an offset, of the number of entries, and of an entry.
    let (offset, count, entry) = if number(2, 2)? == LARGE_FILE { (8, 8, 20) } else { (4, 2, 12) };
    let directory = place(number(offset, offset)?)?;
    let entries = number(directory, count)?;
    let mut at = directory.checked_add(count)?;
    for _ in 0..entries {
        if number(at, 2)? == PHOTOMETRIC {
            let length = match number(at + 2, 2)? {
                1 => 1,
                3 => 2,
                4 => 4,
                _ => return None,
            };
            let value = at + entry - offset;
            let lowest = if is_little { value } else { value + length - 1 };
            return (number(value, length)? == PALETTE).then_some(lowest);
        }
        at = at.checked_add(entry)?;
    }
    None
}
