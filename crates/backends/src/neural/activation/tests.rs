//! Small graphs, each with what its output holds.

mod disguises;
mod insides;
mod items;
mod lookalikes;
mod probabilities;

use super::*;
use crate::neural::onnx_view::{
    AttributeView, Dimension, ElementType, FunctionView, GraphView, NodeView, TensorView, ValueView,
};

/// A graph of lines such as `Softmax scores -> y` or `ai.onnx.ml.ZipMap p -> y`, with attributes as `axis=1` or `norm=L1`. `x` and
/// `z` are its inputs, of shapes that nothing tells, `y` its output; `one` (1.0), `w` (2.0), `weights` (2 x 2), `means` (2 x 2, of
/// means), `tiny` (1e-7), `first` (0) and `last` (-1) are constants.
fn graph(text: &'static str) -> GraphView<'static> {
    let constant = |name, dims: &[i64], raw: &'static [u8]| TensorView {
        name,
        element: ElementType::F32,
        dims: dims.to_vec(),
        raw,
        integers: vec![],
        floats: &[],
        external: None,
    };
    let axis = |name, axis| TensorView { element: ElementType::I64, integers: vec![axis], ..constant(name, &[1], &[]) };
    let nodes = text.split(';').map(str::trim).filter(|line| !line.is_empty()).map(node).collect();
    let initializers = vec![
        constant("one", &[], &[0, 0, 128, 63]),
        constant("w", &[], &[0, 0, 0, 64]),
        constant("weights", &[2, 2], &[0, 0, 128, 63, 0, 0, 0, 192, 0, 0, 0, 64, 0, 0, 128, 63]),
        constant("means", &[2, 2], &[0, 0, 0, 63, 0, 0, 128, 62, 0, 0, 0, 63, 0, 0, 64, 63]),
        axis("first", 0),
        axis("last", -1),
        constant("tiny", &[], &[149, 191, 214, 51]),
    ];
    let input = |name| ValueView { name, element: Some(ElementType::F32), dims: None };
    GraphView { nodes, initializers, inputs: vec![input("x"), input("z")], ..GraphView::default() }
}

/// Extents, of which those below 0 are decided at run time.
fn dims(extents: &[i64]) -> Option<Vec<Dimension<'static>>> {
    let dim = |&extent: &i64| if extent < 0 { Dimension::Symbolic("n") } else { Dimension::Fixed(extent) };
    Some(extents.iter().map(dim).collect())
}

/// A graph whose input has these extents.
fn shaped(extents: &[i64], text: &'static str) -> GraphView<'static> {
    let mut graph = graph(text);
    graph.inputs[0].dims = dims(extents);
    graph
}

fn node(line: &'static str) -> NodeView<'static> {
    let (made_of, outputs) = line.rsplit_once("->").expect("an arrow");
    let mut words = made_of.split_whitespace();
    let name = words.next().expect("an operator");
    let (domain, op) = name.rsplit_once('.').unwrap_or(("", name));
    let (attributes, inputs): (Vec<_>, Vec<_>) = words.partition(|word| word.contains('='));
    let attribute = |word: &'static str| {
        let (name, value) = word.split_once('=').expect("a value");
        let list = value.strip_prefix('[').and_then(|list| list.strip_suffix(']'));
        let integers = list.into_iter().flat_map(|list| list.split(',')).filter_map(|item| item.parse().ok()).collect();
        let (integer, float, text) = (value.parse().ok(), value.parse().ok(), Some(value.as_bytes()));
        AttributeView { name, integer, integers, float, text, ..AttributeView::default() }
    };
    let attributes = attributes.into_iter().map(attribute).collect();
    NodeView { name: "", op, domain, overload: "", inputs, outputs: outputs.split_whitespace().collect(), attributes }
}

/// What is known of an output of a graph.
fn known(graph: &GraphView<'_>, opset: i64, output: &str) -> Known {
    Values::of(&OnnxView { opsets: vec![("", opset)], graph: graph.clone(), functions: vec![] }).known(output)
}

/// What an output of a graph of the present operator set holds.
fn read(graph: &GraphView<'_>, output: &str) -> Reading {
    known(graph, 21, output).reading
}

fn check(cases: &[(&'static str, Option<OutputActivation>)]) {
    for (text, expected) in cases {
        let Known { reading, tie, .. } = known(&graph(text), 21, "y");
        match (reading, expected) {
            (Reading::Found(found), Some(expected)) if tie.is_none() => assert_eq!(found, *expected, "{text}"),
            (Reading::Unclear(_), None) => {}
            (Reading::Found(_) | Reading::Label, None) if tie.is_some() => {}
            (found, expected) => panic!("{text}: expected {expected:?}, found {found:?}"),
        }
    }
}

use OutputActivation::{Heads, LogSoftmax, Logits, Sigmoid, Softmax};

/// Attributes of the operators that are looked at (ONNX 1.23) on which no reading depends: they change numbers, not what numbers are.
/// Each operator stands last in a graph whose output has a reading.
const IDLE: [(&str, &[&str]); 28] = [
    ("HardSigmoid x -> y", &["alpha", "beta"]),
    ("ArgMax x -> y", &["axis", "keepdims", "select_last_index"]),
    ("ArgMin x -> y", &["axis", "keepdims", "select_last_index"]),
    ("TopK x w -> v y", &["axis", "k", "largest", "sorted"]),
    ("Softmax x -> p; CastLike p one -> y", &["saturate", "round_mode"]),
    ("Softmax x -> p; Dropout p -> y", &["ratio", "seed", "is_test"]),
    ("Softmax x -> p; Reshape p w -> y", &["allowzero", "shape"]),
    ("Softmax x -> p; Flatten p -> y", &["axis"]),
    ("Softmax x -> p; Squeeze p -> y", &["axes"]),
    ("Softmax x -> p; Unsqueeze p -> y", &["axes"]),
    ("Softmax x -> p; QuantizeLinear p w -> y", &["axis", "block_size", "output_dtype", "precision", "saturate"]),
    ("Softmax x -> p; DequantizeLinear p w -> y", &["axis", "block_size", "output_dtype"]),
    ("Softmax x -> p; Slice p -> y", &["axes", "ends", "starts"]),
    ("Softmax x -> p; Split p -> y", &["axis", "num_outputs", "split"]),
    ("Softmax x -> p; Gather p last -> y", &["axis"]),
    ("Gemm x w -> y", &["alpha", "beta", "broadcast", "transA", "transB"]),
    ("Einsum x w -> y", &["equation"]),
    ("Conv x w -> y", &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"]),
    (
        "ConvTranspose x w -> y",
        &["auto_pad", "dilations", "group", "kernel_shape", "output_padding", "output_shape", "pads"],
    ),
    (
        "Sigmoid x -> p; AveragePool p -> y",
        &["auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides"],
    ),
    (
        "Sigmoid x -> p; MaxPool p -> y",
        &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides"],
    ),
    (
        "MatMul x w -> s; BatchNormalization s w w w w -> y",
        &["epsilon", "momentum", "spatial", "training_mode", "is_test"],
    ),
    ("MatMul x w -> s; InstanceNormalization s w w -> y", &["epsilon"]),
    ("MatMul x w -> s; LayerNormalization s w -> y", &["axis", "epsilon", "stash_type"]),
    ("MatMul x w -> s; GroupNormalization s w w -> y", &["epsilon", "num_groups", "stash_type"]),
    ("Softmax x axis=1 -> p; ReduceMean p axes=[2] -> y", &["keepdims"]),
    ("MatMul x w -> s; ReduceSum s last -> y", &["keepdims"]),
    ("Sigmoid x -> p; ReduceMax p last -> y", &["keepdims", "noop_with_empty_axes"]),
];

#[test]
fn attributes_that_change_numbers_alone_change_no_reading() {
    for (text, attributes) in IDLE {
        let base = graph(text);
        let expected = read(&base, "y");
        assert!(matches!(expected, Reading::Found(_) | Reading::Label), "{text}: {expected:?}");
        for &name in attributes {
            let mut graph = base.clone();
            // Axes other than that of the items; what is along these is told elsewhere.
            let (integer, integers, float) = (Some(1), vec![1], Some(0.5));
            let set = AttributeView { name, integer, float, integers, ..AttributeView::default() };
            graph.nodes.last_mut().expect("a node").attributes.push(set);
            assert_eq!(read(&graph, "y"), expected, "{text} {name}");
        }
    }
}

#[test]
fn every_attribute_that_decides_a_reading_is_read() {
    check(&[
        ("Softmax x axis=1 -> y", Some(Softmax)),
        ("Softmax x axis=-1 -> y", Some(Softmax)),
        ("Softmax x axis=0 -> y", None),
        ("Softmax x axis=-2 -> y", None),
        ("LogSoftmax x axis=0 -> y", None),
        ("Hardmax x axis=0 -> y", None),
        ("com.microsoft.QLinearSoftmax x axis=0 opset=13 -> q; DequantizeLinear q w w -> y", None),
        ("com.microsoft.BiasSoftmax x w axis=0 -> y", None),
        ("Sigmoid x -> p; LpNormalization p p=1 -> y", Some(Softmax)),
        ("Sigmoid x -> p; LpNormalization p p=2 -> y", None),
        ("Sigmoid x -> p; LpNormalization p p=1 axis=0 -> y", None),
        ("Exp x -> e; ReduceSum e axes=[1] -> t; Div e t -> y", Some(Softmax)),
        ("Exp x -> e; ReduceSum e axes=[0] -> t; Div e t -> y", None),
        ("Exp x -> e; ReduceL1 e axes=[0,1] -> t; Div e t -> y", None),
        ("Exp x -> e; ReduceSum e -> t; Div e t -> y", None),
        ("Exp x -> e; ReduceSum e noop_with_empty_axes=1 -> t; Div e t -> y", None),
        ("ReduceLogSumExp x axes=[0] -> l; Sub x l -> y", None),
        ("Exp x -> e; ReduceLogSum e axes=[0] -> l; Sub x l -> y", None),
        ("Softmax x axis=1 -> p; ReduceMean p axes=[2,3] -> y", Some(Softmax)),
        ("Softmax x -> p; ReduceMean p axes=[0] -> y", None),
        ("Sigmoid x -> p; ReduceMax p axes=[0,2] -> y", None),
        ("Sigmoid x -> p; Sigmoid z -> q; Concat p q axis=1 -> y", Some(Sigmoid)),
        ("Sigmoid x -> p; Sigmoid z -> q; Concat p q axis=0 -> y", None),
        ("Softmax x -> p; Transpose p perm=[0,2,1] -> y", Some(Softmax)),
        ("Softmax x -> p; Transpose p perm=[1,0] -> y", None),
        ("Softmax x -> p; Transpose p -> y", None),
        ("Transpose x perm=[1,0] -> t; Softmax t axis=0 -> p; Transpose p perm=[1,0] -> y", Some(Softmax)),
        ("Softmax x -> p; Clip p min=0.0000001 max=0.9999999 -> y", Some(Softmax)),
        ("Softmax x -> p; Clip p -> y", Some(Softmax)),
        ("Softmax x -> p; Clip p min=0.2 -> y", None),
        ("Softmax x -> p; Clip p max=0.5 -> y", None),
        ("Softmax x -> p; Clip p one -> y", None),
        ("Sigmoid x -> p; Einsum p equation=ij -> y", None),
        ("Softmax x -> p; ai.onnx.ml.LabelEncoder p -> y", None),
    ]);
}

#[test]
fn the_axis_of_a_softmax_follows_the_operator_set_and_the_extents() {
    let of = |extents: &[i64], text: &'static str, opset: i64| {
        let graph = shaped(extents, text);
        matches!(known(&graph, opset, "y"), Known { reading: Reading::Found(Softmax), tie: None, .. })
    };
    let cases: [(&[i64], &'static str, i64, bool); 18] = [
        (&[-1, 5], "Softmax x -> y", 13, true),
        (&[-1, 5, 1, 1], "Softmax x axis=1 -> y", 13, true),
        // The last axis by default: every number becomes 1.
        (&[-1, 5, 1, 1], "Softmax x -> y", 13, false),
        (&[-1, 5, 1, 1], "Softmax x axis=-3 -> y", 13, true),
        (&[-1, 5, 1, 1], "Softmax x axis=-4 -> y", 13, false),
        // All axes from the second on.
        (&[-1, 5, 1, 1], "Softmax x -> y", 12, true),
        (&[-1, 5, 1, 1], "Softmax x axis=3 -> y", 12, false),
        (&[-1, 5, 1, 1], "Softmax x axis=-1 -> y", 12, false),
        (&[-1, 5], "Softmax x axis=0 -> y", 12, false),
        (&[-1, 5], "Softmax x axis=-2 -> y", 12, false),
        (&[-1, 5], "Softmax x axis=-2 -> y", 13, false),
        (&[-1, 1], "Softmax x -> y", 13, true),
        (&[-1, 5], "Exp x -> e; ReduceSum e axes=[-1] -> t; Div e t -> y", 13, true),
        (&[-1, 5], "Exp x -> e; ReduceSum e axes=[-2] -> t; Div e t -> y", 13, false),
        (&[-1, 5, 1], "Exp x -> e; ReduceSum e axes=[2] -> t; Div e t -> y", 13, false),
        (&[-1, 5, 1], "Exp x -> e; ReduceSum e axes=[1,2] -> t; Div e t -> y", 13, true),
        (&[1, 5], "Squeeze x -> s; Softmax s axis=0 -> y", 13, true),
        (&[-1, 2, 3], "Reshape x shape=[-1,6] -> f; Softmax f axis=-1 -> y", 13, true),
    ];
    for (extents, text, opset, expected) in cases {
        assert_eq!(of(extents, text, opset), expected, "{text} of {extents:?}, version {opset}");
    }
}

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
        ("Softmax x axis=1 -> p; ReduceMean p axes=[2] -> y", Some(Softmax)),
        ("Softmax x -> p; Softmax z -> q; Mean p q -> y", Some(Softmax)),
        ("Sigmoid x -> p; ReduceMax p axes=[2] -> y", Some(Sigmoid)),
        ("Softmax x -> p; ReduceMax p axes=[2] -> y", None),
        ("MatMul x w -> m; Add m w -> y", Some(Logits)),
        ("MatMul x w -> m; Mul m w -> y", Some(Logits)),
        ("MatMul x w -> m; Div m w -> y", Some(Logits)),
        ("MatMul x w -> m; Conv x w -> n; Add m n -> y", Some(Logits)),
        ("Sigmoid x -> h; MatMul h weights -> y", Some(Logits)),
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
        (
            "Softmax x -> p; Transpose p perm=[0,2,1] -> t; Squeeze t -> s; Unsqueeze s -> u; Identity u -> y",
            Some(Softmax),
        ),
        ("MatMul x w -> s; Flatten s -> y", Some(Logits)),
        ("Softmax x -> p; Cast p to=7 -> i; Cast i to=1 -> y", None),
        ("Softmax x -> p; CastLike p one -> y", Some(Softmax)),
        ("Softmax x -> p; CastLike p last -> y", None),
        ("Softmax x -> p; Foo x -> like; CastLike p like -> y", None),
        (
            "QLinearMatMul x w w w w w w w -> q; com.microsoft.QLinearAdd q w w w w w w w -> a; \
             DequantizeLinear a w w -> y",
            Some(Logits),
        ),
        (
            "com.microsoft.QLinearSoftmax x w w w w -> p; com.microsoft.QLinearSigmoid x w w w w -> s; \
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
        ("Softmax x -> p; QuantizeLinear p w w -> q; Slice q first last -> y", true),
        ("Softmax x -> p; QuantizeLinear p w w -> q; Gather q last axis=1 -> y", true),
        ("Softmax x -> p; QuantizeLinear p w w -> q; Split q axis=1 -> y z", true),
        ("Softmax x -> p; QuantizeLinear p w w -> q; Split q axis=1 -> a b c d y", true),
        ("Softmax x -> p; QuantizeLinear p w w -> q; Concat q q axis=1 -> y", true),
        ("Softmax x -> p; QuantizeLinear p w w -> q; Cast q to=1 -> f; Dropout f -> y", true),
        ("Softmax x -> p; QuantizeLinear p w w -> q; Expand q w -> e; Clip e -> m; Max m -> y", true),
        ("Softmax x -> p; QuantizeLinear p w w -> q; MaxPool q -> y", true),
        ("Softmax x -> p; QuantizeLinear p w w -> q; Pad q w -> y", true),
        ("com.microsoft.QGemm x w w w w w w w w -> y", true),
        ("com.microsoft.QGemm x w w w w w w -> y", false),
        ("DynamicQuantizeLinear x -> q s z; MatMulInteger q w z -> y", true),
        ("DynamicQuantizeLinear x -> q s z; MatMulInteger q w z -> i; Cast i to=1 -> c; Mul c s -> y", false),
        ("QuantizeLinear x w w -> q; DequantizeLinear q w w -> y", false),
        ("QuantizeLinear x w w -> q; DequantizeLinear q w w -> d; MatMul d w -> y", false),
        ("Softmax x -> y", false),
    ];
    for (text, expected) in cases {
        assert_eq!(known(&graph(text), 21, "y").lacks_scale, expected, "{text}");
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
        ("MatMul x w -> s; Exp s -> e; ReduceSum e last -> t; Div e t -> y", Some(Softmax)),
        ("ReduceMax x last -> m; Sub x m -> d; Exp d -> e; ReduceSum e last -> t; Div e t -> y", Some(Softmax)),
        ("Exp x -> e; ReduceSum e last -> t; Add t tiny -> u; Div e u -> y", Some(Softmax)),
        ("Exp x -> e; ReduceSum e last -> t; Reciprocal t -> r; Mul e r -> y", Some(Softmax)),
        ("Exp x -> e; Exp x -> f; ReduceSum f last -> t; Div e t -> p; Reshape p w -> y", Some(Softmax)),
        ("Exp x -> e; Exp z -> f; ReduceSum f last -> t; Div e t -> y", None),
        ("Relu x -> e; ReduceSum e last -> t; Div e t -> y", Some(Softmax)),
        ("Sigmoid x -> e; ReduceSum e last -> t; Div e t -> y", Some(Softmax)),
        ("MatMul x w -> e; ReduceSum e last -> t; Div e t -> y", None),
        ("MatMul x w -> e; ReduceL2 e -> t; Div e t -> y", None),
        ("ReduceLogSumExp x last -> l; Sub x l -> y", Some(LogSoftmax)),
        ("Exp x -> e; ReduceSum e last -> t; Log t -> l; Sub x l -> y", Some(LogSoftmax)),
        ("Exp x -> e; ReduceSum e last -> t; Log t -> l; Sub x l -> d; Exp d -> y", Some(Softmax)),
        (
            "ReduceMax x last -> m; Sub x m -> d; Exp d -> e; ReduceSum e last -> t; Log t -> l; Add l m -> a; Sub x a -> y",
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
        (
            "ai.onnx.ml.TreeEnsembleClassifier x post_transform=SOFTMAX classlabels_int64s=[0,1,2] -> l p; \
             ai.onnx.ml.ZipMap p -> y",
            Some(Softmax),
        ),
        ("ai.onnx.ml.LinearClassifier x post_transform=SOFTMAX -> l y", None),
        (
            "ai.onnx.ml.LinearClassifier x post_transform=LOGISTIC -> l p; ai.onnx.ml.Normalizer p norm=L1 -> y",
            Some(Softmax),
        ),
        ("ai.onnx.ml.TreeEnsembleClassifier x post_transform=LOGISTIC -> l y", Some(Sigmoid)),
        ("ai.onnx.ml.TreeEnsembleClassifier x post_transform=NONE -> l y", None),
        ("ai.onnx.ml.LinearClassifier x post_transform=PROBIT -> l y", None),
        ("ai.onnx.ml.SVMClassifier x post_transform=PROBIT -> l y", None),
        ("ai.onnx.ml.SVMClassifier x post_transform=NONE -> l y", None),
        ("ai.onnx.ml.LinearClassifier x post_transform=LOGISTIC -> l p; ai.onnx.ml.Normalizer p norm=MAX -> y", None),
    ]);
}

#[test]
fn forests_whose_leaves_share_one_vote_are_probabilities() {
    type Case<'a> = (&'a [i64], &'a [i64], &'a [f32], bool);
    let cases: [Case<'_>; 6] = [
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
        let mut other = forest.clone();
        let tensor = graph("").initializers.pop();
        let start = AttributeView { name: "base_values_as_tensor", tensor, ..AttributeView::default() };
        other.nodes[0].attributes.push(start);
        assert_ne!(read(&other, "y"), Reading::Found(Softmax), "votes that begin at {weights:?}");
        assert_eq!(read(&forest, "y") == Reading::Found(Softmax), expected, "{weights:?}");
    }
}

#[test]
fn forests_of_two_classes_may_leave_one_out() {
    let cases = [
        (0, &[0, 1][..], [0.5, 0.25, 0.5], true),
        (0, &[0, 1], [0.0, 0.5, 0.5], true),
        // More than a share of one, and less than nothing.
        (0, &[0, 1], [0.5, 0.75, 0.5], false),
        (0, &[0, 1], [0.5, -0.25, 0.5], false),
        // The second class is no 1 minus what is left out, and three classes leave two out.
        (1, &[0, 1], [0.5, 0.25, 0.5], false),
        (0, &[0, 1, 2], [0.5, 0.25, 0.5], false),
    ];
    for (class, labels, weights, expected) in cases {
        let mut forest = graph("ai.onnx.ml.TreeEnsembleClassifier x post_transform=NONE -> l y");
        let integers =
            |name, integers: &[i64]| AttributeView { name, integers: integers.to_vec(), ..AttributeView::default() };
        forest.nodes[0].attributes.extend([
            integers("class_treeids", &[0, 0, 1]),
            integers("class_nodeids", &[1, 2, 1]),
            integers("class_ids", &[class; 3]),
            AttributeView { name: "class_weights", floats: weights.to_vec(), ..AttributeView::default() },
        ]);
        let mut named = forest.clone();
        forest.nodes[0].attributes.push(integers("classlabels_int64s", labels));
        let texts = AttributeView { name: "classlabels_strings", texts: labels.len(), ..AttributeView::default() };
        named.nodes[0].attributes.push(texts);
        for forest in [forest, named] {
            assert_eq!(
                read(&forest, "y") == Reading::Found(Softmax),
                expected,
                "class {class} of {labels:?}, {weights:?}"
            );
        }
    }
}

#[test]
fn support_vectors_with_fitted_probabilities_are_read_as_these() {
    let mut machine = graph("ai.onnx.ml.SVMClassifier x post_transform=NONE -> l y");
    for name in ["prob_a", "prob_b"] {
        machine.nodes[0].attributes.push(AttributeView { name, floats: vec![-1.0], ..AttributeView::default() });
    }
    assert_eq!(read(&machine, "y"), Reading::Found(Softmax));
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
        assert_eq!(read(&graph(text), "y"), Reading::Label, "{text}");
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
    assert!(matches!(read(&deep, names[4_999]), Reading::Unclear(_)));
}
