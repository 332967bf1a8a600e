//! `ssd`: `[1, 1, N, 7]`, each row image, class, score and corners as shares of the image, as the DetectionOutput of Caffe has them.
//!
//! Corners are clipped to 0..1; a share of 1 is the last column or row of the image that was sent (contract.md 5.5). A row whose image is
//! negative says that there is no box. Class 0 is the background, which `nclasses` counts.

use dede_model::data::ImageSizes;
use dede_model::outputs::{Corners, Detection};

use super::Edge;
use super::form::{Form, check_score};
use super::yolo::class_of;
use crate::neural::heads::OfferedOutput;

/// The form.
#[derive(Debug)]
pub(super) struct Ssd;

impl Form for Ssd {
    fn name(&self) -> &'static str {
        "ssd"
    }

    fn fits(&self, outputs: &[&OfferedOutput], _: usize) -> bool {
        matches!(outputs, [only] if matches!(only.shape.as_deref(), Some([1, _, 7])))
    }

    fn most_overlap(&self) -> Option<f32> {
        None
    }

    fn edge(&self) -> Edge {
        Edge::LastPixel
    }

    fn most_boxes(&self, numbers: usize, _: usize) -> usize {
        numbers / 7
    }

    fn boxes(&self, outputs: &[&[f32]], classes: usize, image: &ImageSizes) -> Result<Vec<Detection>, String> {
        let [numbers] = outputs else { return Err("expected one output".to_owned()) };
        let rows = numbers.as_chunks::<7>().0.iter().filter(|row| row[0].is_nan() || row[0] >= 0.0);
        let detection = |&[of, class, score, xmin, ymin, xmax, ymax]: &[f32; 7]| {
            if of != 0.0 {
                return Err(format!("expected boxes of image 0, found one of image {of}"));
            }
            let (class, score) = (class_of(class, classes)?, check_score(score)?);
            Ok(Detection { class, score, corners: in_pixels([xmin, ymin, xmax, ymax], image) })
        };
        rows.map(detection).collect()
    }
}

/// Corners in pixels of the network's input, of left, upper, right and lower as shares of it, which are cut to 0 to 1. What is no number
/// stays so, to be refused.
pub(super) fn in_pixels([xmin, ymin, xmax, ymax]: [f32; 4], image: &ImageSizes) -> Corners {
    let clipped = |share: f32, size: usize| share.clamp(0.0, 1.0) * size as f32;
    Corners {
        xmin: clipped(xmin, image.width),
        ymin: clipped(ymin, image.height),
        xmax: clipped(xmax, image.width),
        ymax: clipped(ymax, image.height),
    }
}
