//! Boxes: what networks that answer them are taken for, and where the boxes are in the images that were sent.

use dede_backends::neural::onnx::Onnx as Backend;
use dede_model::backend::{BoxOptions, Model, PredictOptions, Task};
use dede_model::data::{DataKind, Image, Normalization, Pixels, Samples};
use dede_model::error::Result;
use dede_model::outputs::{Corners, Detection, Outputs};
use dede_model::request_memory::MemoryShare;
use dede_testing::onnx::{Attribute, F32, I64, Onnx};
use serde_json::json;

use crate::requests::{Request, open, usable_engines};

/// Finds three boxes in each image of 8 × 4 pixels, whose scores are the means of the channels.
fn listing(outputs: [&str; 3]) -> Onnx {
    let [boxes, labels, scores] = outputs;
    Onnx::new(17)
        .input("image", F32, &[1, 3, 4, 8])
        .output(boxes, F32, &[3, 4])
        .output(labels, I64, &[3])
        .output(scores, F32, &[3])
        .floats("corners", &[3, 4], &[0.0, 0.0, 4.0, 2.0, 1.0, 0.0, 4.0, 2.0, 2.0, 1.0, 8.0, 4.0])
        .longs("classes", &[3], &[2, 2, 1])
        .floats("byte", &[1], &[1.0 / 255.0])
        .longs("three", &[1], &[3])
        .node(
            "ReduceMean",
            &["image"],
            &["means"],
            &[("axes", Attribute::Ints(&[2, 3])), ("keepdims", Attribute::Int(0))],
        )
        .node("Mul", &["means", "byte"], &["shares"], &[])
        .node("Reshape", &["shares", "three"], &[scores], &[])
        .node("Identity", &["corners"], &[boxes], &[])
        .node("Identity", &["classes"], &[labels], &[])
}

type Predict = Box<dyn Fn(&Samples, BoxOptions) -> Result<Outputs>>;

/// Images of one colour that came with twice the width and half of the height.
fn images(colours: &[[u8; 3]]) -> Samples {
    let image = |colour: &[u8; 3]| Image {
        width: 8,
        height: 4,
        channels: 3,
        pixels: Pixels::U8(colour.repeat(32)),
        original_width: 16,
        original_height: 2,
        frame: None,
    };
    Samples::Images { images: colours.iter().map(image).collect(), normalization: Normalization::default() }
}

fn model(onnx: &Onnx, engine: &'static str, mllib: serde_json::Value) -> Result<(Predict, Task)> {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("model.onnx"), onnx.build()).expect("written");
    let request = Request { mllib, engine, kind: DataKind::Images, ..Request::default() };
    let opened = open(&Backend::new(), directory.path(), &request)?;
    let (model, task): (std::sync::Arc<dyn Model>, _) =
        (opened.model.expect("a network"), opened.task.expect("a task"));
    let predict = move |samples: &Samples, boxes| {
        let _kept = &directory;
        model.predict(samples, &PredictOptions { boxes, ..PredictOptions::default() }, &MemoryShare::unbounded())
    };
    Ok((Box::new(predict), task))
}

fn at(class: usize, score: u8, [xmin, ymin, xmax, ymax]: [f32; 4]) -> Detection {
    Detection { class, score: f32::from(score) / 255.0, corners: Corners { xmin, ymin, xmax, ymax } }
}

#[test]
fn boxes_that_a_network_lists_are_in_pixels_of_the_image_sent() {
    for (engine, names) in usable_engines().into_iter().flat_map(|engine| {
        [["boxes", "labels", "scores"], ["pred_boxes", "pred_classes", "pred_scores"]].map(|names| (engine, names))
    }) {
        let (predict, task) = model(&listing(names), engine, json!({"nclasses": 3})).expect("a network");
        assert_eq!(task, Task::Detection { classes: Some(3) });
        let samples = images(&[[51, 102, 204], [0, 0, 0]]);
        let boxes =
            [at(1, 204, [4.0, 0.5, 16.0, 2.0]), at(2, 102, [2.0, 0.0, 8.0, 1.0]), at(2, 51, [0.0, 0.0, 8.0, 1.0])];
        for (options, expected) in [
            (BoxOptions::default(), &boxes[..]),
            (BoxOptions { least_score: 0.3, ..BoxOptions::default() }, &boxes[..2]),
            (BoxOptions { most_overlap: Some(0.5), ..BoxOptions::default() }, &boxes[..2]),
            (BoxOptions { most_overlap: Some(0.8), ..BoxOptions::default() }, &boxes[..]),
            (BoxOptions { candidates: Some(1), ..BoxOptions::default() }, &boxes[..1]),
        ] {
            let Outputs::Detection(found) = predict(&samples, options).expect("answers") else { panic!("boxes") };
            assert_eq!(found.len(), 2);
            for (found, expected) in found.of(0).iter().zip(expected) {
                assert!((found.score - expected.score).abs() < 1e-6, "{engine} {options:?}: {found:?}");
                assert_eq!((found.class, found.corners), (expected.class, expected.corners), "{engine} {options:?}");
            }
            assert_eq!(found.of(0).len(), expected.len(), "{engine} {options:?}");
        }
    }
}

#[test]
fn classes_that_the_network_should_not_have_are_refused() {
    let refused = model(&listing(["boxes", "labels", "scores"]), "rten", json!({"nclasses": 2}));
    let error = refused.err().expect("class 2 is the third").to_string();
    assert!(error.contains("expected classes from 0 to 1, found 2") && error.contains("boxes"), "{error}");
}

#[test]
fn boxes_of_rows_are_refused() {
    let onnx = Onnx::new(17)
        .input("x", F32, &[-1, 12])
        .output("y", F32, &[-1, 2, 6])
        .longs("shape", &[3], &[-1, 2, 6])
        .node("Reshape", &["x", "shape"], &["y"], &[]);
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("model.onnx"), onnx.build()).expect("written");
    let request = Request { mllib: json!({"nclasses": 3, "output_format": "yolov10"}), ..Request::default() };
    let error = open(&Backend::new(), directory.path(), &request).err().expect("no images").to_string();
    assert!(error.contains("expected images") && error.contains("parameters.input.connector"), "{error}");
}
