//! Ownership of the directory that a move makes: it is recognised by device and inode and by a marker inside, so that
//! undoing a move removes nothing else, even if another directory has its name by then.
//!
//! Files are placed beside the final directory, in one whose name no other move of any server has, which is then renamed. A directory that
//! was there already is never owned: only the files that were added to it are, each by its own identity.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use dede_engine::move_id::MoveId;
use dede_model::error::{Error, Result};
use dede_storage::DirectoryIdentity;
use dede_storage::files::{read_text, rename_to_free_name, sync_directory, write_atomically};

use super::{MARKER, contents};
use crate::record::{Effects, FileIdentity};

/// Largest marker read, bytes.
const LIMIT: u64 = 1024;

/// The text that identifies a move in file names and markers.
pub(crate) fn mark_of(id: MoveId, effects: &Effects) -> String {
    format!("{id}-{}", effects.nonce.as_deref().unwrap_or("before"))
}

/// Where files are put until all are there.
pub(crate) fn partial(directory: &Path, mark: &str) -> PathBuf {
    directory.with_file_name(format!(".dede-{mark}.partial"))
}

/// Marks a directory.
pub(crate) fn mark(directory: &Path, mark: &str) -> Result<()> {
    write_atomically(&directory.join(MARKER), format!("{mark}\n").as_bytes()).map_err(Error::from)
}

/// Takes the mark away, where it is this one.
pub(crate) fn unmark(directory: &Path, mark: &str) {
    if !carries(directory, mark) {
        return;
    }
    if let Err(error) = fs::remove_file(directory.join(MARKER)) {
        tracing::warn!(directory = %directory.display(), %error, "the marker of a move stays");
    }
}

/// Whether a directory is the one that the move made.
pub(crate) fn is_own(directory: &Path, mark: &str, effects: &Effects) -> bool {
    effects.owned.is_some() && DirectoryIdentity::of(directory) == effects.owned && carries(directory, mark)
}

fn carries(directory: &Path, mark: &str) -> bool {
    read_text(&directory.join(MARKER), LIMIT).ok().flatten().is_some_and(|text| text.trim_end() == mark)
}

/// Gives a file or directory a name that nothing has.
pub(crate) fn rename_new(from: &Path, to: &Path) -> Result<()> {
    rename_to_free_name(from, to).map_err(|error| {
        if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty) {
            return Error::MoveConflict(format!("{} was made by another meanwhile; it stays as it is", to.display()));
        }
        Error::io(format!("rename {} to {}", from.display(), to.display()))(error)
    })
}

/// Removes a directory that may be gone already, or cannot exist.
pub(crate) fn remove_directory(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if !is_gone(&error) => Err(Error::io(format!("remove {}", path.display()))(error)),
        _ => Ok(()),
    }
}

/// Removes the directory of a move that is undone, all at once; where others put something into it, what the move put there goes one by
/// one, and the rest stays. Names what stays.
pub(crate) fn remove_own(directory: &Path, mark: &str, effects: &Effects) -> Result<Vec<String>> {
    let partial = partial(directory, mark);
    let mut others = Vec::new();
    if is_own(directory, mark, effects) {
        others = contents::of_others(directory, effects)?;
        if others.is_empty() {
            remove_directory(&partial)?;
            fs::rename(directory, &partial).map_err(Error::io(format!("rename {}", directory.display())))?;
            sync_directory(directory.parent().unwrap_or(directory))?;
            // Files that were put there just before the rename.
            others = contents::of_others(&partial, effects)?;
            if !others.is_empty() {
                rename_new(&partial, directory)?;
            }
        }
        if !others.is_empty() {
            contents::remove(directory, effects)?;
            unmark(directory, mark);
        }
    }
    remove_directory(&partial)?;
    Ok(others)
}

/// Removes files that were added to a directory that was there, and the directories that were made for them.
pub(crate) fn remove_added(directory: &Path, effects: &Effects) -> Result<()> {
    for (name, identity) in &effects.added {
        let path = directory.join(name);
        if FileIdentity::of(&path) == Some(*identity) {
            fs::remove_file(&path).map_err(Error::io(format!("remove {}", path.display())))?;
        }
    }
    for made in effects.made.iter().rev() {
        // Only where nothing is in it.
        let _ = fs::remove_dir(directory.join(made));
    }
    Ok(())
}

/// Removes directories that were made above, where nothing is in them.
pub(crate) fn remove_parents(effects: &Effects) {
    for parent in effects.parents.iter().rev() {
        let _ = fs::remove_dir(parent);
    }
}

/// The directories above one that are not there, outermost first.
pub(crate) fn missing_parents(directory: &Path) -> Vec<PathBuf> {
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
    use std::collections::BTreeSet;

    use super::*;

    fn effects(directory: &Path) -> Effects {
        let placed = FileIdentity::of(&directory.join("file")).map(|identity| ("file".to_owned(), identity));
        let placed = placed.into_iter().collect();
        Effects { nonce: Some("ab".into()), owned: DirectoryIdentity::of(directory), placed, ..Effects::default() }
    }

    #[test]
    fn only_what_carries_the_identity_and_the_mark_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("model");
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("file"), "x").unwrap();
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
        for name in ["made", "made/below", "filled", "was-there"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        fs::write(root.path().join("filled/d"), "x").unwrap();
        let made = ["made", "made/below", "filled"].map(str::to_owned).into();
        remove_added(root.path(), &Effects { added, made, ..Effects::default() }).unwrap();
        let left = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(left.collect::<BTreeSet<_>>(), ["c", "filled", "runs", "was-there"].map(str::to_owned).into());
    }

    #[test]
    fn what_others_put_into_the_directory_of_a_move_stays() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("model");
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("file"), "x").unwrap();
        mark(&directory, "m1-ab").unwrap();
        let effects = effects(&directory);
        fs::write(directory.join("NOTES.txt"), "mine").unwrap();
        assert_eq!(remove_own(&directory, "m1-ab", &effects).unwrap(), ["NOTES.txt"]);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        assert!(remove_own(&directory, "m1-ab", &effects).unwrap().is_empty(), "nothing is its own any more");
        assert!(directory.join("NOTES.txt").exists());
    }
}
