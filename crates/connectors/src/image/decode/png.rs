//! What the chunks of a PNG file say beside its pixels (ISO/IEC 15948): orientation, wherever it stands, and gamma, by which libpng makes
//! grey of colours.
//!
//! It must not know how pixels are compressed.

use image::metadata::Orientation;

use super::exif;
use crate::image::colour::GreyRule;
use crate::image::raster::Raster;

/// Length of what a file begins with.
const SIGNATURE: usize = 8;

/// Type and content of the chunks.
struct Chunks<'a>(&'a [u8]);

impl<'a> Iterator for Chunks<'a> {
    type Item = ([u8; 4], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        const CHECKSUM: usize = 4;
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let (kind, rest) = rest.split_first_chunk::<4>()?;
        let (content, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        self.0 = rest.get(CHECKSUM..)?;
        Some((*kind, content))
    }
}

fn chunks(bytes: &[u8]) -> Chunks<'_> {
    Chunks(bytes.get(SIGNATURE..).unwrap_or_default())
}

/// The orientation that the file declares, before its pixels or after them, in the first chunk that libpng takes for EXIF data.
pub(super) fn orientation(bytes: &[u8]) -> Orientation {
    let is_exif = |content: &[u8]| content.starts_with(b"II*\0") || content.starts_with(b"MM\0*");
    let first = chunks(bytes).find(|(kind, content)| kind == b"eXIf" && is_exif(content));
    exif::orientation(first.map(|(_, content)| content))
}

/// How values grow with light, in units of libpng: as `value ^ (100000 / gamma)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gamma(u32);

impl Gamma {
    /// What a value of 1 is: light itself.
    const UNIT: f64 = 100_000.0;
    /// That of an sRGB chunk.
    const SRGB: u32 = 45_455;

    /// The gamma by which libpng makes grey of colours: none where it computes with values as they are.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        // What libpng takes for no gamma, and for one that makes no difference.
        const KNOWN: std::ops::RangeInclusive<u32> = 16..=625_000_000;
        const LINEAR: std::ops::RangeInclusive<u32> = 95_000..=105_000;
        let before = chunks(bytes).take_while(|(kind, _)| ![*b"PLTE", *b"IDAT"].contains(kind));
        let mut gamma = None;
        for (kind, content) in before {
            match &kind {
                b"sRGB" if content.len() == 1 && content[0] < 4 => return Some(Self(Self::SRGB)),
                b"gAMA" => {
                    let value = content.try_into().map(u32::from_be_bytes).ok().filter(|value| KNOWN.contains(value));
                    gamma = gamma.or(value);
                }
                _ => {}
            }
        }
        gamma.filter(|gamma| !LINEAR.contains(gamma)).map(Self)
    }

    /// Exponents from values to light, and back, with the rounding of libpng.
    fn exponents(self) -> (f64, f64) {
        let reciprocal = |value: f64| (1e10 / value + 0.5).floor();
        let to_light = reciprocal(f64::from(self.0));
        (to_light / Self::UNIT, reciprocal(to_light) / Self::UNIT)
    }

    /// Grey of a colour image of 8 bits, weighted in light.
    pub(super) fn grey(self, colour: &Raster<u8>) -> Raster<u8> {
        let table = |exponent: f64| -> Vec<u8> {
            (0..=255).map(|value: u8| (255.0 * (f64::from(value) / 255.0).powf(exponent) + 0.5).floor() as u8).collect()
        };
        let (to_light, from_light) = self.exponents();
        let (to_light, from_light) = (table(to_light), table(from_light));
        weighted(colour, |value| to_light[usize::from(value)].into(), |light| from_light[light as usize])
    }

    /// The same of 16 bits, of which libpng computes with 11 where 8 are wanted of them.
    pub(super) fn deep_grey(self, colour: &Raster<u16>) -> Raster<u16> {
        const LEFT_OUT: u32 = 5;
        const HIGHEST: u16 = u16::MAX >> LEFT_OUT;
        let table = |exponent: f64| -> Vec<u16> {
            let share = |value: u16| f64::from(value) / f64::from(HIGHEST);
            (0..=HIGHEST).map(|value| (65_535.0 * share(value).powf(exponent) + 0.5).floor() as u16).collect()
        };
        let (to_light, from_light) = self.exponents();
        let (to_light, from_light) = (table(to_light), table(from_light));
        weighted(
            colour,
            |value| to_light[usize::from(value >> LEFT_OUT)].into(),
            |light| from_light[(light >> LEFT_OUT) as usize],
        )
    }
}

/// Grey of colours, weighted in light; grey pixels stay as they are.
fn weighted<T: Copy + Default + PartialEq>(
    colour: &Raster<T>,
    to_light: impl Fn(T) -> u32,
    from_light: impl Fn(u32) -> T,
) -> Raster<T> {
    let grey = |pixel: &[T]| match *pixel {
        [red, green, blue, ..] if red != green || red != blue => {
            from_light(GreyRule::LIBPNG_16.grey([red, green, blue].map(&to_light)))
        }
        _ => pixel[0],
    };
    let values = colour.values.chunks_exact(colour.channels).map(grey).collect();
    Raster::new(colour.width, colour.height, 1, values)
}
