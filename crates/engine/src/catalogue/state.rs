//! What is recorded of the catalogue: one JSON file, replaced whole and synced at each change.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use dede_bundle::Digest;
use dede_model::error::{Error, Result};
use dede_storage::files::{read_text, remove_leftovers, sync_directory, write_atomically};
use serde::{Deserialize, Serialize};

use super::record::AliasRecord;
use crate::move_id::MoveId;
use crate::name::ServiceName;
use crate::service::ServiceId;

/// How long, and how often, locking the directory is tried.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_LOOK_EVERY: Duration = Duration::from_millis(10);
/// The format written by this version.
const FORMAT: u32 = 1;
/// Name of the file.
const FILE: &str = "state.json";
/// Largest file read back, bytes.
const LIMIT: u64 = 1 << 30;

/// Everything a restart needs to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StateRecord {
    format: u32,
    pub(super) services: Vec<ServiceEntry>,
    pub(super) aliases: Vec<AliasRecord>,
}

/// One service, described by its creation request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceEntry {
    pub(super) id: ServiceId,
    pub(super) name: ServiceName,
    /// Body of the PUT, as it came.
    pub(super) request: String,
    /// A restart does not load it, in favour of another service.
    #[serde(rename = "dormant", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) unloaded: bool,
    /// The move that created it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) created_by: Option<MoveId>,
    /// What its repository looked like when it was loaded: [`crate::service::Serving::listing`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) listing: Option<Digest>,
}

impl StateRecord {
    pub(super) fn new(services: Vec<ServiceEntry>, aliases: Vec<AliasRecord>) -> Self {
        Self { format: FORMAT, services, aliases }
    }
}

/// Makes the directory and locks it for this process; what a crash left half-written is removed.
pub(super) fn lock(directory: &Path) -> Result<File> {
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

/// Reads the record; empty where there is none.
pub(super) fn load(directory: &Path) -> Result<StateRecord> {
    let path = directory.join(FILE);
    let Some(text) = read_text(&path, LIMIT)? else {
        return Ok(StateRecord::new(Vec::new(), Vec::new()));
    };
    let damaged = |reason: String| Error::Internal(format!("{} is damaged: {reason}", path.display()));
    let record: StateRecord = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    if record.format != FORMAT {
        return Err(damaged(format!("format {FORMAT} expected, found {}", record.format)));
    }
    Ok(record)
}

/// Replaces the record.
pub(super) fn save(directory: &Path, record: &StateRecord) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(record).map_err(|error| Error::Internal(error.to_string()))?;
    write_atomically(&directory.join(FILE), &bytes).map_err(Error::from)
}

#[cfg(test)]
mod tests {
    use super::super::alias::Alias;
    use super::*;

    /// As the first version with this format wrote it: a takeover, a canary, a shadow, a peer, a deleted service, and one that gave its
    /// place in memory to another.
    const RECORDED: &str = include_str!("fixtures/state.json");

    #[test]
    fn the_record_of_an_earlier_version_is_read_and_written_alike() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(FILE);
        fs::write(&path, RECORDED).expect("written");
        let read = load(directory.path()).expect("it is in order");
        let aliases = read.aliases.into_iter().map(|alias| Alias::try_from(alias).expect("it is in order"));
        let aliases = aliases.map(|alias| AliasRecord::from(&alias)).collect();
        fs::remove_file(&path).expect("removed");
        save(directory.path(), &StateRecord::new(read.services, aliases)).expect("written");
        assert_eq!(fs::read_to_string(&path).expect("text"), RECORDED);
    }

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
