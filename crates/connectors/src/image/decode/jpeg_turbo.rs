//! JPEG with libjpeg-turbo, which gives the very values that OpenCV gives: accurate DCT, smooth upsampling.

use turbojpeg::{Colorspace, Decompressor, Image, PixelFormat};

use super::{Decoded, Mode, Pixels, Room, Undecoded, jpeg_pixel_bytes, sized};
use crate::image::colour::{GreyRule, Order, to_grey};
use crate::image::raster::Raster;

/// Scans a progressive file may have: each costs as much as the whole image.
const MAX_SCANS: u32 = 500;

/// See [`super::decode`].
pub(super) fn decode(bytes: &[u8], mode: Mode, room: &mut Room<'_>, buffer: Vec<u8>) -> Result<Decoded, Undecoded> {
    let words = |error: turbojpeg::Error| format!("JPEG: {error}");
    let mut decompressor = Decompressor::new().map_err(words)?;
    decompressor.set_scan_limit(MAX_SCANS).map_err(words)?;
    let header = decompressor.read_header(bytes).map_err(words)?;
    let (width, height) = (header.width, header.height);
    room.take(width, height, jpeg_pixel_bytes(bytes))?;
    let inks = matches!(header.colorspace, Colorspace::CMYK | Colorspace::YCCK);
    let grey = mode == Mode::Grey || (mode == Mode::Unchanged && header.colorspace == Colorspace::Gray);
    let (format, channels) = match (inks, grey) {
        (true, _) => (PixelFormat::CMYK, 4),
        (false, true) => (PixelFormat::GRAY, 1),
        (false, false) => (PixelFormat::BGR, 3),
    };
    let mut values = sized(buffer, width * height * channels);
    let output = Image { pixels: &mut values[..], width, pitch: width * channels, height, format };
    decompressor.decompress(bytes, output).map_err(words)?;
    let mut raster = Raster::new(width, height, channels, values);
    if inks {
        raster = from_inks(&raster);
        if mode == Mode::Grey {
            raster = to_grey(&raster, Order::BlueFirst, GreyRule::READERS);
        }
    }
    Ok(Decoded { pixels: Pixels::U8(raster), order: Order::BlueFirst })
}

/// Blue, green and red from cyan, magenta, yellow and black, stored inverted, as OpenCV converts them.
fn from_inks(inks: &Raster<u8>) -> Raster<u8> {
    let mix = |ink: u8, black: u8| {
        let (ink, black) = (i32::from(ink), i32::from(black));
        (black - (((255 - ink) * black) >> 8)) as u8
    };
    let pixels = inks.values.chunks_exact(4);
    let values = pixels.flat_map(|pixel| [2, 1, 0].map(|ink| mix(pixel[ink], pixel[3]))).collect();
    Raster::new(inks.width, inks.height, 3, values)
}
