//! What an output means: probabilities, their logarithms, scores or values; which of several outputs; which layout of images.
//!
//! `meanings/networks.bin` is written by `meanings/generate.py`, which says what stands in it.

mod classifiers;

use std::path::Path;

use dede_backends::neural::caffe::Caffe;
use dede_backends::neural::onnx::Onnx as Backend;
use dede_model::backend::{Model, OutputActivation, PredictOptions, ServiceType, Task};
use dede_model::data::{DataKind, Image, Normalization, Pixels, SampleShape, Samples};
use dede_model::request_memory::MemoryShare;
use dede_model::tensor::Floats;
use dede_testing::onnx::Attribute::{Int, Ints};
use dede_testing::onnx::{F32, I8, I64, Onnx, U8};
use dede_testing::protobuf::bytes;
use serde_json::{Value, json};

use crate::requests::{Request, open, refusal, rows, rows_of, table, usable_engines};

const NETWORKS: &[u8] = include_bytes!("meanings/networks.bin");
/// Engines add in another order; a coarser step of a quantised network is far beyond.
const TOLERANCE: f32 = 1e-4;

/// A network of `networks.bin`; without rows it must be refused.
struct Case {
    kind: &'static str,
    classes: usize,
    onnx: &'static [u8],
    expected: Vec<f32>,
}

/// Takes `count` bytes from the front.
fn take(bytes: &mut &'static [u8], count: usize) -> &'static [u8] {
    let (head, tail) = bytes.split_at(count);
    *bytes = tail;
    head
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// The input of all networks, and the networks.
fn cases() -> (Samples, Vec<Case>) {
    const KINDS: [&str; 12] = [
        "softmax",
        "log_softmax",
        "sigmoid",
        "logits",
        "quantised",
        "heads",
        "written_out",
        "unclear",
        "merged",
        "items",
        "classical",
        "coded",
    ];
    let mut rest = NETWORKS;
    let (columns, count) = (usize::from(take(&mut rest, 1)[0]), usize::from(take(&mut rest, 1)[0]));
    let input = floats(take(&mut rest, 4 * columns * count));
    let mut cases = Vec::new();
    while !rest.is_empty() {
        let (kind, classes) = (take(&mut rest, 1)[0], usize::from(take(&mut rest, 1)[0]));
        let length = u16::from_le_bytes(take(&mut rest, 2).try_into().expect("two bytes"));
        let onnx = take(&mut rest, length.into());
        let expected = floats(take(&mut rest, 4 * classes * count));
        cases.push(Case { kind: KINDS[usize::from(kind)], classes, onnx, expected });
    }
    (Samples::Table(Floats::new(vec![count, columns], input).expect("fits")), cases)
}

fn repository(onnx: &[u8]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("m.onnx"), onnx).expect("written");
    directory
}

fn with(mllib: Value) -> Request {
    Request { mllib, ..Request::default() }
}

fn refused(onnx: &[u8], request: &Request) -> String {
    refusal(open(&Backend::new(), repository(onnx).path(), request))
}

fn assert_close(found: &[Vec<f32>], expected: &[&[f32]], what: &str) {
    assert_eq!(difference(found, expected), None, "{what}");
}

/// What tells rows from those that are expected.
fn difference(found: &[Vec<f32>], expected: &[&[f32]]) -> Option<String> {
    let found: Vec<&[f32]> = found.iter().map(Vec::as_slice).collect();
    let is_close = |(found, expected): (&&[f32], &&[f32])| {
        found.len() == expected.len()
            && found.iter().zip(*expected).all(|(found, expected)| (found - expected).abs() < TOLERANCE)
    };
    let equal = found.len() == expected.len() && found.iter().zip(expected).all(is_close);
    (!equal).then(|| format!("{found:?}, expected {expected:?}"))
}

/// What a refusal of a network of that kind says.
fn expected_refusal(kind: &str) -> &'static [&'static str] {
    match kind {
        "items" => &["for each item of a request alone"],
        "coded" => &["DequantizeLinear"],
        _ => &["output_activation", "logits"],
    }
}

#[test]
fn heads_of_every_kind_are_answered_as_they_are_meant() {
    let (samples, cases) = cases();
    assert!(cases.len() >= 300);
    let mut wrong = Vec::new();
    for engine in usable_engines() {
        for (number, case) in cases.iter().enumerate() {
            let what = format!("network {number}, {} on {engine}", case.kind);
            let directory = repository(case.onnx);
            let opened = open(&Backend::new(), directory.path(), &Request { engine, ..Request::default() });
            // Operators that rten has not are refused by it, whatever they mean.
            let may_lack = engine == "rten" && matches!(case.kind, "classical" | "coded" | "items");
            let opened = match opened {
                Err(error) if may_lack && error.to_string().contains("rten") => continue,
                opened => opened,
            };
            match opened {
                Err(error) if case.classes == 0 => {
                    let text = error.to_string();
                    if !expected_refusal(case.kind).iter().all(|part| text.contains(part)) {
                        wrong.push(format!("{what}: {text}"));
                    }
                }
                Err(error) => wrong.push(format!("{what}: refused: {error}")),
                Ok(_) if case.classes == 0 => wrong.push(format!("{what}: answered")),
                Ok(opened) => {
                    let model = opened.model.expect("a network");
                    assert_eq!(model.description().task, Task::Classification { classes: case.classes }, "{what}");
                    let expected: Vec<&[f32]> = case.expected.chunks(case.classes).collect();
                    let found = rows(model.as_ref(), &samples);
                    if let Some(difference) = difference(&found, &expected) {
                        wrong.push(format!("{what}: {difference}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n{} of {}", wrong.join("\n"), wrong.len(), cases.len());
}

/// `y` of two classes, made of the scores `s` of the points by `nodes`.
fn ending(nodes: impl FnOnce(Onnx) -> Onnx) -> Vec<u8> {
    let onnx = Onnx::new(17).input("x", F32, &[-1, 2]).output("y", F32, &[-1, 2]);
    let onnx = onnx.floats("w", &[2, 2], &[1.0, 0.0, 0.0, 1.0]).node("MatMul", &["x", "w"], &["s"], &[]);
    nodes(onnx).build()
}

fn model_of(
    backend: &dyn dede_model::backend::Backend,
    directory: &Path,
    request: &Request,
) -> std::sync::Arc<dyn Model> {
    open(backend, directory, request).expect("opens").model.expect("a network")
}

#[test]
fn the_request_overrides_what_the_file_says() {
    let softmax = [0.622_459_3, 0.377_540_7];
    let cases: [(&str, &str, [f32; 2]); 5] = [
        ("Tanh", "softmax", [0.5f32.tanh(), 0.0]),
        ("Tanh", "sigmoid", [0.5f32.tanh(), 0.0]),
        ("Identity", "logits", softmax),
        ("Neg", "log_softmax", [(-0.5f32).exp(), 1.0]),
        ("Identity", "sigmoid", [0.5, 0.0]),
    ];
    for engine in usable_engines() {
        for (op, activation, expected) in cases {
            let directory = repository(&ending(|onnx| onnx.node(op, &["s"], &["y"], &[])));
            let request = Request { engine, ..with(json!({"output_activation": activation})) };
            let model = model_of(&Backend::new(), directory.path(), &request);
            let description = &model.description().output;
            assert_eq!(description.activation.map(OutputActivation::name), Some(activation));
            assert_eq!(description.name, "y");
            assert_close(&rows(model.as_ref(), &table(&[&[0.5, 0.0]])), &[&expected], &format!("{op} {activation}"));
        }
    }
    let tanh = ending(|onnx| onnx.node("Tanh", &["s"], &["y"], &[]));
    let text = refused(&tanh, &with(json!({})));
    assert!(["Tanh", "y", "m.onnx", "sigmoid", "logits"].iter().all(|part| text.contains(part)), "{text}");
    let text = refused(&tanh, &with(json!({"output_activation": "softmaxx"})));
    assert!(text.contains("softmax, log_softmax, sigmoid, logits"), "{text}");
    let text = refused(&tanh, &with(json!({"output_activation": "softmax", "regression": true})));
    assert!(text.contains("with classes alone"), "{text}");
    let values = model_of(&Backend::new(), repository(&tanh).path(), &with(json!({"regression": true})));
    assert_eq!(values.description().output.activation, None);
}

#[test]
fn quantised_and_independent_scores_stay_as_they_are() {
    let quantised = include_bytes!("meanings/quantised.onnx");
    let points = [[-0.103_928_5, -0.222_392_1, 2.083_593_6, -2.513_478_5]];
    let expected = [0.101_562, 0.183_594, 0.0, 0.0, 0.0, 0.0, 0.0, 0.093_75, 0.0, 0.082_031, 0.535_156];
    let independent = [[0.146_33, 0.259_805, 0.875_868], [0.003_229, 0.870_934, 0.943_564]];
    for engine in usable_engines() {
        let model = model_of(
            &Backend::new(),
            repository(quantised).path(),
            &Request { engine, ..with(json!({"nclasses": 20})) },
        );
        let found = rows(model.as_ref(), &table(&[&points[0]]));
        assert_close(&[found[0][4..15].to_vec()], &[&expected], "quantised");
        let sigmoid = include_bytes!("meanings/sigmoid.onnx");
        let model =
            model_of(&Backend::new(), repository(sigmoid).path(), &Request { engine, ..with(json!({"nclasses": 3})) });
        let found = rows(model.as_ref(), &table(&[&[1.0, 1.0], &[3.0, 0.0]]));
        assert_close(&found, &[&independent[0], &independent[1]], "independent");
    }
    let whole = Onnx::new(17).input("x", F32, &[-1, 2]).output("y", U8, &[-1, 2]).floats("scale", &[], &[0.1]);
    let whole = whole.raw("zero", U8, &[], &[0]).node("QuantizeLinear", &["x", "scale", "zero"], &["y"], &[]).build();
    for mllib in [json!({}), json!({"regression": true})] {
        assert!(refused(&whole, &with(mllib)).contains("DequantizeLinear"));
    }
}

#[test]
fn probabilities_that_rounding_puts_below_zero_lose_no_class() {
    let onnx = ending(|onnx| onnx.node("Identity", &["s"], &["y"], &[]));
    for engine in usable_engines() {
        let request = Request { engine, ..with(json!({"output_activation": "softmax"})) };
        let model = model_of(&Backend::new(), repository(&onnx).path(), &request);
        assert_eq!(rows(model.as_ref(), &table(&[&[-1.2e-7, 1.0], &[-0.005, 1.0]])), [[0.0, 1.0], [-0.005, 1.0]]);
    }
}

#[test]
fn items_that_depend_on_each_other_are_not_answered() {
    let centred = |batch: i64| {
        let onnx = Onnx::new(17).input("x", F32, &[batch, 2]).output("y", F32, &[batch, 2]);
        let onnx = onnx.floats("w", &[2, 2], &[1.0, 0.0, 0.0, 1.0]);
        let onnx = onnx.node("ReduceMean", &["x"], &["m"], &[("axes", Ints(&[0]))]);
        let onnx = onnx.node("Sub", &["x", "m"], &["d"], &[]).node("MatMul", &["d", "w"], &["s"], &[]);
        onnx.node("Softmax", &["s"], &["y"], &[("axis", Int(1))]).build()
    };
    let features = |mllib| Request { service_type: ServiceType::Unsupervised, ..with(mllib) };
    for engine in usable_engines() {
        for request in [
            with(json!({})),
            with(json!({"output_activation": "softmax"})),
            with(json!({"regression": true})),
            features(json!({})),
            features(json!({"extract_layer": "s"})),
        ] {
            for batch in [-1, 4] {
                let text = refused(&centred(batch), &Request { engine, ..request.clone() });
                assert!(text.contains("ReduceMean (node") && text.contains("axis 0"), "{text}");
            }
            // One in each run meets no other.
            model_of(&Backend::new(), repository(&centred(1)).path(), &Request { engine, ..request.clone() });
        }
    }
}

#[test]
fn margins_of_scikit_learn_are_not_probabilities() {
    let margins = ending(|onnx| onnx.node("Identity", &["s"], &["y"], &[]));
    let converted = [bytes(2, b"skl2onnx"), margins.clone()].concat();
    for engine in usable_engines() {
        let request = |mllib| Request { engine, ..with(mllib) };
        let text = refused(&converted, &request(json!({})));
        assert!(text.contains("scikit-learn without probabilities") && text.contains("logits"), "{text}");
        for (onnx, mllib) in [(&margins, json!({})), (&converted, json!({"output_activation": "logits"}))] {
            let model = model_of(&Backend::new(), repository(onnx).path(), &request(mllib));
            assert_eq!(model.description().output.activation, Some(OutputActivation::Logits));
        }
    }
}

#[test]
fn one_score_is_no_classification() {
    let one = Onnx::new(17).input("x", F32, &[-1, 2]).output("y", F32, &[-1, 1]).floats("w", &[2, 1], &[1.0, 2.0]);
    let one = one.node("MatMul", &["x", "w"], &["y"], &[]).build();
    assert!(refused(&one, &with(json!({"nclasses": 1}))).contains("regression: true"));
    let model = model_of(&Backend::new(), repository(&one).path(), &with(json!({})));
    assert_eq!(model.description().task, Task::Regression { targets: 1 });
}

#[test]
fn maps_are_features_or_classes_of_pixels_and_nothing_else() {
    let map = Onnx::new(17).input("x", F32, &[-1, 3, 4, 4]).output("y", F32, &[-1, 3, 4, 4]);
    let map = map.node("Softmax", &["x"], &["y"], &[("axis", Int(1))]).build();
    let images = |mllib| Request { kind: DataKind::Images, ..with(mllib) };
    for mllib in [json!({"nclasses": 48}), json!({"regression": true})] {
        let text = refused(&map, &images(mllib));
        assert!(text.contains("[3, 4, 4]") && text.contains("m.onnx"), "{text}");
    }
    for engine in usable_engines() {
        let request = Request { engine, service_type: ServiceType::Unsupervised, ..images(json!({})) };
        let model = model_of(&Backend::new(), repository(&map).path(), &request);
        assert_eq!(rows(model.as_ref(), &image(4, 4))[0].len(), 48);
        // A softmax over the maps is one of each pixel.
        let model = model_of(&Backend::new(), repository(&map).path(), &Request { engine, ..images(json!({})) });
        assert_eq!(model.description().task, Task::Segmentation { classes: Some(3) });
    }
}

#[test]
fn one_of_several_outputs_is_chosen_or_asked_for() {
    let two = include_bytes!("meanings/two_outputs.onnx");
    let points = table(&[
        &[-0.695_652_54, 0.988_917_77, -0.249_087_99, -0.381_640_43],
        &[-1.223_695_8, 1.346_038_1, -1.003_804, -3.295_865_5],
    ]);
    let probabilities: [&[f32]; 2] = [&[0.809_463, 0.190_537], &[0.858_641, 0.141_359]];
    for engine in usable_engines() {
        let directory = repository(two);
        for mllib in [json!({"nclasses": 2}), json!({"output": "prob"}), json!({"outputBlob": "prob", "nclasses": 2})] {
            let model = model_of(&Backend::new(), directory.path(), &Request { engine, ..with(mllib.clone()) });
            assert_eq!(model.description().output.name, "prob", "{mllib}");
            assert_close(&rows(model.as_ref(), &points), &probabilities, engine);
        }
        let embedding = Request { engine, ..with(json!({"output": "embedding", "regression": true})) };
        assert_eq!(rows(model_of(&Backend::new(), directory.path(), &embedding).as_ref(), &points)[0].len(), 3);
    }
    for request in [with(json!({})), Request { service_type: ServiceType::Unsupervised, ..with(json!({})) }] {
        let text = refused(two, &request);
        assert!(text.contains("embedding ([3]") && text.contains("prob ([2]"), "{text}");
    }
    assert!(refused(two, &with(json!({"output": "probs"}))).contains("found probs"));
    // Two outputs whose shapes only a run tells.
    let unknown = |name: &'static str, onnx: Onnx| onnx.output(name, F32, &[-1, -1]);
    let onnx = unknown("p", unknown("e", Onnx::new(17).input("x", F32, &[-1, 2])));
    let onnx = onnx.floats("w", &[2, 3], &[1.0; 6]).node("MatMul", &["x", "w"], &["e"], &[]);
    let onnx = onnx.node("Softmax", &["x"], &["p"], &[("axis", Int(1))]).build();
    for engine in usable_engines() {
        let model =
            model_of(&Backend::new(), repository(&onnx).path(), &Request { engine, ..with(json!({"nclasses": 2})) });
        assert_close(&rows(model.as_ref(), &table(&[&[1.0, 1.0]])), &[&[0.5, 0.5]], engine);
    }
}

#[test]
fn several_outputs_of_caffe_are_asked_for_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let files: [(&str, &[u8]); 2] = [
        ("deploy.prototxt", include_bytes!("meanings/two_outputs/deploy.prototxt")),
        ("model_iter_1.caffemodel", include_bytes!("meanings/two_outputs/model_iter_1.caffemodel")),
    ];
    for (name, content) in files {
        std::fs::write(directory.path().join(name), content).expect("written");
    }
    let features = |mllib| Request { service_type: ServiceType::Unsupervised, ..with(mllib) };
    let text = refusal(open(&Caffe, directory.path(), &features(json!({}))));
    assert!(text.contains("age ([3]") && text.contains("gender ([2]"), "{text}");
    let points = table(&[&[1.0, 2.0, 3.0, 4.0]]);
    for engine in usable_engines() {
        let cases = [
            (features(json!({"output": "age"})), "age", 3),
            (features(json!({"outputBlob": "gender"})), "gender", 2),
            (with(json!({"nclasses": 3})), "age", 3),
            (with(json!({"regression": true, "ntargets": 2})), "gender", 2),
        ];
        for (request, name, values) in cases {
            let model = model_of(&Caffe, directory.path(), &Request { engine, ..request });
            assert_eq!(model.description().output.name, name);
            assert_eq!(rows(model.as_ref(), &points)[0].len(), values);
        }
    }
    assert!(refusal(open(&Caffe, directory.path(), &with(json!({"nclasses": 4})))).contains("found none"));
}

#[test]
fn maps_of_scikit_learn_are_their_probabilities_or_refused() {
    let maps = include_bytes!("meanings/zipmap.onnx");
    let points = table(&[&[5.1, 3.5, 1.4, 0.2], &[1.0, 4.0, 2.0, 1.0]]);
    let expected: [&[f32]; 2] = [&[0.814_13, 0.183_48, 0.002_39], &[0.005_46, 0.989_6, 0.004_94]];
    for engine in usable_engines() {
        for mllib in [json!({"nclasses": 3}), json!({})] {
            let request = Request { engine, ..with(mllib) };
            match engine {
                "rten" => assert!(refused(maps, &request).contains("ZipMap")),
                _ => {
                    let model = model_of(&Backend::new(), repository(maps).path(), &request);
                    assert_eq!(model.description().task, Task::Classification { classes: 3 });
                    assert_close(&rows(model.as_ref(), &points), &expected, engine);
                }
            }
        }
    }
}

/// What a quantiser writes that finds the scale of numbers as they come: that of a run is that of its largest number.
#[test]
fn scales_of_a_run_are_those_of_one_item() {
    let onnx = Onnx::new(17).input("x", F32, &[-1, 4]).output("y", F32, &[-1, 3]);
    let weights = [3i8, -5, 7, 11, 2, -9, 4, 6, -8, 1, -3, 10].map(|weight| weight as u8);
    let onnx = onnx.raw("w", I8, &[4, 3], &weights).floats("scale", &[], &[0.1]);
    let onnx = onnx.node("DynamicQuantizeLinear", &["x"], &["q", "s", "z"], &[]);
    let onnx = onnx.node("MatMulInteger", &["q", "w", "z"], &["i"], &[]);
    let onnx = onnx.node("Cast", &["i"], &["f"], &[("to", Int(1))]).node("Mul", &["s", "scale"], &["m"], &[]);
    let onnx = onnx.node("Mul", &["f", "m"], &["l"], &[]).node("Softmax", &["l"], &["y"], &[("axis", Int(1))]).build();
    let points: [&[f32]; 3] = [&[1000.0, 0.0, 0.0, 0.0], &[0.1, 0.2, -0.3, 0.4], &[-2.0, 1.0, 0.5, 0.0]];
    for engine in usable_engines() {
        let model = model_of(&Backend::new(), repository(&onnx).path(), &Request { engine, ..with(json!({})) });
        let together = rows(model.as_ref(), &table(&points));
        for (point, found) in points.iter().zip(&together) {
            assert_eq!(rows(model.as_ref(), &table(&[point])), [found.as_slice()], "{engine}");
        }
        assert!((together[1][0] - together[1][1]).abs() > 0.01, "{engine}: {together:?}");
    }
}

/// Files may leave out the type of an output.
#[test]
fn an_output_without_a_type_is_a_tensor() {
    let onnx = Onnx::new(17).input("x", F32, &[-1, 2]).untyped_output("y");
    let onnx = onnx.node("Softmax", &["x"], &["y"], &[("axis", Int(1))]).build();
    for engine in usable_engines() {
        let model = model_of(&Backend::new(), repository(&onnx).path(), &Request { engine, ..with(json!({})) });
        assert_close(&rows(model.as_ref(), &table(&[&[1.0, 1.0]])), &[&[0.5, 0.5]], engine);
    }
}

#[test]
fn labels_are_no_values() {
    let label = Onnx::new(17).input("x", F32, &[-1, 2]).output("y", I64, &[-1, 1]);
    let label = label.node("ArgMax", &["x"], &["y"], &[("axis", Int(1)), ("keepdims", Int(1))]).build();
    for mllib in [json!({}), json!({"regression": true}), json!({"nclasses": 1})] {
        let text = refused(&label, &with(mllib));
        assert!(text.contains("class labels"), "{text}");
    }
    for engine in usable_engines() {
        let request = Request { engine, service_type: ServiceType::Unsupervised, ..with(json!({})) };
        let model = model_of(&Backend::new(), repository(&label).path(), &request);
        assert_eq!(rows(model.as_ref(), &table(&[&[1.0, 2.0], &[2.0, 1.0]])), [[1.0], [0.0]]);
    }
}

/// Each pixel of three channels is its place.
fn image(width: usize, height: usize) -> Samples {
    let pixels = (0..width * height).flat_map(|place| [place as u8, 100, 200]).collect();
    let (original_width, original_height) = (width, height);
    let pixels = Pixels::U8(pixels);
    let image = Image { width, height, channels: 3, pixels, original_width, original_height, frame: None };
    Samples::Images { images: vec![image], normalization: Normalization::default() }
}

#[test]
fn shapes_that_fit_both_layouts_are_asked_for() {
    let flat = |dims: &[i64]| {
        let values = dims.iter().product::<i64>();
        let onnx = Onnx::new(17).input("x", F32, &[&[-1][..], dims].concat()).output("y", F32, &[-1, values]);
        onnx.node("Flatten", &["x"], &["y"], &[("axis", Int(1))]).build()
    };
    let images = |input: Value| Request {
        kind: DataKind::Images,
        service_type: ServiceType::Unsupervised,
        input,
        ..with(json!({}))
    };
    let text = refused(&flat(&[3, 5, 3]), &images(json!({})));
    assert!(text.contains("nchw (height 5, width 3") && text.contains("nhwc (height 3, width 5"), "{text}");
    let cases = [
        (&[3, 5, 3][..], json!({"layout": "nhwc"}), (5, 3), [0.0, 100.0, 200.0, 1.0]),
        (&[3, 5, 3], json!({"layout": "nchw"}), (3, 5), [0.0, 1.0, 2.0, 3.0]),
        (&[3, 5, 3], json!({"width": 5, "height": 3}), (5, 3), [0.0, 100.0, 200.0, 1.0]),
        (&[4, 5, 3], json!({}), (5, 4), [0.0, 100.0, 200.0, 1.0]),
        (&[4, 5, 3], json!({"width": 5, "height": 4}), (5, 4), [0.0, 100.0, 200.0, 1.0]),
    ];
    for engine in usable_engines() {
        for (dims, input, (width, height), expected) in &cases {
            let model =
                model_of(&Backend::new(), repository(&flat(dims)).path(), &Request { engine, ..images(input.clone()) });
            let shape = SampleShape::Image { width: Some(*width), height: Some(*height), channels: 3 };
            assert_eq!(model.description().shape, Some(shape), "{dims:?} {input}");
            assert_eq!(rows(model.as_ref(), &image(*width, *height))[0][..4], expected[..], "{dims:?} {input}");
        }
    }
}

#[test]
fn layers_of_maps_are_features_by_name() {
    let onnx = Onnx::new(17).input("x", F32, &[-1, 3, 4, 4]).output("y", F32, &[-1, 3]);
    let onnx = onnx.node("Relu", &["x"], &["map"], &[]).node("GlobalAveragePool", &["map"], &["mean"], &[]);
    let onnx = onnx.node("Flatten", &["mean"], &["y"], &[("axis", Int(1))]).build();
    for engine in usable_engines() {
        let repository = repository(&onnx);
        let request = Request { engine, kind: DataKind::Images, ..with(json!({})) };
        let model = model_of(&Backend::new(), repository.path(), &request);
        let options = PredictOptions { extract_layer: Some("map".into()), ..PredictOptions::default() };
        let features = model.predict(&image(4, 4), &options, &MemoryShare::unbounded()).expect("features");
        assert_eq!(rows_of(&features)[0].len(), 48);
    }
}
