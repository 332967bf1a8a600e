//! What weights over probabilities make, and over what only looks like them.

use super::*;

/// What may stand between probabilities `p` and weights without making them anything else.
const BETWEEN: [&str; 25] = [
    "Identity p -> t",
    "Dropout p -> t",
    "Slice p last last -> t",
    "Gather p last axis=1 -> t",
    "Split p axis=1 -> t u",
    "Concat p p axis=1 -> t",
    "Clip p -> t",
    "Relu p -> t",
    "Abs p -> t",
    "Max p one -> t",
    "Sum p -> t",
    "Add p one -> t",
    "Mul p w -> t",
    "Div p w -> t",
    "Pow p w -> t",
    "Log p -> t",
    "Greater p w -> c; Where c p w -> t",
    "Unsqueeze p last -> u; MaxPool u -> t",
    "Pad p last -> t",
    "Tile p last -> t",
    "QuantizeLinear p w w -> q; DequantizeLinear q w w -> t",
    "Cast p to=10 -> h; Cast h to=1 -> t",
    "Softmax z -> q; Mul p q -> t",
    "Sigmoid z -> q; Mul p q -> t",
    "MatMul p weights -> t",
];

/// What makes probabilities `p`.
const MAKERS: [&str; 9] = [
    "Softmax x -> p",
    "LogSoftmax x -> p",
    "LogSoftmax x -> l; Exp l -> p",
    "Exp x -> e; ReduceSum e last -> s; Div e s -> p",
    "Softplus x -> e; Add e one -> f; ReduceSum f last -> s; Div f s -> p",
    "Softmax x -> a; Sub one a -> p",
    "Sigmoid x -> a; LpNormalization a p=1 -> p",
    "ai.onnx.ml.TreeEnsembleClassifier x post_transform=NONE -> l p",
    "Hardmax x -> p",
];

fn reading_of(text: String) -> Reading {
    read(&graph(text.leak()), "y")
}

#[test]
fn weights_over_probabilities_are_not_guessed() {
    const WEIGHTS: [&str; 5] = [
        "MatMul t weights -> y",
        "Gemm t weights w -> y",
        "Einsum t weights equation=nk,kc->nc -> y",
        "Conv t weights -> y",
        "MatMul t weights -> m; Add m one -> n; Identity n -> y",
    ];
    for maker in MAKERS {
        for between in BETWEEN {
            for weights in WEIGHTS {
                let text = format!("{maker}; {between}; {weights}");
                let found = reading_of(text.clone());
                assert!(matches!(found, Reading::Unclear(_)), "{text}: {found:?}");
            }
        }
    }
    let Reading::Unclear(text) = reading_of("Softmax x -> p; Dropout p -> t; MatMul t weights -> y".into()) else {
        panic!("unclear");
    };
    assert!(text.contains("MatMul (node y)") && text.contains("softmax") && text.contains("logits"), "{text}");
}

#[test]
fn a_softmax_inside_makes_no_answer_unclear() {
    let attention = "MatMul x weights -> k; MatMul x weights -> v; MatMul k z -> s; Softmax s -> p; MatMul p v -> a";
    for text in [
        // Attention, its output weights, a sum with what came before, and a head.
        format!("{attention}; MatMul a weights -> o; Add o x -> r; LayerNormalization r w -> n; MatMul n weights -> y"),
        format!("{attention}; Transpose a perm=[0,2,1] -> t; Reshape t last -> h; MatMul h weights -> y"),
        format!("{attention}; Dropout a -> d; MatMul d weights -> y"),
        "MatMul x weights -> v; Softmax x -> p; Dropout p -> d; Einsum d v equation=nqk,nkd->nqd -> a; Gemm a w -> y"
            .into(),
        // Places weighed by a softmax, and channels by a sigmoid.
        "Softmax x -> p; Mul p z -> m; ReduceSum m last -> s; Gemm s w w -> y".into(),
        "GlobalAveragePool x -> g; Sigmoid g -> s; Mul x s -> m; Conv m w -> y".into(),
        "Sigmoid x -> s; Mul x s -> m; Gemm m w w -> y".into(),
        // A hidden layer behind it.
        "Softmax x -> p; Gemm p weights w -> h; Relu h -> r; Gemm r w w -> y".into(),
        "Softmax x -> p; Gemm p w w -> h; Sigmoid h -> g; Mul h g -> r; Gemm r w w -> y".into(),
        "Softmax x -> p; LSTM p w w -> a h; Gemm h w w -> y".into(),
        // Features beside it.
        "Softmax x -> p; Concat p z axis=1 -> c; Gemm c w w -> y".into(),
        "Sigmoid x -> h; MatMul h weights -> y".into(),
        "ArgMax x -> a; Gather weights a -> e; MatMul e weights -> y".into(),
    ] {
        assert_eq!(reading_of(text.clone()), Reading::Found(Logits), "{text}");
    }
}

#[test]
fn means_of_independent_scores_are_not_guessed() {
    for text in [
        "Sigmoid x -> p; MatMul p means -> y",
        "Sigmoid x -> p; Dropout p -> d; Gemm d means transB=1 -> s; Identity s -> y",
    ] {
        let found = read(&graph(text), "y");
        assert_eq!(matches!(found, Reading::Unclear(_)), !text.contains("transB"), "{text}: {found:?}");
    }
    // Columns of `means` add up to 1, rows do not.
    assert_eq!(read(&graph("Tanh x -> p; MatMul p means -> y"), "y"), Reading::Found(Logits));
}

#[test]
fn means_over_places_of_what_ends_at_one_are_not_scores() {
    check(&[
        ("Conv x w -> c; Clip c max=6 -> r; GlobalAveragePool r -> y", Some(Logits)),
        ("Conv x w -> c; Clip c -> r; GlobalAveragePool r -> y", Some(Logits)),
        ("Conv x w -> c; Clip c max=1 -> r; GlobalAveragePool r -> y", None),
        ("Conv x w -> c; Clip c w one -> r; ReduceMean r axes=[2,3] -> y", None),
        ("Conv x w -> c; Clip c w z -> r; ReduceMean r axes=[2,3] -> y", None),
        ("Sigmoid x -> p; Clip p min=0.1 max=6 -> q; GlobalAveragePool q -> y", None),
        ("Softmax x -> p; Elu p -> q; GlobalAveragePool q -> y", None),
    ]);
}

#[test]
fn shares_of_numbers_that_are_never_negative_are_probabilities() {
    check(&[
        (
            "Equal x w -> a; Cast a to=1 -> b; ReduceSum b last -> c; Equal x one -> d; Cast d to=1 -> e; ReduceSum e last -> f; \
          Concat c f axis=1 -> v; ReduceSum v last -> t; Div v t -> y",
            Some(Softmax),
        ),
        ("Softplus x -> e; Add e one -> f; ReduceSum f last -> t; Div f t -> y", Some(Softmax)),
        ("Tanh x -> e; Add e one -> f; ReduceSum f last -> t; Div f t -> y", None),
        ("Relu x -> e; LpNormalization e p=1 -> y", Some(Softmax)),
        ("Tanh x -> e; LpNormalization e p=1 -> y", None),
    ]);
}

#[test]
fn operators_that_a_file_defines_are_its_own() {
    for (domain, op) in
        [("", "Softmax"), ("ai.onnx", "Softmax"), ("com.microsoft", "FusedGemm"), ("ai.onnx.ml", "Normalizer")]
    {
        let mut graph = graph("Softmax x -> y");
        graph.nodes[0] =
            NodeView { op, domain: if domain == "ai.onnx" { "" } else { domain }, ..graph.nodes[0].clone() };
        let function = FunctionView { domain, op, ..FunctionView::default() };
        let view = OnnxView { opsets: vec![("", 17)], graph, functions: vec![function] };
        assert!(matches!(Values::of(&view).known("y").reading, Reading::Unclear(_)), "{domain} {op}");
    }
}
