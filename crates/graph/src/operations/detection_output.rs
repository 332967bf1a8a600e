//! The last layer of Caffe's detectors (`detection_output_layer.cpp` of SSD's Caffe, and of RefineDet's). It owns its options and
//! the shapes that go together; no engine computes it: what it says is decoded from its inputs afterwards.

use serde::{Deserialize, Serialize};

use super::{CaffeType, Definition, Operation, input};
use crate::fields::{Constant, Entry, idle, message, only, read};
use crate::operators::Emitter;
use crate::prototext::Message;
use crate::shape::{MAX_ELEMENTS, Shape};

/// Most boxes of a detector; RefineDet of 512 × 512 has 16,320.
const MOST_BOXES: usize = 1 << 20;
/// Most pairs of boxes that are compared in an image: about a second's work. Networks of 512 × 512 for 81 classes that look at 1,000 boxes
/// of each class have 2^26.
const MOST_PAIRS: u64 = 1 << 31;

/// Inputs: offsets `[boxes * 4]` (of each class where they are not shared), scores `[boxes * classes]`, boxes `[2, boxes * 4]`
/// (see [`super::prior_box::PriorBox`]); where they are refined, then scores `[boxes * 2]` and offsets `[boxes * 4]` of a first step.
/// Output: up to so many detections, `[detections, 7]`: image, class, score, left, top, right, bottom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DetectionOutput {
    /// Number of classes, the background among them.
    pub classes: usize,
    /// One offset for all classes, or one for each.
    pub share_location: bool,
    /// The class that is no detection, if there is one.
    pub background: Option<usize>,
    /// What an offset says.
    pub code: BoxCode,
    /// Whether offsets were multiplied by the variances in training.
    pub variance_in_offsets: bool,
    /// Scores up to it are none; none: all count.
    pub confidence_threshold: Option<f32>,
    /// Boxes of one class that overlap more than this are one (intersection over union).
    pub overlap_threshold: f32,
    /// By what the overlap is multiplied after each box that is kept, while it is above a half; 1 for never.
    pub overlap_decay: f32,
    /// Most boxes of a class that are looked at, the best first.
    pub most_of_a_class: Option<usize>,
    /// Most detections of an image, the best first.
    pub most: Option<usize>,
    /// Where they are refined in two steps (RefineDet): boxes whose first score for an object is lower are none.
    pub refinement: Option<f32>,
}

/// What the four numbers of an offset say of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BoxCode {
    /// What is added to the corners.
    Corner,
    /// Shift of the centre in extents of the box, and logarithms of the extents' factors.
    CenterSize,
    /// What is added to the corners, in extents of the box.
    CornerSize,
}

const SOFT: &str = "overlapping boxes of lower scores instead of none are not supported";
const SUPPRESSION: &[Entry] = &[
    read("nms_threshold"),
    read("top_k"),
    read("eta"),
    only("soft_nms", Constant::False, SOFT),
    // Of soft_nms alone.
    idle("theta"),
];

/// How Caffe writes it. What is saved to files or shown on a screen changes no answer.
pub(super) const CAFFE: &[CaffeType] = &[CaffeType {
    names: &["DetectionOutput"],
    parameters: Some(message(
        "detection_output_param",
        &[
            read("num_classes"),
            read("share_location"),
            read("background_label_id"),
            message("nms_param", SUPPRESSION),
            idle("save_output_param"),
            read("code_type"),
            read("variance_encoded_in_target"),
            read("keep_top_k"),
            read("confidence_threshold"),
            idle("visualize"),
            idle("visualize_threshold"),
            idle("save_file"),
            read("objectness_score"),
            only(
                "output_logits",
                Constant::False,
                "the scores before the softmax beside each detection are not supported",
            ),
        ],
    )),
    read: |text, inputs| detection_output(text.message("detection_output_param"), inputs.len()),
}];

fn detection_output(param: &Message, inputs: usize) -> Result<Operation, String> {
    let suppression = param.message("nms_param");
    let code = match param.text("code_type") {
        None | Some("CORNER" | "1") => BoxCode::Corner,
        Some("CENTER_SIZE" | "2") => BoxCode::CenterSize,
        Some("CORNER_SIZE" | "3") => BoxCode::CornerSize,
        Some(other) => {
            return Err(format!("code_type should be CORNER, CENTER_SIZE or CORNER_SIZE, found {other:.64}"));
        }
    };
    let classes = param.number::<usize>("num_classes")?.ok_or("num_classes is missing")?;
    let background =
        match param.number::<i64>("background_label_id")?.unwrap_or(0) {
            -1 => None,
            label => Some(usize::try_from(label).ok().filter(|&label| label < classes).ok_or_else(|| {
                format!("background_label_id should be -1 or one of {classes} classes, found {label}")
            })?),
        };
    let objectness = param.number("objectness_score")?;
    let refinement = match (inputs, objectness) {
        (5, objectness) => Some(objectness.unwrap_or(0.01)),
        (_, None) => None,
        (_, Some(_)) => {
            return Err(format!(
                "objectness_score is for boxes refined in two steps, with five bottoms, found {inputs}"
            ));
        }
    };
    Ok(DetectionOutput {
        classes,
        share_location: param.number("share_location")?.unwrap_or(true),
        background,
        code,
        variance_in_offsets: param.number("variance_encoded_in_target")?.unwrap_or(false),
        confidence_threshold: param.number("confidence_threshold")?,
        overlap_threshold: suppression.number("nms_threshold")?.unwrap_or(0.3),
        overlap_decay: suppression.number("eta")?.unwrap_or(1.0),
        most_of_a_class: most(suppression, "top_k")?,
        most: most(param, "keep_top_k")?,
        refinement,
    }
    .into())
}

/// A number of boxes; -1 for all of them.
fn most(param: &Message, name: &str) -> Result<Option<usize>, String> {
    match param.number::<i64>(name)?.unwrap_or(-1) {
        -1 => Ok(None),
        count => match usize::try_from(count) {
            Ok(count @ 1..=MAX_ELEMENTS) => Ok(Some(count)),
            Ok(_) | Err(_) => Err(format!("{name} should be -1 or from 1 to {MAX_ELEMENTS}, found {count}")),
        },
    }
}

impl DetectionOutput {
    /// Refuses more pairs of boxes than [`MOST_PAIRS`]: each that is looked at may have to be compared with each of its class.
    fn check_work(&self, boxes: usize) -> Result<(), String> {
        let classes = self.classes - usize::from(self.background.is_some());
        let of_each = self.most_of_a_class.unwrap_or(boxes).min(boxes);
        let pairs =
            (of_each as u64).saturating_mul((of_each as u64).saturating_sub(1)).saturating_mul(classes as u64) / 2;
        if pairs <= MOST_PAIRS {
            return Ok(());
        }
        let wish = if self.most_of_a_class.is_some() { "be lower" } else { "be there" };
        Err(format!(
            "nms_param.top_k should {wish}: {classes} classes of {of_each} boxes each are compared in up to {pairs} pairs, at most \
             {MOST_PAIRS} expected"
        ))
    }

    /// How many boxes the inputs are of; all of them are checked.
    ///
    /// # Errors
    /// Says which input should have how many values.
    pub(crate) fn boxes(&self, inputs: &[&Shape]) -> Result<usize, String> {
        let priors = input(inputs, 2)?;
        let boxes = match priors.dims() {
            &[2, coordinates] if coordinates > 0 && coordinates.is_multiple_of(4) => coordinates / 4,
            _ => return Err(format!("its third input should be boxes, [2, 4 for each], found {priors}")),
        };
        if boxes > MOST_BOXES {
            return Err(format!("its third input should have at most {MOST_BOXES} boxes, found {boxes}"));
        }
        let offsets = 4 * if self.share_location { 1 } else { self.classes };
        let wanted =
            [("offsets", 0, offsets), ("scores", 1, self.classes), ("first scores", 3, 2), ("first offsets", 4, 4)];
        for (what, place, of_each) in wanted {
            let Some(shape) = inputs.get(place) else { continue };
            let (found, wanted) = (shape.elements()?, boxes.checked_mul(of_each));
            if wanted != Some(found) {
                let name = ["first", "second", "third", "fourth", "fifth"].get(place).copied().unwrap_or_default();
                return Err(format!(
                    "its {name} input, {what}, should have {of_each} values for each of {boxes} boxes (num_classes {}, \
                     share_location {}), found {found}",
                    self.classes, self.share_location
                ));
            }
        }
        Ok(boxes)
    }
}

impl Definition for DetectionOutput {
    fn kind(&self) -> &'static str {
        "DetectionOutput"
    }

    fn arity(&self) -> (usize, usize) {
        (if self.refinement.is_some() { 5 } else { 3 }, 1)
    }

    fn output_shapes(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, String> {
        if self.classes == 0 || (self.background.is_some() && self.classes == 1) {
            return Err(format!("num_classes should leave a class beside the background, found {}", self.classes));
        }
        if self.overlap_threshold.is_nan() || self.overlap_threshold < 0.0 {
            return Err(format!("nms_threshold should be 0 or more, found {}", self.overlap_threshold));
        }
        if !(self.overlap_decay > 0.0 && self.overlap_decay <= 1.0) {
            return Err(format!("eta should be above 0 and at most 1, found {}", self.overlap_decay));
        }
        for (name, least) in
            [("confidence_threshold", self.confidence_threshold), ("objectness_score", self.refinement)]
        {
            if least.is_some_and(f32::is_nan) {
                return Err(format!("{name} should be a number, found NaN"));
            }
        }
        if self.refinement.is_some() && !self.share_location {
            return Err("share_location should be true where boxes are refined in two steps, found false".to_owned());
        }
        let boxes = self.boxes(inputs)?;
        self.check_work(boxes)?;
        // Each class is looked at by itself.
        let all = Shape::new([boxes, self.classes]).elements()?;
        Ok(vec![Shape::new([self.most.unwrap_or(all).min(all), 7])])
    }

    fn emit(&self, _: &mut Emitter<'_>) -> Result<(), String> {
        Err("no engine computes detections: they are decoded from the inputs of this layer".to_owned())
    }
}
