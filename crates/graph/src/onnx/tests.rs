//! Every layer, exported and run by the embedded engine, against the plain interpreter; files of any kind, looked into.

use std::path::Path;

use proptest::prelude::*;
use rten::Model;
use rten_tensor::NdTensor;
use rten_tensor::prelude::*;

use super::*;
use crate::caffe::{NetworkOptions, import as import_caffe, parse_network};
use crate::graph::Graph;
use crate::reference::{self, generator};
use crate::weights::Weight;

/// A network of one image input `data`, 3 × 7 × 9, and `layers`, with random weights.
fn network(layers: &str) -> Graph {
    let text = format!("input: 'data' input_shape {{ dim: [1, 3, 7, 9] }} {layers}");
    let mut graph = parse_network(&text, &NetworkOptions::default()).unwrap();
    let mut uniform = generator(3);
    for parameter in graph.parameters().unwrap() {
        let count: usize = parameter.shape.iter().product();
        let offset = if parameter.name.ends_with("variance") { 0.2 } else { -0.5 };
        let data: Vec<f32> = (0..count).map(|_| (uniform() + offset) as f32).collect();
        graph.weights.insert(parameter.name, Weight::new(parameter.shape, data).unwrap());
    }
    graph
}

/// What the embedded engine makes of an exported file for two samples, per output.
fn run_engine(bytes: Vec<u8>, samples: &[f32], dims: &[usize]) -> Vec<Vec<f32>> {
    let model = Model::load(bytes).unwrap();
    let input = NdTensor::<f32, 1>::from_data([samples.len()], samples.to_vec());
    let input = input.into_dyn().into_shape([&[2], dims].concat().as_slice());
    let outputs = model.run(vec![(model.input_ids()[0], input.into())], model.output_ids(), None).unwrap();
    let vector = |value| rten_tensor::Tensor::<f32>::try_from(value).unwrap().to_vec();
    outputs.into_iter().map(vector).collect()
}

/// Compares all values of a network, of two samples, as the engine and the plain interpreter compute them.
fn check(graph: &Graph, fold: bool) {
    let input = graph.inputs[0].shape.elements().unwrap();
    let mut uniform = generator(11);
    let samples: Vec<f32> = (0..2 * input).map(|_| (3.0 * uniform() - 1.0) as f32).collect();
    let options = ExportOptions {
        extra_outputs: if fold {
            Vec::new()
        } else {
            graph.nodes.iter().flat_map(|node| node.outputs.clone()).collect()
        },
        fold,
        ..ExportOptions::default()
    };
    let bytes = export(graph, &options).unwrap();
    let names: Vec<String> = inspect(&bytes).unwrap().outputs.into_iter().map(|output| output.name).collect();
    let found = run_engine(bytes, &samples, graph.inputs[0].shape.dims());
    let expected: Vec<_> = samples
        .chunks(input)
        .map(|sample| reference::run(graph, &sample.iter().map(|&x| f64::from(x)).collect::<Vec<_>>()))
        .collect();
    for (name, found) in names.iter().zip(found) {
        let expected: Vec<f64> = expected.iter().flat_map(|values| values[name].clone()).collect();
        assert_eq!(found.len(), expected.len(), "{name}");
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let error = (f64::from(*found) - expected).abs();
            assert!(error <= 1e-5 * expected.abs().max(1.0), "{name}[{index}]: {found}, expected {expected}");
        }
    }
}

fn layer(kind: &str, param: &str) -> String {
    format!("layer {{ name: 'l' type: '{kind}' bottom: 'data' top: 'l' {param} }}")
}

#[test]
fn every_layer_is_computed_as_defined() {
    let cases = [
        ("Convolution", "convolution_param { num_output: 6 kernel_size: 3 stride: 2 pad: 1 group: 3 dilation: 2 }"),
        ("Convolution", "convolution_param { num_output: 4 kernel_h: 1 kernel_w: 3 pad_w: 2 bias_term: false }"),
        ("InnerProduct", "inner_product_param { num_output: 5 }"),
        ("InnerProduct", "inner_product_param { num_output: 5 axis: 2 }"),
        ("InnerProduct", "inner_product_param { num_output: 5 axis: 3 bias_term: false }"),
        ("ReLU", ""),
        ("ReLU", "relu_param { negative_slope: 0.1 }"),
        ("PReLU", ""),
        ("PReLU", "prelu_param { channel_shared: true }"),
        ("ELU", "elu_param { alpha: 0.5 }"),
        ("Sigmoid", ""),
        ("TanH", ""),
        ("LRN", "lrn_param { local_size: 5 alpha: 0.7 beta: 0.6 k: 1.5 }"),
        ("LRN", "lrn_param { local_size: 3 norm_region: WITHIN_CHANNEL alpha: 0.7 }"),
        ("BatchNorm", "batch_norm_param { eps: 0.01 }"),
        ("Scale", "scale_param { bias_term: true }"),
        ("Scale", "scale_param { axis: 2 num_axes: 2 }"),
        ("Bias", "bias_param { axis: 1 num_axes: 2 }"),
        ("Concat", ""),
        ("Eltwise", ""),
        ("Dropout", ""),
        ("Flatten", ""),
        ("Flatten", "flatten_param { axis: 2 }"),
        ("Reshape", "reshape_param { shape { dim: [0, 7, -1] } }"),
        ("Softmax", ""),
        ("Softmax", "softmax_param { axis: 2 }"),
    ];
    for (kind, param) in cases {
        check(&network(&layer(kind, param)), false);
    }
}

#[test]
fn pooling_is_computed_by_caffes_rules() {
    let geometries = [
        "kernel_size: 2 stride: 2",
        "kernel_size: 3 stride: 2",
        "kernel_size: 3 stride: 2 pad: 1",
        "kernel_size: 2 stride: 3 pad: 1",
        "kernel_size: 4 stride: 3 pad: 3",
        "kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 3 pad_h: 1",
        "kernel_size: 3 stride: 2 pad: 1 round_mode: FLOOR",
        "kernel_size: 1 stride: 2",
        "global_pooling: true",
    ];
    for geometry in geometries {
        for pool in ["MAX", "AVE"] {
            check(&network(&layer("Pooling", &format!("pooling_param {{ pool: {pool} {geometry} }}"))), false);
        }
    }
}

#[test]
fn layers_with_several_inputs_or_outputs_are_computed_as_defined() {
    let layers = "
        layer { name: 's' type: 'Slice' bottom: 'data' top: 'a' top: 'b' slice_param { slice_point: 1 } }
        layer { name: 't' type: 'Split' bottom: 'b' top: 'b1' top: 'b2' }
        layer { name: 'x' type: 'Sigmoid' bottom: 'b2' top: 'x' }
        layer { name: 'e' type: 'Eltwise' bottom: 'b1' bottom: 'x' bottom: 'b' top: 'e' eltwise_param { coeff: [1, -1, 0.5] } }
        layer { name: 'p' type: 'Eltwise' bottom: 'e' bottom: 'x' bottom: 'b' top: 'p' eltwise_param { operation: PROD } }
        layer { name: 'n' type: 'Eltwise' bottom: 'p' bottom: 'x' bottom: 'b' top: 'n' eltwise_param { operation: MAX } }
        layer { name: 'g' type: 'Pooling' bottom: 'n' top: 'g' pooling_param { pool: AVE global_pooling: true } }
        layer { name: 'f' type: 'Flatten' bottom: 'g' top: 'f' }
        layer { name: 'm' type: 'Scale' bottom: 'n' bottom: 'f' top: 'm' scale_param { axis: 0 } }
        layer { name: 'u' type: 'Bias' bottom: 'm' bottom: 'f' top: 'u' bias_param { axis: 0 } }
        layer { name: 'c' type: 'Concat' bottom: 'a' bottom: 'u' bottom: 'data' top: 'c' }
        layer { name: 'w' type: 'Concat' bottom: 'c' bottom: 'c' top: 'w' concat_param { axis: 3 } }
        layer { name: 'v' type: 'Slice' bottom: 'w' top: 'v1' top: 'v2' slice_param { axis: 2 slice_point: 3 } }";
    check(&network(layers), false);
}

const RESIDUAL: &str = "
    layer { name: 'bn0' type: 'BatchNorm' bottom: 'data' top: 'bn0' }
    layer { name: 'scale0' type: 'Scale' bottom: 'bn0' top: 'bn0' scale_param { bias_term: true } }
    layer { name: 'conv1' type: 'Convolution' bottom: 'bn0' top: 'conv1'
            convolution_param { num_output: 4 kernel_size: 3 pad: 1 bias_term: false } }
    layer { name: 'bn1' type: 'BatchNorm' bottom: 'conv1' top: 'conv1' }
    layer { name: 'scale1' type: 'Scale' bottom: 'conv1' top: 'conv1' scale_param { bias_term: true } }
    layer { name: 'relu1' type: 'ReLU' bottom: 'conv1' top: 'conv1' }
    layer { name: 'conv2' type: 'Convolution' bottom: 'conv1' top: 'conv2'
            convolution_param { num_output: 4 kernel_size: 1 } }
    layer { name: 'bn2' type: 'BatchNorm' bottom: 'conv2' top: 'bn2' }
    layer { name: 'sum' type: 'Eltwise' bottom: 'bn2' bottom: 'conv1' top: 'sum' }
    layer { name: 'fc' type: 'InnerProduct' bottom: 'sum' top: 'fc' inner_product_param { num_output: 3 } }
    layer { name: 'bias' type: 'Bias' bottom: 'fc' top: 'bias' }
    layer { name: 'prob' type: 'Softmax' bottom: 'bias' top: 'prob' }";

#[test]
fn folding_changes_operators_but_no_answer() {
    let graph = network(RESIDUAL);
    check(&graph, false);
    check(&graph, true);
    let options = ExportOptions { fold: true, ..ExportOptions::default() };
    let folded = inspect(&export(&graph, &options).unwrap()).unwrap();
    assert_eq!(folded.operators.get("BatchNormalization"), None);
    assert_eq!((folded.operators["Mul"], folded.operators["Add"]), (1, 2));
}

#[test]
fn folding_keeps_the_values_asked_for() {
    let options = ExportOptions { fold: true, extra_outputs: vec!["conv2".to_owned()], ..ExportOptions::default() };
    let bytes = export(&network(RESIDUAL), &options).unwrap();
    let outputs: Vec<String> = inspect(&bytes).unwrap().outputs.into_iter().map(|output| output.name).collect();
    assert_eq!(outputs, ["prob", "conv2"]);
    assert!(with_extra_output(&bytes, "bn2").is_ok());
}

#[test]
fn exported_graphs_are_read_back() {
    let graph = network(RESIDUAL);
    assert_eq!(import(&export(&graph, &ExportOptions::default()).unwrap()).unwrap(), graph);
    let folded = export(&graph, &ExportOptions { fold: true, ..ExportOptions::default() }).unwrap();
    assert_eq!(import(&folded).unwrap().nodes.len(), 7);
    let foreign = b"\x08\x08\x3a\x00";
    assert!(import(foreign).unwrap_err().to_string().contains("was not written by this program"));
}

fn fixture(path: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../testing/fixtures/models").join(path)).unwrap()
}

fn squeezenet() -> Graph {
    let text = String::from_utf8(fixture("imgsq/deploy.prototxt")).unwrap();
    let weights = fixture("imgsq/model_iter_4.caffemodel");
    import_caffe(("deploy.prototxt", &text), ("model_iter_4.caffemodel", &weights)).unwrap()
}

#[test]
fn a_summary_says_what_the_file_holds() {
    let summary = inspect(&export(&squeezenet(), &ExportOptions::default()).unwrap()).unwrap();
    assert_eq!(summary.opsets, [(String::new(), 17)].into());
    assert_eq!(summary.inputs.len(), 1);
    assert_eq!(summary.inputs[0].name, "data");
    assert_eq!(summary.inputs[0].dims, Some(vec![None, Some(3), Some(227), Some(227)]));
    assert_eq!(summary.outputs[0].dims, Some(vec![None, Some(3), Some(1), Some(1)]));
    assert_eq!((summary.operators["Conv"], summary.operators["Concat"]), (26, 8));
    assert_eq!(summary.parameter_count, squeezenet().parameter_count().unwrap() as u64);
    assert_eq!((summary.producer.as_str(), summary.external_data.len()), ("dede", 0));
}

#[test]
fn any_value_can_become_an_output() {
    let graph = network(RESIDUAL);
    let bytes = export(&graph, &ExportOptions::default()).unwrap();
    for name in ["conv1", "conv1@conv1", "sum", "fc"] {
        let amended = inspect(&with_extra_output(&bytes, name).unwrap()).unwrap();
        assert_eq!(amended.outputs.len(), 2, "{name}");
        assert_eq!(amended.outputs[1].name, name);
        assert!(amended.outputs[1].dims.is_some());
    }
    assert_eq!(with_extra_output(&bytes, "prob").unwrap(), bytes);
    let error = with_extra_output(&bytes, "nothing").unwrap_err();
    assert_eq!(error.to_string(), "network: no operator makes a value called \"nothing\"");
}

/// A model of one `Identity` with an initializer whose fields `tensor` writes.
fn model_with(tensor: impl Fn(&mut crate::wire::Writer)) -> Vec<u8> {
    let mut writer = crate::wire::Writer::default();
    writer.message(format::model::OPSET_IMPORT, |writer| writer.integer(format::SECOND, 17));
    writer.message(format::model::GRAPH, |writer| {
        writer.message(format::graph::INITIALIZER, &tensor);
        writer.message(format::graph::OUTPUT, |writer| writer.bytes(format::FIRST, b"y"));
    });
    writer.into_bytes()
}

#[test]
fn external_data_may_lie_in_the_directory_of_the_model_and_below_it_alone() {
    let with_location = |location: &str| {
        inspect(&model_with(|writer| {
            writer.bytes(format::tensor::NAME, b"w");
            writer.message(format::tensor::EXTERNAL_DATA, |writer| {
                writer.bytes(format::FIRST, b"location");
                writer.bytes(format::SECOND, location.as_bytes());
            });
            writer.integer(format::tensor::DATA_LOCATION, 1);
        }))
    };
    let found =
        [("model.onnx.data", "model.onnx.data"), ("./a/b", "a/b"), ("a/./b", "a/b"), ("a//b", "a/b"), ("..a", "..a")];
    for (location, name) in found {
        assert_eq!(with_location(location).unwrap().external_data, [name], "{location}");
    }
    let refused = [
        "../secret",
        "a/../../b",
        "a/..",
        "a/../b",
        "/etc/passwd",
        "a/",
        "a/.",
        "..",
        ".",
        "./",
        "",
        "C:x",
        "a\\b",
        "a\0b",
        "a\nb",
    ];
    for location in refused {
        let error = with_location(location).unwrap_err().to_string();
        assert!(
            error.contains("tensor \"w\"") && error.contains("no file in the model's directory"),
            "{location}: {error}"
        );
    }
}

#[test]
fn tensors_must_have_the_size_of_their_data() {
    let with = |dims: &[i64], data_type: i64, bytes: usize| {
        inspect(&model_with(|writer| {
            dims.iter().for_each(|&dim| writer.integer(format::tensor::DIMS, dim));
            writer.integer(format::tensor::DATA_TYPE, data_type);
            writer.bytes(format::tensor::RAW_DATA, &vec![0; bytes]);
        }))
    };
    let cases: [(&[i64], i64, usize, bool); 8] = [
        (&[2, 3], 1, 24, true),
        (&[2, 3], 1, 20, false),
        (&[], 7, 8, true),
        (&[3], 22, 2, true),
        (&[-1], 1, 4, false),
        (&[i64::MAX, 4], 1, 4, false),
        (&[0], 1, 0, true),
        (&[5], 10, 10, true),
    ];
    for (dims, data_type, bytes, fits) in cases {
        assert_eq!(with(dims, data_type, bytes).is_ok(), fits, "{dims:?} {data_type}");
    }
}

#[test]
fn weights_can_be_left_out_of_a_file_that_says_where_they_are() {
    let bytes = export(&network(RESIDUAL), &ExportOptions::default()).unwrap();
    let mut outside: Vec<Outside<'_>> = Vec::new();
    for field in crate::wire::Reader::new(&bytes) {
        let (format::model::GRAPH, value) = field.unwrap() else { continue };
        for field in crate::wire::Reader::new(value.bytes().unwrap()) {
            if let (format::graph::INITIALIZER, value) = field.unwrap() {
                let tensor = super::inspect::Tensor::read(value.bytes().unwrap()).unwrap();
                let raw = tensor.raw.unwrap();
                let offset = raw.as_ptr().addr() - bytes.as_ptr().addr();
                outside.push(Outside { weight: tensor.name, offset, length: raw.len() });
            }
        }
    }
    outside.sort_by_key(|weight| std::cmp::Reverse(weight.length));
    outside.truncate(2);
    let length: usize = outside.iter().map(|weight| weight.length).sum();
    let amended = with_weights_outside(&bytes, "model.onnx", &outside).unwrap();
    let (before, after) = (inspect(&bytes).unwrap(), inspect(&amended).unwrap());
    assert_eq!(after.external_data, ["model.onnx"]);
    assert_eq!(
        (after.parameter_count, after.inputs, after.outputs),
        (before.parameter_count, before.inputs, before.outputs)
    );
    assert_eq!((after.operators, after.metadata), (before.operators, before.metadata));
    assert!(length > 0 && amended.len() < bytes.len() - length + 200, "{length} bytes left out, {}", amended.len());
    assert_eq!(with_weights_outside(&bytes, "model.onnx", &[]).unwrap().len(), bytes.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn damaged_files_are_an_error_or_a_model(
        edits in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..8), truncate in 0usize..2000,
    ) {
        let mut bytes = export(&network(RESIDUAL), &ExportOptions::default()).unwrap();
        for (place, value) in edits {
            let place = place % bytes.len();
            bytes[place] = value;
        }
        bytes.truncate(bytes.len().saturating_sub(truncate));
        let _ = (inspect(&bytes), import(&bytes), with_extra_output(&bytes, "conv1"), with_weights_outside(&bytes, "f", &[]));
    }
}
