//! Made-up images: coloured tiles, as PNG in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dede_model::data::SampleShape;
use dede_model::error::{Error, Result};
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::options::Settings;

/// Tiles in each direction: large enough for the layers of a network to see something, and small as PNG.
const TILES: usize = 8;
/// Side of an image where any size will do.
const ANY_SIDE: usize = 224;

/// An image of the size that is asked for, or that the network takes. The same seed gives the same image.
///
/// # Errors
/// [`Error::Internal`] when it cannot be encoded.
pub(super) fn example(settings: &Settings, network: Option<SampleShape>, seed: u64) -> Result<String> {
    let (network_size, network_channels) = match network {
        Some(SampleShape::Image { width, height, channels }) => (width.zip(height), Some(channels)),
        Some(SampleShape::Row { .. }) | None => (None, None),
    };
    let (width, height) = settings.target.size().or(network_size).unwrap_or((ANY_SIDE, ANY_SIDE));
    // What is not converted must come with the channels of the network.
    let channels = network_channels.filter(|_| settings.colours.channels().is_none()).unwrap_or(3);
    let colour = match channels {
        1 => ExtendedColorType::L8,
        4 => ExtendedColorType::Rgba8,
        _ => ExtendedColorType::Rgb8,
    };
    let pixels = tiles(width, height, channels, seed);
    let failed = |error: image::ImageError| Error::Internal(format!("encoding a {width}x{height} image: {error}"));
    let side = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
    let mut png = Vec::new();
    PngEncoder::new(&mut png).write_image(&pixels, side(width), side(height), colour).map_err(failed)?;
    Ok(STANDARD.encode(png))
}

fn tiles(width: usize, height: usize, channels: usize, seed: u64) -> Vec<u8> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut colours = vec![0; TILES * TILES * channels];
    random.fill_bytes(&mut colours);
    let mut pixels = Vec::with_capacity(width * height * channels);
    for row in 0..height {
        for column in 0..width {
            let tile = row * TILES / height * TILES + column * TILES / width;
            pixels.extend_from_slice(&colours[tile * channels..(tile + 1) * channels]);
        }
    }
    pixels
}
