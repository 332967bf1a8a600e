//! What a crash left in the store, and a lock that survives a panic. It knows no formats.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dede_storage::files::{is_leftover, remove};

/// How earlier versions began temporary names.
const FORMER_TEMPORARY: &str = "_tmp-";

/// Removes what a crash left of replacements in a directory.
pub(super) fn remove_leftovers(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if is_leftover(&name) || name.starts_with(FORMER_TEMPORARY) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// What is behind a lock is consistent between statements, so that a panic elsewhere does not spoil it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
