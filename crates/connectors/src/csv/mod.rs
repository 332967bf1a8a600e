//! The `csv` connector: rows of numbers from files, URLs or strings of the request (contract.md 3.3).
//!
//! `options` says what may be written, `known` what of it contradicts the training data, `resolve` what holds in the end, `layout` what each column is, `scaling` how values
//! are normalised, `records` how text becomes fields, `row` how fields become numbers, `trained` what a first line is; `predict` and `fit`
//! put them together. Nothing here knows networks: whether labels are classes or values follows from the data and from
//! `ReaderContext::regression`.

mod categories;
mod cells;
mod encoding;
mod example;
mod fit;
mod header;
mod input;
mod keys;
mod known;
mod labels;
mod layout;
mod lists;
mod options;
mod place;
mod predict;
mod quotes;
mod records;
mod resolve;
mod row;
mod scaling;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod trained;

use dede_model::connector::{Connector, Fetched, Fitted, Reader, ReaderContext, RetainedItems};
use dede_model::data::{Batch, DataKind, SampleShape};
use dede_model::error::Result;
use dede_model::parameters::keys::KeyTable;
use dede_model::request_memory::MemoryShare;

use self::options::Settings;
use self::predict::Predictor;

/// `parameters.input`, the place of every complaint about an option.
const SECTION: &str = "parameters.input";

/// Rows of numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct CsvConnector;

impl Connector for CsvConnector {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn kind(&self) -> DataKind {
        DataKind::Table
    }

    fn keys(&self) -> KeyTable {
        keys::KEYS
    }

    fn open(&self, context: &ReaderContext<'_>) -> Result<Box<dyn Reader>> {
        Ok(Box::new(CsvReader { predictor: Predictor::new(Settings::resolve(context)?)? }))
    }
}

/// Settings with the layouts they imply.
struct CsvReader {
    predictor: Predictor,
}

impl Reader for CsvReader {
    fn fetch(&self, data: &[String], memory: &MemoryShare) -> Result<Fetched> {
        self.predictor.settings().fetch(data, memory)
    }

    fn read_fetched(
        &self,
        data: &[String],
        fetched: &Fetched,
        most_bytes: usize,
        memory: &MemoryShare,
    ) -> Result<(Batch, RetainedItems)> {
        self.predictor.read(data, fetched, most_bytes, memory)
    }

    fn example(&self, seed: u64) -> Result<String> {
        self.predictor.example(seed)
    }

    fn fit(&self, data: &[String]) -> Result<Fitted> {
        fit::fit(self.predictor.settings(), data)
    }

    fn shape(&self) -> Option<SampleShape> {
        self.predictor.width().map(|columns| SampleShape::Row { columns })
    }
}
