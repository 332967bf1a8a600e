//! The names in a first line, and how errors speak of them.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use dede_model::error::{Error, Result};
use dede_model::quote::{quote, quote_list};
use dede_storage::FileAccess;

use super::options::Settings;
use super::place::Place;
use super::records::Record;

/// What separates the columns of a table.
#[derive(Debug, Clone, Copy)]
struct Separator {
    byte: u8,
    /// Lines that it splits are shown when they hold the names asked for; others may be any text.
    is_of_tables: bool,
}

impl Separator {
    const fn of_tables(byte: u8) -> Self {
        Self { byte, is_of_tables: true }
    }

    const fn of_text(byte: u8) -> Self {
        Self { byte, is_of_tables: false }
    }
}

/// Separators that may be meant beside the one that is set.
const SEPARATORS: [Separator; 6] = [
    Separator::of_tables(b';'),
    Separator::of_tables(b'\t'),
    Separator::of_tables(b'|'),
    Separator::of_tables(b','),
    Separator::of_text(b':'),
    Separator::of_text(b' '),
];

/// In longer headers, names or bytes, what may have been meant is not looked for.
const LOOKED_AT: usize = 4096;

/// Column names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// In the order of the line.
    pub(super) names: Vec<String>,
    /// They were read from a file or URL: a client may be told of them that it cannot read.
    is_read: bool,
    /// The client may read all files of this machine.
    is_trusted: bool,
    separator: u8,
}

impl Header {
    /// Takes a line apart: the empty name after a separator at the end is left out.
    pub(super) fn of(record: Record<'_>, place: Place<'_>, settings: &Settings) -> Self {
        let fields = match record.fields {
            [fields @ .., b""] if !fields.is_empty() => fields,
            fields => fields,
        };
        Self {
            names: fields.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect(),
            is_read: place.is_read(),
            is_trusted: settings.limits.files == FileAccess::Anywhere,
            separator: settings.dialect.separator,
        }
    }

    /// The columns of the training data, which the service itself shows.
    pub(super) fn known(names: &[String], settings: &Settings) -> Self {
        Self { names: names.to_vec(), is_read: false, is_trusted: true, separator: settings.dialect.separator }
    }

    /// The column at `index` in an error.
    pub(super) fn shown(&self, index: usize) -> String {
        match self.names.get(index) {
            Some(name) if !self.is_read => quote(name),
            Some(_) | None => (index + 1).to_string(),
        }
    }

    /// All columns in an error: blanks around a name are made visible.
    pub(super) fn all_shown(&self) -> String {
        if self.is_read {
            return match self.names.len() {
                1 => "1 column".to_owned(),
                several => format!("{several} columns"),
            };
        }
        if self.names.len() > LOOKED_AT {
            return quote_list(self.names.iter().map(String::as_str));
        }
        let names: Vec<Cow<'_, str>> = self.names.iter().map(|name| visible(name)).collect();
        quote_list(names.iter().map(AsRef::as_ref))
    }

    /// Refuses columns with a part of their own that stand twice.
    ///
    /// # Errors
    /// [`Error::BadInput`] naming the column.
    pub(super) fn require_once(&self, settings: &Settings) -> Result<()> {
        let times = |name: &String| self.names.iter().filter(|column| *column == name).count();
        let mut single = settings.labels.iter().chain(&settings.id).chain(&settings.categoricals);
        match single.find(|name| times(name) > 1) {
            Some(name) => Err(Error::bad_input(format!("column {} occurs twice in the header", quote(name)))),
            None => Ok(()),
        }
    }

    /// Says which other separator would make enough columns of the line, as the end of a sentence; empty where none would.
    pub(super) fn separated_into(&self, expected: usize) -> String {
        let Some(line) = self.line().filter(|_| self.names.len() < expected) else { return String::new() };
        let is_better = |separator: &Separator| {
            let count = line.split(char::from(separator.byte)).count();
            separator.byte != self.separator && (count == expected || (separator.is_of_tables && count > expected))
        };
        match SEPARATORS.into_iter().find(is_better) {
            Some(separator) => format!("; {}", hint_at_separator(separator, (!self.is_read).then_some(&line))),
            None => String::new(),
        }
    }

    /// The line, unless it is too long to look at.
    fn line(&self) -> Option<String> {
        let length: usize = self.names.iter().map(|name| name.len() + 1).sum();
        (length <= LOOKED_AT).then(|| self.names.join(&char::from(self.separator).to_string()))
    }

    /// What there is instead of columns of these names, as the end of a sentence. Of a header that was read from a file this shows
    /// what the client wrote itself but for blanks and case, or the line that holds its names between other separators.
    pub(super) fn without(&self, wanted: &[&str]) -> String {
        let found = format!(": found {}", self.all_shown());
        if self.names.len() > LOOKED_AT {
            return found;
        }
        let names: HashSet<&str> = self.names.iter().map(String::as_str).collect();
        let absent: Vec<&str> = wanted.iter().copied().filter(|wanted| !names.contains(wanted)).collect();
        match self.written_otherwise(&absent).or_else(|| self.separated_otherwise(&absent)) {
            Some(cause) => format!("{found}; {cause}"),
            None => found,
        }
    }

    /// Says which column has one of these names but for blanks and case.
    fn written_otherwise(&self, wanted: &[&str]) -> Option<String> {
        let names: HashMap<String, usize> =
            self.names.iter().enumerate().rev().map(|(index, name)| (bare(name), index)).collect();
        let (wanted, &index) = wanted.iter().find_map(|wanted| Some((wanted, names.get(&bare(wanted))?)))?;
        Some(format!("column {} is \"{}\", not \"{}\"", index + 1, quote(&self.names[index]), quote(wanted)))
    }

    /// Says which other separator would make columns of all these names.
    fn separated_otherwise(&self, wanted: &[&str]) -> Option<String> {
        if wanted.is_empty() || (self.is_read && !self.is_trusted) {
            return None;
        }
        let line = self.line()?;
        let holds_names = |separator: u8| {
            let names: HashSet<String> =
                line.split(char::from(separator)).map(|name| bare(name.trim_matches('"'))).collect();
            separator != self.separator && wanted.iter().all(|wanted| names.contains(&bare(wanted)))
        };
        let separator = SEPARATORS.into_iter().find(|separator| holds_names(separator.byte))?;
        Some(hint_at_separator(separator, (separator.is_of_tables || !self.is_read).then_some(&line)))
    }
}

fn hint_at_separator(separator: Separator, line: Option<&String>) -> String {
    let shown = line.map_or_else(String::new, |line| format!(" in \"{}\"", quote(line)));
    format!("the separator is {:?}{shown}? set parameters.input.separator", char::from(separator.byte))
}

/// A name, between quotation marks where it has blanks around it.
fn visible(name: &str) -> Cow<'_, str> {
    if name.trim().len() == name.len() { Cow::Borrowed(name) } else { Cow::Owned(format!("\"{name}\"")) }
}

/// A name without what people write differently: blanks around it, and case.
fn bare(name: &str) -> String {
    name.trim().to_lowercase()
}
