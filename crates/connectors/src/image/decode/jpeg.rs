//! JPEG with the pure-Rust decoder.

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::{Decoded, Mode, Pixels, Room, Undecoded, jpeg_pixel_bytes, sized};
use crate::image::colour::{GreyRule, Order, to_grey};
use crate::image::raster::Raster;

/// Largest side that the format can declare.
const MAX_SIDE: usize = 65_535;

/// See [`super::decode`].
pub(super) fn decode(bytes: &[u8], mode: Mode, room: &mut Room<'_>, buffer: Vec<u8>) -> Result<Decoded, Undecoded> {
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(MAX_SIDE)
        .set_max_height(MAX_SIDE)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let words = |error: zune_jpeg::errors::DecodeErrors| format!("JPEG: {error}");
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(words)?;
    let info = decoder.info().ok_or("JPEG: no header")?;
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    room.take(width, height, jpeg_pixel_bytes(bytes))?;
    let stored = decoder.input_colorspace();
    let direct = match mode {
        Mode::Colour => false,
        Mode::Grey => matches!(stored, Some(ColorSpace::Luma | ColorSpace::YCbCr)),
        Mode::Unchanged => stored == Some(ColorSpace::Luma),
    };
    if direct {
        decoder.set_options(options.jpeg_set_out_colorspace(ColorSpace::Luma));
    }
    let channels = if direct { 1 } else { 3 };
    let mut values = sized(buffer, width * height * channels);
    decoder.decode_into(&mut values).map_err(words)?;
    let mut raster = Raster::new(width, height, channels, values);
    if mode == Mode::Grey && !direct {
        raster = to_grey(&raster, Order::RedFirst, GreyRule::CONVERSION);
    }
    Ok(Decoded { pixels: Pixels::U8(raster), order: Order::RedFirst })
}
