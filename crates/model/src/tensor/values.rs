//! The values of a tensor, by the type of its elements.

use std::ops::Range;

use half::{bf16, f16};

use super::ElementType;

/// Row-major values.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Floats of 16 bits.
    F16(Vec<f16>),
    /// Upper halves of 32-bit floats.
    Bf16(Vec<bf16>),
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit floats.
    F64(Vec<f64>),
    /// Signed bytes.
    I8(Vec<i8>),
    /// Signed 16-bit integers.
    I16(Vec<i16>),
    /// Signed 32-bit integers.
    I32(Vec<i32>),
    /// Signed 64-bit integers.
    I64(Vec<i64>),
    /// Unsigned bytes.
    U8(Vec<u8>),
    /// Unsigned 16-bit integers.
    U16(Vec<u16>),
    /// Unsigned 32-bit integers.
    U32(Vec<u32>),
    /// Unsigned 64-bit integers.
    U64(Vec<u64>),
    /// Truth values.
    Bool(Vec<bool>),
    /// Byte strings.
    Bytes(Vec<Vec<u8>>),
}

impl Values {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::F16(values) => values.len(),
            Self::Bf16(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::I8(values) => values.len(),
            Self::I16(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::U8(values) => values.len(),
            Self::U16(values) => values.len(),
            Self::U32(values) => values.len(),
            Self::U64(values) => values.len(),
            Self::Bool(values) => values.len(),
            Self::Bytes(values) => values.len(),
        }
    }

    /// True without values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Their type.
    pub fn element(&self) -> ElementType {
        match self {
            Self::F16(_) => ElementType::F16,
            Self::Bf16(_) => ElementType::Bf16,
            Self::F32(_) => ElementType::F32,
            Self::F64(_) => ElementType::F64,
            Self::I8(_) => ElementType::I8,
            Self::I16(_) => ElementType::I16,
            Self::I32(_) => ElementType::I32,
            Self::I64(_) => ElementType::I64,
            Self::U8(_) => ElementType::U8,
            Self::U16(_) => ElementType::U16,
            Self::U32(_) => ElementType::U32,
            Self::U64(_) => ElementType::U64,
            Self::Bool(_) => ElementType::Bool,
            Self::Bytes(_) => ElementType::Bytes,
        }
    }

    /// Memory that they take, bytes.
    pub fn bytes(&self) -> u64 {
        let of_each = match self {
            Self::Bool(_) | Self::I8(_) | Self::U8(_) => 1,
            Self::F16(_) | Self::Bf16(_) | Self::I16(_) | Self::U16(_) => 2,
            Self::F32(_) | Self::I32(_) | Self::U32(_) => 4,
            Self::F64(_) | Self::I64(_) | Self::U64(_) => 8,
            Self::Bytes(texts) => {
                return texts.iter().map(|text| (text.len() + size_of::<Vec<u8>>()) as u64).sum();
            }
        };
        (self.len() as u64).saturating_mul(of_each)
    }

    /// Those of a range.
    ///
    /// # Panics
    /// When the range is beyond the end.
    pub fn part(&self, range: Range<usize>) -> Self {
        match self {
            Self::F16(values) => Self::F16(values[range].to_vec()),
            Self::Bf16(values) => Self::Bf16(values[range].to_vec()),
            Self::F32(values) => Self::F32(values[range].to_vec()),
            Self::F64(values) => Self::F64(values[range].to_vec()),
            Self::I8(values) => Self::I8(values[range].to_vec()),
            Self::I16(values) => Self::I16(values[range].to_vec()),
            Self::I32(values) => Self::I32(values[range].to_vec()),
            Self::I64(values) => Self::I64(values[range].to_vec()),
            Self::U8(values) => Self::U8(values[range].to_vec()),
            Self::U16(values) => Self::U16(values[range].to_vec()),
            Self::U32(values) => Self::U32(values[range].to_vec()),
            Self::U64(values) => Self::U64(values[range].to_vec()),
            Self::Bool(values) => Self::Bool(values[range].to_vec()),
            Self::Bytes(values) => Self::Bytes(values[range].to_vec()),
        }
    }

    /// The nearest 32-bit floats; `None` for byte strings.
    pub(super) fn into_floats(self) -> Option<Vec<f32>> {
        Some(match self {
            Self::F16(values) => values.into_iter().map(f16::to_f32).collect(),
            Self::Bf16(values) => values.into_iter().map(bf16::to_f32).collect(),
            Self::F32(values) => values,
            Self::F64(values) => values.into_iter().map(|value| value as f32).collect(),
            Self::I8(values) => values.into_iter().map(f32::from).collect(),
            Self::I16(values) => values.into_iter().map(f32::from).collect(),
            Self::I32(values) => values.into_iter().map(|value| value as f32).collect(),
            Self::I64(values) => values.into_iter().map(|value| value as f32).collect(),
            Self::U8(values) => values.into_iter().map(f32::from).collect(),
            Self::U16(values) => values.into_iter().map(f32::from).collect(),
            Self::U32(values) => values.into_iter().map(|value| value as f32).collect(),
            Self::U64(values) => values.into_iter().map(|value| value as f32).collect(),
            Self::Bool(values) => values.into_iter().map(|value| f32::from(u8::from(value))).collect(),
            Self::Bytes(_) => return None,
        })
    }
}
