//! Field numbers of ONNX messages and the writing of tensors, operators and values. It owns the format alone.

use crate::operators::{Attribute, ElementType, Operator};
use crate::wire::Writer;

/// `ModelProto`.
pub(super) mod model {
    pub(in crate::onnx) const IR_VERSION: u64 = 1;
    pub(in crate::onnx) const PRODUCER_NAME: u64 = 2;
    pub(in crate::onnx) const GRAPH: u64 = 7;
    pub(in crate::onnx) const OPSET_IMPORT: u64 = 8;
    pub(in crate::onnx) const METADATA_PROPS: u64 = 14;
    pub(in crate::onnx) const FUNCTIONS: u64 = 25;
}

/// `GraphProto`.
pub(super) mod graph {
    pub(in crate::onnx) const NODE: u64 = 1;
    pub(in crate::onnx) const NAME: u64 = 2;
    pub(in crate::onnx) const INITIALIZER: u64 = 5;
    pub(in crate::onnx) const INPUT: u64 = 11;
    pub(in crate::onnx) const OUTPUT: u64 = 12;
    pub(in crate::onnx) const VALUE_INFO: u64 = 13;
    pub(in crate::onnx) const SPARSE_INITIALIZER: u64 = 15;
}

/// `NodeProto`.
pub(super) mod node {
    pub(in crate::onnx) const INPUT: u64 = 1;
    pub(in crate::onnx) const OUTPUT: u64 = 2;
    pub(in crate::onnx) const NAME: u64 = 3;
    pub(in crate::onnx) const OP_TYPE: u64 = 4;
    pub(in crate::onnx) const ATTRIBUTE: u64 = 5;
    pub(in crate::onnx) const DOMAIN: u64 = 7;
}

/// `AttributeProto`.
pub(super) mod attribute {
    pub(in crate::onnx) const NAME: u64 = 1;
    pub(in crate::onnx) const F: u64 = 2;
    pub(in crate::onnx) const I: u64 = 3;
    pub(in crate::onnx) const S: u64 = 4;
    pub(in crate::onnx) const T: u64 = 5;
    pub(in crate::onnx) const G: u64 = 6;
    pub(in crate::onnx) const INTS: u64 = 8;
    pub(in crate::onnx) const TENSORS: u64 = 10;
    pub(in crate::onnx) const GRAPHS: u64 = 11;
    pub(in crate::onnx) const TYPE: u64 = 20;
}

/// `TensorProto`.
pub(super) mod tensor {
    pub(in crate::onnx) const DIMS: u64 = 1;
    pub(in crate::onnx) const DATA_TYPE: u64 = 2;
    pub(in crate::onnx) const FLOAT_DATA: u64 = 4;
    pub(in crate::onnx) const NAME: u64 = 8;
    pub(in crate::onnx) const RAW_DATA: u64 = 9;
    pub(in crate::onnx) const EXTERNAL_DATA: u64 = 13;
    pub(in crate::onnx) const DATA_LOCATION: u64 = 14;
}

/// `FunctionProto.node`.
pub(super) const FUNCTION_NODE: u64 = 7;
/// First and second field of `StringStringEntryProto`, `OperatorSetIdProto` and `ValueInfoProto`.
pub(super) const FIRST: u64 = 1;
/// See [`FIRST`].
pub(super) const SECOND: u64 = 2;
/// `TensorProto.DataType.FLOAT`.
pub(super) const FLOAT: i64 = 1;
/// `TensorProto.DataType.INT64`.
pub(super) const INT64: i64 = 7;

impl Operator {
    pub(super) fn write(&self, writer: &mut Writer) {
        for input in &self.inputs {
            writer.bytes(node::INPUT, input.as_bytes());
        }
        for output in &self.outputs {
            writer.bytes(node::OUTPUT, output.as_bytes());
        }
        writer.bytes(node::NAME, self.name.as_bytes());
        writer.bytes(node::OP_TYPE, self.kind.as_bytes());
        for (name, value) in &self.attributes {
            writer.message(node::ATTRIBUTE, |writer| value.write(writer, name));
        }
    }
}

impl Attribute {
    /// `AttributeProto`.
    pub(super) fn write(&self, writer: &mut Writer, name: &str) {
        writer.bytes(attribute::NAME, name.as_bytes());
        match self {
            Self::Float(value) => {
                writer.float(attribute::F, *value);
                writer.integer(attribute::TYPE, 1);
            }
            Self::Int(value) => {
                writer.integer(attribute::I, *value);
                writer.integer(attribute::TYPE, 2);
            }
            Self::Text(value) => {
                writer.bytes(attribute::S, value.as_bytes());
                writer.integer(attribute::TYPE, 3);
            }
            Self::Ints(values) => {
                values.iter().for_each(|&value| writer.integer(attribute::INTS, value));
                writer.integer(attribute::TYPE, 7);
            }
        }
    }
}

/// Writes a tensor of floats.
pub(super) fn write_floats(writer: &mut Writer, name: &str, dims: &[usize], values: &[f32]) {
    dims.iter().for_each(|&dim| writer.integer(tensor::DIMS, dim as i64));
    writer.integer(tensor::DATA_TYPE, FLOAT);
    writer.bytes(tensor::NAME, name.as_bytes());
    writer.floats(tensor::RAW_DATA, values);
}

/// Writes a one-dimensional tensor of integers.
pub(super) fn write_integers(writer: &mut Writer, name: &str, values: &[i64]) {
    writer.integer(tensor::DIMS, values.len() as i64);
    writer.integer(tensor::DATA_TYPE, INT64);
    writer.bytes(tensor::NAME, name.as_bytes());
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    writer.bytes(tensor::RAW_DATA, &bytes);
}

/// Writes a float value's name and shape; `batch` is the first extent, free when `None`.
pub(super) fn write_value(writer: &mut Writer, name: &str, batch: Option<usize>, dims: &[usize]) {
    writer.bytes(FIRST, name.as_bytes());
    writer.message(SECOND, |writer| {
        writer.message(1, |writer| {
            writer.integer(1, FLOAT);
            writer.message(2, |writer| {
                writer.message(1, |writer| match batch {
                    Some(batch) => writer.integer(1, batch as i64),
                    None => writer.bytes(2, b"batch"),
                });
                for &dim in dims {
                    writer.message(1, |writer| writer.integer(1, dim as i64));
                }
            });
        });
    });
}

/// Writes the name and type of a value of one axis with a free extent.
pub(super) fn write_row(writer: &mut Writer, name: &str, element: ElementType) {
    writer.bytes(FIRST, name.as_bytes());
    writer.message(SECOND, |writer| {
        writer.message(1, |writer| {
            let code = match element {
                ElementType::Float => FLOAT,
                ElementType::Integer => INT64,
            };
            writer.integer(1, code);
            // The extent has no number and its name is that of the value: no other one is the same.
            writer.message(2, |writer| writer.message(1, |writer| writer.bytes(2, name.as_bytes())));
        });
    });
}
