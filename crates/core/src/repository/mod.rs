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

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// An existing directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    root: PathBuf,
}

impl Repository {
    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Opens an existing directory.
    ///
    /// # Errors
    /// [`Error::BadParameter`] with the texts of contract.md 3.9, rule 1.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        if root.is_dir() {
            return Ok(Self { root });
        }
        let shown = root.display();
        if root.exists() {
            return Err(Error::bad_parameter(format!("file exists with same name as repository {shown}")));
        }
        Err(Error::bad_parameter(format!("destination model directory {shown} is not writable or does not exist.")))
    }

    /// Names of the regular files at the top level, sorted.
    ///
    /// # Errors
    /// [`Error::Io`] when the directory cannot be read.
    pub fn files(&self) -> Result<Vec<String>> {
        let context = || format!("list {}", self.root.display());
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.root).map_err(Error::io(context()))? {
            let entry = entry.map_err(Error::io(context()))?;
            if entry.path().is_file() {
                names.extend(entry.file_name().into_string());
            }
        }
        names.sort();
        Ok(names)
    }
}
