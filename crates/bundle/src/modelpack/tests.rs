//! Bundles: what is packed can be parsed, and nothing else can.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::digest::Digest;
use crate::directory::Directory;

const VERSION_DIGEST: &[u8] = b"deciding files";

fn repository(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    directory
}

fn sources(root: &Path, files: &[(&str, Role)]) -> Vec<SourceFile> {
    let directory = Arc::new(Directory::open(root).unwrap());
    let source = |&(name, role): &(&str, Role)| SourceFile {
        name: name.parse().unwrap(),
        directory: Arc::clone(&directory),
        place: name.parse().unwrap(),
        role,
    };
    files.iter().map(source).collect()
}

fn service(document: Value) -> Map<String, Value> {
    document.as_object().unwrap().clone()
}

fn packed() -> Packed {
    let root = repository(&[("model.onnx", "weights"), ("labels.txt", "cat\ndog\n"), ("runs/1/README.md", "")]);
    let files = [("runs/1/README.md", Role::Doc), ("model.onnx", Role::Weight), ("labels.txt", Role::Config)];
    let description =
        service(json!({"mllib": "onnx", "description": "pets", "parameters": {"input": {"width": 224, "db": false}}}));
    Packed::new(sources(root.path(), &files), &description, Digest::of(VERSION_DIGEST)).unwrap()
}

#[test]
fn a_bundle_comes_back_as_it_was_packed() {
    let packed = packed();
    let parsed = Bundle::parse(&packed.manifest, &packed.config).unwrap();
    assert_eq!(parsed, packed.bundle);
    assert_eq!(parsed.version(), Digest::of(VERSION_DIGEST));
    assert_eq!(parsed.manifest_digest(), Digest::of(&packed.manifest));
    assert_eq!(parsed.service()["parameters"]["input"]["width"], 224);
    assert_eq!(parsed.total_size(), 7 + 8);
    let names: Vec<_> = parsed.files().iter().map(|file| (file.name.as_str(), file.role, file.size)).collect();
    assert_eq!(
        names,
        [("labels.txt", Role::Config, 8), ("model.onnx", Role::Weight, 7), ("runs/1/README.md", Role::Doc, 0)]
    );
    let places: Vec<_> = packed.sources.iter().map(|source| source.place.as_str()).collect();
    assert_eq!(places, ["labels.txt", "model.onnx", "runs/1/README.md"]);
}

#[test]
fn the_manifest_is_a_model_of_the_specification() {
    let packed = packed();
    let manifest: Value = serde_json::from_slice(&packed.manifest).unwrap();
    assert_eq!(manifest["schemaVersion"], 2);
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(manifest["artifactType"], "application/vnd.cncf.model.manifest.v1+json");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.cncf.model.config.v1+json");
    let layer = &manifest["layers"][1];
    assert_eq!(layer["mediaType"], "application/vnd.cncf.model.weight.v1.raw");
    assert_eq!(layer["annotations"], json!({"org.cncf.model.filepath": "model.onnx"}));
    assert_eq!(layer["digest"], json!(Digest::of(b"weights")));

    // The schema allows no members but these.
    let config: Value = serde_json::from_slice(&packed.config).unwrap();
    let digests: Vec<_> = packed.bundle.files().iter().map(|file| file.digest).collect();
    let expected = json!({
        "descriptor": {"version": Digest::of(VERSION_DIGEST), "description": "pets"},
        "config": {"format": "onnx"},
        "modelfs": {"type": "layers", "diffIds": digests},
    });
    assert_eq!(config, expected);
}

#[test]
fn the_same_service_gives_the_same_bytes_elsewhere_and_later() {
    let files = [("model.onnx", "weights"), ("labels.txt", "cat\ndog\n"), ("runs/1/README.md", "")];
    let root = repository(&files);
    for (name, _) in files {
        let file = fs::File::options().write(true).open(root.path().join(name)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    }
    let roles = [("labels.txt", Role::Config), ("model.onnx", Role::Weight), ("runs/1/README.md", Role::Doc)];
    let reordered =
        service(json!({"parameters": {"input": {"db": false, "width": 224}}, "description": "pets", "mllib": "onnx"}));
    let again = Packed::new(sources(root.path(), &roles), &reordered, Digest::of(VERSION_DIGEST)).unwrap();
    assert_eq!((again.manifest, again.config), (packed().manifest, packed().config));
}

/// The manifest and configuration of a packed bundle after an edit of the manifest; the configuration is kept consistent.
fn edited(edit: impl FnOnce(&mut Value)) -> Result<Bundle, InvalidBundle> {
    let packed = packed();
    let mut manifest: Value = serde_json::from_slice(&packed.manifest).unwrap();
    edit(&mut manifest);
    let mut config: Value = serde_json::from_slice(&packed.config).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    config["modelfs"]["diffIds"] = layers.iter().map(|layer| layer["digest"].clone()).collect();
    let config = config.to_string().into_bytes();
    manifest["config"]["digest"] = json!(Digest::of(&config));
    manifest["config"]["size"] = json!(config.len());
    Bundle::parse(manifest.to_string().as_bytes(), &config)
}

fn named(name: &'static str) -> impl FnOnce(&mut Value) {
    move |manifest| manifest["layers"][0]["annotations"]["org.cncf.model.filepath"] = json!(name)
}

#[test]
fn what_could_do_harm_is_refused_by_name() {
    assert!(edited(|_| {}).is_ok());
    assert!(
        edited(|manifest| manifest["layers"][0]["annotations"]["other"] = json!("x")).is_ok(),
        "unknown annotations are fine"
    );
    type Edit = Box<dyn FnOnce(&mut Value)>;
    let layer = |member: &'static str, value: Value| -> Edit { Box::new(move |m| m["layers"][0][member] = value) };
    let top = |member: &'static str, value: Value| -> Edit { Box::new(move |m| m[member] = value) };
    let cases: Vec<(Edit, &str)> = vec![
        (Box::new(named("../../etc/passwd")), "../../etc/passwd"),
        (Box::new(named("/etc/passwd")), "/etc/passwd"),
        (Box::new(named("a\\..\\b")), "not a file name"),
        (Box::new(named("")), "not a file name"),
        (Box::new(named("model.onnx")), "\"model.onnx\" occurs twice"),
        (Box::new(named("runs")), "\"runs\" is a file and a directory"),
        (Box::new(named("runs/1")), "\"runs/1\" is a file and a directory"),
        (Box::new(named("model.onnx/x")), "\"model.onnx\" is a file and a directory"),
        (layer("mediaType", json!("application/vnd.cncf.model.weight.v1.tar")), "\"labels.txt\": raw weight"),
        (layer("mediaType", json!("application/vnd.cncf.model.code.v1.raw")), "code.v1.raw"),
        (layer("annotations", json!({})), "layer 0: annotation org.cncf.model.filepath"),
        (layer("size", json!(i64::MAX)), "add up"),
        (layer("size", json!(u64::MAX)), "at most"),
        (layer("digest", json!("sha256:../../x")), "not a digest"),
        (top("artifactType", json!("application/vnd.example+type")), "artifact type"),
        (top("artifactType", Value::Null), "found none"),
        (top("layers", json!([])), "at least one file"),
        (top("annotations", json!({})), "dev.dede.version"),
        (top("annotations", json!({"dev.dede.version": "latest"})), "dev.dede.version"),
        (Box::new(|m| m["config"]["annotations"] = json!({})), "dev.dede.service"),
        (Box::new(|m| m["config"]["annotations"]["dev.dede.service"] = json!("[]")), "dev.dede.service"),
        (Box::new(|m| m["config"]["mediaType"] = json!("application/json")), "media type"),
    ];
    for (edit, reason) in cases {
        let error = edited(edit).unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

#[test]
fn a_configuration_of_something_else_is_refused() {
    let packed = packed();
    let mut swapped: Value = serde_json::from_slice(&packed.manifest).unwrap();
    swapped["layers"].as_array_mut().unwrap().swap(0, 1);
    let error = Bundle::parse(swapped.to_string().as_bytes(), &packed.config).unwrap_err();
    assert!(error.to_string().contains("modelfs"), "{error}");
    let mut other = packed.config.clone();
    other[0] = b' ';
    assert!(matches!(Bundle::parse(&packed.manifest, &other), Err(InvalidBundle::Config(_))));
    assert!(matches!(Bundle::parse(&packed.manifest, b""), Err(InvalidBundle::Config(_))));
}

#[test]
fn packing_never_follows_a_link_or_waits_for_a_pipe() {
    let root = repository(&[("inner/model.onnx", "weights")]);
    let at = |name: &str| root.path().join(name);
    let secret = repository(&[("secret", "x")]);
    symlink(secret.path().join("secret"), at("link")).unwrap();
    symlink(secret.path(), at("directory")).unwrap();
    symlink("inner", at("inside")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        at("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    let cases = [
        ("link", "\"link\" is a link"),
        ("directory/secret", "\"directory/secret\" is reached through a link"),
        ("inside/model.onnx", "\"inside/model.onnx\" is reached through a link"),
        ("pipe", "\"pipe\" is a pipe"),
        ("socket", "\"socket\" is a device or socket"),
        ("inner", "\"inner\" is a directory"),
        ("none", "\"none\": No such file"),
    ];
    for (name, reason) in cases {
        let error =
            Packed::new(sources(root.path(), &[(name, Role::Weight)]), &Map::new(), Digest::of(b"")).unwrap_err();
        assert!(error.to_string().starts_with(reason), "{name}: {error}");
    }
}

#[test]
fn a_listing_names_what_it_refuses() {
    let root = repository(&[("b/model.onnx", ""), ("a.txt", ""), (".hidden", "")]);
    let directory = Directory::open(root.path()).unwrap();
    let names = |directory: &Directory| {
        directory.files().map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(names(&directory).unwrap(), [".hidden", "a.txt", "b/model.onnx"]);
    symlink("/etc/passwd", root.path().join("b/link")).unwrap();
    assert_eq!(names(&directory).unwrap_err().to_string(), "\"b/link\" is a link, expected a regular file");
    fs::remove_file(root.path().join("b/link")).unwrap();
    fs::write(root.path().join("b/new\nline"), "").unwrap();
    assert!(names(&directory).unwrap_err().to_string().contains("b/new\\nline"));
}

proptest! {
    #[test]
    fn no_manifest_makes_the_parser_panic(manifest in any::<Vec<u8>>(), config in any::<Vec<u8>>()) {
        prop_assert!(Bundle::parse(&manifest, &config).is_err());
    }

    #[test]
    fn a_damaged_bundle_is_refused_or_harmless(position in 0usize..2000, byte in any::<u8>()) {
        let packed = packed();
        let mut manifest = packed.manifest.clone();
        let position = position % manifest.len();
        manifest[position] = byte;
        if let Ok(bundle) = Bundle::parse(&manifest, &packed.config) {
            prop_assert!(bundle.files().iter().all(|file| !file.name.as_str().starts_with(['/', '.'])));
        }
    }
}
