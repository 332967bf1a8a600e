//! The room that decoding one image may take: pixels it may declare, and the memory for them.

use dede_model::error::Error;
use dede_model::request_memory::{Borrowed, MemoryShare};

/// Why an image was not decoded.
#[derive(Debug, Clone)]
pub(in crate::image) enum Undecoded {
    /// The bytes are no image that can be read.
    Unreadable(String),
    /// There is no memory for it.
    Memory(Error),
}

impl From<String> for Undecoded {
    fn from(reason: String) -> Self {
        Self::Unreadable(reason)
    }
}

impl From<&str> for Undecoded {
    fn from(reason: &str) -> Self {
        Self::Unreadable(reason.to_owned())
    }
}

/// What decoding may take. The memory is given back with it.
#[derive(Debug)]
pub(in crate::image) struct Room<'a> {
    most_pixels: u64,
    memory: &'a MemoryShare,
    taken: Option<Borrowed<'a>>,
    /// Counted beside the pixels, bytes.
    copied: u64,
}

impl<'a> Room<'a> {
    /// For an image of at most so many pixels.
    pub(in crate::image) fn new(most_pixels: u64, memory: &'a MemoryShare) -> Self {
        Self { most_pixels, memory, taken: None, copied: 0 }
    }

    /// Most pixels.
    pub(super) fn most_pixels(&self) -> u64 {
        self.most_pixels
    }

    /// Room for a part of the image, which is decoded by itself.
    pub(super) fn beside(&self, most_pixels: u64) -> Self {
        Self::new(most_pixels, self.memory)
    }

    /// Takes the memory for an image that declares this size, and takes so many bytes for each of its pixels while it is decoded.
    ///
    /// # Errors
    /// [`Undecoded`] for what is empty or larger than allowed, and where there is no memory.
    pub(super) fn take(&mut self, width: usize, height: usize, bytes_per_pixel: u64) -> Result<(), Undecoded> {
        let (pixels, most) = (width as u64 * height as u64, self.most_pixels);
        if !(1..=most).contains(&pixels) {
            return Err(format!("it declares {width}x{height} pixels, expected from 1 to {most} in all").into());
        }
        self.taken = Some(self.memory.borrow(pixels.saturating_mul(bytes_per_pixel)).map_err(Undecoded::Memory)?);
        Ok(())
    }

    /// Takes the memory for copies and lists beside the pixels, bytes.
    ///
    /// # Errors
    /// [`Undecoded::Memory`] where there is none.
    pub(super) fn take_copy(&mut self, bytes: usize) -> Result<(), Undecoded> {
        self.memory.grow(bytes as u64).map_err(Undecoded::Memory)?;
        self.copied += bytes as u64;
        Ok(())
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.memory.shrink(self.copied);
    }
}
