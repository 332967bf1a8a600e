//! Where the committed test data is, and copies of it that a test may write into.
//!
//! `fixtures/models/<name>`: repositories trained by the original server; `fixtures/data`: data sets and images;
//! `fixtures/transcripts`: recorded requests and answers. All are read-only: a server writes into the repositories it serves.

use std::io;
use std::path::{Path, PathBuf};

/// The folder of all fixtures.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// A repository of the original server.
///
/// # Panics
/// When there is none of that name.
pub fn model(name: &str) -> PathBuf {
    existing(root().join("models").join(name))
}

/// A data file or folder, such as `iris.csv`.
///
/// # Panics
/// When there is none of that name.
pub fn data(name: &str) -> PathBuf {
    existing(root().join("data").join(name))
}

/// A transcript, such as `01_info_services.txt`.
///
/// # Panics
/// When there is none of that name.
pub fn transcript(name: &str) -> PathBuf {
    existing(root().join("transcripts").join(name))
}

fn existing(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "no fixture {}", path.display());
    path
}

/// Copies the repository `name` into `directory/name` and returns that path.
///
/// # Errors
/// When something cannot be read or written.
///
/// # Panics
/// When there is no repository of that name.
pub fn copy_model(name: &str, directory: &Path) -> io::Result<PathBuf> {
    let target = directory.join(name);
    copy_directory(&model(name), &target)?;
    Ok(target)
}

/// Copies a directory with all below it, the way `cp -r` does; files become writable.
///
/// # Errors
/// When something cannot be read or written.
pub fn copy_directory(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_directory(&entry.path(), &target)?;
        } else {
            std::fs::write(target, std::fs::read(entry.path())?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_copied_whole() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        std::fs::create_dir_all(from.join("runs/1")).expect("created");
        std::fs::write(from.join("config.json"), "{}").expect("written");
        std::fs::write(from.join("runs/1/model.onnx"), [1, 2]).expect("written");
        copy_directory(&from, &to).expect("copied");
        assert_eq!(std::fs::read(to.join("config.json")).expect("read"), b"{}");
        assert_eq!(std::fs::read(to.join("runs/1/model.onnx")).expect("read"), [1, 2]);
    }

    #[test]
    fn committed_data_is_found() {
        assert!(data("iris.csv").is_file());
    }
}
