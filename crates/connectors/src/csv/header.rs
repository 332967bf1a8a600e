//! The names in a first line, and how errors speak of them.

use dede_core::quote::{quote, quote_list};

use super::records::Record;
use super::row::Place;

/// Column names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// In the order of the line.
    pub(super) names: Vec<String>,
    /// They were read from a file or URL: a client may be told of them that it cannot read.
    is_read: bool,
}

impl Header {
    /// Takes a line apart: a byte order mark and the empty name after a separator at the end are left out.
    pub(super) fn of(record: Record<'_>, place: Place<'_>) -> Self {
        let fields = match record.fields {
            [fields @ .., b""] if !fields.is_empty() => fields,
            fields => fields,
        };
        let mut names: Vec<String> = fields.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect();
        if let Some(first) = names.first_mut()
            && let Some(rest) = first.strip_prefix('\u{feff}')
        {
            *first = rest.to_owned();
        }
        Self { names, is_read: place.is_read() }
    }

    /// The columns of the training data, which the service itself shows.
    pub(super) fn known(names: &[String]) -> Self {
        Self { names: names.to_vec(), is_read: false }
    }

    /// The column at `index` in an error.
    pub(super) fn shown(&self, index: usize) -> String {
        match self.names.get(index) {
            Some(name) if !self.is_read => quote(name),
            Some(_) | None => (index + 1).to_string(),
        }
    }

    /// All columns in an error.
    pub(super) fn all_shown(&self) -> String {
        match self.is_read {
            true => format!("{} columns", self.names.len()),
            false => quote_list(self.names.iter().map(String::as_str)),
        }
    }
}
