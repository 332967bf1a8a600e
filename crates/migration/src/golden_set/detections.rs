//! Boxes as JSON: class, score and corners; they come back bit by bit.
//!
//! It must not know what was found.

use dede_model::outputs::{Corners, Detection, Detections, WrongBox};
use serde::{Deserialize, Serialize};

use super::numbers::Exact;

/// The boxes of each item.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(into = "Vec<Vec<BoxText>>", try_from = "Vec<Vec<BoxText>>")]
pub(super) struct WrittenDetections(pub(super) Detections);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BoxText {
    class: usize,
    score: Exact<f32>,
    /// Left, upper, right, lower.
    corners: [Exact<f32>; 4],
}

impl From<WrittenDetections> for Vec<Vec<BoxText>> {
    fn from(written: WrittenDetections) -> Self {
        written.0.samples().map(|boxes| boxes.iter().map(BoxText::from).collect()).collect()
    }
}

impl TryFrom<Vec<Vec<BoxText>>> for WrittenDetections {
    type Error = WrongBox;

    fn try_from(samples: Vec<Vec<BoxText>>) -> Result<Self, WrongBox> {
        let boxes = |boxes: Vec<BoxText>| boxes.into_iter().map(Detection::from).collect();
        Detections::new(samples.into_iter().map(boxes).collect()).map(Self)
    }
}

impl From<&Detection> for BoxText {
    fn from(found: &Detection) -> Self {
        let Corners { xmin, ymin, xmax, ymax } = found.corners;
        Self { class: found.class, score: Exact(found.score), corners: [xmin, ymin, xmax, ymax].map(Exact) }
    }
}

impl From<BoxText> for Detection {
    fn from(text: BoxText) -> Self {
        let [xmin, ymin, xmax, ymax] = text.corners.map(|corner| corner.0);
        Self { class: text.class, score: text.score.0, corners: Corners { xmin, ymin, xmax, ymax } }
    }
}
