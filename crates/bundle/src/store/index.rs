//! The index of one repository: its manifests, tags and blobs; and the changes made to it, each of which fits on one
//! line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use super::durable::lock;
use super::error::Result;
use super::journal::Journal;
use super::room::Room;
use crate::digest::Digest;
use crate::oci::{Descriptor, Manifest, MediaType, RepositoryName, Tag};

/// Version of an index that is written.
const FORMAT: u32 = 2;

/// What is known of a manifest without reading it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ManifestRecord {
    pub(super) media_type: MediaType,
    pub(super) size: u64,
    artifact_type: Option<MediaType>,
    pub(super) subject: Option<Digest>,
    annotations: BTreeMap<String, String>,
    pub(super) references: Vec<Digest>,
}

impl ManifestRecord {
    pub(super) fn new(media_type: MediaType, manifest: &Manifest, size: u64) -> Self {
        Self {
            media_type,
            size,
            artifact_type: manifest.effective_artifact_type().cloned(),
            subject: manifest.subject().map(|subject| subject.digest),
            annotations: manifest.annotations().clone(),
            references: manifest.contents().map(|content| content.digest).collect(),
        }
    }

    /// As lists of referrers show it.
    pub(super) fn descriptor(&self, digest: Digest) -> Descriptor {
        Descriptor {
            artifact_type: self.artifact_type.clone(),
            annotations: self.annotations.clone(),
            ..Descriptor::new(self.media_type.clone(), digest, self.size)
        }
    }
}

/// What a repository shows at one time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Index {
    format: u32,
    pub(super) manifests: BTreeMap<Digest, ManifestRecord>,
    /// In the order they are listed in.
    pub(super) tags: BTreeMap<Tag, Digest>,
    /// Blobs the repository may show, with the Unix time at which each was put or mounted.
    pub(super) blobs: BTreeMap<Digest, u64>,
}

/// One change of an index. Made again, it changes nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Change {
    /// A manifest is there.
    PutManifest(Digest, Box<ManifestRecord>),
    /// A manifest is gone.
    DropManifest(Digest),
    /// A tag means a manifest.
    PutTag(Tag, Digest),
    /// A tag is gone.
    DropTag(Tag),
    /// A blob is shown since a time.
    PutBlob(Digest, u64),
    /// A blob is shown no more.
    DropBlob(Digest),
}

impl Change {
    /// Whether it brings something, which a limit may forbid.
    fn adds(&self) -> bool {
        matches!(self, Self::PutManifest(..) | Self::PutTag(..) | Self::PutBlob(..))
    }
}

impl Index {
    pub(super) fn new() -> Self {
        Self { format: FORMAT, manifests: BTreeMap::new(), tags: BTreeMap::new(), blobs: BTreeMap::new() }
    }

    /// Takes an index of this format, or of the first one, which had no lines after it.
    pub(super) fn parse(json: &[u8]) -> std::result::Result<Self, String> {
        let mut index: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if !(1..=FORMAT).contains(&index.format) {
            return Err(format!("format {FORMAT} expected, found {}", index.format));
        }
        index.format = FORMAT;
        Ok(index)
    }

    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::PutManifest(digest, record) => drop(self.manifests.insert(digest, *record)),
            Change::DropManifest(digest) => drop(self.manifests.remove(&digest)),
            Change::PutTag(tag, digest) => drop(self.tags.insert(tag, digest)),
            Change::DropTag(tag) => drop(self.tags.remove(&tag)),
            Change::PutBlob(digest, since) => drop(self.blobs.insert(digest, since)),
            Change::DropBlob(digest) => drop(self.blobs.remove(&digest)),
        }
    }

    /// Whether a change would change nothing.
    fn has(&self, change: &Change) -> bool {
        match change {
            Change::PutManifest(digest, record) => self.manifests.get(digest) == Some(record),
            Change::DropManifest(digest) => !self.manifests.contains_key(digest),
            Change::PutTag(tag, digest) => self.tags.get(tag) == Some(digest),
            Change::DropTag(tag) => !self.tags.contains_key(tag),
            Change::PutBlob(digest, since) => self.blobs.get(digest) == Some(since),
            Change::DropBlob(digest) => !self.blobs.contains_key(digest),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.manifests.is_empty() && self.tags.is_empty() && self.blobs.is_empty()
    }

    /// Everything some manifest needs.
    pub(super) fn references(&self) -> BTreeSet<Digest> {
        self.manifests.values().flat_map(|record| record.references.iter().copied()).collect()
    }

    /// Everything that has to stay in the store for this repository.
    pub(super) fn keeps(&self) -> impl Iterator<Item = Digest> + '_ {
        let needed = self.manifests.values().flat_map(|record| &record.references);
        self.manifests.keys().chain(self.blobs.keys()).chain(needed).copied()
    }
}

/// One repository's index in memory and on disk. The file is the truth: memory changes after it.
#[derive(Debug)]
pub(super) struct Repository {
    name: RepositoryName,
    /// Held across the write of the file: changes of one repository come one after the other, in the order of their lines.
    journal: Mutex<Journal>,
    /// Locked for writing only while a change is made in memory, so that readers never wait for the disk.
    current: RwLock<Option<Index>>,
}

impl Repository {
    /// Reads what there is. `rooms` are those that the file is counted in.
    pub(super) fn open(root: &Path, name: RepositoryName, rooms: &[Arc<Room>]) -> Result<Self> {
        let (journal, current) = Journal::open(root, &name, rooms)?;
        Ok(Self { name, journal: Mutex::new(journal), current: RwLock::new(current) })
    }

    pub(super) fn name(&self) -> &RepositoryName {
        &self.name
    }

    /// Looks at the present state; `None` where nothing was ever put.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Index) -> T) -> Option<T> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(look)
    }

    /// Whether something was ever put.
    pub(super) fn is_there(&self) -> bool {
        self.look(|_| ()).is_some()
    }

    /// Makes the changes that `decide` answers; they are on disk before anything shows them, and nothing changes where it fails.
    pub(super) fn change(&self, decide: impl FnOnce(&Index) -> Result<Vec<Change>>) -> Result<()> {
        let mut journal = lock(&self.journal);
        let missing = Index::new();
        let changes = {
            // Only the holder of the journal writes, so that reading here keeps nothing waiting.
            let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
            let index = current.as_ref().unwrap_or(&missing);
            let mut changes = decide(index)?;
            changes.retain(|change| !index.has(change));
            if changes.is_empty() {
                return Ok(());
            }
            journal.append(index, &changes, changes.iter().any(Change::adds))?;
            changes
        };
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let index = current.get_or_insert(missing);
        changes.into_iter().for_each(|change| index.apply(change));
        Ok(())
    }

    /// Forgets everything, where `wanted` says so of what is there; whether it did.
    pub(super) fn clear(&self, wanted: impl FnOnce(&Index) -> bool) -> Result<bool> {
        let mut journal = lock(&self.journal);
        if !self.look(wanted).unwrap_or(false) {
            return Ok(false);
        }
        journal.remove()?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(true)
    }
}
