//! JPEG with the pure-Rust decoder, and which files it would read wrongly.

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::segments::{self, Frame};
use super::{Decoded, Mode, Pixels, Room, Undecoded, jpeg_pixel_bytes, sized};
use crate::image::colour::{GreyRule, Order, to_grey};
use crate::image::raster::Raster;

/// Largest side that the format can declare.
const MAX_SIDE: usize = 65_535;

/// See [`super::decode`].
pub(super) fn decode(bytes: &[u8], mode: Mode, room: &mut Room<'_>, buffer: Vec<u8>) -> Result<Decoded, Undecoded> {
    check(bytes)?;
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
    // The decoder knows Adobe's segment, which it takes for inks at first, and the names of components; not that a JFIF header counts more.
    let is_taken_for_colours = info.components == 3 && matches!(stored, Some(ColorSpace::RGB | ColorSpace::CMYK));
    let is_luma = is_taken_for_colours && segments::is_jfif(bytes);
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
    match mode {
        Mode::Grey if is_luma => {
            let luma = raster.values.iter().copied().step_by(3).collect();
            raster = Raster::new(width, height, 1, luma);
        }
        Mode::Grey if !direct => raster = to_grey(&raster, Order::RedFirst, GreyRule::CONVERSION),
        Mode::Colour | Mode::Unchanged if is_luma => red_green_blue(&mut raster.values),
        Mode::Colour | Mode::Grey | Mode::Unchanged => {}
    }
    Ok(Decoded { pixels: Pixels::U8(raster), order: Order::RedFirst })
}

/// That the decoder reads such a file as it is meant.
fn check(bytes: &[u8]) -> Result<(), String> {
    let Some(frame) = Frame::of(bytes) else { return Ok(()) };
    match frame.marker {
        0xc0..=0xc2 => {}
        0xc3 | 0xc7 | 0xcb | 0xcf => return Err("JPEG: lossless compression is not read".to_owned()),
        0xc9 | 0xca | 0xcd | 0xce => return Err("JPEG: arithmetic coding is not read".to_owned()),
        _ => return Err("JPEG: differential coding is not read".to_owned()),
    }
    let Some((luma, others)) = frame.sampling.split_first() else { return Ok(()) };
    if others.iter().any(|other| other.0 > luma.0 || other.1 > luma.1) {
        return Err(format!(
            "JPEG: fewer samples of the first component than of another ({}) are not read",
            factors(&frame.sampling)
        ));
    }
    let is_subsampled = !others.is_empty() && frame.sampling.iter().any(|factors| *factors != (1, 1));
    if frame.marker != 0xc2 && frame.comes_in_several_scans() && is_subsampled {
        return Err(format!(
            "JPEG: several scans of a sequential file are read with equal sampling (1x1) alone, found {}: save it \
             progressive, or with one scan",
            factors(&frame.sampling)
        ));
    }
    Ok(())
}

fn factors(sampling: &[(u8, u8)]) -> String {
    let each: Vec<String> = sampling.iter().map(|(across, down)| format!("{across}x{down}")).collect();
    each.join(", ")
}

/// Red, green and blue of luma and differences (JFIF 1.02), in place, with the fixed-point rounding of libjpeg.
fn red_green_blue(values: &mut [u8]) {
    const HALF: i32 = 1 << 15;
    for pixel in values.chunks_exact_mut(3) {
        let [luma, blue, red] = [i32::from(pixel[0]), i32::from(pixel[1]) - 128, i32::from(pixel[2]) - 128];
        let mixed = [
            luma + ((91_881 * red + HALF) >> 16),
            luma + ((-22_554 * blue - 46_802 * red + HALF) >> 16),
            luma + ((116_130 * blue + HALF) >> 16),
        ];
        pixel.copy_from_slice(&mixed.map(|value| value.clamp(0, 255) as u8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with a frame of components with these factors, and a first scan of `scanned` of them.
    fn file(marker: u8, factors: &[u8], scanned: u8) -> Vec<u8> {
        let count = factors.len() as u8;
        let components: Vec<u8> = factors.iter().zip(1..).flat_map(|(factors, id)| [id, *factors, 0]).collect();
        let frame = [&[0xff, marker, 0, 8 + 3 * count, 8, 0, 8, 0, 8, count][..], &components].concat();
        let names: Vec<u8> = (1..=scanned).flat_map(|id| [id, 0]).collect();
        let scan = [&[0xff, 0xda, 0, 6 + 2 * scanned, scanned][..], &names, &[0, 63, 0]].concat();
        [b"\xff\xd8", &frame[..], &scan].concat()
    }

    #[test]
    fn what_the_decoder_reads_wrongly_is_named() {
        for (marker, factors, scanned, expected) in [
            (0xc0, &[0x22, 0x11, 0x11][..], 1, "several scans of a sequential file"),
            (0xc0, &[0x22, 0x11, 0x11], 2, "found 2x2, 1x1, 1x1"),
            (0xc1, &[0x21, 0x21, 0x21], 1, "several scans of a sequential file"),
            (0xc0, &[0x11, 0x22, 0x22], 3, "fewer samples of the first component"),
            (0xc2, &[0x12, 0x21, 0x11], 3, "fewer samples of the first component"),
            (0xc3, &[0x11], 1, "lossless compression"),
            (0xc9, &[0x11], 1, "arithmetic coding"),
            (0xc5, &[0x11], 1, "differential coding"),
        ] {
            let refused = check(&file(marker, factors, scanned)).expect_err(expected);
            assert!(refused.contains(expected), "{refused}");
        }
        for (marker, factors, scanned) in [
            (0xc0, &[0x22, 0x11, 0x11][..], 3),
            (0xc0, &[0x11, 0x11, 0x11], 1),
            (0xc0, &[0x22], 1),
            (0xc2, &[0x22, 0x11, 0x11], 1),
        ] {
            assert_eq!(check(&file(marker, factors, scanned)), Ok(()), "{factors:?}");
        }
    }
}
