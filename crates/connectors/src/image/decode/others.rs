//! PNG, BMP, GIF (first frame), WebP and TIFF.
//!
//! Where 8 bits or grey are wanted of a file that has more, each format follows the rounding of the library that
//! OpenCV reads it with.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::{Decoded, Mode, Pixels, Room, Undecoded, palette};
use crate::image::colour::{GreyRule, Order, replicate, to_grey};
use crate::image::raster::Raster;

/// Memory that a decoder may use beside the pixels, bytes.
pub(super) const WORKING_BYTES: u64 = 64 << 20;

/// A pixel as it is wanted, and a copy that stands upright, bytes.
pub(super) const CONVERTED_BYTES: u64 = 8;

/// Widest pixel: four channels of 32 bits.
const MAX_PIXEL_BYTES: u64 = 16;

/// The formats read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Png,
    Bmp,
    Gif,
    WebP,
    Tiff,
}

impl Format {
    const ALL: [(ImageFormat, Self); 5] = [
        (ImageFormat::Png, Self::Png),
        (ImageFormat::Bmp, Self::Bmp),
        (ImageFormat::Gif, Self::Gif),
        (ImageFormat::WebP, Self::WebP),
        (ImageFormat::Tiff, Self::Tiff),
    ];
}

/// See [`super::decode`].
pub(super) fn decode(bytes: &[u8], mode: Mode, room: &mut Room<'_>) -> Result<(Decoded, Orientation), Undecoded> {
    let is_large_tiff = bytes.starts_with(b"II+\0") || bytes.starts_with(b"MM\0+");
    let guessed = if is_large_tiff { Some(ImageFormat::Tiff) } else { image::guess_format(bytes).ok() };
    let known = Format::ALL.into_iter().find(|(known, _)| guessed == Some(*known));
    let (container, format) = known.ok_or("not a JPEG, PNG, BMP, GIF, WebP or TIFF")?;
    if format == Format::Tiff
        && let Some(painted) = palette::decode(bytes, room)?
    {
        let pixels = Pixels::U8(painted.raster);
        // As OpenCV has it, two colours are two greys where nothing is asked for.
        let is_grey = mode == Mode::Grey || (mode == Mode::Unchanged && painted.is_bilevel);
        let pixels = if is_grey { Pixels::U8(grey(pixels, format)) } else { pixels };
        return Ok((Decoded { pixels, order: Order::RedFirst }, painted.orientation));
    }
    let words = |error: image::ImageError| format!("{format:?}: {error}");
    let mut reader = ImageReader::with_format(Cursor::new(bytes), container);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(room.most_pixels().saturating_mul(MAX_PIXEL_BYTES).saturating_add(WORKING_BYTES));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(words)?;
    let (width, height) = decoder.dimensions();
    let pixel_bytes = u64::from(decoder.color_type().bytes_per_pixel()) + CONVERTED_BYTES;
    room.take(width as usize, height as usize, pixel_bytes)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let image = DynamicImage::from_decoder(decoder).map_err(words)?;
    let stored = stored(image).ok_or_else(|| format!("{format:?}: expected 8 or 16 bits per channel"))?;
    let pixels = match mode {
        Mode::Unchanged => unchanged(stored),
        Mode::Colour => Pixels::U8(colour(narrowed(stored, format))),
        Mode::Grey => Pixels::U8(grey(stored, format)),
    };
    Ok((Decoded { pixels, order: Order::RedFirst }, orientation))
}

/// Pixels as the decoder gives them: 1 to 4 channels.
fn stored(image: DynamicImage) -> Option<Pixels> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let shallow = |channels, values| Some(Pixels::U8(Raster::new(width, height, channels, values)));
    let deep = |channels, values| Some(Pixels::U16(Raster::new(width, height, channels, values)));
    match image {
        DynamicImage::ImageLuma8(image) => shallow(1, image.into_raw()),
        DynamicImage::ImageLumaA8(image) => shallow(2, image.into_raw()),
        DynamicImage::ImageRgb8(image) => shallow(3, image.into_raw()),
        DynamicImage::ImageRgba8(image) => shallow(4, image.into_raw()),
        DynamicImage::ImageLuma16(image) => deep(1, image.into_raw()),
        DynamicImage::ImageLumaA16(image) => deep(2, image.into_raw()),
        DynamicImage::ImageRgb16(image) => deep(3, image.into_raw()),
        DynamicImage::ImageRgba16(image) => deep(4, image.into_raw()),
        DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_) | _ => None,
    }
}

/// Grey with alpha becomes colour with alpha; everything else stays.
fn unchanged(stored: Pixels) -> Pixels {
    fn with_colour<T: Copy + Default>(raster: Raster<T>) -> Raster<T> {
        if raster.channels != 2 {
            return raster;
        }
        let values = raster.values.chunks_exact(2).flat_map(|pixel| [pixel[0], pixel[0], pixel[0], pixel[1]]).collect();
        Raster::new(raster.width, raster.height, 4, values)
    }
    match stored {
        Pixels::U8(raster) => Pixels::U8(with_colour(raster)),
        Pixels::U16(raster) => Pixels::U16(with_colour(raster)),
    }
}

/// 8 bits: libpng cuts, libtiff rounds.
fn narrowed(stored: Pixels, format: Format) -> Raster<u8> {
    let narrow = |value: u16| match format {
        Format::Png => (value >> 8) as u8,
        Format::Bmp | Format::Gif | Format::WebP | Format::Tiff => ((u32::from(value) + 128) / 257) as u8,
    };
    match stored {
        Pixels::U8(raster) => raster,
        Pixels::U16(raster) => {
            let values = raster.values.into_iter().map(narrow).collect();
            Raster::new(raster.width, raster.height, raster.channels, values)
        }
    }
}

/// The first `channels` of each pixel.
fn leading<T: Copy + Default>(raster: &Raster<T>, channels: usize) -> Raster<T> {
    let values = raster.values.chunks_exact(raster.channels).flat_map(|pixel| &pixel[..channels]).copied().collect();
    Raster::new(raster.width, raster.height, channels, values)
}

/// Three channels, without alpha.
fn colour(raster: Raster<u8>) -> Raster<u8> {
    match raster.channels {
        1 => replicate(&raster, 3),
        2 => replicate(&leading(&raster, 1), 3),
        3 => raster,
        _ => leading(&raster, 3),
    }
}

/// One channel, without alpha.
fn grey(stored: Pixels, format: Format) -> Raster<u8> {
    if let (Pixels::U16(raster), Format::Png) = (&stored, format)
        && raster.channels >= 3
    {
        let grey = to_grey(raster, Order::RedFirst, GreyRule::LIBPNG_16);
        return narrowed(Pixels::U16(grey), format);
    }
    let raster = narrowed(stored, format);
    let rule = match format {
        Format::Png => GreyRule::LIBPNG_8,
        Format::Bmp | Format::Tiff => GreyRule::READERS,
        Format::Gif | Format::WebP => GreyRule::CONVERSION,
    };
    match raster.channels {
        1 => raster,
        2 => leading(&raster, 1),
        _ => to_grey(&raster, Order::RedFirst, rule),
    }
}
