//! Tensors as JSON: shape, and values under the name of their type; they come back bit by bit.
//!
//! It must not know what a tensor means.

use dede_model::tensor::{Floats, NamedTensor, ShapeMismatch, Tensor, Values};
use half::{bf16, f16};
use serde::{Deserialize, Serialize};

use super::numbers::{Exact, exact, plain};

/// Numbers with single precision, one row for each item.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(into = "FloatsText", try_from = "FloatsText")]
pub(super) struct WrittenFloats(pub(super) Floats);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FloatsText {
    shape: Vec<usize>,
    values: Vec<Exact<f32>>,
}

impl From<WrittenFloats> for FloatsText {
    fn from(written: WrittenFloats) -> Self {
        Self { shape: written.0.shape().to_vec(), values: exact(written.0.into_values()) }
    }
}

impl TryFrom<FloatsText> for WrittenFloats {
    type Error = ShapeMismatch;

    fn try_from(text: FloatsText) -> Result<Self, ShapeMismatch> {
        Floats::new(text.shape, plain(text.values)).map(Self)
    }
}

/// A tensor under its name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(into = "TensorText", try_from = "TensorText")]
pub(super) struct WrittenTensor(pub(super) NamedTensor);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TensorText {
    name: String,
    shape: Vec<usize>,
    values: ValuesText,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ValuesText {
    Fp16(Vec<Exact<f16>>),
    Bf16(Vec<Exact<bf16>>),
    Fp32(Vec<Exact<f32>>),
    Fp64(Vec<Exact<f64>>),
    Int8(Vec<i8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Uint8(Vec<u8>),
    Uint16(Vec<u16>),
    Uint32(Vec<u32>),
    Uint64(Vec<u64>),
    Bool(Vec<bool>),
    /// In hex.
    Bytes(Vec<String>),
}

impl From<WrittenTensor> for TensorText {
    fn from(written: WrittenTensor) -> Self {
        let NamedTensor { name, tensor } = written.0;
        let (shape, values) = tensor.into_parts();
        Self { name, shape, values: values.into() }
    }
}

impl TryFrom<TensorText> for WrittenTensor {
    type Error = String;

    fn try_from(text: TensorText) -> Result<Self, String> {
        let tensor = Tensor::new(text.shape, text.values.try_into()?).map_err(|error| error.to_string())?;
        Ok(Self(NamedTensor { name: text.name, tensor }))
    }
}

impl From<Values> for ValuesText {
    fn from(values: Values) -> Self {
        match values {
            Values::F16(values) => Self::Fp16(exact(values)),
            Values::Bf16(values) => Self::Bf16(exact(values)),
            Values::F32(values) => Self::Fp32(exact(values)),
            Values::F64(values) => Self::Fp64(exact(values)),
            Values::I8(values) => Self::Int8(values),
            Values::I16(values) => Self::Int16(values),
            Values::I32(values) => Self::Int32(values),
            Values::I64(values) => Self::Int64(values),
            Values::U8(values) => Self::Uint8(values),
            Values::U16(values) => Self::Uint16(values),
            Values::U32(values) => Self::Uint32(values),
            Values::U64(values) => Self::Uint64(values),
            Values::Bool(values) => Self::Bool(values),
            Values::Bytes(values) => Self::Bytes(values.into_iter().map(hex::encode).collect()),
        }
    }
}

impl TryFrom<ValuesText> for Values {
    type Error = String;

    fn try_from(text: ValuesText) -> Result<Self, String> {
        Ok(match text {
            ValuesText::Fp16(values) => Self::F16(plain(values)),
            ValuesText::Bf16(values) => Self::Bf16(plain(values)),
            ValuesText::Fp32(values) => Self::F32(plain(values)),
            ValuesText::Fp64(values) => Self::F64(plain(values)),
            ValuesText::Int8(values) => Self::I8(values),
            ValuesText::Int16(values) => Self::I16(values),
            ValuesText::Int32(values) => Self::I32(values),
            ValuesText::Int64(values) => Self::I64(values),
            ValuesText::Uint8(values) => Self::U8(values),
            ValuesText::Uint16(values) => Self::U16(values),
            ValuesText::Uint32(values) => Self::U32(values),
            ValuesText::Uint64(values) => Self::U64(values),
            ValuesText::Bool(values) => Self::Bool(values),
            ValuesText::Bytes(values) => {
                let bytes =
                    |text: String| hex::decode(&text).map_err(|_| format!("bytes in hex expected, found {text:?}"));
                Self::Bytes(values.into_iter().map(bytes).collect::<Result<_, _>>()?)
            }
        })
    }
}
