//! What a move found and brought about: each effect is noted before it is done, so that it can be undone after a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use dede_bundle::Digest;
use dede_engine::name::ServiceName;
use dede_engine::service::{Service, ServiceId};
use dede_storage::DirectoryIdentity;
use serde::{Deserialize, Serialize};

/// A file that a move added to a directory that was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    pub(crate) fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let found = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some(Self { device: found.dev(), inode: found.ino() })
    }
}

/// The service that a move replaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Former {
    /// Which.
    pub(crate) service: ServiceId,
    /// Its version when the move began: what the new one is compared with, and what is gone back to.
    pub(crate) version: String,
}

impl Former {
    pub(crate) fn of(service: &Service) -> Self {
        Self { service: service.id, version: service.version().to_string() }
    }
}

/// What this move brought about, each noted before it is done.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Effects {
    /// Random digits in the names and the marker of what it makes, so that another server's move is not taken for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nonce: Option<String>,
    /// Where its files go.
    pub(crate) directory: Option<PathBuf>,
    /// The directory that it made, by what the system calls it: known before it has its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) owned: Option<DirectoryIdentity>,
    /// Files that it put into the directory that it made.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) placed: BTreeMap<String, FileIdentity>,
    /// Directories that it made in a directory that was there, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) made: Vec<String>,
    /// Files that it added to a directory that was there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) added: BTreeMap<String, FileIdentity>,
    /// Directories above that it made, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) parents: Vec<PathBuf>,
    /// Content that it brings into the store.
    #[serde(default)]
    pub(crate) blobs: BTreeSet<Digest>,
    /// The name that it creates its service with; the catalogue knows which service that is, whatever it is called since.
    pub(crate) service: Option<ServiceName>,
    /// What was under the alias's name before it was touched.
    pub(crate) before: Option<Before>,
    /// A person deleted the alias and made it again while the move compared, so that it only looks unchanged.
    #[serde(default)]
    pub(crate) remade: bool,
    /// The share of requests that the former service refused, where it could not be asked after the switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) usually_refused: Option<f64>,
    /// Generation of the alias while the move proves its service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) generation: Option<u64>,
}

/// What was under the alias's name before it was touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Before {
    /// Nothing.
    Free,
    /// A service of that name, which the alias takes over.
    Service(ServiceId),
    /// An alias, and where it pointed.
    Alias {
        /// Where it pointed.
        service: ServiceId,
    },
}
