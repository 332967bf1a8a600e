//! The `image` connector: image files and bytes, turned into pixels of the size and channel order that a network takes.
//!
//! It owns the parameters of contract.md 3.2, except that `mean`, `std` and `scale` are handed on to the backend as
//! resolved. It must not know networks.

mod box_lists;
mod colour;
mod dataset;
mod decode;
mod encoded;
mod example;
#[cfg(test)]
mod expected;
mod geometry;
mod items;
mod keeping;
mod keys;
mod options;
mod pipeline;
mod raster;
mod resize;
mod training;

use std::sync::Arc;

use dede_model::connector::{Connector, Fetched, Fitted, InputLimits, Reader, ReaderContext, RetainedItems};
use dede_model::data::{Batch, DataKind, SampleShape, Samples, Targets};
use dede_model::error::Result;
use dede_model::labels::Labels;
use dede_model::parameters::keys::KeyTable;
use dede_model::request_memory::MemoryShare;

use self::keeping::Keeper;
use self::options::Settings;
use crate::source::Fetcher;

/// The connector named `image`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ImageConnector;

impl Connector for ImageConnector {
    fn name(&self) -> &'static str {
        "image"
    }

    fn kind(&self) -> DataKind {
        DataKind::Images
    }

    fn keys(&self) -> KeyTable {
        keys::KEYS
    }

    fn open(&self, context: &ReaderContext<'_>) -> Result<Box<dyn Reader>> {
        let settings = options::resolve(context)?;
        let fetcher = Fetcher::new(&context.limits, settings.timeout_s)?;
        Ok(Box::new(ImageReader {
            settings: Arc::new(settings),
            fetcher,
            labels: context.labels.clone(),
            network: context.shape,
            regression: context.regression,
            limits: Arc::clone(&context.limits),
        }))
    }
}

/// Resolved parameters, ready to read.
struct ImageReader {
    settings: Arc<Settings>,
    fetcher: Fetcher,
    labels: Labels,
    /// What the network takes, where it is known.
    network: Option<SampleShape>,
    regression: bool,
    limits: Arc<InputLimits>,
}

impl Reader for ImageReader {
    fn fetch(&self, data: &[String], memory: &MemoryShare) -> Result<Fetched> {
        self.fetcher.fetch_all(data, memory, items::unread)
    }

    fn read_fetched(
        &self,
        data: &[String],
        fetched: &Fetched,
        most_bytes: usize,
        memory: &MemoryShare,
    ) -> Result<(Batch, RetainedItems)> {
        let (items, truths) = match self.settings.lists_boxes {
            true => box_lists::expand(data, self, memory).map(|(items, truths)| (items, Some(truths)))?,
            false => (items::expand(data, &self.limits)?, None),
        };
        let keeper = Keeper::new(&items, most_bytes);
        let images = items::read(&items, &self.settings, (&self.fetcher, fetched), &keeper, memory)?;
        let kept = keeper.finish();
        let classes: Option<Vec<&str>> = items.iter().map(|item| item.class.as_deref()).collect();
        let targets = truths.map(Targets::Boxes);
        let targets = targets.or_else(|| classes.map(|names| training::targets_of(&names, &self.labels)));
        let uris = items.into_iter().map(|item| item.uri).collect();
        let normalization = self.settings.normalization.clone();
        Ok((Batch { samples: Samples::Images { images, normalization }, uris, targets }, kept))
    }

    fn example(&self, seed: u64) -> Result<String> {
        example::example(&self.settings, self.network, seed)
    }

    fn fit(&self, data: &[String]) -> Result<Fitted> {
        training::fit(self, data)
    }

    fn shape(&self) -> Option<SampleShape> {
        self.settings.shape()
    }
}
