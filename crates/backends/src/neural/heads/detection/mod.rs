//! The heads of boxes: one kind for each form in which networks answer them.
//!
//! It owns what all of them share: how boxes of the network's input become boxes of the image that was sent, which of them are left out,
//! and what is said of numbers that are no box. Decoding is done here for every engine, so that all of them answer the same boxes.

mod box_code;
mod candidates;
mod detection_output;
mod detr;
mod form;
mod listed;
mod ssd;
mod suppression;
mod yolo;

use dede_model::backend::BoxOptions;
use dede_model::data::{Frame, ImageSizes};
use dede_model::error::{Error, Result};
use dede_model::outputs::{Corners, Detection, Detections, Outputs};

pub(in crate::neural) use detection_output::DetectionOutputHead;
pub(super) use form::FormKind;
pub(super) use listed::Listed;
pub use suppression::suppressed;

/// The forms that are found by shapes: the list of all.
pub(super) static FORMS: [FormKind; 9] = [
    FormKind(&yolo::Rows { name: "yolox", is_raw: false, counts_background: false }),
    FormKind(&yolo::Rows { name: "yolox_raw", is_raw: true, counts_background: false }),
    FormKind(&yolo::Rows { name: "yolox_background", is_raw: false, counts_background: true }),
    FormKind(&yolo::Rows { name: "yolov5", is_raw: false, counts_background: false }),
    FormKind(&yolo::Columns),
    FormKind(&yolo::Listing),
    FormKind(&detr::Queries { has_none: true }),
    FormKind(&detr::Queries { has_none: false }),
    FormKind(&ssd::Ssd),
];

/// What the right and lower edge of an image are to a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edge {
    /// The width and height of the image.
    Size,
    /// Its last column and row.
    LastPixel,
}

/// Boxes of one image that are compared at most, the best ones, where the request does not say it.
const MOST_CANDIDATES: usize = 30_000;

/// A form in which networks answer boxes.
trait BoxHead: Send + Sync {
    /// The output that an error is about.
    fn output(&self) -> &str;

    /// How far boxes of one class may overlap where the request does not say it; `None`: the network leaves out those that do.
    fn most_overlap(&self) -> Option<f32>;

    /// What the edge of its coordinates is.
    fn edge(&self) -> Edge {
        Edge::Size
    }
}

/// Finishes the boxes of each sample, which are in pixels of the network's input: leaves out those of low scores, and those that overlap
/// better ones, and places the others in the images that were sent.
///
/// # Errors
/// [`Error::BadInput`] naming the output and the item of what is no box.
fn finished(
    head: &impl BoxHead,
    samples: Vec<Vec<Detection>>,
    images: &[ImageSizes],
    options: &BoxOptions,
) -> Result<Outputs> {
    let most_overlap = options.most_overlap.or_else(|| head.most_overlap());
    let finish = |found: Vec<Detection>| -> Vec<Detection> {
        // What is no number is kept, to be refused.
        let is_kept = |one: &Detection| one.score >= options.least_score || one.score.is_nan();
        let mut found: Vec<_> = found.into_iter().filter(is_kept).collect();
        found.sort_by(|one, other| other.score.total_cmp(&one.score));
        found.truncate(options.candidates.unwrap_or(usize::MAX));
        match most_overlap {
            Some(most) => {
                found.truncate(MOST_CANDIDATES);
                suppressed(found, most)
            }
            None => found,
        }
    };
    placed(head, samples.into_iter().map(finish).collect(), images)
}

/// Places the boxes of each sample, which are in pixels of the network's input, in the images that were sent.
///
/// # Errors
/// As [`finished`].
fn placed(head: &impl BoxHead, samples: Vec<Vec<Detection>>, images: &[ImageSizes]) -> Result<Outputs> {
    let place = |(found, image): (Vec<Detection>, &ImageSizes)| -> Vec<Detection> {
        let in_image = |one: Detection| Detection { corners: in_original(one.corners, image, head.edge()), ..one };
        found.into_iter().map(in_image).collect()
    };
    if samples.len() != images.len() {
        return Err(Error::Internal(format!("{} images, {} of them with boxes", images.len(), samples.len())));
    }
    let detections = Detections::new(samples.into_iter().zip(images).map(place).collect());
    detections.map(Outputs::Detection).map_err(|wrong| {
        Error::bad_input_at(format!("item {}, output {}", wrong.sample + 1, head.output()), wrong.to_string())
    })
}

/// Corners in the pixels of the image that was sent, of corners in those of the image that the network saw, without its padding.
fn in_original(corners: Corners, image: &ImageSizes, edge: Edge) -> Corners {
    let &ImageSizes { width, height, original_width, original_height, frame } = image;
    let frame = frame.unwrap_or(Frame { left: 0, top: 0, width, height });
    let factor = |original: usize, seen: usize| {
        let original = match edge {
            Edge::Size => original,
            Edge::LastPixel => original.saturating_sub(1),
        };
        original as f32 / (seen.max(1)) as f32
    };
    let (across, down) = (factor(original_width, frame.width), factor(original_height, frame.height));
    let (left, top) = (frame.left as f32, frame.top as f32);
    let Corners { xmin, ymin, xmax, ymax } = corners;
    Corners {
        xmin: (xmin - left) * across,
        ymin: (ymin - top) * down,
        xmax: (xmax - left) * across,
        ymax: (ymax - top) * down,
    }
}
