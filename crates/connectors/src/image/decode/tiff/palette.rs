//! Colours of TIFF files whose pixels are numbers of colours in a table (TIFF 6.0, section 5).
//!
//! It must not know how numbers are stored.

use tiff::tags::Tag;

use super::directory::Directory;
use super::layout::Layout;
use crate::image::raster::Raster;

/// Three channels, red first, of numbers, of which the first channel counts.
///
/// # Errors
/// A table of another length, in words.
pub(super) fn coloured(numbers: &Raster<u8>, directory: &Directory<'_>, layout: &Layout) -> Result<Raster<u8>, String> {
    let colours = colours(directory, layout.bits)?;
    let pixels = numbers.values.chunks_exact(numbers.channels);
    let values = pixels.flat_map(|pixel| colours[usize::from(pixel[0])]).collect();
    Ok(Raster::new(numbers.width, numbers.height, 3, values))
}

/// Colours by number. The table holds all reds, then all greens, then all blues, of 16 bits each; where none of them needs more than
/// 8 bits, libtiff takes it for a table of 8 bits.
fn colours(directory: &Directory<'_>, bits: usize) -> Result<Vec<[u8; 3]>, String> {
    let count = 1 << bits;
    let found = directory.count(Tag::ColorMap, u64::MAX)?;
    if found != 3 * count as u64 {
        return Err(format!("expected a table of {} values, found {found}", 3 * count));
    }
    let table: Option<Vec<u16>> = (0..3 * count)
        .map(|index| directory.value(Tag::ColorMap, index).and_then(|value| u16::try_from(value).ok()))
        .collect();
    let table = table.ok_or("expected a table of numbers of 16 bits")?;
    let shift = if table.iter().any(|value| *value > 255) { 8 } else { 0 };
    let level = |at: usize| (table[at] >> shift) as u8;
    Ok((0..count).map(|number| [level(number), level(count + number), level(2 * count + number)]).collect())
}
