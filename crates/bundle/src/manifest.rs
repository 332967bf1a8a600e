//! The canonical list of files whose content decides an answer, and the digest over it.

use std::path::Path;

use crate::digest::{Digest, hash_file};

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Entry {
    /// Relative name, `/` between components.
    pub name: String,
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

/// A name that could leave the directory, or that the canonical form cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid file name in a manifest: {0:?}")]
pub struct InvalidEntryName(pub String);

impl Manifest {
    /// Sorts the entries.
    ///
    /// # Errors
    /// [`InvalidEntryName`] for an empty, absolute or duplicate name, one with `.`, `..`, an empty component, a
    /// backslash or a control character.
    pub fn new(mut entries: Vec<Entry>) -> Result<Self, InvalidEntryName> {
        entries.sort();
        if let Some(bad) = entries.iter().find(|entry| !is_plain_relative(&entry.name)) {
            return Err(InvalidEntryName(bad.name.clone()));
        }
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(InvalidEntryName(pair[0].name.clone()));
        }
        Ok(Self { entries })
    }

    /// Hashes files on disk: pairs of manifest name and place.
    ///
    /// # Errors
    /// Reading errors, or a bad name as [`std::io::ErrorKind::InvalidInput`].
    pub fn of_files<'a>(files: impl IntoIterator<Item = (&'a str, &'a Path)>) -> std::io::Result<Self> {
        let entries = files
            .into_iter()
            .map(|(name, path)| {
                let (size, sha256) = hash_file(path)?;
                Ok(Entry { name: name.to_owned(), size, sha256 })
            })
            .collect::<std::io::Result<Vec<_>>>()?;
        Self::new(entries).map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error))
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

fn is_plain_relative(name: &str) -> bool {
    !name.is_empty()
        && !name.chars().any(|c| c.is_control() || c == '\\')
        && name.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, content: &[u8]) -> Entry {
        Entry { name: name.into(), size: content.len() as u64, sha256: Digest::of(content) }
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
    fn names_that_escape_are_refused() {
        for name in ["", "/etc/passwd", "../x", "a/../b", "a//b", ".", "a\\b", "a\nb", "a/"] {
            assert!(Manifest::new(vec![entry(name, b"")]).is_err(), "{name:?}");
        }
        assert!(Manifest::new(vec![entry("x", b"1"), entry("x", b"2")]).is_err());
        assert!(Manifest::new(vec![entry("runs/3/model.onnx", b"")]).is_ok());
    }
}
