//! TIFF files whose strips or tiles are JPEG files (TIFF Technical Note 2): each is decoded as a file of its own.
//!
//! It owns how strips, tiles and the tables that they share become files, and pixels an image again.

use tiff::tags::Tag;

use super::directory::Directory;
use super::layout::{Layout, Meaning};
use crate::image::colour::{Order, swap_red_and_blue};
use crate::image::decode::{Mode, Pixels, Room, Undecoded, jpeg, segments, stray};
use crate::image::raster::Raster;

/// Start of a JPEG, and its end.
const START: &[u8] = b"\xff\xd8";
const END: &[u8] = b"\xff\xd9";

/// The segment by which decoders take three components for red, green and blue: Adobe's, version 100, no transform.
const RED_GREEN_BLUE: &[u8] = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00";

/// Pixels as the file has them: one channel, or three, red first.
///
/// # Errors
/// Why they cannot be read, in words; that there is no memory for a strip or tile.
pub(super) fn read(
    bytes: &[u8],
    directory: &Directory<'_>,
    layout: &Layout,
    room: &Room<'_>,
) -> Result<Raster<u8>, Undecoded> {
    let chunks = layout.chunks;
    let area = chunks.width as u64 * chunks.height as u64;
    if area.saturating_mul(chunks.count as u64) > room.most_pixels() {
        let (width, height, most) = (chunks.width, chunks.height, room.most_pixels());
        let count = chunks.count;
        return Err(format!("TIFF: it declares {count} tiles of {width}x{height} pixels, expected up to {most}").into());
    }
    let mut raster = Raster::black(layout.width, layout.height, layout.samples);
    let mut left = bytes.len();
    for index in 0..chunks.count {
        let (start, length) = chunks.place(directory, index).ok_or("TIFF: a strip or tile has no place")?;
        // Otherwise a small file could take long.
        left = left.checked_sub(length).ok_or("TIFF: its strips or tiles overlap")?;
        let chunk = start.checked_add(length).and_then(|end| bytes.get(start..end));
        let chunk = chunk.ok_or("TIFF: a strip or tile lies beyond its end")?;
        let mut room = room.beside(area);
        room.take_copy(
            chunk.len() + usize::try_from(directory.count(Tag::JPEGTables, u64::MAX)?).unwrap_or(usize::MAX),
        )?;
        let file = file(chunk, directory.bytes(Tag::JPEGTables), layout.meaning)?;
        let file = stray::left_out(&file, &mut room)?;
        let decoded = jpeg::decode(&file, Mode::Unchanged, &mut room, Vec::new())?;
        let Pixels::U8(mut chunk) = decoded.pixels else { return Err("TIFF: expected 8 bits per sample".into()) };
        if decoded.order == Order::BlueFirst && chunk.channels == 3 {
            swap_red_and_blue(&mut chunk.values, 3);
        }
        paste(&mut raster, &chunk, layout, index)?;
    }
    Ok(raster)
}

/// A JPEG file of a strip or tile and the tables that all of them share.
fn file(chunk: &[u8], tables: Option<&[u8]>, meaning: Meaning) -> Result<Vec<u8>, Undecoded> {
    let segments = chunk.strip_prefix(START).ok_or("TIFF: a strip or tile is no JPEG")?;
    let tables = tables.unwrap_or_default();
    let tables = tables.strip_prefix(START).map_or(tables, |rest| rest.strip_suffix(END).unwrap_or(rest));
    // A decoder takes the colours of such a file for YCbCr, whatever else it says.
    if meaning == Meaning::Colour && segments::is_jfif(chunk) {
        return Err("TIFF: RGB in a JPEG with a JFIF header is not read".into());
    }
    let colours = if meaning == Meaning::Colour { RED_GREEN_BLUE } else { b"" };
    Ok([START, colours, tables, segments].concat())
}

/// Puts the pixels of a strip or tile where they belong; what lies beyond the image is padding.
fn paste(raster: &mut Raster<u8>, chunk: &Raster<u8>, layout: &Layout, index: usize) -> Result<(), Undecoded> {
    let chunks = layout.chunks;
    let (left, top) = (index % chunks.across * chunks.width, index / chunks.across * chunks.height);
    let (width, height) = (chunks.width.min(raster.width - left), chunks.height.min(raster.height - top));
    let (found, channels) = ((chunk.width, chunk.height), chunk.channels);
    if channels != raster.channels || found.0 != chunks.width || found.1 < height {
        let samples = raster.channels;
        return Err(format!(
            "TIFF: expected a JPEG of {}x{} pixels of {samples} samples, found {}x{} of {channels}",
            chunks.width, chunks.height, found.0, found.1
        )
        .into());
    }
    for y in 0..height {
        let start = ((top + y) * raster.width + left) * channels;
        raster.values[start..start + width * channels].copy_from_slice(&chunk.row(y)[..width * channels]);
    }
    Ok(())
}
