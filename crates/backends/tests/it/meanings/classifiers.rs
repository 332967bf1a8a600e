//! Classifiers that scikit-learn's converter wrote, means that are written out, and files that name a value twice, on each engine.
//!
//! `calibrated.onnx` is a `CalibratedClassifierCV` of a `LinearSVC`, `neighbours.onnx` a `KNeighborsClassifier` with
//! `weights="distance"`, `descent.onnx` an `SGDClassifier` with `loss="log_loss"`, of three classes each, by skl2onnx without ZipMap. Their
//! numbers are those of scikit-learn and of ONNX Runtime; of the neighbours, whose converter loses the distances, those of the latter.

use super::*;

#[test]
fn classifiers_that_divide_by_their_sum_are_answered_as_they_are() {
    type Case = (&'static [u8], [[f32; 3]; 2]);
    let cases: [Case; 3] = [
        (include_bytes!("calibrated.onnx"), [[0.425_089, 0.297_288, 0.277_623], [0.356_882, 0.515_757, 0.127_361]]),
        (include_bytes!("neighbours.onnx"), [[0.666_667, 0.333_333, 0.0], [0.0, 1.0, 0.0]]),
        (include_bytes!("descent.onnx"), [[0.0, 0.000_005, 0.999_995], [0.0, 1.0, 0.0]]),
    ];
    for engine in usable_engines() {
        for (number, (onnx, expected)) in cases.iter().enumerate() {
            let request = Request { engine, ..with(json!({"nclasses": 3})) };
            let directory = repository(onnx);
            let opened = match open(&Backend::new(), directory.path(), &request) {
                // Operators that it has not.
                Err(error) if engine == "rten" && error.to_string().contains("rten") => continue,
                opened => opened.expect("opens"),
            };
            let model = opened.model.expect("a network");
            let expected = expected.each_ref().map(|row| row.as_slice());
            let found = rows(model.as_ref(), &table(&[&[0.5, 0.25], &[1.75, -0.5]]));
            assert_close(&found, &expected, &format!("classifier {number} on {engine}"));
        }
    }
}

#[test]
fn means_that_are_written_out_are_answered_as_they_are() {
    let mean = ending(|onnx| {
        let onnx = onnx.node("Softmax", &["s"], &["p"], &[]).node("Softmax", &["x"], &["q"], &[]);
        let onnx = onnx.floats("two", &[], &[2.0]).floats("three", &[], &[3.0]);
        let onnx = onnx.node("Mul", &["p", "two"], &["t"], &[]).node("Add", &["t", "q"], &["u"], &[]);
        onnx.node("Div", &["u", "three"], &["y"], &[])
    });
    for engine in usable_engines() {
        let request = Request { engine, ..Request::default() };
        let model = model_of(&Backend::new(), repository(&mean).path(), &request);
        let expected: [&[f32]; 1] = [&[0.622_459_3, 0.377_540_7]];
        assert_close(&rows(model.as_ref(), &table(&[&[0.5, 0.0]])), &expected, engine);
    }
}

#[test]
fn a_value_that_is_made_twice_is_refused_by_each_engine() {
    let twice = ending(|onnx| {
        onnx.node("Softmax", &["s"], &["y"], &[]).node("Identity", &["s"], &["z"], &[]).node("Exp", &["s"], &["y"], &[])
    });
    let given = ending(|onnx| onnx.floats("y", &[1, 2], &[0.0, 1.0]).node("Softmax", &["s"], &["y"], &[]));
    for engine in usable_engines() {
        for onnx in [&twice, &given] {
            let text = refused(onnx, &Request { engine, ..Request::default() });
            assert!(text.contains("found y made by") && text.contains("node Softmax_1"), "{engine}: {text}");
            let asked = Request { engine, ..with(json!({"output_activation": "softmax"})) };
            assert!(refused(onnx, &asked).contains("made by"), "{engine}");
        }
    }
}
