//! The work on one image: decode, resize, pad, grey, equalize, channel order (contract.md 3.2).
//!
//! It must not know where bytes come from, nor normalise: backends do.

use std::cell::Cell;

use dede_model::data::{Frame, Image, Pixels as OutPixels};
use dede_model::error::Error;
use dede_model::picture::Picture;
use dede_model::request_memory::MemoryShare;

use super::colour::{self, GreyRule, Order};
use super::decode::{self, Decoded, Mode, Pixels, Room, Undecoded};
use super::options::{Colours, Settings};
use super::raster::Raster;
use super::resize::{self, Sample};

thread_local! {
    /// Memory of the last decoded image of this thread: pages that need not be mapped and cleared again.
    static DECODED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Larger memory goes back to the system.
const KEPT_BYTES: usize = 4 << 20;

/// Why an image could not be made ready.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// The bytes are no image that can be read.
    Unreadable(String),
    /// The size asked for cannot be reached from this image, or its colours cannot be changed as asked.
    Unfit(String),
    /// There is no memory for it.
    Memory(Error),
}

impl From<Undecoded> for Failure {
    fn from(undecoded: Undecoded) -> Self {
        match undecoded {
            Undecoded::Unreadable(reason) => Self::Unreadable(reason),
            Undecoded::Memory(error) => Self::Memory(error),
        }
    }
}

/// What is kept of an image beside what a network takes, for the actions of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeping {
    /// Nothing.
    Nothing,
    /// The image as it came.
    Original,
    /// The image as the network sees it.
    Seen,
}

/// Makes one image ready. The image counts in `memory`, and until it is ready what it takes to make it.
///
/// # Errors
/// [`Failure`], with the cause in words.
pub(super) fn process(
    bytes: &[u8],
    settings: &Settings,
    keeping: Keeping,
    memory: &MemoryShare,
) -> Result<(Image, Option<Picture>), Failure> {
    let mode = match settings.colours {
        Colours { unchanged: true, .. } => Mode::Unchanged,
        Colours { grey: true, .. } => Mode::Grey,
        Colours { .. } => Mode::Colour,
    };
    let mut room = Room::new(settings.max_pixels, memory);
    let Decoded { pixels, order } = decode::decode(bytes, mode, &mut room, DECODED.take())?;
    match pixels {
        Pixels::U8(source) => {
            let (image, picture, spent) = made(source, order, settings, keeping, memory)?;
            DECODED.set(spent.filter(|memory| memory.capacity() <= KEPT_BYTES).unwrap_or_default());
            Ok((image, picture))
        }
        Pixels::U16(_) if keeping != Keeping::Nothing => Err(Failure::Unfit(NOT_HANDED_ON.to_owned())),
        Pixels::U16(source) => {
            let original = (source.width, source.height);
            let frame = frame(settings, original);
            let raster = grey(fit(source, settings, memory)?.0, order, settings.colours);
            if settings.equalize {
                return Err(Failure::Unfit("histogram_equalization needs 8 bits per channel, found 16".to_owned()));
            }
            Ok((ordered(raster, order, settings.colours, (original, frame), OutPixels::U16), None))
        }
    }
}

/// Why an image as it is in its file goes no further.
const NOT_HANDED_ON: &str =
    "the actions of a chain work on grey or colours of 8 bits, and unchanged_data keeps what the file has";

/// Makes the image that a network takes of a picture that an action of a chain made.
///
/// # Errors
/// As [`process`]; [`Failure::Unfit`] for a grey picture where colours are read.
pub(super) fn process_picture(
    picture: &Picture,
    settings: &Settings,
    keeping: Keeping,
    memory: &MemoryShare,
) -> Result<(Image, Option<Picture>), Failure> {
    let (width, height, channels) = (picture.width(), picture.height(), picture.channels());
    if channels == 1 && !settings.colours.grey && !settings.colours.unchanged {
        let text = "the call before read it in grey (bw), and this one reads colours: expected bw of both or of none";
        return Err(Failure::Unfit(text.to_owned()));
    }
    let copied = memory.try_borrow(picture.bytes()).map_err(Failure::Memory)?;
    let source = Raster::new(width, height, channels, picture.pixels().to_vec());
    // What came is what was made: it need not be kept twice.
    let within = if keeping == Keeping::Original { Keeping::Nothing } else { keeping };
    let (image, seen, spent) = made(source, Order::RedFirst, settings, within, memory)?;
    drop((spent, copied));
    let kept = match keeping {
        Keeping::Nothing => None,
        Keeping::Original => {
            memory.grow(picture.bytes()).map_err(Failure::Memory)?;
            Some(picture.clone())
        }
        Keeping::Seen => seen,
    };
    Ok((image, kept))
}

/// An image, what is kept of it, and memory that is no longer used.
type Made = (Image, Option<Picture>, Option<Vec<u8>>);

/// Makes an image, and a picture of it where one is to be kept: that counts in `memory`.
fn made(
    source: Raster<u8>,
    order: Order,
    settings: &Settings,
    keeping: Keeping,
    memory: &MemoryShare,
) -> Result<Made, Failure> {
    if keeping != Keeping::Nothing && (settings.colours.unchanged || !matches!(source.channels, 1 | 3)) {
        return Err(Failure::Unfit(NOT_HANDED_ON.to_owned()));
    }
    let original = (source.width, source.height);
    let frame = frame(settings, original);
    let (channels, mut picture) = (source.channels, None);
    if keeping == Keeping::Original {
        memory.grow(source.values.len() as u64).map_err(Failure::Memory)?;
    }
    let (mut raster, mut spent) = fit(source, settings, memory)?;
    if keeping == Keeping::Original {
        // Where it was resized, its own memory is free.
        let mut values = spent.take().unwrap_or_else(|| raster.values.clone());
        values.shrink_to_fit();
        picture = Some(picture_of(Raster::new(original.0, original.1, channels, values), order)?);
    }
    raster = grey(raster, order, settings.colours);
    if settings.equalize {
        equalize(&mut raster, order)?;
    }
    if keeping == Keeping::Seen {
        memory.grow(raster.values.len() as u64).map_err(Failure::Memory)?;
        picture = Some(picture_of(raster.clone(), order)?);
    }
    Ok((ordered(raster, order, settings.colours, (original, frame), OutPixels::U8), picture, spent))
}

/// A picture of these pixels.
fn picture_of(mut raster: Raster<u8>, order: Order) -> Result<Picture, Failure> {
    if raster.channels == 3 && order == Order::BlueFirst {
        colour::swap_red_and_blue(&mut raster.values, raster.channels);
    }
    let Raster { width, height, channels, values } = raster;
    Picture::new(width, height, channels, values).map_err(Failure::Unfit)
}

/// Where an image of this size is in the square that it is padded to ([`Raster::padded_to_square`]).
fn frame(settings: &Settings, original: (usize, usize)) -> Option<Frame> {
    let side = settings.target.square()?;
    let scaling = settings.target.scaling(original);
    let (width, height) = (scaling.width, scaling.height);
    Some(Frame { left: side.saturating_sub(width) / 2, top: side.saturating_sub(height) / 2, width, height })
}

/// Resizes and pads; also gives the memory of the source back when it is no longer used.
fn fit<T: Sample>(
    source: Raster<T>,
    settings: &Settings,
    memory: &MemoryShare,
) -> Result<(Raster<T>, Option<Vec<T>>), Failure> {
    let scaling = settings.target.scaling((source.width, source.height));
    let pixels = scaling.width as u64 * scaling.height as u64;
    if !(1..=settings.max_pixels).contains(&pixels) {
        let (from, to) = ((source.width, source.height), (scaling.width, scaling.height));
        return Err(Failure::Unfit(format!("{}x{} would become {}x{}", from.0, from.1, to.0, to.1)));
    }
    let square = settings.target.square().map_or(0, |side| side as u64 * side as u64);
    // One of three channels may be made of one.
    let values = pixels.max(square) * source.channels.max(3) as u64;
    memory.grow(values.saturating_mul(size_of::<T>() as u64)).map_err(Failure::Memory)?;
    let (raster, spent) = match resize::resize(&source, &scaling, settings.interpolation) {
        Some(resized) => (resized, Some(source.values)),
        None => (source, None),
    };
    match settings.target.square() {
        Some(side) if (raster.width, raster.height) != (side, side) => {
            let padded = raster.padded_to_square(side);
            Ok((padded, spent.or(Some(raster.values))))
        }
        _ => Ok((raster, spent)),
    }
}

fn grey<T: Copy + Default + Into<u32> + TryFrom<u32>>(raster: Raster<T>, order: Order, colours: Colours) -> Raster<T> {
    if colours.grey && raster.channels > 1 { colour::to_grey(&raster, order, GreyRule::CONVERSION) } else { raster }
}

fn equalize(raster: &mut Raster<u8>, order: Order) -> Result<(), Failure> {
    if raster.channels > 3 {
        return Err(Failure::Unfit("histogram_equalization needs 1 or 3 channels, found 4".to_owned()));
    }
    colour::equalize(raster, order);
    Ok(())
}

/// Brings channels into the order asked for.
fn ordered<T: Copy + Default>(
    mut raster: Raster<T>,
    order: Order,
    colours: Colours,
    ((original_width, original_height), frame): ((usize, usize), Option<Frame>),
    wrap: impl FnOnce(Vec<T>) -> OutPixels,
) -> Image {
    if raster.channels == 1 && colours.channels() == Some(3) {
        raster = colour::replicate(&raster, 3);
    } else if raster.channels >= 3 && (order == Order::RedFirst) != colours.red_first {
        colour::swap_red_and_blue(&mut raster.values, raster.channels);
    }
    let Raster { width, height, channels, values } = raster;
    Image { width, height, channels, pixels: wrap(values), original_width, original_height, frame }
}
