//! What one repository shows: manifests, tags, blobs. One JSON file, replaced as a whole; readers have a snapshot and never wait.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use super::durable::{lock, remove, replace, sync_parent};
use super::error::{Result, StoreError};
use crate::digest::Digest;
use crate::oci::{Descriptor, Manifest, MediaType, RepositoryName, Tag};

/// Version of the file's format.
const FORMAT: u32 = 1;
/// No component of a repository name begins with an underscore, so the file meets no other repository's directory.
pub(super) const FILE: &str = "_index.json";

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
            subject: manifest.subject(),
            annotations: manifest.annotations().clone(),
            references: manifest.references(),
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

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Index {
    format: u32,
    pub(super) manifests: BTreeMap<Digest, ManifestRecord>,
    /// In the order of their bytes, which is the order they are listed in.
    pub(super) tags: BTreeMap<Tag, Digest>,
    /// Blobs the repository may show, with the Unix time at which each was put or mounted.
    pub(super) blobs: BTreeMap<Digest, u64>,
}

impl Index {
    fn new() -> Self {
        Self { format: FORMAT, manifests: BTreeMap::new(), tags: BTreeMap::new(), blobs: BTreeMap::new() }
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
    path: PathBuf,
    /// Held across the write of the file: changes of one repository come one after the other, in the order of their files.
    writer: Mutex<()>,
    current: RwLock<Option<Arc<Index>>>,
}

impl Repository {
    /// Reads what there is.
    pub(super) fn open(root: &Path, name: RepositoryName) -> Result<Self> {
        let path = root.join(name.as_str()).join(FILE);
        let damaged = |reason: String| StoreError::Damaged { what: format!("the index of repository {name}"), reason };
        let current = match fs::read(&path) {
            Ok(bytes) => {
                let index: Index = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
                if index.format != FORMAT {
                    return Err(damaged(format!("format {FORMAT} expected, found {}", index.format)));
                }
                Some(Arc::new(index))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(StoreError::io(format!("read the index of repository {name}"))(error)),
        };
        Ok(Self { name, path, writer: Mutex::new(()), current: RwLock::new(current) })
    }

    pub(super) fn name(&self) -> &RepositoryName {
        &self.name
    }

    /// The present state; `None` where nothing was ever put.
    pub(super) fn snapshot(&self) -> Option<Arc<Index>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the index; the change is on disk before anybody sees it, and nothing changes where `change` fails.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Index) -> Result<T>) -> Result<T> {
        let _turn = lock(&self.writer);
        let before = self.snapshot();
        let mut index = before.as_deref().cloned().unwrap_or_else(Index::new);
        let result = change(&mut index)?;
        if before.as_deref() != Some(&index) {
            self.write(&index).map_err(StoreError::io(format!("write the index of repository {}", self.name)))?;
            self.publish(Some(Arc::new(index)));
        }
        Ok(result)
    }

    /// Forgets everything; whether there was anything.
    pub(super) fn clear(&self) -> Result<bool> {
        let _turn = lock(&self.writer);
        let removed = remove(&self.path).and_then(|was_there| {
            if was_there {
                sync_parent(&self.path)?;
            }
            Ok(was_there)
        });
        let was_there = removed.map_err(StoreError::io(format!("remove the index of repository {}", self.name)))?;
        self.publish(None);
        Ok(was_there)
    }

    fn write(&self, index: &Index) -> std::io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        if !directory.is_dir() {
            fs::create_dir_all(directory)?;
            for above in directory.ancestors().take(1 + self.name.as_str().split('/').count()) {
                sync_parent(above)?;
            }
        }
        let bytes = serde_json::to_vec(index).expect("plain data with string keys always prints");
        replace(&self.path, &bytes)
    }

    fn publish(&self, index: Option<Arc<Index>>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = index;
    }
}
