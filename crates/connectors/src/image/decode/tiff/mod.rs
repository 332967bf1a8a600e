//! TIFF, and `BigTIFF`: from the first directory of a file to pixels, with the rounding of libtiff, by which OpenCV reads it.
//!
//! It owns what is checked and counted before a decoder reads anything, and how stored samples become colours.

mod directory;
mod jpeg_chunks;
mod layout;
mod palette;
mod samples;
#[cfg(test)]
mod tests;

use image::metadata::Orientation;

use self::directory::Directory;
use self::layout::{Compression, Layout, Meaning};
use super::others::CONVERTED_BYTES;
use super::{Decoded, Mode, Pixels, Room, Undecoded};
use crate::image::colour::{GreyRule, Order, replicate, to_grey};
use crate::image::raster::Raster;

/// Whether these bytes are one.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"].iter().any(|start| bytes.starts_with(*start))
}

/// See [`super::decode`]. The orientation is to be applied in every mode.
pub(super) fn decode(bytes: &[u8], mode: Mode, room: &mut Room<'_>) -> Result<(Decoded, Orientation), Undecoded> {
    let words = |reason: String| format!("TIFF: {reason}");
    let directory = Directory::read(bytes).map_err(words)?;
    let layout = Layout::of(&directory).map_err(words)?;
    room.take(layout.width, layout.height, layout.pixel_bytes() + CONVERTED_BYTES)?;
    room.take_copy(layout.working_bytes())?;
    let stored = match layout.compression {
        Compression::Jpeg => Pixels::U8(jpeg_chunks::read(bytes, &directory, &layout, room)?),
        Compression::Lzw | Compression::Other => samples::read(bytes, &directory, &layout, room)?,
    };
    let stored = match (layout.meaning, stored) {
        (Meaning::Palette, Pixels::U8(numbers)) => {
            Pixels::U8(palette::coloured(&numbers, &directory, &layout).map_err(words)?)
        }
        (_, stored) => stored,
    };
    let pixels = match (mode, stored) {
        // Deep samples stay as they are stored: the decoder inverted them.
        (Mode::Unchanged, Pixels::U16(raster)) if layout.meaning == Meaning::InvertedGrey => {
            Pixels::U16(mapped(raster, |value| !value))
        }
        (Mode::Unchanged, Pixels::U16(raster)) if layout.meaning != Meaning::Inks => {
            Pixels::U16(visible(raster, &layout))
        }
        (Mode::Unchanged, stored) => Pixels::U8(unchanged(stored, &layout)),
        (Mode::Colour, stored) => Pixels::U8(colour(narrowed(stored, &layout))),
        (Mode::Grey, stored) => Pixels::U8(grey(&narrowed(stored, &layout))),
    };
    let orientation = Orientation::from_exif(layout.orientation).unwrap_or(Orientation::NoTransforms);
    Ok((Decoded { pixels, order: Order::RedFirst }, orientation))
}

fn mapped<T, U>(raster: Raster<T>, map: impl FnMut(T) -> U) -> Raster<U>
where
    U: Copy + Default,
{
    let values = raster.values.into_iter().map(map).collect();
    Raster::new(raster.width, raster.height, raster.channels, values)
}

/// Grey without what follows it.
fn visible<T: Copy + Default>(raster: Raster<T>, layout: &Layout) -> Raster<T> {
    match (layout.meaning, raster.channels) {
        (Meaning::Grey | Meaning::InvertedGrey, 2..) => {
            let values = raster.values.iter().copied().step_by(raster.channels).collect();
            Raster::new(raster.width, raster.height, 1, values)
        }
        _ => raster,
    }
}

/// Samples of 8 bits: grey, colours without inks, alpha where it is.
fn narrowed(stored: Pixels, layout: &Layout) -> Raster<u8> {
    let is_grey = matches!(layout.meaning, Meaning::Grey | Meaning::InvertedGrey);
    let raster = match stored {
        Pixels::U8(raster) if is_grey && layout.bits == 1 => mapped(raster, |value| if value == 0 { 0 } else { 255 }),
        Pixels::U8(raster) => raster,
        Pixels::U16(raster) if is_grey => mapped(raster, |value| (value >> 8) as u8),
        Pixels::U16(raster) => mapped(raster, |value| ((u32::from(value) + 128) / 257) as u8),
    };
    // The decoder gives no inverted samples of JPEG.
    let raster = match (layout.meaning, layout.compression) {
        (Meaning::InvertedGrey, Compression::Jpeg) => mapped(raster, |value| !value),
        _ => raster,
    };
    match (layout.meaning, raster.channels) {
        (Meaning::Inks, 4) => without_inks(&raster),
        (Meaning::Colour, 4) if layout.is_unassociated => multiplied(raster),
        _ => visible(raster, layout),
    }
}

/// As OpenCV has it where nothing is asked for: two colours are two greys, and inks are colours that hide what is behind them.
fn unchanged(stored: Pixels, layout: &Layout) -> Raster<u8> {
    let raster = narrowed(stored, layout);
    match (layout.meaning, layout.bits) {
        (Meaning::Palette, 1) => grey(&raster),
        (Meaning::Inks, _) => {
            let values = raster.values.chunks_exact(3).flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 255]).collect();
            Raster::new(raster.width, raster.height, 4, values)
        }
        _ => raster,
    }
}

/// Red, green and blue of cyan, magenta, yellow and black.
fn without_inks(inks: &Raster<u8>) -> Raster<u8> {
    let mix = |ink: u8, black: u8| ((255 - u32::from(black)) * (255 - u32::from(ink)) / 255) as u8;
    let pixels = inks.values.chunks_exact(4);
    let values = pixels.flat_map(|pixel| [0, 1, 2].map(|ink| mix(pixel[ink], pixel[3]))).collect();
    Raster::new(inks.width, inks.height, 3, values)
}

/// Colours multiplied with alpha.
fn multiplied(mut raster: Raster<u8>) -> Raster<u8> {
    for pixel in raster.values.chunks_exact_mut(4) {
        let alpha = u32::from(pixel[3]);
        for value in &mut pixel[..3] {
            *value = ((u32::from(*value) * alpha + 127) / 255) as u8;
        }
    }
    raster
}

/// Three channels, without alpha.
fn colour(raster: Raster<u8>) -> Raster<u8> {
    match raster.channels {
        1 => replicate(&raster, 3),
        3 => raster,
        _ => {
            let values = raster.values.chunks_exact(raster.channels).flat_map(|pixel| &pixel[..3]).copied().collect();
            Raster::new(raster.width, raster.height, 3, values)
        }
    }
}

/// One channel, without alpha.
fn grey(raster: &Raster<u8>) -> Raster<u8> {
    if raster.channels < 3 { raster.clone() } else { to_grey(raster, Order::RedFirst, GreyRule::READERS) }
}
