//! ONNX files made of nodes and constants, also of those that no tool writes.

use dede_testing::protobuf::{bytes, number};

pub(super) const FLOAT: u64 = 1;
pub(super) const INT64: u64 = 7;
pub(super) const BOOL: u64 = 9;

/// The operator set of functions.
const OWN_DOMAIN: &[u8] = b"own";

/// An attribute of a node.
pub(super) enum Attribute {
    Ints(Vec<u64>),
    Int(u64),
    Text(&'static str),
    Graph(Vec<u8>),
}

fn attribute(name: &str, value: &Attribute) -> Vec<u8> {
    let (kind, value) = match value {
        Attribute::Int(value) => (2, number(3, *value)),
        Attribute::Text(text) => (3, bytes(4, text.as_bytes())),
        Attribute::Graph(graph) => (5, bytes(6, graph)),
        Attribute::Ints(values) => (7, values.iter().flat_map(|value| number(8, *value)).collect()),
    };
    bytes(5, &[bytes(1, name.as_bytes()), value, number(20, kind)].concat())
}

pub(super) fn node(kind: &str, inputs: &[&str], outputs: &[&str], attributes: &[(&str, Attribute)]) -> Vec<u8> {
    let inputs = inputs.iter().flat_map(|name| bytes(1, name.as_bytes()));
    let outputs = outputs.iter().flat_map(|name| bytes(2, name.as_bytes()));
    let attributes = attributes.iter().flat_map(|(name, value)| attribute(name, value));
    let content: Vec<u8> = inputs.chain(outputs).chain(bytes(4, kind.as_bytes())).chain(attributes).collect();
    bytes(1, &content)
}

/// A call of a function of the model's own.
pub(super) fn call(function: &str, inputs: &[&str], outputs: &[&str]) -> Vec<u8> {
    let inputs = inputs.iter().flat_map(|name| bytes(1, name.as_bytes()));
    let outputs = outputs.iter().flat_map(|name| bytes(2, name.as_bytes()));
    let ends = [bytes(4, function.as_bytes()), bytes(7, OWN_DOMAIN)].concat();
    bytes(1, &inputs.chain(outputs).chain(ends).collect::<Vec<u8>>())
}

/// The same model with a function of its own.
pub(super) fn with_function(model: &[u8], name: &str, inputs: &[&str], outputs: &[&str], nodes: &[Vec<u8>]) -> Vec<u8> {
    let inputs = inputs.iter().flat_map(|name| bytes(4, name.as_bytes()));
    let outputs = outputs.iter().flat_map(|name| bytes(5, name.as_bytes()));
    // The same messages, in field 7 where a graph has them in field 1.
    let nodes = nodes.iter().flat_map(|node| [&[7 << 3 | 2], &node[1..]].concat());
    let content = bytes(1, name.as_bytes()).into_iter().chain(inputs).chain(outputs).chain(nodes);
    let standard = bytes(9, &number(2, 17));
    let function: Vec<u8> = content.chain(standard).chain(bytes(10, OWN_DOMAIN)).collect();
    let import = bytes(8, &[bytes(1, OWN_DOMAIN), number(2, 1)].concat());
    [model, &import, &bytes(25, &function)].concat()
}

/// A constant of 64-bit numbers.
pub(super) fn numbers(name: &str, values: &[i64], is_scalar: bool) -> Vec<u8> {
    let dims = if is_scalar { Vec::new() } else { number(1, values.len() as u64) };
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    bytes(5, &[dims, number(2, INT64), bytes(8, name.as_bytes()), bytes(9, &raw)].concat())
}

/// A constant of floats, with any dimensions.
pub(super) fn floats(name: &str, dims: &[u64], values: &[f32]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|dim| number(1, *dim)).collect();
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    bytes(5, &[dims, number(2, FLOAT), bytes(8, name.as_bytes()), bytes(9, &raw)].concat())
}

/// An input (11) or output (12); an extent of 0 is any.
pub(super) fn value(field: u64, name: &str, kind: u64, dims: &[u64]) -> Vec<u8> {
    let dim = |extent: &u64| bytes(1, &if *extent == 0 { bytes(2, b"n") } else { number(1, *extent) });
    let shape: Vec<u8> = dims.iter().flat_map(dim).collect();
    let tensor = bytes(1, &[number(1, kind), bytes(2, &shape)].concat());
    bytes(field, &[bytes(1, name.as_bytes()), bytes(2, &tensor)].concat())
}

/// A model with `x` of these dimensions as input and `y` of as many classes as output.
pub(super) fn model(input: &[u64], parts: &[Vec<u8>]) -> Vec<u8> {
    let ends = [value(11, "x", FLOAT, input), value(12, "y", FLOAT, &[0, 4])];
    let graph = [bytes(2, b"graph"), parts.concat(), ends.concat()].concat();
    [number(1, 8), bytes(8, &number(2, 17)), bytes(7, &graph)].concat()
}

/// A loop of `x`, which goes on by `condition`, made of `c` and of what goes around, `v`.
pub(super) fn looping(rounds: &str, before: &[Vec<u8>], condition: &[Vec<u8>]) -> Vec<u8> {
    let body = [
        bytes(2, b"body"),
        condition.concat(),
        node("Add", &["v", "v"], &["v2"], &[]),
        value(11, "i", INT64, &[]),
        value(11, "c", BOOL, &[]),
        value(11, "v", FLOAT, &[0, 4]),
        value(12, "c2", BOOL, &[]),
        value(12, "v2", FLOAT, &[0, 4]),
    ]
    .concat();
    let looping = node("Loop", &[rounds, "", "x"], &["y"], &[("body", Attribute::Graph(body))]);
    model(&[0, 4], &[before, &[looping]].concat())
}
