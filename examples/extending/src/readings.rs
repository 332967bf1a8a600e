//! A connector of one's own: rows of numbers between blanks, as sensors send them.
//!
//! It knows neither networks nor services. `scale` multiplies each number.

use dede_model::connector::{Connector, Fetched, Fitted, Reader, ReaderContext, RetainedItems};
use dede_model::data::{Batch, DataKind, SampleShape, Samples};
use dede_model::error::{Error, Result};
use dede_model::parameters::keys::{Key, KeyTable, Moment};
use dede_model::request_memory::MemoryShare;
use dede_model::tensor::Floats;
use serde_json::Value;

/// The connector: `parameters.input.connector` is `readings`.
#[derive(Debug, Clone, Copy)]
pub struct Readings;

struct ReadingsReader {
    scale: f32,
    /// What the network takes, once there is one.
    columns: Option<usize>,
    most_items: usize,
}

impl Connector for Readings {
    fn name(&self) -> &'static str {
        "readings"
    }

    fn kind(&self) -> DataKind {
        DataKind::Table
    }

    fn keys(&self) -> KeyTable {
        const KEYS: KeyTable =
            KeyTable(&[&[Key::applied("connector", Moment::Each), Key::applied("scale", Moment::Reading)]]);
        KEYS
    }

    fn open(&self, context: &ReaderContext<'_>) -> Result<Box<dyn Reader>> {
        let scale = match context.parameters.get("scale") {
            None | Some(Value::Null) => 1.0,
            Some(scale) => scale.as_f64().ok_or_else(|| {
                Error::bad_input_at("parameters.input.scale", format!("expected a number, found {scale}"))
            })?,
        };
        let columns = match context.shape {
            None => None,
            Some(SampleShape::Row { columns }) => Some(columns),
            Some(SampleShape::Image { .. }) => {
                return Err(Error::bad_input("expected a network for rows, found one for images"));
            }
        };
        Ok(Box::new(ReadingsReader { scale: scale as f32, columns, most_items: context.limits.items }))
    }
}

impl ReadingsReader {
    fn row(&self, number: usize, item: &str) -> Result<Vec<f32>> {
        let at = || format!("item {number}");
        let value = |text: &str| -> Result<f32> {
            let value = text.parse::<f32>().ok().filter(|value| value.is_finite());
            let value =
                value.ok_or_else(|| Error::bad_input_at(at(), format!("expected numbers, found {text:.16}")))?;
            Ok(value * self.scale)
        };
        let row: Vec<f32> = item.split_whitespace().map(value).collect::<Result<_>>()?;
        match self.columns {
            Some(columns) if columns != row.len() => {
                Err(Error::bad_input_at(at(), format!("expected {columns} numbers, found {}", row.len())))
            }
            Some(_) | None => Ok(row),
        }
    }
}

impl Reader for ReadingsReader {
    fn fetch(&self, _data: &[String], _memory: &MemoryShare) -> Result<Fetched> {
        // Items name nothing on other machines.
        Ok(Fetched::default())
    }

    fn read_fetched(
        &self,
        data: &[String],
        _fetched: &Fetched,
        most_bytes: usize,
        memory: &MemoryShare,
    ) -> Result<(Batch, RetainedItems)> {
        if data.is_empty() {
            return Err(Error::bad_input("missing data"));
        }
        if data.len() > self.most_items {
            return Err(Error::TooLarge(format!("expected at most {} items, found {}", self.most_items, data.len())));
        }
        // A number takes two bytes of text at least.
        let most_numbers: usize = data.iter().map(|item| item.len() / 2 + 1).sum();
        memory.grow((most_numbers * size_of::<f32>()) as u64)?;
        let rows: Vec<Vec<f32>> =
            data.iter().enumerate().map(|(index, item)| self.row(index + 1, item)).collect::<Result<_>>()?;
        let columns = rows[0].len();
        if let Some(index) = rows.iter().position(|row| row.len() != columns) {
            let text = format!("expected {columns} numbers as in item 1, found {}", rows[index].len());
            return Err(Error::bad_input_at(format!("item {}", index + 1), text));
        }
        let table = Floats::new(vec![rows.len(), columns], rows.concat());
        let samples = Samples::Table(table.map_err(|error| Error::Internal(error.to_string()))?);
        let uris = (0..data.len()).map(|index| index.to_string()).collect();
        let kept: usize = data.iter().map(String::len).sum();
        let retained = if kept <= most_bytes { RetainedItems::AsSent } else { RetainedItems::Nothing };
        Ok((Batch { samples, uris, targets: None }, retained))
    }

    fn example(&self, seed: u64) -> Result<String> {
        let columns = self.columns.ok_or_else(|| Error::bad_input("the number of columns is not known yet"))?;
        let numbers = (0..columns as u64).map(|column| (seed.wrapping_add(column) % 10).to_string());
        Ok(numbers.collect::<Vec<_>>().join(" "))
    }

    fn fit(&self, _data: &[String]) -> Result<Fitted> {
        Err(Error::bad_input("readings are predicted on only: train on csv, and serve the network with readings"))
    }

    fn shape(&self) -> Option<SampleShape> {
        self.columns.map(|columns| SampleShape::Row { columns })
    }
}
