//! Where the bytes of one `data` item come from: a URL, a file, a directory, or the string itself.
//!
//! It owns the order in which an item is resolved (contract.md 3.1). It must not know what the bytes mean.

mod fetcher;
pub mod outbound;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use dede_model::error::Error;
use dede_model::quote::quote;
use dede_model::request_memory::MemoryShare;
use dede_storage::{FileAccess, Kind};

pub(crate) use fetcher::{Fetcher, Unfetched};

/// Longer strings are no paths: Linux has no longer ones, and base64 images need not be looked up.
const MAX_PATH_BYTES: usize = 4096;

/// What one item of `data` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin<'a> {
    /// `http://`, `https://` or `file://`.
    Url(&'a str),
    /// A directory that exists.
    Directory(PathBuf),
    /// Anything else that exists under that path.
    File(PathBuf),
    /// The string is the content.
    Inline(&'a str),
}

impl<'a> Origin<'a> {
    /// Resolves an item. What may not be looked at is no path.
    pub(crate) fn of(item: &'a str, files: &FileAccess) -> Self {
        if is_remote(item) || has_scheme(item, "file://") {
            return Self::Url(item);
        }
        if item.is_empty() || item.len() > MAX_PATH_BYTES || item.contains('\0') {
            return Self::Inline(item);
        }
        match files.kind(Path::new(item)) {
            Some(Kind::Directory) => Self::Directory(PathBuf::from(item)),
            Some(Kind::File) => Self::File(PathBuf::from(item)),
            None => Self::Inline(item),
        }
    }
}

/// Refuses a directory that is a data base of LMDB, rather than one of images or tables.
///
/// # Errors
/// [`Error::BadInput`] naming it.
pub(crate) fn check_no_database(path: &Path, files: &FileAccess) -> Result<(), Error> {
    if files.kind(&path.join("data.mdb")) != Some(Kind::File) {
        return Ok(());
    }
    let shown = quote(&path.to_string_lossy());
    let reason = format!("not supported yet: {shown} is a data base of LMDB; expected the files that it was made from");
    Err(Error::bad_input(reason))
}

/// Whether an item is a URL that another machine answers.
pub(crate) fn is_remote(item: &str) -> bool {
    has_scheme(item, "http://") || has_scheme(item, "https://")
}

/// Schemes are read in any case (RFC 3986, section 3.1).
fn has_scheme(item: &str, scheme: &str) -> bool {
    item.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

/// The path in a `file://` URL.
///
/// # Errors
/// What is wrong with it, or that the file may not be read; the same whether it is there or not.
pub(crate) fn local_path(url: &str, files: &FileAccess) -> Result<PathBuf, String> {
    let shown = quote(url);
    let parsed = url::Url::parse(url).map_err(|error| format!("{shown}: {error}"))?;
    let path = parsed.to_file_path().map_err(|()| format!("{shown}: expected file:// and an absolute path"))?;
    if *files != FileAccess::Anywhere && files.kind(&path).is_none() {
        return Err(format!("{shown}: files of this server are read with its token only, or beneath --data-root"));
    }
    Ok(path)
}

/// Opens a regular file of at most `max_bytes`, and says how long it is. Pipes and devices are refused, and so is what says that it is
/// empty: reading those may never end, `/proc/kmsg` for one.
///
/// # Errors
/// What is wrong, without the path.
pub(crate) fn open_file(files: &FileAccess, path: &Path, max_bytes: u64) -> Result<(File, u64), String> {
    let words = |error: std::io::Error| error.to_string();
    let file = files.open(path).map_err(words)?;
    let metadata = file.metadata().map_err(words)?;
    if !metadata.is_file() {
        return Err("not a regular file".to_owned());
    }
    if metadata.len() == 0 {
        return Err("an empty file".to_owned());
    }
    if metadata.len() > max_bytes {
        return Err(format!("{} bytes, at most {max_bytes} are read", metadata.len()));
    }
    Ok((file, metadata.len()))
}

/// Reads what [`open_file`] opens into `buffer`, replacing what it held. It counts in `memory`.
///
/// # Errors
/// As [`open_file`], or that there is no memory for it.
pub(crate) fn read_file(
    files: &FileAccess,
    path: &Path,
    max_bytes: u64,
    buffer: &mut Vec<u8>,
    memory: &MemoryShare,
) -> Result<(), Unfetched> {
    let (mut file, length) = open_file(files, path, max_bytes)?;
    memory.grow(length)?;
    buffer.clear();
    buffer.reserve(usize::try_from(length).unwrap_or(0) + 1);
    Ok(read_open(&mut file, max_bytes, buffer)?)
}

/// Reads the rest of a file, of at most `max_bytes`, into an empty `buffer`.
///
/// # Errors
/// What is wrong, without the path.
pub(crate) fn read_open(file: &mut File, max_bytes: u64, buffer: &mut Vec<u8>) -> Result<(), String> {
    let read = file.take(max_bytes + 1).read_to_end(buffer).map_err(|error| error.to_string())?;
    if read as u64 > max_bytes {
        return Err(format!("more than {max_bytes} bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_resolved_in_the_order_of_the_contract() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("a.jpg");
        std::fs::write(&file, b"content").expect("written");
        let (file_text, directory_text) = (file.to_str().expect("utf-8"), directory.path().to_str().expect("utf-8"));
        assert_eq!(Origin::of("https://host/a", &FileAccess::Anywhere), Origin::Url("https://host/a"));
        assert_eq!(Origin::of("HTTP://host/a", &FileAccess::Anywhere), Origin::Url("HTTP://host/a"));
        assert_eq!(Origin::of("File:///a", &FileAccess::Anywhere), Origin::Url("File:///a"));
        assert!(is_remote("Https://host") && !is_remote("http:/é"));
        assert_eq!(Origin::of(file_text, &FileAccess::Anywhere), Origin::File(file.clone()));
        assert_eq!(Origin::of(directory_text, &FileAccess::Anywhere), Origin::Directory(directory.path().to_owned()));
        assert_eq!(Origin::of("/nonexistent/a.jpg", &FileAccess::Anywhere), Origin::Inline("/nonexistent/a.jpg"));
        assert_eq!(Origin::of("a\0b", &FileAccess::Anywhere), Origin::Inline("a\0b"));
    }

    #[test]
    fn data_bases_are_named_as_such() {
        let directory = tempfile::tempdir().expect("a directory");
        let check = || check_no_database(directory.path(), &FileAccess::Anywhere);
        std::fs::write(directory.path().join("a.jpg"), b"content").expect("written");
        assert!(check().is_ok());
        std::fs::write(directory.path().join("data.mdb"), b"content").expect("written");
        let error = check().expect_err("a data base").to_string();
        assert!(error.contains("is a data base of LMDB"), "{error}");
    }

    #[test]
    fn special_files_are_refused() {
        for endless in ["/dev/zero", "/proc/kmsg"] {
            let read =
                read_file(&FileAccess::Anywhere, Path::new(endless), 10, &mut Vec::new(), &MemoryShare::unbounded());
            assert!(read.is_err(), "{endless}");
        }
    }
}
