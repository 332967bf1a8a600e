//! Probabilities in other clothes than those of a softmax or a sigmoid: weights over them are no scores.

use super::*;

/// A graph with more constants: `half` (0.5), `sixth` (1/6), `six`, `zero`, `ones` (2 x 1), `merge` (2 x 2, of ones), `rows` (2 x 2, each
/// of which is a distribution), `thirds` (2 x 2 of bfloat16, in which three thirds are more than 1).
fn dressed(text: &'static str) -> GraphView<'static> {
    let mut graph = shaped(&[-1, 2], text);
    let tensor = |name, element, dims: &[i64], raw| TensorView {
        name,
        element,
        dims: dims.to_vec(),
        raw,
        integers: vec![],
        floats: &[],
        external: None,
    };
    let ones: &'static [u8] = &[0, 0, 128, 63, 0, 0, 128, 63, 0, 0, 128, 63, 0, 0, 128, 63];
    graph.initializers.extend([
        tensor("half", ElementType::F32, &[], &[0, 0, 0, 63]),
        tensor("sixth", ElementType::F32, &[], &[171, 170, 42, 62]),
        tensor("six", ElementType::F32, &[], &[0, 0, 192, 64]),
        tensor("zero", ElementType::F32, &[], &[0, 0, 0, 0]),
        tensor("ones", ElementType::F32, &[2, 1], &ones[..8]),
        tensor("merge", ElementType::F32, &[2, 2], ones),
        tensor("rows", ElementType::F32, &[2, 2], &[0, 0, 128, 62, 0, 0, 64, 63, 0, 0, 0, 63, 0, 0, 0, 63]),
        tensor("thirds", ElementType::Bf16, &[3, 1], &[171, 62, 171, 62, 171, 62]),
        tensor("third", ElementType::Bf16, &[], &[171, 62]),
    ]);
    graph
}

fn graph_inside(inner: &'static str, inputs: &[&'static str]) -> GraphView<'static> {
    let made = inner.split(';').filter_map(|line| line.rsplit_once("->")?.1.split_whitespace().last());
    let ending: Vec<&'static str> = made.filter(|name| ["go", "o", "q"].contains(name)).collect();
    let named = |names: &[&'static str]| names.iter().map(|name| ValueView { name, ..ValueView::default() }).collect();
    GraphView { inputs: named(inputs), outputs: named(&ending), initializers: vec![], ..super::graph(inner) }
}

/// The graph with another inside of its node `holder`.
fn holding(text: &'static str, holder: &str, inner: &'static str, inputs: &[&'static str]) -> GraphView<'static> {
    let mut graph = dressed(text);
    let node = graph.nodes.iter_mut().find(|node| node.op == holder).expect("a holder");
    let body = AttributeView { name: "body", graphs: vec![graph_inside(inner, inputs)], ..AttributeView::default() };
    node.attributes.push(body);
    graph
}

fn assert_scores(graph: &GraphView<'_>, expected: bool, what: &str) {
    let found = read(graph, "y");
    assert_eq!(found == Reading::Found(Logits), expected, "{what}: {found:?}");
}

#[test]
fn a_softmax_whose_pieces_lie_in_several_graphs_is_one() {
    for (text, inner, expected) in [
        ("Exp x -> e; If one -> s; Div e s -> p; MatMul p merge -> y", "ReduceSum e last -> o", false),
        (
            "Exp x -> e; If one -> s; Mul e s -> p; MatMul p merge -> y",
            "ReduceSum e last -> t; Reciprocal t -> o",
            false,
        ),
        ("Exp x -> e; If one -> s; Add s tiny -> t; Div e t -> p; MatMul p merge -> y", "ReduceSum e last -> o", false),
        ("Exp x -> e; ReduceSum e last -> t; If one -> p; MatMul p merge -> y", "Div e t -> o", false),
        ("If one -> e; ReduceSum e last -> t; Div e t -> p; MatMul p merge -> y", "Exp x -> o", false),
        ("If one -> l; Sub x l -> d; Exp d -> p; MatMul p merge -> y", "ReduceLogSumExp x last -> o", false),
        ("ReduceLogSumExp x last -> l; Sub x l -> d; If one -> p; MatMul p merge -> y", "Exp d -> o", false),
        ("If one -> d; Exp d -> p; MatMul p merge -> y", "ReduceLogSumExp x last -> l; Sub x l -> o", false),
        // Gates of channels, and what is divided by anything.
        ("Relu x -> e; If one -> s; Mul e s -> p; MatMul p weights -> y", "Sigmoid x -> o", true),
        ("If one -> s; Div x s -> p; MatMul p weights -> y", "Relu x -> o", true),
    ] {
        assert_scores(&holding(text, "If", inner, &[]), expected, &format!("{text}: {inner}"));
    }
}

#[test]
fn a_softmax_whose_pieces_lie_in_functions_is_one() {
    for (text, inner, inputs, expected) in [
        ("Exp x -> e; own.F e -> s; Div e s -> p; MatMul p merge -> y", "ReduceSum a last -> o", &["a"][..], false),
        ("Exp x -> e; ReduceSum e last -> s; own.F e s -> p; MatMul p merge -> y", "Div a b -> o", &["a", "b"], false),
        ("own.F x -> e; ReduceSum e last -> s; Div e s -> p; MatMul p merge -> y", "Exp a -> o", &["a"], false),
        ("Relu x -> e; own.F e -> s; Mul e s -> p; MatMul p weights -> y", "Sigmoid a -> o", &["a"], true),
    ] {
        let functions = vec![FunctionView { domain: "own", op: "F", overload: "", graph: graph_inside(inner, inputs) }];
        let view = OnnxView { opsets: vec![("", 17)], graph: dressed(text), functions };
        let found = Values::of(&view).known("y").reading;
        assert_eq!(found == Reading::Found(Logits), expected, "{text}: {inner}: {found:?}");
    }
}

#[test]
fn exponentials_of_what_a_logarithm_was_taken_from_are_shares() {
    for (text, expected) in [
        ("Exp x -> e; MatMul e ones -> s; Log s -> l; Sub x l -> d; Exp d -> p; MatMul p merge -> y", false),
        (
            "Exp x -> e; MatMul e ones -> s; Log s -> l; Neg l -> n; Add x n -> d; Exp d -> p; MatMul p merge -> y",
            false,
        ),
        (
            "ReduceMax x last -> m; Sub x m -> c; Exp c -> e; MatMul e ones -> s; Log s -> l; Add l m -> a; Sub x a -> d; \
             Exp d -> p; MatMul p merge -> y",
            false,
        ),
        ("Exp x -> p; MatMul p weights -> y", true),
        ("Sub x z -> d; Exp d -> p; MatMul p weights -> y", true),
    ] {
        assert_scores(&dressed(text), expected, text);
    }
}

#[test]
fn what_is_put_beside_probabilities_hides_none_of_them() {
    for (text, expected) in [
        ("Softmax x -> p; Concat x p axis=1 -> c; Slice c last last -> t; MatMul t merge -> y", false),
        ("Softmax x -> p; Concat x p axis=1 -> c; Split c axis=1 -> a t; MatMul t merge -> y", false),
        ("Softmax x -> p; Concat x p axis=1 -> c; Gather c last axis=1 -> t; MatMul t merge -> y", false),
        ("Softmax x -> p; Concat x p axis=1 -> c; Add c one -> d; Slice d last last -> t; MatMul t merge -> y", false),
        ("Softmax x -> p; ScatterElements x last p axis=1 -> c; Slice c last last -> t; MatMul t merge -> y", false),
        ("Softmax x -> p; SequenceConstruct x p -> c; SequenceAt c one -> t; MatMul t merge -> y", false),
        ("Sigmoid x -> p; Concat x p axis=1 -> c; Slice c last last -> t; MatMul t means -> y", false),
        ("Softmax x -> p; Concat x p axis=1 -> c; MatMul c weights -> y", true),
        (
            "Softmax x -> p; Concat x p axis=1 -> c; MatMul c weights -> h; Slice h last last -> t; MatMul t merge -> y",
            true,
        ),
        ("Concat x z axis=1 -> c; Slice c last last -> t; MatMul t weights -> y", true),
    ] {
        assert_scores(&dressed(text), expected, text);
    }
}

#[test]
fn rows_of_a_table_may_be_distributions() {
    for (text, expected) in [
        ("ArgMax x -> a; Gather rows a -> p; MatMul p merge -> y", false),
        ("Cast x to=7 -> a; Gather rows a -> p; MatMul p merge -> y", false),
        ("ArgMax x -> a; GatherElements rows a -> p; MatMul p merge -> y", false),
        ("ArgMax x -> a; Gather weights a -> e; MatMul e merge -> y", true),
    ] {
        assert_scores(&dressed(text), expected, text);
    }
}

#[test]
fn gates_leave_merged_probabilities_what_they_are() {
    let experts = "Softmax x -> p; MatMul p merge -> a; Sigmoid z -> g";
    for (text, expected) in [
        (format!("{experts}; Mul a g -> b; MatMul b merge -> y"), false),
        (format!("{experts}; Sub one g -> h; Mul a g -> b; Mul a h -> c; Add b c -> d; MatMul d merge -> y"), false),
        ("Softmax x -> p; MatMul p weights -> h; Sigmoid h -> g; Mul h g -> r; MatMul r merge -> y".into(), true),
    ] {
        assert_scores(&dressed(text.clone().leak()), expected, &text);
    }
}

#[test]
fn sigmoids_of_other_operators_are_gates() {
    let forms = [
        "Mul x half -> a; Tanh a -> b; Mul b half -> c; Add c half -> p",
        "Tanh x -> b; Add b one -> c; Mul c half -> p",
        "Tanh x -> b; Add one b -> c; Div c w -> p",
        "Tanh x -> b; Mul b half -> c; Sub half c -> p",
        "Mul x sixth -> a; Add a half -> b; Clip b zero one -> p",
        "Add x w -> a; Clip a zero six -> b; Div b six -> p",
        "Mul x sixth -> a; Max a zero -> b; Min b one -> p",
        "Relu x -> a; Min a one -> p",
        "Erf x -> a; Add a one -> b; Mul b half -> p",
        "Softsign x -> a; Add a one -> b; Mul half b -> p",
    ];
    for form in forms {
        let mean = format!("{form}; MatMul p means -> y");
        assert_scores(&dressed(mean.clone().leak()), false, &mean);
        let layer = format!("{form}; MatMul p weights -> y");
        assert_scores(&dressed(layer.clone().leak()), true, &layer);
    }
    for form in &forms[..4] {
        let alone = format!("{form}; Identity p -> y");
        assert_eq!(read(&dressed(alone.clone().leak()), "y"), Reading::Found(Sigmoid), "{alone}");
        let mean = format!("{form}; Sigmoid z -> q; Add p q -> s; Mul s half -> y");
        assert_eq!(read(&dressed(mean.clone().leak()), "y"), Reading::Found(Sigmoid), "{mean}");
    }
    check(&[("Tanh x -> a; Add a one -> y", None), ("Tanh x -> a; Mul a w -> b; Add b one -> y", None)]);
}

#[test]
fn thirds_of_few_bits_are_thirds() {
    let mean = dressed("Sigmoid x -> p; MatMul p thirds -> y");
    assert_scores(&mean, false, "a mean of three");
    let written = "Softmax x -> p; Mul p third -> a; Softmax z -> q; Mul q third -> b; Softmax z -> r; Mul r third -> c; \
                   Sum a b c -> y";
    let mut graph = dressed(written);
    graph.inputs[1].dims = dims(&[-1, 2]);
    assert_eq!(read(&graph, "y"), Reading::Found(Softmax));
}

#[test]
fn how_often_a_constant_is_taken_through_a_chain_may_depend_on_an_item() {
    let step = "Identity c -> go; MatMul v rows -> o";
    for (text, inner) in [
        ("Cast x to=7 -> n; Loop n one rows -> p; MatMul p merge -> y", step),
        ("Greater x w -> t; Loop first t rows -> p; MatMul p merge -> y", step),
        ("Greater x w -> t; Loop first one rows -> p; MatMul p merge -> y", "Identity t -> go; MatMul v rows -> o"),
        ("Loop first one rows -> p; MatMul p merge -> y", "Greater x w -> go; MatMul v rows -> o"),
    ] {
        assert_scores(&holding(text, "Loop", inner, &["i", "c", "v"]), false, &format!("{text}: {inner}"));
    }
}
