//! Items of `data`: which are files, which are fetched, which are lines (contract.md 3.1).

use std::fs::File;
use std::path::PathBuf;

use dede_core::error::{Error, Result};

use super::options::Settings;
use super::records::{self, Dialect, Record};
use super::row::Place;
use crate::source::{Fetcher, Origin, not_allowed, read_file};

/// A table as it was named in the request.
#[derive(Debug)]
pub(super) enum Source<'a> {
    /// A file of this machine.
    File(&'a str, PathBuf),
    /// In memory: fetched from a URL, or loaded.
    Fetched(&'a str, Vec<u8>),
    /// Strings of the request, from this 0-based item on.
    Lines(usize, &'a [String]),
}

impl<'a> Source<'a> {
    /// Finds out what `data[index]` is. A string that is no URL and no existing path is a line.
    ///
    /// # Errors
    /// [`Error::BadInput`] for directories, files and answers that are too large, and URLs that cannot be fetched.
    pub(super) fn of_item(data: &'a [String], index: usize, settings: &Settings) -> Result<Self> {
        let item = data[index].as_str();
        if is_row_of_numbers(item, settings.dialect) {
            return Ok(Self::Lines(index, &data[index..=index]));
        }
        match Origin::of(item, &settings.limits.files) {
            Origin::Inline(_) => Ok(Self::Lines(index, &data[index..=index])),
            Origin::Directory(path) => {
                let reason = format!("uri {} is a directory, requires a CSV file", path.display());
                Err(Error::bad_input(reason))
            }
            Origin::File(path) => Self::of_file(item, path, settings.limits.table_bytes),
            Origin::Url(url) => match url::Url::parse(url) {
                Ok(parsed) if parsed.scheme() == "file" => {
                    let path = parsed
                        .to_file_path()
                        .map_err(|()| Error::bad_input(format!("{url}: expected file:// and an absolute path")))?;
                    if !settings.limits.files.allows(&path) {
                        return Err(Error::bad_input(not_allowed(url)));
                    }
                    Self::of_file(item, path, settings.limits.table_bytes)
                }
                Ok(_) | Err(_) => {
                    let bytes = Fetcher::new(&settings.limits, settings.timeout_s)?.fetch(url);
                    bytes.map(|bytes| Self::Fetched(url, bytes)).map_err(Error::bad_input)
                }
            },
        }
    }

    /// A file that is to be read more than once, so no pipe and no device.
    fn of_file(item: &'a str, path: PathBuf, most_bytes: u64) -> Result<Self> {
        let refused = |reason: String| Error::bad_input(format!("cannot open file {}: {reason}", path.display()));
        let metadata = path.metadata().map_err(|error| refused(error.to_string()))?;
        if !metadata.is_file() {
            return Err(refused("it is no regular file".to_owned()));
        }
        if metadata.len() == 0 {
            // Some files that the kernel fills say so too, and reading those may never end.
            return Err(refused("it is empty".to_owned()));
        }
        if metadata.len() > most_bytes {
            return Err(refused(format!("{} bytes, at most {most_bytes} are read", metadata.len())));
        }
        Ok(Self::File(item, path))
    }

    /// Takes a file into memory, so that what is read and what is kept is the same; its text, unless it is longer than
    /// `most_bytes` or no text. Lines are in memory already.
    pub(super) fn load(&mut self, most_bytes: usize) -> Option<&str> {
        if let Self::File(name, path) = self {
            let mut bytes = Vec::new();
            read_file(path, most_bytes as u64, &mut bytes).ok()?;
            *self = Self::Fetched(name, bytes);
        }
        match self {
            Self::Fetched(_, bytes) if bytes.len() <= most_bytes => std::str::from_utf8(bytes).ok(),
            Self::Fetched(..) | Self::File(..) | Self::Lines(..) => None,
        }
    }

    /// Calls `take` with every line, the header included, and where it stands.
    ///
    /// # Errors
    /// What `take` answers; [`Error::BadInput`] when the file cannot be read.
    pub(super) fn for_each(
        &self,
        dialect: Dialect,
        mut take: impl FnMut(Place<'_>, Record<'_>) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::File(name, path) => {
                let file =
                    File::open(path).map_err(|error| Error::bad_input(format!("cannot open file {name}: {error}")))?;
                records::of_reader(file, dialect, |record| take(Place::File(name), record))
            }
            Self::Fetched(name, bytes) => {
                records::of_reader(bytes.as_slice(), dialect, |record| take(Place::File(name), record))
            }
            Self::Lines(first, lines) => lines.iter().enumerate().try_for_each(|(index, line)| {
                records::of_text(line, dialect, |record| take(Place::Item(first + index), record))
            }),
        }
    }
}

/// Whether an item is nothing but numbers and separators: no need to ask the file system for it. (A file named `1,2` is
/// reached as `./1,2`.)
fn is_row_of_numbers(item: &str, dialect: Dialect) -> bool {
    let numeric = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E' | b' ');
    item.bytes().all(|byte| byte == dialect.separator || numeric(byte))
        && item.bytes().any(|byte| byte == dialect.separator)
}

/// Column names of a header line: a byte order mark and the empty name after a separator at the end are left out.
pub(super) fn header(record: Record<'_>) -> Vec<String> {
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
    names
}
