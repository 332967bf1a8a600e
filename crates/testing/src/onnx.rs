//! Writes small ONNX files for tests, field by field (<https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>).
//!
//! It must not know how such files are read: it writes wrong ones, too.

use crate::protobuf::{bytes, number, varint};

/// Element type of 32-bit floats.
pub const F32: u64 = 1;
/// Element type of unsigned bytes.
pub const U8: u64 = 2;
/// Element type of signed bytes.
pub const I8: u64 = 3;
/// Element type of signed 64-bit integers.
pub const I64: u64 = 7;
/// Element type of truth values.
pub const BOOL: u64 = 9;
/// Element type of 16-bit floats of IEEE 754.
pub const F16: u64 = 10;
/// Element type of 64-bit floats.
pub const F64: u64 = 11;
/// Element type of upper halves of 32-bit floats.
pub const BF16: u64 = 16;

/// One attribute of a node.
pub enum Attribute<'a> {
    /// A whole number.
    Int(i64),
    /// Several of them.
    Ints(&'a [i64]),
    /// A number.
    Float(f32),
    /// A text.
    Text(&'a str),
    /// A tensor of one number.
    Long(i64),
    /// A graph without inputs.
    Graph(&'a Onnx),
}

fn attribute(name: &str, value: &Attribute<'_>) -> Vec<u8> {
    let (kind, body) = match value {
        Attribute::Float(value) => (1, [varint(2 << 3 | 5), value.to_le_bytes().to_vec()].concat()),
        Attribute::Int(value) => (2, number(3, *value as u64)),
        Attribute::Text(text) => (3, bytes(4, text.as_bytes())),
        Attribute::Long(value) => {
            (4, bytes(5, &[number(2, I64), bytes(9, &value.to_le_bytes()), number(1, 1)].concat()))
        }
        Attribute::Graph(onnx) => (5, bytes(6, &onnx.graph)),
        Attribute::Ints(values) => (7, values.iter().flat_map(|value| number(8, *value as u64)).collect()),
    };
    [bytes(1, name.as_bytes()), body, number(20, kind)].concat()
}

/// A model under construction.
#[derive(Default, Clone)]
pub struct Onnx {
    graph: Vec<u8>,
    opset: u64,
    nodes: usize,
}

impl Onnx {
    /// An empty graph of that operator set.
    pub fn new(opset: u64) -> Self {
        Self { graph: bytes(2, b"test"), opset, nodes: 0 }
    }

    fn value(mut self, field: u64, name: &str, element: u64, dims: &[i64]) -> Self {
        let dims = dims.iter().flat_map(|&size| {
            let size = if size < 0 { bytes(2, b"batch") } else { number(1, size as u64) };
            bytes(1, &size)
        });
        let shape = bytes(2, &dims.collect::<Vec<u8>>());
        let kind = bytes(1, &[number(1, element), shape].concat());
        self.graph.extend(bytes(field, &[bytes(1, name.as_bytes()), bytes(2, &kind)].concat()));
        self
    }

    /// An input of that element type; a negative size is decided at run time.
    pub fn input(self, name: &str, element: u64, dims: &[i64]) -> Self {
        self.value(11, name, element, dims)
    }

    /// An output of that element type, its sizes as those of an input.
    pub fn output(self, name: &str, element: u64, dims: &[i64]) -> Self {
        self.value(12, name, element, dims)
    }

    /// An output whose type the file does not say.
    pub fn untyped_output(mut self, name: &str) -> Self {
        self.graph.extend(bytes(12, &bytes(1, name.as_bytes())));
        self
    }

    /// A constant of 32-bit floats.
    pub fn floats(self, name: &str, dims: &[i64], values: &[f32]) -> Self {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.raw(name, F32, dims, &raw)
    }

    /// A constant of 64-bit integers.
    pub fn longs(self, name: &str, dims: &[i64], values: &[i64]) -> Self {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.raw(name, I64, dims, &raw)
    }

    /// A constant of any element type, its values as bytes.
    pub fn raw(mut self, name: &str, element: u64, dims: &[i64], raw: &[u8]) -> Self {
        let dims: Vec<u8> = dims.iter().flat_map(|&size| number(1, size as u64)).collect();
        let tensor = [dims, number(2, element), bytes(8, name.as_bytes()), bytes(9, raw)].concat();
        self.graph.extend(bytes(5, &tensor));
        self
    }

    /// A tensor of floats that is the whole content of the file `location` beside the model.
    pub fn external(self, name: &str, lengths: &[i64], location: &str) -> Self {
        let length = (4 * lengths.iter().product::<i64>()).to_string();
        self.external_with(name, lengths, &[("location", location), ("offset", "0"), ("length", &length)])
    }

    /// The same with those entries and no others.
    pub fn external_with(mut self, name: &str, lengths: &[i64], entries: &[(&str, &str)]) -> Self {
        let dims: Vec<u8> = lengths.iter().flat_map(|&size| number(1, size as u64)).collect();
        let entry =
            |(key, value): &(&str, &str)| bytes(13, &[bytes(1, key.as_bytes()), bytes(2, value.as_bytes())].concat());
        let entries: Vec<u8> = entries.iter().flat_map(entry).collect();
        let tensor = [dims, number(2, F32), bytes(8, name.as_bytes()), entries, number(14, 1)].concat();
        self.graph.extend(bytes(5, &tensor));
        self
    }

    /// A node, named after its operator and place.
    pub fn node(mut self, op: &str, inputs: &[&str], outputs: &[&str], attributes: &[(&str, Attribute<'_>)]) -> Self {
        let name = format!("{op}_{}", self.nodes);
        self.nodes += 1;
        self.named_node(&name, op, inputs, outputs, attributes)
    }

    /// A node of that name, which may be empty.
    pub fn named_node(
        mut self,
        name: &str,
        op: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, Attribute<'_>)],
    ) -> Self {
        let mut node = Vec::new();
        inputs.iter().for_each(|input| node.extend(bytes(1, input.as_bytes())));
        outputs.iter().for_each(|output| node.extend(bytes(2, output.as_bytes())));
        node.extend(bytes(3, name.as_bytes()));
        node.extend(bytes(4, op.as_bytes()));
        attributes.iter().for_each(|(name, value)| node.extend(bytes(5, &attribute(name, value))));
        self.graph.extend(bytes(1, &node));
        self
    }

    /// The bytes of the file.
    pub fn build(&self) -> Vec<u8> {
        let opset = number(2, self.opset);
        [number(1, 8), bytes(7, &self.graph), bytes(8, &opset)].concat()
    }
}
