//! A service of this server as a bundle that another server can take.
//!
//! Only what the service needs is in it: the files that decide its answers, as they were when it was loaded, and the description
//! that creates it again. What a training needs to go on comes along when asked for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use dede_bundle::modelpack::{Packed, Role, SourceFile};
use dede_bundle::{Directory, FileName};
use dede_engine::environment::Environment;
use dede_engine::name::ServiceName;
use dede_engine::service::{Definition, Service, ServiceId, Serving};
use dede_model::backend::Task;
use dede_model::error::{Error, Result};
use dede_model::repository::{LABELS, Published};
use serde_json::Value;

use crate::record::Object;

/// What is in a bundle besides what answers need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PackageOptions {
    /// Checkpoints and histories, so that the training can be resumed.
    pub with_training_state: bool,
}

/// Endings of files that are small and readable; anything else is a network.
const CONFIGURATIONS: [&str; 5] = ["json", "prototxt", "txt", "binaryproto", "published"];
/// Records at the top level that a resumed training reads.
const TRAINING_RECORDS: [&str; 3] = ["best_model.txt", "metrics.json", "model.json"];

/// Packs what a service answers with now. Reads all files once. `description`: what creates the service again, without places on
/// this server.
///
/// # Errors
/// [`Error::BadParameter`] for a service without a network, or with a file outside of its repository; [`Error::Io`] for links,
/// devices and files that cannot be read; [`Error::MoveConflict`] when files changed since they were loaded.
pub fn package(service: &Service, description: &Object, options: PackageOptions) -> Result<Packed> {
    let serving = service.serving()?;
    let version =
        serving.digest.ok_or_else(|| Error::bad_parameter(format!("{} has no trained network", service.name())))?;
    let root = service.definition.repository.root();
    service.definition.repository.check_there()?;
    let published =
        if service.definition.names_weights() { None } else { service.definition.repository.published()? };
    let directory = Directory::open(root).map(Arc::new).map_err(Error::io(format!("open {}", root.display())))?;
    let mut names = BTreeMap::new();
    for file in &serving.files {
        let name = relative(&file.path, root)?;
        names.insert(name.clone(), role(&name));
    }
    if published.is_some() {
        names.insert(file_name("published")?, Role::Config);
    }
    if options.with_training_state {
        for name in training_state(&directory, published.as_ref(), root)? {
            names.entry(name).or_insert(Role::Doc);
        }
    }
    let sources = names
        .into_iter()
        .map(|(name, role)| SourceFile { place: name.clone(), name, directory: Arc::clone(&directory), role })
        .collect();
    let packed = Packed::new(sources, description, version).map_err(|error| Error::Internal(error.to_string()))?;
    check_unchanged(&packed, &serving, root)?;
    Ok(packed)
}

/// Packs a directory that no server serves, as its definition says: it is opened as a server would, so that what is packed is what
/// loads. Nothing is written there. `describe`: the description of the service that is opened.
///
/// # Errors
/// As [`package`], and those of opening the service; [`Error::BadParameter`] naming corresp.txt when classes have no names.
pub fn package_directory(
    name: &str,
    definition: Definition,
    environment: &Arc<Environment>,
    describe: impl FnOnce(&Service) -> Object,
) -> Result<Packed> {
    let serving = Serving::open(&definition, environment)?;
    if serving.digest.is_none() {
        let text = "a trained network is missing: deploy.prototxt with a *.caffemodel, or a *.onnx";
        return Err(Error::bad_parameter_at("model", text));
    }
    // An empty one says that the numbers are the names.
    let names_classes =
        definition.repository.published()?.is_some() || definition.repository.root().join(LABELS).exists();
    if matches!(serving.task, Some(Task::Classification { .. })) && serving.labels.is_empty() && !names_classes {
        let text = "the names of the classes are missing: one line per class, number and name";
        return Err(Error::bad_parameter_at(LABELS, text));
    }
    let service = Service::new(ServiceId(0), ServiceName::parse(name)?, definition, Ok(serving), environment);
    package(&service, &describe(&service), PackageOptions::default())
}

/// Checks that the packed files are those that were loaded.
fn check_unchanged(packed: &Packed, serving: &Serving, root: &Path) -> Result<()> {
    for served in &serving.files {
        let name = relative(&served.path, root)?;
        let same = packed.bundle.files().iter().any(|file| file.name == name && file.digest == served.sha256);
        if !same {
            let text = format!("{name} changed on disk since the service was loaded; create the service again first");
            return Err(Error::MoveConflict(text));
        }
    }
    Ok(())
}

fn relative(path: &Path, root: &Path) -> Result<FileName> {
    let outside =
        || Error::bad_parameter_at(path.display().to_string(), "a file outside of the repository cannot be moved");
    let inside = path.strip_prefix(root).map_err(|_| outside())?;
    file_name(inside.to_str().ok_or_else(outside)?)
}

fn file_name(text: &str) -> Result<FileName> {
    text.parse().map_err(|error| Error::bad_parameter_at(text, format!("{error}")))
}

fn role(name: &FileName) -> Role {
    let text = name.as_str();
    let ending = text.rsplit(['.', '/']).next().unwrap_or_default();
    if CONFIGURATIONS.contains(&ending) { Role::Config } else { Role::Weight }
}

/// Everything of the run that is served, or the solver's states beside a checkpoint of the original; and the records.
fn training_state(directory: &Directory, published: Option<&Published>, root: &Path) -> Result<Vec<FileName>> {
    let run = published.map(|published| relative(published.run.directory(), root)).transpose()?;
    let all = directory.files().map_err(|error| Error::Internal(error.to_string()))?;
    let wanted = |name: &FileName| {
        let text = name.as_str();
        let of_run =
            run.as_ref().is_some_and(|run| text.strip_prefix(run.as_str()).is_some_and(|rest| rest.starts_with('/')));
        of_run || TRAINING_RECORDS.contains(&text) || (run.is_none() && text.ends_with(".solverstate"))
    };
    Ok(all.into_iter().filter(wanted).collect())
}

/// Absolute paths in a description: they mean nothing on another server.
pub(crate) fn absolute_paths(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.starts_with('/') && text.len() > 1 => found.push(format!("{at}: {text}")),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| absolute_paths(item, &format!("{at}[{index}]"), found));
        }
        Value::Object(members) => members.iter().for_each(|(key, item)| {
            let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
            absolute_paths(item, &at, found);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_what_goes_with_them_are_told_apart() {
        for (name, expected) in [
            ("model_iter_300.caffemodel", Role::Weight),
            ("runs/3/model.onnx", Role::Weight),
            ("runs/3/service.json", Role::Config),
            ("deploy.prototxt", Role::Config),
            ("published", Role::Config),
            ("corresp.txt", Role::Config),
        ] {
            assert_eq!(role(&name.parse().unwrap()), expected, "{name}");
        }
    }

    #[test]
    fn absolute_paths_are_found_wherever_they_are() {
        let description =
            serde_json::json!({"model": {"weights": "a.onnx"}, "parameters": {"input": {"roots": ["x", "/data/y"]}}});
        let mut found = Vec::new();
        absolute_paths(&description, "", &mut found);
        assert_eq!(found, ["parameters.input.roots[1]: /data/y"]);
    }
}
