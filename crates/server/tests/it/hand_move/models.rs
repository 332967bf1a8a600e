//! Two models trained on a development server, copied away from it; the server is stopped and its directories deleted before
//! the copies are used.

use std::path::{Path, PathBuf};

use dede_testing::fixtures;
use serde_json::{Value, json};

use crate::server::Server;

/// Classes with their probabilities, as answered.
pub(super) type Classes = Vec<(String, f64)>;

/// What is known of one version.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) repository: PathBuf,
    pub(super) digest: String,
    /// Per input.
    pub(super) answers: Vec<Classes>,
}

pub(super) struct Models {
    pub(super) inputs: Vec<String>,
    pub(super) first: Model,
    pub(super) second: Model,
}

impl Models {
    pub(super) fn train(directory: &Path) -> Self {
        let inputs = inputs();
        let development = directory.join("development");
        let server = Server::start(&[]);
        let first = json!({"template": "lregression", "nclasses": 3});
        let second = json!({"template": "mlp", "layers": [16, 16], "activation": "relu", "nclasses": 3});
        let first = model(&server, &development, "first", &first, &inputs);
        let second = model(&server, &development, "second", &second, &inputs);
        let mut models = Self { inputs, first, second };
        for (input, (a, b)) in models.inputs.iter().zip(models.first.answers.iter().zip(&models.second.answers)) {
            assert_ne!(a, b, "the versions must differ in every answer, here for {input}");
        }
        assert_ne!(models.first.digest, models.second.digest);
        let production = directory.join("production");
        for (model, name) in [(&mut models.first, "first"), (&mut models.second, "second")] {
            let copy = production.join(name);
            fixtures::copy_directory(&model.repository, &copy).unwrap();
            model.repository = copy;
        }
        server.stop();
        std::fs::remove_dir_all(development).unwrap();
        models
    }

    /// Body of the request, and what either version answers to it.
    pub(super) fn answers(&self) -> Vec<Expected> {
        let expected = |((input, first), second): ((&String, &Classes), &Classes)| Expected {
            body: predict_body("service1", input).to_string(),
            first: first.clone(),
            second: second.clone(),
            first_digest: self.first.digest.clone(),
            second_digest: self.second.digest.clone(),
        };
        self.inputs.iter().zip(&self.first.answers).zip(&self.second.answers).map(expected).collect()
    }
}

/// One request and both of its right answers.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    pub(super) body: String,
    pub(super) first: Classes,
    pub(super) second: Classes,
    pub(super) first_digest: String,
    pub(super) second_digest: String,
}

fn model(server: &Server, parent: &Path, name: &str, network: &Value, inputs: &[String]) -> Model {
    let repository = parent.join(name);
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
    Model { repository, digest: digest(server, name, &inputs[0]), answers }
}

/// The numbers of some irises, without id and label.
fn inputs() -> Vec<String> {
    let text = std::fs::read_to_string(fixtures::data("iris_test.csv")).unwrap();
    let values = |line: &str| {
        let cells: Vec<&str> = line.trim_end().split(',').collect();
        cells[1..cells.len() - 1].join(",")
    };
    text.lines().skip(1).map(values).collect()
}

fn predict_body(service: &str, input: &str) -> Value {
    json!({"service": service, "parameters": {"output": {"best": 3}}, "data": [input]})
}

pub(super) fn classes(server: &Server, service: &str, input: &str) -> Classes {
    let (status, answer) = server.post("/predict", &predict_body(service, input));
    assert_eq!(status, 200, "{answer}");
    read_classes(&answer).unwrap()
}

pub(super) fn read_classes(answer: &Value) -> Option<Classes> {
    let classes = answer["body"]["predictions"][0]["classes"].as_array()?;
    classes.iter().map(|class| Some((class["cat"].as_str()?.to_owned(), class["prob"].as_f64()?))).collect()
}

/// What the header says after the `@`.
fn digest(server: &Server, service: &str, input: &str) -> String {
    let served_by = server.served_by(&predict_body(service, input));
    let (name, digest) = served_by.split_once('@').unwrap();
    assert_eq!(name, service);
    assert!(digest.starts_with("sha256:"), "{served_by}");
    digest.to_owned()
}
