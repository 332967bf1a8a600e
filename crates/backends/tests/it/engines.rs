//! The conformance suite of engines: every engine gives the values computed by hand, or refuses by name what it would
//! compute wrongly. An engine that is not there is reported as skipped, unless the variable `CI` is set.

use dede_backends::neural::engine::{
    Availability, Engine, LoadOptions, Network, Parallelism, Session, Tensor, Values, engines,
};
use dede_testing::onnx::Attribute::{Float, Int, Ints, Text};
use dede_testing::onnx::{BOOL, F32, I64, Onnx, U8};

/// Engines add in different orders; values here are of size 1 to 100.
const TOLERANCE: f32 = 1e-5;

/// Engines that work here.
pub(crate) fn usable() -> Vec<&'static dyn Engine> {
    let works = |engine: &&'static dyn Engine| match engine.check() {
        Availability::Usable { .. } => true,
        Availability::Unusable { reason } => {
            assert!(std::env::var_os("CI").is_none(), "{} must be there in CI: {reason}", engine.name());
            eprintln!("skipped: {}: {reason}", engine.name());
            false
        }
    };
    engines().into_iter().filter(works).collect()
}

pub(crate) fn alone(onnx: Vec<u8>) -> Network {
    Network { onnx: onnx.into(), ..Network::default() }
}

pub(crate) fn options() -> LoadOptions {
    LoadOptions { threads: 2, lanes: 2, outputs: Vec::new(), is_optimised: true }
}

pub(crate) fn load(engine: &dyn Engine, onnx: &Onnx) -> Box<dyn Session> {
    let network = alone(onnx.build());
    engine.load(network, &options()).unwrap_or_else(|error| panic!("{}: {error}", engine.name()))
}

pub(crate) fn floats(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::new(shape.to_vec(), Values::F32(values.to_vec())).expect("the shape fits")
}

pub(crate) fn assert_close(found: &Tensor, expected: &Tensor, place: &str) {
    assert_eq!(found.shape(), expected.shape(), "{place}");
    match (found.values(), expected.values()) {
        (Values::F32(found), Values::F32(expected)) => {
            for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
                let bound = TOLERANCE * expected.abs().max(1.0);
                assert!((found - expected).abs() <= bound, "{place}[{index}]: {found}, expected {expected}");
            }
        }
        (found, expected) => assert_eq!(found, expected, "{place}"),
    }
}

/// A network with input `x` and output `y`, what goes in, and what must come out.
pub(crate) struct Case {
    name: &'static str,
    onnx: Onnx,
    input: Tensor,
    expected: Tensor,
}

pub(crate) fn case(name: &'static str, onnx: Onnx, input: Tensor, expected: Tensor) -> Case {
    Case { name, onnx, input, expected }
}

/// `x` and `y` of the given shapes, in floats.
pub(crate) fn float_network(x: &[i64], y: &[i64]) -> Onnx {
    Onnx::new(17).input("x", F32, x).output("y", F32, y)
}

fn element_wise_cases() -> Vec<Case> {
    let x = [-2.0, -0.5, 0.0, 3.0];
    let unary = |name, attributes: &[(&str, dede_testing::onnx::Attribute<'_>)], expected: [f32; 4]| {
        let onnx = float_network(&[-1, 4], &[-1, 4]).node(name, &["x"], &["y"], attributes);
        case(name, onnx, floats(&[1, 4], &x), floats(&[1, 4], &expected))
    };
    let exp = |value: f32| value.exp();
    vec![
        unary("Relu", &[], [0.0, 0.0, 0.0, 3.0]),
        unary("LeakyRelu", &[("alpha", Float(0.1))], [-0.2, -0.05, 0.0, 3.0]),
        unary("Elu", &[("alpha", Float(2.0))], [2.0 * (exp(-2.0) - 1.0), 2.0 * (exp(-0.5) - 1.0), 0.0, 3.0]),
        unary("Sigmoid", &[], x.map(|value| 1.0 / (1.0 + exp(-value)))),
        unary("Tanh", &[], x.map(f32::tanh)),
        unary("Abs", &[], x.map(f32::abs)),
        unary("Exp", &[], x.map(f32::exp)),
        unary(
            "Softmax",
            &[("axis", Int(1))],
            x.map(|value| exp(value) / x.iter().map(|&other| exp(other)).sum::<f32>()),
        ),
        case(
            "PRelu",
            float_network(&[1, 2, 1, 2], &[1, 2, 1, 2]).floats("s", &[2, 1, 1], &[0.5, 0.25]).node(
                "PRelu",
                &["x", "s"],
                &["y"],
                &[],
            ),
            floats(&[1, 2, 1, 2], &[-2.0, 4.0, -2.0, 4.0]),
            floats(&[1, 2, 1, 2], &[-1.0, 4.0, -0.5, 4.0]),
        ),
        case(
            "Pow, Sqrt, Div, Mul",
            float_network(&[1, 2], &[1, 2])
                .floats("two", &[], &[2.0])
                .node("Pow", &["x", "two"], &["square"], &[])
                .node("Sqrt", &["square"], &["root"], &[])
                .node("Div", &["square", "root"], &["quotient"], &[])
                .node("Mul", &["quotient", "two"], &["y"], &[]),
            floats(&[1, 2], &[3.0, -4.0]),
            floats(&[1, 2], &[6.0, 8.0]),
        ),
        case(
            "Clip",
            float_network(&[1, 4], &[1, 4]).floats("low", &[], &[-1.0]).floats("high", &[], &[1.0]).node(
                "Clip",
                &["x", "low", "high"],
                &["y"],
                &[],
            ),
            floats(&[1, 4], &x),
            floats(&[1, 4], &[-1.0, -0.5, 0.0, 1.0]),
        ),
    ]
}

fn matrix_cases() -> Vec<Case> {
    vec![
        case(
            "Gemm with transposed weights",
            float_network(&[-1, 2], &[-1, 3])
                .floats("w", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
                .floats("b", &[3], &[0.5, 0.0, -0.5])
                .node("Gemm", &["x", "w", "b"], &["y"], &[("transB", Int(1))]),
            floats(&[2, 2], &[1.0, 1.0, 2.0, -1.0]),
            floats(&[2, 3], &[3.5, 7.0, 10.5, 0.5, 2.0, 3.5]),
        ),
        case(
            "MatMul",
            float_network(&[1, 2], &[1, 2]).floats("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0]).node(
                "MatMul",
                &["x", "w"],
                &["y"],
                &[],
            ),
            floats(&[1, 2], &[10.0, 1.0]),
            floats(&[1, 2], &[13.0, 24.0]),
        ),
        case(
            "MatMul with one number as its bias",
            float_network(&[-1, 2], &[-1, 2])
                .floats("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0])
                .floats("b", &[1], &[0.5])
                .node("MatMul", &["x", "w"], &["product"], &[])
                .node("Add", &["product", "b"], &["y"], &[]),
            floats(&[1, 2], &[10.0, 1.0]),
            floats(&[1, 2], &[13.5, 24.5]),
        ),
        case(
            "MatMul of one column with several numbers added",
            float_network(&[-1, 2], &[-1, 3])
                .floats("w", &[2, 1], &[1.0, 2.0])
                .floats("b", &[3], &[0.5, 1.0, 2.0])
                .node("MatMul", &["x", "w"], &["product"], &[])
                .node("Identity", &["product"], &["same"], &[])
                .node("Add", &["b", "same"], &["y"], &[]),
            floats(&[1, 2], &[10.0, 1.0]),
            floats(&[1, 3], &[12.5, 13.0, 14.0]),
        ),
        case(
            "MatMul with a vector, and a list added",
            float_network(&[-1, 2], &[2])
                .floats("w", &[2], &[1.0, 2.0])
                .floats("b", &[2], &[0.5, 1.0])
                .node("MatMul", &["x", "w"], &["product"], &[])
                .node("Add", &["product", "b"], &["y"], &[]),
            floats(&[2, 2], &[10.0, 1.0, 3.0, 4.0]),
            floats(&[2], &[12.5, 12.0]),
        ),
        case(
            "Conv, padded, stride 2",
            float_network(&[1, 1, 3, 3], &[1, 1, 2, 2]).floats("w", &[1, 1, 3, 3], &[1.0; 9]).node(
                "Conv",
                &["x", "w"],
                &["y"],
                &[
                    ("pads", Ints(&[1, 1, 1, 1])),
                    ("strides", Ints(&[2, 2])),
                    ("dilations", Ints(&[1, 1])),
                    ("kernel_shape", Ints(&[3, 3])),
                ],
            ),
            floats(&[1, 1, 3, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]),
            floats(&[1, 1, 2, 2], &[12.0, 16.0, 24.0, 28.0]),
        ),
        case(
            "Conv in groups with bias",
            float_network(&[1, 2, 1, 2], &[1, 2, 1, 2])
                .floats("w", &[2, 1, 1, 1], &[2.0, -3.0])
                .floats("b", &[2], &[1.0, 10.0])
                .node(
                    "Conv",
                    &["x", "w", "b"],
                    &["y"],
                    &[
                        ("group", Int(2)),
                        ("strides", Ints(&[1, 1])),
                        ("dilations", Ints(&[1, 1])),
                        ("pads", Ints(&[0; 4])),
                    ],
                ),
            floats(&[1, 2, 1, 2], &[1.0, 2.0, 3.0, 4.0]),
            floats(&[1, 2, 1, 2], &[3.0, 5.0, 1.0, -2.0]),
        ),
        case(
            "Conv, dilated",
            float_network(&[1, 1, 1, 5], &[1, 1, 1, 3]).floats("w", &[1, 1, 1, 2], &[1.0, 10.0]).node(
                "Conv",
                &["x", "w"],
                &["y"],
                &[("dilations", Ints(&[1, 2])), ("strides", Ints(&[1, 1])), ("pads", Ints(&[0; 4]))],
            ),
            floats(&[1, 1, 1, 5], &[1.0, 2.0, 3.0, 4.0, 5.0]),
            floats(&[1, 1, 1, 3], &[31.0, 42.0, 53.0]),
        ),
        case(
            "BatchNormalization",
            float_network(&[1, 2, 1, 1], &[1, 2, 1, 1])
                .floats("scale", &[2], &[2.0, 1.0])
                .floats("shift", &[2], &[1.0, 0.0])
                .floats("mean", &[2], &[1.0, 4.0])
                .floats("variance", &[2], &[3.0, 15.0])
                .node(
                    "BatchNormalization",
                    &["x", "scale", "shift", "mean", "variance"],
                    &["y"],
                    &[("epsilon", Float(1.0))],
                ),
            floats(&[1, 2, 1, 1], &[3.0, 8.0]),
            floats(&[1, 2, 1, 1], &[3.0, 1.0]),
        ),
        case(
            "ConvTranspose with strides",
            float_network(&[1, 1, 1, 2], &[1, 1, 1, 4]).floats("w", &[1, 1, 1, 2], &[1.0, 10.0]).node(
                "ConvTranspose",
                &["x", "w"],
                &["y"],
                &[("strides", Ints(&[1, 2])), ("dilations", Ints(&[1, 1])), ("pads", Ints(&[0; 4]))],
            ),
            floats(&[1, 1, 1, 2], &[1.0, 2.0]),
            floats(&[1, 1, 1, 4], &[1.0, 10.0, 2.0, 20.0]),
        ),
    ]
}

fn pooling_cases() -> Vec<Case> {
    let pooled = |name, op, attributes: &[(&str, dede_testing::onnx::Attribute<'_>)], y: &[usize], expected: &[f32]| {
        let dims: Vec<i64> = y.iter().map(|&size| size as i64).collect();
        let onnx = float_network(&[1, 1, 1, 5], &dims).node(op, &["x"], &["y"], attributes);
        case(name, onnx, floats(&[1, 1, 1, 5], &[1.0, 5.0, 2.0, 4.0, 3.0]), floats(y, expected))
    };
    let kernel = || ("kernel_shape", Ints(&[1, 2]));
    let strides = || ("strides", Ints(&[1, 2]));
    vec![
        pooled("MaxPool", "MaxPool", &[kernel(), strides()], &[1, 1, 1, 2], &[5.0, 4.0]),
        pooled(
            "MaxPool, ceil",
            "MaxPool",
            &[kernel(), strides(), ("ceil_mode", Int(1))],
            &[1, 1, 1, 3],
            &[5.0, 4.0, 3.0],
        ),
        pooled("AveragePool", "AveragePool", &[kernel(), strides()], &[1, 1, 1, 2], &[3.0, 3.0]),
        pooled(
            "AveragePool with padding counted",
            "AveragePool",
            &[kernel(), strides(), ("pads", Ints(&[0, 1, 0, 0])), ("count_include_pad", Int(1))],
            &[1, 1, 1, 3],
            &[0.5, 3.5, 3.5],
        ),
        pooled("GlobalAveragePool", "GlobalAveragePool", &[], &[1, 1, 1, 1], &[3.0]),
        pooled("ReduceMean", "ReduceMean", &[("axes", Ints(&[3])), ("keepdims", Int(0))], &[1, 1, 1], &[3.0]),
    ]
}

fn shape_cases() -> Vec<Case> {
    let six = || floats(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    vec![
        case(
            "Concat and Transpose",
            float_network(&[2, 3], &[3, 4]).node("Concat", &["x", "x"], &["joined"], &[("axis", Int(0))]).node(
                "Transpose",
                &["joined"],
                &["y"],
                &[("perm", Ints(&[1, 0]))],
            ),
            six(),
            floats(&[3, 4], &[1.0, 4.0, 1.0, 4.0, 2.0, 5.0, 2.0, 5.0, 3.0, 6.0, 3.0, 6.0]),
        ),
        case(
            "Reshape, Slice, Unsqueeze, Squeeze, Flatten",
            float_network(&[2, 3], &[1, 2])
                .longs("three_two", &[2], &[3, -1])
                .longs("start", &[1], &[1])
                .longs("end", &[1], &[2])
                .longs("axis", &[1], &[0])
                .node("Reshape", &["x", "three_two"], &["reshaped"], &[])
                .node("Slice", &["reshaped", "start", "end", "axis"], &["cut"], &[])
                .node("Unsqueeze", &["cut", "axis"], &["more"], &[])
                .node("Squeeze", &["more", "axis"], &["less"], &[])
                .node("Flatten", &["less"], &["y"], &[("axis", Int(1))]),
            six(),
            floats(&[1, 2], &[3.0, 4.0]),
        ),
        case(
            "Split and Add",
            float_network(&[2, 3], &[1, 3])
                .longs("sizes", &[2], &[1, 1])
                .node("Split", &["x", "sizes"], &["first", "second"], &[("axis", Int(0))])
                .node("Add", &["first", "second"], &["y"], &[]),
            six(),
            floats(&[1, 3], &[5.0, 7.0, 9.0]),
        ),
        case(
            "Pad",
            float_network(&[2, 3], &[2, 5]).longs("pads", &[4], &[0, 1, 0, 1]).floats("zero", &[], &[9.0]).node(
                "Pad",
                &["x", "pads", "zero"],
                &["y"],
                &[],
            ),
            six(),
            floats(&[2, 5], &[9.0, 1.0, 2.0, 3.0, 9.0, 9.0, 4.0, 5.0, 6.0, 9.0]),
        ),
        case(
            "Resize, nearest",
            float_network(&[1, 1, 1, 2], &[1, 1, 1, 4]).floats("scales", &[4], &[1.0, 1.0, 1.0, 2.0]).node(
                "Resize",
                &["x", "", "scales"],
                &["y"],
                &[("mode", Text("nearest"))],
            ),
            floats(&[1, 1, 1, 2], &[1.0, 2.0]),
            floats(&[1, 1, 1, 4], &[1.0, 1.0, 2.0, 2.0]),
        ),
    ]
}

fn type_cases() -> Vec<Case> {
    let bytes = Tensor::new(vec![1, 3], Values::U8(vec![0, 7, 255])).expect("fits");
    let array = |values| Tensor::new(vec![1, 1], values).expect("fits");
    vec![
        case(
            "Cast of bytes",
            Onnx::new(17).input("x", U8, &[1, 3]).output("y", F32, &[1, 3]).node(
                "Cast",
                &["x"],
                &["y"],
                &[("to", Int(1))],
            ),
            bytes,
            floats(&[1, 3], &[0.0, 7.0, 255.0]),
        ),
        case(
            "ArgMax answers 64-bit integers",
            Onnx::new(17).input("x", F32, &[1, 3]).output("y", I64, &[1, 1]).node(
                "ArgMax",
                &["x"],
                &["y"],
                &[("axis", Int(1))],
            ),
            floats(&[1, 3], &[0.1, 0.7, 0.2]),
            array(Values::I64(vec![1])),
        ),
        case(
            "Greater answers truth values",
            Onnx::new(17).input("x", F32, &[1, 1]).output("y", BOOL, &[1, 1]).floats("half", &[], &[0.5]).node(
                "Greater",
                &["x", "half"],
                &["y"],
                &[],
            ),
            floats(&[1, 1], &[0.6]),
            array(Values::Bool(vec![true])),
        ),
    ]
}

#[test]
fn every_engine_computes_what_onnx_says() {
    let cases = [element_wise_cases(), matrix_cases(), pooling_cases(), shape_cases(), type_cases()];
    assert_computed(&cases.into_iter().flatten().collect::<Vec<Case>>());
}

/// Every engine gives what is expected, at any width.
pub(crate) fn assert_computed(cases: &[Case]) {
    for engine in usable() {
        for case in cases {
            let session = load(engine, &case.onnx);
            for width in [Parallelism::One, Parallelism::All] {
                let place = format!("{}, {}, {width:?}", engine.name(), case.name);
                let answer =
                    session.run(vec![case.input.clone()], width).unwrap_or_else(|error| panic!("{place}: {error}"));
                assert_eq!(answer.len(), 1, "{place}");
                assert_close(&answer[0], &case.expected, &place);
            }
        }
    }
}

/// x → Gemm → hidden → Relu → y.
fn two_layers() -> Onnx {
    float_network(&[-1, 2], &[-1, 2])
        .floats("w", &[2, 2], &[1.0, -1.0, 1.0, -1.0])
        .node("MatMul", &["x", "w"], &["hidden"], &[])
        .node("Relu", &["hidden"], &["y"], &[])
}

#[test]
fn intermediate_values_are_answered_by_name() {
    for engine in usable() {
        let network = || alone(two_layers().build());
        let outputs = |names: &[&str]| LoadOptions {
            outputs: names.iter().map(|name| (*name).to_owned()).collect(),
            ..options()
        };
        let session = engine.load(network(), &outputs(&["hidden", "y"])).expect("loads");
        let answer = session.run(vec![floats(&[1, 2], &[1.0, 2.0])], Parallelism::One).expect("runs");
        assert_close(&answer[0], &floats(&[1, 2], &[3.0, -3.0]), engine.name());
        assert_close(&answer[1], &floats(&[1, 2], &[3.0, 0.0]), engine.name());
        let error = engine.load(network(), &outputs(&["nowhere"])).err().expect("no such value");
        assert_eq!(error.node, "nowhere");
    }
}

#[test]
fn many_callers_get_their_own_answers() {
    for engine in usable() {
        let session = load(engine, &two_layers());
        std::thread::scope(|scope| {
            for caller in 0..6u16 {
                let session = &session;
                scope.spawn(move || {
                    for turn in 0..50u16 {
                        let value = f32::from(caller * 100 + turn);
                        let width = if caller == 0 { Parallelism::All } else { Parallelism::One };
                        let answer = session.run(vec![floats(&[1, 2], &[value, 1.0])], width).expect("runs");
                        assert_close(&answer[0], &floats(&[1, 2], &[value + 1.0, 0.0]), engine.name());
                    }
                });
            }
        });
    }
}

#[test]
fn wrong_inputs_and_damaged_files_are_errors() {
    for engine in usable() {
        let session = load(engine, &two_layers());
        assert!(session.run(vec![floats(&[1, 3], &[1.0; 3])], Parallelism::One).is_err(), "{}", engine.name());
        assert!(session.run(Vec::new(), Parallelism::One).is_err(), "{}", engine.name());
        assert!(session.run(vec![floats(&[1, 2], &[1.0, 2.0])], Parallelism::One).is_ok(), "it goes on working");
        let bytes = two_layers().build();
        for cut in (0..bytes.len()).step_by(7) {
            let network = alone(bytes[..cut].to_vec());
            assert!(engine.load(network, &options()).is_err(), "{} of {} bytes", cut, bytes.len());
        }
        let unknown = float_network(&[1], &[1]).node("NoSuchOperator", &["x"], &["y"], &[]);
        let error = engine.load(alone(unknown.build()), &options()).err().expect("refused");
        assert!(error.to_string().contains("NoSuchOperator"), "{error}");
    }
}

#[test]
fn tensors_kept_in_other_files_are_given_from_memory() {
    let onnx =
        float_network(&[1, 2], &[1, 2]).external("w", &[2, 2], "weights.data").node("MatMul", &["x", "w"], &["y"], &[]);
    let content: Vec<u8> = [1.0f32, 2.0, 3.0, 4.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    for engine in usable() {
        let network = Network {
            onnx: onnx.build().into(),
            path: None,
            external: vec![("weights.data".into(), content.clone().into())],
        };
        let session = engine.load(network, &options()).unwrap_or_else(|error| panic!("{}: {error}", engine.name()));
        let answer = session.run(vec![floats(&[1, 2], &[1.0, 1.0])], Parallelism::One).expect("runs");
        assert_close(&answer[0], &floats(&[1, 2], &[4.0, 6.0]), engine.name());
        let missing = alone(onnx.build());
        assert!(engine.load(missing, &options()).is_err(), "{}", engine.name());
    }
}
