//! The files of an ONNX network: which one of a repository is served, and those that it refers to.
//!
//! Files that a network refers to must be plain names beside it or below. It must not know what a network computes.

use std::fs;
use std::path::Path;

use dede_graph::onnx::ModelSummary;
use dede_model::backend::DecidingFile;
use dede_model::error::{Error, Result};
use dede_model::parameters::Section;
use dede_model::repository::Repository;
use serde_json::Value;

use crate::neural::content::Content;
use crate::neural::engine::Network;

/// The file to serve: `model.weights`, else the published run, else the only ONNX file.
///
/// # Errors
/// [`Error::BadParameter`] where the one named is not there, or several are and none is named.
pub(super) fn network_file(repository: &Repository, model: &Section) -> Result<Option<DecidingFile>> {
    let root = repository.root();
    let names = if root.is_dir() { repository.files()? } else { Vec::new() };
    let file = |name: &str| DecidingFile { name: name.to_owned(), path: root.join(name) };
    match model.get("weights") {
        None | Some(Value::Null) => {}
        Some(Value::String(name)) if names.contains(name) => return Ok(Some(file(name))),
        Some(other) => {
            let reason = format!("the repository has no file {other}");
            return Err(Error::bad_parameter_at("model.weights", reason));
        }
    }
    if let Some(published) = repository.published()? {
        return Ok(Some(DecidingFile { name: published.record.network.clone(), path: published.network() }));
    }
    let mut found = names.iter().filter(|name| name.ends_with(".onnx"));
    match (found.next(), found.next()) {
        (Some(one), Some(other)) => {
            let reason = format!("{one} and {other} are both there, name the one to serve");
            Err(Error::bad_parameter_at("model.weights", reason))
        }
        (one, _) => Ok(one.map(|name| file(name))),
    }
}

/// Its bytes.
///
/// # Errors
/// [`Error::BadParameter`] naming the file when it cannot be read.
pub(super) fn content(path: &Path, name: &str) -> Result<Content> {
    Content::open(path).map_err(|error| Error::bad_parameter_at(name, format!("cannot be read: {error}")))
}

/// What is wrong with a file, named.
pub(super) fn graph_error(file: &DecidingFile, error: dede_graph::Error) -> Error {
    Error::bad_parameter(error.in_file(&file.name).to_string())
}

/// The files that the model refers to.
pub(super) fn external_files(file: &DecidingFile, summary: &ModelSummary) -> Vec<DecidingFile> {
    let directory = file.path.parent().unwrap_or(Path::new("."));
    let named = |name: &String| DecidingFile { name: name.clone(), path: directory.join(name) };
    summary.external_data.iter().map(named).collect()
}

/// The files that the model refers to, read into memory: engines open nothing themselves.
///
/// # Errors
/// [`Error::BadParameter`] naming a file that is not in the directory of the model or below it, or cannot be read.
pub(super) fn with_external(
    file: &DecidingFile,
    onnx: Content,
    summary: &ModelSummary,
) -> Result<(Network, Vec<DecidingFile>)> {
    let mut files = vec![file.clone()];
    let mut external = Vec::new();
    for beside in external_files(file, summary) {
        if !is_below(file.path.parent().unwrap_or(Path::new(".")), &beside.name) {
            let reason = format!("its weights are in {}, which is no file in its directory or below it", beside.name);
            return Err(Error::bad_parameter_at(&file.name, reason));
        }
        external.push((beside.name.clone(), content(&beside.path, &beside.name)?.into_shared()));
        files.push(beside);
    }
    Ok((Network { onnx, path: Some(file.path.clone()), external }, files))
}

/// Whether a name leads through directories to a file, and nowhere through a link.
fn is_below(directory: &Path, name: &str) -> bool {
    let mut components = name.split('/').peekable();
    let mut path = directory.to_owned();
    while let Some(component) = components.next() {
        path.push(component);
        let kind = fs::symlink_metadata(&path).map(|metadata| metadata.file_type());
        let is_last = components.peek().is_none();
        if !kind.is_ok_and(|kind| if is_last { kind.is_file() } else { kind.is_dir() }) {
            return false;
        }
    }
    true
}
