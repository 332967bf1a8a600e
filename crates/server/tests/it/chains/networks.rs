//! Networks that are written for tests, and services of them.

use dede_testing::onnx::{Attribute, F32, I64, Onnx};
use serde_json::{Value, json};

use crate::server::Server;

/// The boxes that the detector finds, in pixels of its input of 32 by 8: the second is within the last, and the first beside it.
pub(super) const BOXES: [[f32; 4]; 3] = [[1.0, 1.0, 7.0, 6.0], [18.0, 2.0, 26.0, 7.0], [16.0, 0.0, 32.0, 8.0]];

/// Creates a service of a network, whose classes have these names.
fn put(server: &Server, name: &str, network: &Onnx, classes: &[&str], size: (usize, usize)) {
    let repository = server.path().join(format!("repository-{name}"));
    std::fs::create_dir_all(&repository).unwrap();
    std::fs::write(repository.join("model.onnx"), network.build()).unwrap();
    let names: String = classes.iter().enumerate().map(|(number, name)| format!("{number} {name}\n")).collect();
    std::fs::write(repository.join("corresp.txt"), names).unwrap();
    let input = json!({"connector": "image", "width": size.0, "height": size.1});
    let body = json!({
        "mllib": "onnx", "description": "for chains", "type": "supervised", "model": {"repository": repository},
        "parameters": {"input": input, "mllib": {"nclasses": classes.len()}},
    });
    let (status, answer) = server.put(&format!("/services/{name}"), &body);
    assert_eq!(status, 201, "{answer}");
}

/// Finds [`BOXES`] of a cat, a cat and a dog in every image that is not black.
pub(super) fn detector(server: &Server, name: &str) {
    let mean: [(&str, Attribute<'_>); 2] = [("axes", Attribute::Ints(&[1, 2, 3])), ("keepdims", Attribute::Int(0))];
    let network = Onnx::new(17)
        .input("image", F32, &[1, 3, 8, 32])
        .output("boxes", F32, &[3, 4])
        .output("labels", I64, &[3])
        .output("scores", F32, &[3])
        .floats("corners", &[3, 4], BOXES.as_flattened())
        .longs("classes", &[3], &[1, 1, 0])
        .floats("factor", &[3], &[0.009, 0.006, 0.003])
        .node("ReduceMean", &["image"], &["mean"], &mean)
        .node("Mul", &["mean", "factor"], &["scores"], &[])
        .node("Identity", &["corners"], &["boxes"], &[])
        .node("Identity", &["classes"], &["labels"], &[]);
    put(server, name, &network, &["dog", "cat"], (32, 8));
}

/// Says which colour an image has most of: `blue`, `green` or `red`.
pub(super) fn colours(server: &Server, name: &str) {
    let mean: [(&str, Attribute<'_>); 2] = [("axes", Attribute::Ints(&[2, 3])), ("keepdims", Attribute::Int(0))];
    let network = Onnx::new(17)
        .input("image", F32, &[1, 3, 8, 8])
        .output("probabilities", F32, &[1, 3])
        .floats("factor", &[1], &[0.02])
        .node("ReduceMean", &["image"], &["mean"], &mean)
        .node("Mul", &["mean", "factor"], &["scores"], &[])
        .node("Softmax", &["scores"], &["probabilities"], &[("axis", Attribute::Int(1))]);
    put(server, name, &network, &["blue", "green", "red"], (8, 8));
}

/// Says which quarter of an image is brightest: left and right of the upper half, and of the lower one, under these names.
pub(super) fn quarters(server: &Server, name: &str, classes: &[&str; 4]) {
    let mean: [(&str, Attribute<'_>); 2] = [("axes", Attribute::Ints(&[1])), ("keepdims", Attribute::Int(0))];
    let network = Onnx::new(17)
        .input("image", F32, &[1, 3, 2, 2])
        .output("probabilities", F32, &[1, 4])
        .floats("factor", &[1], &[0.02])
        .longs("flat", &[2], &[1, 4])
        .node("ReduceMean", &["image"], &["mean"], &mean)
        .node("Reshape", &["mean", "flat"], &["row"], &[])
        .node("Mul", &["row", "factor"], &["scores"], &[])
        .node("Softmax", &["scores"], &["probabilities"], &[("axis", Attribute::Int(1))]);
    put(server, name, &network, classes, (2, 2));
}

/// The call of the detector that keeps the images as they came.
pub(super) fn first(service: &str, data: &Value) -> Value {
    json!({"service": service, "parameters": {"input": {"keep_orig": true}, "output": {"bbox": true}}, "data": data})
}
