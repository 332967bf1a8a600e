//! `--from-dir`: a repository directory of an original DeepDetect as the source of a move. It is read and opened on
//! this machine and uploaded to the target; nothing is written there.
//!
//! What the directory does not say is not guessed: the command ends, and names what is missing.

use std::path::Path;
use std::sync::Arc;

use dede_api::Object;
use dede_api::requests::CreateRequest;
use dede_bundle::modelpack::Packed;
use dede_bundle::{Digest, Directory};
use dede_engine::environment::Environment;
use dede_engine::limiter::{Bounds, Limiter};
use dede_engine::protocol::Plain;
use dede_engine::service::{CreationRequest, Definition};
use dede_migration::package_directory;
use dede_model::backend::EngineOptions;
use dede_model::quote::quote;
use dede_storage::Roots;
use dede_storage::files::read_text;
use serde_json::{Value, json};
use ureq::http::Method;

use super::remote::Remote;
use super::report::{bytes, remark};
use crate::catalog::{BACKENDS, CONNECTORS};
use crate::deepdetect::{self, describe};
use crate::peer::path_part;

/// Largest JSON file that is read, bytes.
const LIMIT: u64 = 16 << 20;
/// Members of `model` that say where files are on this machine.
const PLACES: [&str; 3] = ["create_repository", "templates", "init"];
/// Members of `parameters.mllib` that draw a network: the directory has one.
const TEMPLATE: [&str; 4] = ["template", "layers", "activation", "dropout"];

/// Uploads a directory, named by its absolute path, to the target; returns the name that the move gives as its source.
///
/// # Errors
/// A sentence that names what is missing, or what cannot be moved.
pub(super) fn hand_over(root: &Path, parameters: Option<&Path>, name: &str, target: &Remote) -> Result<String, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", root.display());
    // All of it is looked at, so that a link or a device is named whatever it would be needed for.
    Directory::open(root).map_err(|error| failed(&error))?.files().map_err(|error| failed(&error))?;
    let request = creation(root, parameters)?;
    for member in &request.unknown {
        remark(&format!("unknown member {:?} of the request to create the service: it is not moved", quote(member)));
    }
    let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
    let environment = Environment {
        connectors: CONNECTORS,
        backends: BACKENDS,
        engine: EngineOptions { threads: 1, concurrency: 1, engine: None },
        limits: Arc::default(),
        guest_limits: None,
        limiter: Limiter::new(Bounds::of_machine(1, 1)),
        queue_limit: 1,
        capture_bytes: 0,
        strict: false,
        repository_roots: Roots::default(),
        state_directory: scratch.path().to_owned(),
        protocol: &Plain,
        trial: None,
    };
    let environment = Arc::new(environment);
    let definition = Definition::check(request, &environment, |_| Ok(())).map_err(|error| failed(&error))?;
    let packed = package_directory(name, definition, &environment, describe).map_err(|error| failed(&error))?;
    upload(&packed, target)
}

/// The request that creates a service on the directory.
fn creation(root: &Path, parameters: Option<&Path>) -> Result<CreationRequest, String> {
    let mut body = match parameters {
        Some(file) => object(file)?.ok_or_else(|| format!("{}: no such file", file.display()))?,
        None => object(&root.join("config.json"))?.ok_or_else(|| {
            format!(
                "{}: no config.json there: say with --parameters FILE what a PUT of this service says",
                root.display()
            )
        })?,
    };
    let input = body.get("parameters").and_then(|parameters| parameters.get("input")).and_then(Value::as_object);
    let input = input.cloned().unwrap_or_default();
    // A run of our own brings what it learnt.
    if input.get("connector").and_then(Value::as_str) == Some("csv") && !root.join("published").exists() {
        let missing = missing(&input, object(&root.join("model.json"))?.as_ref());
        if !missing.is_empty() {
            return Err(format!("missing: {}; say so with --parameters FILE", missing.join(", ")));
        }
    }
    if let Some(mllib) = body.get_mut("parameters").and_then(|all| all.get_mut("mllib")).and_then(Value::as_object_mut)
    {
        mllib.retain(|key, _| !TEMPLATE.contains(&key.as_str()));
    }
    let model = body.entry("model").or_insert_with(|| json!({}));
    let model = model.as_object_mut().ok_or("model: an object expected")?;
    model.retain(|key, _| !PLACES.contains(&key.as_str()));
    model.insert("repository".to_owned(), root.to_str().ok_or("a directory in UTF-8 expected")?.into());
    let text = Value::Object(body.clone()).to_string();
    CreateRequest::read(body, &text).map(deepdetect::creation).map_err(|error| error.to_string())
}

/// What reading csv as in the training takes and `input` does not say; `training` is the train call that the original left.
fn missing(input: &Object, training: Option<&Object>) -> Vec<String> {
    let trained = training.and_then(|call| call.get("parameters")?.get("input")?.as_object());
    let said = |key: &str| input.get(key).or_else(|| trained.and_then(|trained| trained.get(key)));
    let mut missing = Vec::new();
    let mut want = |key: &str, why: &str| {
        if !input.contains_key(key) {
            missing.push(format!("parameters.input.{key} ({why})"));
        }
    };
    if trained.is_none() {
        want("scale", "there is no model.json that says whether the training scaled its columns");
    }
    if said("scale").and_then(Value::as_bool) == Some(true) && input.get("scale") != Some(&Value::Bool(false)) {
        want("scale", "the training scaled its columns: true, or false when clients do");
        let bounds = match said("scale_type").and_then(Value::as_str) {
            Some("znorm") => ["mean_vals", "variance_vals"],
            _ => ["min_vals", "max_vals"],
        };
        bounds.iter().for_each(|key| want(key, "as the training answered it"));
    }
    let categoricals = said("categoricals").and_then(Value::as_array).filter(|columns| !columns.is_empty());
    if let Some(columns) = categoricals {
        let columns: Vec<&str> = columns.iter().filter_map(Value::as_str).collect();
        want("categoricals_mapping", &format!("of {}, as the training answered it", columns.join(", ")));
    }
    missing
}

/// Sends what the target does not have.
fn upload(packed: &Packed, target: &Remote) -> Result<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let offer = json!({"manifest": text(&packed.manifest), "config": text(&packed.config)});
    let answer: Value = target.body(Method::POST, "/v2/_dede/uploads", &offer.to_string())?;
    let source = answer["source"].as_str().ok_or("the target took no upload")?.to_owned();
    let wanted = answer["missing"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let wanted: Vec<Digest> = wanted.filter_map(|digest| digest.parse().ok()).collect();
    let mut sent = 0;
    for digest in wanted {
        let place = packed.bundle.files().iter().position(|file| file.digest == digest);
        let place = place.ok_or("the target wants a file that is not in the bundle")?;
        let (file, from) = (&packed.bundle.files()[place], &packed.sources[place]);
        let content = from.open().map_err(|error| error.to_string())?;
        target.put_file(&format!("/v2/_dede/uploads/{}/blobs/{digest}", path_part(&source)), &content)?;
        sent += file.size;
    }
    remark(&format!("handed over {} of {}", bytes(sent), bytes(packed.bundle.total_size())));
    Ok(source)
}

fn object(file: &Path) -> Result<Option<Object>, String> {
    let Some(text) = read_text(file, LIMIT).map_err(|error| error.to_string())? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|error| format!("{}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_csv_needs_and_nobody_says_is_named() {
        let call = |input: Value| json!({"parameters": {"input": input}}).as_object().cloned();
        let scaled = call(json!({"scale": true}));
        let bounds = json!({"scale": true, "min_vals": [0], "max_vals": [1]});
        for (input, training, expected) in [
            (json!({}), None, &["scale"][..]),
            (json!({"scale": false}), None, &[]),
            (json!({}), call(json!({})), &[]),
            (json!({}), scaled.clone(), &["scale", "min_vals", "max_vals"]),
            (json!({"scale": true}), scaled.clone(), &["min_vals", "max_vals"]),
            (json!({"scale": true, "min_vals": [0]}), None, &["max_vals"]),
            (json!({"scale": false}), scaled.clone(), &[]),
            (bounds.clone(), scaled.clone(), &[]),
            (bounds, call(json!({"scale": true, "scale_type": "znorm"})), &["mean_vals", "variance_vals"]),
            (json!({}), call(json!({"categoricals": ["color"]})), &["categoricals_mapping"]),
            (json!({"categoricals_mapping": {}}), call(json!({"categoricals": ["color"]})), &[]),
        ] {
            let found = missing(input.as_object().expect("an object"), training.as_ref());
            let keys: Vec<&str> =
                found.iter().filter_map(|text| text.strip_prefix("parameters.input.")?.split(' ').next()).collect();
            assert_eq!(keys, expected, "{input}");
        }
    }
}
