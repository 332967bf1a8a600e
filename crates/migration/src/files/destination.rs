//! What is at the place where a move puts its files: nothing, what it brings, a part of that, or something else.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path};

use dede_bundle::modelpack::Bundle;
use dede_bundle::{Directory, FileName};
use dede_model::repository::CONFIG;

use super::MARKER;

/// Longest path that a directory may have, bytes: with its files it stays below the system's limit.
const LONGEST: usize = 3000;

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Nothing.
    Missing,
    /// A directory with these files of the bundle and nothing else; it may be empty, or hold all of them.
    Part(BTreeSet<FileName>),
    /// Something that the move must not touch, or a place where nothing can be; why, for people.
    Unusable(String),
}

impl Destination {
    /// Looks, without changing anything. Files whose size fits are read.
    pub(crate) fn look(directory: &Path, bundle: &Bundle) -> Self {
        let shown = directory.display();
        if !directory.is_absolute() || directory.components().any(|part| part == Component::ParentDir) {
            return Self::Unusable(format!("{shown}: an absolute path without .. expected for the files"));
        }
        if directory.as_os_str().len() > LONGEST {
            return Self::Unusable(format!("the path for the files is longer than {LONGEST} bytes"));
        }
        match fs::symlink_metadata(directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => missing(directory),
            Err(error) => Self::Unusable(format!("{shown} cannot be a directory: {error}")),
            Ok(found) if found.is_dir() => part(directory, bundle).map_or_else(Self::Unusable, Self::Part),
            Ok(_) => Self::Unusable(format!("{shown} is there already, and no directory")),
        }
    }
}

/// Whether a directory can be made.
fn missing(directory: &Path) -> Destination {
    let above = directory.ancestors().skip(1).find(|above| fs::symlink_metadata(above).is_ok());
    let above = above.unwrap_or(Path::new("/"));
    let writable = rustix::fs::access(above, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK);
    match writable {
        _ if !above.is_dir() => Destination::Unusable(format!(
            "{} cannot be made: {} is no directory",
            directory.display(),
            above.display()
        )),
        Ok(()) => Destination::Missing,
        Err(error) => {
            let error = std::io::Error::from(error);
            Destination::Unusable(format!("{} cannot be made in {}: {error}", directory.display(), above.display()))
        }
    }
}

fn part(directory: &Path, bundle: &Bundle) -> Result<BTreeSet<FileName>, String> {
    let other = |what: &str| format!("{} is there already, with other files: {what}", directory.display());
    let opened = Directory::open(directory).map_err(|error| other(&error.to_string()))?;
    let mut found = BTreeSet::new();
    for name in opened.files().map_err(|error| other(&error.to_string()))? {
        if [CONFIG, MARKER].contains(&name.as_str()) {
            continue;
        }
        let Some(file) = bundle.files().iter().find(|file| file.name == name) else {
            return Err(other(&format!("{name} is not of this service")));
        };
        let path = directory.join(name.as_str());
        let size = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        if size != file.size || dede_bundle::hash_file(&path).ok() != Some((file.size, file.digest)) {
            return Err(other(&format!("{name} has other content")));
        }
        found.insert(name);
    }
    Ok(found)
}
