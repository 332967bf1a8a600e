//! Numbers that are made inside of operators, and shares in pieces: what weights behind them make.

use super::*;

/// A graph with another inside of its first operator, whose inputs have these names.
fn around(outer: &'static str, inner: &'static str, inputs: &[&'static str]) -> GraphView<'static> {
    let mut graph = shaped(&[-1, 4], outer);
    let outputs = inner.split(';').filter_map(|line| line.rsplit_once("->")?.1.split_whitespace().last());
    let made: Vec<&'static str> = outputs.collect();
    let named = |names: &[&'static str]| names.iter().map(|name| ValueView { name, ..ValueView::default() }).collect();
    let ending: Vec<&'static str> = ["go", "o", "q"].into_iter().filter(|name| made.contains(name)).collect();
    let body =
        GraphView { inputs: named(inputs), outputs: named(&ending), initializers: vec![], ..super::graph(inner) };
    graph.nodes[0].attributes.push(AttributeView { name: "body", graphs: vec![body], ..AttributeView::default() });
    graph
}

fn is_logits(graph: &GraphView<'_>) -> bool {
    read(graph, "y") == Reading::Found(Logits)
}

#[test]
fn weights_over_what_is_made_inside_merge_it_or_make_scores() {
    let cases: [(&'static str, &'static str, &[&'static str], bool); 15] = [
        ("If one -> p; MatMul p w -> y", "Softmax x -> o", &[], false),
        ("If one -> p; MatMul p w -> y", "Tanh x -> o", &[], true),
        ("If one -> p; MatMul p w -> y", "Softmax x -> s; MatMul s means -> t; Relu t -> o", &[], false),
        ("If one -> p; MatMul p w -> y", "Softmax x -> s; MatMul s weights -> t; Relu t -> o", &[], true),
        ("Loop first one x -> p; MatMul p w -> y", "Identity c -> go; Softmax v -> o", &["i", "c", "v"], false),
        ("Loop first one x -> p; MatMul p w -> y", "Identity c -> go; Tanh v -> o", &["i", "c", "v"], true),
        // What is carried is handed from one to the next, and items meet besides.
        (
            "Loop first one x x -> p q; MatMul p w -> y",
            "Identity c -> go; Identity b -> o; Softmax a -> q",
            &["i", "c", "a", "b"],
            false,
        ),
        (
            "Loop first one x x -> p q; MatMul p w -> y",
            "Identity c -> go; Identity b -> o; DynamicQuantizeLinear a -> d s z; DequantizeLinear d s z -> e; Softmax e -> q",
            &["i", "c", "a", "b"],
            false,
        ),
        (
            "Loop first one x x -> p q; MatMul p w -> y",
            "Identity c -> go; Identity b -> o; Tanh a -> q",
            &["i", "c", "a", "b"],
            true,
        ),
        // It starts with anything, and goes on with gates.
        ("Loop first one x -> p; MatMul p means -> y", "Identity c -> go; Sigmoid v -> o", &["i", "c", "v"], false),
        ("Scan x num_scan_inputs=1 -> p; MatMul p w -> y", "Tanh v -> o", &["v"], true),
        ("Scan x num_scan_inputs=1 -> p; MatMul p w -> y", "Softmax v -> o", &["v"], false),
        ("SequenceMap x -> p; MatMul p w -> y", "Tanh v -> o", &["v"], true),
        ("SequenceMap x -> p; MatMul p w -> y", "Softmax v -> o", &["v"], false),
        ("If one -> y", "ArgMax x -> o", &[], false),
    ];
    for (outer, inner, inputs, expected) in cases {
        assert_eq!(is_logits(&around(outer, inner, inputs)), expected, "{outer}: {inner}");
    }
    assert_eq!(read(&around("If one -> y", "ArgMax x -> o", &[]), "y"), Reading::Label);
}

#[test]
fn many_values_carried_through_a_loop_keep_what_they_are() {
    let shift = "Identity c -> go; Tanh x -> o; Identity a -> q";
    let history = around("Loop first one x x -> p q; MatMul q w -> y", shift, &["i", "c", "a", "b"]);
    assert!(is_logits(&history));
}

#[test]
fn loops_that_make_nothing_or_are_too_deep_are_read() {
    let mut empty = around("Loop first one -> y", "Tanh x -> t", &["i", "c"]);
    empty.nodes[0].attributes[0].graphs[0].outputs.clear();
    assert!(matches!(read(&empty, "y"), Reading::Unclear(_)));
    let mut deep = around("Loop first one -> y", "Identity c -> go; Tanh x -> o", &["i", "c"]);
    for _ in 0..40 {
        let body = GraphView { initializers: vec![], inputs: vec![], ..deep.clone() };
        deep = around("Loop first one -> y", "Identity c -> go; Loop i c -> o", &["i", "c"]);
        let inner = AttributeView { name: "body", graphs: vec![body], ..AttributeView::default() };
        deep.nodes[0].attributes[0].graphs[0].nodes[1].attributes.push(inner);
    }
    assert!(matches!(read(&deep, "y"), Reading::Unclear(_)));
}

#[test]
fn hundreds_of_functions_called_thousands_of_times_are_read() {
    let mut graph = shaped(&[-1, 4], "MatMul v1000 w -> y");
    let named = |place: usize| -> &'static str { format!("v{place}").leak() };
    let called = |place: usize| -> &'static str { format!("F{}", place % 300).leak() };
    let call = |place: usize| NodeView {
        op: called(place),
        domain: "own",
        inputs: vec![if place == 0 { "x" } else { named(place) }],
        outputs: vec![named(place + 1)],
        ..NodeView::default()
    };
    graph.nodes.splice(0..0, (0..1000).map(call));
    let functions = (0..300).map(|place| {
        let value = |name| vec![ValueView { name, ..ValueView::default() }];
        let body =
            GraphView { inputs: value("a"), outputs: value("o"), initializers: vec![], ..super::graph("Relu a -> o") };
        FunctionView { domain: "own", op: called(place), overload: "", graph: body }
    });
    let view = OnnxView { opsets: vec![("", 17)], graph, functions: functions.collect() };
    assert_eq!(Values::of(&view).known("y").reading, Reading::Found(Logits));
}

#[test]
fn shares_in_other_pieces_are_shares_and_ratios_are_none() {
    for (text, expected) in [
        ("Exp x -> e; MatMul e w -> s; Div e s -> p; MatMul p w -> y", false),
        ("Exp x -> e; MatMul e w -> s; Reciprocal s -> r; Mul e r -> p; MatMul p w -> y", false),
        ("Exp x -> e; MatMul e w -> s; Div one s -> r; Mul e r -> p; MatMul p w -> y", false),
        ("Exp x -> e; MatMul e w -> a; MatMul a w -> s; Div e s -> p; MatMul p w -> y", false),
        ("Exp x -> e; ReduceMean e -> m; Mul m w -> s; Div e s -> p; MatMul p w -> y", false),
        (
            "Exp x -> e; Split e -> a b; ReduceSum a -> c; ReduceSum b -> d; Add c d -> s; Div e s -> p; MatMul p w -> y",
            false,
        ),
        ("ReduceMean x -> m; Div x m -> p; MatMul p w -> y", true),
        ("Relu x -> e; MatMul e w -> a; Add a one -> s; Div e s -> p; MatMul p w -> y", true),
        ("Relu x -> e; AveragePool e -> s; Div e s -> p; MatMul p w -> y", true),
        ("ai.onnx.ml.TreeEnsembleRegressor x -> p; MatMul p w -> y", false),
        ("ai.onnx.ml.LinearRegressor x post_transform=LOGISTIC -> p; MatMul p means -> y", false),
        ("ai.onnx.ml.LinearRegressor x post_transform=NONE -> p; MatMul p means -> y", true),
        ("com.microsoft.FusedGemm x w activation=Sigmoid -> p; MatMul p means -> y", false),
        ("com.microsoft.FusedGemm x w activation=Relu -> p; MatMul p means -> y", true),
    ] {
        assert_eq!(is_logits(&graph(text)), expected, "{text}");
    }
}
