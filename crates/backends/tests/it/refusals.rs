//! What engines must refuse, by the name of what they would compute wrongly or lack.

use crate::engines::{alone, assert_computed, case, float_network, floats, load, options, usable};
use dede_backends::neural::engine::{Engine, Parallelism, Tensor, Values, engines};
use dede_testing::onnx::Attribute::{Graph, Int, Ints, Long, Text};
use dede_testing::onnx::{BF16, BOOL, F32, F64, I8, I64, Onnx, U8};

fn rten() -> &'static dyn Engine {
    engines().into_iter().find(|engine| engine.name() == "rten").expect("always there")
}

/// Networks whose 64-bit integers do not fit into 32 bits, or whose floats not into single precision, with what rten must name.
fn wide() -> Vec<(&'static str, Onnx)> {
    let long = |onnx: Onnx, name: &str| onnx.node("Cast", &[name], &["y"], &[("to", Int(1))]);
    let vector = || float_network(&[1, 2], &[1, 2]).longs("many", &[], &[100_000]).longs("two", &[], &[2]);
    let position = || vector().node("ArgMax", &["x"], &["place"], &[("axis", Int(1))]);
    let squared = |onnx: Onnx, name: &str| {
        let onnx = onnx.node("Add", &[name, "many"], &["more"], &[]);
        long(onnx.node("Pow", &["more", "two"], &["square"], &[]), "square")
    };
    let branch = |value| {
        Onnx::new(17).output("chosen", I64, &[1]).longs("held", &[1], &[value]).node(
            "Identity",
            &["held"],
            &["chosen"],
            &[],
        )
    };
    let chosen = |onnx: Onnx, yes: &Onnx, no: &Onnx| {
        let onnx = onnx.floats("zero", &[], &[0.0]).node("ReduceSum", &["x"], &["sum"], &[("keepdims", Int(0))]);
        let onnx = onnx.node("Greater", &["sum", "zero"], &["condition"], &[]);
        let branches = [("then_branch", Graph(yes)), ("else_branch", Graph(no))];
        onnx.node("If", &["condition"], &["long"], &branches)
    };
    let double = |value: f64| {
        let onnx = Onnx::new(17).output("chosen", F64, &[1]).raw("held", F64, &[1], &value.to_le_bytes());
        onnx.node("Identity", &["held"], &["chosen"], &[])
    };
    vec![
        ("Pow on int64", long(vector().node("Pow", &["many", "two"], &["square"], &[]), "square")),
        ("Mul on int64", long(vector().node("Mul", &["many", "many"], &["square"], &[]), "square")),
        ("Cast of floats", {
            let onnx = vector().floats("large", &[], &[5e9]).node("Cast", &["large"], &["long"], &[("to", Int(7))]);
            long(onnx, "long")
        }),
        ("ConstantOfShape with int64", {
            let onnx = vector().longs("shape", &[1], &[1]);
            long(onnx.node("ConstantOfShape", &["shape"], &["long"], &[("value", Long(5_000_000_000))]), "long")
        }),
        ("int64 values beyond", long(chosen(vector(), &branch(5_000_000_000), &branch(1)), "long")),
        ("Add on int64", {
            let onnx = chosen(vector(), &branch(2_147_483_000), &branch(1));
            long(onnx.node("Add", &["long", "many"], &["sum_of_all"], &[]), "sum_of_all")
        }),
        ("on int64", squared(position(), "place")),
        ("on int64", {
            let onnx = vector().node("Cast", &["x"], &["truth"], &[("to", Int(9))]);
            squared(onnx.node("Cast", &["truth"], &["count"], &[("to", Int(7))]), "count")
        }),
        ("Sub with double", {
            let onnx = chosen(vector(), &double(16_777_217.0), &double(1.0));
            let onnx = onnx.raw("less", F64, &[1], &16_777_216f64.to_le_bytes());
            long(onnx.node("Sub", &["long", "less"], &["difference"], &[]), "difference")
        }),
    ]
}

#[test]
fn rten_refuses_numbers_of_64_bits_that_may_not_fit_into_32() {
    for (number, (named, onnx)) in wide().into_iter().enumerate() {
        let error = rten().load(alone(onnx.build()), &options()).err();
        let error = error.unwrap_or_else(|| panic!("network {number}, {named} must be refused"));
        assert!(error.reason.contains(named), "network {number}, {named}: {error}");
    }
    for engine in usable().into_iter().filter(|engine| engine.name() == "onnxruntime") {
        wide().iter().for_each(|(_, onnx)| drop(load(engine, onnx)));
    }
}

/// Sizes computed as exporters write them need no more than 32 bits.
#[test]
fn arithmetic_with_extents_is_computed() {
    let onnx = float_network(&[-1, 2], &[-1, 2])
        .longs("first", &[], &[0])
        .longs("none", &[1], &[0])
        .longs("end", &[1], &[i64::MAX])
        .longs("rest", &[1], &[-1])
        .floats("half", &[], &[0.5])
        .node("Shape", &["x"], &["shape"], &[])
        .node("Gather", &["shape", "first"], &["rows"], &[])
        .node("Mul", &["rows", "rows"], &["square"], &[])
        .node("Div", &["square", "rows"], &["again"], &[])
        .node("Cast", &["again"], &["float"], &[("to", Int(1))])
        .node("Div", &["float", "half"], &["twice"], &[])
        .node("Mul", &["twice", "half"], &["once"], &[])
        .node("Floor", &["once"], &["whole"], &[])
        .node("Cast", &["whole"], &["count"], &[("to", Int(7))])
        .node("Unsqueeze", &["count", "none"], &["list"], &[])
        .node("Concat", &["list", "rest"], &["size"], &[("axis", Int(0))])
        .node("Reshape", &["x", "size"], &["same"], &[])
        .node("Slice", &["same", "none", "end", "none"], &["y"], &[]);
    let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    assert_computed(&[case("sizes", onnx, floats(&[3, 2], &values), floats(&[3, 2], &values))]);
}

/// Small files that a search along every path, or of every node for every constant, takes minutes for.
#[test]
fn small_files_are_looked_through_in_no_time() {
    let joined = |copies: usize, depth: usize| {
        let onnx = float_network(&[1, 2], &[1, 2]).longs("v0", &[1], &[5_000_000_000]);
        let joined = (0..depth).fold(onnx, |onnx, level| {
            let (from, to) = (format!("v{level}"), format!("v{}", level + 1));
            onnx.node("Concat", &vec![from.as_str(); copies], &[&to], &[("axis", Int(0))])
        });
        joined.node("Identity", &["x"], &["y"], &[])
    };
    let many = (0..20_000).fold(float_network(&[1, 2], &[1, 2]), |onnx, number| {
        let (name, sum) = (format!("c{number}"), format!("s{number}"));
        onnx.longs(&name, &[1], &[number]).node("Add", &[&name, &name], &[&sum], &[])
    });
    for onnx in [joined(30, 8), joined(2, 2_900), many.node("Relu", &["x"], &["y"], &[])] {
        let start = std::time::Instant::now();
        let _ = rten().load(alone(onnx.build()), &options());
        assert!(start.elapsed() < std::time::Duration::from_secs(20), "{:?}", start.elapsed());
    }
}

#[test]
fn values_from_far_outside_of_a_graph_are_computed_or_refused() {
    let relu = |name: &str| Onnx::new(17).untyped_output(name).node("Relu", &["x"], &[name], &[]);
    let chosen = |onnx: Onnx, name: &str, yes: &Onnx, no: &Onnx| {
        onnx.node("If", &["condition"], &[name], &[("then_branch", Graph(yes)), ("else_branch", Graph(no))])
    };
    let network = || float_network(&[1, 2], &[1, 2]).raw("condition", BOOL, &[], &[1]);
    let inner = || chosen(Onnx::new(17).untyped_output("b"), "b", &relu("a"), &relu("c"));
    let far = chosen(network(), "y", &inner(), &relu("d"));
    let error = rten().load(alone(far.build()), &options()).err().expect("refused");
    assert!(error.reason.contains("operator If inside another"), "{error}");
    let near = inner().node("Abs", &["x"], &["beside"], &[]);
    let cases = [
        case("one If", chosen(network(), "y", &relu("a"), &relu("d")), input(), expected()),
        case("taken beside", chosen(network(), "y", &near, &relu("d")), input(), expected()),
    ];
    assert_computed(&cases);

    fn input() -> Tensor {
        floats(&[1, 2], &[3.0, -2.0])
    }

    fn expected() -> Tensor {
        floats(&[1, 2], &[3.0, 0.0])
    }
}

#[test]
fn long_chains_of_operators_are_computed_or_refused() {
    let chain = |length: usize| {
        (0..length).fold(float_network(&[1, 2], &[1, 2]), |onnx, level| {
            let from = if level == 0 { "x".to_owned() } else { format!("v{level}") };
            let to = if level + 1 == length { "y".to_owned() } else { format!("v{}", level + 1) };
            onnx.node("Relu", &[&from], &[&to], &[])
        })
    };
    let session = load(rten(), &chain(3000));
    let answer = session.run(vec![floats(&[1, 2], &[1.0, -2.0])], Parallelism::One).expect("it is computed");
    assert_eq!(answer, [floats(&[1, 2], &[1.0, 0.0])]);
    for length in [3001, 50_000] {
        let error = rten().load(alone(chain(length).build()), &options()).err().expect("refused");
        assert!(error.reason.contains("more than 3000 operators follow one another"), "{error}");
    }
}

/// Networks that need what rten computes wrongly or lacks, with the operator it must name.
fn gaps() -> Vec<(&'static str, Onnx)> {
    let images = || float_network(&[1, 1, 4, 4], &[1, 1, 4, 4]);
    let bytes = |y: &[i64]| Onnx::new(17).input("x", U8, &[1, 1, 4, 4]).output("y", 6, y);
    vec![
        ("LRN", images().node("LRN", &["x"], &["y"], &[("size", Int(3))])),
        ("Selu", images().node("Selu", &["x"], &["y"], &[])),
        (
            "Resize",
            float_network(&[1, 1, 2, 2], &[1, 1, 4, 4]).floats("scales", &[4], &[1.0, 1.0, 2.0, 2.0]).node(
                "Resize",
                &["x", "", "scales"],
                &["y"],
                &[("mode", Text("cubic"))],
            ),
        ),
        (
            "ConvInteger",
            bytes(&[1, 1, 4, 4]).raw("w", U8, &[1, 1, 3, 3], &[1; 9]).raw("zero", U8, &[], &[3]).node(
                "ConvInteger",
                &["x", "w", "zero"],
                &["y"],
                &[("pads", Ints(&[1, 1, 1, 1]))],
            ),
        ),
        (
            "MatMulInteger",
            Onnx::new(17)
                .input("x", U8, &[1, 2])
                .output("y", 6, &[1, 1])
                .raw("w", I8, &[2, 1], &[1, 2])
                .raw("x0", U8, &[], &[0])
                .raw("w0", I8, &[], &[3])
                .node("MatMulInteger", &["x", "w", "x0", "w0"], &["y"], &[]),
        ),
        (
            "Conv with auto_pad",
            float_network(&[1, 1, 1, -1], &[1, 1, 1, -1]).floats("w", &[1, 1, 1, 3], &[1.0; 3]).node(
                "Conv",
                &["x", "w"],
                &["y"],
                &[("auto_pad", Text("SAME_LOWER")), ("strides", Ints(&[1, 2]))],
            ),
        ),
        (
            "Add with double",
            float_network(&[1, 2], &[1, 2])
                .raw("large", F64, &[], &1e9f64.to_le_bytes())
                .node("Cast", &["x"], &["double"], &[("to", Int(11))])
                .node("Add", &["double", "large"], &["sum"], &[])
                .node("Cast", &["sum"], &["y"], &[("to", Int(1))]),
        ),
        (
            "int64 values beyond 32 bits",
            float_network(&[1, 2], &[1, 2])
                .longs("large", &[], &[3_000_000_000])
                .node("Shape", &["x"], &["shape"], &[])
                .node("Mul", &["shape", "large"], &["product"], &[])
                .node("Cast", &["product"], &["y"], &[("to", Int(1))]),
        ),
        (
            "Cast of floats to int64",
            float_network(&[1, 2], &[1, 2]).node("Cast", &["x"], &["long"], &[("to", Int(7))]).node(
                "Cast",
                &["long"],
                &["y"],
                &[("to", Int(1))],
            ),
        ),
        (
            "Mul on int64",
            Onnx::new(17).input("x", I64, &[1, 2]).output("y", I64, &[1, 2]).node("Mul", &["x", "x"], &["y"], &[]),
        ),
        (
            "NonMaxSuppression",
            Onnx::new(17)
                .input("x", F32, &[1, 4, 4])
                .output("y", I64, &[-1, 3])
                .floats("scores", &[1, 2, 4], &[0.9, 0.8, 0.7, 0.6, 0.1, 0.2, 0.3, 0.4])
                .node("NonMaxSuppression", &["x", "scores"], &["y"], &[]),
        ),
        ("LSTM with sequence_lens", {
            let onnx = Onnx::new(17).input("x", F32, &[2, 1, 1]).output("y", F32, &[2, 1, 1, 1]);
            onnx.floats("w", &[1, 4, 1], &[1.0; 4])
                .floats("r", &[1, 4, 1], &[1.0; 4])
                .raw("lengths", 6, &[1], &1i32.to_le_bytes())
                .node("LSTM", &["x", "w", "r", "", "lengths"], &["y"], &[("hidden_size", Int(1))])
        }),
        ("MatMul by what is or may be a vector", {
            let onnx = Onnx::new(17).input("x", F32, &[1, 2, 2]).output("y", F32, &[1, 2]);
            onnx.floats("v", &[2], &[1.0, 2.0])
                .node("NonZero", &["x"], &["places"], &[])
                .node("Shape", &["places"], &["rank"], &[])
                .longs("from", &[1], &[1])
                .longs("to", &[1], &[1])
                .node("Slice", &["rank", "from", "to"], &["none"], &[])
                .longs("two", &[1], &[2])
                .node("Concat", &["none", "two"], &["shape"], &[("axis", Int(0))])
                .node("Reshape", &["v", "shape"], &["vector"], &[])
                .node("MatMul", &["x", "vector"], &["y"], &[])
        }),
        (
            "bfloat16",
            Onnx::new(17).input("x", F32, &[1]).output("y", F32, &[1]).raw("w", BF16, &[1], &[0, 0]).node(
                "Identity",
                &["x"],
                &["y"],
                &[],
            ),
        ),
    ]
}

#[test]
fn rten_refuses_by_name_what_it_would_compute_wrongly() {
    for (operator, onnx) in gaps() {
        let network = alone(onnx.build());
        let error = rten().load(network, &options()).err().unwrap_or_else(|| panic!("{operator} must be refused"));
        assert!(error.reason.contains(operator), "{operator}: {error}");
        assert!(error.reason.contains("engine install"), "{operator}: {error}");
    }
}

#[test]
fn what_rten_fails_at_is_named_whatever_the_node_is_called() {
    for name in ["cube", "", "y"] {
        let shown = if name.is_empty() { "y" } else { name };
        let cube = float_network(&[1, 1, 2, 2, 2], &[1, 1, 2, 2, 2]).floats("w", &[1, 1, 1, 1, 1], &[2.0]);
        let session = load(rten(), &cube.named_node(name, "Conv", &["x", "w"], &["y"], &[]));
        let error = session.run(vec![floats(&[1, 1, 2, 2, 2], &[1.0; 8])], Parallelism::One).err();
        let error = error.unwrap_or_else(|| panic!("{name}: must fail"));
        assert!(error.reason.contains("operator Conv") && error.reason.contains("engine install"), "{name}: {error}");
        assert!(error.to_string().contains(shown), "{name}: {error}");
        // It is replaced by several, one of which rten cannot compute.
        let sign = Onnx::new(17).input("x", U8, &[1, 2]).output("y", U8, &[1, 2]);
        let session = load(rten(), &sign.named_node(name, "Sign", &["x"], &["y"], &[]));
        let bytes = Tensor::new(vec![1, 2], Values::U8(vec![1, 2])).expect("the shape fits");
        let error = session.run(vec![bytes], Parallelism::One).err().unwrap_or_else(|| panic!("{name}: must fail"));
        assert!(error.reason.contains("operator Sign") && error.to_string().contains(shown), "{name}: {error}");
        let missing = float_network(&[1, 4], &[1, 4]).named_node(name, "Hardmax", &["x"], &["y"], &[]);
        let error = rten().load(alone(missing.build()), &options()).err();
        let error = error.unwrap_or_else(|| panic!("{name}: must be refused"));
        assert!(error.reason.contains("operator Hardmax is not supported"), "{name}: {error}");
        assert!(error.to_string().contains(shown), "{name}: {error}");
    }
}

#[test]
fn onnx_runtime_loads_what_rten_refuses() {
    for engine in usable().into_iter().filter(|engine| engine.name() == "onnxruntime") {
        for (_, onnx) in gaps() {
            load(engine, &onnx);
        }
    }
}
