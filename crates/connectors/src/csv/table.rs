//! Rows in memory, and the data sets that training takes them from.

use std::sync::Arc;

use dede_model::data::{Batch, Dataset, Samples, Targets};
use dede_model::error::{Error, Result};
use dede_model::tensor::Floats;

use super::labels::LabelValues;
use super::layout::Layout;
use super::options::Settings;
use super::place::Place;
use super::records::Record;
use super::row::RowReader;

/// Smallest piece of memory that an allocator gives, bytes.
const SHORT_NAME: usize = 32;

/// Rows as they are being read.
#[derive(Debug)]
pub(super) struct Rows {
    width: usize,
    features: Vec<f32>,
    uris: Vec<String>,
    /// Of the ids beyond short ones.
    name_bytes: usize,
    labels: LabelValues,
    label_row: Vec<f64>,
    labelled: bool,
}

impl Rows {
    /// For rows of `width` features and `label_columns` labels; with `labelled`, an empty label is refused.
    pub(super) fn new(width: usize, label_columns: usize, labelled: bool) -> Self {
        Self {
            width,
            labelled,
            features: Vec::new(),
            uris: Vec::new(),
            name_bytes: 0,
            labels: LabelValues::new(label_columns),
            label_row: vec![0.0; label_columns],
        }
    }

    /// Reads one more line. Its uri is its id, or its 1-based number.
    ///
    /// # Errors
    /// [`Error::BadInput`] naming line and column, also when the table outgrows `table_bytes`.
    pub(super) fn push(
        &mut self,
        layout: &Layout,
        settings: &Settings,
        place: Place<'_>,
        record: Record<'_>,
    ) -> Result<()> {
        let bytes = (self.features.len() + layout.width) * size_of::<f32>();
        if bytes as u64 > settings.limits.table_bytes {
            let reason = format!("the table takes more than {} bytes", settings.limits.table_bytes);
            return Err(Error::bad_input_at(place.line(record.line, None), reason));
        }
        let reader = RowReader { layout, settings, place, labelled: self.labelled };
        let id = reader.read(record, &mut self.features, &mut self.label_row)?;
        self.labels.extend(&self.label_row);
        self.uris.push(match id {
            Some(id) => {
                self.name_bytes += id.len();
                String::from_utf8_lossy(id).into_owned()
            }
            None => (self.uris.len() + 1).to_string(),
        });
        Ok(())
    }

    /// What they take at most, bytes: vectors that grow have room for as much again.
    pub(super) fn bytes(&self) -> u64 {
        let of_uris = self.uris.len() * (size_of::<String>() + SHORT_NAME);
        let of_values =
            self.features.len() * size_of::<f32>() + self.uris.len() * self.label_row.len() * size_of::<f64>();
        2 * (of_uris + of_values + self.name_bytes) as u64
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.uris.len()
    }

    /// The labels so far.
    pub(super) fn labels(&self) -> &LabelValues {
        &self.labels
    }

    /// All rows as one batch.
    ///
    /// # Errors
    /// [`Error::Internal`] when rows have different widths.
    pub(super) fn into_batch(self, as_values: bool) -> Result<Batch> {
        let targets = self.labels.into_targets(as_values)?;
        let samples = tensor(self.uris.len(), self.width, self.features)?;
        Ok(Batch { samples: Samples::Table(samples), uris: self.uris, targets })
    }
}

fn tensor(rows: usize, width: usize, values: Vec<f32>) -> Result<Floats> {
    Floats::new(vec![rows, width], values).map_err(|mismatch| Error::Internal(format!("rows of a table: {mismatch}")))
}

/// Some rows of a table, in some order.
pub(super) struct TableView {
    table: Arc<Batch>,
    order: Vec<usize>,
    autoencoder: bool,
}

impl TableView {
    /// The rows of `table` at `order`; their features are their targets where `autoencoder` is set.
    pub(super) fn new(table: Arc<Batch>, order: Vec<usize>, autoencoder: bool) -> Self {
        Self { table, order, autoencoder }
    }
}

impl Dataset for TableView {
    fn len(&self) -> usize {
        self.order.len()
    }

    fn batch(&self, indices: &[usize]) -> Result<Batch> {
        let rows = indices.iter().map(|&index| {
            let row = self.order.get(index).copied();
            row.ok_or_else(|| Error::Internal(format!("row {index} of a table of {} rows", self.order.len())))
        });
        let rows = rows.collect::<Result<Vec<usize>>>()?;
        let Samples::Table(features) = &self.table.samples else {
            return Err(Error::Internal("a csv table without rows of numbers".to_owned()));
        };
        let features = gather(features, &rows)?;
        let targets = match &self.table.targets {
            _ if self.autoencoder => Some(Targets::Values(features.clone())),
            Some(Targets::Classes(classes)) => Some(Targets::Classes(rows.iter().map(|&row| classes[row]).collect())),
            Some(Targets::Values(values)) => Some(Targets::Values(gather(values, &rows)?)),
            Some(Targets::Boxes(_) | Targets::Unknown { .. }) | None => None,
        };
        let uris = rows.iter().map(|&row| self.table.uris[row].clone()).collect();
        Ok(Batch { samples: Samples::Table(features), uris, targets })
    }
}

fn gather(from: &Floats, rows: &[usize]) -> Result<Floats> {
    let mut values = Vec::with_capacity(rows.len() * from.row_len());
    rows.iter().for_each(|&row| values.extend_from_slice(from.row(row)));
    tensor(rows.len(), from.row_len(), values)
}
