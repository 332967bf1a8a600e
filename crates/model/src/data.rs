//! What connectors read and models take: samples, targets and data sets.
//!
//! Closed sets: a new kind of data is a new variant, and the compiler lists the places that must learn it. This file
//! must not know file formats (connectors) nor networks (backends).

use crate::error::Result;
use crate::outputs::Corners;
use crate::tensor::Floats;

/// The kinds of data a connector can yield and a backend can accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataKind {
    /// Decoded images.
    Images,
    /// Rows of numbers.
    Table,
}

/// Pixel values as decoded.
#[derive(Debug, Clone, PartialEq)]
pub enum Pixels {
    /// 8 bits per channel: every image but those read with `unchanged_data`.
    U8(Vec<u8>),
    /// 16 bits per channel, only with `unchanged_data`.
    U16(Vec<u16>),
}

/// One image, after resizing and channel ordering, before any floating-point normalisation.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Values per pixel: 1, 3 or 4.
    pub channels: usize,
    /// `height × width × channels`, interleaved; blue first unless `rgb` was asked.
    pub pixels: Pixels,
    /// Columns of the image as it came, before resizing.
    pub original_width: usize,
    /// Rows of the image as it came, before resizing.
    pub original_height: usize,
    /// Where the image that came is, if there is padding around it.
    pub frame: Option<Frame>,
}

/// The part of a padded image that shows the image as it came, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Columns of padding before it.
    pub left: usize,
    /// Rows of padding above it.
    pub top: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// The sizes of an image: as a network sees it, and as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageSizes {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Columns as it came.
    pub original_width: usize,
    /// Rows as it came.
    pub original_height: usize,
    /// Where the image that came is, if there is padding around it.
    pub frame: Option<Frame>,
}

impl Image {
    /// Its sizes.
    pub fn sizes(&self) -> ImageSizes {
        let Self { width, height, original_width, original_height, frame, .. } = *self;
        ImageSizes { width, height, original_width, original_height, frame }
    }
}

/// `mean`, `std` and `scale` of the image connector, as resolved. How they combine depends on the mllib
/// (contract.md 3.2, "Order of work on one image"), so the backend applies them.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalization {
    /// Subtracted per channel; empty: none given.
    pub mean: Vec<f32>,
    /// Divided by (or multiplied with, for ncnn) per channel; empty: none given.
    pub std: Vec<f32>,
    /// Pixel multiplier, 1 by default.
    pub scale: f32,
}

impl Default for Normalization {
    fn default() -> Self {
        Self { mean: Vec::new(), std: Vec::new(), scale: 1.0 }
    }
}

/// The items of one request or one training batch, in the order of `data`.
#[derive(Debug, Clone, PartialEq)]
pub enum Samples {
    /// `[rows, columns]`: numbers ready for the network.
    Table(Floats),
    /// Images of equal or of different sizes.
    Images {
        /// One per item.
        images: Vec<Image>,
        /// The same for all of them.
        normalization: Normalization,
    },
}

impl Samples {
    /// Number of items.
    pub fn len(&self) -> usize {
        match self {
            Self::Table(tensor) => tensor.rows(),
            Self::Images { images, .. } => images.len(),
        }
    }

    /// True without items.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sizes of images; nothing of a table.
    pub fn image_sizes(&self) -> Vec<ImageSizes> {
        match self {
            Self::Table(_) => Vec::new(),
            Self::Images { images, .. } => images.iter().map(Image::sizes).collect(),
        }
    }

    /// Which kind these are.
    pub fn kind(&self) -> DataKind {
        match self {
            Self::Table(_) => DataKind::Table,
            Self::Images { .. } => DataKind::Images,
        }
    }
}

/// A box that is in an image, as people drew it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrueBox {
    /// What is in it.
    pub class: usize,
    /// In pixels of the image as it came.
    pub corners: Corners,
}

/// What the answers should be, for training and for measures.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// One class id per item. May be negative when `label_offset` is wrong; measures and trainers refuse that
    /// with the text of contract.md 4.3.
    Classes(Vec<i64>),
    /// `[items, targets]`.
    Values(Floats),
    /// What is in each image, and where.
    Boxes(Vec<Vec<TrueBox>>),
    /// Some items are of a class that the network does not have, by this name: nothing can be measured with them.
    Unknown {
        /// The name.
        class: String,
        /// Number of items.
        items: usize,
    },
}

impl Targets {
    /// Number of items.
    pub fn len(&self) -> usize {
        match self {
            Self::Classes(classes) => classes.len(),
            Self::Values(tensor) => tensor.rows(),
            Self::Boxes(images) => images.len(),
            Self::Unknown { items, .. } => *items,
        }
    }

    /// True without items.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Samples with their names and, where known, their targets. All three have the same length.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The items.
    pub samples: Samples,
    /// `uri` of each prediction (contract.md 3.2, 3.3).
    pub uris: Vec<String>,
    /// Present when the data carries labels.
    pub targets: Option<Targets>,
}

/// A training or test set, read in any order.
pub trait Dataset: Send + Sync {
    /// Number of items.
    fn len(&self) -> usize;

    /// True without items.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The items at `indices`, in that order, with targets. Images are decoded here, in parallel.
    ///
    /// # Errors
    /// [`crate::error::Error::BadInput`] naming the file or line that cannot be read.
    fn batch(&self, indices: &[usize]) -> Result<Batch>;
}

/// The shape of one sample as a network takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum SampleShape {
    /// Images. `None`: the network takes any size.
    Image {
        /// Columns.
        width: Option<usize>,
        /// Rows.
        height: Option<usize>,
        /// Values per pixel.
        channels: usize,
    },
    /// A row of `columns` numbers.
    Row {
        /// Number of columns.
        columns: usize,
    },
}
