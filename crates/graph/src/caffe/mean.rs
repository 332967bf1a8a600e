//! A mean image (`BlobProto`): it owns what is one, and knows nothing of networks.

use super::blob::Blob;
use crate::error::{Error, Result};
use crate::formats;
use crate::shape::Shape;

/// A mean image, to be subtracted from each image before the network.
#[derive(Debug, Clone, PartialEq)]
pub struct MeanImage {
    /// `[channels, height, width]`.
    pub shape: Shape,
    /// Row major; channels in the order the images had, blue first as a rule.
    pub data: Vec<f32>,
}

impl MeanImage {
    /// Mean of each channel.
    #[must_use]
    pub fn channel_means(&self) -> Vec<f32> {
        let channels = self.shape.dims().first().copied().unwrap_or(1).max(1);
        let size = (self.data.len() / channels).max(1);
        let mean = |plane: &[f32]| plane.iter().map(|&value| f64::from(value)).sum::<f64>() / plane.len() as f64;
        self.data.chunks(size).map(|plane| mean(plane) as f32).collect()
    }
}

/// Reads a mean image (`mean.binaryproto`).
///
/// # Errors
/// Says where the file is broken, or that it is no image.
pub fn read_mean(bytes: &[u8]) -> Result<MeanImage> {
    let read = || {
        if let Some(found) = formats::other(bytes) {
            return Err(format!("expected a BlobProto of Caffe, found {found}"));
        }
        let blob = Blob::read(bytes)?;
        let shape = match blob.dims.as_slice() {
            [dims @ .., channels, height, width] if dims.iter().all(|&dim| dim == 1) => {
                Shape::image(*channels, *height, *width)
            }
            other => {
                return Err(format!("a mean image should have shape [1, channels, height, width], found {other:?}"));
            }
        };
        let count = shape.elements()?;
        if blob.len() != count {
            return Err(format!("shape {shape} wants {count} values, found {}", blob.len()));
        }
        Ok(MeanImage { shape, data: blob.to_vec()? })
    };
    read().map_err(|message| Error::Format(format!("not a Caffe mean image: {message}")))
}
