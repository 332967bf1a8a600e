//! The state in a JSON file, replaced whole and synced at each change. No other process writes to it: its directory is locked.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dede_model::error::{Error, Result};
use dede_storage::files::{read_text, remove_leftovers, sync_directory, write_atomically};
use event_listener::{Event, EventListener};

use super::{Put, Revision, StateStore};
use crate::catalogue::desired::DesiredState;

/// How long, and how often, locking the directory is tried.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_LOOK_EVERY: Duration = Duration::from_millis(10);
/// Name of the file.
const FILE: &str = "state.json";
/// Largest file read back, bytes.
const LIMIT: u64 = 1 << 30;

/// A file in the state directory of this server, which is locked for as long as this lives.
pub struct FileStore {
    directory: PathBuf,
    revision: Revision,
    changed: Event,
    /// A second server on the same state directory refuses to start.
    _lock: File,
}

impl FileStore {
    /// Makes and locks the directory.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be used, also when another server uses it.
    pub fn open(directory: &Path) -> Result<Self> {
        let lock = lock(directory)?;
        Ok(Self { directory: directory.to_owned(), revision: Revision(0), changed: Event::new(), _lock: lock })
    }
}

impl StateStore for FileStore {
    fn load(&mut self) -> Result<(Revision, DesiredState)> {
        let path = self.directory.join(FILE);
        let text = read_text(&path, LIMIT)?;
        let place = path.display().to_string();
        let state =
            text.map_or_else(|| Ok(DesiredState::default()), |text| DesiredState::from_record(&text, &place))?;
        Ok((self.revision, state))
    }

    fn compare_and_put(&mut self, expected: Revision, state: &DesiredState) -> Result<Put> {
        if expected != self.revision {
            return Ok(Put::Lost);
        }
        write_atomically(&self.directory.join(FILE), &state.to_record()?)?;
        self.revision = Revision(expected.0 + 1);
        self.changed.notify(usize::MAX);
        Ok(Put::Stored(self.revision))
    }

    fn watch(&self) -> EventListener {
        self.changed.listen()
    }
}

/// Makes the directory and locks it for this process; what a crash left half-written is removed.
fn lock(directory: &Path) -> Result<File> {
    let jobs = directory.join("jobs");
    fs::create_dir_all(&jobs).map_err(Error::io(format!("create {}", jobs.display())))?;
    sync_directory(directory)?;
    let path = directory.join("lock");
    let context = || format!("lock {}", path.display());
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(Error::io(context()))?;
    match locked(&file) {
        Ok(()) => Ok(remove_leftovers(directory).map(|()| file)?),
        Err(fs::TryLockError::WouldBlock) => {
            let other = std::io::Error::new(
                std::io::ErrorKind::ResourceBusy,
                "another server uses this state directory; stop it, or give another --state-dir",
            );
            Err(Error::io(context())(other))
        }
        Err(fs::TryLockError::Error(error)) => Err(Error::io(context())(error)),
    }
}

/// Locks it, trying again for a moment: a child that a server forked just before it ended holds its lock until it
/// executes its program.
fn locked(file: &File) -> std::result::Result<(), fs::TryLockError> {
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Err(fs::TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(LOCK_LOOK_EVERY),
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_locked_as_soon_as_what_has_it_lets_go() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = lock(directory.path()).expect("it is free");
        let second = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| lock(directory.path()));
            std::thread::sleep(LOCK_LOOK_EVERY);
            drop(first);
            waiting.join().expect("no panic")
        });
        let _second = second.expect("it was let go");
        let refused = lock(directory.path()).expect_err("it is taken");
        assert!(refused.to_string().contains("another server uses this state directory"), "{refused}");
    }
}
