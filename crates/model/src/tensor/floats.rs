//! A dense array of 32-bit floats with its shape: what connectors read, and answers are made of.

use std::fmt;

use super::{ShapeMismatch, check_shape};

/// A row-major array. `shape.product() == values.len()` holds by construction.
#[derive(Clone, PartialEq)]
pub struct Floats {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Floats {
    /// Builds a tensor, or says how many values the shape wants.
    ///
    /// # Errors
    /// [`ShapeMismatch`] when `values.len()` is not the product of `shape`, or when that product overflows.
    pub fn new(shape: Vec<usize>, values: Vec<f32>) -> Result<Self, ShapeMismatch> {
        check_shape(&shape, values.len())?;
        Ok(Self { shape, values })
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

impl fmt::Debug for Floats {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Floats{:?}", self.shape)
    }
}
