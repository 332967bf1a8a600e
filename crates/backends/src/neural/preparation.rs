//! From samples to what a network takes: layout, type and normalisation in one pass.
//!
//! It owns the order of arithmetic of each mllib (contract.md 3.2, "Order of work on one image"). Predicting and training use
//! the same function, so that a network is served what it was trained on. It must not know engines or files.

use std::ops::Range;

use dede_model::data::{Image, Normalization, Pixels, SampleShape, Samples};
use dede_model::error::{Error, Result};
use dede_model::parameters::Section;
use dede_model::tensor::Floats;
use serde_json::Value;

use super::engine::{Tensor, Values, floats};

/// How one batch looks to the network.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Preparation {
    /// One sample.
    pub(super) shape: SampleShape,
    /// Extents of one row of a table as the network's file has them, such as `[4, 1, 1]`; their product is the number of
    /// columns. Images have theirs from `shape` and `layout`.
    pub(super) row: Vec<usize>,
    /// Order of an image's axes.
    pub(super) layout: Layout,
    /// Type of the input.
    pub(super) input: InputType,
    /// Arithmetic on pixels.
    pub(super) arithmetic: Arithmetic,
    /// What the service was created with: that of most requests.
    pub(super) usual: Normalization,
}

/// Order of an image's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Channels, rows, columns.
    ChannelsFirst,
    /// Rows, columns, channels.
    ChannelsLast,
}

/// Type of a network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InputType {
    /// 32-bit floats.
    F32,
    /// Bytes: pixels as decoded; the network normalises them itself.
    U8,
}

/// Which arithmetic an mllib does on pixels.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Arithmetic {
    /// `(x - mean) × scale`; the input connector's `mean` comes on top of means per channel, and has no place beside a mean image. The
    /// connector's `scale` and `std` have none at all.
    Caffe {
        /// The network's own mean.
        mean: Mean,
        /// `mllib.scale`.
        scale: f32,
    },
    /// `(x × scale - mean) / std`, all of them of the input connector.
    Scaled,
}

/// A mean that belongs to a network.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Mean {
    /// None.
    Absent,
    /// One for each channel, or one for all.
    Channels(Vec<f32>),
    /// One for each pixel, of a file such as `mean.binaryproto`: the input connector's is not subtracted then.
    Image {
        /// The file.
        file: String,
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// `channels × height × width`.
        values: Vec<f32>,
    },
}

impl Mean {
    /// With the `mean_value`s of a network's description on top: the original subtracts both, the image from the file and the
    /// values per channel (or the one for all).
    pub(super) fn plus(self, channels: &[f32]) -> Self {
        match self {
            Self::Image { file, width, height, mut values } if !channels.is_empty() => {
                for (channel, plane) in values.chunks_mut((width * height).max(1)).enumerate() {
                    let value = channels.get(channel).or(channels.first()).copied().unwrap_or(0.0);
                    plane.iter_mut().for_each(|mean| *mean += value);
                }
                Self::Image { file, width, height, values }
            }
            other @ (Self::Absent | Self::Channels(_) | Self::Image { .. }) => other,
        }
    }
}

/// `(x × before - mean) × after` for one channel.
#[derive(Debug, Clone, Copy)]
struct Channel {
    before: f32,
    mean: f32,
    after: f32,
}

impl Channel {
    fn apply(self, pixel: f32, mean: f32) -> f32 {
        (pixel * self.before - mean) * self.after
    }
}

/// Interleaved pixels of `N` channels into one plane for each. The number is known to the compiler for speed.
fn planes<T: Copy + Into<f32>, const N: usize>(
    pixels: &[T],
    affine: &[Channel],
    mean: Option<&[f32]>,
    target: &mut [f32],
) {
    let (pixels, _) = pixels.as_chunks::<N>();
    let size = pixels.len().max(1);
    for (index, (channel, plane)) in affine.iter().zip(target.chunks_exact_mut(size)).enumerate().take(N) {
        match mean {
            None => {
                for (to, pixel) in plane.iter_mut().zip(pixels) {
                    *to = channel.apply(pixel[index].into(), channel.mean);
                }
            }
            Some(mean) => {
                for ((to, pixel), mean) in plane.iter_mut().zip(pixels).zip(&mean[index * size..]) {
                    *to = channel.apply(pixel[index].into(), *mean);
                }
            }
        }
    }
}

impl Preparation {
    /// Checks that every sample fits, without converting any.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming what the network takes and what was found.
    pub(super) fn check(&self, samples: &Samples) -> Result<()> {
        match (samples, self.shape) {
            (Samples::Table(table), SampleShape::Row { columns }) if table.row_len() == columns => Ok(()),
            (Samples::Table(table), SampleShape::Row { columns }) => {
                let found = table.row_len();
                Err(misfit(format!("the network takes {columns} columns, found {found}")))
            }
            (Samples::Images { images, normalization }, SampleShape::Image { width, height, channels }) => {
                let size = |size: Option<usize>| size.map_or_else(|| "any".to_owned(), |size| size.to_string());
                for image in images {
                    let fits = width.is_none_or(|width| width == image.width)
                        && height.is_none_or(|height| height == image.height)
                        && channels == image.channels;
                    if !fits {
                        let (width, height) = (size(width), size(height));
                        let Image { width: w, height: h, channels: c, .. } = image;
                        return Err(misfit(format!(
                            "the network takes images of width {width}, height {height} and {channels} channels, \
                             found {w}, {h} and {c}"
                        )));
                    }
                }
                self.check_normalization(normalization, channels)
            }
            (Samples::Table(_), SampleShape::Image { .. }) => {
                Err(misfit("the network takes images, found rows".into()))
            }
            (Samples::Images { .. }, SampleShape::Row { .. }) => {
                Err(misfit("the network takes rows, found images".into()))
            }
        }
    }

    fn check_normalization(&self, normalization: &Normalization, channels: usize) -> Result<()> {
        for (name, values) in [("mean", &normalization.mean), ("std", &normalization.std)] {
            if !values.is_empty() && values.len() != channels {
                let reason =
                    format!("{name} vector be of size the number of channels: {channels}, found {}", values.len());
                return Err(Error::bad_parameter_at(format!("parameters.input.{name}"), reason));
            }
        }
        if let Arithmetic::Caffe { mean: Mean::Image { file, .. }, .. } = &self.arithmetic
            && normalization.mean.iter().any(|&mean| mean != 0.0)
        {
            return Err(beside_mean_image(file));
        }
        if let Arithmetic::Caffe { .. } = self.arithmetic
            && let Some(key) = without_place(normalization)
        {
            return Err(Error::bad_parameter_at(format!("parameters.input.{key}"), WITHOUT_PLACE));
        }
        if self.input == InputType::U8 && *normalization != Normalization::default() {
            let reason = "the network takes pixels as they are: mean, std and scale cannot be applied";
            return Err(Error::bad_parameter_at("parameters.input", reason));
        }
        Ok(())
    }

    /// The samples of `range`, which [`Preparation::check`] has seen, as one batch.
    ///
    /// # Errors
    /// [`Error::BadParameter`] when images of a batch differ in size, or from the mean image.
    pub(super) fn batch(&self, samples: &Samples, range: Range<usize>) -> Result<Tensor> {
        let count = range.len();
        let (extents, values) = match samples {
            Samples::Table(table) => {
                let columns = table.row_len();
                let rows = &table.values()[range.start * columns..range.end * columns];
                (self.row.clone(), Values::F32(rows.to_vec()))
            }
            Samples::Images { images, normalization } => self.images(&images[range], normalization)?,
        };
        let shape = std::iter::once(count).chain(extents).collect();
        Tensor::new(shape, values).map_err(|error| misfit(error.to_string()))
    }

    fn images(&self, images: &[Image], normalization: &Normalization) -> Result<(Vec<usize>, Values)> {
        let Some(first) = images.first() else { return Ok((vec![0], Values::F32(Vec::new()))) };
        let (width, height, channels) = (first.width, first.height, first.channels);
        if images.iter().any(|image| (image.width, image.height) != (width, height)) {
            return Err(misfit("images of one batch must be of one size".into()));
        }
        let extents = match self.layout {
            Layout::ChannelsFirst => vec![channels, height, width],
            Layout::ChannelsLast => vec![height, width, channels],
        };
        if self.input == InputType::U8 {
            return Ok((extents, self.bytes(images)?));
        }
        let affine = self.channels(normalization, channels);
        let mean = self.mean_image(first)?;
        let mut values = vec![0.0; images.len() * channels * height * width];
        for (image, target) in images.iter().zip(values.chunks_exact_mut((channels * height * width).max(1))) {
            match &image.pixels {
                Pixels::U8(pixels) => self.convert(pixels, &affine, mean, target),
                Pixels::U16(pixels) => self.convert(pixels, &affine, mean, target),
            }
        }
        Ok((extents, Values::F32(values)))
    }

    /// The arithmetic for each channel.
    fn channels(&self, normalization: &Normalization, channels: usize) -> Vec<Channel> {
        let of = |values: &[f32], channel: usize, default: f32| match values {
            [one] => *one,
            many => many.get(channel).copied().unwrap_or(default),
        };
        let one = |channel| match &self.arithmetic {
            Arithmetic::Caffe { mean, scale } => {
                let asked = of(&normalization.mean, channel, 0.0);
                let mean = match mean {
                    Mean::Image { .. } => 0.0,
                    Mean::Channels(own) => of(own, channel, 0.0) + asked,
                    Mean::Absent => asked,
                };
                Channel { before: 1.0, mean, after: *scale }
            }
            Arithmetic::Scaled => Channel {
                before: normalization.scale,
                mean: of(&normalization.mean, channel, 0.0),
                after: 1.0 / of(&normalization.std, channel, 1.0),
            },
        };
        (0..channels).map(one).collect()
    }

    /// The mean of each pixel, where the network has one.
    fn mean_image(&self, image: &Image) -> Result<Option<&[f32]>> {
        let Arithmetic::Caffe { mean: Mean::Image { width, height, values, .. }, .. } = &self.arithmetic else {
            return Ok(None);
        };
        if (*width, *height) == (image.width, image.height) && values.len() == width * height * image.channels {
            return Ok(Some(values));
        }
        let channels = values.len() / (width * height).max(1);
        let Image { width: w, height: h, channels: c, .. } = image;
        Err(misfit(format!(
            "the mean image has width {width}, height {height} and {channels} channels, \
             the images have {w}, {h} and {c}"
        )))
    }

    /// One image, interleaved, into `target`. `mean` is in planes.
    fn convert<T: Copy + Into<f32>>(&self, pixels: &[T], affine: &[Channel], mean: Option<&[f32]>, target: &mut [f32]) {
        match (self.layout, affine.len()) {
            (Layout::ChannelsFirst, 1) => planes::<T, 1>(pixels, affine, mean, target),
            (Layout::ChannelsFirst, 3) => planes::<T, 3>(pixels, affine, mean, target),
            (Layout::ChannelsFirst, 4) => planes::<T, 4>(pixels, affine, mean, target),
            // Other networks than Caffe's have no mean image.
            (Layout::ChannelsLast | Layout::ChannelsFirst, channels) => {
                for (target, pixels) in target.chunks_exact_mut(channels).zip(pixels.chunks_exact(channels)) {
                    for ((to, pixel), channel) in target.iter_mut().zip(pixels).zip(affine) {
                        *to = channel.apply((*pixel).into(), channel.mean);
                    }
                }
            }
        }
    }

    fn bytes(&self, images: &[Image]) -> Result<Values> {
        let mut values = Vec::new();
        for image in images {
            let Pixels::U8(pixels) = &image.pixels else {
                return Err(misfit("the network takes 8-bit pixels, found 16-bit ones".into()));
            };
            match self.layout {
                Layout::ChannelsLast => values.extend_from_slice(pixels),
                Layout::ChannelsFirst => {
                    for channel in 0..image.channels {
                        values.extend(pixels.iter().skip(channel).step_by(image.channels));
                    }
                }
            }
        }
        Ok(Values::U8(values))
    }
}

/// Samples of a training set as `[items, …]`, with the arithmetic a predict on the trained network will have.
///
/// # Errors
/// As [`Preparation::batch`].
pub(super) fn prepare_for_training(samples: &Samples, arithmetic: &Arithmetic) -> Result<Floats> {
    let (shape, row) = match samples {
        Samples::Table(table) => (SampleShape::Row { columns: table.row_len() }, vec![table.row_len()]),
        Samples::Images { images, .. } => {
            let channels = images.first().map_or(0, |image| image.channels);
            (SampleShape::Image { width: None, height: None, channels }, Vec::new())
        }
    };
    let preparation = Preparation {
        shape,
        row,
        layout: Layout::ChannelsFirst,
        input: InputType::F32,
        arithmetic: arithmetic.clone(),
        usual: Normalization::default(),
    };
    preparation.check(samples)?;
    floats(preparation.batch(samples, 0..samples.len())?).map_err(|error| Error::Internal(error.to_string()))
}

/// The normalisation of `parameters.input`, whose values the connector checks.
pub(super) fn usual_normalization(input: &Section) -> Normalization {
    let number = |value: &Value| value.as_f64().map(|number| number as f32);
    let list = |key: &str| {
        let values = input.get(key).and_then(Value::as_array);
        values.and_then(|values| values.iter().map(number).collect::<Option<Vec<f32>>>()).unwrap_or_default()
    };
    let scale = input.get("scale").and_then(number).unwrap_or(1.0);
    Normalization { mean: list("mean"), std: list("std"), scale }
}

/// What is said of a mean of the request where the repository has a mean image, which the original subtracts alone.
pub(super) fn beside_mean_image(file: &str) -> Error {
    let reason = format!("expected none beside {file}, the mean image of the repository, which is subtracted alone");
    Error::bad_parameter_at("parameters.input.mean", reason)
}

/// Why a network of Caffe cannot be given [`without_place`].
pub(super) const WITHOUT_PLACE: &str =
    "expected none with a network of Caffe, whose pixels are multiplied by parameters.mllib.scale alone";

/// The key of what a network of Caffe has no place for.
fn without_place(normalization: &Normalization) -> Option<&'static str> {
    if normalization.std.iter().any(|&divisor| divisor != 1.0) {
        return Some("std");
    }
    (normalization.scale != 1.0).then_some("scale")
}

fn misfit(reason: String) -> Error {
    Error::bad_parameter_at("parameters.input", reason)
}

#[cfg(test)]
mod tests;
