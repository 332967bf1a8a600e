//! The phase that brings files: fetched into the store, placed beside their final directory, renamed when all are there. A directory that
//! is there already and holds nothing else gets what is missing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use dede_bundle::modelpack::BundleFile;
use dede_bundle::store::{Lease, StoreError};
use dede_bundle::{Digest, Directory, FileName};
use dede_model::error::{Error, Result};
use dede_storage::files::sync_directory;
use dede_storage::{DirectoryIdentity, failpoint};

use crate::execution::Execution;
use crate::fetch::{Local, fetch};
use crate::files::destination::Destination;
use crate::files::ownership::{is_own, mark, mark_of, missing_parents, partial, remove_directory, rename_new};
use crate::planning::Planned;
use crate::record::{FileIdentity, MovePhase, MoveProgress};
use crate::stored;

/// How often a file is fetched whose content in the store turns out damaged.
const ATTEMPTS: usize = 3;

/// Brings the files into a directory beside its final place, and renames it when all are there.
pub(crate) fn copy(run: &Execution<'_>, planned: &Planned) -> Result<Lease> {
    run.this.enter(MovePhase::Copying)?;
    let store = &run.context.store;
    let lease = store.lease();
    let directory = PathBuf::from(&planned.plan.repository);
    let present = match Destination::look(&directory, &planned.bundle) {
        Destination::Missing => None,
        Destination::Part(present) if present.len() == planned.bundle.files().len() => {
            run.this.note(|record| record.effects.directory = Some(directory))?;
            return Ok(lease);
        }
        Destination::Part(present) => Some(present),
        Destination::Unusable(reason) => return Err(Error::MoveConflict(reason)),
    };
    let snapshot = run.context.catalogue.snapshot();
    let local = crate::planning::local(planned.plan.replaces.as_ref(), &snapshot);
    let mut brought: Vec<Digest> =
        planned.bundle.files().iter().map(|file| file.digest).chain(local.digests()).collect();
    brought.retain(|digest| matches!(store.contains(digest), Ok(false)));
    run.this.note(|record| {
        record.effects.directory = Some(directory.clone());
        record.effects.blobs.extend(brought);
        record.effects.parents.extend(missing_parents(&directory));
    })?;
    let began = run.context.clock.now();
    let (mut there, mut sent) = (0, 0);
    for file in planned.bundle.files() {
        sent += bring(run, file, planned, &local, &lease, there)?;
        there += file.size;
        failpoint("file");
    }
    run.context.rate.learn(sent, run.since(began));
    run.this.note(|record| record.report.sent_bytes += sent)?;
    run.this.show("places the files", None);
    let placing = Placing { run, planned, local: &local, lease: &lease };
    match present {
        None => placing.make(&directory)?,
        Some(present) => placing.complete(&directory, &present)?,
    }
    Ok(lease)
}

/// Brings one file into the store; `there`: bytes of those before it.
fn bring(
    run: &Execution<'_>,
    file: &BundleFile,
    planned: &Planned,
    local: &Local,
    lease: &Lease,
    there: u64,
) -> Result<u64> {
    run.check()?;
    let total = planned.plan.total_bytes;
    let mut watch = |of_file: u64| {
        let progress = MoveProgress { done: there + of_file.min(file.size), total, unit: "bytes".into() };
        run.this.show(format!("fetches {}", file.name), Some(progress));
        run.check_abort()
    };
    let (service, store) = (&planned.plan.spec.service, &*run.context.store);
    fetch(file, service, &planned.peer, local, (store, lease), &mut watch)
}

/// Files on their way from the store to their directory.
struct Placing<'a> {
    run: &'a Execution<'a>,
    planned: &'a Planned,
    local: &'a Local,
    lease: &'a Lease,
}

impl Placing<'_> {
    /// Makes the directory. Its identity is recorded before it gets its name.
    fn make(&self, directory: &Path) -> Result<()> {
        let this = self.run.this;
        let name = this.look(|record| mark_of(record.id, &record.effects));
        let partial = partial(directory, &name);
        remove_directory(&partial)?;
        let made = Directory::create(&partial).map_err(Error::io(format!("create {}", partial.display())))?;
        for file in self.planned.bundle.files() {
            self.place(file, &made)?;
        }
        mark(&partial, &name)?;
        failpoint("placed");
        let placed = self.planned.bundle.files().iter().filter_map(|file| identity(&partial, file));
        this.note(|record| {
            record.effects.placed = placed.collect();
            record.effects.owned = DirectoryIdentity::of(&partial);
        })?;
        rename_new(&partial, directory)?;
        failpoint("in-place");
        sync_directory(directory.parent().unwrap_or(directory))?;
        if is_own(directory, &name, &this.record().effects) {
            return Ok(());
        }
        Err(Error::MoveConflict(format!("{} is not the directory that was put there", directory.display())))
    }

    /// Adds to a directory what it lacks.
    fn complete(&self, directory: &Path, present: &BTreeSet<FileName>) -> Result<()> {
        let this = self.run.this;
        let partial = partial(directory, &this.look(|record| mark_of(record.id, &record.effects)));
        remove_directory(&partial)?;
        let made = Directory::create(&partial).map_err(Error::io(format!("create {}", partial.display())))?;
        let missing = || self.planned.bundle.files().iter().filter(|file| !present.contains(&file.name));
        for file in missing() {
            self.place(file, &made)?;
        }
        let above: BTreeSet<&Path> = missing().flat_map(|file| above(&file.name)).collect();
        let made = above.into_iter().filter(|above| fs::symlink_metadata(directory.join(above)).is_err());
        let made: Vec<String> = made.map(|above| above.to_string_lossy().into_owned()).collect();
        this.note(|record| {
            record.effects.added.extend(missing().filter_map(|file| identity(&partial, file)));
            record.effects.made.extend(made);
        })?;
        failpoint("placed");
        for file in missing() {
            let place = directory.join(file.name.as_str());
            let above = place.parent().unwrap_or(directory);
            fs::create_dir_all(above).map_err(Error::io(format!("create {}", above.display())))?;
            rename_new(&partial.join(file.name.as_str()), &place)?;
            sync_directory(above)?;
        }
        failpoint("in-place");
        remove_directory(&partial)?;
        sync_directory(directory).map_err(Error::from)
    }

    /// Places one file. Content of the store that turns out damaged is fetched again, as long as the source has it.
    fn place(&self, file: &BundleFile, made: &Directory) -> Result<()> {
        let store = &self.run.context.store;
        for _ in 1..ATTEMPTS {
            match store.place(&file.digest, made, &file.name, file.role, self.lease) {
                Err(StoreError::Corrupt(_) | StoreError::UnknownBlob(_)) => {
                    tracing::warn!(file = %file.name, "its content in the store is damaged and is fetched again");
                    let sent = bring(self.run, file, self.planned, self.local, self.lease, 0)?;
                    self.run.this.change_report(|report| report.sent_bytes += sent);
                }
                other => return other.map(drop).map_err(stored),
            }
        }
        store.place(&file.digest, made, &file.name, file.role, self.lease).map(drop).map_err(stored)
    }
}

/// A file of the bundle in a directory, by its name and by what the system calls it.
fn identity(directory: &Path, file: &BundleFile) -> Option<(String, FileIdentity)> {
    let found = FileIdentity::of(&directory.join(file.name.as_str()));
    found.map(|identity| (file.name.to_string(), identity))
}

/// The directories above a file, below that of its bundle.
fn above(name: &FileName) -> impl Iterator<Item = &Path> {
    Path::new(name.as_str()).ancestors().skip(1).filter(|above| !above.as_os_str().is_empty())
}
