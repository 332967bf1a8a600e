//! The values of one categorical column, numbered: `categoricals_mapping` (contract.md 3.3).

use std::collections::{BTreeMap, HashMap};

use dede_model::error::{Error, Result};
use dede_model::parameters::Section;
use serde_json::{Map, Value};

use super::SECTION;

/// Value → number, numbers running from 0 without gaps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Categories {
    values: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Categories {
    /// The number of a value.
    pub(super) fn number(&self, value: &str) -> Option<usize> {
        self.numbers.get(value).copied()
    }

    /// Gives `value` the next number unless it has one.
    pub(super) fn add(&mut self, value: &str) {
        if !self.numbers.contains_key(value) {
            self.numbers.insert(value.to_owned(), self.values.len());
            self.values.push(value.to_owned());
        }
    }

    /// How many values there are: the columns that one-hot coding makes of one.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Values by number.
    pub(super) fn values(&self) -> &[String] {
        &self.values
    }

    /// Reads one column's object of `categoricals_mapping`.
    fn parse(column: &str, mapping: &HashMap<String, u64>) -> Result<Self> {
        let mut values = vec![None; mapping.len()];
        for (value, &number) in mapping {
            let place = usize::try_from(number).ok().and_then(|number| values.get_mut(number));
            match place {
                Some(empty @ None) => *empty = Some(value.clone()),
                Some(Some(other)) => {
                    return Err(Self::refused(column, format!("{value} and {other} are both numbered {number}")));
                }
                None => {
                    let reason = format!("{value} is numbered {number}, but there are {} values", mapping.len());
                    return Err(Self::refused(column, reason));
                }
            }
        }
        let mut categories = Self::default();
        values.into_iter().flatten().for_each(|value| categories.add(&value));
        Ok(categories)
    }

    fn refused(column: &str, reason: String) -> Error {
        Error::bad_input_at(format!("{SECTION}.categoricals_mapping.{column}"), reason)
    }
}

/// The mappings of all categorical columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mappings(Vec<(String, Categories)>);

impl Mappings {
    /// Reads `categoricals_mapping`.
    ///
    /// # Errors
    /// [`Error::BadInput`] naming the column whose numbers have gaps or repeat.
    pub(super) fn parse(mapping: &BTreeMap<String, HashMap<String, u64>>) -> Result<Self> {
        let columns = mapping.iter().map(|(column, values)| Ok((column.clone(), Categories::parse(column, values)?)));
        columns.collect::<Result<_>>().map(Self)
    }

    /// Mappings without values yet, to be filled from the training file.
    pub(super) fn empty(columns: impl IntoIterator<Item = String>) -> Self {
        Self(columns.into_iter().map(|column| (column, Categories::default())).collect())
    }

    /// The values of a column.
    pub(super) fn of(&self, column: &str) -> Option<&Categories> {
        self.0.iter().find(|(name, _)| name == column).map(|(_, categories)| categories)
    }

    /// The values of a column, to be added to.
    pub(super) fn of_mut(&mut self, column: &str) -> Option<&mut Categories> {
        self.0.iter_mut().find(|(name, _)| name == column).map(|(_, categories)| categories)
    }

    /// True without any categorical column.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `categoricals_mapping` as it is answered and stored.
    pub(super) fn render(&self) -> Section {
        let numbered = |categories: &Categories| -> Map<String, Value> {
            categories.values().iter().enumerate().map(|(number, value)| (value.clone(), number.into())).collect()
        };
        self.0.iter().map(|(column, categories)| (column.clone(), numbered(categories).into())).collect()
    }
}
