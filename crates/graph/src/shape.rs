//! The shape of one sample. It owns the arithmetic on extents, with every overflow and zero an error; it knows no layer.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most elements one value or one weight may have (8 GiB of `f32`): larger ones come from broken or hostile files.
pub const MAX_ELEMENTS: usize = 1 << 31;

/// Extents of one sample, without the batch: `[channels, height, width]` for images, `[columns]` for tables.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// A shape from its extents.
    pub fn new(dims: impl Into<Vec<usize>>) -> Self {
        Self(dims.into())
    }

    /// `[channels, height, width]`.
    #[must_use]
    pub fn image(channels: usize, height: usize, width: usize) -> Self {
        Self(vec![channels, height, width])
    }

    /// `[columns]`.
    #[must_use]
    pub fn columns(columns: usize) -> Self {
        Self(vec![columns])
    }

    /// The extents, outermost first.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// Extents of one sample's axis, where axis 0 is the batch, as in Caffe, ONNX and burn; `None` for the batch and beyond.
    #[must_use]
    pub fn axis(&self, axis: usize) -> Option<usize> {
        axis.checked_sub(1).and_then(|index| self.0.get(index).copied())
    }

    /// `(channels, height, width)`, if this is an image.
    #[must_use]
    pub fn as_image(&self) -> Option<(usize, usize, usize)> {
        match self.0.as_slice() {
            &[channels, height, width] => Some((channels, height, width)),
            _ => None,
        }
    }

    /// Number of elements of one sample.
    ///
    /// # Errors
    /// Says so when an extent is zero or the product passes [`MAX_ELEMENTS`].
    pub fn elements(&self) -> Result<usize, String> {
        element_count(&self.0)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Product of `dims`, refusing zeros and anything above [`MAX_ELEMENTS`].
pub(crate) fn element_count(dims: &[usize]) -> Result<usize, String> {
    let mut count = 1usize;
    for &dim in dims {
        if dim == 0 {
            return Err(format!("shape {dims:?} has a zero extent"));
        }
        count = count
            .checked_mul(dim)
            .filter(|&count| count <= MAX_ELEMENTS)
            .ok_or_else(|| format!("shape {dims:?} has more than {MAX_ELEMENTS} elements"))?;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_elements_and_refuses_zero_and_overflow() {
        assert_eq!(Shape::image(3, 4, 5).elements(), Ok(60));
        assert_eq!(Shape::new([]).elements(), Ok(1));
        assert!(Shape::columns(0).elements().is_err());
        assert!(Shape::new([usize::MAX, 2]).elements().is_err());
        assert!(Shape::new([1 << 31, 2]).elements().is_err());
    }

    #[test]
    fn axis_counts_the_batch() {
        let shape = Shape::image(3, 4, 5);
        assert_eq!([shape.axis(0), shape.axis(1), shape.axis(3), shape.axis(4)], [None, Some(3), Some(5), None]);
    }
}
