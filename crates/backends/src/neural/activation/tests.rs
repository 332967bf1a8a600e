//! Small graphs, each with what its output holds.

use super::*;
use crate::neural::onnx_view::{AttributeView, ElementType, TensorView};

/// A graph of lines such as `Softmax scores -> y` or `ai.onnx.ml.ZipMap p -> y`, with attributes as `axis=1` or `norm=L1`. `x`
/// is its input, `y` its output, and `one` and `w` are constants.
fn graph(text: &'static str) -> GraphView<'static> {
    let constant = |name, values: &'static [u8]| TensorView {
        name,
        element: ElementType::F32,
        dims: vec![],
        raw: values,
        integers: vec![],
        floats: &[],
        external: None,
    };
    let nodes = text.split(';').map(str::trim).filter(|line| !line.is_empty()).map(node).collect();
    let initializers = vec![constant("one", &[0, 0, 128, 63]), constant("w", &[0, 0, 0, 64])];
    GraphView { nodes, initializers, ..GraphView::default() }
}

fn node(line: &'static str) -> NodeView<'static> {
    let (made_of, outputs) = line.split_once("->").expect("an arrow");
    let mut words = made_of.split_whitespace();
    let name = words.next().expect("an operator");
    let (domain, op) = name.rsplit_once('.').unwrap_or(("", name));
    let (attributes, inputs): (Vec<_>, Vec<_>) = words.partition(|word| word.contains('='));
    let attribute = |word: &'static str| {
        let (name, value) = word.split_once('=').expect("a value");
        AttributeView { name, integer: value.parse().ok(), text: Some(value.as_bytes()), ..AttributeView::default() }
    };
    let attributes = attributes.into_iter().map(attribute).collect();
    NodeView { name: "", op, domain, inputs, outputs: outputs.split_whitespace().collect(), attributes }
}

fn check(cases: &[(&'static str, Option<OutputActivation>)]) {
    for (text, expected) in cases {
        match (reading(&graph(text), "y"), expected) {
            (Reading::Found(found), Some(expected)) => assert_eq!(found, *expected, "{text}"),
            (Reading::Unclear(_), None) => {}
            (found, expected) => panic!("{text}: expected {expected:?}, found {found:?}"),
        }
    }
}

use OutputActivation::{Heads, LogSoftmax, Logits, Sigmoid, Softmax};

#[test]
fn the_last_operator_decides() {
    check(&[
        ("MatMul x w -> s; Softmax s -> y", Some(Softmax)),
        ("MatMul x w -> s; LogSoftmax s -> y", Some(LogSoftmax)),
        ("MatMul x w -> s; Sigmoid s -> y", Some(Sigmoid)),
        ("MatMul x w -> s; HardSigmoid s -> y", Some(Sigmoid)),
        ("Gemm x w w -> y", Some(Logits)),
        ("Conv x w -> c; GlobalAveragePool c -> p; Flatten p -> y", Some(Logits)),
        ("Conv x w -> c; Relu c -> r; GlobalAveragePool r -> p; Flatten p -> y", Some(Logits)),
        ("Conv x w -> c; Exp c -> r; GlobalAveragePool r -> p; Flatten p -> y", None),
        ("Softmax x -> p; ReduceMean p -> y", Some(Softmax)),
        ("Softmax x -> p; Softmax z -> q; Mean p q -> y", Some(Softmax)),
        ("Sigmoid x -> p; ReduceMax p -> y", Some(Sigmoid)),
        ("Softmax x -> p; ReduceMax p -> y", None),
        ("MatMul x w -> m; Add m w -> y", Some(Logits)),
        ("MatMul x w -> m; Mul m w -> y", Some(Logits)),
        ("MatMul x w -> m; Div m w -> y", Some(Logits)),
        ("MatMul x w -> m; Conv x w -> n; Add m n -> y", Some(Logits)),
        ("Sigmoid x -> h; MatMul h w -> y", Some(Logits)),
        ("MatMul x w -> s; Softmax s -> p; MatMul p w -> y", None),
        ("MatMul x w -> s; Tanh s -> y", None),
        ("MatMul x w -> s; Relu s -> y", None),
        ("MatMul x w -> s; Clip s -> y", None),
        ("MatMul x w -> s; Sigmoid s -> p; Mul p w -> y", None),
        ("MatMul x w -> s; Sigmoid s -> p; Mul p s -> y", None),
        ("MatMul x w -> s; Softmax s -> p; Log p -> y", Some(LogSoftmax)),
        ("MatMul x w -> s; Softmax s -> p; Clip p -> y", Some(Softmax)),
        ("MatMul x w -> s; LogSoftmax s -> l; Exp l -> y", Some(Softmax)),
        ("MatMul x w -> s; Exp s -> y", None),
        ("Identity x -> y", None),
        ("other.Softmax x -> y", None),
    ]);
}

#[test]
fn what_only_moves_numbers_is_looked_through() {
    check(&[
        ("Softmax x -> p; QuantizeLinear p w w -> q; DequantizeLinear q w w -> y", Some(Softmax)),
        ("com.microsoft.QLinearSoftmax x w w w w -> q; DequantizeLinear q w w -> y", Some(Softmax)),
        ("Sigmoid x -> p; QuantizeLinear p w w -> q; DequantizeLinear q w w -> r; Reshape r w -> y", Some(Sigmoid)),
        ("LogSoftmax x -> p; Cast p to=10 -> h; Cast h to=1 -> y", Some(LogSoftmax)),
        ("Softmax x -> p; Transpose p -> t; Squeeze t -> s; Unsqueeze s -> u; Identity u -> y", Some(Softmax)),
        ("MatMul x w -> s; Flatten s -> y", Some(Logits)),
        ("Softmax x -> p; Cast p to=7 -> i; Cast i to=1 -> y", None),
        (
            "DynamicQuantizeLinear x -> q s z; Mul s w -> f; MatMulInteger q w z -> i; Cast i to=1 -> c; Mul c f -> m; \
             Add m w -> y",
            Some(Logits),
        ),
        (
            "QLinearMatMul x w w w w w w w -> q; com.microsoft.QLinearAdd q w w w w w w w -> a; \
             DequantizeLinear a w w -> y",
            Some(Logits),
        ),
        (
            "com.microsoft.QLinearSoftmax x -> p; com.microsoft.QLinearSigmoid x -> s; \
             com.microsoft.QLinearConcat w w p w w s w w -> c; DequantizeLinear c w w -> y",
            Some(Heads),
        ),
        ("DequantizeLinear w w w -> v; MatMul x v -> s; DequantizeLinear w w w -> b; Add s b -> y", Some(Logits)),
    ]);
}

#[test]
fn numbers_without_their_scale_are_found() {
    let cases = [
        ("Softmax x -> p; QuantizeLinear p w w -> y", true),
        ("Softmax x -> p; QuantizeLinear p w w -> q; Cast q to=1 -> y", true),
        ("com.microsoft.QLinearSoftmax x w w w w -> q; Reshape q w -> y", true),
        ("QuantizeLinear x w w -> q; DequantizeLinear q w w -> y", false),
        ("Softmax x -> y", false),
    ];
    for (text, expected) in cases {
        assert_eq!(lacks_scale(&graph(text), "y"), expected, "{text}");
    }
}

#[test]
fn heads_beside_each_other_are_each_as_they_are() {
    check(&[
        ("Softmax x -> a; Softmax x -> b; Concat a b -> y", Some(Heads)),
        ("Softmax x -> a; Sigmoid x -> b; Concat a b -> c; Flatten c -> y", Some(Heads)),
        ("Sigmoid x -> a; Sigmoid x -> b; Concat a b -> y", Some(Sigmoid)),
        ("LogSoftmax x -> a; LogSoftmax x -> b; Concat a b -> y", Some(LogSoftmax)),
        ("Sigmoid x -> p; Sub one p -> n; Concat n p -> y", Some(Sigmoid)),
        ("Softmax x -> a; Concat a -> y", Some(Softmax)),
        ("Softmax x -> a; MatMul x w -> b; Concat a b -> y", None),
        ("MatMul x w -> a; MatMul x w -> b; Concat a b -> y", None),
        ("Softmax x -> a; LogSoftmax x -> b; Concat a b -> y", None),
    ]);
}

#[test]
fn pieces_of_a_softmax_are_recognised() {
    check(&[
        ("MatMul x w -> s; Exp s -> e; ReduceSum e w -> t; Div e t -> y", Some(Softmax)),
        ("ReduceMax x -> m; Sub x m -> d; Exp d -> e; ReduceSum e -> t; Div e t -> y", Some(Softmax)),
        ("Exp x -> e; ReduceSum e -> t; Add t w -> u; Div e u -> y", Some(Softmax)),
        ("Exp x -> e; ReduceSum e -> t; Reciprocal t -> r; Mul e r -> y", Some(Softmax)),
        ("Exp x -> e; Exp x -> f; ReduceSum f -> t; Div e t -> p; Reshape p w -> y", Some(Softmax)),
        ("Exp x -> e; Exp z -> f; ReduceSum f -> t; Div e t -> y", None),
        ("Relu x -> e; ReduceSum e -> t; Div e t -> y", Some(Softmax)),
        ("Sigmoid x -> e; ReduceSum e -> t; Div e t -> y", Some(Softmax)),
        ("MatMul x w -> e; ReduceSum e -> t; Div e t -> y", None),
        ("MatMul x w -> e; ReduceL2 e -> t; Div e t -> y", None),
        ("ReduceLogSumExp x -> l; Sub x l -> y", Some(LogSoftmax)),
        ("Exp x -> e; ReduceSum e -> t; Log t -> l; Sub x l -> y", Some(LogSoftmax)),
        ("Exp x -> e; ReduceSum e -> t; Log t -> l; Sub x l -> d; Exp d -> y", Some(Softmax)),
        (
            "ReduceMax x -> m; Sub x m -> d; Exp d -> e; ReduceSum e -> t; Log t -> l; Add l m -> a; Sub x a -> y",
            Some(LogSoftmax),
        ),
        ("Neg x -> n; Exp n -> e; Add e one -> d; Div one d -> y", Some(Sigmoid)),
        ("Neg x -> n; Exp n -> e; Add one e -> d; Reciprocal d -> y", Some(Sigmoid)),
        ("Exp x -> e; Add one e -> d; Div e d -> y", Some(Sigmoid)),
        ("Neg x -> n; Exp n -> e; Add e w -> d; Div one d -> y", None),
    ]);
}

#[test]
fn classical_classifiers_say_what_they_did() {
    check(&[
        ("ai.onnx.ml.LinearClassifier x post_transform=SOFTMAX -> l p; ai.onnx.ml.ZipMap p -> y", Some(Softmax)),
        (
            "ai.onnx.ml.LinearClassifier x post_transform=LOGISTIC -> l p; ai.onnx.ml.Normalizer p norm=L1 -> y",
            Some(Softmax),
        ),
        ("ai.onnx.ml.TreeEnsembleClassifier x post_transform=LOGISTIC -> l y", Some(Sigmoid)),
        ("ai.onnx.ml.TreeEnsembleClassifier x post_transform=NONE -> l y", None),
        ("ai.onnx.ml.LinearClassifier x post_transform=LOGISTIC -> l p; ai.onnx.ml.Normalizer p norm=MAX -> y", None),
    ]);
}

#[test]
fn forests_whose_leaves_share_one_vote_are_probabilities() {
    let cases: [(&[i64], &[i64], &[f32], bool); 6] = [
        (&[0, 0, 0, 0], &[1, 1, 2, 2], &[0.25, 0.75, 1.0, 0.0], true),
        (&[0, 0, 1, 1], &[1, 1, 1, 1], &[0.1, 0.4, 0.5, 0.0], true),
        (&[0, 0, 0, 0], &[1, 1, 2, 2], &[0.25, 0.75, 1.0, 0.5], false),
        (&[0, 0], &[1, 1], &[1.5, -0.5], false),
        (&[0, 0], &[1, 2], &[0.3, 0.2], false),
        (&[], &[], &[], false),
    ];
    for (trees, leaves, weights, expected) in cases {
        let mut forest = graph("ai.onnx.ml.TreeEnsembleClassifier x post_transform=NONE -> l y");
        let integers =
            |name, integers: &[i64]| AttributeView { name, integers: integers.to_vec(), ..AttributeView::default() };
        forest.nodes[0].attributes.extend([
            integers("class_treeids", trees),
            integers("class_nodeids", leaves),
            AttributeView { name: "class_weights", floats: weights.to_vec(), ..AttributeView::default() },
        ]);
        assert_eq!(reading(&forest, "y") == Reading::Found(Softmax), expected, "{weights:?}");
    }
}

#[test]
fn numbers_of_classes_are_labels() {
    let cases = [
        "ArgMax x -> a; Cast a to=1 -> y",
        "TopK x w -> v y",
        "ai.onnx.ml.LinearClassifier x post_transform=SOFTMAX -> l p; Cast l to=7 -> y",
        "ArgMax x -> a; ai.onnx.ml.ArrayFeatureExtractor w a -> f; Cast f to=7 -> r; Reshape r w -> y",
        "ArgMax x -> a; Gather w a -> y",
        "Sigmoid x -> p; Greater p w -> g; Cast g to=1 -> y",
    ];
    for text in cases {
        assert_eq!(reading(&graph(text), "y"), Reading::Label, "{text}");
    }
}

#[test]
fn graphs_without_end_are_answered() {
    check(&[("Identity y -> y", None), ("Add y y -> y", None), ("Relu b -> a; Relu a -> b; Relu b -> y", None)]);
    let mut deep = graph("");
    let names: Vec<&'static str> = (0..5_000).map(|index| &*format!("v{index}").leak()).collect();
    for pair in names.windows(2) {
        deep.nodes.push(NodeView {
            op: "Add",
            inputs: vec![pair[0]; 2],
            outputs: vec![pair[1]],
            ..NodeView::default()
        });
    }
    assert!(matches!(reading(&deep, names[4_999]), Reading::Unclear(_)));
}
