//! The contents of a directory that a move made: files that the move put there, and files of others.
//!
//! Files are told apart by what the system calls them, directories by whether they are on the way to a file of the move. It must not
//! know why a directory is looked at.

use std::fs;
use std::io;
use std::path::Path;

use dede_model::error::{Error, Result};
use dede_model::repository::CONFIG;
use dede_storage::files::is_leftover_of;

use super::MARKER;
use crate::record::{Effects, FileIdentity};

/// Most names that are listed.
const LISTED: usize = 100;

/// Names, below the directory, of files that the move did not put there; of many, some.
///
/// # Errors
/// [`Error::Io`] for a directory that cannot be listed.
pub(crate) fn of_others(directory: &Path, effects: &Effects) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut waiting = vec![String::new()];
    while let Some(below) = waiting.pop() {
        let place = directory.join(&below);
        let context = || format!("list {}", place.display());
        for entry in fs::read_dir(&place).map_err(Error::io(context()))? {
            let entry = entry.map_err(Error::io(context()))?;
            let shown = entry.file_name().to_string_lossy().into_owned();
            let name = if below.is_empty() { shown } else { format!("{below}/{shown}") };
            let is_directory = entry.file_type().map_err(Error::io(context()))?.is_dir();
            if is_directory && is_on_the_way(&name, effects) {
                waiting.push(name);
            } else if is_directory || !is_own(&entry.path(), &name, effects) {
                found.push(name);
            }
            if found.len() >= LISTED {
                return Ok(found);
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Removes what the move put there, and nothing else.
///
/// # Errors
/// [`Error::Io`] for a file that cannot be removed.
pub(crate) fn remove(directory: &Path, effects: &Effects) -> Result<()> {
    for name in effects.placed.keys().map(String::as_str).chain([CONFIG]) {
        let path = directory.join(name);
        if is_own(&path, name, effects) {
            fs::remove_file(&path).map_err(Error::io(format!("remove {}", path.display())))?;
        }
        for above in Path::new(name).ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
            // Only where nothing is in it.
            let _: io::Result<()> = fs::remove_dir(directory.join(above));
        }
    }
    Ok(())
}

/// Whether a directory leads to a file of the move.
fn is_on_the_way(name: &str, effects: &Effects) -> bool {
    effects.placed.keys().any(|placed| placed.strip_prefix(name).is_some_and(|rest| rest.starts_with('/')))
}

/// Whether a file is one that the move placed, or one that the server writes for any service.
fn is_own(path: &Path, name: &str, effects: &Effects) -> bool {
    let found = FileIdentity::of(path);
    let of_server = || [CONFIG, MARKER].iter().any(|own| name == *own || is_leftover_of(name, own));
    found.is_some() && (effects.placed.get(name) == found.as_ref() || of_server())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_put_there_is_told_from_what_the_move_did() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path();
        for name in ["runs/1", "mine", "runs/2"] {
            fs::create_dir_all(directory.join(name)).unwrap();
        }
        let own = ["runs/1/model.onnx", "corresp.txt", "replaced"];
        for name in own.into_iter().chain([CONFIG, MARKER, ".config.json.12.3.tmp"]) {
            fs::write(directory.join(name), "x").unwrap();
        }
        let placed = own.map(|name| (name.to_owned(), FileIdentity::of(&directory.join(name)).unwrap())).into();
        let effects = Effects { placed, ..Effects::default() };
        fs::write(directory.join("other"), "y").unwrap();
        fs::rename(directory.join("other"), directory.join("replaced")).unwrap();
        std::os::unix::fs::symlink("corresp.txt", directory.join("link")).unwrap();
        assert_eq!(of_others(directory, &effects).unwrap(), ["link", "mine", "replaced", "runs/2"]);
        remove(directory, &effects).unwrap();
        assert!(!directory.join("runs/1").exists() && !directory.join(CONFIG).exists());
        assert!(directory.join("runs/2").exists() && directory.join("replaced").exists());
    }

    #[test]
    fn no_more_names_are_listed_than_people_read() {
        let root = tempfile::tempdir().unwrap();
        for number in 0..2 * LISTED {
            fs::write(root.path().join(number.to_string()), "").unwrap();
        }
        assert_eq!(of_others(root.path(), &Effects::default()).unwrap().len(), LISTED);
    }
}
