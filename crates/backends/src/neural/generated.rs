//! Generated samples: noise, always the same.
//!
//! It owns what is in them. It must not know what they are tried for.

use dede_model::data::{Image, Normalization, Pixels, SampleShape, Samples};
use dede_model::tensor::Floats;

/// Side of images for a network that takes any size.
const ANY_SIZE: usize = 224;
/// By what the noise of a row is multiplied, and what is added: between -1 and 1, then as prices, counts and years are.
const ROWS: [(f32, f32); 7] =
    [(1.0, 0.0), (4.0, 0.0), (0.5, 0.6), (500.0, 500.0), (0.25, 0.0), (5000.0, 5000.0), (2.0, 0.0)];
/// What images show, and so on again: some networks look at bright ones alone, or at large areas.
const PICTURES: [Picture; 7] = [
    Picture::Noise { darkness: 0 },
    Picture::Bright,
    Picture::Noise { darkness: 3 },
    Picture::Gradient,
    Picture::Noise { darkness: 1 },
    Picture::White,
    Picture::Noise { darkness: 2 },
];

/// An image.
#[derive(Debug, Clone, Copy)]
enum Picture {
    /// Each half as bright as the one before.
    Noise { darkness: u32 },
    /// Noise that is nearly white.
    Bright,
    /// From black to white.
    Gradient,
    /// The same colour everywhere.
    White,
}

impl Picture {
    /// The pixel at `place` of `count`, with noise.
    fn pixel(self, noise: u8, (place, count): (usize, usize)) -> u8 {
        match self {
            Self::Noise { darkness } => noise >> darkness,
            Self::Bright => 255 - (noise >> 2),
            Self::Gradient => (place * 255 / count.max(1)) as u8,
            Self::White => 255,
        }
    }
}

/// So many samples of that shape, images with that normalisation.
pub(super) fn alike(shape: &SampleShape, count: usize, normalization: &Normalization) -> Samples {
    made(shape, (count, 0), (1.0, 0.0), PICTURES[0], normalization)
}

/// The sample of that number, of another strength than its neighbours, so that their answers differ.
pub(super) fn varied(shape: &SampleShape, number: usize, normalization: &Normalization) -> Samples {
    made(shape, (1, number), ROWS[number % ROWS.len()], PICTURES[number % PICTURES.len()], normalization)
}

fn made(
    shape: &SampleShape,
    (count, seed): (usize, usize),
    (factor, sum): (f32, f32),
    picture: Picture,
    normalization: &Normalization,
) -> Samples {
    let mut state = 0x2545_f491u32.wrapping_add((seed as u32).wrapping_mul(0x9e37_79b9)) | 1;
    let mut next = move || {
        // xorshift32 (Marsaglia, 2003): any noise will do here.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 24) as u8
    };
    match *shape {
        SampleShape::Row { columns } => {
            let values = (0..count * columns).map(|_| (f32::from(next()) / 128.0 - 1.0) * factor + sum).collect();
            Samples::Table(Floats::new(vec![count, columns], values).expect("as many values as the shape wants"))
        }
        SampleShape::Image { width, height, channels } => {
            let (width, height) = (width.unwrap_or(ANY_SIZE), height.unwrap_or(ANY_SIZE));
            let values = width * height * channels;
            let image = |_| Image {
                width,
                height,
                channels,
                pixels: Pixels::U8((0..values).map(|place| picture.pixel(next(), (place, values))).collect()),
                original_width: width,
                original_height: height,
                frame: None,
            };
            Samples::Images { images: (0..count).map(image).collect(), normalization: normalization.clone() }
        }
    }
}
