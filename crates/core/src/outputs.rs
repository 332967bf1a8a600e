//! What models answer, before rendering.
//!
//! A closed set: rendering, measures and comparisons match exhaustively, so that a new output does not compile
//! without all of them.

use crate::tensor::Tensor;

/// One answer per sample, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Outputs {
    /// `[samples, classes]`: probabilities.
    Classification(Tensor),
    /// `[samples, targets]`: values.
    Regression(Tensor),
    /// One vector per sample: the values of a layer, flattened.
    Features(Vec<Vec<f32>>),
}

impl Outputs {
    /// Number of samples answered.
    pub fn len(&self) -> usize {
        match self {
            Self::Classification(tensor) | Self::Regression(tensor) => tensor.rows(),
            Self::Features(rows) => rows.len(),
        }
    }

    /// The first sample whose answer holds a NaN, which no client could read.
    pub fn first_nan(&self) -> Option<usize> {
        match self {
            Self::Classification(tensor) | Self::Regression(tensor) => {
                let columns = tensor.values().len() / tensor.rows().max(1);
                tensor.values().iter().position(|value| value.is_nan()).map(|place| place / columns.max(1))
            }
            Self::Features(rows) => rows.iter().position(|row| row.iter().any(|value| value.is_nan())),
        }
    }

    /// True without answers.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
