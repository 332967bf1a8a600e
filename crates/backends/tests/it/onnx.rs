//! mllib `onnx`: what is concluded from a file, and what is refused.

use std::path::Path;

use dede_backends::neural::onnx::Onnx as Backend;
use dede_model::backend::{PredictOptions, ServiceType, Task};
use dede_model::data::{DataKind, Image, Normalization, Pixels, SampleShape, Samples};
use dede_model::request_memory::MemoryShare;
use dede_testing::onnx::Attribute::{Int, Ints};
use dede_testing::onnx::{F32, I64, Onnx, U8};
use serde_json::json;

use crate::requests::{Request, open, refusal, rows, rows_of, table, usable_engines};

/// `y = x W`, with classes in `outputs` columns; softmax after it when asked.
fn linear(batch: i64, outputs: usize, softmax: bool) -> Onnx {
    let weights: Vec<f32> = (0..2 * outputs).map(|index| index as f32 / 4.0 - 0.5).collect();
    let shape = [batch, outputs as i64];
    let onnx =
        Onnx::new(17).input("x", F32, &[batch, 2]).output("y", F32, &shape).floats("w", &[2, outputs as i64], &weights);
    match softmax {
        true => {
            onnx.node("MatMul", &["x", "w"], &["scores"], &[]).node("Softmax", &["scores"], &["y"], &[("axis", Int(1))])
        }
        false => onnx.node("MatMul", &["x", "w"], &["y"], &[]),
    }
}

fn repository(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, content) in files {
        std::fs::write(directory.path().join(name), content).expect("written");
    }
    directory
}

fn points() -> Samples {
    table(&[&[1.0, 2.0], &[-1.0, 0.5], &[0.0, 1.0]])
}

fn answers(directory: &Path, request: &Request, samples: &Samples) -> Vec<Vec<f32>> {
    rows(open(&Backend::new(), directory, request).expect("opens").model.expect("a network").as_ref(), samples)
}

#[test]
fn scores_become_probabilities_and_probabilities_stay() {
    for engine in usable_engines() {
        let request = Request { engine, ..Request::default() };
        let scores = repository(&[("m.onnx", linear(-1, 3, false).build())]);
        let probabilities = repository(&[("m.onnx", linear(-1, 3, true).build())]);
        let (one, other) =
            (answers(scores.path(), &request, &points()), answers(probabilities.path(), &request, &points()));
        for (one, other) in one.iter().flatten().zip(other.iter().flatten()) {
            assert!((one - other).abs() < 1e-6, "{engine}: {one} and {other}");
        }
        assert!(one.iter().all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-5));
    }
}

#[test]
fn the_task_follows_parameters_and_shape() {
    let regression = json!({"regression": true});
    let cases = [
        (3, json!({}), Ok(Task::Classification { classes: 3 })),
        (3, json!({"nclasses": 3}), Ok(Task::Classification { classes: 3 })),
        (3, regression.clone(), Ok(Task::Regression { targets: 3 })),
        (1, json!({}), Ok(Task::Regression { targets: 1 })),
        (2, json!({"ntargets": 2, "regression": true}), Ok(Task::Regression { targets: 2 })),
        (3, json!({"nclasses": 4}), Err("3 outputs")),
    ];
    for (outputs, mllib, expected) in cases {
        let directory = repository(&[("m.onnx", linear(-1, outputs, false).build())]);
        let opened = open(&Backend::new(), directory.path(), &Request { mllib: mllib.clone(), ..Request::default() });
        match expected {
            Ok(task) => assert_eq!(opened.expect("opens").task, Some(task), "{mllib}"),
            Err(part) => assert!(refusal(opened).contains(part), "{mllib}"),
        }
    }
}

#[test]
fn a_batch_fixed_in_the_file_is_filled_up() {
    for engine in usable_engines() {
        let request = Request { engine, mllib: json!({"regression": true}), ..Request::default() };
        let any = repository(&[("m.onnx", linear(-1, 3, false).build())]);
        let expected = answers(any.path(), &request, &points());
        for batch in [1, 2, 8] {
            let fixed = repository(&[("m.onnx", linear(batch, 3, false).build())]);
            assert_eq!(answers(fixed.path(), &request, &points()), expected, "{engine}, {batch}");
        }
    }
}

/// Mean of each channel.
fn image_network(element: u64, dims: &[i64], axes: &[i64]) -> Onnx {
    let onnx = Onnx::new(17).input("x", element, dims).output("y", F32, &[-1, 3]);
    let onnx = match element {
        U8 => onnx.node("Cast", &["x"], &["pixels"], &[("to", Int(1))]),
        _ => onnx.node("Identity", &["x"], &["pixels"], &[]),
    };
    onnx.node("ReduceMean", &["pixels"], &["y"], &[("axes", Ints(axes)), ("keepdims", Int(0))])
}

fn pixels(width: usize, height: usize) -> Samples {
    let pixels = [10u8, 20, 30].repeat(width * height);
    let image = Image {
        width,
        height,
        channels: 3,
        pixels: Pixels::U8(pixels),
        original_width: width,
        original_height: height,
        frame: None,
    };
    Samples::Images { images: vec![image.clone(), image], normalization: Normalization::default() }
}

#[test]
fn layouts_bytes_and_any_size_are_understood() {
    let size = |width, height| SampleShape::Image { width, height, channels: 3 };
    let cases = [
        (image_network(F32, &[-1, 3, 2, 4], &[2, 3]), size(Some(4), Some(2))),
        (image_network(F32, &[-1, 2, 4, 3], &[1, 2]), size(Some(4), Some(2))),
        (image_network(U8, &[-1, 2, 4, 3], &[1, 2]), size(Some(4), Some(2))),
        (image_network(F32, &[-1, 3, -1, -1], &[2, 3]), size(None, None)),
        (image_network(U8, &[-1, -1, -1, 3], &[1, 2]), size(None, None)),
    ];
    for engine in usable_engines() {
        for (onnx, shape) in &cases {
            let directory = repository(&[("m.onnx", onnx.build())]);
            let request =
                Request { engine, kind: DataKind::Images, mllib: json!({"regression": true}), ..Request::default() };
            let model = open(&Backend::new(), directory.path(), &request).expect("opens").model.expect("a network");
            assert_eq!(model.description().shape, Some(*shape));
            for row in rows(model.as_ref(), &pixels(4, 2)) {
                for (found, expected) in row.iter().zip([10.0, 20.0, 30.0]) {
                    assert!((found - expected).abs() < 1e-4, "{engine}: {found}, expected {expected}");
                }
            }
        }
    }
}

#[test]
fn sizes_asked_for_must_be_those_of_the_network() {
    let directory = repository(&[("m.onnx", image_network(F32, &[-1, 3, 2, 4], &[2, 3]).build())]);
    let mllib = json!({"regression": true});
    let request = |input| Request { kind: DataKind::Images, input, mllib: mllib.clone(), ..Request::default() };
    assert!(open(&Backend::new(), directory.path(), &request(json!({"width": 4, "height": 2}))).is_ok());
    let text = refusal(open(&Backend::new(), directory.path(), &request(json!({"width": 224, "height": 224}))));
    assert!(text.contains("width 4") && text.contains("224"), "{text}");
}

#[test]
fn layers_are_nodes_or_values() {
    for engine in usable_engines() {
        let directory = repository(&[("m.onnx", linear(-1, 3, true).build())]);
        let request = Request { engine, ..Request::default() };
        let model = open(&Backend::new(), directory.path(), &request).expect("opens").model.expect("a network");
        let layer = |name: &str| PredictOptions { extract_layer: Some(name.into()), ..PredictOptions::default() };
        let by_value =
            rows_of(&model.predict(&points(), &layer("scores"), &MemoryShare::unbounded()).expect("features"));
        let by_node =
            rows_of(&model.predict(&points(), &layer("MatMul_0"), &MemoryShare::unbounded()).expect("features"));
        assert_eq!(by_value, by_node);
        assert_eq!(by_value.len(), 3);
        let error = model
            .predict(&points(), &layer("nowhere"), &MemoryShare::unbounded())
            .expect_err("no such layer")
            .to_string();
        assert_eq!(error, "unknown extract layer nowhere");
        let features =
            Request { service_type: ServiceType::Unsupervised, mllib: json!({"extract_layer": "scores"}), ..request };
        assert_eq!(answers(directory.path(), &features, &points()), by_value);
    }
}

#[test]
fn weights_in_other_files_must_lie_in_the_directory_of_the_model_or_below_it() {
    let external = |location: &str| {
        Onnx::new(17)
            .input("x", F32, &[-1, 2])
            .output("y", F32, &[-1, 2])
            .external("w", &[2, 2], location)
            .node("MatMul", &["x", "w"], &["y"], &[])
            .build()
    };
    let weights: Vec<u8> = [1.0f32, 0.0, 0.0, 1.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    for engine in usable_engines() {
        let request = Request { engine, mllib: json!({"regression": true}), ..Request::default() };
        let directory = repository(&[("m.onnx", external("w.data")), ("w.data", weights.clone())]);
        assert_eq!(answers(directory.path(), &request, &points())[0], [1.0, 2.0]);
        let opened = open(&Backend::new(), directory.path(), &request).expect("opens");
        let names: Vec<_> = opened.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["m.onnx", "w.data"]);
        for location in ["../w.data", "/etc/passwd", "sub/w.data", "absent.data"] {
            let directory = repository(&[("m.onnx", external(location)), ("w.data", weights.clone())]);
            let text = refusal(open(&Backend::new(), directory.path(), &request));
            assert!(text.contains("m.onnx") && text.contains(location), "{text}");
        }
        let directory = repository(&[("m.onnx", external("link.data"))]);
        let outside = repository(&[("w.data", weights.clone())]);
        std::os::unix::fs::symlink(outside.path().join("w.data"), directory.path().join("link.data")).expect("linked");
        let text = refusal(open(&Backend::new(), directory.path(), &request));
        assert!(text.contains("link.data"), "{text}");
        let directory = repository(&[("m.onnx", external("link/w.data"))]);
        std::os::unix::fs::symlink(outside.path(), directory.path().join("link")).expect("linked");
        let text = refusal(open(&Backend::new(), directory.path(), &request));
        assert!(text.contains("link/w.data"), "{text}");
    }
}

#[test]
fn what_cannot_be_served_is_refused_with_the_file() {
    let two_inputs = linear(-1, 3, false).input("second", F32, &[-1, 2]);
    let long = Onnx::new(17).input("x", I64, &[-1, 2]).output("y", I64, &[-1, 2]).node("Identity", &["x"], &["y"], &[]);
    let no_batch = Onnx::new(17).input("x", F32, &[-1, 2]).output("y", F32, &[]).node(
        "ReduceMean",
        &["x"],
        &["y"],
        &[("keepdims", Int(0))],
    );
    let lrn = Onnx::new(17).input("x", F32, &[-1, 3, 4, 4]).output("y", F32, &[-1, 3, 4, 4]).node(
        "LRN",
        &["x"],
        &["y"],
        &[("size", Int(3))],
    );
    let cases: Vec<(Vec<u8>, DataKind, &str)> = vec![
        (two_inputs.build(), DataKind::Table, "one input"),
        (long.build(), DataKind::Table, "ONNX type 7"),
        (no_batch.build(), DataKind::Table, "one row each"),
        (lrn.build(), DataKind::Images, "LRN"),
        (linear(-1, 3, false).build(), DataKind::Images, "dimensions"),
        (Vec::new(), DataKind::Table, "m.onnx"),
        (vec![0xff; 100], DataKind::Table, "m.onnx"),
        (linear(-1, 3, false).build()[..60].to_vec(), DataKind::Table, "m.onnx"),
    ];
    for (bytes, kind, expected) in cases {
        let directory = repository(&[("m.onnx", bytes)]);
        let text = refusal(open(&Backend::new(), directory.path(), &Request { kind, ..Request::default() }));
        assert!(text.contains(expected) && text.contains("m.onnx"), "{text}");
    }
    let two = repository(&[("a.onnx", linear(-1, 3, false).build()), ("b.onnx", linear(-1, 2, false).build())]);
    assert!(refusal(open(&Backend::new(), two.path(), &Request::default())).contains("a.onnx and b.onnx"));
    let named = Request { model: json!({"weights": "b.onnx"}), ..Request::default() };
    let opened = open(&Backend::new(), two.path(), &named).expect("opens");
    assert_eq!(opened.task, Some(Task::Classification { classes: 2 }));
}

#[test]
fn an_empty_repository_is_a_service_without_model() {
    let directory = repository(&[]);
    let request = Request { mllib: json!({"nclasses": 2}), ..Request::default() };
    assert!(open(&Backend::new(), directory.path(), &request).expect("opens").model.is_none());
    let with_template = Request { mllib: json!({"template": "mlp"}), ..Request::default() };
    let full = repository(&[("m.onnx", linear(-1, 3, false).build())]);
    assert!(refusal(open(&Backend::new(), full.path(), &with_template)).contains("using template while"));
}
