//! The samples of a TIFF file's pixels, as they are stored.
//!
//! The decoder neither reads palettes nor bytes that begin with their lowest bit; it reads both of a copy in which palettes are levels of
//! grey, bytes begin with their highest bit, and tiles of LZW stand below each other. This owns that copy. It must not know colours.

use std::borrow::Cow;
use std::io::Cursor;

use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;

use super::directory::Directory;
use super::layout::{Layout, Meaning};
use crate::image::decode::{Pixels, Room, Undecoded};
use crate::image::raster::Raster;

/// `PhotometricInterpretation` of grey that grows with the number.
const BLACK_IS_ZERO: u32 = 1;

/// Reads them: samples of less than 8 bits as numbers, one to a value.
///
/// # Errors
/// Why they cannot be read, in words; that there is no memory for a copy.
pub(super) fn read(
    bytes: &[u8],
    directory: &Directory<'_>,
    layout: &Layout,
    room: &mut Room<'_>,
) -> Result<Pixels, Undecoded> {
    let words = |error: tiff::TiffError| format!("TIFF: {error}");
    let (width, height) = layout.stack().unwrap_or((layout.width, layout.height));
    take_stack(layout, room)?;
    let bytes = prepared(bytes, directory, layout, room)?;
    let mut limits = Limits::default();
    // What it takes is counted before, by the layout; what is compressed it reads in small pieces.
    limits.decoding_buffer_size = usize::MAX;
    limits.intermediate_buffer_size = usize::MAX;
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(words)?.with_limits(limits);
    let channels = usize::from(decoder.colortype().map_err(words)?.num_samples());
    let mut stored = DecodingResult::U8(Vec::new());
    let planes = decoder.read_image_to_buffer(&mut stored).map_err(words)?.planes;
    let expected = width * height * channels;
    let raster = match stored {
        DecodingResult::U8(packed) if layout.bits < 8 => {
            let values = unpacked(&packed, (width, height), layout.bits);
            Pixels::U8(Raster::new(width, height, 1, values.ok_or("TIFF: expected more bytes of pixels")?))
        }
        DecodingResult::U8(values) if values.len() == expected => {
            Pixels::U8(Raster::new(width, height, channels, interleaved(values, planes)))
        }
        DecodingResult::U16(values) if values.len() == expected => {
            Pixels::U16(Raster::new(width, height, channels, interleaved(values, planes)))
        }
        DecodingResult::U8(_)
        | DecodingResult::U16(_)
        | DecodingResult::U32(_)
        | DecodingResult::U64(_)
        | DecodingResult::F16(_)
        | DecodingResult::F32(_)
        | DecodingResult::F64(_)
        | DecodingResult::I8(_)
        | DecodingResult::I16(_)
        | DecodingResult::I32(_)
        | DecodingResult::I64(_) => {
            return Err(format!("TIFF: expected {expected} samples of 8 or 16 bits, found others").into());
        }
    };
    Ok(match raster {
        Pixels::U8(raster) => Pixels::U8(unstacked(raster, layout)),
        Pixels::U16(raster) => Pixels::U16(unstacked(raster, layout)),
    })
}

/// Takes the memory for tiles below each other, beside the image that they become.
fn take_stack(layout: &Layout, room: &mut Room<'_>) -> Result<(), Undecoded> {
    let Some((width, height)) = layout.stack() else { return Ok(()) };
    let (pixels, most) = ((width as u64).saturating_mul(height as u64), room.most_pixels());
    if pixels > most {
        return Err(format!("TIFF: its tiles have {pixels} pixels, expected up to {most} in all").into());
    }
    room.take_copy(usize::try_from(pixels.saturating_mul(layout.pixel_bytes())).unwrap_or(usize::MAX))
}

/// Puts tiles that stand below each other where they belong; what lies beyond the image is padding.
fn unstacked<T: Copy + Default>(stack: Raster<T>, layout: &Layout) -> Raster<T> {
    if layout.stack().is_none() {
        return stack;
    }
    let (chunks, channels) = (layout.chunks, stack.channels);
    let mut values = vec![T::default(); layout.width * layout.height * channels];
    for index in 0..chunks.count {
        let (left, top) = (index % chunks.across * chunks.width, index / chunks.across * chunks.height);
        let length = chunks.width.min(layout.width - left) * channels;
        for y in 0..chunks.height.min(layout.height - top) {
            let start = ((top + y) * layout.width + left) * channels;
            values[start..start + length].copy_from_slice(&stack.row(index * chunks.height + y)[..length]);
        }
    }
    Raster::new(layout.width, layout.height, channels, values)
}

/// The file as the decoder reads it.
fn prepared<'a>(
    bytes: &'a [u8],
    directory: &Directory<'_>,
    layout: &Layout,
    room: &mut Room<'_>,
) -> Result<Cow<'a, [u8]>, Undecoded> {
    let stack = layout.stack();
    if layout.meaning != Meaning::Palette && !layout.is_reversed && stack.is_none() {
        return Ok(Cow::Borrowed(bytes));
    }
    room.take_copy(bytes.len())?;
    let mut copy = bytes.to_vec();
    if layout.is_reversed {
        reverse(&mut copy, directory, layout)?;
        // A strip that reaches into the directory would change what was checked.
        let changed = Directory::read(&copy).and_then(|directory| Layout::of(&directory));
        if changed.as_ref() != Ok(layout) {
            return Err("TIFF: its pixels and its directory overlap".into());
        }
    }
    let mut changes = Vec::new();
    if layout.meaning == Meaning::Palette {
        changes.push((Tag::PhotometricInterpretation, BLACK_IS_ZERO));
    }
    if let Some((width, height)) = stack {
        let side =
            |length: usize| u32::try_from(length).map_err(|_| format!("TIFF: its tiles have {length} rows in all"));
        changes.extend([(Tag::ImageWidth, side(width)?), (Tag::ImageLength, side(height)?)]);
    }
    for (tag, value) in changes {
        if !directory.write(&mut copy, tag, value) {
            return Err(format!("TIFF: expected one value of {tag:?}").into());
        }
    }
    Ok(Cow::Owned(copy))
}

/// Reverses the bits of each byte of the strips or tiles.
fn reverse(copy: &mut [u8], directory: &Directory<'_>, layout: &Layout) -> Result<(), Undecoded> {
    let mut left = copy.len();
    for index in 0..layout.chunks.count {
        let (start, length) = layout.chunks.place(directory, index).ok_or("TIFF: a strip or tile has no place")?;
        let chunk = start.checked_add(length).and_then(|end| copy.get_mut(start..end));
        let chunk = chunk.ok_or("TIFF: a strip or tile lies beyond its end")?;
        // Otherwise a small file could take long.
        left = left.checked_sub(length).ok_or("TIFF: its strips or tiles overlap")?;
        chunk.iter_mut().for_each(|byte| *byte = byte.reverse_bits());
    }
    Ok(())
}

/// Numbers of so many bits, each row of which begins with a byte; none where there are too few.
fn unpacked(packed: &[u8], (width, height): (usize, usize), bits: usize) -> Option<Vec<u8>> {
    let row_bytes = (width * bits).div_ceil(8);
    let packed = packed.get(..row_bytes * height)?;
    let mut values = Vec::with_capacity(width * height);
    for row in packed.chunks_exact(row_bytes) {
        for at in 0..width {
            let shift = 8 - bits - at * bits % 8;
            values.push((row[at * bits / 8] >> shift) & ((1 << bits) - 1));
        }
    }
    Some(values)
}

/// Pixel by pixel, of what is stored plane by plane.
fn interleaved<T: Copy>(values: Vec<T>, planes: usize) -> Vec<T> {
    if planes < 2 {
        return values;
    }
    let plane = values.len() / planes;
    (0..plane).flat_map(|pixel| (0..planes).map(move |at| at * plane + pixel)).map(|at| values[at]).collect()
}
