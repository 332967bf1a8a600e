//! The canonical list of files whose content decides an answer, and the digest over it.

use std::io;
use std::path::Path;

use crate::digest::{Digest, hash_file};
use crate::file_name::FileName;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Entry {
    /// Where it is beneath the directory.
    pub name: FileName,
    /// Bytes.
    pub size: u64,
    /// Content.
    pub sha256: Digest,
}

/// Files sorted by name, each name once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    entries: Vec<Entry>,
}

/// A name that a list of files has twice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a file name occurs twice: {0:?}")]
pub struct DuplicateName(pub FileName);

impl Manifest {
    /// Sorts the entries.
    ///
    /// # Errors
    /// [`DuplicateName`].
    pub fn new(mut entries: Vec<Entry>) -> Result<Self, DuplicateName> {
        entries.sort();
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(DuplicateName(pair[0].name.clone()));
        }
        Ok(Self { entries })
    }

    /// Hashes files on disk: pairs of manifest name and place.
    ///
    /// # Errors
    /// Reading errors, or a bad name as [`io::ErrorKind::InvalidInput`].
    pub fn of_files<'a>(files: impl IntoIterator<Item = (&'a str, &'a Path)>) -> io::Result<Self> {
        let entries = files
            .into_iter()
            .map(|(name, path)| {
                let name = name.parse().map_err(invalid_input)?;
                let (size, sha256) = hash_file(path)?;
                Ok(Entry { name, size, sha256 })
            })
            .collect::<io::Result<Vec<_>>>()?;
        Self::new(entries).map_err(invalid_input)
    }

    /// The files, sorted by name.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// sha256 of the canonical form: per file, sorted by the bytes of the name, one line
    /// `<64 hex digits> <size in decimal> <name>\n`. Names hold no newline, so no two lists share a form.
    pub fn digest(&self) -> Digest {
        let mut text = String::new();
        for entry in &self.entries {
            text.push_str(&format!("{} {} {}\n", entry.sha256.hex(), entry.size, entry.name));
        }
        Digest::of(text.as_bytes())
    }
}

fn invalid_input(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, content: &[u8]) -> Entry {
        Entry { name: name.parse().unwrap(), size: content.len() as u64, sha256: Digest::of(content) }
    }

    #[test]
    fn order_does_not_matter_but_names_and_contents_do() {
        let a = Manifest::new(vec![entry("a", b"1"), entry("b", b"2")]).unwrap();
        let same = Manifest::new(vec![entry("b", b"2"), entry("a", b"1")]).unwrap();
        let swapped = Manifest::new(vec![entry("a", b"2"), entry("b", b"1")]).unwrap();
        assert_eq!(a.digest(), same.digest());
        assert_ne!(a.digest(), swapped.digest());
        assert_ne!(a.digest(), Manifest::new(vec![entry("a", b"1")]).unwrap().digest());
    }

    #[test]
    fn a_name_occurs_once_and_never_escapes() {
        assert!(Manifest::new(vec![entry("x", b"1"), entry("x", b"2")]).is_err());
        let escaping = Manifest::of_files([("../x", Path::new("nowhere"))]).unwrap_err();
        assert_eq!(escaping.kind(), io::ErrorKind::InvalidInput);
    }
}
