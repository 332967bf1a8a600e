//! A model repository: one directory that alone recreates a service.
//!
//! It owns the layout (contract.md 3.8 and below), atomic writing and the choice of what is served. It must not know what a
//! network is.
//!
//! ```text
//! config.json model.json metrics.json corresp.txt best_model.txt   records under DeepDetect's names
//! published            one line: the run that is served, "runs/3"; replaced by one rename
//! runs/3/service.json  what the run learnt: parameters, connector state, labels, the network's file
//! runs/3/model.onnx    the network
//! runs/3/checkpoint-*.safetensors
//! ```

mod clear;
mod contents;
mod keys;
mod listing;
mod named;
mod record;
mod run;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub use clear::{Clear, Cleared};
pub use contents::{CONFIG, OwnFiles};
pub use keys::MODEL_KEYS;
pub use named::LABELS;
pub use record::{NewRecord, ServiceRecord, StoredParameters};
pub use run::{Published, Run};

use crate::error::{Error, Result};
use dede_storage::Place;
use dede_storage::files::write_atomically;

/// Largest text file read back from a repository, bytes.
pub const TEXT_LIMIT: u64 = 64 << 20;

/// An existing directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// As it was sent.
    root: PathBuf,
    /// Where that led when it was opened.
    place: Place,
    /// A run that counts as the published one, to try it before the pointer moves.
    preview: Option<u64>,
}

impl Repository {
    /// Opens a directory; makes it first when `create` says so. It need not be writable: a repository on a
    /// read-only medium is served as it is.
    ///
    /// # Errors
    /// [`Error::BadParameter`] with the texts of contract.md 3.9, rule 1.
    pub fn open(root: impl Into<PathBuf>, create: bool) -> Result<Self> {
        let root = root.into();
        let shown = root.display().to_string();
        let missing =
            || Error::bad_parameter(format!("destination model directory {shown} is not writable or does not exist."));
        if root.as_os_str().is_empty() {
            return Err(missing());
        }
        if !root.exists() && create {
            fs::create_dir_all(&root).map_err(|error| {
                Error::bad_parameter(format!("destination model directory {shown} cannot be created: {error}"))
            })?;
        }
        if root.is_dir() {
            return Ok(Self::recorded(root));
        }
        if root.exists() {
            return Err(Error::bad_parameter(format!("file exists with same name as repository {shown}")));
        }
        Err(missing())
    }

    /// The repository of a service that was recorded; the directory may be gone.
    pub fn recorded(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self { place: Place::of(&root), root, preview: None }
    }

    /// Whether its directory is there: one that was recorded may be gone, or lie on a disk that is not mounted.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the directory.
    pub fn check_there(&self) -> Result<()> {
        let root = self.root.display();
        let reason = match fs::metadata(&self.root) {
            Ok(found) if found.is_dir() => return Ok(()),
            Ok(_) => format!("{root} is no directory any more"),
            Err(error) if error.kind() == ErrorKind::NotFound => format!("the directory {root} is not there"),
            Err(error) => format!("the directory {root} cannot be read: {error}"),
        };
        Err(Error::bad_parameter_at("model.repository", reason))
    }

    /// Where the directory was when it was opened, without links.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Whether the path still leads where it led when it was opened.
    ///
    /// # Errors
    /// [`Error::BadParameter`] where it leads elsewhere.
    pub fn check_unmoved(&self) -> Result<()> {
        let now = Place::of(&self.root);
        if now.path() == self.place.path() {
            return Ok(());
        }
        let reason = format!("{} leads elsewhere than when the service was created", self.root.display());
        Err(Error::bad_parameter_at("model.repository", reason))
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Names of the regular files at the top level, sorted.
    ///
    /// # Errors
    /// [`Error::Io`] when the directory cannot be read.
    pub fn files(&self) -> Result<Vec<String>> {
        let context = || format!("list {}", self.root.display());
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(Error::io(context()))? {
            let entry = entry.map_err(Error::io(context()))?;
            if entry.path().is_file() {
                names.extend(entry.file_name().into_string());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Whether config.json may be written: it is missing, or the record of a service.
    ///
    /// # Errors
    /// [`Error::BadParameter`] saying what it is.
    pub fn check_record(&self) -> Result<()> {
        self.check_own(CONFIG)
    }

    /// Writes a record for people and other tools, such as config.json. The server never reads it back to decide an answer.
    ///
    /// # Errors
    /// [`Error::Io`], on a read-only medium for instance; [`Error::BadParameter`] where something else has the name.
    pub fn write_record(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.check_unmoved()?;
        self.check_own(name)?;
        write_atomically(&self.root.join(name), bytes).map_err(Error::from)
    }
}
