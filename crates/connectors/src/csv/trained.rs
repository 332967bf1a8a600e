//! What is known of the lines of a service whose training data is known, and whether a first line is a header.
//!
//! The names of the training data decide, never the position: a first line that names all features is a header, one that holds none of
//! the names is a row, in files and in lines of the request alike. Anything between them is refused.

use std::collections::HashSet;

use dede_core::error::Error;
use dede_core::quote::quote_list;

use super::header::Header;
use super::layout::{Column, Layout, Role};
use super::options::Settings;
use super::row::parse_number;

/// The layouts of lines of a service whose training data is known.
#[derive(Debug)]
pub(super) struct Trained {
    /// All columns, as in the training file.
    pub(super) all: Layout,
    /// What lines without a header may hold: the features alone; the same with id, without labels; all columns.
    pub(super) forms: Vec<Layout>,
    /// Names of all columns that have one.
    names: HashSet<Vec<u8>>,
}

/// What a first line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FirstLine {
    Header,
    Row,
}

impl Trained {
    /// `None` when the settings contradict what was stored (another id or label column, say): then columns count by
    /// position, as they do for a repository that stores nothing.
    pub(super) fn new(settings: &Settings) -> Option<Self> {
        let header = Header::known(settings.columns.as_ref()?, settings);
        let all = Layout::of_header(&header, settings).ok()?;
        if settings.network_columns.is_some_and(|columns| columns != all.width) {
            return None;
        }
        let all = match &settings.bounds {
            Some(bounds) if bounds.len() == all.bound_owners(settings).len() => all.scaled(bounds, settings).ok()?,
            Some(_) | None => all,
        };
        let places = |keep: fn(&Role) -> bool| -> Vec<usize> {
            (0..all.columns.len()).filter(|&index| keep(&all.columns[index].role)).collect()
        };
        let features = all.select(&places(|role| matches!(role, Role::Number(_) | Role::Category(..))));
        let unlabelled = all.select(&places(|role| !matches!(role, Role::Label(_))));
        let names = all.names().filter(|name| !name.is_empty()).map(|name| name.as_bytes().to_vec()).collect();
        Some(Self { forms: vec![features, unlabelled, all.clone()], all, names })
    }

    /// The way of writing lines that has as many columns as this one. A separator at the end of the line adds none.
    pub(super) fn form(&self, fields: &[&[u8]]) -> Option<&Layout> {
        let of_length = |length| self.forms.iter().find(|form| form.columns.len() == length);
        match fields {
            [shorter @ .., b""] => of_length(shorter.len()).or_else(|| of_length(fields.len())),
            fields => of_length(fields.len()),
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
        let is_value = |index: usize| {
            let column = form.and_then(|form| form.columns.get(index));
            column.is_some_and(|column| may_hold(column, fields[index], settings))
        };
        let named: HashSet<&[u8]> = fields.iter().copied().collect();
        if self.forms[0].names().all(|name| named.contains(name.as_bytes())) {
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
        if odd.is_empty() { Ok(FirstLine::Row) } else { Err(self.is_neither(&odd, header, settings)) }
    }

    /// Names of columns can be values of others: numbers, for one.
    fn is_either(&self) -> String {
        format!(
            "is the first line a header or a row? It names the columns of the training data in another order, and each of them can be \
             a value; a header in the order of the training data is taken as one: {}",
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
        Role::Category(..) => {
            let value = std::str::from_utf8(field).ok();
            value.is_some_and(|value| settings.mappings.of(&column.name).is_some_and(|of| of.number(value).is_some()))
        }
        Role::Ignored | Role::Id | Role::Label(_) => field != column.name.as_bytes(),
    }
}
