//! A set of labelled images, decoded when they are asked for and kept as far as memory allows.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use dede_model::data::{Batch, Dataset, Image, Pixels, Samples, Targets};
use dede_model::error::{Error, Result};
use dede_model::tensor::Floats;
use rayon::prelude::*;

use super::items;
use super::options::Settings;

/// Memory for resized images of one training run, bytes. What does not fit is decoded again in each epoch.
const CACHE_BYTES: u64 = 512 << 20;

/// What an image should be recognised as.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Target {
    Class(i64),
    Values(Vec<f32>),
}

/// One labelled image file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub(super) path: PathBuf,
    pub(super) target: Target,
}

/// How much the sets of one training run may still keep. Nothing is evicted: every epoch asks for everything, in
/// another order, so what is kept is as good as what would replace it.
#[derive(Debug)]
pub(super) struct Cache {
    free_bytes: AtomicU64,
}

impl Default for Cache {
    fn default() -> Self {
        Self { free_bytes: AtomicU64::new(CACHE_BYTES) }
    }
}

impl Cache {
    /// Whether so much may be kept; it is then taken.
    fn take(&self, bytes: u64) -> bool {
        let take = |free: u64| free.checked_sub(bytes);
        self.free_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

/// See the file's head.
pub(super) struct ImageDataset {
    samples: Vec<Sample>,
    kept: Vec<OnceLock<Image>>,
    settings: Arc<Settings>,
    cache: Arc<Cache>,
}

impl ImageDataset {
    pub(super) fn new(samples: Vec<Sample>, settings: Arc<Settings>, cache: Arc<Cache>) -> Self {
        let kept = samples.iter().map(|_| OnceLock::new()).collect();
        Self { samples, kept, settings, cache }
    }

    /// A copy of one image, read if it is not kept yet.
    fn image(&self, index: usize) -> Result<Image> {
        if let Some(image) = self.kept[index].get() {
            return Ok(image.clone());
        }
        let image = items::read_path(&self.samples[index].path, &self.settings)?;
        if self.cache.take(size_bytes(&image)) {
            // Another thread may have kept it meanwhile: the same image.
            let _ = self.kept[index].set(image.clone());
        }
        Ok(image)
    }

    fn targets(&self, indices: &[usize]) -> Result<Targets> {
        let (mut classes, mut values) = (Vec::new(), Vec::new());
        for &index in indices {
            match &self.samples[index].target {
                Target::Class(id) => classes.push(*id),
                Target::Values(numbers) => values.extend_from_slice(numbers),
            }
        }
        if values.is_empty() {
            return Ok(Targets::Classes(classes));
        }
        let columns = values.len() / indices.len();
        let tensor = Floats::new(vec![indices.len(), columns], values);
        tensor.map(Targets::Values).map_err(|error| Error::Internal(error.to_string()))
    }
}

fn size_bytes(image: &Image) -> u64 {
    match &image.pixels {
        Pixels::U8(values) => values.len() as u64,
        Pixels::U16(values) => 2 * values.len() as u64,
    }
}

impl Dataset for ImageDataset {
    fn len(&self) -> usize {
        self.samples.len()
    }

    fn batch(&self, indices: &[usize]) -> Result<Batch> {
        if let Some(outside) = indices.iter().find(|index| **index >= self.samples.len()) {
            return Err(Error::Internal(format!("image {outside} of {} was asked for", self.samples.len())));
        }
        let images: Vec<Result<Image>> = indices.par_iter().map(|&index| self.image(index)).collect();
        let images = images.into_iter().collect::<Result<_>>()?;
        let uris = indices.iter().map(|&index| self.samples[index].path.display().to_string()).collect();
        let samples = Samples::Images { images, normalization: self.settings.normalization.clone() };
        Ok(Batch { samples, uris, targets: Some(self.targets(indices)?) })
    }
}
