//! Writing files that matter: to a temporary name, synced, renamed, the directory synced.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::error::{Error, Result};
use crate::failpoint::failpoint_at;

/// How temporary names end; they begin with a dot.
pub const TEMPORARY: &str = ".tmp";

/// Replaces `path` by `bytes`, so that a reader or a crash sees either the old content or the new one, whole.
///
/// # Errors
/// [`Error`] naming the path.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes).map_err(Error::at(format!("write {}", path.display())))
}

/// As [`write_atomically`], for texts that name no place on this machine.
///
/// # Errors
/// As the system says it.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary(path);
    let written = write_synced(&temporary, bytes).and_then(|()| {
        failpoint_at("written", path);
        fs::rename(&temporary, path)
    });
    if written.is_err() {
        // The first error is the one to report; a leftover temporary file is harmless.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    failpoint_at("renamed", path);
    sync(parent(path))
}

/// Makes a file that only its owner may read, whole, where there is none of that name yet; one that is there stays.
///
/// # Errors
/// [`Error`] naming the path.
pub fn write_new_private(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let temporary = temporary(path);
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600);
    let written = options.open(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| rename_to_free_name(&temporary, path));
    if renamed.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    match renamed {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        other => other.map_err(Error::at(format!("write {}", path.display())))?,
    }
    sync_directory(parent(path))
}

/// Gives a file or directory a name that nothing has; what has it is never replaced.
///
/// # Errors
/// As the system says it; [`io::ErrorKind::AlreadyExists`] for a name that is taken.
pub fn rename_to_free_name(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that cannot tell.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if fs::symlink_metadata(to).is_err() => {
            fs::rename(from, to)
        }
        other => other.map_err(io::Error::from),
    }
}

/// Whether a file was written, replaced, renamed or linked since, by the time of its last change; true for one that cannot be looked at.
pub fn changed_since(path: &Path, since: SystemTime) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let changed = fs::metadata(path).ok().and_then(|found| {
        let after = Duration::new(u64::try_from(found.ctime()).ok()?, u32::try_from(found.ctime_nsec()).ok()?);
        UNIX_EPOCH.checked_add(after)
    });
    changed.is_none_or(|changed| changed >= since)
}

/// A name beside `path` that no other replacement has.
fn temporary(path: &Path) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{name}.{}.{count}{TEMPORARY}", std::process::id()))
}

/// Whether a name is that of what a crash left of a replacement of `name`.
pub fn is_leftover_of(found: &str, name: &str) -> bool {
    found.strip_prefix('.').and_then(|found| found.strip_prefix(name)).is_some_and(|rest| {
        rest.strip_suffix(TEMPORARY).is_some_and(|numbers| {
            numbers.starts_with('.') && numbers.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        })
    })
}

/// Removes a file that may be gone already.
///
/// # Errors
/// [`Error`] naming the path.
pub fn remove_file(path: &Path) -> Result<()> {
    remove(path).map(drop).map_err(Error::at(format!("remove {}", path.display())))
}

/// Removes a file; whether it was there.
///
/// # Errors
/// As the system says it.
pub fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes what a crash left of replacements in a directory. Only for the owner of a directory that no other thread
/// writes to.
///
/// # Errors
/// [`Error`] naming the directory or the file.
pub fn remove_leftovers(directory: &Path) -> Result<()> {
    let context = || format!("list {}", directory.display());
    for entry in fs::read_dir(directory).map_err(Error::at(context()))? {
        let entry = entry.map_err(Error::at(context()))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if is_leftover(&name) {
            fs::remove_file(entry.path()).map_err(Error::at(format!("remove {}", entry.path().display())))?;
        }
    }
    Ok(())
}

/// Whether a name is that of what a crash left of a replacement.
pub fn is_leftover(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(TEMPORARY)
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes renames and creations in a directory durable.
///
/// # Errors
/// [`Error`] naming the directory.
pub fn sync_directory(path: &Path) -> Result<()> {
    sync(path).map_err(Error::at(format!("sync {}", path.display())))
}

/// As [`sync_directory`], of the directory that `path` lies in.
///
/// # Errors
/// As the system says it.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    sync(parent(path))
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

/// Reads a text file of at most `limit` bytes; `None` when there is none.
///
/// # Errors
/// [`Error`] naming the path, also when the file is longer or not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> Result<Option<String>> {
    let context = || format!("read {}", path.display());
    let size = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::at(context())(error)),
    };
    if size > limit {
        let error = io::Error::other(format!("{size} bytes, at most {limit} expected"));
        return Err(Error::at(context())(error));
    }
    fs::read_to_string(path).map(Some).map_err(Error::at(context()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_whole_and_leaves_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(read_text(&path, 10).unwrap().as_deref(), Some("two"));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_private_file_is_made_once() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        for content in ["first", "second"] {
            write_new_private(&path, content.as_bytes()).unwrap();
        }
        assert_eq!(read_text(&path, 10).unwrap().as_deref(), Some("first"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_was_replaced_has_changed() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("a"), directory.path().join("b"));
        assert!(changed_since(&path, SystemTime::now()));
        for file in [&path, &other] {
            fs::write(file, "x").unwrap();
        }
        let later = SystemTime::now() + Duration::from_millis(50);
        assert!(!changed_since(&path, later));
        while SystemTime::now() < later + Duration::from_millis(50) {
            std::thread::yield_now();
        }
        fs::rename(other, &path).unwrap();
        assert!(changed_since(&path, later));
    }

    #[test]
    fn a_leftover_is_known_by_its_name() {
        for (name, expected) in [
            (".state.json.12.0.tmp", true),
            (".state.json.tmp", false),
            (".state.json.12.x.tmp", false),
            ("state.json", false),
        ] {
            assert_eq!(is_leftover_of(name, "state.json"), expected, "{name}");
        }
    }

    #[test]
    fn leftovers_go_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        for name in [".state.json.12.0.tmp", "state.json", ".hidden", "a.tmp"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        remove_leftovers(directory.path()).unwrap();
        assert!(!directory.path().join(".state.json.12.0.tmp").exists());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_missing_file_is_none_and_a_long_one_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        assert_eq!(read_text(&path, 10).unwrap(), None);
        fs::write(&path, "0123456789A").unwrap();
        assert!(read_text(&path, 10).unwrap_err().to_string().contains("at most 10"));
        assert!(write_atomically(&directory.path().join("none/x"), b"").is_err());
    }
}
