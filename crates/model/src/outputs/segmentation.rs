//! The class of each pixel of images.
//!
//! It owns what the answer for an image is: a class for each pixel at the size at which the network answers, the confidences that were
//! asked for, and the size of the image as it was sent; and how maps of one size become maps of another one. It must not know networks,
//! nor how masks are rendered.

mod scaling;

use std::fmt;

pub use scaling::{bilinear, nearest};

/// Most pixels of a mask of a network: 8192 times 8192.
pub const MOST_PIXELS: usize = 1 << 26;
/// Most classes: the number of one takes two bytes.
pub const MOST_CLASSES: usize = 1 << 16;

/// The columns and rows of an image or a map, pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Extent {
    /// Columns times rows; `usize::MAX` where that is more.
    pub fn pixels(self) -> usize {
        self.width.saturating_mul(self.height)
    }
}

/// Whose confidences are asked for (`parameters.output.confidences`, contract.md 5.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// That of the class which each pixel is of.
    Best,
    /// That of one class.
    Class(usize),
}

/// A confidence for each pixel.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfidenceMap {
    /// Whose.
    pub of: Confidence,
    /// Row by row, at the size of the mask.
    pub values: Vec<f32>,
}

/// The class of each pixel of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Mask {
    /// The size at which the network answers.
    pub extent: Extent,
    /// The size of the image as it was sent.
    pub original: Extent,
    /// Classes, row by row.
    pub classes: Vec<u16>,
    /// Confidences, in the order of [`Confidence`].
    pub confidences: Vec<ConfidenceMap>,
}

/// One mask for each sample, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Masks(Vec<Mask>);

/// A mask that is none.
#[derive(Debug, Clone, PartialEq)]
pub struct WrongMask {
    /// The sample that it is of.
    pub sample: usize,
    /// What was expected and found.
    pub reason: String,
}

impl fmt::Display for WrongMask {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} in item {}", self.reason, self.sample + 1)
    }
}

impl std::error::Error for WrongMask {}

impl Mask {
    /// What is wrong with it.
    fn fault(&self) -> Option<String> {
        let (Extent { width, height }, pixels) = (self.extent, self.extent.pixels());
        if pixels == 0 || pixels > MOST_PIXELS || self.original.pixels() == 0 {
            return Some(format!("expected a mask of 1 to {MOST_PIXELS} pixels, found {width} x {height}"));
        }
        if self.classes.len() != pixels {
            return Some(format!("expected {pixels} classes ({width} x {height}), found {}", self.classes.len()));
        }
        self.confidences.iter().find_map(|map| {
            if map.values.len() != pixels {
                let found = map.values.len();
                return Some(format!("expected {pixels} confidences ({width} x {height}), found {found}"));
            }
            let wrong = map.values.iter().find(|value| !value.is_finite())?;
            Some(format!("expected confidences that are finite numbers, found {wrong}"))
        })
    }

    /// Bytes of its numbers.
    pub fn bytes(&self) -> usize {
        let confidences: usize = self.confidences.iter().map(|map| size_of_val(&map.values[..])).sum();
        size_of_val(&self.classes[..]) + confidences
    }
}

impl Masks {
    /// The masks of the samples.
    ///
    /// # Errors
    /// [`WrongMask`]: the first one of no or too many pixels, with another number of values than pixels, or with confidences that are no
    /// finite numbers.
    pub fn new(masks: Vec<Mask>) -> Result<Self, WrongMask> {
        let wrong = masks.iter().enumerate().find_map(|(sample, mask)| Some((sample, mask.fault()?)));
        match wrong {
            Some((sample, reason)) => Err(WrongMask { sample, reason }),
            None => Ok(Self(masks)),
        }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True without samples.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The mask of each sample.
    pub fn samples(&self) -> &[Mask] {
        &self.0
    }

    /// Gives the masks away.
    pub fn into_samples(self) -> Vec<Mask> {
        self.0
    }

    /// Bytes of all numbers.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(Mask::bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_mask_is_named_with_its_item() {
        let extent = Extent { width: 2, height: 1 };
        let none = Extent { width: 0, height: 3 };
        let huge = Extent { width: usize::MAX, height: 2 };
        let map = |values: &[f32]| vec![ConfidenceMap { of: Confidence::Best, values: values.to_vec() }];
        let mask = |extent, classes: &[u16], confidences| Mask {
            extent,
            original: Extent { width: 5, height: 5 },
            classes: classes.to_vec(),
            confidences,
        };
        for (mask, expected) in [
            (mask(extent, &[0, 1], vec![]), None),
            (mask(extent, &[0, 1], map(&[0.5, 1.0])), None),
            (mask(extent, &[0], vec![]), Some("expected 2 classes (2 x 1), found 1 in item 2")),
            (mask(none, &[], vec![]), Some("expected a mask of 1 to 67108864 pixels, found 0 x 3 in item 2")),
            (mask(huge, &[0], vec![]), Some("pixels, found 18446744073709551615 x 2 in item 2")),
            (mask(extent, &[0, 1], map(&[0.5])), Some("expected 2 confidences (2 x 1), found 1 in item 2")),
            (mask(extent, &[0, 1], map(&[0.5, f32::NAN])), Some("finite numbers, found NaN in item 2")),
        ] {
            let right = Mask { extent, original: extent, classes: vec![0, 0], confidences: vec![] };
            let found = Masks::new(vec![right, mask]).err().map(|wrong| wrong.to_string());
            match expected {
                None => assert_eq!(found, None),
                Some(text) => assert!(found.as_deref().is_some_and(|found| found.contains(text)), "{found:?}"),
            }
        }
    }

    #[test]
    fn bytes_are_those_of_classes_and_confidences() {
        let extent = Extent { width: 3, height: 1 };
        let confidences = vec![ConfidenceMap { of: Confidence::Class(1), values: vec![0.0; 3] }];
        let mask = Mask { extent, original: extent, classes: vec![0; 3], confidences };
        assert_eq!(Masks::new(vec![mask.clone(), mask]).expect("masks").bytes(), 36);
    }
}
