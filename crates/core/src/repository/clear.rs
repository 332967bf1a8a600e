//! `DELETE /services/{name}?clear=…`: what is removed from a repository (contract.md 1.4).

use std::fs;
use std::path::Path;

use super::Repository;
use crate::error::{Error, Result};

/// How much to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clear {
    /// Nothing.
    #[default]
    Memory,
    /// The library's files at the top level, and the runs.
    Library,
    /// Everything inside the directory.
    Full,
    /// The directory too.
    Directory,
    /// The files of the similarity index.
    Index,
}

impl Clear {
    /// Parses the query's value; anything unknown removes nothing, as in the original.
    pub fn parse(text: &str) -> Self {
        match text {
            "lib" => Self::Library,
            "full" => Self::Full,
            "dir" => Self::Directory,
            "index" => Self::Index,
            _ => Self::Memory,
        }
    }
}

impl Repository {
    /// Removes files. `is_library_file` is asked with file names, never with paths.
    ///
    /// # Errors
    /// [`Error::Io`] naming what could not be removed.
    pub fn clear(&self, clear: Clear, is_library_file: &dyn Fn(&str) -> bool) -> Result<()> {
        match clear {
            // A directory that is gone is as clear as can be.
            _ if !self.root().exists() => Ok(()),
            Clear::Memory => Ok(()),
            Clear::Library => self.clear_library(is_library_file),
            Clear::Full => self.clear_entries(),
            Clear::Directory => {
                self.clear_entries()?;
                remove(self.root())
            }
            Clear::Index => {
                for name in ["index.ann", "index.faiss", "names.bin"] {
                    remove(&self.root().join(name))?;
                }
                Ok(())
            }
        }
    }

    fn clear_library(&self, is_library_file: &dyn Fn(&str) -> bool) -> Result<()> {
        for name in self.files()?.iter().filter(|name| is_library_file(name)) {
            remove(&self.root().join(name))?;
        }
        // The pointer goes first: a crash in between leaves unpublished runs, never a pointer to nothing.
        for name in ["published", "runs", "index.ann", "index.faiss", "names.bin"] {
            remove(&self.root().join(name))?;
        }
        Ok(())
    }

    fn clear_entries(&self) -> Result<()> {
        remove(&self.root().join("published"))?;
        let context = || format!("list {}", self.root().display());
        for entry in fs::read_dir(self.root()).map_err(Error::io(context()))? {
            remove(&entry.map_err(Error::io(context()))?.path())?;
        }
        Ok(())
    }
}

/// Removes a file, a link (never what it points to) or a directory; what is not there is fine.
fn remove(path: &Path) -> Result<()> {
    let result = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => Err(error),
    };
    result.map_err(Error::io(format!("remove {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository below a directory whose name would match a substring test.
    fn filled(parent: &Path) -> Repository {
        let root = parent.join("my.json.models");
        fs::create_dir_all(root.join("runs/1")).unwrap();
        for name in ["a.caffemodel", "config.json", "corresp.txt", "published", "runs/1/model.onnx"] {
            fs::write(root.join(name), "x").unwrap();
        }
        Repository::open(root, false).unwrap()
    }

    #[test]
    fn each_clear_removes_what_it_says() {
        let library = |name: &str| name.ends_with(".json") || name.ends_with(".caffemodel");
        let cases: [(&str, Option<&[&str]>); 5] = [
            ("mem", Some(&["a.caffemodel", "config.json", "corresp.txt", "published"])),
            ("bogus", Some(&["a.caffemodel", "config.json", "corresp.txt", "published"])),
            ("lib", Some(&["corresp.txt"])),
            ("full", Some(&[])),
            ("dir", None),
        ];
        for (text, left) in cases {
            let parent = tempfile::tempdir().unwrap();
            let repository = filled(parent.path());
            repository.clear(Clear::parse(text), &library).unwrap();
            match left {
                Some(left) => assert_eq!(repository.files().unwrap(), left, "{text}"),
                None => assert!(!repository.root().exists()),
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_removed_not_followed() {
        let parent = tempfile::tempdir().unwrap();
        let outside = parent.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("precious"), "x").unwrap();
        let repository = filled(parent.path());
        std::os::unix::fs::symlink(&outside, repository.root().join("link")).unwrap();
        repository.clear(Clear::Full, &|_| true).unwrap();
        assert!(outside.join("precious").exists());
        let linked = parent.path().join("linked");
        std::os::unix::fs::symlink(repository.root(), &linked).unwrap();
        let through = Repository::open(linked.clone(), false).unwrap();
        through.clear(Clear::Directory, &|_| true).unwrap();
        assert!(fs::symlink_metadata(linked).is_err() && repository.root().is_dir(), "what it leads to is empty");
    }
}
