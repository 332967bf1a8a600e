//! Which files of this machine the items of a request may name, and the handles they are read by.
//!
//! A reader of files asks here for a handle and never opens a path: what was allowed and what is read are then the same. It must not
//! know what the bytes mean.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use rustix::fs::{CWD, Dir, Mode, OFlags, openat};

use crate::roots::Roots;

/// Which files may be named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FileAccess {
    /// Any.
    #[default]
    Anywhere,
    /// Those beneath these directories, and none where there are none.
    Beneath(Roots),
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// Anything else.
    File,
}

impl FileAccess {
    /// What is at `path`; `None` both where nothing is and where it may not be looked at, so that the two cannot be
    /// told apart.
    pub fn kind(&self, path: &Path) -> Option<Kind> {
        let handle = File::from(self.handle(path, OFlags::PATH).ok()?);
        let metadata = handle.metadata().ok()?;
        Some(if metadata.is_dir() { Kind::Directory } else { Kind::File })
    }

    /// Opens a file for reading. Opening a pipe does not block, so that it can be refused.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::NotFound`] for what may not be looked at.
    pub fn open(&self, path: &Path) -> io::Result<File> {
        self.handle(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY).map(File::from)
    }

    /// Names in a directory, in the order of the file system: at most one more than `most`.
    ///
    /// # Errors
    /// As [`FileAccess::open`].
    pub fn names(&self, path: &Path, most: usize) -> io::Result<Vec<OsString>> {
        let directory = Dir::new(self.handle(path, OFlags::RDONLY | OFlags::DIRECTORY)?)?;
        let mut names = Vec::new();
        for entry in directory {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
            if names.len() > most {
                break;
            }
        }
        Ok(names)
    }

    fn handle(&self, path: &Path, flags: OFlags) -> io::Result<std::os::fd::OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        match self {
            Self::Anywhere => Ok(openat(CWD, path, flags, Mode::empty())?),
            Self::Beneath(roots) => roots.open(path, flags),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_lies_outside_is_not_there() {
        let directory = tempfile::tempdir().expect("a directory");
        let base = directory.path().canonicalize().expect("there");
        std::fs::create_dir_all(base.join("root/deep")).expect("made");
        std::fs::write(base.join("root/deep/file"), "within").expect("written");
        std::fs::write(base.join("secret"), "outside").expect("written");
        symlink(base.join("secret"), base.join("root/link")).expect("linked");
        let roots = Roots::new(&[base.join("root")]).expect("there");
        let beneath = FileAccess::Beneath(roots);
        let read = |access: &FileAccess, path: &str| access.open(&base.join(path)).and_then(std::io::read_to_string);
        assert_eq!(read(&beneath, "root/deep/file").expect("within"), "within");
        for path in ["secret", "root/link", "root/../secret", "root/deep/../../secret", "absent", "root/absent"] {
            let error = read(&beneath, path).expect_err(path);
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{path}");
            assert_eq!(beneath.kind(&base.join(path)), None, "{path}");
        }
        assert_eq!(read(&FileAccess::Anywhere, "root/link").expect("anywhere"), "outside");
        assert_eq!(beneath.kind(&base.join("root")), Some(Kind::Directory));
        assert_eq!(beneath.kind(&base.join("root/deep/file")), Some(Kind::File));
        assert_eq!(beneath.names(&base.join("root/deep"), 5).expect("listed"), ["file"]);
        assert_eq!(beneath.names(&base.join("root"), 0).expect("listed").len(), 1);
        assert!(beneath.names(&base, 5).is_err());
        assert!(FileAccess::Beneath(Roots::default()).open(&base.join("secret")).is_err());
    }
}
