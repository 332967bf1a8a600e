//! Caffe model repositories with random weights: large networks for tests, without a download.
//!
//! `deploy.prototxt` and `model_iter_1.caffemodel` as Caffe and DeepDetect write them. The same seed gives the same bytes on
//! every machine. The weights are scaled so that activations stay finite through all layers and the best class
//! differs from image to image; the answers mean nothing. It must not know how such files are read.

mod caffe;
mod description;
mod resnet;
mod squeezenet;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::str::FromStr;

use description::Description;

/// The networks that can be generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// SqueezeNet 1.1, 227×227, with the layers of DeepDetect's template: 1.2 million weights.
    SqueezeNet,
    /// ResNet-18, 224×224: 11.7 million weights.
    ResNet18,
    /// ResNet-50, 224×224, strides in the 3×3 convolutions: 25.6 million weights.
    ResNet50,
}

/// What varies between generated networks of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation {
    /// Number of classes.
    pub classes: usize,
    /// Different seeds give networks that answer differently.
    pub seed: u64,
}

impl Default for Generation {
    fn default() -> Self {
        Self { classes: 1000, seed: 1 }
    }
}

impl Network {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SqueezeNet, Self::ResNet18, Self::ResNet50];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::SqueezeNet => "squeezenet",
            Self::ResNet18 => "resnet18",
            Self::ResNet50 => "resnet50",
        }
    }

    /// Width and height of the input, pixels.
    pub fn input_size(self) -> usize {
        match self {
            Self::SqueezeNet => 227,
            Self::ResNet18 | Self::ResNet50 => 224,
        }
    }

    /// Writes `deploy.prototxt` and `model_iter_1.caffemodel` into `directory`, which is created.
    ///
    /// # Errors
    /// When the directory or a file cannot be written.
    pub fn write_repository(self, directory: &Path, generation: Generation) -> io::Result<()> {
        let description = self.describe(generation.classes);
        std::fs::create_dir_all(directory)?;
        std::fs::write(directory.join("deploy.prototxt"), caffe::prototxt(&description))?;
        let mut weights = BufWriter::new(File::create(directory.join("model_iter_1.caffemodel"))?);
        caffe::write_caffemodel(&description, generation.seed, &mut weights)?;
        weights.flush()
    }

    fn describe(self, classes: usize) -> Description {
        match self {
            Self::SqueezeNet => squeezenet::describe(classes),
            Self::ResNet18 => resnet::describe_18(classes),
            Self::ResNet50 => resnet::describe_50(classes),
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|network| network.name() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|network| network.name()).collect();
            format!("expected one of {}, found {name:?}", known.join(", "))
        })
    }
}

#[cfg(test)]
mod tests;
