//! Files of a loaded network that are read again later: only as long as they are the ones that it was loaded from.
//!
//! It must not know what is in them.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use dede_model::backend::DecidingFile;
use dede_model::error::{Error, Result};

/// What the system says of a file that is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Of its content, seconds and nanoseconds since 1970.
    written: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        let written = (found.mtime(), found.mtime_nsec());
        Some(Self { device: found.dev(), inode: found.ino(), size: found.size(), written })
    }
}

/// Files as they were.
#[derive(Debug, Clone)]
pub(super) struct Unchanged(Vec<(DecidingFile, Option<Stamp>)>);

impl Unchanged {
    /// Looks at the files before they are read.
    pub(super) fn of(files: impl IntoIterator<Item = DecidingFile>) -> Self {
        let stamped = |file: DecidingFile| {
            let stamp = Stamp::of(&file.path);
            (file, stamp)
        };
        Self(files.into_iter().map(stamped).collect())
    }

    /// Whether they are the same.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the file that is not.
    pub(super) fn check(&self) -> Result<()> {
        let changed = self.0.iter().find(|(file, stamp)| stamp.is_none() || Stamp::of(&file.path) != *stamp);
        changed.map_or(Ok(()), |(file, _)| {
            let text = "is another file by now than the one that answers: other layers of that cannot be loaded";
            Err(Error::bad_parameter_at(&file.name, text))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_replaced_or_written_is_another() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.onnx");
        fs::write(&path, "one").unwrap();
        let unchanged = Unchanged::of([DecidingFile { name: "model.onnx".into(), path: path.clone() }]);
        unchanged.check().unwrap();
        fs::write(directory.path().join("other"), "one").unwrap();
        fs::rename(directory.path().join("other"), &path).unwrap();
        assert!(unchanged.check().unwrap_err().to_string().contains("model.onnx"));
        let unchanged = Unchanged::of([DecidingFile { name: "model.onnx".into(), path: path.clone() }]);
        fs::write(&path, "longer").unwrap();
        assert!(unchanged.check().is_err());
        fs::remove_file(&path).unwrap();
        assert!(unchanged.check().is_err());
    }
}
