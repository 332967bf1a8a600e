//! What models answer, before rendering.
//!
//! A closed set: rendering, measures and comparisons match exhaustively, so that a new output does not compile
//! without all of them.

mod detections;
mod segmentation;

pub use detections::{Corners, Detection, Detections, WrongBox};
pub use segmentation::{
    Confidence, ConfidenceMap, Extent, MOST_CLASSES, MOST_PIXELS, Mask, Masks, WrongMask, bilinear, nearest,
};

use crate::tensor::{Floats, NamedTensor};

/// One answer per sample, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Outputs {
    /// `[samples, classes]`: probabilities.
    Classification(Floats),
    /// `[samples, targets]`: values.
    Regression(Floats),
    /// `[samples, …]`: the values of a layer.
    Features(Floats),
    /// Boxes around what was found in each image.
    Detection(Detections),
    /// The class of each pixel of each image.
    Segmentation(Masks),
    /// The outputs of the network as they are: one answer to a call of tensors.
    Tensors(Vec<NamedTensor>),
}

impl Outputs {
    /// Number of samples answered.
    pub fn len(&self) -> usize {
        match self {
            Self::Classification(tensor) | Self::Regression(tensor) | Self::Features(tensor) => tensor.rows(),
            Self::Detection(detections) => detections.len(),
            Self::Segmentation(masks) => masks.len(),
            Self::Tensors(_) => 1,
        }
    }

    /// Memory that the numbers take, bytes.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Classification(tensor) | Self::Regression(tensor) | Self::Features(tensor) => {
                size_of_val(tensor.values()) as u64
            }
            Self::Detection(detections) => (detections.boxes() * size_of::<Detection>()) as u64,
            Self::Segmentation(masks) => masks.bytes() as u64,
            Self::Tensors(tensors) => tensors.iter().map(|named| named.tensor.values().bytes()).sum(),
        }
    }

    /// The first sample whose answer holds a NaN or an infinity, neither of which JSON has, with that number. Boxes and
    /// masks hold neither, and tensors may hold both.
    pub fn first_not_finite(&self) -> Option<(usize, f32)> {
        let of_row = |row: &[f32]| row.iter().copied().find(|value| !value.is_finite());
        match self {
            Self::Classification(tensor) | Self::Regression(tensor) | Self::Features(tensor) => {
                (0..tensor.rows()).find_map(|row| Some((row, of_row(tensor.row(row))?)))
            }
            Self::Detection(_) | Self::Segmentation(_) | Self::Tensors(_) => None,
        }
    }

    /// True without answers.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_cannot_say_is_found_with_its_sample() {
        let tensor = |values: &[f32]| Floats::new(vec![2, 2], values.to_vec()).expect("fits");
        let cases = [
            ([0.0, 1.0, f32::MAX, f32::MIN], None),
            ([0.0, 1.0, f32::INFINITY, 0.0], Some((1, f32::INFINITY))),
            ([0.0, f32::NEG_INFINITY, 0.0, f32::INFINITY], Some((0, f32::NEG_INFINITY))),
        ];
        for (values, expected) in cases {
            assert_eq!(Outputs::Classification(tensor(&values)).first_not_finite(), expected);
            assert_eq!(Outputs::Regression(tensor(&values)).first_not_finite(), expected);
            assert_eq!(Outputs::Features(tensor(&values)).first_not_finite(), expected);
        }
        let found = Outputs::Features(tensor(&[0.0, 1.0, f32::NAN, 0.0])).first_not_finite();
        assert!(found.is_some_and(|(sample, value)| sample == 1 && value.is_nan()));
    }
}
