//! mllib `tensorrt`: repositories that the original served through TensorRT, created with the keys that its clients send.

use std::path::PathBuf;

use dede_testing::fixtures;
use dede_testing::onnx::{Attribute, F32, Onnx};
use serde_json::{Value, json};

use crate::server::Server;

/// What a compiled engine is called in the original's repositories.
const ENGINE: &str = "TRTengine_arch75_fp32_bs1";

/// Three values of each image: the means of its channels, as shares of 255, through a softmax.
fn means() -> Onnx {
    Onnx::new(17)
        .input("input", F32, &[-1, 3, 8, 8])
        .output("prob", F32, &[-1, 3])
        .node(
            "ReduceMean",
            &["input"],
            &["means"],
            &[("axes", Attribute::Ints(&[2, 3])), ("keepdims", Attribute::Int(0))],
        )
        .node("Softmax", &["means"], &["prob"], &[("axis", Attribute::Int(1))])
}

/// One box of YOLOX in each image, of the second of two classes: centre, size, objectness, scores.
fn yolox() -> Onnx {
    Onnx::new(17)
        .input("input", F32, &[1, 3, 8, 8])
        .output("boxes", F32, &[1, 1, 7])
        .floats("box", &[1, 1, 7], &[4.0, 4.0, 4.0, 2.0, 1.0, 0.25, 0.75])
        .floats("none", &[1], &[0.0])
        .node(
            "ReduceMean",
            &["input"],
            &["mean"],
            &[("axes", Attribute::Ints(&[1, 2, 3])), ("keepdims", Attribute::Int(0))],
        )
        .node("Mul", &["mean", "none"], &["nothing"], &[])
        .node("Add", &["box", "nothing"], &["boxes"], &[])
}

fn write(server: &Server, name: &str, network: &Onnx) -> PathBuf {
    let repository = server.path().join(name);
    std::fs::create_dir_all(&repository).unwrap();
    std::fs::write(repository.join("net.onnx"), network.build()).unwrap();
    repository
}

/// The body of a creation as clients of the original send it.
fn body(mllib: &str, repository: &PathBuf, more: &Value) -> Value {
    let mut section = json!({"datatype": "fp32", "maxBatchSize": 1, "maxWorkspaceSize": 256, "readEngine": true,
                             "writeEngine": false, "tensorRTEngineFile": "TRTengine", "gpuid": 0});
    section.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"mllib": mllib, "description": "as with TensorRT", "type": "supervised", "model": {"repository": repository},
           "parameters": {"input": {"connector": "image", "width": 8, "height": 8, "rgb": true, "scale": 0.0039}, "mllib": section}})
}

/// Creates a service `means` of this mllib.
pub(crate) fn put_means(server: &Server) {
    let repository = write(server, "means", &means());
    let (status, answer) = server.put("/services/means", &body("tensorrt", &repository, &json!({"nclasses": 3})));
    assert_eq!(status, 201, "{answer}");
}

/// A network of Caffe without the mean image that it was trained with.
fn without_mean(server: &Server, name: &str) -> PathBuf {
    let repository = fixtures::copy_model("imgconv", &server.path().join(name)).unwrap();
    std::fs::remove_file(repository.join("mean.binaryproto")).unwrap();
    repository
}

fn image() -> PathBuf {
    fixtures::data("shapes").join("circle/circle00.jpg")
}

fn predict(server: &Server, service: &str, output: Value) -> Value {
    let body = json!({"service": service, "parameters": {"output": output}, "data": [image()]});
    let (status, answer) = server.post("/predict", &body);
    assert_eq!(status, 200, "{answer}");
    answer["body"]["predictions"][0].clone()
}

#[test]
fn a_network_of_onnx_is_served_under_each_spelling_beside_its_compiled_engine() {
    let server = Server::start(&["--strict"]);
    let onnx = json!({"mllib": "onnx", "type": "supervised", "model": {"repository": write(&server, "onnx", &means())},
                      "parameters": {"input": {"connector": "image", "rgb": true, "scale": 0.0039}, "mllib": {"nclasses": 3}}});
    assert_eq!(server.put("/services/onnx", &onnx).0, 201);
    let expected = predict(&server, "onnx", json!({"best": 3}));
    for (place, spelling) in ["tensorrt", "tensorRT", "TensorRT"].into_iter().enumerate() {
        let name = format!("service{place}");
        let repository = write(&server, &name, &means());
        std::fs::write(repository.join(ENGINE), b"compiled for one GPU").unwrap();
        let (status, answer) =
            server.put(&format!("/services/{name}"), &body(spelling, &repository, &json!({"nclasses": 3})));
        assert_eq!(status, 201, "{spelling}: {answer}");
        assert_eq!(predict(&server, &name, json!({"best": 3})), expected, "{spelling}");
        let (_, shown) = server.get(&format!("/services/{name}"));
        assert_eq!(shown["body"]["mllib"], "tensorrt", "{spelling}");
        assert!(server.log().contains(ENGINE), "{}", server.log());
        let (status, answer) = server.post("/train", &json!({"service": name, "data": [image()], "parameters": {}}));
        assert!(status == 400 && answer.to_string().contains("trains none"), "{answer}");
        assert_eq!(server.delete(&format!("/services/{name}?clear=lib")).0, 200);
        assert!(!repository.join(ENGINE).exists() && repository.join("net.onnx").exists(), "{spelling}");
    }
}

#[test]
fn a_network_of_caffe_answers_as_with_mllib_caffe() {
    let server = Server::start(&[]);
    let create = |mllib: &str| {
        let repository = without_mean(&server, mllib);
        let body = json!({"mllib": mllib, "type": "supervised", "model": {"repository": repository},
                          "parameters": {"input": {"connector": "image"}, "mllib": {"nclasses": 3}}});
        server.put(&format!("/services/{mllib}"), &body)
    };
    for mllib in ["caffe", "tensorrt"] {
        let (status, answer) = create(mllib);
        assert_eq!(status, 201, "{mllib}: {answer}");
    }
    let both = ["caffe", "tensorrt"].map(|name| predict(&server, name, json!({"best": 3})));
    assert_eq!(both[0], both[1]);
}

#[test]
fn the_template_yolox_counts_a_background_where_its_clients_do() {
    let server = Server::start(&[]);
    for (classes, expected) in [(2, "1"), (3, "2")] {
        let repository = write(&server, "yolox", &yolox());
        let template = json!({"template": "yolox", "nclasses": classes});
        let (status, answer) = server.put("/services/yolox", &body("tensorrt", &repository, &template));
        assert_eq!(status, 201, "{answer}");
        let answer = predict(&server, "yolox", json!({"bbox": true, "confidence_threshold": 0.1}));
        let found = answer["classes"].as_array().unwrap();
        assert_eq!((found.len(), found[0]["cat"].as_str()), (1, Some(expected)), "{answer}");
        assert_eq!(server.delete("/services/yolox").0, 200);
    }
    let repository = write(&server, "yolox", &yolox());
    let (status, answer) =
        server.put("/services/yolox", &body("tensorrt", &repository, &json!({"template": "yolox", "nclasses": 5})));
    assert!(status == 400 && answer.to_string().contains("5 classes"), "{answer}");
}

#[test]
fn what_cannot_be_told_or_is_not_here_is_refused() {
    let server = Server::start(&[]);
    let with_mean = fixtures::copy_model("imgconv", &server.path().join("mean")).unwrap();
    let with_onnx = without_mean(&server, "both");
    std::fs::write(with_onnx.join("net.onnx"), means().build()).unwrap();
    let onnx = write(&server, "onnx", &means());
    let empty = server.path().join("empty");
    std::fs::create_dir_all(&empty).unwrap();
    let scaled = without_mean(&server, "scaled");
    for (repository, mllib, input, expected) in [
        (&with_mean, json!({}), json!({}), "subtracts no mean image"),
        (&with_onnx, json!({}), json!({}), "are both there"),
        (&scaled, json!({}), json!({"scale": 0.5}), "parameters.input.scale"),
        (&scaled, json!({"template": "yolox"}), json!({}), "parameters.mllib.template"),
        (&onnx, json!({"template": "resnet"}), json!({}), "Unknown template resnet"),
        (&onnx, json!({"datatype": "fp16"}), json!({}), "parameters.mllib.datatype"),
        (&onnx, json!({"dla": 0}), json!({}), "parameters.mllib.dla"),
        (&onnx, json!({"calibration": true}), json!({}), "parameters.mllib.calibration"),
        (&empty, json!({}), json!({}), "found neither"),
    ] {
        let mut section = json!({"nclasses": 3});
        section.as_object_mut().unwrap().extend(mllib.as_object().unwrap().clone());
        let mut pixels = json!({"connector": "image"});
        pixels.as_object_mut().unwrap().extend(input.as_object().unwrap().clone());
        let body = json!({"mllib": "tensorrt", "type": "supervised", "model": {"repository": repository},
                          "parameters": {"input": pixels, "mllib": section}});
        let (status, answer) = server.put("/services/refused", &body);
        assert!(status == 400 && answer.to_string().contains(expected), "{expected}: {answer}");
    }
}
