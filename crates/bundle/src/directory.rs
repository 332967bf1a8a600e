//! A directory that no path escapes: files are opened, created and listed beneath it without following a link, whatever
//! their names and whatever else writes there. The only place that turns a [`FileName`] into a file.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use dede_storage::draft::Draft;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat2, unlinkat};
use rustix::io::Errno;

use crate::file_name::FileName;

/// Deepest nesting a listing follows.
const DEPTH_LIMIT: usize = 32;
/// Most files a listing returns.
const FILES_LIMIT: usize = 100_000;

/// Why a file beneath a directory was not opened, created or listed. The name is relative to the directory.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// A symbolic link, a device, a pipe, a socket, or a directory where a file was expected.
    #[error("{name:?} is {found}, expected a regular file")]
    NotRegular {
        /// Where.
        name: String,
        /// What.
        found: &'static str,
    },
    /// A link among the directories above a file.
    #[error("{0:?} is reached through a link, or a file is where a directory was expected")]
    Escapes(String),
    /// A name no bundle can hold.
    #[error(transparent)]
    Name(#[from] crate::text::InvalidText),
    /// Deeper or with more files than anything that is a repository.
    #[error("{0:?} holds more than {FILES_LIMIT} files or {DEPTH_LIMIT} levels")]
    TooMuch(String),
    /// What the system said.
    #[error("{name:?}: {source}")]
    Io {
        /// Where.
        name: String,
        /// Why.
        source: io::Error,
    },
}

impl DirectoryError {
    fn of(name: &str, errno: Errno) -> Self {
        match errno {
            Errno::LOOP | Errno::XDEV | Errno::NOTDIR => Self::Escapes(name.to_owned()),
            other => Self::Io { name: name.to_owned(), source: other.into() },
        }
    }
}

/// An open directory.
#[derive(Debug)]
pub struct Directory {
    descriptor: OwnedFd,
    path: PathBuf,
}

impl Directory {
    /// Opens a directory. Its own path is the caller's and may lead through links.
    ///
    /// # Errors
    /// Whatever opening gives.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { descriptor: rustix::fs::open(path, flags, Mode::empty())?, path: path.to_owned() })
    }

    /// Creates a directory with those above it where they are missing, and opens it.
    ///
    /// # Errors
    /// Whatever creating gives.
    pub fn create(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        Self::open(path)
    }

    /// As it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// [`DirectoryError`], naming the file.
    pub fn open_file(&self, name: &FileName) -> Result<File, DirectoryError> {
        // Without NONBLOCK, opening a pipe would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match self.beneath(name.as_str(), flags) {
            Ok(file) => file,
            Err(Errno::LOOP) if self.is_link(name) => {
                return Err(DirectoryError::NotRegular { name: name.to_string(), found: "a link" });
            }
            // What opening a socket, or a device without a driver, gives.
            Err(Errno::NXIO | Errno::NODEV) => {
                return Err(DirectoryError::NotRegular { name: name.to_string(), found: "a device or socket" });
            }
            Err(errno) => return Err(DirectoryError::of(name.as_str(), errno)),
        };
        let status = fstat(&file).map_err(|errno| DirectoryError::of(name.as_str(), errno))?;
        match describe(FileType::from_raw_mode(status.st_mode)) {
            None => Ok(File::from(file)),
            Some(found) => Err(DirectoryError::NotRegular { name: name.to_string(), found }),
        }
    }

    /// All regular files, sorted by name.
    ///
    /// # Errors
    /// [`DirectoryError`] for the first thing found that is neither a file nor a directory, naming it.
    pub fn files(&self) -> Result<Vec<FileName>, DirectoryError> {
        let mut found = Vec::new();
        let root = self.beneath(".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC);
        let root = root.map_err(|errno| DirectoryError::of(".", errno))?;
        self.walk(root, "", DEPTH_LIMIT, &mut found)?;
        found.sort();
        Ok(found)
    }

    /// Removes what a process that crashed while it placed files here has left; none may be placed meanwhile.
    ///
    /// # Errors
    /// As [`Self::files`].
    pub fn remove_drafts(&self) -> Result<(), DirectoryError> {
        for name in self.files()? {
            let (parent, own) = self.parent(&name)?;
            if Draft::is_one(own) {
                unlinkat(&parent, own, AtFlags::empty()).map_err(|errno| DirectoryError::of(name.as_str(), errno))?;
            }
        }
        Ok(())
    }

    fn walk(
        &self,
        directory: OwnedFd,
        prefix: &str,
        depth: usize,
        found: &mut Vec<FileName>,
    ) -> Result<(), DirectoryError> {
        let io = |errno| DirectoryError::of(prefix, errno);
        for entry in Dir::new(directory).map_err(io)? {
            let entry = entry.map_err(io)?;
            let bytes = entry.file_name().to_bytes();
            if matches!(bytes, b"." | b"..") {
                continue;
            }
            let text = format!("{prefix}{}", String::from_utf8_lossy(bytes));
            let name: FileName = text.parse()?;
            if depth == 0 || found.len() == FILES_LIMIT {
                return Err(DirectoryError::TooMuch(
                    self.path.file_name().unwrap_or_default().to_string_lossy().into(),
                ));
            }
            let kind = self.file_type(&name)?;
            if kind == FileType::Directory {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let inner = self.beneath(&text, flags).map_err(|errno| DirectoryError::of(&text, errno))?;
                self.walk(inner, &format!("{text}/"), depth - 1, found)?;
                continue;
            }
            match describe(kind) {
                None => found.push(name),
                Some(what) => return Err(DirectoryError::NotRegular { name: text, found: what }),
            }
        }
        Ok(())
    }

    /// Creates the directories above a file and opens the last of them, with the file's own name.
    ///
    /// # Errors
    /// [`DirectoryError`], naming the file.
    pub(crate) fn parent<'a>(&self, name: &'a FileName) -> Result<(OwnedFd, &'a str), DirectoryError> {
        let own = name.components().next_back().unwrap_or_default();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let io = |errno| DirectoryError::of(name.as_str(), errno);
        let mut current = self.beneath(".", flags).map_err(io)?;
        for component in name.directories().map(|path| path.rsplit('/').next().unwrap_or_default()) {
            match mkdirat(&current, component, Mode::from_raw_mode(0o755)) {
                Ok(()) => rustix::fs::fsync(&current).map_err(io)?,
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(io(errno)),
            }
            current = openat2(&current, component, flags, Mode::empty(), CONFINED).map_err(io)?;
        }
        Ok((current, own))
    }

    fn beneath(&self, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        loop {
            match openat2(&self.descriptor, name, flags, Mode::empty(), CONFINED) {
                // The kernel could not rule out a race with a rename.
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
    }

    fn file_type(&self, name: &FileName) -> Result<FileType, DirectoryError> {
        let file = self.beneath(name.as_str(), OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC);
        match file.and_then(fstat) {
            Ok(status) => Ok(FileType::from_raw_mode(status.st_mode)),
            Err(Errno::LOOP) => Ok(FileType::Symlink),
            Err(errno) => Err(DirectoryError::of(name.as_str(), errno)),
        }
    }

    fn is_link(&self, name: &FileName) -> bool {
        let Ok(status) = rustix::fs::statat(&self.descriptor, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) else {
            return false;
        };
        FileType::from_raw_mode(status.st_mode) == FileType::Symlink
    }
}

/// No way out and no links at all.
const CONFINED: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// What a thing is, unless it is a regular file.
fn describe(kind: FileType) -> Option<&'static str> {
    match kind {
        FileType::RegularFile => None,
        FileType::Directory => Some("a directory"),
        FileType::Symlink => Some("a link"),
        FileType::Fifo => Some("a pipe"),
        FileType::Socket => Some("a socket"),
        FileType::CharacterDevice | FileType::BlockDevice => Some("a device"),
        FileType::Unknown => Some("of an unknown kind"),
    }
}
