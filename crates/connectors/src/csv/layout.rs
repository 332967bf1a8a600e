//! What each column of a line is, and where its values go among the features.
//!
//! One layout belongs to one header, or to one way of writing lines without a header. The layout of the training file
//! (`columns` of the stored state) decides the order of the features; other headers are laid out to yield that order.

use std::collections::{HashMap, HashSet};

use dede_model::error::{Error, Result};
use dede_model::quote::{quote, quote_list};

use super::header::Header;
use super::options::Settings;
use super::scaling::{Bounds, Scale, ScaleType};

/// What a column is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role {
    /// Dropped.
    Ignored,
    /// Names the row.
    Id,
    /// The label of that number.
    Label(usize),
    /// A number; its feature.
    Number(usize),
    /// A category; its first feature and how many there are.
    Category(usize, usize),
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    /// From the header; 1-based position without one.
    pub(super) name: String,
    /// What errors call it.
    pub(super) shown: String,
    /// What it is.
    pub(super) role: Role,
}

/// The columns of a line.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// As they come in the line.
    pub(super) columns: Vec<Column>,
    /// Number of features.
    pub(super) width: usize,
    /// One per feature; empty: not scaled.
    pub(super) scales: Vec<Scale>,
}

impl Layout {
    /// Columns as a header names them, features in the order of the header, not scaled yet. Labels may be missing.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the id column is missing, or a categorical one has no known values.
    pub(super) fn of_header(header: &Header, settings: &Settings) -> Result<Self> {
        let layout = Self::of_names(header, settings)?;
        match &settings.id {
            Some(id) if !layout.has_id() => Err(missing_id(id, header, settings)),
            Some(_) | None => Ok(layout),
        }
    }

    /// The same, where the id may be missing, too.
    ///
    /// # Errors
    /// [`Error::BadInput`] when a categorical column has no known values.
    pub(super) fn of_names(header: &Header, settings: &Settings) -> Result<Self> {
        let mut columns = Vec::with_capacity(header.names.len());
        let mut width = 0;
        for (index, name) in header.names.iter().enumerate() {
            let role = role(name, width, settings)?;
            width += match role {
                Role::Number(_) => 1,
                Role::Category(_, count) => count,
                Role::Ignored | Role::Id | Role::Label(_) => 0,
            };
            columns.push(Column::new(header, index, role));
        }
        Ok(Self { columns, width, scales: Vec::new() })
    }

    /// `count` numbers without names.
    pub(super) fn of_numbers(count: usize) -> Self {
        let column = |index: usize| {
            let name = (index + 1).to_string();
            Column { shown: name.clone(), name, role: Role::Number(index) }
        };
        let columns = (0..count).map(column);
        Self { columns: columns.collect(), width: count, scales: Vec::new() }
    }

    /// Scales by `bounds`, where `owners` says which feature each of them belongs to.
    pub(super) fn scaled(mut self, bounds: &Bounds, owners: &[Option<usize>]) -> Self {
        self.scales = vec![Scale::NONE; self.width];
        for (index, owner) in owners.iter().enumerate() {
            if let Some(feature) = *owner {
                self.scales[feature] = bounds.scale(index);
            }
        }
        self
    }

    /// The feature that each bound scales; `None` for id and labels, which keep their values.
    pub(super) fn bound_owners(&self, settings: &Settings) -> Vec<Option<usize>> {
        let mut owners = Vec::with_capacity(self.width + 2);
        for column in &self.columns {
            match column.role {
                Role::Ignored => {}
                Role::Id => owners.push(None),
                Role::Label(_) => {
                    let values = settings.mappings.of(&column.name).map_or(1, |categories| categories.len().max(1));
                    owners.extend(std::iter::repeat_n(None, values));
                }
                Role::Number(feature) => owners.push(Some(feature)),
                Role::Category(first, count) => owners.extend((first..first + count).map(Some)),
            }
        }
        owners
    }

    /// The same features from lines that hold only the columns at `indices`, in that order.
    pub(super) fn select(&self, indices: &[usize]) -> Self {
        let columns = indices.iter().map(|&index| self.columns[index].clone()).collect();
        Self { columns, width: self.width, scales: self.scales.clone() }
    }

    /// The same features from lines with another header.
    ///
    /// # Errors
    /// [`Error::BadInput`] naming columns that are missing or unknown.
    pub(super) fn reordered(&self, header: &Header, settings: &Settings) -> Result<Self> {
        let places: HashMap<&str, usize> =
            self.columns.iter().enumerate().map(|(index, column)| (column.name.as_str(), index)).collect();
        let is_feature =
            |name: &String| places.get(name.as_str()).is_some_and(|&place| self.columns[place].is_feature());
        if !header.names.iter().any(is_feature) {
            let features: Vec<&str> = self.feature_names().collect();
            let (shown, found) = (self.features_shown(), header.without(&features));
            return Err(Error::bad_input(format!("the header names no feature of the training data, {shown}{found}")));
        }
        let placeholders = self.placeholders(header, &places);
        let mut columns = Vec::with_capacity(header.names.len());
        let mut found = vec![false; self.columns.len()];
        for (index, name) in header.names.iter().enumerate() {
            columns.push(match places.get(name.as_str()) {
                Some(&place) if std::mem::replace(&mut found[place], true) => {
                    return Err(Error::bad_input(format!("column {} occurs twice in the header", quote(name))));
                }
                Some(&place) => self.columns[place].clone(),
                None => match role(name, 0, settings)? {
                    role @ (Role::Ignored | Role::Id | Role::Label(_)) => Column::new(header, index, role),
                    Role::Number(_) | Role::Category(..) if placeholders.contains(&index) => {
                        Column { name: name.clone(), shown: header.shown(index), role: Role::Ignored }
                    }
                    Role::Number(_) | Role::Category(..) => return Err(self.unknown_column(header, index)),
                },
            });
        }
        match self.columns.iter().zip(found).find(|(column, found)| column.is_feature() && !found) {
            Some((missing, _)) => Err(self.missing_column(missing, header)),
            None => Ok(Self { columns, width: self.width, scales: self.scales.clone() }),
        }
    }

    /// Unknown names that stand in a header where the training data has its labels, as clients of the original write them: their cells
    /// are labels that are not known, and are left out. Id and ignored columns do not count, since either header may lack them.
    fn placeholders(&self, header: &Header, places: &HashMap<&str, usize>) -> HashSet<usize> {
        let counts = |column: &Column| column.is_feature() || matches!(column.role, Role::Label(_));
        let place = |name: &str| places.get(name).copied();
        let trained: Vec<&Column> = self.columns.iter().filter(|column| counts(column)).collect();
        let named = header.names.iter().enumerate();
        let sent: Vec<(usize, &String)> =
            named.filter(|(_, name)| place(name).is_none_or(|place| counts(&self.columns[place]))).collect();
        if sent.len() != trained.len() {
            return HashSet::new();
        }
        let stands_for_label = |(column, (_, name)): &(&Column, (usize, &String))| {
            !column.is_feature() && place(name).is_none() && !header.names.contains(&column.name)
        };
        trained.into_iter().zip(sent).filter(stands_for_label).map(|(_, (index, _))| index).collect()
    }

    fn unknown_column(&self, header: &Header, index: usize) -> Error {
        let (name, known) = (header.shown(index), self.features_shown());
        Error::bad_input(format!("column {name} is not in the training data, which has {known}; ignore it?"))
    }

    fn missing_column(&self, missing: &Column, header: &Header) -> Error {
        Error::bad_input(format!(
            "column {} of the training data is missing: expected {}, found {}",
            missing.shown,
            self.features_shown(),
            header.all_shown()
        ))
    }

    /// The columns that make features, in an error.
    pub(super) fn features_shown(&self) -> String {
        quote_list(self.columns.iter().filter(|column| column.is_feature()).map(|column| column.shown.as_str()))
    }

    /// Names of the columns that make features.
    pub(super) fn feature_names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().filter(|column| column.is_feature()).map(|column| column.name.as_str())
    }

    /// Names of the columns, as in the line.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// Whether lines carry the id.
    pub(super) fn has_id(&self) -> bool {
        self.columns.iter().any(|column| column.role == Role::Id)
    }

    /// Number of the label columns, if lines carry all of them; 0 otherwise.
    pub(super) fn label_columns(&self, settings: &Settings) -> usize {
        let found = self.columns.iter().filter(|column| matches!(column.role, Role::Label(_))).count();
        if found == settings.labels.len() { found } else { 0 }
    }
}

impl Column {
    /// One of a header. The names of columns that play a part of their own are those of the parameters.
    fn new(header: &Header, index: usize, role: Role) -> Self {
        let name = header.names[index].clone();
        let shown = match role {
            Role::Number(_) => header.shown(index),
            Role::Ignored | Role::Id | Role::Label(_) | Role::Category(..) => quote(&name),
        };
        Self { name, shown, role }
    }

    /// Whether it makes features.
    pub(super) fn is_feature(&self) -> bool {
        matches!(self.role, Role::Number(_) | Role::Category(..))
    }
}

/// What a column of that name is; a feature would be feature number `next`.
pub(super) fn role(name: &str, next: usize, settings: &Settings) -> Result<Role> {
    if settings.ignore.contains(name) {
        return Ok(Role::Ignored);
    }
    if let Some(label) = settings.labels.iter().position(|label| label == name) {
        return Ok(Role::Label(label));
    }
    if settings.id.as_deref() == Some(name) {
        return Ok(Role::Id);
    }
    match settings.mappings.of(name) {
        Some(categories) => Ok(Role::Category(next, categories.len())),
        None if settings.categoricals.iter().any(|column| column == name) => Err(Error::bad_input_at(
            "parameters.input.categoricals_mapping",
            format!("the values of categorical column {} are not known", quote(name)),
        )),
        None => Ok(Role::Number(next)),
    }
}

/// The complaint about an id that is no column, or that another key takes.
fn missing_id(id: &String, header: &Header, settings: &Settings) -> Error {
    if !header.names.contains(id) {
        return Error::bad_input(format!("cannot find id column {}{}", quote(id), header.without(&[id])));
    }
    let other = if settings.ignore.contains(id) { "ignore" } else { "label" };
    Error::bad_input_at("parameters.input.id", format!("column {} is named by {other}, too", quote(id)))
}

/// The complaint about `scale` without bounds, in the words of the original.
pub(super) fn missing_bounds(kind: ScaleType) -> Error {
    let [first, second] = kind.keys();
    Error::bad_input(format!("predict: failed acquiring scaling {first} or {second}"))
}
