//! Where items of a request meet each other, and where they do not.

use super::*;

fn tie(extents: &[i64], text: &'static str, opset: i64) -> Option<String> {
    let mut graph = shaped(extents, text);
    let last = graph.initializers[4].clone();
    graph.initializers.push(TensorView { name: "zero", dims: vec![], integers: vec![0], ..last.clone() });
    graph.initializers.push(TensorView { name: "step", dims: vec![], integers: vec![1], ..last });
    known(&graph, opset, "y").tie.map(|tie| tie.cause)
}

#[test]
fn items_that_depend_on_each_other_are_found() {
    let cases: &[(&[i64], &'static str, i64)] = &[
        (&[-1, 4], "ReduceMean x axes=[0] -> m; Sub x m -> d; MatMul d weights -> s; Softmax s -> y", 17),
        (&[-1, 4], "ReduceMean x first -> m; Sub x m -> d; MatMul d weights -> s; Softmax s -> y", 18),
        (&[-1, 4], "ReduceMax x axes=[-2] -> m; Sub x m -> y", 17),
        (&[-1, 4], "ReduceMax x -> m; Sub x m -> y", 17),
        (&[-1, 4], "Constant value_ints=[0] -> a; ReduceSum x a -> m; Sub x m -> y", 17),
        (&[-1, 4], "Neg last -> a; ReduceSum x a -> m; Sub x m -> y", 17),
        (&[-1, 4], "MatMul x weights -> s; ReduceLogSumExp s axes=[-2] -> l; Sub s l -> y", 17),
        (&[-1, 4], "Concat x x axis=0 -> y", 17),
        (&[-1, 4], "Softmax x axis=0 -> y", 17),
        (&[-1, 4], "Softmax x axis=-2 -> y", 17),
        (&[-1, 4], "Softmax x axis=0 -> y", 11),
        (&[-1, 4], "LpNormalization x axis=0 -> y", 17),
        (&[-1, 4], "LayerNormalization x w axis=-2 -> y", 17),
        (&[-1, 3, 4, 4], "MeanVarianceNormalization x -> y", 17),
        (&[-1, 4], "CumSum x first -> y", 17),
        (&[-1, 4], "TopK x w axis=0 -> y i", 17),
        (&[-1, 4], "BatchNormalization x w w w w training_mode=1 -> n; MatMul n weights -> y", 15),
        (&[-1, 4], "BatchNormalization x w w w w -> y m v", 13),
        (&[-1, 4], "BatchNormalization x w w w w -> y", 6),
        (&[-1, 4], "RandomNormalLike x -> r; Add x r -> y", 17),
        (&[-1, 4], "RandomUniform -> r; Add x r -> y", 17),
        (&[-1, 4], "Bernoulli x -> y", 17),
        (&[-1, 4], "Multinomial x -> y", 17),
        (&[-1, 4], "Dropout x w one -> y", 17),
        (&[-1, 4], "Greater x w -> t; Dropout x w t -> y", 17),
        (&[-1, 4], "Gather x last -> r; Sub x r -> y", 17),
        (&[-1, 4], "Slice x last last first -> y", 17),
        (&[-1, 4], "Split x -> y b", 17),
        (&[-1, 4], "Transpose x -> t; MatMul x t -> y", 17),
        (&[-1, 4], "Transpose x perm=[1,0] -> t; ReduceMean t axes=[1] -> m; Sub t m -> d; Transpose d -> y", 17),
        (
            &[-1, 4],
            "Transpose x -> t; MatMul weights t -> s; Transpose s -> u; ReduceMax s axes=[-1] -> m; Sub u m -> y",
            17,
        ),
        (&[-1, 4], "Unsqueeze x axes=[1] -> a; Sub a x -> d; ReduceSum d axes=[1] -> y", 12),
        (&[-1, 4], "Einsum x x equation=nd,md->nm -> y", 17),
        (&[-1, 4], "Einsum x weights equation=nd,dc->c -> y", 17),
        (&[-1, 5, 4], "LSTM x w w -> a y", 17),
        (&[-1, 4], "Reshape x shape=[1,-1,4] -> r; ReduceMean r axes=[1] -> m; Sub r m -> y", 17),
        (&[-1, 2, 2], "Reshape x shape=[-1,4] -> r; ReduceMean r axes=[0] -> m; Sub r m -> y", 17),
        (&[-1, 2, 2], "Flatten x -> r; ReduceMean r axes=[0] -> m; Sub r m -> y", 17),
        (&[-1, 3, 4, 4], "Conv x w -> c; GlobalAveragePool c -> g; ReduceMean g axes=[0] -> m; Sub g m -> y", 17),
        (&[4, 4], "ReduceMean x axes=[0] -> m; Sub x m -> y", 17),
        // Whatever makes the numbers before.
        (&[-1, 4], "Atan x -> a; ReduceMean a axes=[0] -> m; Sub a m -> y", 17),
        (&[-1, 4], "Shrink x -> a; CumSum a first -> y", 17),
        (&[-1, 4], "Sinh x -> a; Gather a first -> r; Sub a r -> y", 17),
        (&[-1, 4], "Tan x -> a; Transpose a -> t; MatMul a t -> y", 17),
        (&[-1, 5, 4], "Atan x -> a; LSTM a w w -> b y", 17),
        (&[-1, 4], "ai.onnx.ml.FeatureVectorizer x -> a; ReduceMean a axes=[0] -> m; Sub a m -> y", 17),
        (&[-1, 4], "ScatterElements x last x -> y", 17),
        (&[-1, 4], "Compress x first -> y", 17),
        // Nothing tells where the items are.
        (&[-1, 4], "Foo x -> f; ReduceMean f axes=[0] -> m; Sub f m -> y", 17),
        (&[-1, 4], "Reshape x shape=[-1,2] -> f; ReduceMean f axes=[0] -> m; Sub f m -> y", 17),
        (&[-1, 4], "Reshape x z -> f; ReduceMean f axes=[0] -> m; Sub f m -> y", 17),
        (&[-1, 4], "Expand x z -> f; ReduceMean f axes=[0] -> m; Sub f m -> y", 17),
        (
            &[-1, 2, 2],
            "Shape x -> s; Gather s first -> n; Concat n last axis=0 -> t; Reshape x t -> f; ReduceMean f axes=[0] -> m; \
             Sub f m -> y",
            17,
        ),
        // Merged with others.
        (&[-1, 4], "Flatten x axis=0 -> f; Softmax f axis=1 -> p; Reshape p shape=[-1,4] -> y", 17),
        (&[-1, 4], "Reshape x shape=[1,-1] -> f; Softmax f axis=1 -> p; Reshape p shape=[-1,4] -> y", 17),
        (&[-1, 4], "Reshape x shape=[-1] -> f; Softmax f axis=-1 -> p; Reshape p shape=[-1,4] -> y", 17),
        (&[-1, 4], "Reshape x shape=[-1] -> f; ReduceMax f axes=[0] -> m; Sub x m -> y", 17),
        (&[-1, 4], "Reshape x shape=[-1] -> f; TopK f w axis=0 -> m i; Sub x m -> y", 17),
        (&[-1, 4], "Flatten x axis=0 -> f; ReduceSum f axes=[1] -> m; Sub x m -> y", 12),
        (&[-1, 4], "Transpose x perm=[1,0] -> t; Atan t -> a; Softmax a axis=1 -> p; Transpose p perm=[1,0] -> y", 17),
        // In another order than one item after the other.
        (&[-1, 4], "Transpose x -> t; Reshape t shape=[-1,4] -> y", 17),
        (&[-1, 4], "Transpose x -> t; Reshape t shape=[-1,4] -> r; MatMul r weights -> y", 17),
        // How many items there are.
        (&[-1, 4], "Shape x -> s; Gather s first -> n; Cast n to=1 -> f; Div x f -> y", 17),
        (&[-1, 4], "Shape x -> s; Cast s to=1 -> f; ReduceProd f -> n; Mul x n -> y", 17),
        (&[-1, 4], "Size x -> s; Cast s to=1 -> f; Mul x f -> y", 17),
        (&[-1, 4], "Shape x -> s; Gather s first -> n; Range zero n step -> r; Add x r -> y", 17),
        (&[-1, 4], "Shape x -> s; ConstantOfShape s -> o; CumSum o first -> c; Add x c -> y", 17),
        (&[-1, 4], "Shape x -> s; ConstantOfShape s -> o; Trilu o -> c; Add x c -> y", 17),
        (&[-1, 4], "Greater x w -> g; NonZero g -> z; Shape z -> s; Cast s to=1 -> f; Mul x f -> y", 17),
        (&[-1, 4], "Gemm x x transA=1 -> g; MatMul x g -> y", 17),
        (&[-1, 4], "Einsum x x equation=i...,i...->... -> g; Add x g -> y", 17),
        (&[-1, 4], "Einsum x x equation=ii -> g; Add x g -> y", 17),
        // Places that are the items.
        (&[-1, 4], "Unsqueeze x axes=[0] -> u; Transpose u perm=[0,2,1] -> t; InstanceNormalization t w w -> y", 12),
        (
            &[-1, 4],
            "Unsqueeze x axes=[0] -> u; Transpose u perm=[0,2,1] -> t; GlobalAveragePool t -> m; Add x m -> y",
            12,
        ),
        (&[-1, 4], "Unsqueeze x axes=[0] -> u; Transpose u perm=[0,2,1] -> t; Conv t w -> m; Add x m -> y", 12),
        (&[-1, 4], "Unsqueeze x axes=[0] -> u; Transpose u perm=[0,2,1] -> t; GroupNormalization t w w -> y", 12),
        (&[-1, 4], "Unsqueeze x axes=[0] -> u; Transpose u perm=[0,2,1] -> t; LpPool t -> m; Add x m -> y", 12),
        (&[-1, 4], "Unsqueeze x axes=[0] -> u; com.microsoft.Attention u w w -> a; Squeeze a axes=[0] -> y", 12),
        (&[-1, 4], "Unsqueeze x axes=[0] -> u; com.microsoft.MultiHeadAttention u u u -> a; Squeeze a -> y", 12),
        (&[-1, 4], "ScatterND x first w -> y", 17),
        (&[-1, 4], "GatherND x first -> g; Sub x g -> y", 17),
        (&[-1, 4], "DynamicQuantizeLinear x -> q s z; DequantizeLinear q s z -> y", 17),
        (&[-1, 4], "com.microsoft.DynamicQuantizeMatMul x weights w -> y", 17),
        (&[-1, 4], "Concat x x axis=0 -> c; Slice c first last first -> y", 17),
        (&[-1, 4], "Pad x pads=[1,0,-1,0] -> y", 10),
        // Elsewhere than one item after the other.
        (&[-1, 4], "Softmax x -> p; Transpose p -> y", 17),
        (&[-1, 4], "Unsqueeze x axes=[0] -> y", 12),
        // Whatever the order of the file.
        (&[-1, 4], "MatMul d weights -> y; Sub x m -> d; ReduceMean x axes=[0] -> m", 17),
    ];
    for &(extents, text, opset) in cases {
        assert!(tie(extents, text, opset).is_some(), "{text}, version {opset}");
    }
}

#[test]
fn items_that_are_computed_alone_are_let_through() {
    let cases: &[(&[i64], &'static str, i64)] = &[
        (&[-1, 4], "ReduceMean x axes=[-1] -> m; Sub x m -> y", 17),
        (&[-1, 4], "ReduceMean x axes=[1] -> m; Sub x m -> y", 17),
        (&[-1, 4], "ReduceMean x last -> m; Sub x m -> y", 18),
        (&[-1, 4], "ReduceSum x noop_with_empty_axes=1 -> m; Sub x m -> y", 17),
        (&[-1, 3, 4, 4], "Conv x w -> c; ReduceMean c axes=[-1,-2] -> y", 17),
        (&[-1, 3, 4, 4], "ReduceMean x axes=[2,3] keepdims=0 -> m; ReduceMax m axes=[-1] -> s; Sub m s -> y", 17),
        (&[-1, 4], "BatchNormalization x w w w w -> y", 15),
        (&[-1, 4], "BatchNormalization x w w w w -> y", 9),
        (&[-1, 4], "BatchNormalization x w w w w is_test=1 -> y", 6),
        (&[-1, 4], "InstanceNormalization x w w -> y", 15),
        (&[-1, 4], "LayerNormalization x w -> y", 17),
        (&[-1, 4], "Dropout x -> y", 17),
        (&[-1, 4], "Dropout x w off -> y", 17),
        (&[-1, 4], "Gather x last axis=1 -> y", 17),
        (&[-1, 4], "Slice x first most first -> s; Gather s last axis=1 -> y", 17),
        (&[-1, 4], "Slice x first last last -> y", 17),
        (&[-1, 4], "Split x axis=1 -> y b", 17),
        (&[-1, 4], "Concat x x axis=-1 -> y", 17),
        (
            &[-1, 4],
            "ReduceSum x last keepdims=0 -> a; ReduceMax x axes=[1] keepdims=0 -> b; Concat a b axis=0 -> c; \
             Reshape c shape=[2,-1] -> r; Transpose r perm=[1,0] -> y",
            17,
        ),
        (&[-1, 5, 4], "Transpose x perm=[0,2,1] -> t; MatMul x t -> s; Softmax s -> p; MatMul p x -> y", 17),
        (&[-1, 5, 4], "Transpose x perm=[1,0,2] -> t; LSTM t w w -> a h; Squeeze h axes=[0] -> y", 12),
        (&[-1, 5, 4], "Transpose x perm=[1,0,2] -> t; ReduceMean t axes=[0] keepdims=0 -> y", 17),
        (&[-1, 5, 4], "LSTM x w w layout=1 -> a h; ReduceMean h axes=[1] keepdims=0 -> y", 17),
        (&[-1, 4], "Reshape x shape=[1,-1,4] -> r; Concat r r axis=0 -> c; ReduceMean c axes=[0] keepdims=0 -> y", 17),
        (&[-1, 4], "Einsum x weights equation=nd,dc->nc -> y", 17),
        (&[-1, 4], "Gemm x weights -> s; Softmax s axis=1 -> y", 17),
        (&[-1, 4], "MatMul x weights -> s; Softmax s axis=-1 -> y", 17),
        (&[-1, 4], "Unsqueeze x axes=[1] -> u; Squeeze u axes=[1] -> y", 12),
        (&[-1, 2, 2], "Reshape x shape=[0,-1] -> r; ReduceMean r axes=[1] -> m; Sub r m -> y", 17),
        (&[-1, 4], "Transpose x -> t; ReduceMean t axes=[0] -> m; Sub t m -> d; Transpose d -> y", 17),
        (&[-1, 4], "ArgMax x axis=1 -> y", 17),
        (&[-1, 3, 4, 4], "Resize x -> r; Conv r w -> c; MaxPool c -> p; Flatten p -> f; Gemm f weights -> y", 17),
        (&[-1, 4], "RandomNormalLike x -> r; MatMul x weights -> y", 17),
        (&[-1, 4], "Sub one w -> c; Add x c -> y", 17),
        (&[-1, 4], "Atan x -> a; ReduceMean a axes=[1] -> m; Sub a m -> y", 17),
        (
            &[-1, 3, 4, 4],
            "Conv x kernel -> c; Shape c -> s; Gather s scalar -> n; Unsqueeze n axes=[0] -> u; Concat u last axis=0 -> t; \
             Reshape c t -> f; Gemm f weights -> g; Softmax g axis=1 -> y",
            12,
        ),
        (
            &[-1, 4, 6],
            "Shape x -> s; Slice s first step -> n; Concat n last two axis=0 -> t; Reshape x t -> h; ReduceMean h axes=[2] -> y",
            17,
        ),
        // Heads of attention, and merged with them.
        (
            &[-1, 4, 6],
            "Reshape x shape=[0,4,2,3] -> h; Transpose h perm=[0,2,1,3] -> q; Transpose h perm=[0,2,3,1] -> k; MatMul q k -> s; \
             Softmax s axis=-1 -> p; MatMul p q -> o; Transpose o perm=[0,2,1,3] -> t; Reshape t shape=[0,0,6] -> m; \
             ReduceMean m axes=[1] keepdims=0 -> y",
            17,
        ),
        (
            &[-1, 4, 6],
            "Reshape x shape=[0,4,2,3] -> h; Transpose h perm=[0,2,1,3] -> t; Reshape t shape=[-1,4,3] -> q; \
             Transpose q perm=[0,2,1] -> k; MatMul q k -> s; Softmax s axis=-1 -> p; MatMul p q -> o; \
             Reshape o shape=[-1,2,4,3] -> r; Transpose r perm=[0,2,1,3] -> u; Reshape u shape=[-1,4,6] -> m; \
             ReduceMean m axes=[1] keepdims=0 -> y",
            17,
        ),
        // Steps first: items are second, and merged with the steps.
        (
            &[-1, 4, 6],
            "Transpose x perm=[1,0,2] -> t; Reshape t shape=[-1,6] -> r; MatMul r weights -> g; Reshape g shape=[4,-1,2] -> s; \
             ReduceMean s axes=[0] keepdims=0 -> y",
            17,
        ),
        // Windows.
        (
            &[-1, 4, 4, 6],
            "Reshape x shape=[-1,2,2,2,2,6] -> r; Transpose r perm=[0,1,3,2,4,5] -> t; Reshape t shape=[-1,4,6] -> w0; \
             Softmax w0 axis=1 -> a; Reshape a shape=[-1,2,2,2,2,6] -> b; Transpose b perm=[0,1,3,2,4,5] -> c; \
             Reshape c shape=[-1,16,6] -> d; ReduceMean d axes=[1] keepdims=0 -> y",
            17,
        ),
        // A learnt row in front of those of each item.
        (
            &[-1, 4, 2],
            "Shape x -> s; Slice s first step -> n; Concat n step two axis=0 -> t; Expand weights t -> c; \
             Concat c x axis=1 -> a; Gather a first axis=1 -> y",
            17,
        ),
        (&[-1, 2, 6], "Shape x -> s; Gather s step -> n; Cast n to=1 -> f; Div x f -> y", 17),
        (&[-1, 4], "Einsum x weights equation=...d,dc->...c -> g; Softmax g axis=-1 -> y", 17),
        (&[-1, 4], "BatchNormalization weights w w w w training_mode=1 -> n; MatMul x n -> y", 15),
        (&[-1, 4], "Constant value_float=0 -> r; Dropout x r one -> y", 17),
        (&[-1, 4], "com.microsoft.FastGelu x w -> y", 17),
        (&[-1, 5, 4], "com.microsoft.Attention x w w -> a; ReduceMean a axes=[1] keepdims=0 -> y", 17),
        (&[-1, 3, 4, 4], "Shape x -> s; Slice s first two -> n; Concat n two two axis=0 -> t; Resize x e e t -> y", 17),
        (&[-1, 3, 4, 4], "Pad x pads=[0,0,1,1,0,0,1,1] -> p; GlobalAveragePool p -> y", 10),
        (&[-1, 4], "Shape x -> s; ConstantOfShape s -> o; Add x o -> y", 17),
        (&[-1, 4], "Constant value_float=0.5 -> c; Mul x c -> m; MatMul m weights -> s; Softmax s axis=1 -> y", 17),
        // What windows leave of an image tells the items from the places.
        (
            &[-1, 3, 8, 8],
            "Conv x kernel -> c; MaxPool c kernel_shape=[2,2] strides=[2,2] -> p; Reshape p shape=[-1,72] -> f; \
             Gemm f weights -> g; Softmax g axis=1 -> y",
            11,
        ),
        // Lengths, edges and bounds that are computed from constants.
        (
            &[-1, 4, 2],
            "Shape x -> s; Gather s scalar -> n; Unsqueeze n axes=[0] -> u; Concat u step two axis=0 -> t; Shape t -> l; \
             ConstantOfShape l -> o; Sub o step -> m; Equal t m -> is; Where is o t -> d; Expand weights d -> c; \
             Concat c x axis=1 -> a; Gather a first axis=1 -> y",
            12,
        ),
        (
            &[-1, 3, 4, 4],
            "Constant value_ints=[1,1,1,1] -> p; Constant value_ints=[4] -> l; ConstantOfShape l -> o; Concat p o axis=0 -> c; \
             Reshape c shape=[-1,2] -> r; Constant value_ints=[-9223372036854775807] -> end; Slice r last end first last -> v; \
             Transpose v perm=[1,0] -> t; Reshape t shape=[-1] -> q; Cast q to=7 -> d; Pad x d -> e0; GlobalAveragePool e0 -> y",
            17,
        ),
        (
            &[-1, 4, 6],
            "Constant value_ints=[2] -> a; Constant value_ints=[3] -> b; Mod a b -> start; Add start step -> end; \
             Reshape x shape=[0,4,3,2] -> r; Transpose r perm=[2,0,1,3] -> t; Slice t start end first step -> q; \
             Squeeze q axes=[0] -> s; ReduceMean s axes=[1] keepdims=0 -> y",
            12,
        ),
        // Both directions of each step beside each other.
        (
            &[-1, 5, 4],
            "Transpose x perm=[1,0,2] -> t; LSTM t w w direction=bidirectional hidden_size=3 -> a h c; \
             Transpose a perm=[0,2,1,3] -> b; Reshape b shape=[0,0,-1] -> r; ReduceMean r axes=[0] keepdims=0 -> y",
            17,
        ),
        (
            &[-1, 3, 4, 4],
            "Transpose x perm=[1,0,2,3] -> t; GatherND t places -> g; Transpose g perm=[1,0,2,3] -> y",
            17,
        ),
        // A state to begin with for each item, and the step that is the last.
        (
            &[-1, 5, 4],
            "Transpose x perm=[1,0,2] -> t; Shape t -> s; Gather s step -> n; Concat step n two axis=0 -> d; \
             ConstantOfShape d -> h; LSTM t weights weights w e h h -> a l; Squeeze a axes=[1] -> o; Gather o last -> g; Squeeze g axes=[0] -> y",
            12,
        ),
        (
            &[-1, 5, 4],
            "Transpose x perm=[1,0,2] -> t; Shape t -> s; Gather s step -> n; Concat step n two axis=0 -> d; \
             Expand one d -> h; GRU t weights weights w e h -> a l; Squeeze l axes=[0] -> y",
            12,
        ),
    ];
    for &(extents, text, opset) in cases {
        let mut graph = shaped(extents, text);
        let constant = |name, element, value| TensorView {
            name,
            element,
            integers: vec![value],
            raw: &[],
            ..graph.initializers[4].clone()
        };
        let added = [
            constant("most", ElementType::I64, i64::MAX),
            constant("off", ElementType::Bool, 0),
            constant("step", ElementType::I64, 1),
            constant("two", ElementType::I64, 2),
            TensorView { dims: vec![], ..constant("scalar", ElementType::I64, 0) },
            TensorView { dims: vec![], integers: vec![], ..constant("e", ElementType::F32, 0) },
            TensorView { dims: vec![8, 3, 3, 3], ..constant("kernel", ElementType::F32, 0) },
            TensorView { dims: vec![3, 1], integers: vec![2, 1, 0], ..constant("places", ElementType::I64, 0) },
        ];
        graph.initializers.extend(added);
        assert_eq!(known(&graph, opset, "y").tie, None, "{text}, version {opset}");
    }
}

/// A graph inside of an operator.
fn ending_in_o(text: &'static str) -> GraphView<'static> {
    let outputs = vec![ValueView { name: "o", ..ValueView::default() }];
    GraphView { outputs, initializers: vec![], inputs: vec![], ..graph(text) }
}

#[test]
fn ties_inside_of_operators_are_found_too() {
    let draws = || ending_in_o("RandomNormalLike x -> r; Add x r -> o");
    let mut branch = graph("If c -> s; Softmax s -> y");
    branch.nodes[0].attributes.push(AttributeView {
        name: "then_branch",
        graphs: vec![draws()],
        ..AttributeView::default()
    });
    assert!(known(&branch, 17, "y").tie.is_some_and(|tie| tie.cause.contains("If (node s)")));
    // What a graph inside takes from outside.
    let mut captured = graph("ReduceMean x axes=[0] -> m; If c -> s; Softmax s -> y");
    let inner = ending_in_o("Sub x m -> o");
    captured.nodes[1].attributes.push(AttributeView {
        name: "then_branch",
        graphs: vec![inner],
        ..AttributeView::default()
    });
    assert!(known(&captured, 17, "y").tie.is_some_and(|tie| tie.cause.contains("ReduceMean")));
    let mut graph = graph("Softmax x -> p; Noise p -> y");
    graph.nodes[1].domain = "own";
    let function = FunctionView { domain: "own", op: "Noise", overload: "", graph: draws() };
    let view = OnnxView { opsets: vec![("", 17)], graph, functions: vec![function] };
    assert!(Values::of(&view).known("y").tie.is_some());
}

#[test]
fn long_lists_and_many_axes_take_no_time() {
    let mut graph = graph("Reshape x long -> a");
    let long =
        TensorView { name: "long", element: ElementType::I64, dims: vec![1 << 20], ..graph.initializers[4].clone() };
    graph.initializers.push(TensorView { integers: vec![1; 1 << 20], ..long });
    let names: Vec<&'static str> = (0..20_000).map(|index| &*format!("v{index}").leak()).collect();
    let mut before = "a";
    for name in names {
        let inputs = vec![before, "long"];
        graph.nodes.push(NodeView { op: "ReduceSum", inputs, outputs: vec![name], ..NodeView::default() });
        before = name;
    }
    assert!(matches!(read(&graph, before), Reading::Unclear(_)));
}

/// Each inside of an operator of the graph, and whether it is a tie.
#[test]
fn items_meet_inside_of_operators_too() {
    let inside = |outer: &'static str, inner: &'static str, inputs: &[&'static str]| {
        let mut graph = shaped(&[-1, 4], outer);
        let mut body = ending_in_o(inner);
        body.inputs = inputs.iter().map(|name| ValueView { name, ..ValueView::default() }).collect();
        let names: &[&str] = if graph.nodes[0].op == "Loop" { &["go", "o"] } else { &["o"] };
        body.outputs = names.iter().map(|name| ValueView { name, ..ValueView::default() }).collect();
        graph.nodes[0].attributes.push(AttributeView { name: "body", graphs: vec![body], ..AttributeView::default() });
        known(&graph, 17, "y").tie
    };
    let cases: [(&'static str, &'static str, &[&'static str], bool); 9] = [
        ("If one -> y", "ReduceMean x axes=[0] -> m; Sub x m -> o", &[], true),
        ("If one -> y", "ReduceMean x axes=[1] -> m; Sub x m -> o", &[], false),
        ("If one -> y", "Identity x -> o", &[], false),
        ("Loop first one x -> y", "Identity c -> go; ReduceSum v axes=[0] -> s; Sub v s -> o", &["i", "c", "v"], true),
        ("Loop first one x -> y", "Identity c -> go; Tanh v -> o", &["i", "c", "v"], false),
        ("Loop first one x -> y", "Identity c -> go; Transpose v -> o", &["i", "c", "v"], true),
        ("Scan x num_scan_inputs=1 -> y", "Tanh v -> o", &["v"], true),
        ("Scan x num_scan_inputs=1 scan_input_axes=[1] scan_output_axes=[1] -> y", "Tanh v -> o", &["v"], false),
        ("SequenceMap x -> y", "Tanh v -> o", &["v"], true),
    ];
    for (outer, inner, inputs, is_tie) in cases {
        let found = inside(outer, inner, inputs);
        assert_eq!(found.is_some(), is_tie, "{outer}: {inner}: {found:?}");
    }
}

#[test]
fn operators_of_the_file_are_read_with_what_goes_in() {
    let called = |inner: &'static str, call: &'static str| {
        let mut graph = shaped(&[-1, 4], call);
        graph.nodes[0].domain = "own";
        let mut body = ending_in_o(inner);
        body.inputs = ["a", "b"].map(|name| ValueView { name, ..ValueView::default() }).to_vec();
        let function = FunctionView { domain: "own", op: "Center", overload: "", graph: body };
        Values::of(&OnnxView { opsets: vec![("", 17)], graph, functions: vec![function] }).known("y").tie
    };
    assert!(called("ReduceMean a axes=[0] -> m; Sub a m -> o", "Center x -> y").is_some());
    assert_eq!(called("ReduceMean a axes=[1] -> m; Sub a m -> o", "Center x -> y"), None);
    assert_eq!(called("MatMul a b -> o", "Center x weights -> y"), None);
    // It calls itself.
    assert!(called("own.Center a -> o", "Center x -> y").is_some());
}

#[test]
fn extents_without_end_are_no_numbers() {
    const MOST: i64 = i64::MAX;
    for text in [
        "Flatten x -> y",
        "Flatten x axis=2 -> y",
        "Concat x x axis=1 -> y",
        "Gather table x axis=9223372036854775807 -> y",
        "Gather weights x axis=9223372036854775807 -> y",
        "Gather x first axis=9223372036854775807 -> y",
        "Gather x weights axis=9223372036854775807 -> y",
        "Unsqueeze x axes=[9223372036854775807] -> y",
        "Squeeze x axes=[9223372036854775807] -> y",
        "Reshape x shape=[-1,9223372036854775807,9223372036854775807] -> y",
        "Slice x axes=[9223372036854775807] starts=[1] ends=[2] -> y",
        "Size x -> s; Add s s -> y",
        "OneHot x first axis=9223372036854775807 -> y",
        "Constant value_ints=[0,4294967296,4294967296] -> s; ConstantOfShape s -> e; Flatten e axis=1 -> f; Reshape x f -> y",
        "Transpose x perm=[9223372036854775807,0,1] -> y",
        "Transpose x perm=[1,0,2] -> t; Reshape t shape=[-1] -> r; Unsqueeze r axes=[9223372036854775807] -> y",
    ] {
        let _ = tie(&[-1, MOST, MOST], text, 10);
        let _ = tie(&[-1, 1 << 62, 1 << 62], text, 17);
    }
}

/// It holds scores, and a run of several items gives them one scale: alone, each item has its own.
#[test]
fn scales_of_a_run_are_found() {
    let text = "DynamicQuantizeLinear x -> q s z; Mul s w -> f; MatMulInteger q w z -> i; Cast i to=1 -> c; Mul c f -> m; \
                Add m w -> y";
    let view = OnnxView { opsets: vec![("", 17)], graph: graph(text), functions: vec![] };
    let Known { reading, tie, .. } = Values::of(&view).known("y");
    assert_eq!(reading, Reading::Found(Logits));
    let tie = tie.expect("it is found");
    assert!(tie.strength == Strength::Possible && tie.cause.contains("one scale for all items"), "{tie:?}");
}

#[test]
fn windows_leave_as_many_places_as_the_operators_say() {
    type Case<'a> = (&'a [i64], &'static str, &'a [Option<i64>]);
    let cases: &[Case<'_>] = &[
        (&[-1, 3, 8, 9], "Conv x kernel -> y", &[None, Some(8), Some(6), Some(7)]),
        (&[-1, 3, 8, 8], "Conv x kernel pads=[1,1,1,1] strides=[2,2] -> y", &[None, Some(8), Some(4), Some(4)]),
        (&[-1, 3, 8, 8], "Conv x kernel dilations=[2,3] -> y", &[None, Some(8), Some(4), Some(2)]),
        (&[-1, 3, 7, 8], "Conv x kernel auto_pad=SAME_UPPER strides=[2,2] -> y", &[None, Some(8), Some(4), Some(4)]),
        (&[-1, 3, 7, 8], "Conv x kernel auto_pad=VALID strides=[2,2] -> y", &[None, Some(8), Some(3), Some(3)]),
        (&[-1, 8, 4, 4], "ConvTranspose x kernel strides=[2,2] -> y", &[None, Some(3), Some(9), Some(9)]),
        (
            &[-1, 8, 4, 4],
            "ConvTranspose x kernel strides=[2,2] pads=[1,1,1,1] output_padding=[1,0] group=2 -> y",
            &[None, Some(6), Some(8), Some(7)],
        ),
        (&[-1, 3, 7, 7], "MaxPool x kernel_shape=[2,2] strides=[2,2] -> y", &[None, Some(3), Some(3), Some(3)]),
        (
            &[-1, 3, 7, 7],
            "MaxPool x kernel_shape=[2,2] strides=[2,2] ceil_mode=1 -> y",
            &[None, Some(3), Some(4), Some(4)],
        ),
        // The last window would begin behind the image.
        (
            &[-1, 3, 4, 4],
            "AveragePool x kernel_shape=[1,1] strides=[2,2] pads=[0,0,1,2] ceil_mode=1 -> y",
            &[None, Some(3), Some(3), Some(3)],
        ),
        (&[-1, 3, 7, -1], "GlobalAveragePool x -> y", &[None, Some(3), Some(1), Some(1)]),
        (&[-1, 3, 7, -1], "MaxPool x kernel_shape=[2,2] -> y", &[None, Some(3), Some(6), None]),
        (&[-1, 8, 2, 3], "DepthToSpace x blocksize=2 -> y", &[None, Some(2), Some(4), Some(6)]),
        (&[-1, 2, 4, 6], "SpaceToDepth x blocksize=2 -> y", &[None, Some(8), Some(2), Some(3)]),
        (&[-1, 3, 4, 4], "Pad x pads=[0,0,1,2,0,0,3,4] -> y", &[None, Some(3), Some(8), Some(10)]),
        (&[-1, 3, 4, 4], "Conv x kernel dilations=[9,9] -> y", &[None, Some(8), None, None]),
    ];
    for &(extents, text, expected) in cases {
        let mut graph = shaped(extents, text);
        let kernel = TensorView { name: "kernel", dims: vec![8, 3, 3, 3], ..graph.initializers[0].clone() };
        graph.initializers.push(kernel);
        let view = OnnxView { opsets: vec![("", 10)], graph, functions: vec![] };
        let found = Values::of(&view).0.fact("y").form.extents.clone();
        assert_eq!(found.as_deref(), Some(expected), "{text}");
    }
}
