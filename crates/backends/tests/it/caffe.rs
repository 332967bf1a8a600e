//! mllib `caffe` on repositories of the original server: what it answers, what it chooses, what it refuses.

use std::path::Path;

use dede_backends::neural::caffe::Caffe;
use dede_model::backend::{Backend, PredictOptions, ServiceType, Task};
use dede_model::data::{DataKind, Image, Normalization, Pixels, SampleShape, Samples};
use dede_model::error::Error;
use dede_model::repository::Repository;
use dede_model::request_memory::MemoryShare;
use dede_testing::conformance::backend::{BackendCase, backend_suite};
use dede_testing::fixtures;
use dede_testing::networks::{Generation, Network};
use serde_json::json;

use crate::requests::{Request, open, options, refusal, rows, rows_of, table, usable_engines};

/// The original computed in another order.
const TOLERANCE: f32 = 1e-4;

/// Bounds of the columns of iris, as recorded; a row is scaled by them.
const BOUNDS: [(f32, f32); 4] = [(4.3, 7.9), (2.0, 4.4), (1.0, 6.9), (0.1, 2.5)];
/// Two recorded rows, `901` and `902`.
const FLOWERS: [[f32; 4]; 2] = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]];

fn flowers() -> Samples {
    let scale = |row: [f32; 4]| {
        let mut scaled = [0.0; 4];
        for (index, (value, (low, high))) in row.into_iter().zip(BOUNDS).enumerate() {
            scaled[index] = (value - low) / (high - low);
        }
        scaled
    };
    let scaled = FLOWERS.map(scale);
    table(&[&scaled[0], &scaled[1]])
}

/// `(repository, weights, recorded probabilities of 901 and 902)`: transcripts 02 (8) and 10 (3), where iteration 0 was served.
fn recorded() -> [(&'static str, &'static str, [[f32; 3]; 2]); 2] {
    [
        (
            "iris",
            "model_iter_300.caffemodel",
            [[0.997_304_44, 0.002_589_380_1, 0.000_106_133_13], [5.079_011e-15, 1.632_155_5e-6, 0.999_998_33]],
        ),
        (
            "mv_dev",
            "model_iter_0.caffemodel",
            [[0.314_017_9, 0.327_004_73, 0.358_977_38], [0.426_547_26, 0.227_690_76, 0.345_761_98]],
        ),
    ]
}

#[test]
fn recorded_predictions_are_repeated_on_every_engine() {
    for engine in usable_engines() {
        for (name, weights, expected) in recorded() {
            let request = Request {
                engine,
                mllib: json!({"nclasses": 3}),
                model: json!({"weights": weights}),
                ..Request::default()
            };
            let opened = open(&Caffe, &fixtures::model(name), &request).expect("opens");
            let model = opened.model.expect("a network");
            assert_eq!(model.description().weights, weights);
            assert_eq!(model.description().shape, Some(SampleShape::Row { columns: 4 }));
            for (row, expected) in rows(model.as_ref(), &flowers()).iter().zip(expected) {
                for (found, expected) in row.iter().zip(expected) {
                    assert!((found - expected).abs() < TOLERANCE, "{name} on {engine}: {found}, recorded {expected}");
                }
            }
        }
    }
}

#[test]
fn every_repository_of_the_original_opens() {
    let classes = Some(Task::Classification { classes: 3 });
    let image = |side| SampleShape::Image { width: Some(side), height: Some(side), channels: 3 };
    let cases = [
        ("iris", DataKind::Table, SampleShape::Row { columns: 4 }),
        ("iriscat", DataKind::Table, SampleShape::Row { columns: 7 }),
        ("lreg", DataKind::Table, SampleShape::Row { columns: 4 }),
        ("imgconv", DataKind::Images, image(64)),
        ("imgsq", DataKind::Images, image(227)),
    ];
    for (name, kind, shape) in cases {
        let opened = open(&Caffe, &fixtures::model(name), &Request { kind, ..Request::default() }).expect(name);
        assert_eq!(opened.task, classes, "{name}");
        let model = opened.model.expect("a network");
        assert_eq!(model.description().shape, Some(shape), "{name}");
        assert!(model.description().parameters > 0 && model.description().flops > 0, "{name}");
        assert_eq!(opened.files.len(), if kind == DataKind::Images { 3 } else { 2 }, "{name}");
    }
}

#[test]
fn without_weights_best_model_decides_and_without_it_the_highest_iteration() {
    let directory = tempfile::tempdir().expect("a directory");
    let root = fixtures::copy_model("iris", directory.path()).expect("copied");
    let served = || open(&Caffe, &root, &Request::default()).expect("opens").model.expect("a network");
    assert_eq!(served().description().weights, "model_iter_100.caffemodel");
    std::fs::remove_file(root.join("best_model.txt")).expect("removed");
    assert_eq!(served().description().weights, "model_iter_300.caffemodel");
}

#[test]
fn a_repository_without_weights_is_a_service_without_model() {
    let request = Request { mllib: json!({"regression": true, "ntargets": 1}), ..Request::default() };
    let opened = open(&Caffe, &fixtures::model("reg"), &request).expect("opens");
    assert!(opened.model.is_none());
    assert_eq!(opened.task, Some(Task::Regression { targets: 1 }));
    let cases = [
        (json!({}), "number of classes is unknown (nclasses == 0)"),
        (json!({"nclasses": 0}), "number of classes is unknown (nclasses == 0)"),
        (json!({"regression": true}), "number of regression targets is unknown (ntargets == 0)"),
        (json!({"nclasses": 3, "template": "resnet_18"}), "not supported yet: template resnet_18"),
        (
            json!({"nclasses": 3, "template": "nosuch"}),
            "failed to locate model template templates/caffe//nosuch/.prototxt",
        ),
        (json!({"nclasses": 3, "template": "mlp", "activation": "mish"}), "parameters.mllib.activation"),
        (json!({"nclasses": 3, "template": "mlp", "layers": ["x"]}), "parameters.mllib.layers"),
        (
            json!({"nclasses": 3, "template": "mlp", "finetuning": true}),
            "finetuning requires specifying an existing weights file",
        ),
        (json!({"nclasses": 3, "template": "mlp", "activation": "swish"}), "not supported yet: activation swish"),
        (json!({"nclasses": 3, "template": "mlp", "dropout": 1.0}), "parameters.mllib.dropout"),
        (json!({"nclasses": 3, "template": "mlp", "dropout": -0.1}), "parameters.mllib.dropout"),
        (json!({"nclasses": 3, "template": "mlp", "layers": 8}), "expected an array such as [50, 50]"),
        (json!({"nclasses": 3, "template": "convnet"}), "convnet needs images, found a table of numbers"),
        (
            json!({"nclasses": 3, "template": "lregression", "layers": [8]}),
            "has no hidden layer (parameters.mllib.layers)",
        ),
        (
            json!({"nclasses": 3, "ntargets": 7, "template": "mlp"}),
            "expected none, as the service answers 3 classes, found 7 (parameters.mllib.ntargets)",
        ),
        (
            json!({"regression": true, "nclasses": 3, "ntargets": 7}),
            "expected none, as the service answers 7 values, found 3 (parameters.mllib.nclasses)",
        ),
    ];
    let empty = tempfile::tempdir().expect("a directory");
    for (mllib, expected) in cases {
        let text = refusal(open(&Caffe, empty.path(), &Request { mllib: mllib.clone(), ..Request::default() }));
        assert!(text.contains(expected), "{mllib}: {text}");
    }
}

#[test]
fn what_the_network_cannot_take_is_refused_at_creation_with_both_values() {
    let image = |input| Request { kind: DataKind::Images, input, ..Request::default() };
    let cases = [
        ("iris", Request { mllib: json!({"nclasses": 7}), ..Request::default() }, ["3 outputs", "nclasses 7"]),
        (
            "iris",
            Request { mllib: json!({"regression": true, "ntargets": 2}), ..Request::default() },
            ["3 outputs", "ntargets 2"],
        ),
        ("imgconv", image(json!({"width": 100})), ["width 64", "100"]),
        ("imgconv", image(json!({"crop_height": 32})), ["64", "32"]),
        ("imgconv", image(json!({"bw": true})), ["3 channels", "bw"]),
        ("imgconv", image(json!({"mean": [128, 128, 128]})), ["beside mean.binaryproto", "parameters.input.mean"]),
        (
            "iris",
            Request { mllib: json!({"class_weights": [1, 1]}), ..Request::default() },
            ["expected 3 numbers, one per class", "found 2"],
        ),
        (
            "iris",
            Request { model: json!({"weights": "nosuch.caffemodel"}), ..Request::default() },
            ["nosuch", "model.weights"],
        ),
    ];
    for (name, request, expected) in cases {
        let text = refusal(open(&Caffe, &fixtures::model(name), &request));
        assert!(expected.iter().all(|part| text.contains(part)), "{name}: {text}");
    }
    let fitting = image(json!({"width": 64, "height": 64, "bw": false}));
    assert!(open(&Caffe, &fixtures::model("imgconv"), &fitting).is_ok());
}

#[test]
fn a_template_equal_to_the_network_is_accepted_and_another_says_what_differs() {
    let mlp = |layers: &[u32]| json!({"template": "mlp", "nclasses": 3, "layers": layers, "activation": "relu"});
    let exists = "using template while model prototxt and network weights exist";
    let mut finetuning = mlp(&[16, 16]);
    finetuning["finetuning"] = json!(true);
    let cases = [
        ("iris", mlp(&[16, 16]), None),
        ("iris", json!({"template": "mlp", "layers": [16, 16]}), None),
        ("iris", mlp(&[50]), Some([exists, "InnerProduct 16"])),
        ("iris", json!({"template": "mlp", "layers": [16, 16], "activation": "tanh"}), Some([exists, "TanH"])),
        ("iris", json!({"template": "resnet_18"}), Some([exists, "resnet_18.prototxt"])),
        ("iris", finetuning, Some(["using template for finetuning", "already exists"])),
        ("lreg", json!({"template": "lregression", "nclasses": 3}), None),
    ];
    for (name, mllib, expected) in cases {
        let opened = open(&Caffe, &fixtures::model(name), &Request { mllib: mllib.clone(), ..Request::default() });
        match expected {
            None => assert!(opened.expect(name).model.is_some(), "{mllib}"),
            Some(parts) => {
                let text = refusal(opened);
                assert!(parts.iter().all(|part| text.contains(part)), "{mllib}: {text}");
            }
        }
    }
    let squeezenet = Request {
        kind: DataKind::Images,
        mllib: json!({"template": "squeezenet", "nclasses": 3}),
        ..Request::default()
    };
    assert!(open(&Caffe, &fixtures::model("imgsq"), &squeezenet).is_ok());
}

#[test]
fn damaged_files_name_the_file_and_the_layer() {
    let directory = tempfile::tempdir().expect("a directory");
    let root = fixtures::copy_model("iris", directory.path()).expect("copied");
    let weights = root.join("model_iter_300.caffemodel");
    let request = Request { model: json!({"weights": "model_iter_300.caffemodel"}), ..Request::default() };
    let whole = std::fs::read(&weights).expect("read");
    for cut in (0..whole.len()).step_by(97) {
        std::fs::write(&weights, &whole[..cut]).expect("written");
        let text = refusal(open(&Caffe, &root, &request));
        assert!(text.contains("model_iter_300.caffemodel"), "{cut} bytes: {text}");
    }
    std::fs::write(&weights, &whole).expect("written");
    let deploy = root.join("deploy.prototxt");
    let text = std::fs::read_to_string(&deploy).expect("read");
    let cases = [
        (text.replacen("num_output: 16", "num_output: 17", 1), "fc_data"),
        (text.replace("InnerProduct", "Mystery"), "fc_data"),
        (text.replace("num_output: 16", "num_output: 4000000000"), "fc_data"),
        (text.replace('}', ""), "deploy.prototxt"),
        ("layer {".repeat(100_000), "deploy.prototxt"),
    ];
    for (damaged, expected) in cases {
        std::fs::write(&deploy, &damaged).expect("written");
        let text = refusal(open(&Caffe, &root, &request));
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn layers_are_extracted_by_the_names_of_the_original() {
    for engine in usable_engines() {
        let request = Request { engine, ..Request::default() };
        let model = open(&Caffe, &fixtures::model("iris"), &request).expect("opens").model.expect("a network");
        let layer = |name: &str| PredictOptions { extract_layer: Some(name.into()), ..PredictOptions::default() };
        let hidden =
            rows_of(&model.predict(&flowers(), &layer("fc_data"), &MemoryShare::unbounded()).expect("features"));
        assert_eq!(hidden.iter().map(Vec::len).collect::<Vec<_>>(), [16, 16]);
        let rectified =
            rows_of(&model.predict(&flowers(), &layer("act_ReLU_ip0"), &MemoryShare::unbounded()).expect("features"));
        assert!(hidden.iter().flatten().any(|&value| value < 0.0), "the ReLU in place comes later");
        for (hidden, rectified) in hidden.iter().flatten().zip(rectified.iter().flatten()) {
            assert!((hidden.max(0.0) - rectified).abs() < 1e-6, "{engine}: {hidden} and {rectified}");
        }
        for name in ["last", "nolayer"] {
            match model.predict(&flowers(), &layer(name), &MemoryShare::unbounded()) {
                Err(Error::BadParameter(fault)) => assert_eq!(fault.reason, format!("unknown extract layer {name}")),
                other => panic!("refused expected, found {other:?}"),
            }
        }
        let features =
            Request { service_type: ServiceType::Unsupervised, mllib: json!({"extract_layer": "fc_data"}), ..request };
        let opened = open(&Caffe, &fixtures::model("iris"), &features).expect("opens");
        assert_eq!(opened.task, Some(Task::Features));
        assert_eq!(rows(opened.model.expect("a network").as_ref(), &flowers()), hidden);
    }
}

/// A picture with a gradient that depends on `seed`.
fn picture(side: usize, seed: usize) -> Image {
    let pixels = (0..side * side * 3).map(|index| ((index * (seed * 7 + 3)) / 11 % 256) as u8).collect();
    let (width, height) = (side, side);
    Image {
        width,
        height,
        channels: 3,
        pixels: Pixels::U8(pixels),
        original_width: width,
        original_height: height,
        frame: None,
    }
}

#[test]
fn the_backend_suite_holds_for_tables_and_images() {
    let images = Samples::Images {
        images: vec![picture(227, 1), picture(227, 2), picture(227, 5)],
        normalization: Normalization::default(),
    };
    for engine in usable_engines() {
        for (name, samples, tolerance) in [("imgsq", images.clone(), 0.0), ("iris", flowers(), 1e-6)] {
            let repository = Repository::open(fixtures::model(name), false).expect("opens");
            let case = BackendCase {
                backend: &Caffe,
                repository: &repository,
                mllib: json!({"nclasses": 3}).as_object().cloned().expect("an object"),
                input: dede_model::parameters::Section::new(),
                samples,
                engine: options(engine),
                tolerance,
            };
            backend_suite(&case);
        }
    }
}

/// A thousand classes, no size given: the repository says it all.
fn opens_generated(root: &Path, engine: &'static str) {
    let request = Request { engine, kind: DataKind::Images, mllib: json!({"nclasses": 1000}), ..Request::default() };
    let model = open(&Caffe, root, &request).expect("opens").model.expect("a network");
    let samples = Samples::Images { images: vec![picture(227, 3)], normalization: Normalization::default() };
    let answer = rows(model.as_ref(), &samples);
    assert_eq!(answer[0].len(), 1000);
    assert!((answer[0].iter().sum::<f32>() - 1.0).abs() < 1e-3);
}

#[test]
fn a_generated_squeezenet_is_served_without_any_size() {
    let directory = tempfile::tempdir().expect("a directory");
    Network::SqueezeNet.write_repository(directory.path(), Generation::default()).expect("written");
    for engine in usable_engines() {
        opens_generated(directory.path(), engine);
    }
}

#[test]
fn library_files_are_told_by_their_suffix() {
    for (name, expected) in [
        ("model_iter_3.caffemodel", true),
        ("model_iter_3.solverstate", true),
        ("config.json", true),
        ("corresp.txt", false),
        ("deploy.prototxt", false),
        ("a.json.txt", false),
    ] {
        assert_eq!(Caffe.is_library_file(name), expected, "{name}");
    }
}
