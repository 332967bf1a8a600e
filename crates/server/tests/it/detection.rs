//! Detectors: answered with boxes of the image that was sent, and moved while clients ask.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use dede_testing::fixtures;
use dede_testing::onnx::{Attribute, F32, I64, Onnx};
use serde_json::{Value, json};

use crate::server::{Server, eventually};

/// Client threads.
const THREADS: usize = 4;
/// Requests that are answered before and after a move.
const BETWEEN: u64 = 100;

/// A network as a directory of a service.
trait Written {
    /// The library that serves it.
    const MLLIB: &str;
    /// Its classes.
    const CLASSES: usize;
    /// Boxes that it finds in each image.
    const BOXES: usize;

    /// Writes its files.
    fn write(&self, directory: &Path);
}

/// A detector of three boxes whose scores follow the brightness of the image, times this; the boxes are this far to the right, pixels of
/// its input.
struct Detector {
    strength: f32,
    shift: f32,
}

const OLD: Detector = Detector { strength: 1.0, shift: 0.0 };
/// As after a little more training.
const NEW: Detector = Detector { strength: 0.97, shift: 0.25 };
/// As after a mistake.
const PERTURBED: Detector = Detector { strength: 1.0, shift: 8.0 };

impl Written for Detector {
    const MLLIB: &str = "onnx";
    const CLASSES: usize = 2;
    const BOXES: usize = 3;

    fn write(&self, directory: &Path) {
        let shift = self.shift;
        let corners = [
            [1.0 + shift, 1.0, 7.0 + shift, 6.0],
            [2.0 + shift, 2.0, 9.0 + shift, 7.0],
            [0.0 + shift, 0.0, 16.0 + shift, 8.0],
        ];
        let onnx = Onnx::new(17)
            .input("image", F32, &[1, 3, 8, 32])
            .output("boxes", F32, &[3, 4])
            .output("labels", I64, &[3])
            .output("scores", F32, &[3])
            .floats("corners", &[3, 4], corners.as_flattened())
            .longs("classes", &[3], &[1, 1, 0])
            .floats("factor", &[3], &[0.9, 0.6, 0.3].map(|factor: f32| factor * self.strength / 255.0))
            .node(
                "ReduceMean",
                &["image"],
                &["mean"],
                &[("axes", Attribute::Ints(&[1, 2, 3])), ("keepdims", Attribute::Int(0))],
            )
            .node("Mul", &["mean", "factor"], &["scores"], &[])
            .node("Identity", &["corners"], &["boxes"], &[])
            .node("Identity", &["classes"], &["labels"], &[]);
        std::fs::create_dir_all(directory).unwrap();
        std::fs::write(directory.join("model.onnx"), onnx.build()).unwrap();
        std::fs::write(directory.join("corresp.txt"), "0 dog\n1 cat\n").unwrap();
    }
}

/// An SSD of Caffe without weights: a box at each of four places, of each of two classes, whose scores follow the brightness there, times
/// this. Its boxes are this far to the right, shares of its input.
struct CaffeDetector {
    strength: f32,
    shift: f32,
}

const OLD_OF_CAFFE: CaffeDetector = CaffeDetector { strength: 1.0, shift: 0.0 };
const NEW_OF_CAFFE: CaffeDetector = CaffeDetector { strength: 0.97, shift: 0.0078125 };

impl Written for CaffeDetector {
    const MLLIB: &str = "caffe";
    const CLASSES: usize = 3;
    const BOXES: usize = 8;

    fn write(&self, directory: &Path) {
        let Self { strength, shift } = self;
        let layer = |kind: &str, bottoms: &[&str], tops: &[&str], param: &str| {
            let fields = |field: &str, values: &[&str]| -> String {
                values.iter().map(|value| format!("{field}: '{value}' ")).collect()
            };
            let (bottoms, all) = (fields("bottom", bottoms), fields("top", tops));
            format!("layer {{ name: '{}' type: '{kind}' {bottoms}{all}{param} }}\n", tops[0])
        };
        let order = "permute_param { order: 0 order: 2 order: 3 order: 1 }";
        let place = "reshape_param { shape { dim: 0 dim: -1 dim: 3 } }";
        let data =
            "memory_data_param { batch_size: 1 channels: 3 height: 8 width: 32 } transform_param { scale: 0.00392157 }";
        let power = |scale: f32, shift: f32| format!("power_param {{ scale: {scale} shift: {shift} }}");
        let text = [
            layer("MemoryData", &[], &["data", "label"], data),
            layer("Pooling", &["data"], &["mean"], "pooling_param { pool: AVE kernel_size: 8 stride: 8 }"),
            layer("Slice", &["mean"], &["blue", "green", "red"], "slice_param { axis: 1 }"),
            layer("Power", &["blue"], &["none"], &power(0.0, 0.5)),
            layer("Power", &["green"], &["dog"], &power(*strength, 0.0)),
            layer("Power", &["red"], &["cat"], &power(2.0 * strength, 0.0)),
            layer("Concat", &["none", "dog", "cat"], &["conf"], "concat_param { axis: 1 }"),
            layer("Permute", &["conf"], &["conf_perm"], order),
            layer("Reshape", &["conf_perm"], &["conf_boxes"], place),
            layer("Softmax", &["conf_boxes"], &["conf_softmax"], "softmax_param { axis: 2 }"),
            layer("Flatten", &["conf_softmax"], &["conf_flat"], ""),
            layer("Power", &["none"], &["across"], &power(0.0, *shift)),
            layer("Power", &["none"], &["down"], &power(0.0, 0.0)),
            layer("Concat", &["across", "down", "across", "down"], &["loc"], "concat_param { axis: 1 }"),
            layer("Permute", &["loc"], &["loc_perm"], order),
            layer("Flatten", &["loc_perm"], &["loc_flat"], ""),
            layer("PriorBox", &["mean", "data"], &["boxes"], "prior_box_param { min_size: 6 }"),
            layer(
                "DetectionOutput",
                &["loc_flat", "conf_flat", "boxes"],
                &["detection_out"],
                "detection_output_param { num_classes: 3 variance_encoded_in_target: true confidence_threshold: 0.01
                 nms_param { nms_threshold: 0.45 top_k: 400 } keep_top_k: 200 }",
            ),
        ];
        std::fs::create_dir_all(directory).unwrap();
        std::fs::write(directory.join("deploy.prototxt"), text.concat()).unwrap();
        std::fs::write(directory.join("model_iter_1.caffemodel"), b"").unwrap();
        std::fs::write(directory.join("corresp.txt"), "0 background\n1 dog\n2 cat\n").unwrap();
    }
}

fn put<D: Written>(server: &Server, name: &str, detector: &D) {
    let repository = server.path().join(name);
    detector.write(&repository);
    let body = json!({
        "mllib": D::MLLIB, "description": "boxes", "type": "supervised", "model": {"repository": repository},
        "parameters": {"input": {"connector": "image", "width": 32, "height": 8}, "mllib": {"nclasses": D::CLASSES}},
    });
    let (status, answer) = server.put(&format!("/services/{name}"), &body);
    assert_eq!(status, 201, "{answer}");
}

fn images() -> Vec<PathBuf> {
    let shapes = fixtures::data("shapes");
    ["circle/circle00.jpg", "square/square00.jpg", "triangle/triangle00.jpg"].map(|name| shapes.join(name)).into()
}

fn predict(server: &Server, output: Value) -> (u16, Value) {
    server.post("/predict", &json!({"service": "service1", "parameters": {"output": output}, "data": images()}))
}

#[test]
fn boxes_are_answered_in_pixels_of_the_image_sent() {
    let server = Server::start(&[]);
    put(&server, "service1", &OLD);
    let info = server.get("/services/service1").1;
    assert_eq!(info["body"]["mltype"], "detection", "{info}");
    let (status, answer) = predict(&server, json!({"bbox": true}));
    assert_eq!(status, 200, "{answer}");
    let predictions = answer["body"]["predictions"].as_array().unwrap();
    assert_eq!(predictions.len(), 3);
    // They are 160 pixels wide and 120 high.
    for prediction in predictions {
        let classes = prediction["classes"].as_array().unwrap();
        let scores: Vec<f64> = classes.iter().map(|class| class["prob"].as_f64().unwrap()).collect();
        assert!(scores.windows(2).all(|pair| pair[0] >= pair[1]) && scores[2] > 0.0, "{prediction}");
        let best = &classes[0];
        assert_eq!(best["bbox"], json!({"xmin": 5.0, "ymin": 15.0, "xmax": 35.0, "ymax": 90.0}), "{prediction}");
        assert_eq!((&best["cat"], &classes[2]["cat"]), (&json!("cat"), &json!("dog")));
        assert_eq!((&best["last"], &classes[2]["last"]), (&Value::Null, &json!(true)));
    }
    for (output, boxes) in [
        (json!({"best_bbox": 1}), 1),
        (json!({"confidence_threshold": 1.0}), 0),
        (json!({"nms_threshold": 0.3}), 2),
        (json!({"top_k": 2}), 2),
        (json!({"best": 1}), 3),
    ] {
        let (status, answer) = predict(&server, output.clone());
        let found = answer["body"]["predictions"][0]["classes"].as_array().map(Vec::len);
        assert_eq!((status, found), (200, Some(boxes)), "{output}: {answer}");
    }
    for output in [json!({"bbox": false}), json!({"nms_threshold": 7}), json!({"measure": ["acc"]})] {
        let (status, answer) = predict(&server, output.clone());
        assert_eq!(status, 400, "{output}: {answer}");
    }
}

#[test]
fn a_detector_of_caffe_answers_boxes_of_the_image_sent() {
    let server = Server::start(&[]);
    put(&server, "service1", &OLD_OF_CAFFE);
    let info = server.get("/services/service1").1;
    assert_eq!((&info["body"]["mltype"], &info["body"]["mllib"]), (&json!("detection"), &json!("caffe")), "{info}");
    let (status, answer) = predict(&server, json!({"bbox": true}));
    assert_eq!(status, 200, "{answer}");
    let predictions = answer["body"]["predictions"].as_array().unwrap();
    assert_eq!(predictions.len(), 3);
    let mut brightest = Vec::new();
    for prediction in predictions {
        let classes = prediction["classes"].as_array().unwrap();
        assert_eq!(classes.len(), CaffeDetector::BOXES, "{prediction}");
        let scores: Vec<f64> = classes.iter().map(|class| class["prob"].as_f64().unwrap()).collect();
        assert!(scores.windows(2).all(|pair| pair[0] >= pair[1]) && scores[7] > 0.01, "{prediction}");
        // Of 160 columns and 120 rows the last is what a share of 1 is.
        let at = |place: &str, class: &Value| class["bbox"][place].as_f64().unwrap();
        for class in classes {
            let cell = (at("xmin", class) / 159.0 * 4.0).floor();
            for (place, expected) in [
                ("xmin", (cell * 8.0 + 1.0) / 32.0 * 159.0),
                ("ymin", 119.0 / 8.0),
                ("xmax", (cell * 8.0 + 7.0) / 32.0 * 159.0),
                ("ymax", 7.0 * 119.0 / 8.0),
            ] {
                assert!((at(place, class) - expected).abs() < 1e-3, "{place} of {class}: expected {expected}");
            }
            assert!(class["cat"] == "cat" || class["cat"] == "dog", "{class}");
        }
        brightest.push(scores[0]);
    }
    assert!(brightest.windows(2).any(|pair| pair[0] != pair[1]), "{brightest:?}");
    for (output, boxes) in [
        (json!({"best_bbox": 3}), 3),
        (json!({"confidence_threshold": 1.0}), 0),
        (json!({"nms_threshold": 0.0}), 8),
        (json!({"top_k": 5}), 5),
    ] {
        let (status, answer) = predict(&server, output.clone());
        let found = answer["body"]["predictions"][0]["classes"].as_array().map(Vec::len);
        assert_eq!((status, found), (200, Some(boxes)), "{output}: {answer}");
    }
    let (status, answer) = server.post(
        "/predict",
        &json!({"service": "service1", "parameters": {"mllib": {"extract_layer": "conf"}}, "data": images()}),
    );
    assert_eq!(
        (status, answer["body"]["predictions"][0]["vals"].as_array().map(Vec::len)),
        (200, Some(12)),
        "{answer}"
    );
    for output in [json!({"bbox": false}), json!({"nms_threshold": 7}), json!({"rois": "conf"})] {
        let (status, answer) = predict(&server, output.clone());
        assert_eq!(status, 400, "{output}: {answer}");
    }
}

/// Labels are files of boxes beside a list of images.
#[test]
fn boxes_are_measured_against_lists_of_them() {
    let server = Server::start(&[]);
    put(&server, "service1", &OLD);
    let folder = server.path().join("labelled");
    std::fs::create_dir(&folder).unwrap();
    let truths = ["1 5 15 35 90\n1 100 100 110 110\n", "0 0 0 80 120\n"];
    let mut list = String::new();
    for ((number, image), truth) in images().iter().enumerate().zip(truths) {
        std::fs::write(folder.join(format!("{number}.txt")), truth).unwrap();
        list.push_str(&format!("{} {number}.txt\n", image.display()));
    }
    let file = folder.join("list.txt");
    std::fs::write(&file, &list).unwrap();
    let measure = |names: &[&str]| {
        let parameters = json!({"input": {"bbox": true}, "output": {"measure": names}});
        server.post("/predict", &json!({"service": "service1", "parameters": parameters, "data": [file]}))
    };
    let (status, answer) = measure(&["map", "map-50", "map-90"]);
    assert_eq!(status, 200, "{answer}");
    let measured = &answer["body"]["measure"];
    // The second image is brighter. Class 0 has its right box first, and all of its truths; class 1 has its right one second, and half of
    // its truths. No score is above 0.5.
    for (class, expected) in [("", 0.625), ("_0", 1.0), ("_1", 0.25)] {
        for name in ["map", "map-50", "map-90"] {
            assert_eq!(measured[format!("{name}{class}")], json!(expected), "{name}{class}: {measured}");
        }
    }
    assert_eq!((&measured["fp"], &measured["fp_1"], &measured["acc"]), (&json!(0.0), &json!(0.0), &Value::Null));

    let image = images().remove(0);
    for (text, expected) in [
        ("no-such.jpg 0.txt\n".to_owned(), "there is no file where a path leads"),
        (format!("{}\n", image.display()), "expected an image and a file of boxes"),
        ("\n".to_owned(), "no image could be found"),
    ] {
        std::fs::write(&file, &text).unwrap();
        let (status, answer) = measure(&["map"]);
        let found = answer["status"]["dd_msg"].as_str().unwrap_or_default();
        assert!(status == 400 && found.contains(expected), "{text}: {answer}");
    }
    std::fs::write(&file, &list).unwrap();
    std::fs::write(folder.join("1.txt"), "").unwrap();
    let (status, answer) = measure(&["map"]);
    let measured = &answer["body"]["measure"];
    let found = (status, &measured["map_0"], &measured["map_1"]);
    assert_eq!(found, (200, &json!(0.0), &json!(0.25)), "nothing is in the second image: {answer}");
    std::fs::write(folder.join("1.txt"), "0 5 5 1 1\n").unwrap();
    let (status, answer) = measure(&["map"]);
    let text = answer["status"]["dd_msg"].as_str().unwrap_or_default();
    assert!(status == 400 && text.contains("line 2, its boxes, line 1"), "{answer}");
}

/// Clients that ask until they are stopped, and count what is no answer of so many boxes.
struct Clients {
    is_over: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Vec<String>>>,
}

impl Clients {
    fn start(server: &Server, expected: usize) -> Self {
        let (is_over, answered): (Arc<AtomicBool>, Arc<AtomicU64>) = Default::default();
        let ask = |number: usize| {
            let (is_over, answered, mut connection) = (Arc::clone(&is_over), Arc::clone(&answered), server.connect());
            let image = images().swap_remove(number % 3);
            let body = json!({"service": "service1", "data": [image]}).to_string();
            std::thread::spawn(move || {
                let mut failures = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    let answer = connection.send("POST", "/predict", body.as_bytes()).unwrap();
                    let boxes = answer
                        .json()
                        .ok()
                        .and_then(|json| Some(json["body"]["predictions"][0]["classes"].as_array()?.len()));
                    if (answer.status, boxes) != (200, Some(expected)) {
                        failures.push(format!("{answer:?}"));
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                failures
            })
        };
        Self { threads: (0..THREADS).map(ask).collect(), is_over, answered }
    }

    fn wait(&self) {
        let goal = self.answered.load(Ordering::Relaxed) + BETWEEN;
        eventually("clients are answered", || self.answered.load(Ordering::Relaxed) >= goal);
    }

    fn end(self) {
        self.wait();
        self.is_over.store(true, Ordering::Relaxed);
        let failures: Vec<String> = self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(failures, Vec::<String>::new());
    }
}

/// Moves `service2` of another server to where clients ask for `service1`; what the move came to.
fn moved<D: Written>(old: &D, detector: &D) -> (Server, Value) {
    let source = Server::start(&[]);
    put(&source, "service2", detector);
    let target = Server::start_with_peers(&[("dev", &source.url())], &[]);
    put(&target, "service1", old);
    let clients = Clients::start(&target, D::BOXES);
    clients.wait();
    let request = json!({
        "service": "service2", "source": "dev", "as": "service1", "auto": true, "shadow_for_s": 60, "watch_for_s": 1,
        // Times say nothing where several tests share the machine.
        "policy": {"expect": "same", "max_p99_ratio": 1e6},
    });
    let (status, answer) = target.post("/moves", &request);
    assert_eq!(status, 202, "{answer}");
    let info = || target.get("/moves/m1").1["body"].clone();
    eventually("the move is over", || ["done", "aborted", "rolled_back"].contains(&info()["phase"].as_str().unwrap()));
    let info = info();
    clients.end();
    (target, info)
}

#[test]
fn a_detector_is_moved_while_clients_ask() {
    let (target, info) = moved(&OLD, &NEW);
    assert_eq!(info["phase"], "done", "{info}");
    let shadow = &info["report"]["shadow"];
    assert!(shadow["agreements"].as_u64() > Some(0) && shadow["incomparable"] == 0, "{info}");
    let distance = shadow["mean_distance"].as_f64().unwrap();
    assert!((0.005..0.03).contains(&distance), "three percent of each score are elsewhere: {info}");
    assert_eq!(info["report"]["golden"]["result"]["missed"], 0, "{info}");
    let (_, answer) = predict(&target, json!({"best_bbox": 1}));
    let bbox = &answer["body"]["predictions"][0]["classes"][0]["bbox"];
    assert_eq!(bbox["xmin"], json!(6.25), "{answer}");
}

#[test]
fn a_detector_of_caffe_is_moved_while_clients_ask() {
    let (target, info) = moved(&OLD_OF_CAFFE, &NEW_OF_CAFFE);
    assert_eq!(info["phase"], "done", "{info}");
    let shadow = &info["report"]["shadow"];
    assert!(shadow["agreements"].as_u64() > Some(0) && shadow["incomparable"] == 0, "{info}");
    assert_eq!(info["report"]["golden"]["result"]["missed"], 0, "{info}");
    let (_, answer) = predict(&target, json!({"best_bbox": 1}));
    let bbox = &answer["body"]["predictions"][0]["classes"][0]["bbox"];
    let moved = bbox["xmin"].as_f64().unwrap() / 159.0 * 32.0;
    assert!(((moved - 0.25) % 8.0 - 1.0).abs() < 1e-3, "a quarter of a pixel of its input further: {answer}");
}

#[test]
fn a_detector_whose_boxes_are_elsewhere_is_not_taken() {
    let (target, info) = moved(&OLD, &PERTURBED);
    assert_eq!(info["phase"], "aborted", "{info}");
    let (_, answer) = predict(&target, json!({"best_bbox": 1}));
    assert_eq!(answer["body"]["predictions"][0]["classes"][0]["bbox"]["xmin"], json!(5.0), "{answer}");
    let example = info["report"]["shadow"]["most_different"][0]["new"].as_str().unwrap();
    assert!(example.starts_with("3 boxes: cat ("), "{info}");
}
