//! `DELETE /services/{name}?clear=…`: what is removed from a repository (contract.md 1.4).
//!
//! Only what is of the service goes, each file through the open directory that it is in and never through a link;
//! everything else stays, and is named. `contents` tells which files are the service's.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, openat, openat2, statat, unlinkat};
use rustix::io::Errno;

use super::Repository;
use super::contents::{
    OwnFiles, is_database, is_file, is_in_database, is_in_run, is_pointer, is_record, is_record_of_run, is_run, members,
};
use super::run::{POINTER, RUNS};
use crate::error::{Error, Result};

/// How much to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clear {
    /// Nothing.
    #[default]
    Memory,
    /// The library's files at the top level, and the runs.
    Library,
    /// Everything of the service.
    Full,
    /// The directory too, where nothing else is in it.
    Directory,
    /// The files of the similarity index.
    Index,
}

/// Names that are kept at most.
const NAMED: usize = 20;
/// Without NONBLOCK, opening a pipe would wait for a writer.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);
/// The files and the directory of a similarity index.
const INDEX: [&str; 3] = ["index.ann", "index.faiss", "names.bin"];

/// What a removal left, as it is not of the service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleared {
    /// Names relative to the repository; of many, some.
    pub left: Vec<String>,
    /// How many there are.
    pub count: usize,
}

impl Cleared {
    fn leave(&mut self, path: &Path) {
        self.count += 1;
        if self.left.len() < NAMED {
            self.left.push(path.to_string_lossy().into_owned());
        }
    }
}

impl Clear {
    /// What the query's value means, if anything.
    pub fn named(text: &str) -> Option<Self> {
        match text {
            "mem" => Some(Self::Memory),
            "lib" => Some(Self::Library),
            "full" => Some(Self::Full),
            "dir" => Some(Self::Directory),
            "index" => Some(Self::Index),
            _ => None,
        }
    }
}

impl Repository {
    /// Removes what is of the service, where the directory was when it was opened. Answers what is left of what was to go.
    ///
    /// # Errors
    /// [`Error::Io`] naming what could not be removed, also where a link has come into the way.
    pub fn clear(&self, clear: Clear, own: &dyn OwnFiles) -> Result<Cleared> {
        let mut cleared = Cleared::default();
        if clear == Clear::Memory {
            return Ok(cleared);
        }
        let path = self.place().path();
        let top = match open_exactly(path) {
            Ok(top) => top,
            // A directory that is gone is as clear as can be.
            Err(Errno::NOENT) => return Ok(cleared),
            Err(error) => return Err(Error::io(format!("open {}", path.display()))(error.into())),
        };
        let removal = Removal { shown: path, own, clear };
        removal.top(&top, &mut cleared)?;
        if clear == Clear::Directory && cleared.count == 0 && !remove_directory(path, &top)? {
            // Something came meanwhile.
            cleared.leave(Path::new("."));
        }
        Ok(cleared)
    }
}

/// Opens a directory whose path has no links any more.
fn open_exactly(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS)
}

/// Removes a directory that is empty, unless another one has its name now; whether it was empty.
fn remove_directory(path: &Path, opened: &OwnedFd) -> Result<bool> {
    let context = || Error::io(format!("remove {}", path.display()));
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(false) };
    let parent = open_exactly(parent).map_err(|error| context()(error.into()))?;
    let (found, own) = (statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW), rustix::fs::fstat(opened));
    let (found, own) = (found.map_err(|e| context()(e.into()))?, own.map_err(|e| context()(e.into()))?);
    if (found.st_dev, found.st_ino) != (own.st_dev, own.st_ino) {
        let error = std::io::Error::other("another directory has its name now");
        return Err(context()(error));
    }
    match unlinkat(&parent, name, AtFlags::REMOVEDIR) {
        Ok(()) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(error) => Err(context()(error.into())),
    }
}

/// One removal: what is to go, of what it is, and how the directory is shown.
struct Removal<'a> {
    shown: &'a Path,
    own: &'a dyn OwnFiles,
    clear: Clear,
}

impl Removal<'_> {
    fn top(&self, top: &OwnedFd, cleared: &mut Cleared) -> Result<()> {
        let mut entries = self.entries(top, Path::new(""))?;
        // The pointer goes first: a crash in between leaves unpublished runs, never a pointer to nothing.
        entries.sort_by_key(|(name, _)| (name != POINTER, name.clone()));
        for (name, kind) in entries {
            let relative = PathBuf::from(&name);
            if kind == FileType::Directory && name == RUNS && self.clear != Clear::Index {
                self.directory(top, &relative, cleared, &Self::runs)?;
            } else if kind == FileType::Directory && is_database(&name) && self.wanted(&name) {
                let remove = |this: &Self, database: &OwnedFd, cleared: &mut Cleared| {
                    this.files(database, &relative, is_in_database, cleared)
                };
                self.directory(top, &relative, cleared, &remove)?;
            } else if kind == FileType::Directory && self.wanted(&name) && self.own.is_served(&relative) {
                self.directory(top, &relative, cleared, &|this, below, cleared| {
                    this.served(below, &relative, cleared)
                })?;
            } else if kind == FileType::RegularFile && self.is_own_file(top, &name) {
                self.remove(top, &relative, AtFlags::empty())?;
            } else if self.wanted(&name) {
                cleared.leave(&relative);
            }
        }
        Ok(())
    }

    /// Whether a name at the top is meant, whatever has it.
    fn wanted(&self, name: &str) -> bool {
        match self.clear {
            Clear::Memory => false,
            Clear::Index => INDEX.contains(&name),
            Clear::Library => {
                self.own.is_library_file(name) || INDEX.contains(&name) || [POINTER, RUNS].contains(&name)
            }
            Clear::Full | Clear::Directory => true,
        }
    }

    fn is_own_file(&self, top: &OwnedFd, name: &str) -> bool {
        if !self.wanted(name) {
            return false;
        }
        if let Some(members) = members(name) {
            return openat(top, name, READ, Mode::empty()).is_ok_and(|file| is_record(file.into(), members));
        }
        if name == POINTER {
            return openat(top, name, READ, Mode::empty()).is_ok_and(|file| is_pointer(file.into()));
        }
        is_file(name) || self.own.is_served(Path::new(name))
    }

    fn runs(&self, runs: &OwnedFd, cleared: &mut Cleared) -> Result<()> {
        for (name, kind) in self.entries(runs, Path::new(RUNS))? {
            let relative = Path::new(RUNS).join(&name);
            if kind == FileType::Directory && is_run(&name) {
                self.directory(runs, &relative, cleared, &|this, run, cleared| this.run(run, &relative, cleared))?;
            } else {
                cleared.leave(&relative);
            }
        }
        Ok(())
    }

    /// Other programs call directories and networks alike: without a record of ours, a run is theirs.
    fn run(&self, run: &OwnedFd, relative: &Path, cleared: &mut Cleared) -> Result<()> {
        let entries = self.entries(run, relative)?;
        let says = |name: &str| is_record_of_run(name) || self.own.is_served(&relative.join(name));
        let is_own = |(name, kind): &(String, FileType)| *kind == FileType::RegularFile && says(name);
        if !entries.is_empty() && !entries.iter().any(is_own) {
            cleared.leave(relative);
            return Ok(());
        }
        self.files(run, relative, is_in_run, cleared)
    }

    /// Weights that a network keeps in directories of their own.
    fn served(&self, directory: &OwnedFd, shown: &Path, cleared: &mut Cleared) -> Result<()> {
        for (name, kind) in self.entries(directory, shown)? {
            let relative = shown.join(&name);
            if kind == FileType::RegularFile && self.own.is_served(&relative) {
                self.remove(directory, &relative, AtFlags::empty())?;
            } else if kind == FileType::Directory && self.own.is_served(&relative) {
                let empty =
                    |this: &Self, below: &OwnedFd, cleared: &mut Cleared| this.served(below, &relative, cleared);
                self.directory(directory, &relative, cleared, &empty)?;
            } else {
                cleared.leave(&relative);
            }
        }
        Ok(())
    }

    fn files(
        &self,
        directory: &OwnedFd,
        shown: &Path,
        is_known: impl Fn(&str) -> bool,
        cleared: &mut Cleared,
    ) -> Result<()> {
        for (name, kind) in self.entries(directory, shown)? {
            let relative = shown.join(&name);
            if kind == FileType::RegularFile && (is_known(&name) || self.own.is_served(&relative)) {
                self.remove(directory, &relative, AtFlags::empty())?;
            } else {
                cleared.leave(&relative);
            }
        }
        Ok(())
    }

    /// Empties a directory and removes it where nothing is left.
    fn directory(
        &self,
        parent: &OwnedFd,
        relative: &Path,
        cleared: &mut Cleared,
        empty: &dyn Fn(&Self, &OwnedFd, &mut Cleared) -> Result<()>,
    ) -> Result<()> {
        let name = relative.file_name().unwrap_or_default();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(parent, name, flags, Mode::empty()).map_err(self.failed("open", relative))?;
        let before = cleared.count;
        empty(self, &opened, cleared)?;
        if cleared.count > before { Ok(()) } else { self.remove(parent, relative, AtFlags::REMOVEDIR) }
    }

    /// Removes what has the name; what is gone already is fine.
    fn remove(&self, parent: &OwnedFd, relative: &Path, flags: AtFlags) -> Result<()> {
        match unlinkat(parent, relative.file_name().unwrap_or_default(), flags) {
            Err(error) if error != Errno::NOENT => Err(self.failed("remove", relative)(error)),
            _ => Ok(()),
        }
    }

    /// Names and kinds; names that are no text are of no service, and are shown as far as they can be.
    fn entries(&self, directory: &OwnedFd, shown: &Path) -> Result<Vec<(String, FileType)>> {
        let mut found = Vec::new();
        for entry in Dir::read_from(directory).map_err(self.failed("list", shown))? {
            let entry = entry.map_err(self.failed("list", shown))?;
            if [&b"."[..], b".."].contains(&entry.file_name().to_bytes()) {
                continue;
            }
            let kind = match entry.file_name().to_str() {
                Err(_) => FileType::Unknown,
                Ok(name) => match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(status) => FileType::from_raw_mode(status.st_mode),
                    Err(Errno::NOENT) => continue,
                    Err(error) => return Err(self.failed("look at", &shown.join(name))(error)),
                },
            };
            found.push((entry.file_name().to_string_lossy().into_owned(), kind));
        }
        Ok(found)
    }

    fn failed(&self, what: &str, relative: &Path) -> impl FnOnce(Errno) -> Error + use<> {
        let context = format!("{what} {}", self.shown.join(relative).display());
        move |error| Error::io(context)(error.into())
    }
}

#[cfg(test)]
mod tests;
