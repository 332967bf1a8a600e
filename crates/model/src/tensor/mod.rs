//! Dense arrays with their shapes, of every type that crosses the seams.
//!
//! Shape and row-major values always agree with each other. Nothing here knows engines, devices or data formats.

mod element;
mod floats;
mod signature;
mod values;

pub use element::ElementType;
pub use floats::Floats;
pub use signature::{NamedTensor, Port, Signature};
pub use values::Values;

/// An array of any element type.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    values: Values,
}

impl Tensor {
    /// A tensor of that shape.
    ///
    /// # Errors
    /// [`ShapeMismatch`] when the number of values is not the product of the shape, or when that product overflows.
    pub fn new(shape: Vec<usize>, values: Values) -> Result<Self, ShapeMismatch> {
        check_shape(&shape, values.len())?;
        Ok(Self { shape, values })
    }

    /// Size of each dimension, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values, row-major.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// Type of its elements.
    pub fn element(&self) -> ElementType {
        self.values.element()
    }

    /// Shape and values, given away.
    pub fn into_parts(self) -> (Vec<usize>, Values) {
        (self.shape, self.values)
    }

    /// The same numbers as 32-bit floats, rounded where those have no place for them; truth values become 0 and 1. `None` for texts.
    pub fn into_floats(self) -> Option<Floats> {
        let values = self.values.into_floats()?;
        Some(Floats::new(self.shape, values).expect("the shape fitted the values already"))
    }
}

/// The number of values does not fit the shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("shape {shape:?} does not hold {found} values")]
pub struct ShapeMismatch {
    /// The shape asked for.
    pub shape: Vec<usize>,
    /// The number of values that came with it.
    pub found: usize,
}

fn check_shape(shape: &[usize], found: usize) -> Result<(), ShapeMismatch> {
    let wanted = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    if wanted == Some(found) { Ok(()) } else { Err(ShapeMismatch { shape: shape.to_vec(), found }) }
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;

    #[test]
    fn shape_and_values_agree_or_there_is_no_tensor() {
        assert!(Tensor::new(vec![2, 3], Values::U8(vec![0; 6])).is_ok());
        assert!(Tensor::new(vec![], Values::I64(vec![7])).is_ok(), "a number alone has no dimension");
        for (shape, count) in [(vec![2, 3], 5), (vec![usize::MAX, 2], 2), (vec![0], 1)] {
            assert!(Tensor::new(shape.clone(), Values::U8(vec![0; count])).is_err(), "{shape:?}");
        }
    }

    #[test]
    fn every_number_becomes_the_nearest_float() {
        let cases = [
            (Values::F16(vec![f16::from_f32(0.5)]), 0.5),
            (Values::Bf16(vec![bf16::from_f32(-2.0)]), -2.0),
            (Values::F32(vec![1.5]), 1.5),
            (Values::F64(vec![0.1]), 0.1),
            (Values::I8(vec![-3]), -3.0),
            (Values::I16(vec![-300]), -300.0),
            (Values::I32(vec![70_000]), 70_000.0),
            (Values::I64(vec![(1 << 24) + 1]), 16_777_216.0),
            (Values::U8(vec![200]), 200.0),
            (Values::U16(vec![60_000]), 60_000.0),
            (Values::U32(vec![1 << 31]), 2_147_483_648.0),
            (Values::U64(vec![1 << 40]), 1_099_511_627_776.0),
            (Values::Bool(vec![true]), 1.0),
        ];
        for (values, expected) in cases {
            let element = values.element();
            let floats = Tensor::new(vec![1], values).expect("fits").into_floats().expect("numbers");
            assert_eq!(floats.values(), [expected], "{element}");
        }
        assert!(Tensor::new(vec![1], Values::Bytes(vec![b"a".to_vec()])).expect("fits").into_floats().is_none());
    }
}
