//! Masks: networks that answer something for each pixel, beside what ONNX Runtime and numpy make of them.
//!
//! `segmentation/generate.py` writes the networks and `segmentation/expected.json`.

use std::sync::Arc;

use dede_backends::neural::onnx::Onnx as Backend;
use dede_model::backend::{Confidences, Model, PredictOptions, Task};
use dede_model::data::{DataKind, Image, Normalization, Pixels, Samples};
use dede_model::error::Result;
use dede_model::outputs::{Confidence, Extent, Mask, Outputs};
use dede_model::request_memory::MemoryShare;
use serde_json::{Value, json};

use crate::requests::{Request, open, usable_engines};

const NETWORKS: [(&str, &[u8]); 4] = [
    ("scores", include_bytes!("segmentation/scores.onnx")),
    ("softmax", include_bytes!("segmentation/softmax.onnx")),
    ("argmax", include_bytes!("segmentation/argmax.onnx")),
    ("sigmoid", include_bytes!("segmentation/sigmoid.onnx")),
];
const EXPECTED: &str = include_str!("segmentation/expected.json");
const WIDTH: usize = 12;
const HEIGHT: usize = 8;

/// The images of the script, which came with twice the height.
fn images(count: usize) -> Samples {
    let image = |n: usize| {
        let places = (0..HEIGHT).flat_map(|y| (0..WIDTH).flat_map(move |x| (0..3).map(move |c| (y, x, c))));
        let pixel = |(y, x, c): (usize, usize, usize)| ((x * 31 + y * 17 + c * 101 + n * 57 + x * y * 7) % 256) as u8;
        Image {
            width: WIDTH,
            height: HEIGHT,
            channels: 3,
            pixels: Pixels::U8(places.map(pixel).collect()),
            original_width: WIDTH,
            original_height: 2 * HEIGHT,
            frame: None,
        }
    };
    Samples::Images { images: (0..count).map(image).collect(), normalization: Normalization::default() }
}

struct Opened {
    model: Arc<dyn Model>,
    task: Task,
    _directory: tempfile::TempDir,
}

fn opened(name: &str, engine: &'static str, mllib: &Value) -> Result<Opened> {
    let (_, network) = NETWORKS.into_iter().find(|(known, _)| *known == name).expect("a network");
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("model.onnx"), network).expect("written");
    let request = Request { mllib: mllib.clone(), engine, kind: DataKind::Images, ..Request::default() };
    let opened = open(&Backend::new(), directory.path(), &request)?;
    let (model, task) = (opened.model.expect("a network"), opened.task.expect("a task"));
    Ok(Opened { model, task, _directory: directory })
}

fn masks(model: &dyn Model, samples: &Samples, confidences: Confidences) -> Result<Vec<Mask>> {
    let options = PredictOptions { confidences, ..PredictOptions::default() };
    let outputs = model.predict(samples, &options, &MemoryShare::unbounded())?;
    let Outputs::Segmentation(masks) = outputs else { panic!("masks expected, found {outputs:?}") };
    Ok(masks.into_samples())
}

fn numbers(image: &Value, key: &str) -> Vec<f32> {
    image[key].as_array().expect("numbers").iter().map(|one| one.as_f64().expect("a number") as f32).collect()
}

/// How a service on each network is created, and what its task is.
fn created(network: &str) -> (Value, Task) {
    let task = |classes| Task::Segmentation { classes };
    match network {
        "scores" => (json!({"output_format": "masks", "nclasses": 5}), task(Some(5))),
        "softmax" => (json!({}), task(Some(5))),
        "argmax" => (json!({}), task(None)),
        _ => (json!({"output_format": "binary_masks"}), task(Some(2))),
    }
}

#[test]
fn masks_are_those_of_onnx_runtime_and_numpy() {
    let cases: Value = serde_json::from_str(EXPECTED).expect("JSON");
    for (engine, case) in usable_engines()
        .into_iter()
        .flat_map(|engine| cases.as_array().expect("cases").iter().map(move |case| (engine, case)))
    {
        let name = case["network"].as_str().expect("a name");
        let (mllib, task) = created(name);
        let Opened { model, task: found, _directory } = opened(name, engine, &mllib).expect("a network");
        assert_eq!(found, task, "{engine} {name}");
        let has_scores = name != "argmax";
        let asked = if has_scores { vec![Confidence::Best, Confidence::Class(1)] } else { Vec::new() };
        let found = masks(model.as_ref(), &images(2), Confidences::Of(asked.clone())).expect("masks");
        let alone = masks(model.as_ref(), &images(1), Confidences::Of(asked)).expect("a mask");
        assert_eq!(found[..1], alone, "{engine} {name}: bit by bit the same beside others");
        for (mask, expected) in found.iter().zip(case["images"].as_array().expect("images")) {
            let extent = Extent { width: WIDTH, height: HEIGHT };
            assert_eq!((mask.extent, mask.original.height), (extent, 2 * HEIGHT), "{engine} {name}");
            let classes: Vec<f32> = mask.classes.iter().map(|class| f32::from(*class)).collect();
            assert_eq!(classes, numbers(expected, "classes"), "{engine} {name}");
            for (map, key) in mask.confidences.iter().zip(["best", "1"]) {
                for (found, expected) in map.values.iter().zip(numbers(expected, key)) {
                    assert!((found - expected).abs() < 1e-4, "{engine} {name} {key}: {found} {expected}");
                }
            }
        }
    }
}

#[test]
fn what_could_be_something_else_is_refused_with_both_readings() {
    for (network, mllib, text) in [
        ("scores", json!({}), "where it holds classes of pixels, say output_format masks"),
        ("scores", json!({"nclasses": 5}), "say output_format masks"),
        ("scores", json!({"output_format": "masks", "nclasses": 4}), "parameters.mllib.nclasses"),
        ("sigmoid", json!({"output_format": "masks"}), "expected a network for head masks"),
        ("scores", json!({"output_format": "binary_masks"}), "expected a network for head binary_masks"),
        ("softmax", json!({"regression": true}), "found output sure with shape [5, 8, 12]"),
        ("argmax", json!({"nclasses": 2}), "expected classes from 0 to 1, found"),
    ] {
        let error = opened(network, "rten", &mllib).err().expect("refused").to_string();
        assert!(error.contains(text), "{network} {mllib}: {error}");
    }
    let opened = opened("argmax", "rten", &json!({})).expect("a network");
    let error =
        masks(opened.model.as_ref(), &images(1), Confidences::Of(vec![Confidence::Best])).expect_err("no scores");
    assert!(error.to_string().contains("classes without scores (parameters.output.confidences)"), "{error}");
}
