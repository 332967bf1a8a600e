//! Importing repositories that the original server wrote, and files that no program should write.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::error::Error;
use crate::layer::Layer;
use crate::shape::Shape;

fn repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testing/fixtures/models").join(name)
}

fn text(repository_name: &str, file: &str) -> String {
    std::fs::read_to_string(repository(repository_name).join(file)).unwrap()
}

fn bytes(repository_name: &str, file: &str) -> Vec<u8> {
    std::fs::read(repository(repository_name).join(file)).unwrap()
}

fn import_repository(name: &str, weights: &str) -> Graph {
    import(("deploy.prototxt", &text(name, "deploy.prototxt")), (weights, &bytes(name, weights))).unwrap()
}

fn parse(text: &str) -> Result<Graph> {
    parse_network(text, &NetworkOptions::default())
}

/// A network of one image input `data`, 3 × 8 × 8, and `layers`.
fn small(layers: &str) -> Result<Graph> {
    parse(&format!("input: 'data' input_shape {{ dim: [1, 3, 8, 8] }} {layers}"))
}

fn shape_of(graph: &Graph, value: &str) -> Vec<usize> {
    graph.shapes().unwrap()[value].dims().to_vec()
}

#[test]
fn imports_what_the_original_server_wrote() {
    // repository, weights, input, nodes, output, its extents, number of weights
    let cases = [
        (
            "iris",
            "model_iter_300.caffemodel",
            vec![4, 1, 1],
            6,
            "loss",
            vec![3],
            4 * 16 + 16 + 16 * 16 + 16 + 16 * 3 + 3,
        ),
        ("iriscat", "model_iter_100.caffemodel", vec![7, 1, 1], 6, "loss", vec![3], 7 * 16 + 16 + 272 + 51),
        ("mv_dev", "model_iter_300.caffemodel", vec![4, 1, 1], 6, "loss", vec![3], 403),
        ("lreg", "model_iter_200.caffemodel", vec![4, 1, 1], 4, "loss", vec![3], 250 + 153),
        (
            "imgconv",
            "model_iter_120.caffemodel",
            vec![3, 64, 64],
            10,
            "loss",
            vec![3],
            448 + 4640 + 64 * 26912 + 64 + 195,
        ),
        ("imgsq", "model_iter_4.caffemodel", vec![3, 227, 227], 65, "prob", vec![3, 1, 1], 724_035),
    ];
    for (name, weights, input, nodes, output, extents, count) in cases {
        let graph = import_repository(name, weights);
        assert_eq!(graph.inputs.len(), 1, "{name}");
        assert_eq!((graph.inputs[0].name.as_str(), graph.inputs[0].shape.dims()), ("data", &input[..]), "{name}");
        assert_eq!((graph.nodes.len(), graph.output()), (nodes, output), "{name}");
        assert_eq!(shape_of(&graph, output), extents, "{name}");
        assert_eq!(graph.parameter_count(), Ok(count), "{name}");
    }
}

#[test]
fn a_repository_without_weights_has_a_network_that_lacks_them() {
    let graph = parse(&text("reg", "deploy.prototxt")).unwrap();
    assert_eq!((graph.output(), graph.logits()), ("ip_loss", "ip_loss"));
    let error = graph.check().unwrap_err();
    assert_eq!(error.to_string(), "layer fc_data: weight fc_data.weight is missing");
}

#[test]
fn training_networks_are_read_as_they_predict() {
    for (name, file) in [("iris", "mlp.prototxt"), ("imgconv", "convnet.prototxt"), ("imgsq", "squeezenet.prototxt")] {
        let graph = parse(&text(name, file)).unwrap();
        assert!(matches!(graph.producer(graph.output()).unwrap().layer, Layer::Softmax { .. }), "{file}");
    }
}

#[test]
fn in_place_layers_become_versions_of_the_blob() {
    let graph = import_repository("iris", "model_iter_300.caffemodel");
    let named = |name: &str| graph.nodes.iter().find(|node| node.name == name).unwrap();
    assert_eq!(named("fc_data").outputs, ["ip0@fc_data"]);
    assert_eq!(named("act_ReLU_ip0").inputs, ["ip0@fc_data"]);
    assert_eq!(named("act_ReLU_ip0").outputs, ["ip0"]);
    assert_eq!(named("fc_ip0").inputs, ["ip0"]);
    assert_eq!(graph.logits(), "ip_loss");
}

#[test]
fn values_that_no_layer_reads_are_outputs_unless_silenced() {
    let inner = |name: &str, bottom: &str| {
        format!(
            "layer {{ name: '{name}' type: 'InnerProduct' bottom: '{bottom}' top: '{name}' \
             inner_product_param {{ num_output: 2 }} }}"
        )
    };
    let heads = format!("{}{}{}", inner("trunk", "data"), inner("age", "trunk"), inner("gender", "trunk"));
    assert_eq!(small(&heads).expect("reads").outputs, ["gender", "age"]);
    let silence = "layer { name: 's' type: 'Silence' bottom: 'gender' }";
    assert_eq!(small(&format!("{heads}{silence}")).expect("reads").outputs, ["age"]);
}

#[test]
fn transforms_of_the_data_layer_are_kept_for_the_caller() {
    let graph = parse(&text("imgconv", "deploy.prototxt")).unwrap();
    assert_eq!(graph.inputs[0].transform.mean_values, [79.403_88, 95.809_326, 83.880_08]);
    let text = "layer { name: 'd' type: 'ImageData' top: 'data' top: 'label'
        image_data_param { new_height: 6 new_width: 6 }
        transform_param { mean_file: 'mean.binaryproto' scale: 0.5 crop_size: 6 } }
        layer { name: 'r' type: 'ReLU' bottom: 'data' top: 'r' }";
    let input = &parse(text).unwrap().inputs[0];
    assert_eq!(input.shape, Shape::image(3, 6, 6));
    assert_eq!(input.transform.mean_file.as_deref(), Some("mean.binaryproto"));
    assert_eq!((input.transform.scale, input.transform.crop_size), (Some(0.5), Some(6)));
}

#[test]
fn a_data_layer_without_extents_takes_the_callers() {
    let text = "layer { name: 'd' type: 'Data' top: 'data' } layer { name: 'r' type: 'ReLU' bottom: 'data' top: 'r' }";
    let options = NetworkOptions { input_shape: Some(Shape::image(1, 2, 3)) };
    assert_eq!(parse_network(text, &options).unwrap().inputs[0].shape, Shape::image(1, 2, 3));
    assert!(parse(text).unwrap_err().to_string().starts_with("layer d: it does not say the shape"));
}

#[test]
fn legacy_networks_are_read() {
    let text = "name: 'old' input: 'data' input_dim: 10 input_dim: 3 input_dim: 8 input_dim: 8
        layers { name: 'c' type: CONVOLUTION bottom: 'data' top: 'c' blobs_lr: 1
                 convolution_param { num_output: 4 kernel_h: 3 kernel_w: 1 pad_h: 1 } }
        layers { name: 'r' type: RELU bottom: 'c' top: 'c' }
        layers { name: 'p' type: SOFTMAX bottom: 'c' top: 'p' }";
    let graph = parse(text).unwrap();
    assert_eq!((graph.name.as_str(), shape_of(&graph, "p")), ("old", vec![4, 8, 8]));
}

#[test]
fn phases_choose_layers() {
    let layer = |rule: &str| {
        format!(
            "layer {{ name: 'a' type: 'ReLU' bottom: 'data' top: 'a' {rule} }} layer {{ name: 'z' type: 'TanH' bottom: 'data' top: 'z' }}"
        )
    };
    let cases = [
        ("", true),
        ("include { phase: TEST }", true),
        ("include { phase: TRAIN }", false),
        ("include { phase: TRAIN } include { phase: TEST }", true),
        ("exclude { phase: TEST }", false),
        ("exclude { phase: TRAIN }", true),
        ("include { stage: 'deploy' }", false),
        ("include { min_level: 1 }", false),
    ];
    for (rule, kept) in cases {
        assert_eq!(small(&layer(rule)).unwrap().nodes.len() == 2, kept, "{rule}");
    }
}

#[test]
fn every_layer_type_gets_its_shape() {
    let cases = [
        (
            "Convolution",
            "convolution_param { num_output: 6 kernel_size: 3 stride: 2 pad: 1 group: 3 dilation: 2 }",
            vec![6, 3, 3],
        ),
        ("InnerProduct", "inner_product_param { num_output: 5 }", vec![5]),
        ("InnerProduct", "inner_product_param { num_output: 5 axis: 2 }", vec![3, 5]),
        ("ReLU", "relu_param { negative_slope: 0.1 }", vec![3, 8, 8]),
        ("PReLU", "", vec![3, 8, 8]),
        ("ELU", "", vec![3, 8, 8]),
        ("Sigmoid", "", vec![3, 8, 8]),
        ("TanH", "", vec![3, 8, 8]),
        ("Pooling", "pooling_param { kernel_size: 3 stride: 2 }", vec![3, 4, 4]),
        ("Pooling", "pooling_param { kernel_size: 3 stride: 2 round_mode: FLOOR }", vec![3, 3, 3]),
        ("Pooling", "pooling_param { pool: AVE global_pooling: true }", vec![3, 1, 1]),
        ("LRN", "lrn_param { local_size: 3 }", vec![3, 8, 8]),
        ("LRN", "lrn_param { local_size: 3 norm_region: WITHIN_CHANNEL k: 2 }", vec![3, 8, 8]),
        ("BatchNorm", "", vec![3, 8, 8]),
        ("Scale", "scale_param { bias_term: true }", vec![3, 8, 8]),
        ("Scale", "scale_param { axis: -2 num_axes: -1 }", vec![3, 8, 8]),
        ("Bias", "bias_param { num_axes: 2 }", vec![3, 8, 8]),
        ("Concat", "", vec![3, 8, 8]),
        ("Eltwise", "eltwise_param { operation: MAX }", vec![3, 8, 8]),
        ("Dropout", "", vec![3, 8, 8]),
        ("Flatten", "", vec![192]),
        ("Flatten", "flatten_param { axis: 2 }", vec![3, 64]),
        ("Reshape", "reshape_param { shape { dim: [0, 0, 4, -1] } }", vec![3, 4, 16]),
        ("Reshape", "reshape_param { shape { dim: [1, 192] } }", vec![192]),
        ("Reshape", "reshape_param { shape { dim: [2, 4] } axis: 2 num_axes: 1 }", vec![3, 2, 4, 8]),
        // -1 is behind the last axis, -2 is the last.
        ("Reshape", "reshape_param { shape { dim: [2, -1] } axis: -2 }", vec![3, 8, 2, 4]),
        ("Reshape", "reshape_param { shape { dim: -1 } axis: -3 }", vec![3, 64]),
        ("Reshape", "reshape_param { shape { dim: [1, -1] } axis: -1 }", vec![3, 8, 8, 1, 1]),
        ("Reshape", "reshape_param { shape { dim: [1, 1] } axis: 4 }", vec![3, 8, 8, 1, 1]),
        ("Reshape", "reshape_param { shape { dim: [0, 192] } axis: -5 }", vec![192]),
        ("ConvolutionDepthwise", "convolution_param { kernel_size: 3 }", vec![3, 6, 6]),
        ("Softmax", "", vec![3, 8, 8]),
        ("Split", "", vec![3, 8, 8]),
    ];
    for (kind, param, expected) in cases {
        let graph = small(&format!("layer {{ name: 'l' type: '{kind}' bottom: 'data' top: 'l' {param} }}"));
        assert_eq!(shape_of(&graph.unwrap_or_else(|error| panic!("{kind}: {error}")), "l"), expected, "{kind} {param}");
    }
}

#[test]
fn layers_with_several_bottoms_or_tops_get_their_shapes() {
    let graph = small(
        "layer { name: 's' type: 'Slice' bottom: 'data' top: 'a' top: 'b' slice_param { slice_point: 1 } }
         layer { name: 't' type: 'Split' bottom: 'b' top: 'b1' top: 'b2' }
         layer { name: 'e' type: 'Eltwise' bottom: 'b1' bottom: 'b2' top: 'e' eltwise_param { coeff: [1, -1] } }
         layer { name: 'g' type: 'Pooling' bottom: 'e' top: 'g' pooling_param { pool: AVE global_pooling: true } }
         layer { name: 'f' type: 'Flatten' bottom: 'g' top: 'f' }
         layer { name: 'm' type: 'Scale' bottom: 'e' bottom: 'f' top: 'm' scale_param { axis: 0 } }
         layer { name: 'c' type: 'Concat' bottom: 'a' bottom: 'm' top: 'c' }",
    )
    .unwrap();
    let shapes = graph.shapes().unwrap();
    let dims = |name: &str| shapes[name].dims().to_vec();
    assert_eq!((dims("a"), dims("b"), dims("c")), (vec![1, 8, 8], vec![2, 8, 8], vec![3, 8, 8]));
}

#[test]
fn errors_name_the_layer_or_the_line() {
    let cases = [
        ("layer { name: 'x' type: 'Warp' bottom: 'data' top: 'x' }", "layer x: layer type \"Warp\" is not supported"),
        ("layer { name: 'x' type: 'ReLU' bottom: 'nowhere' top: 'x' }", "layer x: its bottom nowhere is made by no"),
        ("layer { name: 'x' type: 'Convolution' bottom: 'data' top: 'x' }", "layer x: num_output is missing"),
        (
            "layer { name: 'x' type: 'InnerProduct' bottom: 'data' top: 'x'\n inner_product_param { num_output: -3 } }",
            "layer x: line 2: num_output should be a whole number",
        ),
        (
            "layer { name: 'x' type: 'Convolution' bottom: 'data' top: 'x' convolution_param { num_output: 1 kernel_size: 9 } }",
            "layer x: a kernel of 9",
        ),
        (
            "layer { name: 'x' type: 'InnerProduct' bottom: 'data' top: 'x' inner_product_param { num_output: 99999999999 } }",
            "layer x: shape [99999999999] has more than",
        ),
        (
            "layer { name: 'x' type: 'Slice' bottom: 'data' top: 'a' top: 'b' }",
            "layer x: axis 1 of extent 3 cannot be cut into 2",
        ),
        (
            "layer { name: 'x' type: 'Reshape' bottom: 'data' top: 'x' reshape_param { axis: 5 } }",
            "layer x: axis should be from -5 to 4, found 5",
        ),
        (
            "layer { name: 'x' type: 'Reshape' bottom: 'data' top: 'x' reshape_param { axis: -6 } }",
            "layer x: axis should be from -5 to 4, found -6",
        ),
        (
            "layer { name: 'x' type: 'Reshape' bottom: 'data' top: 'x' reshape_param { num_axes: 0 shape { dim: 1 } } }",
            "layer x: an axis before the batch is not supported",
        ),
        ("layer { name: 'x' type: 'Softmax' bottom: 'data' }", "layer x: a Softmax cannot have 1 inputs and 0 outputs"),
        ("layer { type: 'ReLU' }", "network: a layer has no name"),
        ("layer { name: 'x' }", "layer x: it has no type"),
        ("", "network: no layer makes an output"),
        ("layer {", "line 1: expected '}'"),
    ];
    for (layers, expected) in cases {
        let error = small(layers).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}\nexpected {expected}");
    }
}

/// A network for training names its labels in one of many ways, and need not name what its loss computes.
#[test]
fn a_loss_predicts_from_its_first_bottom_alone() {
    let image = "input: 'data' input_shape { dim: [1, 3, 8, 8] }";
    let loss =
        |top: &str| format!("layer {{ name: 'loss' type: 'SoftmaxWithLoss' bottom: 'data' bottom: 'label' {top} }}");
    let image_layer = "layer { name: 'd' type: 'Input' top: 'data' input_param { shape { dim: [1, 3, 8, 8] } } }";
    let label_layer = |shape: &str| {
        format!("layer {{ name: 'e' type: 'Input' top: 'label' input_param {{ shape {{ dim: {shape} }} }} }}")
    };
    let two_tops = "layer { name: 'd' type: 'Input' top: 'data' top: 'label'
        input_param { shape { dim: [1, 3, 8, 8] } shape { dim: 1 } } }";
    let header = format!("{image} input: 'label' input_shape {{ dim: 1 }}");
    let memory = "layer { name: 'd' type: 'MemoryData' top: 'data' top: 'label'
        memory_data_param { batch_size: 1 channels: 3 height: 8 width: 8 } }";
    for (text, output) in [
        (format!("{header} {}", loss("top: 'loss'")), "loss"),
        (format!("{header} {}", loss("")), "(automatic)"),
        (format!("{header} {}", loss("top: 'loss' top: 'again'")), "loss"),
        (format!("{two_tops} {}", loss("top: 'loss'")), "loss"),
        (format!("{image_layer} {} {}", label_layer("1"), loss("")), "(automatic)"),
        (format!("{image_layer} {} {}", label_layer("[1, 1]"), loss("")), "(automatic)"),
        (format!("{memory} {}", loss("")), "(automatic)"),
    ] {
        let graph = parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((graph.outputs.as_slice(), graph.inputs.len()), (&[output.to_owned()][..], 1), "{text}");
        assert!(matches!(graph.producer(output).unwrap().layer, Layer::Softmax { axis: 1 }), "{text}");
    }
    let error = parse(&format!("{header} layer {{ name: 'x' type: 'ReLU' bottom: 'label' top: 'x' }}")).unwrap_err();
    assert!(error.to_string().contains("its bottom label is a label"), "{error}");
}

#[test]
fn bytes_that_are_not_text_may_stand_in_comments_alone() {
    let text = |line: &[u8]| {
        let layer =
            b"input: 'data' input_shape { dim: [1, 3] } layer { name: 'l' type: 'ReLU' bottom: 'data' top: 'l' }";
        String::from_utf8_lossy(&[layer, &b"\n"[..], line].concat()).into_owned()
    };
    assert!(parse(&text(b"# caf\xe9 \xd6\xd0\xce\xc4")).is_ok());
    for (line, expected) in [
        (&b"name: 'caf\xe9'"[..], "line 2: the string is not UTF-8"),
        (b"caf\xe9: 1", "line 2: expected ':' or '{', found bytes that are not UTF-8"),
    ] {
        assert_eq!(parse(&text(line)).unwrap_err().to_string(), expected);
    }
}

#[test]
fn weights_of_another_network_are_refused_by_layer_and_file() {
    let network = text("iris", "deploy.prototxt").replace("num_output: 16", "num_output: 17");
    let weights = bytes("iris", "model_iter_300.caffemodel");
    let error = import(("deploy.prototxt", &network), ("model_iter_300.caffemodel", &weights)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "model_iter_300.caffemodel: layer fc_data: blob for fc_data.weight should have shape [17, 4], found [16, 4]"
    );
    let error = import(("deploy.prototxt", "layer {"), ("x", &[])).unwrap_err();
    assert!(matches!(error, Error::File { ref file, .. } if file == "deploy.prototxt"));
}

#[test]
fn mean_images_are_read() {
    let mean = read_mean(&bytes("imgconv", "mean.binaryproto")).unwrap();
    assert_eq!(mean.shape, Shape::image(3, 64, 64));
    let graph = parse(&text("imgconv", "deploy.prototxt")).unwrap();
    for (mean, written) in mean.channel_means().iter().zip(&graph.inputs[0].transform.mean_values) {
        assert!((mean - written).abs() < 1e-3, "{mean} {written}");
    }
    assert!(read_mean(b"\x08\x01\x10\x03").is_err());
}

/// Any edit of a file: bytes changed, some cut out, the rest cut off.
fn damage(mut bytes: Vec<u8>, edits: &[(usize, u8)], cut: usize, truncate: usize) -> Vec<u8> {
    for &(place, value) in edits {
        let place = place % bytes.len();
        bytes[place] = value;
    }
    let cut = cut % bytes.len();
    bytes.drain(cut..(cut + truncate % 5).min(bytes.len()));
    bytes.truncate(bytes.len().saturating_sub(truncate));
    bytes
}

proptest! {
    #[test]
    fn damaged_weights_are_an_error_or_weights(
        edits in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..6), cut: usize, truncate in 0usize..300,
    ) {
        let network = text("iris", "deploy.prototxt");
        let damaged = damage(bytes("iris", "model_iter_300.caffemodel"), &edits, cut, truncate);
        let _ = import(("deploy.prototxt", &network), ("weights", &damaged));
        let _ = read_mean(&damaged);
    }

    #[test]
    fn damaged_networks_are_an_error_or_a_network(
        edits in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..12), cut: usize, truncate in 0usize..3000,
    ) {
        let damaged = damage(text("imgconv", "deploy.prototxt").into_bytes(), &edits, cut, truncate);
        let _ = parse(&String::from_utf8_lossy(&damaged));
    }

    #[test]
    fn extreme_options_never_panic(values in proptest::collection::vec(
        prop_oneof![Just(0u64), Just(1), Just(2), Just(7), Just(u64::from(u32::MAX)), Just(i64::MAX as u64), Just(u64::MAX)], 6)) {
        let [a, b, c, d, e, f] = values[..] else { unreachable!() };
        for kind in ["Convolution", "Pooling", "InnerProduct", "Slice", "Reshape", "Flatten", "LRN", "Scale", "Concat"] {
            let options = format!("num_output: {a} kernel_size: {b} stride: {c} pad: {d} dilation: {e} group: {f} axis: {a}
                num_axes: {b} slice_point: {c} slice_point: {d} shape {{ dim: {a} dim: {b} dim: -1 }} end_axis: {c} local_size: {d}");
            let params: String = ["convolution", "pooling", "inner_product", "slice", "reshape", "flatten", "lrn", "scale", "concat"]
                .iter().map(|name| format!("{name}_param {{ {options} }} ")).collect();
            let _ = small(&format!("layer {{ name: 'l' type: '{kind}' bottom: 'data' top: 'l' top: 'm' {params} }}"));
            if let Ok(graph) = small(&format!("layer {{ name: 'l' type: '{kind}' bottom: 'data' top: 'l' {params} }}")) {
                let _ = (graph.parameter_count(), graph.flops());
            }
        }
    }
}
