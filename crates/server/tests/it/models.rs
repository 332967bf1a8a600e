//! Two models trained on a development server, kept as files in memory; the server is stopped and its directories deleted before
//! they are written anywhere.
//!
//! They differ in every answer on the inputs used, so that a client can tell from the numbers alone which version answered.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use dede_testing::fixtures;
use serde_json::{Value, json};

use crate::server::{Server, eventually};

/// Classes with their probabilities, as answered.
pub(crate) type Classes = Vec<(String, f64)>;

/// What is known of one version.
#[derive(Debug)]
pub(crate) struct Model {
    /// Its repository: relative names and contents.
    files: Vec<(PathBuf, Vec<u8>)>,
    pub(crate) digest: String,
    /// Per input.
    pub(crate) answers: Vec<Classes>,
}

impl Model {
    /// Writes its repository.
    pub(crate) fn write(&self, directory: &Path) {
        for (name, content) in &self.files {
            let path = directory.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
    }

    /// Size of its largest file, bytes.
    #[cfg(feature = "failpoints")]
    pub(crate) fn largest_file(&self) -> usize {
        self.files.iter().map(|(_, content)| content.len()).max().unwrap_or(0)
    }

    /// First digits of its version.
    pub(crate) fn short(&self) -> &str {
        &self.digest["sha256:".len()..][..8]
    }
}

#[derive(Debug)]
pub(crate) struct Models {
    pub(crate) inputs: Vec<String>,
    /// Version 0 and version 1.
    pub(crate) versions: [Model; 2],
}

impl Models {
    /// Trained once for all tests.
    pub(crate) fn get() -> &'static Self {
        static MODELS: OnceLock<Models> = OnceLock::new();
        MODELS.get_or_init(Self::train)
    }

    fn train() -> Self {
        let inputs = inputs();
        let server = Server::start(&[]);
        let first = json!({"template": "lregression", "nclasses": 3});
        let second = json!({"template": "mlp", "layers": [16, 16], "activation": "relu", "nclasses": 3});
        let versions =
            [("first", first), ("second", second)].map(|(name, network)| model(&server, name, &network, &inputs));
        let [first, second] = &versions;
        for (input, (a, b)) in inputs.iter().zip(first.answers.iter().zip(&second.answers)) {
            assert_ne!(a, b, "the versions must differ in every answer, here for {input}");
        }
        assert_ne!(first.digest, second.digest);
        drop(server.stop());
        Self { inputs, versions }
    }

    /// Body of each request to `service`, and what either version answers to it.
    pub(crate) fn answers(&self, service: &str) -> Vec<Expected> {
        let expected = |(index, input): (usize, &String)| Expected {
            body: predict_body(service, input).to_string(),
            answers: self.versions.iter().map(|model| model.answers[index].clone()).collect(),
            digests: self.versions.iter().map(|model| model.digest.clone()).collect(),
        };
        self.inputs.iter().enumerate().map(expected).collect()
    }
}

/// One request and its right answers, by version.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub(crate) body: String,
    pub(crate) answers: Vec<Classes>,
    pub(crate) digests: Vec<String>,
}

/// Trains a model on a server.
pub(crate) fn model(server: &Server, name: &str, network: &Value, inputs: &[String]) -> Model {
    let repository = server.path().join(name);
    let (status, answer) = server.put(
        &format!("/services/{name}"),
        &json!({
            "mllib": "caffe",
            "description": "to be moved",
            "parameters": {"input": {"connector": "csv"}, "mllib": network},
            "model": {"repository": repository, "create_repository": true},
        }),
    );
    assert_eq!(status, 201, "{answer}");
    let (status, answer) = server.post(
        "/train",
        &json!({
            "service": name,
            "async": false,
            "parameters": {
                "input": {"id": "id", "label": "target", "scale": true, "shuffle": true, "seed": 1},
                "mllib": {"solver": {"iterations": 200, "base_lr": 0.05}, "net": {"batch_size": 30}, "seed": 1},
                "output": {"measure": ["acc"]},
            },
            "data": [fixtures::data("iris_train.csv"), fixtures::data("iris_test.csv")],
        }),
    );
    assert_eq!(status, 201, "{answer}");
    let answers = inputs.iter().map(|input| classes(server, name, input)).collect();
    Model { files: files(&repository, &repository), digest: digest(server, name, &inputs[0]), answers }
}

/// All files below `directory`, with names relative to `root`.
fn files(root: &Path, directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files(root, &path)
            } else {
                vec![(path.strip_prefix(root).unwrap().to_owned(), std::fs::read(&path).unwrap())]
            }
        })
        .collect()
}

/// The numbers of some irises, without id and label.
pub(crate) fn inputs() -> Vec<String> {
    let text = std::fs::read_to_string(fixtures::data("iris_test.csv")).unwrap();
    let values = |line: &str| {
        let cells: Vec<&str> = line.trim_end().split(',').collect();
        cells[1..cells.len() - 1].join(",")
    };
    text.lines().skip(1).map(values).collect()
}

pub(crate) fn predict_body(service: &str, input: &str) -> Value {
    json!({"service": service, "parameters": {"output": {"best": 3}}, "data": [input]})
}

pub(crate) fn classes(server: &Server, service: &str, input: &str) -> Classes {
    let (status, answer) = server.post("/predict", &predict_body(service, input));
    assert_eq!(status, 200, "{answer}");
    read_classes(&answer).unwrap()
}

pub(crate) fn read_classes(answer: &Value) -> Option<Classes> {
    let classes = answer["body"]["predictions"][0]["classes"].as_array()?;
    classes.iter().map(|class| Some((class["cat"].as_str()?.to_owned(), class["prob"].as_f64()?))).collect()
}

/// Creates a service on a repository, with the call of the manual: mllib, connector, repository; no template parameters.
pub(crate) fn put_service(server: &Server, name: &str, repository: &Path) {
    let body = json!({
        "mllib": "caffe",
        "description": "moved",
        "type": "supervised",
        "parameters": {"input": {"connector": "csv"}, "mllib": {"nclasses": 3}},
        "model": {"repository": repository},
    });
    let (status, answer) = server.put(&format!("/services/{name}"), &body);
    assert_eq!(status, 201, "{answer}");
}

/// A source, and a server with these arguments on which a move from there waits to be promoted.
pub(crate) fn waiting_move(arguments: &[&str]) -> (Server, Server) {
    let (source, models) = (Server::start(&[]), Models::get());
    let server = Server::start_with_peers(&[("dev", &source.url())], arguments);
    for (server, name, version) in [(&source, "service2", 1), (&server, "service1", 0)] {
        models.versions[version].write(&server.path().join(name));
        put_service(server, name, &server.path().join(name));
    }
    let request = json!({"service": "service2", "source": "dev", "as": "service1", "shadow_for_s": 0});
    assert_eq!(server.post("/moves", &request).0, 202);
    eventually("it waits", || server.get("/moves/m1").1["body"]["waits_for"] == "promote");
    (source, server)
}

/// What the header says after the `@`.
fn digest(server: &Server, service: &str, input: &str) -> String {
    let served_by = server.served_by(&predict_body(service, input));
    let (name, digest) = served_by.split_once('@').unwrap();
    assert_eq!(name, service);
    assert!(digest.starts_with("sha256:"), "{served_by}");
    digest.to_owned()
}
