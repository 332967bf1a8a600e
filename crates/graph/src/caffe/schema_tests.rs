//! Every field of Caffe's schema is read, changes no number, or is refused by name: the tables against the fields of
//! `caffe.proto` (`schema_fields.txt`), and each field against the network that comes of it.

use std::collections::{BTreeMap, BTreeSet};

use super::network::{NetworkOptions, read};
use super::schema_changes::{CHANGES, least};
use super::storage::Storage;
use super::tables;
use crate::fields::{Constant, Entry, Use};
use crate::graph::Graph;

/// Fields of no published `caffe.proto` here that the tables know from other forks.
const OF_OTHER_FORKS: [&str; 3] = ["layer.engine", "Pooling.ceil_mode", "Dropout.sample_weights_test"];

/// Types with the parameters of a Convolution.
const SHARED: [&str; 2] = ["ConvolutionDepthwise", "Deconvolution"];

/// The fields of a message with those of the messages in it, as `a` and `a.b`.
fn names(entries: &[Entry], place: &str, found: &mut BTreeSet<String>) {
    for entry in entries {
        found.insert(format!("{place}{}", entry.name));
        if let Use::Message(inner) = entry.usage {
            names(inner, &format!("{place}{}.", entry.name), found);
        }
    }
}

/// The entries of a line of `schema_fields.txt`.
fn entries(title: &str) -> &'static [Entry] {
    match title {
        "network" => tables::NETWORK,
        "layer" => tables::LAYER,
        "transform_param" => inner(&tables::beside("MemoryData")[0]),
        kind => inner(tables::parameters(kind).unwrap_or_else(|| panic!("no table of {kind}"))),
    }
}

fn inner(entry: &Entry) -> &'static [Entry] {
    let Use::Message(entries) = entry.usage else { panic!("{}: a message expected", entry.name) };
    entries
}

#[test]
fn the_tables_have_the_fields_of_the_schema() {
    let mut published = BTreeSet::new();
    let lines = include_str!("schema_fields.txt").lines().filter(|line| !line.starts_with('#'));
    let mut listed = BTreeSet::new();
    for (title, fields) in lines.filter_map(|line| line.split_once(": ")) {
        listed.insert(title);
        let mut known = BTreeSet::new();
        names(entries(title), "", &mut known);
        for field in fields.split(' ') {
            let (name, inner) = field.split_once('{').unwrap_or((field, ""));
            assert!(known.contains(name), "{title}.{name} is in no table");
            published.insert(format!("{title}.{name}"));
            for inner in inner.trim_end_matches('}').split(',').filter(|inner| !inner.is_empty()) {
                assert!(known.contains(&format!("{name}.{inner}")), "{title}.{name}.{inner} is in no table");
            }
        }
        for name in known.iter().filter(|name| !name.contains('.') && !name.starts_with("layer")) {
            let full = format!("{title}.{name}");
            assert!(published.contains(&full) || OF_OTHER_FORKS.contains(&full.as_str()), "{full} is of no schema");
        }
    }
    for (kind, _) in tables::kinds().filter(|(kind, _)| !SHARED.contains(kind)) {
        assert!(listed.contains(kind), "the fields of {kind} are not listed");
    }
}

/// A layer of a type that works, behind an input of 4 × 6 × 6, with this in its parameter message and this beside it.
fn network(kind: &str, param: &str, beside: &str) -> Result<(Graph, Storage), String> {
    let header = "input: 'data' input_shape { dim: [1, 4, 6, 6] }";
    let param = match tables::parameters(kind) {
        Some(entry) => format!("{} {{ {param} }}", entry.name),
        None => String::new(),
    };
    let text = match kind {
        "Input" | "MemoryData" | "Data" | "ImageData" => format!(
            "layer {{ name: 'l' type: '{kind}' top: 'd' {param} {beside} }} layer {{ name: 'r' type: 'ReLU' bottom: 'd' top: 'r' }}"
        ),
        "Concat" | "Eltwise" => format!(
            "{header} layer {{ name: 'r' type: 'ReLU' bottom: 'data' top: 'r' }} \
             layer {{ name: 'l' type: '{kind}' bottom: 'data' bottom: 'r' top: 'l' {param} {beside} }}"
        ),
        "Crop" => format!(
            "{header} input: 'part' input_shape {{ dim: [1, 4, 3, 3] }} layer {{ name: 'r' type: 'ReLU' bottom: 'part' top: 'r' }} \
             layer {{ name: 'l' type: '{kind}' bottom: 'data' bottom: 'r' top: 'l' {param} {beside} }}"
        ),
        "PriorBox" => format!(
            "{header} layer {{ name: 'l' type: '{kind}' bottom: 'data' bottom: 'data' top: 'l' {param} {beside} }}"
        ),
        // Two places of the feature map with a box each.
        "DetectionOutput" => format!(
            "input: 'loc' input_shape {{ dim: [1, 8] }} input: 'conf' input_shape {{ dim: [1, 6] }} \
             input: 'map' input_shape {{ dim: [1, 1, 1, 2] }} \
             layer {{ name: 'p' type: 'PriorBox' bottom: 'map' bottom: 'map' top: 'p' prior_box_param {{ min_size: 1 }} }} \
             layer {{ name: 'l' type: '{kind}' bottom: 'loc' bottom: 'conf' bottom: 'p' top: 'l' {param} {beside} }}"
        ),
        // A series of 36 steps of four numbers, of which the layer is a part.
        "LSTM" | "ContinuationIndicator" => {
            let (beginning, memory) = match kind {
                "LSTM" => (
                    "name: 'c' type: 'ContinuationIndicator' bottom: 'p' top: 'c' \
                    continuation_indicator_param { time_step: 36 axis: 1 }"
                        .to_owned(),
                    format!("{param} {beside}"),
                ),
                _ => (
                    format!("name: 'l' type: '{kind}' bottom: 'p' top: 'c' {param} {beside}"),
                    "recurrent_param { num_output: 3 }".to_owned(),
                ),
            };
            let name = if kind == "LSTM" { "l" } else { "r" };
            format!(
                "{header} layer {{ name: 's' type: 'Reshape' bottom: 'data' top: 's' reshape_param {{ shape {{ dim: [0, 4, 36] }} }} }} \
                 layer {{ name: 'p' type: 'Permute' bottom: 's' top: 'p' permute_param {{ order: [2, 0, 1] }} }} \
                 layer {{ {beginning} }} \
                 layer {{ name: '{name}' type: 'LSTM' bottom: 'p' bottom: 'c' top: '{name}' {memory} }}"
            )
        }
        "Upsample" => format!(
            "{header} layer {{ name: 'l' type: '{kind}' bottom: 'data' bottom: 'data' top: 'l' {param} {beside} }}"
        ),
        "Slice" => {
            format!("{header} layer {{ name: 'l' type: 'Slice' bottom: 'data' top: 'a' top: 'b' {param} {beside} }}")
        }
        _ => format!("{header} layer {{ name: 'l' type: '{kind}' bottom: 'data' top: 'l' {param} {beside} }}"),
    };
    let options = NetworkOptions { input_shape: Some(crate::shape::Shape::image(3, 5, 5)) };
    read(&text, &options).map(|network| (network.graph, network.storage)).map_err(|error| error.to_string())
}

/// Fields of `Data` that are compared with other fields alone, and those that ConvolutionDepthwise has from Convolution.
fn is_tested_elsewhere(kind: &str, field: &str) -> bool {
    (kind, field) == ("Data", "force_encoded_color") || kind == "ConvolutionDepthwise"
}

#[test]
fn every_field_that_is_read_changes_the_network_or_is_refused() {
    let mut tested: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (kind, field, before, after) in CHANGES {
        tested.entry(kind).or_default().insert(field);
        let usual = network(kind, before, "");
        match network(kind, after, "") {
            Ok(changed) => assert_ne!(Ok(changed), usual, "{kind}.{field} is accepted and changes nothing"),
            // What a field of extents is refused for is often that the extents no longer fit.
            Err(message) => {
                let last = field.rsplit('.').next().unwrap();
                let word = if last == "dim" { "shape" } else { last };
                assert!(message.contains(word) || message.contains("axes"), "{kind}.{field}: {message}");
            }
        }
    }
    for (kind, entry) in tables::kinds() {
        let mut all = BTreeSet::new();
        readers(inner(entry), "", &mut all);
        for field in all.iter().filter(|field| !is_tested_elsewhere(kind, field)) {
            assert!(
                tested.get(kind).is_some_and(|fields| fields.contains(field.as_str())),
                "{kind}.{field} has no test"
            );
        }
    }
}

fn readers(entries: &[Entry], place: &str, found: &mut BTreeSet<String>) {
    for entry in entries {
        match entry.usage {
            Use::Read => {
                found.insert(format!("{place}{}", entry.name));
            }
            Use::Message(inner) => readers(inner, &format!("{place}{}.", entry.name), found),
            Use::Idle | Use::Only(..) | Use::Never(_) => {}
        }
    }
}

/// A value that a field must not have.
fn misfit(constant: Constant) -> &'static str {
    match constant {
        Constant::False => "true",
        Constant::True => "false",
        Constant::Number(_) => "7",
        Constant::Name("TEST", _) => "TRAIN",
        Constant::Name("LINEAR", _) => "NEAREST",
        Constant::Name(name, _) => panic!("no other value of {name} known"),
    }
}

/// Makes a network with a text in it.
type Build<'a> = dyn Fn(&str) -> Result<(Graph, Storage), String> + 'a;

/// What the field does to the network of `build`, whose argument is the field's text: nothing, or a refusal that names it.
fn check_unread(entry: &Entry, place: &str, build: &Build<'_>) {
    let name = entry.name;
    match entry.usage {
        Use::Idle => {
            for text in [format!("{name}: 1"), format!("{name} {{ }}")] {
                assert_eq!(build(&text), build(""), "{place}{name}");
            }
        }
        Use::Only(constant, _) => {
            let message = build(&format!("{name}: {}", misfit(constant))).unwrap_err();
            assert!(message.contains(&format!("{place}{name} should be")), "{place}{name}: {message}");
        }
        Use::Never(_) => {
            let message = build(&format!("{name} {{ }}")).unwrap_err();
            assert!(message.contains(&format!("{place}{name}: ")), "{place}{name}: {message}");
        }
        Use::Message(entries) => {
            let outer = |text: &str| build(&format!("{name} {{ {text} }}"));
            for inner in entries.iter().filter(|entry| !matches!(entry.usage, Use::Read)) {
                check_unread(inner, &format!("{place}{name}."), &outer);
            }
        }
        Use::Read => {}
    }
}

#[test]
fn every_other_field_changes_nothing_or_is_refused_by_name() {
    for (kind, entry) in tables::kinds() {
        let least = least(kind);
        network(kind, least, "").unwrap_or_else(|error| panic!("{kind}: {error}"));
        for inner in inner(entry).iter().filter(|entry| !matches!(entry.usage, Use::Message(_))) {
            check_unread(inner, &format!("{}.", entry.name), &|text| network(kind, &format!("{least} {text}"), ""));
        }
        // What they choose and name has tests of its own.
        let structure = ["include", "exclude", "param"];
        for common in tables::LAYER.iter().chain(tables::beside(kind)).filter(|entry| !structure.contains(&entry.name))
        {
            check_unread(common, "", &|text| network(kind, least, text));
        }
    }
    for entry in tables::NETWORK.iter().filter(|entry| !["layer", "layers"].contains(&entry.name)) {
        let layer = "layer { name: 'r' type: 'ReLU' bottom: 'data' top: 'r' }";
        let text = |field: &str| format!("input: 'data' input_shape {{ dim: [1, 4] }} {field} {layer}");
        if matches!(entry.usage, Use::Message(_)) && entry.name != "state" {
            continue;
        }
        // The name of a network is kept, and nothing is computed from it.
        let read = |field: &str| read(&text(field), &NetworkOptions::default()).map_err(|error| error.to_string());
        check_unread(entry, "", &|field| {
            read(field).map(|network| (Graph { name: String::new(), ..network.graph }, network.storage))
        });
    }
}

#[test]
fn transforms_are_read_or_refused() {
    let memory =
        |transform: &str| network("MemoryData", least("MemoryData"), &format!("transform_param {{ {transform} }}"));
    for (field, value) in [("scale", "0.5"), ("mean_value", "3"), ("mean_file", "'a.mean'"), ("crop_size", "6")] {
        let changed = memory(&format!("{field}: {value}")).unwrap_or_else(|error| panic!("{field}: {error}"));
        assert_ne!(Ok(changed), memory(""), "{field}");
    }
    assert_eq!(memory("force_color: true"), memory(""));
    let cases = [
        ("crop_size: 5", "crop_size should be the height and width"),
        ("force_gray: true", "force_gray makes 1 channel, its data have 3"),
        ("force_color: true force_gray: true", "exclude each other"),
        ("mean_value: [1, 2]", "mean_value should be there once, or for each of 3 channels, found 2"),
        ("mean_file: 'a' mean_value: 1", "mean_file a and mean_value are both given"),
        ("mean_file: 'a' mean_file: 'b'", "mean_file is there twice"),
    ];
    for (transform, expected) in cases {
        let message = memory(transform).unwrap_err();
        assert!(message.contains(expected), "{transform}: {message}");
    }
    let read = |kind, param: &str, beside: &str| {
        network(kind, param, beside).map(|(graph, _)| graph.inputs[0].transform.clone())
    };
    let both = read("Data", "scale: 0.5", "transform_param { scale: 0.5 }").unwrap_err();
    assert!(both.contains("transform_param.scale and data_param.scale are both given"), "{both}");
    assert_eq!(
        read("Data", "scale: 0.5 mean_file: 'm'", ""),
        read("Data", "", "transform_param { scale: 0.5 mean_file: 'm' }")
    );
    let grey = network("Data", "force_encoded_color: true", "transform_param { force_gray: true }").unwrap_err();
    assert!(grey.contains("exclude each other"), "{grey}");
    let input = network("Input", least("Input"), "transform_param { scale: 0.5 }").unwrap_err();
    assert!(input.contains("transform_param is for layers of type MemoryData, Data or ImageData"), "{input}");
}

#[test]
fn what_no_schema_has_or_says_twice_is_refused() {
    let cases = [
        ("Convolution", "pad_type: 1", "", "convolution_param.pad_type is no field that Caffe"),
        ("Convolution", "weight_filler { mode: 1 }", "", "convolution_param.weight_filler.mode is no field"),
        (
            "Convolution",
            "",
            "pooling_param { }",
            "pooling_param is for layers of type Pooling; a Convolution does not have it",
        ),
        ("Convolution", "", "quantization_param { }", "quantization_param is no field"),
        ("Convolution", "num_output: 4", "", "convolution_param.num_output is there twice"),
        ("Convolution", "", "convolution_param { }", "convolution_param is there twice"),
        ("ReLU", "negative_slope { }", "", "relu_param.negative_slope should be a single value"),
        ("Convolution", "kernel_h: 3 kernel_w: 3", "", "kernel_size stands beside kernel_h or kernel_w"),
        ("Convolution", "stride_h: 2", "", "stride_h and stride_w should both be given"),
        ("Pooling", "global_pooling: true", "", "kernel_size stands beside global_pooling"),
        ("Pooling", "round_mode: CEIL ceil_mode: true", "", "round_mode and ceil_mode say the same"),
        ("Pooling", "round_mode: NEAR", "", "round_mode should be CEIL or FLOOR"),
        ("Concat", "axis: 1 concat_dim: 1", "", "axis and concat_dim say the same"),
        ("Slice", "axis: 1 slice_dim: 1", "", "slice_dim and axis say the same"),
        ("Eltwise", "operation: PROD coeff: [1, 2]", "", "coeff is for operation SUM alone"),
        (
            "BatchNorm",
            "use_global_stats: false",
            "",
            "use_global_stats should be true, found false: Caffe then normalises",
        ),
    ];
    for (kind, param, beside, expected) in cases {
        let message = network(kind, &format!("{} {param}", least(kind)), beside).unwrap_err();
        assert!(message.contains(expected) && message.contains("layer l"), "{kind}: {message}");
    }
    let relu = |text: &str| {
        let text = format!("input: 'data' input_shape {{ dim: [1, 4] }} {text}");
        read(&text, &NetworkOptions::default()).map(|_| ()).map_err(|error| error.to_string())
    };
    let layer = "layer { name: 'r' type: 'ReLU' bottom: 'data' top: 'r' }";
    let cases = [
        (format!("{layer} solver_mode: GPU"), "solver_mode is no field"),
        (format!("{layer} state {{ level: 1 }}"), "state.level should be 0, found 1"),
        (format!("input_dim: [1, 4, 1, 1] {layer}"), "1 input_shape and 4 input_dim"),
        (format!("input: 'other' {layer}"), "2 input should have one input_shape"),
        (format!("{layer} {}", layer.replacen("layer", "layers", 1)), "layer and layers are both there"),
        (
            "layers { layer { name: 'ip' type: 'innerproduct' num_output: 3 } bottom: 'data' top: 'ip' }".to_owned(),
            "the format of 2013 (V0)",
        ),
        (layer.replace("top", "relu_param: 1 top"), "relu_param should be a message in braces"),
        (
            layer.replace("top", "include { phase: TEST } exclude { phase: TRAIN } top"),
            "include and exclude are both given",
        ),
        (layer.replace("top", "include { phase: LATER } top"), "phase should be TRAIN or TEST"),
    ];
    for (text, expected) in cases {
        let message = relu(&text).unwrap_err();
        assert!(message.contains(expected), "{text}: {message}");
    }
}

#[test]
fn stages_choose_layers_as_the_networks_state_says() {
    let nodes = |state: &str, rule: &str| {
        let text = format!(
            "input: 'data' input_shape {{ dim: [1, 4] }} state {{ {state} }}
             layer {{ name: 'r' type: 'ReLU' bottom: 'data' top: 'r' {rule} }}
             layer {{ name: 't' type: 'TanH' bottom: 'data' top: 't' }}"
        );
        read(&text, &NetworkOptions::default()).unwrap().graph.nodes.len()
    };
    let cases = [
        ("", "include { stage: 'deploy' }", 1),
        ("stage: 'deploy'", "include { stage: 'deploy' }", 2),
        ("stage: 'deploy'", "include { stage: 'deploy' stage: 'b' }", 1),
        ("stage: 'deploy'", "include { not_stage: 'deploy' }", 1),
        ("stage: 'deploy'", "exclude { stage: 'deploy' }", 1),
        ("", "exclude { not_stage: 'deploy' }", 1),
        ("stage: 'deploy'", "exclude { not_stage: 'deploy' }", 2),
    ];
    for (state, rule, expected) in cases {
        assert_eq!(nodes(state, rule), expected, "{state} {rule}");
    }
}
