//! A dense array of 32-bit floats with its shape: the one numeric type that crosses the seams.
//!
//! It owns a shape and row-major values that always agree with each other. It must not know engines, devices
//! or data formats.

use std::fmt;

/// A row-major array. `shape.product() == values.len()` holds by construction.
#[derive(Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Tensor {
    /// Builds a tensor, or says how many values the shape wants.
    ///
    /// # Errors
    /// [`ShapeMismatch`] when `values.len()` is not the product of `shape`, or when that product overflows.
    pub fn new(shape: Vec<usize>, values: Vec<f32>) -> Result<Self, ShapeMismatch> {
        let wanted = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        if wanted == Some(values.len()) {
            Ok(Self { shape, values })
        } else {
            Err(ShapeMismatch { shape, found: values.len() })
        }
    }

    /// A one-dimensional tensor.
    pub fn from_vec(values: Vec<f32>) -> Self {
        Self { shape: vec![values.len()], values }
    }

    /// Size of each dimension, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// All values, row-major.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Gives the values away.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// Length of the first dimension; 0 for a scalar-shaped tensor.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }

    /// Number of values in one row of the first dimension.
    pub fn row_len(&self) -> usize {
        self.shape.get(1..).unwrap_or(&[]).iter().product()
    }

    /// The values of row `index`.
    ///
    /// # Panics
    /// When `index >= rows()`.
    pub fn row(&self, index: usize) -> &[f32] {
        let length = self.row_len();
        &self.values[index * length..(index + 1) * length]
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Tensor{:?}", self.shape)
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
