//! Detectors of Caffe, SSD and RefineDet at reduced width: they answer the boxes that OpenCV finds, or where it lacks the layer those of
//! its published formulas.
//!
//! `caffe_detectors/networks.bin` is written by `caffe_detectors/generate.py`, which says what stands in it.

use std::sync::Arc;

use dede_backends::neural::caffe::Caffe;
use dede_model::backend::{BoxOptions, Model, PredictOptions, ServiceType, Task};
use dede_model::data::{DataKind, Image, Normalization, Pixels, Samples};
use dede_model::error::Result;
use dede_model::outputs::{Detection, Detections, Outputs};
use dede_model::request_memory::MemoryShare;
use serde_json::{Value, json};

use crate::caffe_files::{repository, sized};
use crate::requests::{Request, open, refusal, rows, usable_engines};

const NETWORKS: &[u8] = include_bytes!("caffe_detectors/networks.bin");
/// Of a corner, pixels.
const NEAR: f64 = 0.5;
/// Of a score.
const ALIKE: f64 = 1e-4;

/// A network, and what it answers.
struct Detector {
    name: String,
    prototxt: String,
    caffemodel: &'static [u8],
    expected: Value,
}

fn detectors() -> Vec<Detector> {
    let (mut rest, mut detectors) = (NETWORKS, Vec::new());
    while !rest.is_empty() {
        let mut text = || String::from_utf8(sized(&mut rest).to_vec()).expect("text");
        let (name, prototxt) = (text(), text());
        let caffemodel = sized(&mut rest);
        let expected = serde_json::from_slice(sized(&mut rest)).expect("JSON");
        detectors.push(Detector { name, prototxt, caffemodel, expected });
    }
    detectors
}

/// The one that begins with that name.
fn detector(name: &str) -> Detector {
    detectors().into_iter().find(|detector| detector.name == name).expect("there is one")
}

/// As `image` of `generate.py`.
fn image(number: usize, size: usize, original: &Value) -> Image {
    let pixel = |at: usize| {
        let (row, column, channel) = (at / (size * 3), at / 3 % size, at % 3);
        let wave =
            row * (3 + number) + column * (5 - number) + (row * column) / (7 + number) + channel * (40 + 30 * number);
        (wave % 256) as u8
    };
    let extent = |place: usize| original[place].as_u64().expect("a number") as usize;
    Image {
        width: size,
        height: size,
        channels: 3,
        pixels: Pixels::U8((0..size * size * 3).map(pixel).collect()),
        original_width: extent(0),
        original_height: extent(1),
        frame: None,
    }
}

fn images(expected: &Value) -> Vec<Image> {
    let size = expected["size"].as_u64().expect("a number") as usize;
    let originals = expected["images"].as_array().expect("a list");
    originals.iter().enumerate().map(|(number, original)| image(number, size, original)).collect()
}

/// The network, what it answers, and its files.
fn opened(
    prototxt: &str,
    caffemodel: &[u8],
    request: &Request,
) -> Result<(Arc<dyn Model>, Option<Task>, tempfile::TempDir)> {
    let directory = repository(&[("deploy.prototxt", prototxt.as_bytes()), ("model_iter_1.caffemodel", caffemodel)]);
    let opened = open(&Caffe, directory.path(), request)?;
    Ok((opened.model.expect("a network"), opened.task, directory))
}

fn of_images(engine: &'static str) -> Request {
    Request { engine, kind: DataKind::Images, ..Request::default() }
}

fn found(model: &dyn Model, images: Vec<Image>, boxes: BoxOptions) -> Detections {
    let samples = Samples::Images { images, normalization: Normalization::default() };
    let options = PredictOptions { boxes, ..PredictOptions::default() };
    let answer = model.predict(&samples, &options, &MemoryShare::unbounded()).expect("answers");
    let Outputs::Detection(found) = answer else { panic!("expected boxes, found {answer:?}") };
    found
}

/// What a request of `generate.py` asks for.
fn asked(request: &Value) -> BoxOptions {
    BoxOptions {
        least_score: request["confidence_threshold"].as_f64().unwrap_or_default() as f32,
        most_overlap: request["nms_threshold"].as_f64().map(|overlap| overlap as f32),
        candidates: request["top_k"].as_u64().map(|count| count as usize),
    }
}

/// Whether a box is as `generate.py` says: `[class, score, xmin, ymin, xmax, ymax]`.
fn is_near(found: &Detection, expected: &Value) -> bool {
    let number = |place: usize| expected[place].as_f64().expect("a number");
    let corners = [found.corners.xmin, found.corners.ymin, found.corners.xmax, found.corners.ymax];
    let are_near = (2..).zip(corners).all(|(place, corner)| (f64::from(corner) - number(place)).abs() <= NEAR);
    found.class as f64 == number(0) && (f64::from(found.score) - number(1)).abs() <= ALIKE && are_near
}

#[test]
fn detectors_answer_the_boxes_of_opencv_and_of_the_formulas() {
    let detectors = detectors();
    assert_eq!(detectors.len(), 9);
    let mut wrong = Vec::new();
    for engine in usable_engines() {
        for Detector { name, prototxt, caffemodel, expected } in &detectors {
            let (model, task, _directory) =
                opened(prototxt, caffemodel, &of_images(engine)).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(task, Some(Task::Detection { classes: Some(3) }), "{name}");
            assert_eq!(model.description().output.name, "detection_out", "{name}");
            for request in expected["requests"].as_array().expect("a list") {
                let together = found(model.as_ref(), images(expected), asked(request));
                for (number, image) in images(expected).into_iter().enumerate() {
                    let alone = found(model.as_ref(), vec![image], asked(request));
                    assert_eq!(alone.of(0), together.of(number), "{name} on {engine}: alone and together");
                    let boxes = request["found"][number].as_array().expect("a list");
                    let pairs = alone.of(0).iter().zip(boxes);
                    if alone.of(0).len() != boxes.len()
                        || !pairs.clone().all(|(found, expected)| is_near(found, expected))
                    {
                        let differs = pairs.clone().find(|(found, expected)| !is_near(found, expected));
                        let counts = (alone.of(0).len(), boxes.len());
                        wrong.push(format!(
                            "{name} on {engine}, {request:.60}, image {number}: {counts:?} boxes, {differs:?}"
                        ));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_contradicts_the_last_layer_is_refused_with_its_name() {
    let Detector { prototxt, caffemodel, .. } = detector("SSD");
    let with = |mllib: Value| Request { mllib, ..of_images("rten") };
    let table = Request { kind: DataKind::Table, ..of_images("rten") };
    // Of rows nothing is subtracted.
    let (before, transform) = prototxt.split_once("transform_param").expect("there is one");
    let plain = format!("{before}{}", transform.split_once('}').expect("it ends").1);
    for (request, expected) in [
        (
            with(json!({"nclasses": 4})),
            ["expected 3, as num_classes of layer detection_out says, found 4", "parameters.mllib.nclasses"],
        ),
        (with(json!({"regression": true})), ["layer detection_out answers boxes", "parameters.mllib.regression"]),
        (with(json!({"output_activation": "softmax"})), ["found softmax", "parameters.mllib.output_activation"]),
        (
            with(json!({"output": "mbox_loc"})),
            ["one of the network's outputs expected: detection_out", "found mbox_loc"],
        ),
        (table, ["expected images, in which layer detection_out places boxes", "parameters.input.connector"]),
        (
            Request { service_type: ServiceType::Unsupervised, ..of_images("rten") },
            ["layer conv2_norm_priorbox", "where detections are decoded"],
        ),
    ] {
        let prototxt = if request.kind == DataKind::Table { &plain } else { &prototxt };
        let directory =
            repository(&[("deploy.prototxt", prototxt.as_bytes()), ("model_iter_1.caffemodel", caffemodel)]);
        let message = refusal(open(&Caffe, directory.path(), &request));
        assert!(expected.iter().all(|part| message.contains(part)), "{message}, expected {expected:?}");
    }
    for (mllib, count) in [(json!({"nclasses": 3}), 3), (json!({"output": "detection_out", "nclasses": 0}), 3)] {
        let (_, task, _) = opened(&prototxt, caffemodel, &with(mllib)).expect("a detector");
        assert_eq!(task, Some(Task::Detection { classes: Some(count) }));
    }
}

#[test]
fn values_of_other_sizes_are_refused_at_creation_with_both_numbers() {
    let Detector { prototxt, caffemodel, .. } = detector("SSD");
    for (old, new, expected) in [
        ("num_classes: 3", "num_classes: 4", "second input, scores, should have 4 values for each of 819 boxes"),
        (
            "share_location: true",
            "share_location: false",
            "first input, offsets, should have 12 values for each of 819 boxes",
        ),
        ("keep_top_k: 20", "keep_top_k: -2", "keep_top_k should be -1 or from 1 to 2147483648, found -2"),
        ("keep_top_k: 20", "keep_top_k: 0", "keep_top_k should be -1 or from 1 to 2147483648, found 0"),
        ("top_k: 40", "top_k: 99999999999999999999", "top_k"),
        ("step: 4", "step: 0", "variance and step should be above 0"),
        ("confidence_threshold: 0.3", "confidence_threshold: nan", "confidence_threshold"),
    ] {
        assert!(prototxt.contains(old), "{old}");
        let changed = prototxt.replacen(old, new, 1);
        let message = refusal(opened(&changed, caffemodel, &of_images("rten")).map(|_| unreachable!("{new}")));
        assert!(message.contains(expected) && message.contains("deploy.prototxt"), "{message}, expected {expected}");
    }
}

#[test]
fn the_values_inside_of_a_detector_are_answered_as_features() {
    let Detector { prototxt, caffemodel, expected, .. } = detector("RefineDet");
    let samples = Samples::Images { images: images(&expected), normalization: Normalization::default() };
    let mllib = json!({"extract_layer": "P4"});
    let request = Request { mllib, service_type: ServiceType::Unsupervised, ..of_images("rten") };
    let (features, _, _) = opened(&prototxt, caffemodel, &request).expect("a network");
    let found = rows(features.as_ref(), &samples);
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [6 * 6 * 6; 3]);
    let (boxes, _, _directory) = opened(&prototxt, caffemodel, &of_images("rten")).expect("a network");
    let options = PredictOptions { extract_layer: Some("P4".to_owned()), ..PredictOptions::default() };
    let of_a_call = boxes.predict(&samples, &options, &MemoryShare::unbounded()).expect("answers");
    assert_eq!(crate::requests::rows_of(&of_a_call), found);
}
