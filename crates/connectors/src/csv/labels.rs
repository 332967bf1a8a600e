//! Label columns: class names, class ids and values.

use std::collections::HashMap;

use dede_model::data::Targets;
use dede_model::error::{Error, Result};
use dede_model::labels::Labels;
use dede_model::tensor::Floats;

use super::cells::parse_number;

/// Class id by name, where labels are text. Empty: labels are numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct ClassNames(HashMap<String, usize>);

impl ClassNames {
    /// The names a repository knows. Names that are all numbers say nothing: such labels are read as numbers.
    pub(super) fn known(labels: &Labels) -> Self {
        if labels.names().all(|name| name.parse::<f64>().is_ok()) {
            return Self::default();
        }
        let named = labels.names().filter_map(|name| Some((name.to_owned(), labels.id(name)?)));
        Self(named.collect())
    }

    /// Names in the order in which they were found.
    pub(super) fn found<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(names.into_iter().enumerate().map(|(id, name)| (name.to_owned(), id)).collect())
    }

    /// True where labels are numbers.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names by class.
    pub(super) fn labels(&self) -> Labels {
        let mut names: Vec<(&String, &usize)> = self.0.iter().collect();
        names.sort_unstable_by_key(|(_, id)| **id);
        Labels::from_names(names.into_iter().map(|(name, _)| name.clone()))
    }

    /// The class of a name.
    pub(super) fn id(&self, name: &str) -> Option<usize> {
        self.0.get(name).copied()
    }
}

/// Which labels of training data are numbers.
#[derive(Debug, Default)]
pub(super) struct LabelKinds {
    numbers: usize,
    texts: usize,
    /// What is to be said of the first text, should it be the only one.
    odd: Option<Error>,
}

impl LabelKinds {
    /// So many numbers beside a single text make a mistake of it.
    const FEW: usize = 2;

    /// Adds one label.
    pub(super) fn add(&mut self, field: &[u8], odd: impl FnOnce() -> Error) {
        if parse_number(field).is_some() {
            self.numbers += 1;
        } else {
            self.texts += 1;
            self.odd.get_or_insert_with(odd);
        }
    }

    /// Whether labels are names of classes.
    ///
    /// # Errors
    /// What was to be said of a text that stands among numbers alone.
    pub(super) fn are_text(self) -> Result<bool> {
        match self.odd {
            Some(odd) if self.texts == 1 && self.numbers >= Self::FEW => Err(odd),
            Some(_) | None => Ok(self.texts > 0),
        }
    }
}

/// Label values of the rows read so far.
#[derive(Debug, Clone, Default)]
pub(super) struct LabelValues {
    columns: usize,
    values: Vec<f64>,
    fractional: bool,
    missing: bool,
}

impl LabelValues {
    /// For `columns` label columns.
    pub(super) fn new(columns: usize) -> Self {
        Self { columns, ..Self::default() }
    }

    /// Adds the labels of one row; NaN stands for an empty cell.
    pub(super) fn extend(&mut self, row: &[f64]) {
        self.missing |= row.iter().any(|value| value.is_nan());
        self.fractional |= row.iter().any(|value| value.fract() != 0.0);
        self.values.extend_from_slice(row);
    }

    /// Whether these can only be values: several targets, or one that is no whole number.
    pub(super) fn are_values(&self, regression: bool) -> bool {
        regression || self.columns != 1 || self.fractional
    }

    /// The targets; `None` without label columns and where one of them is empty.
    ///
    /// # Errors
    /// [`Error::Internal`] when rows were added with another number of labels.
    pub(super) fn into_targets(self, as_values: bool) -> Result<Option<Targets>> {
        if self.columns == 0 || self.missing {
            return Ok(None);
        }
        if !as_values {
            let classes = self.values.iter().map(|&value| value as i64).collect();
            return Ok(Some(Targets::Classes(classes)));
        }
        let rows = self.values.len() / self.columns;
        let values = self.values.iter().map(|&value| value as f32).collect();
        let tensor = Floats::new(vec![rows, self.columns], values)
            .map_err(|mismatch| Error::Internal(format!("labels of a table: {mismatch}")))?;
        Ok(Some(Targets::Values(tensor)))
    }
}
