//! What Caffe makes of a network's text where layers meet, or stops at.

use super::*;

/// Whether a network is read, or what is said of it; `expected` is `None` where it is read.
fn check(text: &str, expected: Option<&str>) {
    let found = parse_network(text, &NetworkOptions::default()).map(drop).map_err(|error| error.to_string());
    match expected {
        None => assert_eq!(found, Ok(()), "{text}"),
        Some(expected) => {
            assert!(found.as_ref().is_err_and(|found| found.contains(expected)), "{text}: {found:?}");
        }
    }
}

#[test]
fn a_reshape_keeps_the_batch_or_is_refused() {
    let header = |batch: u8| format!("input: 'data' input_shape {{ dim: [{batch}, 3, 2, 2] }}");
    let layer = |batch: u8| {
        format!("layer {{ name: 'd' type: 'Input' top: 'data' input_param {{ shape {{ dim: [{batch}, 3, 2, 2] }} }} }}")
    };
    let memory = "layer { name: 'd' type: 'MemoryData' top: 'data' top: 'label'
        memory_data_param { batch_size: 5 channels: 3 height: 2 width: 2 } }";
    let reshape = |dims: &str| {
        format!("layer {{ name: 'r' type: 'Reshape' bottom: 'data' top: 'r' reshape_param {{ {dims} }} }}")
    };
    let of_four = "layer r: shape [2, -1] should keep the batch with 0, -1, 1 or the number of samples of the input, 4, as \
                   its first extent, found 2";
    for (input, dims, expected) in [
        (header(1), "shape { dim: [0, -1] }", None),
        (header(1), "shape { dim: [1, 12] }", None),
        (header(1), "shape { dim: [-1, 12] }", None),
        (header(4), "shape { dim: [1, 12] }", None),
        (header(4), "shape { dim: [4, 12] }", None),
        (layer(4), "shape { dim: [4, -1] }", None),
        (memory.to_owned(), "shape { dim: [5, -1] }", None),
        (header(1), "shape { dim: [2, 6] } axis: 1", None),
        (header(4), "shape { dim: [2, -1] }", Some(of_four)),
        (layer(4), "shape { dim: [2, -1] }", Some(of_four)),
        (memory.to_owned(), "shape { dim: [4, -1] }", Some("the input, 5, as its first extent, found 4")),
        (header(1), "shape { dim: [5, 12] }", Some("the input, 1, as its first extent, found 5")),
        (header(1), "shape { dim: [2, -1] } axis: -5", Some("the input, 1, as its first extent, found 2")),
        (header(1), "shape { dim: [-1, -1] }", Some("layer r: shape [-1, -1] has -1 more than once")),
    ] {
        check(&format!("{input} {}", reshape(dims)), expected);
    }
}

#[test]
fn a_blob_is_made_in_one_place_or_refused() {
    let header = "input: 'data' input_shape { dim: [1, 2] }";
    let input = |name: &str, top: &str| {
        format!("layer {{ name: '{name}' type: 'Input' top: '{top}' input_param {{ shape {{ dim: [1, 2] }} }} }}")
    };
    let layer = |name: &str, kind: &str, bottom: &str, top: &str| {
        format!("layer {{ name: '{name}' type: '{kind}' bottom: '{bottom}' {top} }}")
    };
    let relu = layer("a", "ReLU", "data", "top: 'o'");
    for (text, expected) in [
        (format!("{header} {relu} {}", layer("b", "TanH", "o", "top: 'o'")), None),
        (format!("{header} {}", layer("a", "ReLU", "data", "top: 'data'")), None),
        // Layers of another phase make nothing.
        (format!("{header} {relu} {}", layer("b", "TanH", "data", "top: 'o' include { phase: TRAIN }")), None),
        (
            format!("{header} {relu} {}", layer("b", "TanH", "data", "top: 'o'")),
            Some("layer b: its top o is made by layer a already, expected one of them"),
        ),
        (
            format!("{header} {relu} {}", layer("b", "Slice", "data", "top: 'o' top: 'p'")),
            Some("layer b: its top o is made by layer a already"),
        ),
        // In place is what stands in the same position alone.
        (
            format!("{header} {}", layer("s", "Slice", "data", "top: 'x' top: 'data'")),
            Some("layer s: its top data is made by the input of this name already"),
        ),
        (format!("{header} {}", layer("s", "Split", "data", "top: 'x' top: 'x'")), Some("is made by layer s already")),
        (
            format!("{header} {} {relu}", input("d", "data")),
            Some("layer d: its top data is made by the input of this name already"),
        ),
        (
            format!("{} {} {relu}", input("d", "data"), input("e", "data")),
            Some("layer e: its top data is made by layer d"),
        ),
        (
            "input: 'data' input: 'data' input_shape { dim: 1 dim: 2 }".to_owned(),
            Some("network: input data is there twice"),
        ),
    ] {
        check(&text, expected);
    }
}

#[test]
fn the_channels_of_a_convolution_are_counted_from_either_end() {
    let layer = |kind: &str, axis: i64| {
        format!(
            "input: 'data' input_shape {{ dim: [1, 3, 8, 8] }} layer {{ name: 'c' type: '{kind}' bottom: 'data' top: 'c'
            convolution_param {{ num_output: 3 kernel_size: 3 axis: {axis} }} }}"
        )
    };
    for kind in ["Convolution", "ConvolutionDepthwise"] {
        for (axis, expected) in [
            (1, None),
            (-3, None),
            (2, Some("layer c: the channels should be axis 1, or -3, found axis 2")),
            (-1, Some("layer c: the channels should be axis 1, or -3, found axis -1")),
        ] {
            check(&layer(kind, axis), expected);
        }
    }
}
