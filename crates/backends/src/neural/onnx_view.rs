//! A read-only look into ONNX bytes without copying weights: nodes, names, types, external files.
//!
//! It owns the field numbers of `onnx.proto` (<https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>) that are asked for here
//! and refuses what no honest file contains (graphs nested without end), so that engines never see it. It must not know
//! engines, nor what an operator computes.

mod graph;
mod numbers;
mod unique;
mod wire;

pub use graph::{AttributeView, Dimension, FunctionView, GraphView, NodeView, TensorView, ValueView};
pub use wire::WireError;

use dede_model::tensor;
use wire::{Field, fields};

/// First version of the standard operator set whose Softmax knows one axis only; before, it takes all from that axis on.
pub const SOFTMAX_OF_ONE_AXIS: i64 = 13;

/// Element types of `TensorProto.DataType` that are told apart here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElementType {
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
    /// 16-bit float.
    F16,
    /// bfloat16.
    Bf16,
    /// Unsigned bytes.
    U8,
    /// Signed bytes.
    I8,
    /// 32-bit integers.
    I32,
    /// 64-bit integers.
    I64,
    /// Truth values.
    Bool,
    /// Any other, by its number in the format.
    Other(i64),
}

impl ElementType {
    /// From its number in `TensorProto.DataType`.
    pub fn from_code(code: i64) -> Self {
        match code {
            1 => Self::F32,
            2 => Self::U8,
            3 => Self::I8,
            6 => Self::I32,
            7 => Self::I64,
            9 => Self::Bool,
            10 => Self::F16,
            11 => Self::F64,
            16 => Self::Bf16,
            other => Self::Other(other),
        }
    }

    /// The same type of a tensor that crosses an engine; `None` for those that none crosses with.
    pub fn of_tensors(self) -> Option<tensor::ElementType> {
        use tensor::ElementType as Crossing;
        Some(match self {
            Self::F32 => Crossing::F32,
            Self::F64 => Crossing::F64,
            Self::F16 => Crossing::F16,
            Self::Bf16 => Crossing::Bf16,
            Self::U8 => Crossing::U8,
            Self::I8 => Crossing::I8,
            Self::I32 => Crossing::I32,
            Self::I64 => Crossing::I64,
            Self::Bool => Crossing::Bool,
            Self::Other(4) => Crossing::U16,
            Self::Other(5) => Crossing::I16,
            Self::Other(8) => Crossing::Bytes,
            Self::Other(12) => Crossing::U32,
            Self::Other(13) => Crossing::U64,
            Self::Other(_) => return None,
        })
    }
}

/// One ONNX model, borrowed from its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct OnnxView<'a> {
    /// `(domain, version)` of every operator set; the standard one has an empty domain.
    pub opsets: Vec<(&'a str, i64)>,
    /// The main graph.
    pub graph: GraphView<'a>,
    /// Operators that the model defines itself.
    pub functions: Vec<FunctionView<'a>>,
}

impl<'a> OnnxView<'a> {
    /// Reads a serialised `ModelProto`.
    ///
    /// # Errors
    /// [`WireError`] when the bytes are cut short, are no ONNX model, or nest deeper than any real network.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut opsets = Vec::new();
        let mut graph = GraphView::default();
        let mut functions = Vec::new();
        for field in fields(bytes) {
            match field? {
                (7, Field::Bytes(body)) => graph.merge(GraphView::parse(body, 0)?),
                (8, Field::Bytes(body)) => opsets.push(opset(body)?),
                (25, Field::Bytes(body)) => functions.push(FunctionView::parse(body)?),
                _ => {}
            }
        }
        if graph.nodes.is_empty() && graph.outputs.is_empty() {
            return Err(WireError::NoGraph);
        }
        unique::check(&graph)?;
        functions.iter().try_for_each(|function| unique::check(&function.graph))?;
        Ok(Self { opsets, graph, functions })
    }

    /// Version of the standard operator set.
    pub fn opset(&self) -> Option<i64> {
        self.opsets.iter().find(|(domain, _)| domain.is_empty() || *domain == "ai.onnx").map(|(_, version)| *version)
    }
}

fn opset(bytes: &[u8]) -> Result<(&str, i64), WireError> {
    let (mut domain, mut version) = ("", 0);
    for field in fields(bytes) {
        match field? {
            (1, Field::Bytes(text)) => domain = wire::text(text)?,
            (2, Field::Integer(value)) => version = value,
            _ => {}
        }
    }
    Ok((domain, version))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `ModelProto{graph{attribute graphs nested `depth` times}}`.
    fn nested(depth: usize) -> Vec<u8> {
        let mut graph = wire::message(1, &wire::message(4, b"Relu"));
        for _ in 0..depth {
            let attribute = wire::message(6, &graph);
            graph = wire::message(1, &wire::message(5, &attribute));
        }
        wire::message(7, &graph)
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(OnnxView::parse(&nested(3)).is_ok());
        assert_eq!(OnnxView::parse(&nested(500)), Err(WireError::TooDeep));
    }

    #[test]
    fn a_value_is_made_once() {
        let node = |output: &[u8], name: &[u8]| {
            wire::message(1, &[wire::message(2, output), wire::message(3, name), wire::message(4, b"Relu")].concat())
        };
        let named = |number: u64, field: u64| wire::message(number, &wire::message(field, b"y"));
        let inner = |graph: &[u8]| wire::message(1, &wire::message(5, &wire::message(6, graph)));
        let twice = [node(b"y", b"first"), node(b"z", b"other"), node(b"y", b"second")].concat();
        let cases = [
            (wire::message(7, &twice), Some(["y", "node first", "node second"])),
            (
                [wire::message(7, &node(b"y", b"a")), wire::message(7, &node(b"y", b"b"))].concat(),
                Some(["y", "node a", "node b"]),
            ),
            (wire::message(7, &inner(&twice)), Some(["y", "node first", "node second"])),
            (wire::message(7, &[named(11, 1), node(b"y", b"a")].concat()), Some(["y", "an input", "node a"])),
            (wire::message(7, &[named(5, 8), node(b"y", b"a")].concat()), Some(["y", "a constant", "node a"])),
            (wire::message(7, &[named(11, 1), named(5, 8), node(b"z", b"a")].concat()), None),
            (wire::message(7, &[node(b"", b"a"), node(b"", b"b")].concat()), None),
        ];
        for (bytes, expected) in cases {
            match (OnnxView::parse(&bytes), expected) {
                (Ok(_), None) => {}
                (Err(error), Some(parts)) => {
                    let text = error.to_string();
                    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
                }
                (found, expected) => panic!("expected {expected:?}, found {found:?}"),
            }
        }
        let long = [node(&[b'y'; 9999], &[b'a'; 9999]), node(&[b'y'; 9999], &[b'b'; 9999])].concat();
        let text = OnnxView::parse(&wire::message(7, &long)).expect_err("made twice").to_string();
        assert!(text.len() < 400, "{text}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = OnnxView::parse(&bytes);
        }

        #[test]
        fn a_truncated_model_never_panics(cut in 0usize..1000) {
            let model = nested(20);
            let _ = OnnxView::parse(&model[..cut.min(model.len())]);
        }
    }
}
