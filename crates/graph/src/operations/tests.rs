//! The shapes of operations as Caffe's networks write them, and what is refused of them by name. What they compute is compared with
//! other programs where engines run.

use proptest::prelude::*;

use super::types;
use crate::caffe::{NetworkOptions, parse_network};
use crate::graph::Graph;
use crate::layer::Layer;

/// A network of an image of 4 × 6 × 8 and this layer, of one bottom or two.
fn network(kind: &str, bottoms: usize, param: &str) -> Result<Graph, String> {
    let second =
        "layer { name: 'p' type: 'Pooling' bottom: 'data' top: 'p' pooling_param { kernel_size: 2 stride: 2 } }";
    let bottom = if bottoms == 2 { "bottom: 'p'" } else { "" };
    let text = format!(
        "input: 'data' input_shape {{ dim: [1, 4, 6, 8] }} {second}
         layer {{ name: 'l' type: '{kind}' bottom: 'data' {bottom} top: 'l' {param} }}"
    );
    parse_network(&text, &NetworkOptions::default()).map_err(|error| error.to_string())
}

#[test]
fn shapes_follow_from_parameters() {
    let cases: [(&str, usize, &str, &[usize]); 22] = [
        ("Power", 1, "", &[4, 6, 8]),
        ("Permute", 1, "permute_param { order: 0 order: 2 order: 3 order: 1 }", &[6, 8, 4]),
        ("Permute", 1, "permute_param { order: 0 order: 3 }", &[8, 4, 6]),
        ("Normalize", 1, "", &[4, 6, 8]),
        ("Deconvolution", 1, "convolution_param { num_output: 2 kernel_size: 4 stride: 2 pad: 1 }", &[2, 12, 16]),
        ("Deconvolution", 1, "convolution_param { num_output: 2 kernel_size: 3 dilation: 2 }", &[2, 10, 12]),
        ("ShuffleChannel", 1, "shuffle_channel_param { group: 2 }", &[4, 6, 8]),
        ("Reduction", 1, "reduction_param { axis: 2 }", &[4]),
        ("Reduction", 1, "reduction_param { axis: -1 }", &[4, 6]),
        ("ArgMax", 1, "", &[1, 1, 1]),
        ("ArgMax", 1, "argmax_param { out_max_val: true top_k: 5 }", &[2, 5, 1]),
        ("ArgMax", 1, "argmax_param { axis: 1 top_k: 3 }", &[3, 6, 8]),
        ("Tile", 1, "tile_param { tiles: 3 axis: -1 }", &[4, 6, 24]),
        ("Crop", 2, "", &[4, 3, 4]),
        ("Crop", 2, "crop_param { axis: 3 offset: 4 }", &[4, 6, 4]),
        ("Interp", 1, "interp_param { zoom_factor: 3 }", &[4, 16, 22]),
        ("Interp", 1, "interp_param { shrink_factor: 2 }", &[4, 3, 4]),
        ("Interp", 1, "interp_param { height: 5 width: 9 pad_end: -2 }", &[4, 5, 9]),
        // Caffe counts one of two ways of saying a size; where both say the same it is no matter.
        ("Interp", 1, "interp_param { height: 11 width: 15 zoom_factor: 2 }", &[4, 11, 15]),
        ("Reverse", 1, "reverse_param { axis: 2 }", &[4, 6, 8]),
        ("Embed", 1, "embed_param { num_output: 3 input_dim: 9 }", &[4, 6, 8, 3]),
        ("PriorBox", 2, "prior_box_param { min_size: 4 max_size: 6 aspect_ratio: 2 }", &[2, 4 * 4 * 48]),
    ];
    for (kind, bottoms, param, expected) in cases {
        let graph = network(kind, bottoms, param).unwrap_or_else(|error| panic!("{kind} {param}: {error}"));
        assert_eq!(graph.shapes().unwrap()["l"].dims(), expected, "{kind} {param}");
        assert!(graph.layer_for_prediction().is_some_and(|node| node.layer.kind() == kind), "{kind}");
        let again: Graph = serde_json::from_str(&serde_json::to_string(&graph).unwrap()).unwrap();
        assert_eq!(again, graph, "{kind} {param}");
    }
}

#[test]
fn what_cannot_be_computed_as_caffe_does_is_refused_by_name() {
    let cases = [
        ("Power", 1, "power_param { scale: 0 power: -1 }", "shift 0 to the power -1"),
        ("Exp", 1, "exp_param { base: 0 }", "base should be above 0"),
        ("Exp", 1, "exp_param { base: 10 shift: 99 }", "no finite number"),
        ("Log", 1, "log_param { base: 1 }", "base 1 has no logarithms"),
        ("Log", 1, "log_param { base: -2 }", "base should be above 0"),
        ("Clip", 1, "", "clip_param has no min"),
        ("Clip", 1, "clip_param { min: 1 max: 0 }", "min 1 is above max 0"),
        ("Permute", 1, "permute_param { order: [1, 2] }", "order [1, 2, 0, 3] moves the batch"),
        ("Permute", 1, "permute_param { order: [0, 2, 2] }", "order names axis 2 twice"),
        ("Permute", 1, "permute_param { order: 4 }", "order names axis 4, its input has 4"),
        ("Normalize", 1, "norm_param { eps: -1 }", "eps should be 0 or more"),
        (
            "Deconvolution",
            1,
            "convolution_param { num_output: 2 kernel_size: 2 pad: 8 }",
            "leaves nothing of an input of 6",
        ),
        ("Deconvolution", 1, "convolution_param { num_output: 3 kernel_size: 2 group: 2 }", "into 2 groups"),
        ("Deconvolution", 1, "convolution_param { num_output: 2 kernel_size: 2 axis: 2 }", "channels should be axis 1"),
        ("Deconvolution", 1, "convolution_param { num_output: 2 kernel_size: 2 stride: 9999999999 }", "elements"),
        ("ShuffleChannel", 1, "shuffle_channel_param { group: 3 }", "4 channels cannot be divided into group: 3"),
        ("ShuffleChannel", 1, "shuffle_channel_param { group: 0 }", "cannot be divided"),
        ("Axpy", 2, "", "cannot have 2 inputs"),
        ("Reduction", 1, "", "axis 0 is the batch: the samples of a batch would be summed"),
        ("Reduction", 1, "reduction_param { axis: 1 operation: MAX }", "operation should be SUM, ASUM, SUMSQ or MEAN"),
        ("ArgMax", 1, "argmax_param { axis: 0 }", "axis 0 is the batch"),
        ("ArgMax", 1, "argmax_param { axis: 1 top_k: 5 }", "top_k should be from 1 to 4, found 5"),
        ("ArgMax", 1, "argmax_param { top_k: 0 }", "top_k should be from 1 to 192"),
        ("Tile", 1, "", "tile_param has no tiles"),
        ("Tile", 1, "tile_param { tiles: 0 }", "tiles should be at least 1"),
        ("Tile", 1, "tile_param { axis: 0 tiles: 2 }", "axis 0 is the batch"),
        ("Tile", 1, "tile_param { tiles: 99999999999 }", "elements"),
        ("Crop", 2, "crop_param { axis: 0 }", "axis 0 is the batch"),
        ("Crop", 2, "crop_param { offset: 4 }", "a part of 3 from offset 4 on does not fit the 6 of axis 2"),
        ("Crop", 2, "crop_param { offset: [1, 1, 1] }", "offset should be there once or for each of 2 axes"),
        ("Crop", 1, "", "cannot have 1 inputs"),
        ("Interp", 1, "", "height and width, zoom_factor or shrink_factor should be given"),
        ("Interp", 1, "interp_param { height: 4 }", "height and width, zoom_factor or"),
        ("Interp", 1, "interp_param { height: 0 width: 4 }", "should be at least 1, found 0 and 4"),
        (
            "Interp",
            1,
            "interp_param { height: 4 width: 4 zoom_factor: 2 }",
            "which make [11, 15]: expected one of them",
        ),
        ("Interp", 1, "interp_param { zoom_factor: 0 }", "zoom_factor should be at least 1"),
        ("Interp", 1, "interp_param { zoom_factor: 2 pad_beg: 1 }", "pad_beg should be 0 or less"),
        ("Interp", 1, "interp_param { zoom_factor: 2 pad_beg: -3 pad_end: -3 }", "leave nothing of 6"),
        ("Interp", 1, "interp_param { zoom_factor: 2 mode: NEAREST }", "Caffe computes one channel alone"),
        ("Upsample", 2, "", "its inputs should have one shape"),
        ("Upsample", 2, "upsample_param { scale_h: 2 }", "scale_h and scale_w should both be given"),
        ("Upsample", 2, "upsample_param { upsample_h: 9 }", "upsample_h and upsample_w should both be given"),
        ("Upsample", 2, "upsample_param { scale: 3 pad_out_h: true }", "2 with pad_out_h or pad_out_w"),
        ("Upsample", 2, "upsample_param { upsample_h: 9 upsample_w: 9 pad_out_h: true }", "pad_out_h stands beside"),
        ("Reverse", 1, "", "axis 0 is the batch: the samples of a batch would change places"),
        ("Reverse", 1, "reverse_param { axis: -1 }", "axis should be 0 or more"),
        ("Embed", 1, "embed_param { num_output: 3 }", "input_dim is missing"),
    ];
    for (kind, bottoms, param, expected) in cases {
        let error = network(kind, bottoms, param).expect_err(param);
        assert!(error.contains(expected) && error.contains("layer l"), "{kind} {param}: {error}");
    }
}

#[test]
fn a_second_top_of_a_pooling_wants_windows_that_do_not_overlap() {
    let pooling = |param: &str| {
        let text = format!(
            "input: 'data' input_shape {{ dim: [1, 4, 5, 8] }}
             layer {{ name: 'l' type: 'Pooling' bottom: 'data' top: 'l' top: 'places' pooling_param {{ {param} }} }}"
        );
        parse_network(&text, &NetworkOptions::default()).map_err(|error| error.to_string())
    };
    let graph = pooling("kernel_size: 2 stride: 2").unwrap();
    assert_eq!(graph.shapes().unwrap()["places"].dims(), [4, 3, 4]);
    for (param, expected) in [
        ("kernel_size: 3 stride: 2", "windows that do not overlap"),
        ("kernel_size: 2 stride: 2 pad: 1", "windows that do not overlap"),
        ("global_pooling: true", "windows that do not overlap"),
        ("kernel_size: 2 stride: 2 pool: AVE", "is for pool: MAX"),
        ("kernel_size: 9 stride: 9", "more than 64 places"),
    ] {
        let error = pooling(param).unwrap_err();
        assert!(error.contains(expected) && error.contains("layer l"), "{param}: {error}");
    }
}

#[test]
fn names_are_there_once() {
    let mut names: Vec<&str> = types().flat_map(|kind| kind.names.iter().copied()).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

proptest! {
    #[test]
    fn extreme_options_never_panic(numbers in proptest::collection::vec(
        prop_oneof![Just("0"), Just("1"), Just("2"), Just("7"), Just("4294967295"), Just("9223372036854775807"), Just("-1"),
            Just("-9223372036854775808"), Just("1e30"), Just("-0.5"), Just("3e-40")], 4))
    {
        let mut turn = numbers.iter().cycle();
        for kind in types() {
            let Some(entry) = &kind.parameters else { continue };
            let crate::fields::Use::Message(fields) = entry.usage else { continue };
            let text: String = fields
                .iter()
                .filter(|field| matches!(field.usage, crate::fields::Use::Read))
                .map(|field| format!("{}: {} ", field.name, turn.next().unwrap()))
                .collect();
            for bottoms in [1, 2] {
                if let Ok(graph) = network(kind.name(), bottoms, &format!("{} {{ {text} }}", entry.name)) {
                    prop_assert!(graph.nodes.iter().any(|node| matches!(node.layer, Layer::Operation(_))));
                    let _ = (graph.parameter_count(), graph.flops());
                }
            }
        }
    }
}
