//! Masks as JSON: sizes, the class of each pixel, and confidences; they come back bit by bit.
//!
//! Each pixel is written, so that a short text takes little memory. It must not know what the classes are.

use dede_model::outputs::{Confidence, ConfidenceMap, Extent, Mask, Masks, WrongMask};
use serde::{Deserialize, Serialize};

use super::numbers::{Exact, exact, plain};

/// The mask of each item.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(into = "Vec<MaskText>", try_from = "Vec<MaskText>")]
pub(super) struct WrittenMasks(pub(super) Masks);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MaskText {
    /// Columns and rows of the mask.
    size: [usize; 2],
    /// Columns and rows of the image as it was sent.
    original: [usize; 2],
    classes: Vec<u16>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    confidences: Vec<ConfidencesText>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfidencesText {
    /// `None`: those of the class that each pixel is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    class: Option<usize>,
    values: Vec<Exact<f32>>,
}

impl From<WrittenMasks> for Vec<MaskText> {
    fn from(written: WrittenMasks) -> Self {
        written.0.into_samples().into_iter().map(MaskText::from).collect()
    }
}

impl TryFrom<Vec<MaskText>> for WrittenMasks {
    type Error = WrongMask;

    fn try_from(samples: Vec<MaskText>) -> Result<Self, WrongMask> {
        Masks::new(samples.into_iter().map(Mask::from).collect()).map(Self)
    }
}

impl From<Mask> for MaskText {
    fn from(mask: Mask) -> Self {
        let sides = |Extent { width, height }: Extent| [width, height];
        let confidences = mask.confidences.into_iter().map(|map| ConfidencesText {
            class: match map.of {
                Confidence::Best => None,
                Confidence::Class(class) => Some(class),
            },
            values: exact(map.values),
        });
        Self {
            size: sides(mask.extent),
            original: sides(mask.original),
            classes: mask.classes,
            confidences: confidences.collect(),
        }
    }
}

impl From<MaskText> for Mask {
    fn from(text: MaskText) -> Self {
        let extent = |[width, height]: [usize; 2]| Extent { width, height };
        let confidences = text.confidences.into_iter().map(|map| ConfidenceMap {
            of: map.class.map_or(Confidence::Best, Confidence::Class),
            values: plain(map.values),
        });
        Self {
            extent: extent(text.size),
            original: extent(text.original),
            classes: text.classes,
            confidences: confidences.collect(),
        }
    }
}
