//! The phase that brings files: fetched into the store, placed beside their final directory, renamed when all are there.

use std::fs;
use std::path::{Path, PathBuf};

use dede_api::moves::{MovePhase, MoveProgress};
use dede_bundle::store::Lease;
use dede_bundle::{Digest, Directory, failpoint};

use super::fetch::fetch;
use super::mover::Mover;
use super::plan::Planned;
use super::stored;
use crate::error::{Error, Result};
use crate::files::sync_directory;

impl Mover<'_> {
    /// Brings the files into a directory beside its final place, and renames it when all are there.
    pub(super) fn copy(&self, planned: &Planned) -> Result<Lease> {
        self.this.enter(MovePhase::Copying)?;
        let store = &self.surroundings.store;
        let lease = store.lease();
        let directory = PathBuf::from(&planned.plan.repository);
        if is_complete(&directory, planned) {
            return Ok(lease);
        }
        if directory.exists() && self.this.record().effects.directory.as_ref() != Some(&directory) {
            let text = format!("{} is there already, with other files", directory.display());
            return Err(Error::MoveConflict(text));
        }
        let snapshot = self.surroundings.catalogue.snapshot();
        let local = super::plan::local(planned.plan.replaces.as_ref(), &snapshot);
        let mut brought: Vec<Digest> =
            planned.bundle.files().iter().map(|file| file.digest).chain(local.digests()).collect();
        brought.retain(|digest| matches!(store.contains(digest), Ok(false)));
        self.this.note(|record| {
            record.effects.directory = Some(directory.clone());
            record.effects.blobs.extend(brought);
        })?;
        let mut there = 0;
        let mut sent = 0;
        for file in planned.bundle.files() {
            self.check_abort()?;
            let total = planned.plan.total_bytes;
            let mut watch = |of_file: u64| {
                let progress = MoveProgress { done: there + of_file.min(file.size), total, unit: "bytes".into() };
                self.this.show(format!("fetches {}", file.name), Some(progress));
                self.check_abort()
            };
            let service = &planned.plan.request.service;
            sent += fetch(file, service, &planned.peer, &local, (store, &lease), &mut watch)?;
            there += file.size;
            failpoint("file");
        }
        self.this.note(|record| record.report.sent_bytes += sent)?;
        self.this.show("places the files", None);
        self.place(&directory, planned, &lease)?;
        Ok(lease)
    }

    fn place(&self, directory: &Path, planned: &Planned, lease: &Lease) -> Result<()> {
        let partial = partial(directory);
        remove_directory(&partial)?;
        let made = Directory::create(&partial).map_err(Error::io(format!("create {}", partial.display())))?;
        for file in planned.bundle.files() {
            self.surroundings.store.place(&file.digest, &made, &file.name, file.role, lease).map_err(stored)?;
        }
        failpoint("placed");
        fs::rename(&partial, directory).map_err(Error::io(format!("rename {}", partial.display())))?;
        failpoint("in-place");
        sync_directory(directory.parent().unwrap_or(directory))
    }
}

/// Where files are put until all are there.
pub(super) fn partial(directory: &Path) -> PathBuf {
    let name = directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    directory.with_file_name(format!(".{name}.partial"))
}

/// Whether a directory holds exactly what the bundle says.
fn is_complete(directory: &Path, planned: &Planned) -> bool {
    directory.is_dir()
        && planned.bundle.files().iter().all(|file| {
            dede_bundle::hash_file(&directory.join(file.name.as_str())).ok() == Some((file.size, file.digest))
        })
}

/// Removes a directory that may be gone already.
pub(super) fn remove_directory(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("remove {}", path.display()))(error))
        }
        _ => Ok(()),
    }
}
