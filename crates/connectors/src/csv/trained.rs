//! What is known of the lines of a service whose training data is known: whether a first line is a header, and which columns a row has.
//!
//! The names of the training data decide, never the position: a first line that names all features is a header, one that holds none of
//! the names is a row, in files and in lines of the request alike. A line that is the header of the training data is a header, even where
//! its names are numbers. One that can be both, a header with a name mistyped say, is refused; so is a row that may have other columns
//! than those it would be read as.

use std::collections::HashSet;

use dede_model::error::{Error, Result};
use dede_model::quote::quote_list;

use super::SECTION;
use super::cells::{is_blank, parse_number};
use super::header::Header;
use super::layout::{Column, Layout, Role};
use super::options::Settings;
use super::scaling::Bounds;

/// The layouts of lines of a service whose training data is known.
#[derive(Debug)]
pub(super) struct Trained {
    /// All columns, as in the training file.
    pub(super) all: Layout,
    /// What lines without a header may hold: the features alone; the same with id, without labels; all columns.
    pub(super) forms: Vec<Layout>,
    /// What they might hold as well, and are not read as: with id, ignored columns or labels alone.
    others: Vec<Layout>,
    /// Names of all columns that have one.
    names: HashSet<Vec<u8>>,
    /// All columns as the training had them, to which its bounds belong.
    bounded: Layout,
}

/// What a first line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FirstLine {
    Header,
    Row,
}

/// Which columns a line has beside features.
#[derive(Debug, Clone, Copy)]
struct Beside {
    id: bool,
    ignored: bool,
    labels: bool,
}

impl Beside {
    const READ: [Self; 3] = [Self::new(false, false, false), Self::new(true, true, false), Self::new(true, true, true)];
    const OTHERS: [Self; 5] = [
        Self::new(true, false, false),
        Self::new(false, true, false),
        Self::new(false, false, true),
        Self::new(true, false, true),
        Self::new(false, true, true),
    ];

    const fn new(id: bool, ignored: bool, labels: bool) -> Self {
        Self { id, ignored, labels }
    }

    fn has(self, role: &Role) -> bool {
        match role {
            Role::Number(_) | Role::Category(..) => true,
            Role::Id => self.id,
            Role::Ignored => self.ignored,
            Role::Label(_) => self.labels,
        }
    }

    fn of(self, all: &Layout) -> Layout {
        let places: Vec<usize> = (0..all.columns.len()).filter(|&index| self.has(&all.columns[index].role)).collect();
        all.select(&places)
    }
}

impl Trained {
    /// `None` where the columns of the training data are not known.
    ///
    /// # Errors
    /// [`Error::BadInput`] when they are not those of the network.
    pub(super) fn new(settings: &Settings) -> Result<Option<Self>> {
        let Some(columns) = &settings.columns else { return Ok(None) };
        let header = Header::known(columns, settings);
        let bounded = Layout::of_names(&header, settings.known.as_deref().unwrap_or(settings))?;
        let mut all = Layout::of_names(&header, settings)?;
        if let Some(expected) = settings.network_columns
            && expected != all.width
        {
            let found = all.features_shown();
            let reason = format!("the network takes {expected} columns, the columns given make {}: {found}", all.width);
            return Err(Error::bad_input_at(format!("{SECTION}.columns"), reason));
        }
        let named = all.names().chain(settings.elsewhere.iter().map(|column| column.name.as_str()));
        let names = named.filter(|name| !name.is_empty()).map(|name| name.as_bytes().to_vec()).collect();
        if let Some(bounds) = &settings.bounds {
            let owners = bounded.bound_owners(settings);
            if owners.len() == bounds.len() {
                all = all.scaled(bounds, &owners);
            }
        }
        let forms = Beside::READ.iter().map(|beside| beside.of(&all)).collect();
        let others = Beside::OTHERS.iter().map(|beside| beside.of(&all)).collect();
        Ok(Some(Self { all, forms, others, names, bounded }))
    }

    /// Scales a line by bounds that are not one for each column of the training data: one for each but the id, or for each feature; of a
    /// line with id, one for each but the labels.
    ///
    /// # Errors
    /// [`Error::BadInput`] with another number of bounds.
    pub(super) fn scaled(&self, line: Layout, bounds: &Bounds, settings: &Settings) -> Result<Layout> {
        let is_id = |column: &Column| {
            self.bounded.columns.iter().any(|known| known.role == Role::Id && known.name == column.name)
        };
        let readings = if line.columns.iter().any(is_id) {
            [Beside::new(true, true, true), Beside::new(true, true, false)]
        } else {
            [Beside::new(false, true, true), Beside::new(false, true, false)]
        };
        let mut owners = readings.iter().map(|beside| beside.of(&self.bounded).bound_owners(settings));
        match owners.find(|owners| owners.len() == bounds.len()) {
            Some(owners) => Ok(line.scaled(bounds, &owners)),
            None => Err(Error::bad_input(format!(
                "expected bounds for each column of the training data that is not ignored, {}, found {}",
                self.bounded.bound_owners(settings).len(),
                bounds.len()
            ))),
        }
    }

    /// The way of writing lines that has as many columns as this one. A separator at the end of the line adds none.
    fn form(&self, fields: &[&[u8]]) -> Option<&Layout> {
        let of_length = |length| self.forms.iter().find(|form| form.columns.len() == length);
        match fields {
            [shorter @ .., b""] => of_length(shorter.len()).or_else(|| of_length(fields.len())),
            fields => of_length(fields.len()),
        }
    }

    /// The columns of a row.
    ///
    /// # Errors
    /// Both readings, where the row may have other columns as well.
    pub(super) fn row(&self, fields: &[&[u8]], settings: &Settings) -> Result<&Layout, String> {
        let features = &self.forms[0];
        let form = self.form(fields).unwrap_or(features);
        let is_certain = settings.is_id_sent && form.has_id();
        let holds = |layout: &Layout| {
            let mut cells = layout.columns.iter().zip(fields);
            cells.all(|(column, field)| may_hold(column, field, settings))
        };
        let is_other = |other: &&Layout| {
            let mut columns = other.columns.iter().zip(&form.columns);
            other.columns.len() == form.columns.len() && columns.any(|(other, column)| other.name != column.name)
        };
        let other = self.others.iter().filter(is_other).find(|other| holds(other));
        match other {
            Some(other) if !is_certain && holds(form) => Err(format!(
                "are the columns of this line {} or {}? Write a header before it{}",
                quote_list(form.columns.iter().map(|column| column.shown.as_str())),
                quote_list(other.columns.iter().map(|column| column.shown.as_str())),
                if form.has_id() { ", or send the id in parameters.input.id where lines have one" } else { "" }
            )),
            Some(_) | None => Ok(form),
        }
    }

    /// Whether a line holds the name of a column. One that does not is a row.
    pub(super) fn names_any(&self, fields: &[&[u8]]) -> bool {
        fields.iter().any(|field| self.names.contains(*field))
    }

    /// Whether a first line is a header or a row.
    ///
    /// # Errors
    /// Both readings, where there is something to be said for either, or for none.
    pub(super) fn first_line(
        &self,
        fields: &[&[u8]],
        header: &Header,
        settings: &Settings,
    ) -> Result<FirstLine, String> {
        let form = self.form(fields);
        let is_elsewhere = |field: &[u8]| settings.elsewhere.iter().any(|column| column.name.as_bytes() == field);
        let is_value = |index: usize| {
            let (column, field) = (form.and_then(|form| form.columns.get(index)), fields[index]);
            let fits = |column: &Column| may_hold(column, field, settings) && !is_name_of(column, field);
            column.is_some_and(fits) && !is_elsewhere(field)
        };
        let found: HashSet<&[u8]> = fields.iter().copied().collect();
        let features = self.all.feature_names().count();
        let named = self.all.feature_names().filter(|name| found.contains(name.as_bytes())).count();
        if named == features {
            let is_in_order = self.forms.iter().any(|form| form.names().eq(&header.names));
            return match !is_in_order && form.is_some() && (0..header.names.len()).all(is_value) {
                true => Err(self.is_either()),
                false => Ok(FirstLine::Header),
            };
        }
        let odd: Vec<&str> = (0..fields.len())
            .filter(|&index| self.names.contains(fields[index]) && !is_value(index))
            .filter_map(|index| std::str::from_utf8(fields[index]).ok())
            .collect();
        if !odd.is_empty() {
            return Err(self.is_neither(&odd, header, settings));
        }
        let is_nearly_header = named > 0 && (named + 1 == features || 2 * named > features);
        if is_nearly_header { Err(self.is_nearly_header(named, features)) } else { Ok(FirstLine::Row) }
    }

    /// Names of columns can be values of others: numbers, for one.
    fn is_either(&self) -> String {
        format!(
            "is the first line a header or a row? It names the columns of the training data in another order, and each of them can be \
             a value; a header in the order of the training data is taken as one: {}",
            quote_list(self.all.columns.iter().map(|column| column.shown.as_str()))
        )
    }

    fn is_nearly_header(&self, named: usize, features: usize) -> String {
        format!(
            "is the first line a header or a row? As a header, it names {named} of the {features} features, {}; as a row, each of its cells \
             can be a value; write the header of the training data before it: {}",
            self.all.features_shown(),
            quote_list(self.all.columns.iter().map(|column| column.shown.as_str()))
        )
    }

    fn is_neither(&self, odd: &[&str], header: &Header, settings: &Settings) -> String {
        let as_header = match self.all.reordered(header, settings) {
            Err(Error::BadInput(fault)) => fault.reason,
            Ok(_) | Err(_) => format!("it names none of {}: found {}", self.all.features_shown(), header.all_shown()),
        };
        format!(
            "the first line is neither the header of the training data nor a row: as a header, {as_header}; as a row, {} would be values",
            quote_list(odd.iter().copied())
        )
    }

    /// Says of a first line that was taken as a row, and is none, why it was not taken as a header.
    pub(super) fn is_no_header(&self, header: &Header) -> String {
        let wanted: Vec<&str> = self.forms[0].names().collect();
        format!(
            "; the first line was taken as a row, since a header names {}{}",
            self.all.features_shown(),
            header.without(&wanted)
        )
    }
}

/// Whether a cell can be what a row has in that column.
fn may_hold(column: &Column, field: &[u8], settings: &Settings) -> bool {
    match column.role {
        Role::Number(_) => parse_number(field).is_some(),
        Role::Category(..) => category(column, field, settings).is_some(),
        Role::Label(_) => may_be_label(column, field, settings),
        Role::Ignored | Role::Id => true,
    }
}

fn category(column: &Column, field: &[u8], settings: &Settings) -> Option<usize> {
    settings.mappings.of(&column.name)?.number(std::str::from_utf8(field).ok()?)
}

fn may_be_label(column: &Column, field: &[u8], settings: &Settings) -> bool {
    if is_blank(field) {
        return true;
    }
    if settings.mappings.of(&column.name).is_some() {
        return category(column, field, settings).is_some();
    }
    let is_class = std::str::from_utf8(field).is_ok_and(|name| settings.class_names.id(name).is_some());
    let are_values = settings.regression || settings.labels.len() > 1;
    is_class || parse_number(field).is_some_and(|value| are_values || value.fract() == 0.0)
}

/// The name of a column in its own place is a header's.
fn is_name_of(column: &Column, field: &[u8]) -> bool {
    match column.role {
        Role::Number(_) | Role::Category(..) => false,
        Role::Ignored | Role::Id | Role::Label(_) => field == column.name.as_bytes(),
    }
}
