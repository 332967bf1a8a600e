//! One line's fields into features, id and labels.

use dede_model::error::{Error, Result};
use dede_model::quote::{quote, quote_list};

use super::cells::{is_blank, parse_number};
use super::layout::{Column, Layout, Role};
use super::options::Settings;
use super::place::Place;
use super::records::Record;
use super::scaling::Scale;

/// Reads lines of one layout.
pub(super) struct RowReader<'a> {
    /// What the columns are.
    pub(super) layout: &'a Layout,
    /// Offsets, mappings and class names.
    pub(super) settings: &'a Settings,
    /// Where the lines come from.
    pub(super) place: Place<'a>,
    /// An empty label is a mistake; otherwise it is read as NaN.
    pub(super) labelled: bool,
}

impl<'a> RowReader<'a> {
    /// Appends the features of one line to `features`, fills `labels` (one value per label column) and returns the id.
    ///
    /// # Errors
    /// [`Error::BadInput`] naming line and column.
    pub(super) fn read<'r>(
        &self,
        record: Record<'r>,
        features: &mut Vec<f32>,
        labels: &mut [f64],
    ) -> Result<Option<&'r [u8]>> {
        let fields = self.checked(record)?;
        let start = features.len();
        features.resize(start + self.layout.width, 0.0);
        let row = &mut features[start..];
        let scales = &self.layout.scales;
        let mut id = None;
        for (column, &field) in self.layout.columns.iter().zip(fields) {
            match column.role {
                Role::Number(feature) => {
                    let value = self.number(record.line, column, field)?;
                    let scale = scales.get(feature).copied().unwrap_or(Scale::NONE);
                    row[feature] = scale.apply(value) as f32;
                }
                Role::Category(first, count) => {
                    let number = self.category(record.line, column, field)?;
                    for (index, cell) in row[first..first + count].iter_mut().enumerate() {
                        let scale = scales.get(first + index).copied().unwrap_or(Scale::NONE);
                        *cell = scale.apply(f64::from(u8::from(index == number))) as f32;
                    }
                }
                Role::Label(label) => {
                    if let Some(value) = labels.get_mut(label) {
                        *value = self.label(record.line, column, label, field)?;
                    }
                }
                Role::Id => id = Some(field),
                Role::Ignored => {}
            }
        }
        Ok(id)
    }

    /// The values that bounds are taken of: one per non-ignored column after one-hot coding, unscaled.
    ///
    /// # Errors
    /// [`Error::BadInput`] naming line and column.
    pub(super) fn raw(&self, record: Record<'_>, values: &mut Vec<f64>) -> Result<()> {
        let fields = self.checked(record)?;
        values.clear();
        for (index, (column, &field)) in self.layout.columns.iter().zip(fields).enumerate() {
            match column.role {
                Role::Ignored => {}
                Role::Number(_) => values.push(self.number(record.line, column, field)?),
                Role::Id => values.push(parse_number(field).unwrap_or(index as f64)),
                Role::Label(label) => match self.settings.mappings.of(&column.name) {
                    Some(_) => self.one_hot(record.line, column, field, values)?,
                    None => values.push(self.label(record.line, column, label, field)?),
                },
                Role::Category(..) => self.one_hot(record.line, column, field, values)?,
            }
        }
        Ok(())
    }

    fn one_hot(&self, line: u64, column: &Column, field: &[u8], values: &mut Vec<f64>) -> Result<()> {
        let number = self.category(line, column, field)?;
        let count = self.settings.mappings.of(&column.name).map_or(0, super::categories::Categories::len);
        values.extend((0..count).map(|index| f64::from(u8::from(index == number))));
        Ok(())
    }

    /// The fields, one per column: a separator at the end of the line adds none. Ids, labels and categories are one line each: others
    /// hold rows, between two quotation marks that do not belong together.
    pub(super) fn checked<'r>(&self, record: Record<'r>) -> Result<&'r [&'r [u8]]> {
        let expected = self.layout.columns.len();
        let fields = match record.fields {
            fields if fields.len() == expected => fields,
            [fields @ .., b""] if fields.len() == expected => fields,
            fields => {
                let names = quote_list(self.layout.columns.iter().map(|column| column.shown.as_str()));
                let reason = format!("expected {expected} columns ({names}), found {}", fields.len());
                return Err(Error::bad_input_at(self.place.line(record.line, None), reason));
            }
        };
        let is_name = |column: &Column| matches!(column.role, Role::Id | Role::Label(_) | Role::Category(..));
        let mut cells = self.layout.columns.iter().zip(fields);
        match cells.find(|(column, field)| is_name(column) && field.iter().any(|byte| matches!(byte, b'\n' | b'\r'))) {
            Some((column, _)) => {
                let reason = format!("column {} holds line ends: is a quotation mark missing?", column.shown);
                Err(Error::bad_input_at(self.place.line(record.line, Some(&column.shown)), reason))
            }
            None => Ok(fields),
        }
    }

    fn number(&self, line: u64, column: &Column, field: &[u8]) -> Result<f64> {
        match parse_number(field) {
            Some(value) if value.is_finite() => Ok(value),
            Some(_) => {
                let reason = format!("column {} is not a finite number{}", column.shown, self.found(field));
                Err(Error::bad_input_at(self.place.line(line, Some(&column.shown)), reason))
            }
            None => Err(self.not_a_number(line, column, field)),
        }
    }

    fn not_a_number(&self, line: u64, column: &Column, field: &[u8]) -> Error {
        let reason = format!(
            "column {} is not a number, use categoricals or ignore parameters instead{}",
            column.shown,
            self.found(field)
        );
        Error::bad_input_at(self.place.line(line, Some(&column.shown)), reason)
    }

    fn category(&self, line: u64, column: &Column, field: &[u8]) -> Result<usize> {
        let number =
            std::str::from_utf8(field).ok().and_then(|value| self.settings.mappings.of(&column.name)?.number(value));
        number.ok_or_else(|| {
            let reason = if is_blank(field) {
                format!("unknown category for variable {}: found an empty cell", column.shown)
            } else {
                format!("unknown category{} for variable {}", self.quoted(field), column.shown)
            };
            Error::bad_input_at(self.place.line(line, Some(&column.shown)), reason)
        })
    }

    /// Refuses a row of training data without its label, before the names of classes are collected.
    ///
    /// # Errors
    /// [`Error::BadInput`] naming line and column.
    pub(super) fn require_labels(&self, line: u64, fields: &[&[u8]]) -> Result<()> {
        let mut cells = self.layout.columns.iter().zip(fields);
        match cells.find(|(column, field)| matches!(column.role, Role::Label(_)) && is_blank(field)) {
            Some((column, _)) => Err(self.blank_label(line, column)),
            None => Ok(()),
        }
    }

    fn blank_label(&self, line: u64, column: &Column) -> Error {
        let reason = format!("the label, column {}, is an empty cell: a row to train on needs its label", column.shown);
        Error::bad_input_at(self.place.line(line, Some(&column.shown)), reason)
    }

    /// Refuses an empty cell of a categorical column that no mapping names.
    pub(super) fn blank_category(&self, line: u64, column: &Column) -> Error {
        let reason = format!(
            "column {} has an empty cell: a category of its own, or a value that is missing? write a name for it, \
             number it in parameters.input.categoricals_mapping, or ignore the column",
            column.shown
        );
        Error::bad_input_at(self.place.line(line, Some(&column.shown)), reason)
    }

    fn label(&self, line: u64, column: &Column, label: usize, field: &[u8]) -> Result<f64> {
        if is_blank(field) {
            return if self.labelled { Err(self.blank_label(line, column)) } else { Ok(f64::NAN) };
        }
        if self.settings.mappings.of(&column.name).is_some() {
            return Ok(self.category(line, column, field)? as f64);
        }
        let named = std::str::from_utf8(field).ok().and_then(|name| self.settings.class_names.id(name));
        match named {
            Some(_) if !self.settings.regression && self.settings.label_offsets[label] != 0 => {
                let reason = "label_offset is added to numbers, and this label is the name of a class".to_owned();
                Err(Error::bad_input_at(self.place.line(line, Some(&column.shown)), reason))
            }
            Some(class) if !self.settings.regression => Ok(class as f64),
            Some(_) | None if parse_number(field).is_none() && !self.settings.class_names.is_empty() => {
                let reason =
                    format!("label{} of column {} is none of the training data's", self.quoted(field), column.shown);
                Err(Error::bad_input_at(self.place.line(line, Some(&column.shown)), reason))
            }
            Some(_) | None => {
                let value = self.number(line, column, field)? + self.settings.label_offsets[label] as f64;
                self.check_class(line, column, field, value)?;
                Ok(value)
            }
        }
    }

    /// Refuses a number that can be no class, in a row to train a network of classes on.
    fn check_class(&self, line: u64, column: &Column, field: &[u8], value: f64) -> Result<()> {
        let Settings { regression, autoencoder, labels, .. } = self.settings;
        let are_classes = self.labelled && labels.len() == 1 && !regression && !autoencoder;
        let is_class = value >= 0.0 && value.fract() == 0.0;
        if !are_classes || is_class {
            return Ok(());
        }
        let (shown, found) = (&column.shown, self.found(field));
        let reason = if value < 0.0 {
            format!(
                "negative supervised discrete target (e.g. wrong use of label_offset ?): expected the number of a class, at least 0, in \
                 column {shown}{found}"
            )
        } else {
            format!(
                "expected the number of a class, a whole one, in column {shown}{found}; to train on values, set \
                 parameters.mllib.regression"
            )
        };
        Err(Error::bad_input_at(self.place.line(line, Some(&column.shown)), reason))
    }

    /// What stands in a cell, as the end of a sentence.
    fn found(&self, field: &[u8]) -> String {
        match field {
            b"" => ": found an empty cell".to_owned(),
            _ if self.place.is_read() => String::new(),
            field => format!(": found \"{}\"", quote(&String::from_utf8_lossy(field))),
        }
    }

    /// Refuses the only label that is no number: it would make a class of its own, and names of all the numbers.
    pub(super) fn odd_label(&self, line: u64, column: &Column, field: &[u8]) -> Error {
        let reason = format!(
            "label{} of column {} is the only one that is no number: a mistake, or the name of a class? where labels are names, name \
             the column in parameters.input.categoricals, too",
            self.quoted(field),
            column.shown
        );
        Error::bad_input_at(self.place.line(line, Some(&column.shown)), reason)
    }

    /// A blank, and what stands in a cell that the client sent.
    fn quoted(&self, field: &[u8]) -> String {
        if self.place.is_read() { String::new() } else { format!(" {}", quote(&String::from_utf8_lossy(field))) }
    }
}
