//! A blob of Caffe's binary files (`BlobProto`): its extents and its numbers in every form that Caffe and NVCaffe write. It owns
//! the field numbers; sizes are checked against what is wanted before anything is allocated.

use std::sync::Arc;

use crate::inference::Parameter;
use crate::shape::element_count;
use crate::weights::Weight;
use crate::wire::{Reader, Value, floats};

/// A `BlobProto`: shape 7 (dim 1), or num 1, channels 2, height 3, width 4; data 5 or double_data 8; NVCaffe's raw_data 12 of
/// the type in 10.
#[derive(Debug)]
pub(super) struct Blob<'a> {
    /// Its extents.
    pub(super) dims: Vec<usize>,
    form: Form,
    values: Values<'a>,
}

/// How the extents are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `num`, `channels`, `height` and `width`: always four, with ones in front.
    FourAxes,
    /// A `BlobShape`, or nothing.
    Shape,
}

/// Which extents fit a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// Those of the weight.
    Exact,
    /// Those of the weight with ones anywhere: a BatchNorm of NVCaffe and other forks has `[1, channels]` or
    /// `[1, channels, 1, 1]`.
    WithOnes,
}

/// The values where they lie in the file.
#[derive(Debug)]
enum Values<'a> {
    Floats(&'a [u8]),
    Doubles(&'a [u8]),
    /// 16-bit floats of IEEE 754.
    Halves(&'a [u8]),
    /// Written one by one; bounded by the file, of which each took four bytes.
    Single(Vec<f32>),
}

impl<'a> Blob<'a> {
    /// Reads one.
    ///
    /// # Errors
    /// Says where it is broken, or what its numbers are.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let mut legacy = [None::<i64>; 4];
        let (mut shape, mut raw_type, mut raw) = (None, None, None);
        let (mut data, mut double_data) = (Values::Single(Vec::new()), Values::Single(Vec::new()));
        for field in Reader::new(bytes) {
            match field? {
                (number @ 1..=4, value) => legacy[number as usize - 1] = Some(value.integer()?),
                (5, Value::Bytes(bytes)) => data.append(Values::Floats(bytes))?,
                (5, Value::Fixed32(bytes)) => data.append(Values::Single(vec![f32::from_le_bytes(bytes)]))?,
                (8, Value::Bytes(bytes)) => double_data.append(Values::Doubles(bytes))?,
                (8, Value::Fixed64(bytes)) => {
                    double_data.append(Values::Single(vec![f64::from_le_bytes(bytes) as f32]))?;
                }
                (7, value) => shape = Some(blob_shape(value.bytes()?)?),
                (10, value) => raw_type = Some(value.integer()?),
                (12, value) => raw = Some(value.bytes()?),
                _ => {}
            }
        }
        // Where both forms are there Caffe looks at the older one, and takes what it lacks as 0.
        let (form, dims) = match legacy {
            [None, None, None, None] => (Form::Shape, shape.unwrap_or_default()),
            legacy => (Form::FourAxes, legacy.iter().map(|dim| dim.unwrap_or(0)).collect()),
        };
        let extent = |dim: i64| usize::try_from(dim).map_err(|_| format!("a blob has the extent {dim}"));
        // Caffe's order where there is more than one form.
        let values = match (double_data.is_empty(), data.is_empty(), raw) {
            (false, _, _) => double_data,
            (true, true, Some(raw)) => raw_values(raw, raw_type)?,
            (true, _, _) => data,
        };
        Ok(Self { dims: dims.into_iter().map(extent).collect::<Result<_, _>>()?, form, values })
    }

    /// How many numbers it has.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Its numbers.
    ///
    /// # Errors
    /// Says that their bytes are no whole numbers.
    pub(super) fn to_vec(&self) -> Result<Vec<f32>, String> {
        self.values.to_vec()
    }

    /// Whether these are its extents, as Caffe compares them (`Blob::ShapeEquals`).
    fn has_extents(&self, wanted: &[usize], fit: Fit) -> bool {
        let without_ones = |dims: &[usize]| dims.iter().copied().filter(|&dim| dim != 1).collect::<Vec<_>>();
        match (self.form, fit) {
            (Form::FourAxes | Form::Shape, Fit::WithOnes) => without_ones(&self.dims) == without_ones(wanted),
            (Form::FourAxes, Fit::Exact) => {
                let ones = 4usize.checked_sub(wanted.len()).map(|count| vec![1; count]);
                ones.is_some_and(|ones| [&ones, wanted].concat() == self.dims)
            }
            // Caffe's blob of a single number, such as a slope of all channels, has no axis.
            (Form::Shape, Fit::Exact) => self.dims == wanted || (self.dims.is_empty() && wanted == [1]),
        }
    }

    /// The blob as the weight a layer wants.
    ///
    /// # Errors
    /// Says which shape or number of values was expected.
    pub(super) fn weight(
        &self,
        parameter: &Parameter,
        fit: Fit,
        transpose: bool,
        factor: f32,
    ) -> Result<Weight, String> {
        let mut wanted = parameter.shape.clone();
        if transpose {
            wanted.reverse();
        }
        let name = &parameter.name;
        if !self.has_extents(&wanted, fit) {
            return Err(format!("blob for {name} should have shape {wanted:?}, found {:?}", self.dims));
        }
        let (count, found) = (element_count(&wanted)?, self.values.len());
        if count != found {
            return Err(format!("blob for {name} should have {count} values, found {found}"));
        }
        let data: Arc<[f32]> = match (&self.values, transpose || factor != 1.0) {
            (Values::Floats(bytes), false) => floats(bytes)?.collect(),
            _ => {
                let values = self.values.to_vec()?;
                let columns = wanted.last().copied().unwrap_or(1);
                let rows = count / columns;
                let place = |index: usize| if transpose { index % rows * columns + index / rows } else { index };
                (0..count).map(|index| values[place(index)] * factor).collect()
            }
        };
        Weight::new(parameter.shape.clone(), data)
    }
}

impl Values<'_> {
    fn is_empty(&self) -> bool {
        match self {
            Self::Floats(bytes) | Self::Doubles(bytes) | Self::Halves(bytes) => bytes.is_empty(),
            Self::Single(values) => values.is_empty(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Floats(bytes) => bytes.len() / 4,
            Self::Doubles(bytes) => bytes.len() / 8,
            Self::Halves(bytes) => bytes.len() / 2,
            Self::Single(values) => values.len(),
        }
    }

    fn to_vec(&self) -> Result<Vec<f32>, String> {
        let mut values = Vec::with_capacity(self.len());
        self.extend(&mut values)?;
        Ok(values)
    }

    /// Appends its numbers to `target`.
    fn extend(&self, target: &mut Vec<f32>) -> Result<(), String> {
        match self {
            Self::Floats(bytes) => target.extend(floats(bytes)?),
            Self::Doubles(bytes) => match bytes.as_chunks::<8>() {
                (chunks, []) => target.extend(chunks.iter().map(|&chunk| f64::from_le_bytes(chunk) as f32)),
                _ => return Err(format!("{} bytes are not whole doubles", bytes.len())),
            },
            Self::Halves(bytes) => match bytes.as_chunks::<2>() {
                (chunks, []) => target.extend(chunks.iter().map(|&chunk| half(u16::from_le_bytes(chunk)))),
                _ => return Err(format!("{} bytes are not whole 16-bit floats", bytes.len())),
            },
            Self::Single(values) => target.extend(values),
        }
        Ok(())
    }
}

impl<'a> Values<'a> {
    /// A repeated field that stands in several pieces is all of them. Each piece is copied once, however many there are.
    fn append(&mut self, more: Values<'a>) -> Result<(), String> {
        if self.is_empty() {
            *self = more;
            return Ok(());
        }
        let mut values = match std::mem::replace(self, Self::Single(Vec::new())) {
            Self::Single(values) => values,
            first @ (Self::Floats(_) | Self::Doubles(_) | Self::Halves(_)) => first.to_vec()?,
        };
        more.extend(&mut values)?;
        *self = Self::Single(values);
        Ok(())
    }
}

/// NVCaffe's `raw_data`: DOUBLE 0, FLOAT 1, FLOAT16 2; INT 3, UINT 4 and BOOL 5 have no arithmetic there either.
fn raw_values(bytes: &[u8], kind: Option<i64>) -> Result<Values<'_>, String> {
    match kind {
        Some(0) => Ok(Values::Doubles(bytes)),
        Some(1) => Ok(Values::Floats(bytes)),
        Some(2) => Ok(Values::Halves(bytes)),
        Some(other) => {
            Err(format!("raw_data of NVCaffe should be of type DOUBLE, FLOAT or FLOAT16, found type {other}"))
        }
        None => Err("raw_data of NVCaffe should come with raw_data_type, which is missing".to_owned()),
    }
}

/// The number that the bits of a 16-bit float (IEEE 754 binary16) stand for; every one of them is a 32-bit float too.
fn half(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (u32::from(bits >> 15) << 31, (bits >> 10) & 0x1f, u32::from(bits & 0x3ff));
    match exponent {
        // A fraction of 2^-24 units.
        0 => (fraction as f32 / 16_777_216.0).copysign(f32::from_bits(sign | 0x3f80_0000)),
        0x1f => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (u32::from(exponent) + 112) << 23 | fraction << 13),
    }
}

/// `BlobShape.dim` (1).
fn blob_shape(bytes: &[u8]) -> Result<Vec<i64>, String> {
    let mut dims = Vec::new();
    for field in Reader::new(bytes) {
        if let (1, value) = field? {
            value.append_integers(&mut dims)?;
        }
    }
    Ok(dims)
}

#[cfg(test)]
mod tests {
    use super::half;

    #[test]
    fn sixteen_bit_floats_are_read_exactly() {
        let cases: [(u16, f32); 10] = [
            (0x0000, 0.0),
            (0x8000, -0.0),
            (0x0001, 5.960_464_5e-8),
            (0x83ff, -1023.0 / 16_777_216.0),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65_504.0),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (bits, expected) in cases {
            assert_eq!(half(bits).to_bits(), expected.to_bits(), "{bits:#06x}");
        }
        assert!(half(0x7e00).is_nan());
    }
}
