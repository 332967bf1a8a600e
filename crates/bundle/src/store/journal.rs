//! The file of a repository's index: a snapshot of the index, and one line for each change since. A change costs one
//! line, however large the index is; now and then the file is compacted, when the lines have become longer than the
//! index.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dede_storage::files::{remove, replace, sync_parent};

use super::error::{Result, StoreError};
use super::index::{Change, Index};
use super::room::{Charge, Room, cost};
use crate::oci::RepositoryName;

/// No component of a repository name begins with an underscore, so the file meets no other repository's directory.
pub(super) const FILE: &str = "_index.json";
/// Bytes of lines that are never worth compacting the file.
const SLACK: u64 = 64 << 10;
/// How often a directory that goes away meanwhile is made.
const ATTEMPTS: usize = 3;

/// One file, and how much of it is good.
#[derive(Debug)]
pub(super) struct Journal {
    name: RepositoryName,
    path: PathBuf,
    /// Bytes of it; none where there is no file.
    length: u64,
    /// Of those, the index without the lines.
    base: u64,
    /// It does not end with a whole line: the next change writes it anew.
    is_torn: bool,
    charges: Vec<Charge>,
}

impl Journal {
    /// Reads what there is. `rooms` are those that its bytes are counted in.
    pub(super) fn open(root: &Path, name: &RepositoryName, rooms: &[Arc<Room>]) -> Result<(Self, Option<Index>)> {
        let path = root.join(name.as_str()).join(FILE);
        let charges = rooms.iter().map(|room| room.charge(0)).collect();
        let mut journal = Self { name: name.clone(), path, length: 0, base: 0, is_torn: false, charges };
        let bytes = match fs::read(&journal.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((journal, None)),
            Err(error) => return Err(journal.failed("read")(error)),
        };
        let index = journal
            .parse(&bytes)
            .map_err(|reason| StoreError::Damaged { what: format!("the index of repository {name}"), reason })?;
        journal.length = bytes.len() as u64;
        journal.count();
        Ok((journal, Some(index)))
    }

    fn parse(&mut self, bytes: &[u8]) -> std::result::Result<Index, String> {
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
        let first = lines.next().unwrap_or_default();
        let mut index = Index::parse(first)?;
        self.base = first.len() as u64;
        self.is_torn = !first.ends_with(b"\n");
        let mut lines = lines.peekable();
        while let Some(line) = lines.next() {
            // A crash tears the last line alone, and of that no client was told.
            self.is_torn = lines.peek().is_none() && (!line.ends_with(b"\n") || line.contains(&0));
            if self.is_torn {
                break;
            }
            let changes: Vec<Change> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
            changes.into_iter().for_each(|change| index.apply(change));
        }
        Ok(index)
    }

    /// Makes changes of `index` durable. Where they add something there has to be room for them.
    pub(super) fn append(&mut self, index: &Index, changes: &[Change], is_limited: bool) -> Result<()> {
        let mut line = serde_json::to_vec(changes).expect("plain data with string keys always prints");
        line.push(b'\n');
        if is_limited && let Err(error) = self.claim(line.len() as u64) {
            self.count();
            return Err(error);
        }
        let lines = self.length - self.base + line.len() as u64;
        let outcome = if self.length == 0 || self.is_torn || lines > self.base.max(SLACK) {
            self.rewrite(index, &line)
        } else {
            self.write(&line)
        };
        self.count();
        outcome.map_err(self.failed("write"))
    }

    /// Removes the file, and its directories where they are empty then.
    pub(super) fn remove(&mut self) -> Result<()> {
        let removed = remove(&self.path).and_then(|_| sync_parent(&self.path));
        removed.map_err(self.failed("remove"))?;
        (self.length, self.base, self.is_torn) = (0, 0, false);
        self.count();
        let directories = self.path.ancestors().skip(1).take(self.name.as_str().split('/').count());
        // One that is not empty stays, and those around it.
        let _ = directories.map(fs::remove_dir).find(io::Result::is_err);
        Ok(())
    }

    fn create_directory(&self) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        if !directory.is_dir() {
            fs::create_dir_all(directory)?;
            for above in directory.ancestors().take(1 + self.name.as_str().split('/').count()) {
                sync_parent(above)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let mut file = File::options().append(true).open(&self.path)?;
        let written = file.write_all(line).and_then(|()| file.sync_data());
        if written.is_ok() {
            self.length += line.len() as u64;
        } else {
            // What was written of it must not be followed by another line.
            self.is_torn = file.set_len(self.length).and_then(|()| file.sync_data()).is_err();
        }
        written
    }

    /// Writes the index as it is before the changes, and their line.
    fn rewrite(&mut self, index: &Index, line: &[u8]) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(index).expect("plain data with string keys always prints");
        bytes.push(b'\n');
        let base = bytes.len() as u64;
        bytes.extend_from_slice(line);
        // The removal of a repository inside of this one may take the directory away before the file is in it.
        let mut attempts = (0..ATTEMPTS).map(|_| self.create_directory().and_then(|()| replace(&self.path, &bytes)));
        let is_final =
            |outcome: &io::Result<()>| !matches!(outcome, Err(error) if error.kind() == io::ErrorKind::NotFound);
        attempts.find(is_final).unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))?;
        (self.length, self.base, self.is_torn) = (bytes.len() as u64, base, false);
        Ok(())
    }

    fn claim(&mut self, more: u64) -> Result<()> {
        let wanted = bytes_of(self.length + more);
        self.charges.iter_mut().try_for_each(|charge| charge.grow(wanted))
    }

    fn count(&mut self) {
        let bytes = if self.length == 0 { 0 } else { bytes_of(self.length) };
        self.charges.iter_mut().for_each(|charge| charge.set(bytes));
    }

    fn failed(&self, what: &str) -> impl FnOnce(io::Error) -> StoreError + use<> {
        StoreError::io(format!("{what} the index of repository {}", self.name))
    }
}

/// Bytes of the file and of its directory.
fn bytes_of(length: u64) -> u64 {
    cost(length) + cost(0)
}
