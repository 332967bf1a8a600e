//! What engines compute only after a network was changed for them: defaults and corners of operators, found in files of other tools.
//!
//! The ONNX backend tests (`tests/onnx/conformance.py`) ask for much more; what is here needs no download.

use crate::engines::{Case, alone, assert_close, assert_computed, case, float_network, floats, load, options, usable};
use crate::requests::{Request, open, rows, table, usable_engines};
use dede_backends::neural::engine::{Parallelism, Tensor, Values};
use dede_backends::neural::onnx::Onnx as Backend;
use dede_testing::onnx::Attribute::{Int, Ints, Text};
use dede_testing::onnx::{F32, I64, Onnx, U8};
use serde_json::json;

/// As [`float_network`], of another version of the operator set.
fn of_version(opset: u64, x: &[i64], y: &[i64]) -> Onnx {
    Onnx::new(opset).input("x", F32, x).output("y", F32, y)
}

fn softmax_cases() -> Vec<Case> {
    let x = [1.0f32, 2.0, 3.0, -1.0];
    let sum: f32 = x.iter().map(|value| value.exp()).sum();
    let over_all = || floats(&[1, 2, 2], &x.map(|value| value.exp() / sum));
    let rows = [x[0] - x[1], x[1] - x[0], x[2] - x[3], x[3] - x[2]].map(|gap| 1.0 / (1.0 + (-gap).exp()));
    let three = |opset, attributes: &[(&str, dede_testing::onnx::Attribute<'_>)]| {
        of_version(opset, &[-1, 2, 2], &[-1, 2, 2]).node("Softmax", &["x"], &["y"], attributes)
    };
    let input = || floats(&[1, 2, 2], &x);
    vec![
        case("Softmax 9 takes all from axis 1 on", three(9, &[]), input(), over_all()),
        case("Softmax 11 takes all from an axis on", three(11, &[("axis", Int(1))]), input(), over_all()),
        case("Softmax 11 over the last axis", three(11, &[("axis", Int(-1))]), input(), floats(&[1, 2, 2], &rows)),
        case("Softmax 13 over the last axis", three(13, &[]), input(), floats(&[1, 2, 2], &rows)),
        case(
            "Softmax 9 over channels",
            of_version(9, &[-1, 4, 1, 1], &[-1, 4, 1, 1]).node("Softmax", &["x"], &["y"], &[]),
            floats(&[1, 4, 1, 1], &x),
            floats(&[1, 4, 1, 1], &x.map(|value| value.exp() / sum)),
        ),
        case(
            "LogSoftmax 9 of unknown rank",
            of_version(9, &[-1, 4], &[-1, 4])
                .longs("cube", &[3], &[-1, 2, 2])
                .longs("flat", &[2], &[-1, 4])
                .node("Reshape", &["x", "cube"], &["values"], &[])
                .node("LogSoftmax", &["values"], &["logarithms"], &[])
                .node("Reshape", &["logarithms", "flat"], &["y"], &[]),
            floats(&[1, 4], &x),
            floats(&[1, 4], &x.map(|value| value - sum.ln())),
        ),
    ]
}

fn window_cases() -> Vec<Case> {
    let lower = || ("auto_pad", Text("SAME_LOWER"));
    let pooled = |op, attributes: &[(&str, dede_testing::onnx::Attribute<'_>)], expected: &[f32]| {
        let onnx = float_network(&[1, 1, 1, 3], &[1, 1, 1, -1]).node(op, &["x"], &["y"], attributes);
        case(op, onnx, floats(&[1, 1, 1, 3], &[1.0, 5.0, 2.0]), floats(&[1, 1, 1, expected.len()], expected))
    };
    let weighted =
        |name, op, w: &[f32], attributes: &[(&str, dede_testing::onnx::Attribute<'_>)], x: &[f32], y: &[f32]| {
            let onnx = float_network(&[1, 1, 1, x.len() as i64], &[1, 1, 1, -1])
                .floats("w", &[1, 1, 1, w.len() as i64], w)
                .node(op, &["x", "w"], &["y"], attributes);
            case(name, onnx, floats(&[1, 1, 1, x.len()], x), floats(&[1, 1, 1, y.len()], y))
        };
    let (two, three) = ([1.0, 10.0], [1.0, 10.0, 100.0]);
    let kernel = || ("kernel_shape", Ints(&[1, 2]));
    vec![
        weighted("Conv without attributes", "Conv", &two, &[], &[1.0, 2.0, 3.0], &[21.0, 32.0]),
        weighted("Conv, odd padding first", "Conv", &two, &[lower()], &[1.0, 2.0, 3.0], &[10.0, 21.0, 32.0]),
        weighted(
            "Conv with strides, odd padding first",
            "Conv",
            &three,
            &[lower(), ("strides", Ints(&[1, 2]))],
            &[1.0, 2.0, 3.0, 4.0],
            &[210.0, 432.0],
        ),
        weighted("ConvTranspose without attributes", "ConvTranspose", &two, &[], &[1.0, 2.0], &[1.0, 12.0, 20.0]),
        weighted(
            "ConvTranspose, odd padding first",
            "ConvTranspose",
            &three,
            &[lower(), ("strides", Ints(&[1, 2]))],
            &[1.0, 2.0],
            &[10.0, 102.0, 20.0, 200.0],
        ),
        pooled("MaxPool", &[kernel()], &[5.0, 5.0]),
        pooled("MaxPool", &[kernel(), lower()], &[1.0, 5.0, 5.0]),
        pooled("AveragePool", &[kernel(), lower()], &[1.0, 3.0, 3.5]),
        pooled("AveragePool", &[kernel(), ("auto_pad", Text("VALID"))], &[3.0, 3.5]),
    ]
}

fn type_cases() -> Vec<Case> {
    let to = |code| [("to", Int(code))];
    let truth = |onnx: Onnx| onnx.node("Cast", &["given"], &["truth"], &to(9)).node("Cast", &["truth"], &["y"], &to(1));
    let network = || float_network(&[1, 5], &[1, 5]);
    let input = || floats(&[1, 5], &[0.5, -0.5, 0.0, 3.0, f32::NAN]);
    let number = || floats(&[1, 5], &[0.5, -0.5, 0.0, 3.0, -1.5]);
    let positions = |values| Tensor::new(vec![1], Values::I64(values)).expect("one value");
    let extreme = |name, op, attributes: &[(&str, dede_testing::onnx::Attribute<'_>)], x: &[f32; 3], place| {
        let onnx = Onnx::new(17).input("x", F32, &[1, 3]).output("y", I64, &[1]).node(op, &["x"], &["y"], attributes);
        case(name, onnx, floats(&[1, 3], x), positions(vec![place]))
    };
    let along = || [("axis", Int(1)), ("keepdims", Int(0))];
    vec![
        case(
            "Cast of floats to truth values",
            truth(network().node("Identity", &["x"], &["given"], &[])),
            input(),
            floats(&[1, 5], &[1.0, 1.0, 0.0, 1.0, 1.0]),
        ),
        case(
            "Cast of integers to truth values",
            truth(network().node("Cast", &["x"], &["given"], &to(6))),
            number(),
            floats(&[1, 5], &[0.0, 0.0, 0.0, 1.0, 1.0]),
        ),
        case(
            "Sign of 0",
            network().node("Sign", &["x"], &["y"], &[]),
            number(),
            floats(&[1, 5], &[1.0, -1.0, 0.0, 1.0, -1.0]),
        ),
        extreme("the first of the largest", "ArgMax", &along(), &[1.0, 2.0, 2.0], 1),
        extreme("the first of the least", "ArgMin", &along(), &[2.0, 1.0, 1.0], 1),
        extreme(
            "the last of the largest",
            "ArgMax",
            &[("axis", Int(1)), ("keepdims", Int(0)), ("select_last_index", Int(1))],
            &[1.0, 2.0, 2.0],
            2,
        ),
        case(
            "QuantizeLinear and back, by channel",
            float_network(&[1, 2, 2], &[1, 2, 2])
                .floats("scale", &[2], &[0.5, 1.0])
                .raw("zero", U8, &[2], &[128, 0])
                .node("QuantizeLinear", &["x", "scale", "zero"], &["bytes"], &[])
                .node("DequantizeLinear", &["bytes", "scale", "zero"], &["y"], &[]),
            floats(&[1, 2, 2], &[1.1, -0.9, 2.5, -3.0]),
            floats(&[1, 2, 2], &[1.0, -1.0, 2.0, 0.0]),
        ),
        case(
            "MatMul of a stack of matrices with a vector",
            float_network(&[1, 1, 2, 2], &[1, 1, 2]).floats("v", &[2], &[1.0, 10.0]).node(
                "MatMul",
                &["x", "v"],
                &["y"],
                &[],
            ),
            floats(&[1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0]),
            floats(&[1, 1, 2], &[21.0, 43.0]),
        ),
    ]
}

/// What rten joins with its neighbours into something else, and kernels of it that do not hold for all numbers.
fn joined_cases() -> Vec<Case> {
    let x = [1.0f32, -2.0, 3.0, 0.5];
    let one = |name, opset, onnx: fn(Onnx) -> Onnx, y: &[usize], expected: &[f32]| {
        let dims: Vec<i64> = y.iter().map(|&size| size as i64).collect();
        case(name, onnx(of_version(opset, &[2, 2], &dims)), floats(&[2, 2], &x), floats(y, expected))
    };
    vec![
        one(
            "what is repeated as a whole",
            17,
            |onnx| {
                onnx.longs("axes", &[1], &[1])
                    .longs("three", &[3], &[2, 2, 2])
                    .longs("two", &[2], &[2, 4])
                    .node("Unsqueeze", &["x", "axes"], &["more"], &[])
                    .node("Expand", &["more", "three"], &["stretched"], &[])
                    .node("Reshape", &["stretched", "two"], &["y"], &[])
            },
            &[2, 4],
            &[1.0, -2.0, 1.0, -2.0, 3.0, 0.5, 3.0, 0.5],
        ),
        one(
            "a mean over no axes",
            18,
            |onnx| {
                onnx.longs("axes", &[0], &[]).node(
                    "ReduceMean",
                    &["x", "axes"],
                    &["y"],
                    &[("noop_with_empty_axes", Int(1)), ("keepdims", Int(0))],
                )
            },
            &[2, 2],
            &x,
        ),
        one(
            "nothing added in more axes",
            17,
            |onnx| {
                onnx.floats("c", &[1, 1, 1], &[0.0]).node("Add", &["x", "c"], &["more"], &[]).node(
                    "ReduceSum",
                    &["more"],
                    &["y"],
                    &[("keepdims", Int(1))],
                )
            },
            &[1, 1, 1],
            &[2.5],
        ),
        one(
            "a product scaled in more axes",
            17,
            |onnx| {
                onnx.floats("c", &[1, 1, 1], &[2.0]).node("Mul", &["x", "c"], &["more"], &[]).node(
                    "MatMul",
                    &["more", "x"],
                    &["y"],
                    &[],
                )
            },
            &[1, 2, 2],
            &[-10.0, -6.0, 9.0, -11.5],
        ),
        one(
            "Swish in more axes",
            17,
            |onnx| {
                onnx.floats("c", &[1, 1, 1], &[0.0])
                    .node("Mul", &["c", "x"], &["scaled"], &[])
                    .node("Sigmoid", &["scaled"], &["half"], &[])
                    .node("Mul", &["x", "half"], &["y"], &[])
            },
            &[1, 2, 2],
            &[0.5, -1.0, 1.5, 0.25],
        ),
        one(
            "Softplus of large numbers",
            17,
            |onnx| {
                onnx.floats("c", &[], &[100.0]).node("Mul", &["x", "c"], &["large"], &[]).node(
                    "Softplus",
                    &["large"],
                    &["y"],
                    &[],
                )
            },
            &[2, 2],
            &[100.0, 0.0, 300.0, 50.0],
        ),
        one(
            "names that the file has",
            17,
            |onnx| {
                onnx.floats("dede.0.0.zero", &[], &[1.0]).node("Sign", &["x"], &["s"], &[]).node(
                    "Mul",
                    &["s", "dede.0.0.zero"],
                    &["y"],
                    &[],
                )
            },
            &[2, 2],
            &[1.0, -1.0, 1.0, 1.0],
        ),
    ]
}

#[test]
fn defaults_and_corners_are_those_of_onnx() {
    let cases = [softmax_cases(), window_cases(), type_cases(), joined_cases()];
    assert_computed(&cases.into_iter().flatten().collect::<Vec<Case>>());
}

/// Each engine has a normalisation of its own for such a file, which keeps the axis.
#[test]
fn a_normalisation_that_does_not_keep_its_axis_is_none() {
    let drops = || [("axes", Ints(&[-1])), ("keepdims", Int(0))];
    let onnx = float_network(&[2, 2], &[2, 2])
        .floats("two", &[], &[2.0])
        .floats("epsilon", &[], &[1.0])
        .floats("scale", &[2], &[1.0, 1.0])
        .floats("shift", &[2], &[0.0, 0.0])
        .node("ReduceMean", &["x"], &["mean"], &drops())
        .node("Sub", &["x", "mean"], &["centred"], &[])
        .node("Pow", &["centred", "two"], &["square"], &[])
        .node("ReduceMean", &["square"], &["variance"], &drops())
        .node("Add", &["variance", "epsilon"], &["some"], &[])
        .node("Sqrt", &["some"], &["deviation"], &[])
        .node("Div", &["centred", "deviation"], &["normal"], &[])
        .node("Mul", &["normal", "scale"], &["scaled"], &[])
        .node("Add", &["scaled", "shift"], &["y"], &[]);
    for engine in usable() {
        match engine.load(alone(onnx.build()), &options()) {
            Err(error) => assert!(error.reason.contains("ReduceMean"), "{}: {error}", engine.name()),
            Ok(session) => {
                // The means -0.5 and 1.75 of the rows are taken from the columns.
                let expected = floats(&[2, 2], &[0.495_716, -1.333_662, 1.156_67, -0.444_554]);
                let answer =
                    session.run(vec![floats(&[2, 2], &[1.0, -2.0, 3.0, 0.5])], Parallelism::One).expect("runs");
                assert_close(&answer[0], &expected, engine.name());
            }
        }
    }
}

/// Relu and Clip of a number that is none make no number of it.
#[test]
fn numbers_that_are_none_stay_so() {
    let log = || float_network(&[1, 2], &[1, 2]).node("Log", &["x"], &["none"], &[]);
    let bounds = || log().floats("low", &[], &[0.0]).floats("high", &[], &[1.0]);
    let cases = [
        ("Relu", log().node("Relu", &["none"], &["y"], &[])),
        ("Clip", bounds().node("Clip", &["none", "low", "high"], &["y"], &[])),
        ("Clip from below", bounds().node("Clip", &["none", "low"], &["y"], &[])),
        ("Clip from above", bounds().node("Clip", &["none", "", "high"], &["y"], &[])),
    ];
    for engine in usable() {
        for (name, onnx) in &cases {
            let session = load(engine, onnx);
            let answer = session.run(vec![floats(&[1, 2], &[-1.0, 1.0])], Parallelism::One).expect("runs");
            let Values::F32(values) = answer[0].values() else { panic!("{name}: floats") };
            assert!(values[0].is_nan() && values[1] == 0.0, "{name}, {}: {values:?}", engine.name());
        }
    }
}

#[test]
fn weights_in_files_of_any_name_need_no_more_than_it() {
    let weights: Vec<u8> = [1.0f32, 2.0, 3.0, 4.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    for location in ["weights.bin", "./m.onnx.data", "weights", "weights/0.bin", "./a/./b//0.data"] {
        for engine in usable_engines() {
            let onnx = float_network(&[-1, 2], &[-1, 2]).external_with("w", &[2, 2], &[("location", location)]).node(
                "MatMul",
                &["x", "w"],
                &["y"],
                &[],
            );
            let directory = tempfile::tempdir().expect("a directory");
            std::fs::write(directory.path().join("m.onnx"), onnx.build()).expect("written");
            let beside = directory.path().join(location);
            std::fs::create_dir_all(beside.parent().expect("a directory")).expect("made");
            std::fs::write(beside, &weights).expect("written");
            let request = Request { engine, mllib: json!({"regression": true}), ..Request::default() };
            let opened =
                open(&Backend::new(), directory.path(), &request).unwrap_or_else(|error| panic!("{engine}: {error}"));
            let model = opened.model.expect("a network");
            assert_eq!(rows(model.as_ref(), &table(&[&[1.0, 1.0]])), [[4.0, 6.0]], "{engine}, {location}");
        }
    }
}
