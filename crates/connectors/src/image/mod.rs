//! The `image` connector: image files and bytes, turned into pixels of the size and channel order that a network takes.
//!
//! It owns the parameters of contract.md 3.2, except that `mean`, `std` and `scale` are handed on to the backend as
//! resolved. It must not know networks.

pub mod actions;
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

use dede_model::connector::{
    Connector, Fetched, Fitted, InputLimits, ReadStep, Reader, ReaderContext, RetainedItems, StepItems,
};
use dede_model::data::{Batch, DataKind, SampleShape, Samples, Targets};
use dede_model::error::{Error, Result};
use dede_model::labels::Labels;
use dede_model::parameters::keys::KeyTable;
use dede_model::request_memory::MemoryShare;

use self::keeping::Keeper;
use self::options::Settings;
use self::pipeline::Keeping;
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
        let sent = self.read_sent(data, fetched, (most_bytes, Keeping::Nothing), memory)?;
        Ok((sent.batch, sent.retained))
    }

    fn read_step(
        &self,
        items: StepItems<'_>,
        keeps_pictures: bool,
        most_bytes: usize,
        memory: &MemoryShare,
    ) -> Result<ReadStep> {
        let keeping = match (keeps_pictures, self.settings.keeps_originals) {
            (false, _) => Keeping::Nothing,
            (true, true) => Keeping::Original,
            (true, false) => Keeping::Seen,
        };
        match items {
            StepItems::Sent { data, fetched } => self.read_sent(data, fetched, (most_bytes, keeping), memory),
            StepItems::Made(pictures) => {
                if self.settings.lists_boxes {
                    let expected = "expected false: lists of boxes are read from files, and these are pictures";
                    return Err(Error::bad_input_at("parameters.input.bbox", expected));
                }
                let (images, kept) = items::read_pictures(pictures, &self.settings, keeping, memory)?;
                let uris = (0..images.len()).map(|number| number.to_string()).collect();
                let samples = Samples::Images { images, normalization: self.settings.normalization.clone() };
                let batch = Batch { samples, uris, targets: None };
                Ok(ReadStep { batch, retained: RetainedItems::Nothing, pictures: kept })
            }
        }
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

impl ImageReader {
    /// Reads items as they were sent, and keeps what is asked for: so many bytes of content, and pictures.
    fn read_sent(
        &self,
        data: &[String],
        fetched: &Fetched,
        (most_bytes, keeping): (usize, Keeping),
        memory: &MemoryShare,
    ) -> Result<ReadStep> {
        let (items, truths) = match self.settings.lists_boxes {
            true => box_lists::expand(data, self, memory).map(|(items, truths)| (items, Some(truths)))?,
            false => (items::expand(data, &self.limits)?, None),
        };
        let keeper = Keeper::new(&items, most_bytes);
        let sources = (&self.fetcher, fetched);
        let (images, pictures) = items::read(&items, &self.settings, sources, (&keeper, keeping), memory)?;
        let retained = keeper.finish();
        let classes: Option<Vec<&str>> = items.iter().map(|item| item.class.as_deref()).collect();
        let targets = truths.map(Targets::Boxes);
        let targets = targets.or_else(|| classes.map(|names| training::targets_of(&names, &self.labels)));
        let uris = items.into_iter().map(|item| item.uri).collect();
        let normalization = self.settings.normalization.clone();
        let batch = Batch { samples: Samples::Images { images, normalization }, uris, targets };
        Ok(ReadStep { batch, retained, pictures })
    }
}
