//! Forms of boxes: the networks and answers that `tests/fixtures/detection/make.py` makes, and networks that two forms fit.

use std::path::Path;

use dede_backends::neural::onnx::Onnx as Backend;
use dede_model::backend::{Model, PredictOptions, Task};
use dede_model::data::{DataKind, Frame, Image, Normalization, Pixels, Samples};
use dede_model::error::Result;
use dede_model::outputs::{Detection, Detections, Outputs};
use dede_model::request_memory::MemoryShare;
use dede_testing::onnx::{F32, Onnx};
use serde_json::{Value, json};

use crate::requests::{Request, open, usable_engines};

const SIZE: usize = 64;
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/detection");

/// The image that `make.py` makes.
fn image(number: usize) -> Image {
    let pixel = |at: usize| ((at * (7 + 4 * number) + (at / 97) * 31 + (at / 1013) * 57) % 256) as u8;
    Image {
        width: SIZE,
        height: SIZE,
        channels: 3,
        pixels: Pixels::U8((0..SIZE * SIZE * 3).map(pixel).collect()),
        original_width: SIZE,
        original_height: SIZE,
        frame: None,
    }
}

fn found(model: &dyn Model, images: Vec<Image>) -> Detections {
    let samples = Samples::Images { images, normalization: Normalization::default() };
    let answer = model.predict(&samples, &PredictOptions::default(), &MemoryShare::unbounded()).expect("answers");
    let Outputs::Detection(found) = answer else { panic!("expected boxes, found {answer:?}") };
    found
}

fn opened(onnx: &[u8], engine: &'static str, mllib: Value) -> Result<(std::sync::Arc<dyn Model>, tempfile::TempDir)> {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("model.onnx"), onnx).expect("written");
    let request = Request { mllib, engine, kind: DataKind::Images, ..Request::default() };
    let opened = open(&Backend::new(), directory.path(), &request)?;
    assert_eq!(opened.task, Some(Task::Detection { classes: Some(3) }));
    Ok((opened.model.expect("a network"), directory))
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(FIXTURES).join(format!("{name}.onnx"))).expect("a network")
}

/// Whether a box is as `make.py` says: `[class, score, xmin, ymin, xmax, ymax]`.
fn is_near(found: &Detection, expected: &[f64]) -> bool {
    let corners = [found.corners.xmin, found.corners.ymin, found.corners.xmax, found.corners.ymax];
    let are_near =
        corners.iter().zip(&expected[2..]).all(|(found, expected)| (f64::from(*found) - expected).abs() <= 0.5);
    found.class as f64 == expected[0] && (f64::from(found.score) - expected[1]).abs() <= 1e-4 && are_near
}

#[test]
fn each_form_answers_as_its_own_post_processing() {
    let expected = std::fs::read(Path::new(FIXTURES).join("expected.json")).expect("answers");
    let expected: serde_json::Map<String, Value> = serde_json::from_slice(&expected).expect("an object");
    assert_eq!(expected.len(), 8);
    for engine in usable_engines() {
        for (name, answers) in &expected {
            let answers: Vec<Vec<Vec<f64>>> = serde_json::from_value(answers.clone()).expect("boxes");
            let needs_name = name.starts_with("yolox") || name == "yolov5";
            let mut mllib = json!({"nclasses": 3});
            if needs_name {
                let refused = opened(&fixture(name), engine, mllib.clone()).err().expect("two forms").to_string();
                let are_named =
                    ["yolox", "yolox_raw", "yolov5", "output_format"].iter().all(|form| refused.contains(form));
                assert!(are_named, "{name}: {refused}");
                mllib["output_format"] = json!(name);
            }
            let (model, _kept) =
                opened(&fixture(name), engine, mllib).unwrap_or_else(|error| panic!("{engine} {name}: {error}"));
            let both = found(model.as_ref(), vec![image(0), image(1)]);
            for (number, answer) in answers.iter().enumerate() {
                let boxes = both.of(number);
                assert_eq!(boxes.len(), answer.len(), "{engine} {name} {number}");
                for (place, (one, expected)) in boxes.iter().zip(answer).enumerate() {
                    assert!(is_near(one, expected), "{engine} {name} {number} {place}: {one:?}, expected {expected:?}");
                }
                let alone = found(model.as_ref(), vec![image(number)]);
                assert_eq!(alone.of(0), boxes, "{engine} {name}: alone as beside others");
            }
        }
    }
}

#[test]
fn boxes_leave_the_padding_out() {
    let (model, _kept) = opened(&fixture("yolov10"), "rten", json!({"nclasses": 3})).expect("a network");
    let plain = found(model.as_ref(), vec![image(0)]);
    // 200 × 100 pixels, shown in the middle of the square.
    let frame = Some(Frame { left: 0, top: 16, width: 64, height: 32 });
    let padded = Image { original_width: 200, original_height: 100, frame, ..image(0) };
    let padded = found(model.as_ref(), vec![padded]);
    let factor = 200.0 / 64.0;
    assert_eq!((plain.of(0).len(), padded.of(0).len()), (20, 20));
    for (plain, padded) in plain.of(0).iter().zip(padded.of(0)) {
        let (from, to) = (plain.corners, padded.corners);
        assert_eq!((to.xmin, to.xmax), (from.xmin * factor, from.xmax * factor));
        assert_eq!((to.ymin, to.ymax), ((from.ymin - 16.0) * factor, (from.ymax - 16.0) * factor));
    }
}

/// A network that answers the same numbers for each image.
fn constant(shape: &[i64], values: &[f32]) -> Vec<u8> {
    let onnx = Onnx::new(17).input("images", F32, &[1, 3, 64, 64]).output("output", F32, shape);
    let onnx = onnx.floats("values", shape, values).floats("zero", &[1], &[0.0]);
    let onnx = onnx.node("ReduceMean", &["images"], &["mean"], &[]).node("Mul", &["mean", "zero"], &["nothing"], &[]);
    onnx.longs("one", &[1], &[1])
        .node("Reshape", &["nothing", "one"], &["flat"], &[])
        .node("Add", &["values", "flat"], &["output"], &[])
        .build()
}

#[test]
fn numbers_that_are_no_boxes_are_refused() {
    let listed = json!({"nclasses": 3, "output_format": "yolov10"});
    let yolox = json!({"nclasses": 3, "output_format": "yolox_raw"});
    let yolov5 = json!({"nclasses": 3, "output_format": "yolov5"});
    let row = [1.0, 1.0, 5.0, 5.0, 0.5, 2.0];
    let with = |place: usize, value: f32| {
        let mut row = row;
        row[place] = value;
        row.to_vec()
    };
    for (shape, values, mllib, expected) in [
        (&[1, 1, 6][..], with(4, f32::NAN), &listed, "expected scores from 0 to 1, found NaN"),
        (&[1, 1, 6], with(4, 3.5), &listed, "expected scores from 0 to 1, found 3.5"),
        (&[1, 1, 6], with(2, 0.5), &listed, "the left upper corner first"),
        (&[1, 1, 6], with(5, 3.0), &listed, "expected classes from 0 to 2, found 3"),
        (&[1, 1, 6], with(5, 0.5), &listed, "expected classes from 0 to 2, found 0.5"),
        (&[1, 2, 8], vec![0.5; 16], &yolox, "expected 84 rows for strides 8, 16 and 32 in 64x64 pixels, found 2"),
        (&[1, 2, 7], vec![0.5; 14], &yolov5, "expected outputs of yolov5 for 3 classes"),
        (&[1, 3, 2, 2, 8], vec![0.5; 96], &yolov5, "need anchors"),
    ] {
        let error = opened(&constant(shape, &values), "rten", mllib.clone()).err().expect("no boxes").to_string();
        assert!(error.contains(expected) && error.contains("output"), "{expected}: {error}");
    }
    let right = opened(&constant(&[1, 1, 6], &row), "rten", listed);
    assert!(right.is_ok(), "{:?}", right.err());
    let unsaid = opened(&constant(&[1, 1, 6], &row), "rten", json!({"output_format": "yolov10"}));
    assert!(unsaid.is_err_and(|error| error.to_string().contains("parameters.mllib.nclasses")));
}
