//! Where `dede pull` puts files: into a partial directory beside the requested one, where one process at a time writes,
//! and which is renamed to it when all files are there. It knows directories, no registries.

use std::ffi::OsStr;
use std::fmt::Display;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::cli::report::remark;

const LOCK: &str = "lock";
/// Bytes of a process's number that are read.
const NUMBER_LIMIT: u64 = 20;

/// A partial directory that no other process writes to.
///
/// ```text
/// lock       locked as long as a process works here; holds its number
/// blobs/     what came, whole and in part
/// content/   the files under their names
/// ```
pub(super) struct Destination {
    directory: PathBuf,
    partial: PathBuf,
    /// The operating system lets go of it when this process ends, however it ends.
    _lock: File,
}

impl Destination {
    /// Takes the partial directory of a directory that is to be new or empty.
    ///
    /// # Errors
    /// A sentence: something is in the directory, or another process is pulling into it already.
    pub(super) fn take(directory: &Path) -> Result<Self, String> {
        let partial = beside(directory, "partial")?;
        let lock = lock(&partial)?;
        let this = Self { directory: directory.to_owned(), partial, _lock: lock };
        // Another process may have finished before the lock was free.
        check_unused(directory).inspect_err(|_| this.remove_if_empty())?;
        Ok(this)
    }

    /// A place for blobs, where those of an earlier process are.
    pub(super) fn blobs(&self) -> PathBuf {
        self.partial.join("blobs")
    }

    /// A place for the files under their names.
    pub(super) fn content(&self) -> PathBuf {
        self.partial.join("content")
    }

    /// Removes the files that an earlier process had placed, and makes room for others.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn clear_content(&self) -> Result<(), String> {
        let content = self.content();
        remove_all(&content).and_then(|()| fs::create_dir(&content)).map_err(|error| self.failed(&error))
    }

    /// Where the files will be in the end, from the root on.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn absolute(&self) -> Result<PathBuf, String> {
        let partial = fs::canonicalize(&self.partial).map_err(|error| self.failed(&error))?;
        Ok(partial.with_file_name(self.directory.file_name().unwrap_or_default()))
    }

    /// Gives the files their place.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn finish(self) -> Result<(), String> {
        fs::rename(self.content(), &self.directory).map_err(|error| self.failed(&error))?;
        // All is there, whether or not the rest can be removed.
        if let Err(error) = remove_all(&self.blobs()) {
            remark(&self.failed(&error));
        }
        self.remove_if_empty();
        Ok(())
    }

    /// What went wrong in the partial directory, for people.
    pub(super) fn failed(&self, error: &dyn Display) -> String {
        format!("{}: {error}", self.partial.display())
    }

    /// Removes the partial directory unless something is left for a later process. The lock goes first, and a process that waits for it
    /// finds that it is there no more; one that begins before the directory is gone keeps it.
    fn remove_if_empty(&self) {
        let names =
            fs::read_dir(&self.partial).map(|entries| entries.flatten().map(|entry| entry.file_name()).collect());
        let names: Vec<_> = names.unwrap_or_default();
        if names == [OsStr::new(LOCK)] && fs::remove_file(self.partial.join(LOCK)).is_ok() {
            let _ = fs::remove_dir(&self.partial);
        }
    }
}

/// Locks a partial directory, made where there is none.
fn lock(partial: &Path) -> Result<File, String> {
    let failed = |error: io::Error| format!("{}: {error}", partial.display());
    let path = partial.join(LOCK);
    loop {
        match fs::create_dir_all(partial) {
            // It was there and is gone, or there again: a process that has finished removed it in between.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && may_be_directory(partial) => continue,
            made => made.map_err(failed)?,
        }
        let mut file = match File::options().create(true).truncate(false).read(true).write(true).open(&path) {
            // A process that has finished removed the directory in between.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened.map_err(failed)?,
        };
        match file.try_lock() {
            Ok(()) if is_at(&file, &path) => {
                // The number is only for the messages of other processes.
                let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
                return Ok(file);
            }
            // A process that has finished removed the file in between.
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(format!("{}: {} brings it already", partial.display(), owner(file)));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
}

/// Whether a path is that of a directory, or of nothing.
fn may_be_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).map_or_else(|error| error.kind() == io::ErrorKind::NotFound, |found| found.is_dir())
}

/// Whether a file is the one of this name still.
fn is_at(file: &File, path: &Path) -> bool {
    let same = |one: fs::Metadata, other: fs::Metadata| (one.dev(), one.ino()) == (other.dev(), other.ino());
    file.metadata().and_then(|one| Ok(same(one, fs::metadata(path)?))).unwrap_or(false)
}

/// The process that a lock says it belongs to, for people.
fn owner(lock: File) -> String {
    let mut number = String::new();
    let read = lock.take(NUMBER_LIMIT).read_to_string(&mut number);
    let number = read.ok().and_then(|_| number.parse::<u32>().ok());
    number.map_or_else(|| "another process".to_owned(), |number| format!("process {number}"))
}

/// Refuses a directory that cannot become the one with the files.
///
/// # Errors
/// A sentence.
pub(super) fn check_unused(directory: &Path) -> Result<(), String> {
    let refused = |reason: &dyn Display| format!("{}: {reason}", directory.display());
    let found = match fs::symlink_metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(|error| refused(&error))?,
    };
    if !found.is_dir() {
        return Err(refused(&"a directory expected, new or empty, found a file or a link"));
    }
    if fs::read_dir(directory).map_err(|error| refused(&error))?.next().is_some() {
        return Err(refused(&"a new or empty directory expected, and it is not empty"));
    }
    let around = fs::metadata(directory.join("..")).map_err(|error| refused(&error))?;
    if around.dev() != found.dev() {
        return Err(refused(&"files cannot be moved there, as it is a mount point: name a directory below it"));
    }
    Ok(())
}

/// A path beside a directory: its name with an ending.
///
/// # Errors
/// A sentence, where it has no name.
pub(super) fn beside(directory: &Path, ending: &str) -> Result<PathBuf, String> {
    let name = directory.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| format!("{}: a directory with a name expected", directory.display()))?;
    Ok(directory.with_file_name(format!("{name}.{ending}")))
}

fn remove_all(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with a path that is to be pulled to in it.
    fn pulled() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let pulled = directory.path().join("pulled");
        (directory, pulled)
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("it is there");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        names.into_iter().map(|name| name.into_string().expect("text")).collect()
    }

    #[test]
    fn one_process_at_a_time_is_in_a_partial_directory() {
        let (work, pulled) = pulled();
        let first = Destination::take(&pulled).expect("free");
        first.clear_content().expect("made");
        fs::write(first.content().join("a"), "a").expect("written");
        let refused = Destination::take(&pulled).err().expect("taken");
        let number = std::process::id();
        assert!(refused.contains("pulled.partial") && refused.contains(&format!("process {number}")), "{refused}");
        assert_eq!(names(&first.content()), ["a"], "what the first has is as it was");
        let absolute = first.absolute().expect("it is there");
        first.finish().expect("moved");
        assert_eq!(names(work.path()), ["pulled"]);
        assert_eq!(absolute, fs::canonicalize(&pulled).expect("it is there"));
        let refused = Destination::take(&pulled).err().expect("full");
        assert!(refused.contains("is not empty"), "{refused}");
        assert_eq!(names(work.path()), ["pulled"], "nothing is left of the one that came late");
    }

    #[test]
    fn what_an_earlier_process_left_is_gone_on_with() {
        let (work, pulled) = pulled();
        let first = Destination::take(&pulled).expect("free");
        fs::create_dir_all(first.blobs()).expect("made");
        drop(first);
        let second = Destination::take(&pulled).expect("free again");
        assert!(second.blobs().is_dir());
        second.clear_content().expect("made");
        fs::create_dir(&pulled).expect("made");
        second.finish().expect("an empty directory gives way");
        assert_eq!(names(work.path()), ["pulled"]);
    }

    #[test]
    fn processes_that_come_while_one_finishes_neither_fail_nor_lose_anything() {
        let (work, pulled) = pulled();
        for _ in 0..200 {
            let outcomes: Vec<bool> = std::thread::scope(|scope| {
                let take = || {
                    let destination = Destination::take(&pulled)?;
                    destination.clear_content()?;
                    fs::write(destination.content().join("a"), "a").map_err(|error| destination.failed(&error))?;
                    destination.finish()
                };
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
                threads
                    .into_iter()
                    .map(|thread| match thread.join().expect("no panic") {
                        Ok(()) => true,
                        Err(reason) => {
                            let is_known = reason.contains("brings it already") || reason.contains("is not empty");
                            assert!(is_known, "{reason}");
                            false
                        }
                    })
                    .collect()
            });
            assert_eq!(outcomes.iter().filter(|is_done| **is_done).count(), 1);
            assert_eq!((names(work.path()), names(&pulled)), (vec!["pulled".to_owned()], vec!["a".to_owned()]));
            fs::remove_dir_all(&pulled).expect("removed");
        }
    }

    #[test]
    fn what_cannot_become_the_directory_is_refused_before_anything_comes() {
        let (work, pulled) = pulled();
        check_unused(&pulled).expect("new");
        fs::create_dir(&pulled).expect("made");
        check_unused(&pulled).expect("empty");
        let link = work.path().join("link");
        std::os::unix::fs::symlink(&pulled, &link).expect("made");
        assert!(check_unused(&link).expect_err("a link").contains("a directory expected"));
        fs::write(pulled.join("a"), "").expect("written");
        assert!(check_unused(&pulled).expect_err("full").contains("is not empty"));
        assert!(check_unused(&pulled.join("a")).expect_err("a file").contains("a directory expected"));
        assert!(beside(Path::new(".."), "partial").expect_err("no name").contains("with a name"));
        let taken = work.path().join("taken");
        fs::write(work.path().join("taken.partial"), "").expect("written");
        assert!(Destination::take(&taken).is_err_and(|reason| reason.contains("taken.partial")), "a file in its place");
    }
}
