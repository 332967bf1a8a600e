//! The directory that a move makes, and whose it is: told by what the system calls it and by a marker inside, so that undoing a move
//! removes nothing else, whatever has that name by then.
//!
//! Files are placed beside the final directory, in one whose name no other move of any server has, which is then renamed. A directory that
//! was there already is never owned: only the files that were added to it are, each by its own identity.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};

use super::record::{Effects, MoveId};
use crate::error::{Error, Result};
use crate::files::{read_text, sync_directory, write_atomically};
use crate::repository::DirectoryIdentity;

/// Name of the file that says which move made a directory; it goes when the move is over.
pub(super) const MARKER: &str = ".dede-move";
/// Largest marker read, bytes.
const LIMIT: u64 = 1024;

/// A file that a move added to a directory that was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    pub(super) fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let found = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some(Self { device: found.dev(), inode: found.ino() })
    }
}

/// What the move is called in file names and markers.
pub(super) fn mark_of(id: MoveId, effects: &Effects) -> String {
    format!("{id}-{}", effects.nonce.as_deref().unwrap_or("before"))
}

/// Where files are put until all are there.
pub(super) fn partial(directory: &Path, mark: &str) -> PathBuf {
    directory.with_file_name(format!(".dede-{mark}.partial"))
}

/// Marks a directory.
pub(super) fn mark(directory: &Path, mark: &str) -> Result<()> {
    write_atomically(&directory.join(MARKER), format!("{mark}\n").as_bytes())
}

/// Takes the mark away, where it is this one.
pub(super) fn unmark(directory: &Path, mark: &str) {
    if !carries(directory, mark) {
        return;
    }
    if let Err(error) = fs::remove_file(directory.join(MARKER)) {
        tracing::warn!(directory = %directory.display(), %error, "the marker of a move stays");
    }
}

/// Whether a directory is the one that the move made.
pub(super) fn is_own(directory: &Path, mark: &str, effects: &Effects) -> bool {
    effects.owned.is_some() && DirectoryIdentity::of(directory) == effects.owned && carries(directory, mark)
}

fn carries(directory: &Path, mark: &str) -> bool {
    read_text(&directory.join(MARKER), LIMIT).ok().flatten().is_some_and(|text| text.trim_end() == mark)
}

/// Gives a file or directory a name that nothing has.
pub(super) fn rename_new(from: &Path, to: &Path) -> Result<()> {
    let renamed = match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that cannot tell.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if fs::symlink_metadata(to).is_err() => {
            fs::rename(from, to)
        }
        other => other.map_err(io::Error::from),
    };
    renamed.map_err(|error| {
        if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty) {
            return Error::MoveConflict(format!("{} was made by another meanwhile; it stays as it is", to.display()));
        }
        Error::io(format!("rename {} to {}", from.display(), to.display()))(error)
    })
}

/// Removes a directory that may be gone already, or cannot exist.
pub(super) fn remove_directory(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if !is_gone(&error) => Err(Error::io(format!("remove {}", path.display()))(error)),
        _ => Ok(()),
    }
}

/// Removes the directory of a move that is undone; it never stands half removed under its name.
pub(super) fn remove_own(directory: &Path, mark: &str, effects: &Effects) -> Result<()> {
    let partial = partial(directory, mark);
    if is_own(directory, mark, effects) {
        remove_directory(&partial)?;
        fs::rename(directory, &partial).map_err(Error::io(format!("rename {}", directory.display())))?;
        sync_directory(directory.parent().unwrap_or(directory))?;
    }
    remove_directory(&partial)
}

/// Removes files that were added to a directory that was there, and the directories that were made for them.
pub(super) fn remove_added(directory: &Path, effects: &Effects) -> Result<()> {
    for (name, identity) in &effects.added {
        let path = directory.join(name);
        if FileIdentity::of(&path) == Some(*identity) {
            fs::remove_file(&path).map_err(Error::io(format!("remove {}", path.display())))?;
        }
        for above in Path::new(name).ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
            // Only where nothing is in it.
            let _ = fs::remove_dir(directory.join(above));
        }
    }
    Ok(())
}

/// Removes directories that were made above, where nothing is in them.
pub(super) fn remove_parents(effects: &Effects) {
    for parent in effects.parents.iter().rev() {
        let _ = fs::remove_dir(parent);
    }
}

/// The directories above one that are not there, outermost first.
pub(super) fn missing_parents(directory: &Path) -> Vec<PathBuf> {
    let missing = directory.ancestors().skip(1).take_while(|parent| fs::symlink_metadata(parent).is_err());
    let mut missing: Vec<PathBuf> =
        missing.filter(|parent| !parent.as_os_str().is_empty()).map(Path::to_owned).collect();
    missing.reverse();
    missing
}

/// Whether an error says that nothing is, or can be, under a name.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effects(directory: &Path) -> Effects {
        Effects { nonce: Some("ab".into()), owned: DirectoryIdentity::of(directory), ..Effects::default() }
    }

    #[test]
    fn only_what_carries_the_identity_and_the_mark_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("model");
        let made = || {
            fs::create_dir(&directory).unwrap();
            fs::write(directory.join("file"), "x").unwrap();
        };
        made();
        let unmarked = effects(&directory);
        remove_own(&directory, "m1-ab", &unmarked).unwrap();
        assert!(directory.join("file").exists(), "no mark");
        mark(&directory, "m2-ab").unwrap();
        remove_own(&directory, "m1-ab", &unmarked).unwrap();
        assert!(directory.join("file").exists(), "another mark");
        mark(&directory, "m1-ab").unwrap();
        let copy = Effects { owned: DirectoryIdentity::of(root.path()), ..effects(&directory) };
        remove_own(&directory, "m1-ab", &copy).unwrap();
        assert!(directory.join("file").exists(), "a copy of the marked one");
        remove_own(&directory, "m1-ab", &effects(&directory)).unwrap();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_cannot_exist_is_removed_already() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "x").unwrap();
        for name in ["missing", "file/below", &"n".repeat(300)] {
            remove_directory(&root.path().join(name)).unwrap();
        }
        assert!(root.path().join("file").exists());
    }

    #[test]
    fn a_name_that_is_taken_is_never_taken_over() {
        let root = tempfile::tempdir().unwrap();
        let (from, to) = (root.path().join("from"), root.path().join("to"));
        fs::create_dir(&from).unwrap();
        fs::create_dir(&to).unwrap();
        assert!(rename_new(&from, &to).unwrap_err().to_string().contains("stays as it is"));
        fs::remove_dir(&to).unwrap();
        rename_new(&from, &to).unwrap();
    }

    #[test]
    fn files_that_were_added_go_and_those_of_others_stay() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("runs")).unwrap();
        for name in ["runs/a", "b", "c"] {
            fs::write(root.path().join(name), "x").unwrap();
        }
        let identity = |name: &str| (name.to_owned(), FileIdentity::of(&root.path().join(name)).unwrap());
        let added = [identity("runs/a"), identity("b"), ("c".to_owned(), identity("b").1)].into();
        remove_added(root.path(), &Effects { added, ..Effects::default() }).unwrap();
        let left: Vec<_> = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["c"]);
    }
}
