//! PNG, BMP, GIF (first frame) and WebP.
//!
//! Where 8 bits or grey are wanted of a file that has more, each format follows the rounding of the library that
//! OpenCV reads it with.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::png::{self, Gamma};
use super::{Decoded, Mode, Pixels, Room, Undecoded, bmp, exif};
use crate::image::colour::{GreyRule, Order, replicate, to_grey};
use crate::image::raster::Raster;

/// What a decoder may take for texts, profiles and chunks in pieces: so many times the file, and bytes beside.
const METADATA_TIMES: usize = 3;
const METADATA_BYTES: usize = 1 << 20;

/// A pixel as it is wanted, and a copy that stands upright, bytes.
pub(super) const CONVERTED_BYTES: u64 = 8;

/// A pixel of a frame, which is decoded beside the image that it is a part of, bytes.
const FRAME_PIXEL_BYTES: u64 = 4;

/// The formats read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Png,
    Bmp,
    Gif,
    WebP,
}

impl Format {
    const ALL: [(ImageFormat, Self); 4] = [
        (ImageFormat::Png, Self::Png),
        (ImageFormat::Bmp, Self::Bmp),
        (ImageFormat::Gif, Self::Gif),
        (ImageFormat::WebP, Self::WebP),
    ];
}

/// See [`super::decode`].
pub(super) fn decode(bytes: &[u8], mode: Mode, room: &mut Room<'_>) -> Result<(Decoded, Orientation), Undecoded> {
    let guessed = image::guess_format(bytes).ok();
    let known = Format::ALL.into_iter().find(|(known, _)| guessed == Some(*known));
    let (container, format) = known.ok_or("not a JPEG, PNG, BMP, GIF, WebP or TIFF")?;
    let words = |error: image::ImageError| format!("{format:?}: {error}");
    let metadata = bytes.len().saturating_mul(METADATA_TIMES).saturating_add(METADATA_BYTES);
    room.take_copy(metadata)?;
    let mut reader = ImageReader::with_format(Cursor::new(bytes), container);
    reader.limits(at_most(metadata as u64));
    let mut decoder = reader.into_decoder().map_err(words)?;
    let (width, height) = decoder.dimensions();
    let pixel_bytes = u64::from(decoder.color_type().bytes_per_pixel()) + CONVERTED_BYTES;
    room.take(width as usize, height as usize, pixel_bytes)?;
    if format == Format::Gif {
        // A frame may declare more pixels than the image has; its memory is that of the copy, which is made later.
        decoder.set_limits(at_most(u64::from(width) * u64::from(height) * FRAME_PIXEL_BYTES)).map_err(words)?;
    }
    let orientation = match (mode, format) {
        (Mode::Unchanged, _) => Orientation::NoTransforms,
        (_, Format::Png) => png::orientation(bytes),
        (_, Format::WebP) if declares_exif(bytes) => {
            let exif = decoder.exif_metadata().ok().flatten();
            exif::orientation(exif.as_deref())
        }
        (_, Format::Bmp | Format::Gif | Format::WebP) => Orientation::NoTransforms,
    };
    if format == Format::Bmp {
        bmp::check_runs(bytes)?;
    }
    let image = DynamicImage::from_decoder(decoder).map_err(|error| {
        if matches!(error, image::ImageError::Limits(_)) && format == Format::Gif {
            return format!("Gif: its first frame has more pixels than the image, which declares {width}x{height}");
        }
        words(error)
    })?;
    let mut stored = stored(image).ok_or_else(|| format!("{format:?}: expected 8 or 16 bits per channel"))?;
    if format == Format::Bmp {
        bmp::leave_bits_out(&mut stored, bytes);
    }
    let pixels = match (mode, format) {
        (Mode::Unchanged, _) => unchanged(stored),
        (Mode::Colour, _) => Pixels::U8(colour(narrowed(stored))),
        (Mode::Grey, Format::Png) => Pixels::U8(png_grey(stored, Gamma::of(bytes))),
        (Mode::Grey, _) => Pixels::U8(grey(narrowed(stored), format)),
    };
    Ok((Decoded { pixels, order: Order::RedFirst }, orientation))
}

/// Whether the header of a WebP file says that it has EXIF data (RFC 9649, 2.7.1). libwebp looks for none elsewhere.
fn declares_exif(webp: &[u8]) -> bool {
    const EXIF: u8 = 1 << 3;
    webp.get(12..16) == Some(b"VP8X") && webp.get(20).is_some_and(|flags| flags & EXIF != 0)
}

fn at_most(bytes: u64) -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(bytes);
    limits
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

/// 8 bits: libpng cuts off what is beyond them.
fn narrowed(stored: Pixels) -> Raster<u8> {
    match stored {
        Pixels::U8(raster) => raster,
        Pixels::U16(raster) => {
            let values = raster.values.into_iter().map(|value| (value >> 8) as u8).collect();
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

/// One channel, without alpha, as libpng makes it.
fn png_grey(stored: Pixels, gamma: Option<Gamma>) -> Raster<u8> {
    match (stored, gamma) {
        (Pixels::U16(raster), gamma) if raster.channels >= 3 => narrowed(Pixels::U16(match gamma {
            Some(gamma) => gamma.deep_grey(&raster),
            None => to_grey(&raster, Order::RedFirst, GreyRule::LIBPNG_16),
        })),
        (Pixels::U8(raster), Some(gamma)) if raster.channels >= 3 => gamma.grey(&raster),
        (stored, _) => grey(narrowed(stored), Format::Png),
    }
}

/// One channel, without alpha.
fn grey(raster: Raster<u8>, format: Format) -> Raster<u8> {
    let rule = match format {
        Format::Png => GreyRule::LIBPNG_8,
        Format::Bmp if raster.channels == 4 => GreyRule::BMP_WITH_ALPHA,
        Format::Bmp => GreyRule::READERS,
        Format::Gif | Format::WebP => GreyRule::CONVERSION,
    };
    match raster.channels {
        1 => raster,
        2 => leading(&raster, 1),
        _ => to_grey(&raster, Order::RedFirst, rule),
    }
}
