//! What looks like probabilities, or like weights over something else, and is not; and what does not look like it, and is.

use super::*;

/// A graph with more constants: `half` (0.5), `big` (500), `minus` (-0.5), `row` (three numbers), and the same means as `means` in other
/// types and shapes.
fn with_constants(text: &'static str) -> GraphView<'static> {
    let mut graph = graph(text);
    let tensor = |name, element, dims: &[i64], raw| TensorView {
        name,
        element,
        dims: dims.to_vec(),
        raw,
        integers: vec![],
        floats: &[],
        external: None,
    };
    graph.initializers.extend([
        tensor("half", ElementType::F32, &[], &[0, 0, 0, 63]),
        tensor("big", ElementType::F32, &[], &[0, 0, 250, 67]),
        tensor("minus", ElementType::F32, &[], &[0, 0, 0, 191]),
        tensor("row", ElementType::F32, &[1, 3], &[0, 0, 0, 0, 0, 0, 160, 64, 0, 0, 72, 66]),
        tensor("half16", ElementType::F16, &[], &[0, 56]),
        tensor("one16", ElementType::F16, &[], &[0, 60]),
        tensor("tiny16", ElementType::F16, &[], &[2, 0]),
        tensor("one64", ElementType::F64, &[], &[0, 0, 0, 0, 0, 0, 240, 63]),
        tensor("means16", ElementType::F16, &[2, 2], &[0, 56, 0, 56, 0, 56, 0, 56]),
        tensor("signed16", ElementType::F16, &[2, 2], &[0, 56, 0, 184, 0, 56, 0, 56]),
        tensor("kernel", ElementType::F32, &[1, 2, 1, 1], &[0, 0, 0, 63, 0, 0, 0, 63]),
        tensor("signed_kernel", ElementType::F32, &[1, 2, 1, 1], &[0, 0, 0, 63, 0, 0, 0, 191]),
        tensor("ones", ElementType::F32, &[2, 1], &[0, 0, 128, 63, 0, 0, 128, 63]),
        tensor("eye", ElementType::F32, &[2, 2], &[0, 0, 128, 63, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128, 63]),
        tensor("codes", ElementType::I8, &[2, 2], &[64, 64, 64, 64]),
        tensor("signed_codes", ElementType::I8, &[2, 2], &[64, 192, 64, 64]),
        tensor("zero", ElementType::I8, &[], &[0]),
        tensor("seven", ElementType::I8, &[], &[7]),
        tensor("elsewhere", ElementType::F32, &[2, 2], &[]),
    ]);
    graph.initializers.last_mut().expect("a constant").external = Some("weights.bin");
    graph
}

fn check_more(extents: Option<&[i64]>, cases: &[(&'static str, Option<OutputActivation>)]) {
    for (text, expected) in cases {
        let mut graph = with_constants(text);
        graph.inputs[0].dims = extents.and_then(dims);
        graph.inputs[1].dims = extents.and_then(dims);
        match (known(&graph, 21, "y").reading, expected) {
            (Reading::Found(found), Some(expected)) => assert_eq!(found, *expected, "{text}"),
            (Reading::Unclear(_), None) => {}
            (found, expected) => panic!("{text}: expected {expected:?}, found {found:?}"),
        }
    }
}

#[test]
fn a_single_score_of_two_classes_gets_no_softmax() {
    let integers =
        |name, integers: &[i64]| AttributeView { name, integers: integers.to_vec(), ..AttributeView::default() };
    let floats = |name, floats: &[f32]| AttributeView { name, floats: floats.to_vec(), ..AttributeView::default() };
    let tree = |classes: &[i64]| {
        vec![
            integers("nodes_treeids", &[0, 0, 0]),
            integers("class_treeids", &[0, 0, 0, 0][..classes.len()]),
            integers("class_nodeids", &[1, 2, 1, 2][..classes.len()]),
            integers("class_ids", classes),
            floats("class_weights", &[0.2, 0.6, 0.8, 0.4][..classes.len()]),
        ]
    };
    let two = integers("classlabels_int64s", &[0, 1]);
    let three = integers("classlabels_int64s", &[0, 1, 2]);
    let fitted = || vec![floats("prob_a", &[-1.0]), floats("prob_b", &[0.0])];
    let cases = [
        ("TreeEnsembleClassifier", tree(&[0, 0]), &two, false),
        ("TreeEnsembleClassifier", tree(&[1, 1]), &two, true),
        // The second class has no score in one leaf.
        ("TreeEnsembleClassifier", tree(&[0, 1]), &two, false),
        ("TreeEnsembleClassifier", tree(&[0, 0, 1, 1]), &two, true),
        ("TreeEnsembleClassifier", tree(&[0, 0]), &three, true),
        ("LinearClassifier", vec![floats("intercepts", &[0.1])], &two, false),
        ("LinearClassifier", vec![floats("intercepts", &[0.1, 0.2])], &two, true),
        ("LinearClassifier", vec![floats("intercepts", &[0.1, 0.2, 0.3])], &three, true),
        ("SVMClassifier", vec![], &two, false),
        ("SVMClassifier", fitted(), &two, true),
        // A score for each two classes.
        ("SVMClassifier", vec![], &three, false),
        ("SVMClassifier", fitted(), &three, true),
    ];
    for transform in ["SOFTMAX", "SOFTMAX_ZERO"] {
        for (op, attributes, labels, expected) in &cases {
            let mut graph = graph("ai.onnx.ml.TreeEnsembleClassifier x -> l y");
            graph.nodes[0].op = op;
            graph.nodes[0].attributes = attributes.clone();
            let text = Some(transform.as_bytes());
            graph.nodes[0].attributes.push(AttributeView { name: "post_transform", text, ..AttributeView::default() });
            graph.nodes[0].attributes.push((*labels).clone());
            assert_eq!(read(&graph, "y") == Reading::Found(Softmax), *expected, "{op} {attributes:?} {labels:?}");
        }
    }
}

#[test]
fn weights_over_independent_scores_that_may_be_means_are_not_guessed() {
    check_more(
        None,
        &[
            ("Sigmoid x -> p; Conv p kernel -> y", None),
            ("Sigmoid x -> p; Conv p signed_kernel -> y", Some(Logits)),
            ("Sigmoid x -> p; Einsum p means equation=nk,kc->nc -> y", None),
            ("Sigmoid x -> p; Einsum p weights equation=nk,kc->nc -> y", Some(Logits)),
            ("Sigmoid x -> p; Gemm p ones alpha=0.5 -> y", None),
            ("Sigmoid x -> p; Gemm p ones -> y", Some(Logits)),
            ("Sigmoid x -> p; Gemm p ones -> s; Mul s half -> y", None),
            ("Sigmoid x -> p; MatMul p ones -> s; Div s w -> y", None),
            ("Sigmoid x -> p; DequantizeLinear codes half -> v; MatMul p v -> y", None),
            ("Sigmoid x -> p; DequantizeLinear signed_codes half -> v; MatMul p v -> y", Some(Logits)),
            (
                "Sigmoid x -> p; DequantizeLinear codes half zero -> v; Transpose v perm=[1,0] -> t; MatMul p t -> y",
                None,
            ),
            ("Sigmoid x -> p; MatMul means16 p -> y", None),
            ("Sigmoid x -> p; MatMul weights p -> y", Some(Logits)),
            ("Sigmoid x -> p; Div ones w -> v; MatMul p v -> y", None),
            ("Sigmoid x -> p; MatMul p means16 -> y", None),
            ("Sigmoid x -> p; Cast means16 to=1 -> v; MatMul p v -> y", None),
            ("Sigmoid x -> p; MatMul p signed16 -> y", Some(Logits)),
            ("Sigmoid x -> p; MatMul p elsewhere -> y", None),
            ("Sigmoid x -> p; Transpose means perm=[1,0] -> t; MatMul p t -> y", None),
            ("Sigmoid x -> p; Transpose weights perm=[1,0] -> t; MatMul p t -> y", Some(Logits)),
            ("Sigmoid x -> p; MatMulInteger p codes -> y", None),
            (
                "Sigmoid x -> p; QLinearMatMul p w zero signed_codes w zero w zero -> q; DequantizeLinear q w zero -> y",
                Some(Logits),
            ),
            ("Sigmoid x -> p; Mul x p -> h; MatMul h means -> y", Some(Logits)),
            ("Sigmoid x -> p; MatMul p weights -> s; Mul s half -> y", Some(Logits)),
        ],
    );
}

#[test]
fn weights_over_what_is_so_or_not_are_those_of_trees() {
    check_more(
        None,
        &[
            (
                "MatMul x ones -> a; Less a w -> b; Cast b to=1 -> c; MatMul c eye -> d; Equal d one -> e; Cast e to=1 -> f; MatMul f means -> y",
                None,
            ),
            ("MatMul x w -> s; ReduceMax s last -> m; Equal s m -> e; Cast e to=1 -> f; MatMul f means -> y", None),
            ("Greater x w -> c; Where c one half -> t; MatMul t weights -> y", None),
            ("Greater x w -> c; Not c -> n; Cast n to=1 -> f; Gemm f means -> y", None),
            ("Greater x w -> c; And c c -> d; Cast d to=1 -> f; Conv f kernel -> y", None),
            // A mask over features, one that is added to scores, and a rectifier by hand.
            ("Greater x w -> c; Cast c to=1 -> f; Mul x f -> m; MatMul m means -> y", Some(Logits)),
            (
                "Greater x w -> c; Where c one big -> m; Add z m -> a; ReduceMax a axes=[2] -> r; MatMul r means -> y",
                Some(Logits),
            ),
            ("Greater x w -> c; Where c x one -> t; MatMul t means -> y", Some(Logits)),
        ],
    );
    let Reading::Unclear(text) = read(&with_constants("Less x w -> b; Cast b to=1 -> c; MatMul c means -> y"), "y")
    else {
        panic!("unclear");
    };
    assert!(["MatMul", "node y", "softmax", "logits"].iter().all(|part| text.contains(part)), "{text}");
}

#[test]
fn means_over_the_classes_make_no_probabilities() {
    check_more(
        Some(&[-1, 6]),
        &[
            ("Reshape x shape=[-1,3,2] -> r; Softmax r axis=2 -> p; ReduceMean p axes=[2] keepdims=0 -> y", None),
            (
                "Reshape x shape=[-1,3,2] -> r; Softmax r axis=1 -> p; ReduceMean p axes=[2] keepdims=0 -> y",
                Some(Softmax),
            ),
            ("Softmax x -> p; Reshape p shape=[-1,3,2] -> r; ReduceMean r axes=[2] keepdims=0 -> y", None),
            ("Softmax x -> p; Unsqueeze p axes=[1] -> u; AveragePool u kernel_shape=[2] -> y", None),
            ("Softmax x -> p; Unsqueeze p axes=[2] -> u; AveragePool u kernel_shape=[1] -> y", Some(Softmax)),
            (
                "Softmax x -> p; Unsqueeze p axes=[2] -> u; Transpose u perm=[0,2,1] -> t; GlobalAveragePool t -> y",
                None,
            ),
            (
                "Softmax x -> p; Unsqueeze p axes=[2] -> u; Softmax z -> q; Unsqueeze q axes=[2] -> v; Concat u v axis=2 -> c; ReduceMean c axes=[2] keepdims=0 -> y",
                Some(Heads),
            ),
            ("Softmax x -> p; Softmax z -> q; Concat p q axis=1 -> c; ReduceMean c axes=[1] -> y", None),
            ("Reshape x shape=[-1,3,3] -> r; Softmax r axis=1 -> p; Softmax r axis=2 -> q; Mean p q -> y", None),
            ("Gemm x weights -> s; Unsqueeze s axes=[1] -> u; MaxPool u kernel_shape=[2] -> y", None),
            ("Gemm x weights -> s; Unsqueeze s axes=[1] -> u; AveragePool u kernel_shape=[2] -> y", None),
            ("Gemm x weights -> s; ReduceMean s axes=[1] -> m; Sub s m -> y", Some(Logits)),
        ],
    );
    check_more(
        None,
        &[
            ("Softmax x -> p; GlobalAveragePool p -> y", None),
            ("Softmax x axis=1 -> p; GlobalAveragePool p -> f; Flatten f -> y", Some(Softmax)),
            ("Softmax x -> p; ReduceMean p axes=[-1] -> y", None),
            ("Softmax x axis=2 -> p; ReduceMean p axes=[2] -> y", None),
            ("Softmax x -> p; ReduceMean p axes=[1] -> y", None),
            ("Conv x w -> c; MaxPool c -> y", Some(Logits)),
        ],
    );
}

#[test]
fn whole_numbers_read_by_another_scale_are_no_probabilities() {
    check_more(
        None,
        &[
            ("Softmax x -> p; QuantizeLinear p tiny zero -> q; DequantizeLinear q one zero -> y", None),
            ("Softmax x -> p; QuantizeLinear p tiny zero -> q; DequantizeLinear q tiny seven -> y", None),
            ("Softmax x -> p; QuantizeLinear p tiny seven -> q; DequantizeLinear q tiny -> y", None),
            ("Softmax x -> p; QuantizeLinear p tiny zero -> q; DequantizeLinear q row -> y", None),
            ("Softmax x -> p; QuantizeLinear p row axis=1 -> q; DequantizeLinear q row axis=1 -> y", Some(Softmax)),
            ("Softmax x -> p; QuantizeLinear p row axis=1 -> q; DequantizeLinear q row axis=2 -> y", None),
            ("Softmax x -> p; QuantizeLinear p tiny zero -> q; DequantizeLinear q tiny -> y", Some(Softmax)),
            (
                "Softmax x -> p; QuantizeLinear p half -> q; Reshape q shape=[0,-1] -> r; DequantizeLinear r half16 -> y",
                Some(Softmax),
            ),
            ("Softmax x -> p; DynamicQuantizeLinear p -> q s z; DequantizeLinear q s z -> y", Some(Softmax)),
            ("Sigmoid x -> p; QuantizeLinear p tiny -> q; DequantizeLinear q half -> y", None),
            ("LogSoftmax x -> p; QuantizeLinear p tiny -> q; DequantizeLinear q half -> y", None),
            ("com.microsoft.QLinearSoftmax x w w half zero -> q; DequantizeLinear q half zero -> y", Some(Softmax)),
            ("com.microsoft.QLinearSoftmax x w w half zero -> q; DequantizeLinear q w zero -> y", None),
            (
                "com.microsoft.QLinearSigmoid x w w half zero -> p; com.microsoft.QLinearGlobalAveragePool p w zero half zero -> q; DequantizeLinear q half zero -> y",
                None,
            ),
            (
                "com.microsoft.QLinearSigmoid x w w half zero -> p; com.microsoft.QLinearGlobalAveragePool p half zero w zero -> q; DequantizeLinear q w zero -> y",
                Some(Sigmoid),
            ),
            ("MatMul x w -> s; QuantizeLinear s tiny -> q; DequantizeLinear q half -> y", Some(Logits)),
        ],
    );
}

#[test]
fn what_is_divided_by_scores_is_no_score() {
    check_more(
        None,
        &[
            ("MatMul x w -> s; Div one s -> y", None),
            ("MatMul x w -> s; Reciprocal s -> y", None),
            ("MatMul x w -> s; Div s one -> y", Some(Logits)),
            ("MatMul x w -> s; Mul one s -> y", Some(Logits)),
        ],
    );
}

#[test]
fn other_divisors_than_the_sum_make_no_shares() {
    check_more(
        Some(&[-1, 3, 3]),
        &[
            ("Exp x -> e; ReduceSum e last -> t; Clip t max=0.01 -> u; Div e u -> y", None),
            ("Exp x -> e; ReduceSum e last -> t; Clip t min=0.5 -> u; Div e u -> y", None),
            ("Exp x -> e; ReduceSum e last -> t; Clip t min=0.0000001 -> u; Div e u -> y", Some(Softmax)),
            ("Sigmoid x -> e; ReduceSum e last -> t; Add t minus -> u; Div e u -> y", None),
            ("Exp x -> e; ReduceSum e last -> t; Max t big -> u; Div e u -> y", None),
            ("Exp x -> e; ReduceSum e last -> t; Max t tiny -> u; Div e u -> y", Some(Softmax)),
            ("Exp x -> e; ReduceSum e last -> t; Max tiny16 t -> u; Div e u -> y", Some(Softmax)),
            ("Exp x -> e; ReduceSum e last -> t; Add t row -> u; Div e u -> y", None),
            (
                "Exp x -> e; Cast e to=6 -> i; Cast i to=1 -> f; ReduceSum f last -> t; Add t tiny -> u; Div e u -> y",
                None,
            ),
            ("Exp x -> e; Cast e to=10 -> f; ReduceSum f last -> t; Div e t -> y", Some(Softmax)),
            ("Exp x -> e; Unsqueeze e axes=[1] -> u; Expand u w -> v; ReduceSum v axes=[3] -> t; Div e t -> y", None),
            ("Exp x -> e; ReduceSum e last -> t; Shape x -> s; Expand t s -> u; Div e u -> y", Some(Softmax)),
            ("Exp x -> e; Transpose e perm=[0,2,1] -> v; ReduceSum v last -> t; Div e t -> y", None),
            ("Exp x -> e; ReduceSum e last keepdims=0 -> t; Unsqueeze t axes=[1] -> u; Div e u -> y", None),
            ("Exp x -> e; ReduceSum e last keepdims=0 -> t; Unsqueeze t last -> u; Div e u -> y", Some(Softmax)),
            ("Exp x -> e; ReduceSum e last -> t; Transpose t perm=[0,2,1] -> u; Div e u -> y", None),
            (
                "Exp x -> e; QuantizeLinear e half -> q; DequantizeLinear q one -> f; ReduceSum f last -> t; Div e t -> y",
                None,
            ),
            ("Exp x -> e; ReduceSum e last -> t; Clip t max=0.01 -> u; Log u -> l; Sub x l -> y", None),
            ("Exp x -> e; ReduceSum e last -> t; Max t big -> u; Log u -> l; Sub x l -> y", None),
        ],
    );
    check_more(
        Some(&[-1, 3]),
        &[
            ("Exp x -> e; ReduceSum e last keepdims=0 -> t; Reshape t shape=[-1,1] -> u; Div e u -> y", Some(Softmax)),
            ("Exp x -> e; ReduceSum e last keepdims=0 -> t; Div e t -> y", None),
        ],
    );
}

#[test]
fn names_of_known_operators_in_a_file_of_its_own_say_nothing() {
    check_more(
        Some(&[-1, 3]),
        &[
            ("my.Relu x -> e; ReduceSum e last -> t; Div e t -> y", None),
            ("my.Exp x -> e; ReduceSum e last -> t; Div e t -> y", None),
            ("Exp x -> e; my.ReduceSum e last -> t; Div e t -> y", None),
            ("Neg x -> n; my.Exp n -> e; Add e one -> d; Div one d -> y", None),
            ("Neg x -> n; Exp n -> e; my.Add e one -> d; Div one d -> y", None),
            ("my.Exp x -> e; ReduceSum e last -> t; Log t -> l; Sub x l -> y", None),
            ("my.Constant value_float=1 -> c; Neg x -> n; Exp n -> e; Add e c -> d; Div c d -> y", None),
            ("MatMul x w -> s; my.Relu s -> r; ReduceMean r axes=[2] -> y", None),
            ("my.Abs x -> e; LpNormalization e p=1 -> y", None),
            ("Softmax x -> p; QuantizeLinear p w w -> q; my.DequantizeLinear q w w -> y", None),
        ],
    );
    let coded = with_constants("Softmax x -> p; QuantizeLinear p w w -> q; my.DequantizeLinear q w w -> y");
    assert!(known(&coded, 21, "y").lacks_scale);
}

#[test]
fn shares_stay_shares_where_nothing_bends_them() {
    check_more(
        None,
        &[
            ("Softmax x -> p; MatMul p means -> q; Relu q -> r; MatMul r eye -> y", None),
            ("Softmax x -> p; Gemm p means one -> q; Relu q -> r; MatMul r eye -> y", None),
            ("Softmax x -> p; MatMul p means -> q; LeakyRelu q -> r; MatMul r eye -> y", None),
            ("Softmax x -> p; MatMul p weights -> q; Relu q -> r; MatMul r eye -> y", Some(Logits)),
            ("Softmax x -> p; Gemm p means minus -> q; Relu q -> r; MatMul r eye -> y", Some(Logits)),
            ("Softmax x -> p; Relu p -> r; MatMul r eye -> y", None),
            ("Softmax x -> p; Greater x w -> c; Where c p x -> t; MatMul t means -> y", None),
            ("Softmax x -> p; Add p x -> t; MatMul t means -> y", None),
            ("Softmax x -> p; Max p x -> t; MatMul t means -> y", None),
        ],
    );
}

#[test]
fn means_that_are_written_out_are_means() {
    check_more(
        Some(&[-1, 3]),
        &[
            ("Softmax x -> p; Softmax z -> q; Add p q -> s; Div s w -> y", Some(Softmax)),
            ("Softmax x -> p; Softmax z -> q; Add p q -> s; Mul s half -> y", Some(Softmax)),
            ("Softmax x -> p; Softmax z -> q; Sum p q -> s; Mul half16 s -> y", Some(Softmax)),
            ("Softmax x -> p; Softmax z -> q; Mul p half -> a; Mul q half -> b; Add a b -> y", Some(Softmax)),
            ("Sigmoid x -> p; Sigmoid z -> q; Add p q -> s; Div s w -> y", Some(Sigmoid)),
            ("Softmax x -> p; Softmax z -> q; Add p q -> y", None),
            ("Softmax x -> p; Softmax z -> q; Add p q -> s; Div s one -> y", None),
            ("Softmax x -> p; Softmax z -> q; Sub p q -> s; Div s w -> y", None),
            ("Softmax x -> p; Softmax z -> q; Add p q -> s; Div w s -> y", None),
            ("Softmax x -> p; Sigmoid z -> q; Add p q -> s; Div s w -> y", None),
            ("Softmax x -> p; LogSoftmax z -> q; Add p q -> s; Div s w -> y", None),
            ("Softmax x -> p; Mul p half -> s; Add s half -> y", None),
            ("Softmax x axis=1 -> p; Unsqueeze z axes=[1] -> u; Softmax u -> q; Add p q -> s; Div s w -> y", None),
        ],
    );
}

#[test]
fn constants_of_every_precision_are_read() {
    check_more(
        None,
        &[
            ("Softmax x -> p; Clip p tiny16 one16 -> y", Some(Softmax)),
            ("Softmax x -> p; Clip p half16 one16 -> y", None),
            ("Neg x -> n; Exp n -> e; Add e one16 -> d; Div one16 d -> y", Some(Sigmoid)),
            ("Neg x -> n; Exp n -> e; Add e one64 -> d; Div one64 d -> y", Some(Sigmoid)),
            ("Neg x -> n; Exp n -> e; Add e half16 -> d; Div one16 d -> y", None),
        ],
    );
}

#[test]
fn classifiers_of_scikit_learn_that_keep_from_dividing_by_zero_make_shares() {
    let of = |classes: &'static str| {
        let text = format!(
            "Sigmoid x -> e; ReduceSum e last -> t; Cast t to=9 -> b; Not b -> n; Cast n to=1 -> m; Add e m -> f; \
             Mul m {classes} -> k; Add t k -> u; Div f u -> y"
        );
        let mut graph = with_constants(text.leak());
        graph.inputs[0].dims = dims(&[-1, 2]);
        read(&graph, "y")
    };
    assert_eq!(of("w"), Reading::Found(Softmax));
    assert!(matches!(of("big"), Reading::Unclear(_)), "each its share of one");
    check_more(
        Some(&[-1, 2]),
        &[
            (
                "Sigmoid x -> e; ReduceSum e last -> t; Cast t to=9 -> b; Not b -> n; Cast n to=1 -> m; Add t m -> u; Div e u -> y",
                Some(Softmax),
            ),
            (
                "Sigmoid x -> e; ReduceSum e last -> t; Cast t to=6 -> b; Equal b first -> n; Cast n to=1 -> m; Add t m -> u; Div e u -> y",
                None,
            ),
            (
                "Sigmoid x -> e; Sigmoid z -> o; ReduceSum e last -> t; Cast o to=9 -> b; Not b -> n; Cast n to=1 -> m; Add t m -> u; Div e u -> y",
                None,
            ),
            // Nearest neighbours, each with a weight by its distance.
            (
                "Max x tiny -> d; Reciprocal d -> r; Equal z one -> a; Cast a to=1 -> b; Mul b r -> c; ReduceSum c last -> f; Concat f f axis=1 -> v; ReduceSum v axes=[1] -> t; Div v t -> y",
                Some(Softmax),
            ),
        ],
    );
}

#[test]
fn long_names_leave_room_for_the_readings() {
    let name: &'static str = "n".repeat(200_000).leak();
    let mut long = graph("MatMul x w -> s; Tanh s -> y");
    long.nodes[1].name = name;
    let Reading::Unclear(text) = read(&long, "y") else { panic!("unclear") };
    assert!(text.len() < 200, "{} bytes", text.len());
}
