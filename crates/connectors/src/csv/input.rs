//! Items of `data`: which are files, which are fetched, which are lines (contract.md 3.1).

use std::borrow::Cow;
use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::path::Path;

use dede_model::connector::Fetched;
use dede_model::error::{Error, Result};
use dede_model::quote::quote;
use dede_model::request_memory::MemoryShare;

use super::encoding;
use super::options::Settings;
use super::place::Place;
use super::records::{self, Dialect, Record};
use crate::source::{Origin, check_no_database, is_remote, local_path, open_file, read_open};

/// A table as it was named in the request.
#[derive(Debug)]
pub(super) enum Source<'a> {
    /// A file of this machine.
    File(&'a str, File),
    /// In memory: fetched from a URL, or loaded.
    Fetched(&'a str, Cow<'a, [u8]>),
    /// Strings of the request, from this 0-based item on.
    Lines(usize, &'a [String]),
}

impl<'a> Source<'a> {
    /// Finds out what `data[index]` is. A string that is no URL and no existing path is a line.
    ///
    /// # Errors
    /// [`Error::BadInput`] for directories, files that are too large, and files that may not be read.
    pub(super) fn of_item(data: &'a [String], index: usize, settings: &Settings, fetched: &'a Fetched) -> Result<Self> {
        let item = data[index].as_str();
        if is_row_of_numbers(item, settings.dialect) {
            return Ok(Self::Lines(index, &data[index..=index]));
        }
        match Origin::of(item, &settings.limits.files) {
            Origin::Inline(_) => Ok(Self::Lines(index, &data[index..=index])),
            Origin::Directory(path) => {
                check_no_database(&path, &settings.limits.files)?;
                let reason = format!("uri {} is a directory, requires a CSV file", quote(&path.to_string_lossy()));
                Err(Error::bad_input(reason))
            }
            Origin::File(path) => Self::of_file(item, &path, settings),
            Origin::Url(url) if is_remote(url) => match fetched.get(index) {
                Some(bytes) => Ok(Self::Fetched(url, Cow::Borrowed(bytes))),
                None => Err(Error::Internal("an item was not fetched".to_owned())),
            },
            Origin::Url(url) => {
                let path = local_path(url, &settings.limits.files).map_err(Error::bad_input)?;
                Self::of_file(item, &path, settings)
            }
        }
    }

    /// A file that is to be read more than once, so no pipe and no device.
    fn of_file(item: &'a str, path: &Path, settings: &Settings) -> Result<Self> {
        let limits = &settings.limits;
        let opened = open_file(&limits.files, path, limits.table_bytes);
        let refused =
            |reason| Error::bad_input(format!("cannot open file {}: {reason}", quote(&path.to_string_lossy())));
        opened.map(|(file, _)| Self::File(item, file)).map_err(refused)
    }

    /// Takes a file into memory, so that what is read and what is kept is the same; its text, unless it is longer than
    /// `most_bytes` or no text. Lines are in memory already.
    pub(super) fn load(&mut self, most_bytes: usize) -> Option<&str> {
        if let Self::File(name, file) = self {
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(0)).ok()?;
            read_open(file, most_bytes as u64, &mut bytes).ok()?;
            *self = Self::Fetched(name, Cow::Owned(bytes));
        }
        match self {
            Self::Fetched(_, bytes) if bytes.len() <= most_bytes => std::str::from_utf8(bytes).ok(),
            Self::Fetched(..) | Self::File(..) | Self::Lines(..) => None,
        }
    }

    /// Calls `take` with every line, the header included, and where it stands.
    ///
    /// # Errors
    /// What `take` answers; [`Error::BadInput`] when the file cannot be read, or is not UTF-8.
    pub(super) fn for_each(
        &self,
        dialect: Dialect,
        memory: &MemoryShare,
        mut take: impl FnMut(Place<'_>, Record<'_>) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::File(name, file) => {
                let mut file = file;
                file.seek(SeekFrom::Start(0))
                    .map_err(|error| Error::bad_input(format!("cannot read file {}: {error}", quote(name))))?;
                let place = Place::File(name);
                records::of_reader(file, place, dialect, memory, checked(place, take))
            }
            Self::Fetched(name, bytes) => {
                let place = Place::File(name);
                records::of_reader(bytes.as_ref(), place, dialect, memory, checked(place, take))
            }
            Self::Lines(first, lines) => lines.iter().enumerate().try_for_each(|(index, line)| {
                let place = Place::Item(first + index);
                records::of_text(line, place, dialect, memory, |record| take(place, record))
            }),
        }
    }
}

/// Passes on the lines of a file, all of them text. (What a request holds is UTF-8 already.)
fn checked<'p>(
    place: Place<'p>,
    mut take: impl FnMut(Place<'p>, Record<'_>) -> Result<()>,
) -> impl FnMut(Record<'_>) -> Result<()> {
    move |record| {
        encoding::check(record, place)?;
        take(place, record)
    }
}

/// Whether an item is nothing but numbers and separators: no need to ask the file system for it. (A file named `1,2` is
/// reached as `./1,2`.)
fn is_row_of_numbers(item: &str, dialect: Dialect) -> bool {
    let numeric = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E' | b' ');
    item.bytes().all(|byte| byte == dialect.separator || numeric(byte))
        && item.bytes().any(|byte| byte == dialect.separator)
}
