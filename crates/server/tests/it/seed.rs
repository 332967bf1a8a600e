//! The call that the project began with, to the letter, on a copied Caffe repository of a 1000-class SqueezeNet.

use std::collections::BTreeMap;
use std::path::Path;

use dede_testing::fixtures;
use dede_testing::networks::{Generation, Network};
use serde_json::{Value, json};

use crate::server::Server;

#[test]
fn a_copied_squeezenet_is_created_warm_and_right_without_a_size() {
    let directory = tempfile::tempdir().unwrap();
    let original = directory.path().join("original");
    Network::SqueezeNet.write_repository(&original, Generation::default()).unwrap();
    let copy = directory.path().join("copy");
    fixtures::copy_directory(&original, &copy).unwrap();
    std::fs::remove_dir_all(&original).unwrap();
    let server = Server::start(&[]);
    let (status, answer) = server.put("/services/imageserv", &creation(&copy, 1000));
    assert_eq!(status, 201, "{answer}");
    let (_, info) = server.get("/services/imageserv");
    assert_eq!((&info["body"]["width"], &info["body"]["height"]), (&json!(227), &json!(227)));

    let image = fixtures::data("shapes_test/circle/circle00.jpg");
    let call = |size: Value| {
        json!({
            "service": "imageserv",
            "parameters": {"input": size, "output": {"best": 1000}},
            "data": [image],
        })
    };
    let (status, first) = server.post("/predict", &call(json!({})));
    assert_eq!(status, 200, "{first}");
    let classes = first["body"]["predictions"][0]["classes"].as_array().unwrap();
    assert_eq!(classes.len(), 1000);
    let sum: f64 = classes.iter().map(|class| class["prob"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-3, "{sum}");
    let (_, sized) = server.post("/predict", &call(json!({"width": 227, "height": 227})));
    assert_eq!(first["body"], sized["body"], "the size is the network's");

    // Another engine, which shares no arithmetic with the preferred one where that is found, agrees on every class.
    let embedded = Server::start(&["--engine", "rten"]);
    let (status, answer) = embedded.put("/services/imageserv", &creation(&copy, 1000));
    assert_eq!(status, 201, "{answer}");
    let (status, other) = embedded.post("/predict", &call(json!({})));
    assert_eq!(status, 200, "{other}");
    let (first, other) = (probabilities(&first), probabilities(&other));
    for (category, probability) in &first {
        assert!((probability - other[category]).abs() < 1e-4, "{category}: {probability}, {}", other[category]);
    }

    let (status, answer) = server.put("/services/wrong", &creation(&copy, 10));
    assert_eq!((status, &answer["status"]["dd_code"]), (400, &json!(1006)), "{answer}");
}

/// The body of the call; only the number of classes varies.
fn creation(repository: &Path, nclasses: usize) -> Value {
    json!({
        "mllib": "caffe",
        "description": "image classification service",
        "type": "supervised",
        "parameters": {"input": {"connector": "image"}, "mllib": {"nclasses": nclasses}},
        "model": {"repository": repository},
    })
}

fn probabilities(answer: &Value) -> BTreeMap<String, f64> {
    let classes = answer["body"]["predictions"][0]["classes"].as_array().unwrap();
    classes.iter().map(|class| (class["cat"].as_str().unwrap().to_owned(), class["prob"].as_f64().unwrap())).collect()
}
