//! Where items of a request meet each other, and where they do not.

use super::*;

fn tie(extents: &[i64], text: &'static str, opset: i64) -> Option<String> {
    known(&shaped(extents, text), opset, "y").tie
}

#[test]
fn items_that_depend_on_each_other_are_found() {
    let cases: [(&[i64], &'static str, i64); 42] = [
        (&[-1, 4], "ReduceMean x axes=[0] -> m; Sub x m -> d; MatMul d weights -> s; Softmax s -> y", 17),
        (&[-1, 4], "ReduceMean x first -> m; Sub x m -> d; MatMul d weights -> s; Softmax s -> y", 18),
        (&[-1, 4], "ReduceMax x axes=[-2] -> m; Sub x m -> y", 17),
        (&[-1, 4], "ReduceMax x -> m; Sub x m -> y", 17),
        (&[-1, 4], "Constant value_ints=[0] -> a; ReduceSum x a -> m; Sub x m -> y", 17),
        (&[-1, 4], "Neg last -> a; ReduceSum x a -> m; Sub x m -> y", 17),
        (&[-1, 4], "MatMul x weights -> s; ReduceLogSumExp s axes=[-2] -> l; Sub s l -> y", 17),
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
        // Elsewhere than one item after the other.
        (&[-1, 4], "Softmax x -> p; Transpose p -> y", 17),
        (&[-1, 4], "Unsqueeze x axes=[0] -> y", 12),
        // Whatever the order of the file.
        (&[-1, 4], "MatMul d weights -> y; Sub x m -> d; ReduceMean x axes=[0] -> m", 17),
    ];
    for (extents, text, opset) in cases {
        assert!(tie(extents, text, opset).is_some(), "{text}, version {opset}");
    }
}

#[test]
fn items_that_are_computed_alone_are_let_through() {
    let cases: [(&[i64], &'static str, i64); 36] = [
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
        (&[-1, 5, 4], "Transpose x perm=[0,2,1] -> t; MatMul x t -> s; Softmax s -> p; MatMul p x -> y", 17),
        (&[-1, 5, 4], "Transpose x perm=[1,0,2] -> t; LSTM t w w -> a h; Squeeze h axes=[0] -> y", 12),
        (&[-1, 5, 4], "Transpose x perm=[1,0,2] -> t; ReduceMean t axes=[0] keepdims=0 -> y", 17),
        (&[-1, 5, 4], "LSTM x w w layout=1 -> a h; ReduceMean h axes=[1] keepdims=0 -> y", 17),
        (&[-1, 4], "Reshape x shape=[1,-1,4] -> r; Concat r r axis=0 -> c; ReduceMean c axes=[0] keepdims=0 -> y", 17),
        (&[-1, 4], "Shape x -> s; Gather s first -> n; Cast n to=1 -> f; Div x f -> y", 17),
        (&[-1, 4], "Einsum x weights equation=nd,dc->nc -> y", 17),
        (&[-1, 4], "Gemm x weights -> s; Softmax s axis=1 -> y", 17),
        (&[-1, 4], "MatMul x weights -> s; Softmax s axis=-1 -> y", 17),
        (&[-1, 4], "Unsqueeze x axes=[1] -> u; Squeeze u axes=[1] -> y", 12),
        (&[-1, 2, 2], "Reshape x shape=[0,-1] -> r; ReduceMean r axes=[1] -> m; Sub r m -> y", 17),
        (&[-1, 4], "Transpose x -> t; ReduceMean t axes=[0] -> m; Sub t m -> d; Transpose d -> y", 17),
        (&[-1, 4], "ArgMax x axis=1 -> y", 17),
        (&[-1, 3, 4, 4], "Resize x -> r; Conv r w -> c; MaxPool c -> p; Flatten p -> f; Gemm f weights -> y", 17),
        // Nothing tells where the items are.
        (&[-1, 4], "Foo x -> f; ReduceMean f axes=[0] -> m; Sub f m -> y", 17),
        (&[-1, 4], "Reshape x shape=[-1,2] -> f; ReduceMean f axes=[0] -> m; Sub f m -> y", 17),
        (&[-1, 4], "RandomNormalLike x -> r; MatMul x weights -> y", 17),
        (&[-1, 4], "Sub one w -> c; Add x c -> y", 17),
    ];
    for (extents, text, opset) in cases {
        let mut graph = shaped(extents, text);
        let constant = |name, element, value| TensorView {
            name,
            element,
            integers: vec![value],
            raw: &[],
            ..graph.initializers[4].clone()
        };
        let added = [constant("most", ElementType::I64, i64::MAX), constant("off", ElementType::Bool, 0)];
        graph.initializers.extend(added);
        assert_eq!(known(&graph, opset, "y").tie, None, "{text}, version {opset}");
    }
}

#[test]
fn ties_inside_of_operators_are_found_too() {
    let draws = || graph("RandomNormalLike x -> r; Add x r -> o");
    let mut branch = graph("If c -> s; Softmax s -> y");
    branch.nodes[0].attributes.push(AttributeView {
        name: "then_branch",
        graphs: vec![draws()],
        ..AttributeView::default()
    });
    assert!(known(&branch, 17, "y").tie.is_some_and(|tie| tie.contains("If (node s)")));
    // What a graph inside takes from outside.
    let mut captured = graph("ReduceMean x axes=[0] -> m; If c -> s; Softmax s -> y");
    let inner = graph("Sub x m -> o");
    captured.nodes[1].attributes.push(AttributeView {
        name: "then_branch",
        graphs: vec![inner],
        ..AttributeView::default()
    });
    assert!(known(&captured, 17, "y").tie.is_some_and(|tie| tie.contains("ReduceMean")));
    let mut graph = graph("Softmax x -> p; Noise p -> y");
    graph.nodes[1].domain = "own";
    let function = FunctionView { domain: "own", op: "Noise", graph: draws() };
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
