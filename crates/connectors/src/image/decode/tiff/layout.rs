//! How the pixels of a TIFF file are stored, as its first directory says, and what of it is read.
//!
//! It owns which files are refused before a decoder sees them. It must not touch pixels.

use tiff::tags::Tag;

use super::directory::Directory;

/// Samples that a pixel may have, with those that stand for no colour.
const MAX_SAMPLES: u64 = 16;

/// Tables of a JPEG: four of 130 bytes, eight of 276, and markers.
const MAX_TABLE_BYTES: u64 = 1 << 16;

/// A value as the decoder holds it while it reads a list of them, and then as a number, bytes.
const LISTED_BYTES: usize = 40;

/// What the samples of a pixel stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Grey,
    /// Grey whose highest value is black.
    InvertedGrey,
    Colour,
    /// The number of a colour in a table.
    Palette,
    /// Cyan, magenta, yellow and black.
    Inks,
    /// Luma and two differences of colours.
    Luma,
}

impl Meaning {
    fn name(self) -> &'static str {
        match self {
            Self::Grey | Self::InvertedGrey => "grey",
            Self::Colour => "RGB",
            Self::Palette => "a palette",
            Self::Inks => "CMYK",
            Self::Luma => "YCbCr",
        }
    }
}

/// How pixels are compressed, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Jpeg,
    Lzw,
    /// What the decoder knows, or refuses.
    Other,
}

/// See the file's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) meaning: Meaning,
    pub(super) compression: Compression,
    /// Bits per sample.
    pub(super) bits: usize,
    /// Samples per pixel.
    pub(super) samples: usize,
    /// The first sample that stands for no colour is alpha, and colours are not multiplied with it.
    pub(super) is_unassociated: bool,
    /// Bytes begin with their lowest bit.
    pub(super) is_reversed: bool,
    /// Each sample of the pixels is stored apart from the others.
    pub(super) is_planar: bool,
    /// As EXIF has it.
    pub(super) orientation: u8,
    pub(super) chunks: Chunks,
}

/// The strips or tiles that an image is cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunks {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) across: usize,
    /// How many there are.
    pub(super) count: usize,
    pub(super) are_tiles: bool,
}

impl Layout {
    /// What the directory says. Every tag that a decoder reads has as many values as it can have, when this has been found.
    ///
    /// # Errors
    /// What cannot be, and what is not read here, in words.
    pub(super) fn of(directory: &Directory<'_>) -> Result<Self, String> {
        const SINGLE: [Tag; 7] = [
            Tag::RowsPerStrip,
            Tag::TileWidth,
            Tag::TileLength,
            Tag::Predictor,
            Tag::PlanarConfiguration,
            Tag::Compression,
            Tag::PhotometricInterpretation,
        ];
        for tag in SINGLE {
            directory.count(tag, 1)?;
        }
        let (width, height) = (side(directory, Tag::ImageWidth)?, side(directory, Tag::ImageLength)?);
        let samples = within(directory, Tag::SamplesPerPixel, 1, 1..=MAX_SAMPLES)?;
        for tag in [Tag::BitsPerSample, Tag::SampleFormat, Tag::ExtraSamples] {
            directory.count(tag, samples)?;
        }
        directory.count(Tag::ChromaSubsampling, 2)?;
        directory.count(Tag::JPEGTables, MAX_TABLE_BYTES)?;
        let is_planar = within(directory, Tag::PlanarConfiguration, 1, 1..=2)? == 2 && samples > 1;
        let compression = match directory.value(Tag::Compression, 0) {
            Some(5) => Compression::Lzw,
            Some(7) => Compression::Jpeg,
            Some(_) | None => Compression::Other,
        };
        let layout = Self {
            width: width as usize,
            height: height as usize,
            meaning: meaning(directory)?,
            compression,
            bits: within(directory, Tag::BitsPerSample, 1, 1..=64)? as usize,
            samples: samples as usize,
            is_unassociated: directory.value(Tag::ExtraSamples, 0) == Some(2),
            is_reversed: within(directory, Tag::FillOrder, 1, 1..=2)? == 2,
            is_planar,
            orientation: directory.value(Tag::Orientation, 0).and_then(|value| u8::try_from(value).ok()).unwrap_or(1),
            chunks: chunks(directory, (width, height), if is_planar { samples } else { 1 })?,
        };
        layout.check(directory)?;
        Ok(layout)
    }

    /// That pixels like these are read.
    fn check(&self, directory: &Directory<'_>) -> Result<(), String> {
        let format =
            (0..self.samples).filter_map(|index| directory.value(Tag::SampleFormat, index)).find(|it| *it != 1);
        if let Some(format) = format {
            return Err(format!("expected whole numbers without a sign (SampleFormat 1), found SampleFormat {format}"));
        }
        let name = self.meaning.name();
        let (samples, bits): (&[usize], &[usize]) = match (self.meaning, self.samples) {
            (Meaning::Palette, 1) => (&[1], &[1, 2, 4, 8]),
            (Meaning::Palette, _) => (&[1, 2], &[8]),
            (Meaning::Grey | Meaning::InvertedGrey, 1) => (&[1], &[1, 8, 16]),
            (Meaning::Grey, _) => (&[1, 2], &[8, 16]),
            (Meaning::InvertedGrey, _) => (&[1], &[8, 16]),
            (Meaning::Colour, _) => (&[3, 4, 5], &[8, 16]),
            (Meaning::Inks, _) => (&[4], &[8, 16]),
            (Meaning::Luma, _) => (&[3], &[8]),
        };
        one_of(&format!("samples per pixel of {name}"), samples, self.samples)?;
        one_of(&format!("bits per sample of {name}"), bits, self.bits)?;
        match (self.meaning, self.compression) {
            (Meaning::Luma, Compression::Lzw | Compression::Other) => {
                Err("YCbCr is read of JPEG compression alone".to_owned())
            }
            // The decoder takes the planes for rows of tiles.
            _ if self.is_planar && self.chunks.are_tiles => Err("tiles of separate planes are not read".to_owned()),
            (_, Compression::Jpeg) if self.is_planar => {
                Err("JPEG compression of separate planes is not read".to_owned())
            }
            (Meaning::Palette | Meaning::Inks, Compression::Jpeg) => {
                Err(format!("JPEG compression of {name} is not read"))
            }
            (_, Compression::Jpeg) if self.bits != 8 || ![1, 3].contains(&self.samples) => {
                Err("JPEG compression is read of 1 or 3 samples of 8 bits alone".to_owned())
            }
            (_, Compression::Jpeg | Compression::Lzw | Compression::Other) => Ok(()),
        }
    }

    /// Width and height of all tiles below each other, where they are to be read so: the decoder loses the end of LZW data that it reads
    /// row by row, as it does for tiles that are not as wide as the image.
    pub(super) fn stack(&self) -> Option<(usize, usize)> {
        let is_read_by_rows = self.chunks.are_tiles && self.chunks.width != self.width;
        match self.compression {
            Compression::Lzw if is_read_by_rows => {
                Some((self.chunks.width, self.chunks.height.saturating_mul(self.chunks.count)))
            }
            Compression::Lzw | Compression::Jpeg | Compression::Other => None,
        }
    }

    /// What a pixel takes while it is decoded, bytes.
    pub(super) fn pixel_bytes(&self) -> u64 {
        (self.samples * self.bits.div_ceil(8)) as u64
    }

    /// What else the decoder takes: the places and lengths of all strips or tiles, and a row of them, bytes.
    pub(super) fn working_bytes(&self) -> usize {
        let row = self.chunks.width.saturating_mul(self.pixel_bytes() as usize);
        self.chunks.count.saturating_mul(2 * LISTED_BYTES).saturating_add(row)
    }
}

fn one_of(what: &str, known: &[usize], found: usize) -> Result<(), String> {
    if known.contains(&found) {
        return Ok(());
    }
    let known: Vec<String> = known.iter().map(ToString::to_string).collect();
    Err(format!("expected {} {what}, found {found}", known.join(" or ")))
}

/// The only value of a tag, which must be in this range.
fn within(
    directory: &Directory<'_>,
    tag: Tag,
    default: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Result<u64, String> {
    let value = directory.value(tag, 0).unwrap_or(default);
    if range.contains(&value) {
        return Ok(value);
    }
    Err(format!("expected {tag:?} from {} to {}, found {value}", range.start(), range.end()))
}

fn side(directory: &Directory<'_>, tag: Tag) -> Result<u64, String> {
    directory.count(tag, 1)?;
    within(directory, tag, 0, 1..=u64::from(u32::MAX))
}

fn meaning(directory: &Directory<'_>) -> Result<Meaning, String> {
    match directory.value(Tag::PhotometricInterpretation, 0) {
        Some(0) => Ok(Meaning::InvertedGrey),
        Some(1) => Ok(Meaning::Grey),
        Some(2) => Ok(Meaning::Colour),
        Some(3) => Ok(Meaning::Palette),
        Some(5) => Ok(Meaning::Inks),
        Some(6) => Ok(Meaning::Luma),
        Some(other) => {
            Err(format!("expected grey, RGB, a palette, CMYK or YCbCr, found PhotometricInterpretation {other}"))
        }
        None => Err("it has no PhotometricInterpretation".to_owned()),
    }
}

/// Strips or tiles, with as many places and lengths as there are of them.
fn chunks(directory: &Directory<'_>, (width, height): (u64, u64), planes: u64) -> Result<Chunks, String> {
    let are_tiles = directory.has(Tag::TileOffsets);
    let of = |tag, default| within(directory, tag, default, 1..=u64::from(u32::MAX));
    let (chunk_width, chunk_height) = match are_tiles {
        true => (of(Tag::TileWidth, 0)?, of(Tag::TileLength, 0)?),
        false => (width, of(Tag::RowsPerStrip, height)?.min(height)),
    };
    let across = width.div_ceil(chunk_width);
    let count = across.saturating_mul(height.div_ceil(chunk_height)).saturating_mul(planes);
    for tag in [Tag::StripOffsets, Tag::StripByteCounts, Tag::TileOffsets, Tag::TileByteCounts] {
        directory.count(tag, count)?;
    }
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Ok(Chunks {
        width: size(chunk_width),
        height: size(chunk_height),
        across: size(across),
        count: size(count),
        are_tiles,
    })
}

impl Chunks {
    /// Where the bytes of a strip or tile begin, and how many there are.
    pub(super) fn place(&self, directory: &Directory<'_>, index: usize) -> Option<(usize, usize)> {
        let (offsets, lengths) = match self.are_tiles {
            true => (Tag::TileOffsets, Tag::TileByteCounts),
            false => (Tag::StripOffsets, Tag::StripByteCounts),
        };
        let value = |tag| directory.value(tag, index).and_then(|value| usize::try_from(value).ok());
        Some((value(offsets)?, value(lengths)?))
    }
}
