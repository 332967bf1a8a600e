//! What stood on disk, and which services were there, before each recorded request.
//!
//! Paths are recorded as `/models/…`, `/data/…`, `/templates/…`, and `/ref` for whatever directory a production server was
//! pointed to at that moment; here they are below a temporary directory. Data is read where it is committed.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use dede_testing::fixtures;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::Server;

/// Something to do before a request.
enum Step {
    /// An empty directory under `/models`.
    Directory(&'static str),
    /// `/models/<second>` is a copy of a repository of the original server.
    Original(&'static str, &'static str),
    /// `/ref` is now a fresh copy of `/models/<name>`, of the files whose names end like this; all of them when none is named.
    Copy(&'static str, &'static [&'static str]),
    /// `/ref` gets an empty file.
    Touch(&'static str),
    /// A service that was there already, on `/models/<name>`.
    Service(&'static str, Value),
    /// `/models/<name>` was trained: creation parameters, then a train request.
    Trained(&'static str, Value, Value),
}

/// The files below one transcript.
pub(super) struct Stage {
    transcript: String,
    root: TempDir,
    copies: usize,
}

impl Stage {
    pub(super) fn new(transcript: &str) -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        for directory in ["models", "templates/caffe/mlp", "templates/caffe/lregression", "templates/caffe/convnet"] {
            std::fs::create_dir_all(root.path().join(directory)).expect("created");
        }
        Self { transcript: transcript.to_owned(), root, copies: 0 }
    }

    /// A recorded body with the paths of this stage.
    pub(super) fn place(&self, body: &str) -> String {
        let below = |path: PathBuf| format!("\"{}", path.display());
        body.replace("\"/models", &below(self.root.path().join("models")))
            .replace("\"/templates", &below(self.root.path().join("templates")))
            .replace("\"/data", &below(fixtures::root().join("data")))
            .replace("\"/ref\"", &format!("{}\"", below(self.reference())))
            .replace(elided_image(body), &base64_image())
    }

    fn model(&self, name: &str) -> PathBuf {
        self.root.path().join("models").join(name)
    }

    fn reference(&self) -> PathBuf {
        self.root.path().join("ref").join(self.copies.to_string())
    }

    /// Does what has to be done before request `number`.
    pub(super) fn prepare(&mut self, number: u32, server: &Server) {
        for step in steps(&self.transcript, number) {
            match step {
                Step::Directory(name) => std::fs::create_dir_all(self.model(name)).expect("created"),
                Step::Original(name, to) => {
                    fixtures::copy_directory(&fixtures::model(name), &self.model(to)).expect("copied");
                }
                Step::Copy(name, endings) => {
                    self.copies += 1;
                    copy(&self.model(name), &self.reference(), endings);
                }
                Step::Touch(name) => std::fs::write(self.reference().join(name), "").expect("written"),
                Step::Service(name, body) => self.expect(server, "PUT", &format!("/services/{name}"), &body),
                Step::Trained(name, create, train) => {
                    self.expect(server, "PUT", "/services/for-the-stage", &create);
                    self.expect(server, "POST", "/train", &train);
                    self.expect(server, "DELETE", "/services/for-the-stage", &Value::Null);
                    assert!(self.model(name).is_dir(), "{name} was trained");
                }
            }
        }
    }

    fn expect(&self, server: &Server, method: &str, path: &str, body: &Value) {
        let response = server.send(method, path, &self.place(&body.to_string()));
        let text = String::from_utf8_lossy(&response.body);
        assert!(response.status < 300, "{}: {method} {path}: {text}", self.transcript);
    }
}

/// The image that a recorded body has as base64, of which the recorder left out the middle; a word that is nowhere when there
/// is none.
fn elided_image(body: &str) -> &str {
    let Some(start) = body.find("\"/9j/") else { return "no image" };
    let image = &body[start + 1..];
    &image[..image.find('"').expect("a string ends")]
}

fn base64_image() -> String {
    let bytes = std::fs::read(fixtures::data("shapes_test/circle/circle00.jpg")).expect("a fixture");
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn copy(from: &Path, to: &Path, endings: &[&str]) {
    fixtures::copy_directory(from, to).expect("copied");
    if endings.is_empty() {
        return;
    }
    for entry in std::fs::read_dir(to).expect("a directory") {
        let path = entry.expect("an entry").path();
        let name = path.to_string_lossy();
        if path.is_file() && !endings.iter().any(|ending| name.ends_with(ending)) {
            std::fs::remove_file(&path).expect("removed");
        }
    }
}

/// The creation of a csv classifier with three classes.
fn three_classes(repository: &str) -> Value {
    json!({"mllib": "caffe", "parameters": {"input": {"connector": "csv"}, "mllib": {"nclasses": 3}},
           "model": {"repository": format!("/models/{repository}")}})
}

fn steps(transcript: &str, number: u32) -> Vec<Step> {
    use Step::{Copy, Directory, Original, Service, Touch};
    let directories = |names: &[&'static str]| names.iter().map(|name| Directory(name)).collect();
    match (transcript, number) {
        ("01_info_services", 1) => directories(&["svc1", "nonc", "empty", "unkt", "svc7"]),
        ("02_csv_caffe_mlp", 1) => directories(&["iris", "iris2"]),
        ("02b_csv_categoricals_predict", 1) => {
            vec![Original("iriscat", "iriscat"), Service("iriscat", three_classes("iriscat"))]
        }
        ("02b_csv_categoricals_predict", 10) => vec![Directory("reg2"), trained_regression()],
        ("04_caffe_regression", 1) => directories(&["reg2", "reg", "csvm", "lreg", "reg1t"]),
        ("05_image_classification", 1) => directories(&["imgconv", "imgsq", "imgr18", "imgr18nodb"]),
        ("09_chain", 1) => vec![Original("imgconv", "imgconv")],
        // In place of the network that there is no template for: no answer that is compared comes of it.
        ("09_chain", 2) => vec![Original("imgconv", "imgr18"), Service("imgr18", image_classes("imgr18"))],
        ("10_move_dev_to_prod", 1) => directories(&["mv_dev"]),
        ("10_move_dev_to_prod", 4 | 5 | 17 | 21 | 25 | 35) => vec![Copy("mv_dev", &[])],
        ("10_move_dev_to_prod", 26) => {
            vec![Original("imgconv", "imgconv"), Service("imgconv", image_classes("imgconv"))]
        }
        ("10_move_dev_to_prod", 27) => vec![Copy("imgconv", &[])],
        ("10b_template_over_existing_model", 1) => directories(&["mv_dev2"]),
        ("10b_template_over_existing_model", 3 | 5) => vec![Copy("mv_dev2", &[])],
        ("10b_template_over_existing_model", 7) => vec![Original("mv_dev", "mv_dev"), Copy("mv_dev", &[])],
        ("10b_template_over_existing_model", 11) => {
            vec![Copy("mv_dev", &["deploy.prototxt", ".caffemodel", ".json", "corresp.txt"])]
        }
        ("10b_template_over_existing_model", 15) => vec![Copy("mv_dev", &["deploy.prototxt", ".caffemodel"])],
        ("10b_template_over_existing_model", 19) => vec![Copy("mv_dev", &[".prototxt", ".json", "corresp.txt"])],
        ("10b_template_over_existing_model", 23) => vec![Copy("mv_dev", &[])],
        ("10b_template_over_existing_model", 27) => {
            vec![Copy("mv_dev", &[]), Touch("model_iter_300.solverstate")]
        }
        _ => Vec::new(),
    }
}

fn image_classes(repository: &str) -> Value {
    json!({"mllib": "caffe", "description": "reference service",
           "parameters": {"input": {"connector": "image", "width": 64, "height": 64}, "mllib": {"nclasses": 3}},
           "model": {"repository": format!("/models/{repository}")}})
}

/// The two-target regression of transcript 04, on which 02b goes on.
fn trained_regression() -> Step {
    Step::Trained(
        "reg2",
        json!({"mllib": "caffe", "parameters": {"input": {"connector": "csv"},
               "mllib": {"template": "mlp", "regression": true, "ntargets": 2, "layers": [50, 50]}},
               "model": {"repository": "/models/reg2"}}),
        json!({"service": "for-the-stage", "async": false, "data": ["/data/diabetes2.csv"], "parameters": {
               "input": {"label": ["target", "target2"], "id": "id", "seed": 42, "test_split": 0.2, "scale": true},
               "mllib": {"solver": {"iterations": 100, "base_lr": 0.001, "solver_type": "ADAM"}, "net": {"batch_size": 50}},
               "output": {"measure": ["eucll"]}}}),
    )
}
