//! Boxes around what was found in images.
//!
//! It owns what a box is: finite numbers, corners in order, a score; and the order in which boxes are answered. It must not know
//! networks, nor how boxes are drawn or rendered.

use std::fmt;

/// The corners of a box in pixels of an image: its left upper corner is `(0, 0)`, and the right lower one may lie outside of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Corners {
    /// Left.
    pub xmin: f32,
    /// Upper.
    pub ymin: f32,
    /// Right.
    pub xmax: f32,
    /// Lower.
    pub ymax: f32,
}

/// A box around what was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Its class.
    pub class: usize,
    /// How sure that is.
    pub score: f32,
    /// Where it is.
    pub corners: Corners,
}

/// What was found in each sample, by decreasing score; equal ones in the order in which they were found. Corners are in pixels of the
/// image as the client sent it, whatever was resized.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Detections(Vec<Vec<Detection>>);

/// A box that is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WrongBox {
    /// The sample that it was found in.
    pub sample: usize,
    /// As it was found.
    pub found: Detection,
}

impl fmt::Display for WrongBox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sample, found: Detection { score, corners, .. } } = self;
        let Corners { xmin, ymin, xmax, ymax } = corners;
        let expected = "expected boxes of finite numbers, the left upper corner first";
        write!(formatter, "{expected}, found {xmin} {ymin} {xmax} {ymax} with score {score} in item {}", sample + 1)
    }
}

impl std::error::Error for WrongBox {}

impl Corners {
    /// Width times height, square pixels.
    pub fn area(&self) -> f32 {
        (self.xmax - self.xmin).max(0.0) * (self.ymax - self.ymin).max(0.0)
    }

    /// The area that two boxes share, as a share of the area that either covers (Jaccard index); 0 where neither has an area.
    pub fn overlap(&self, other: &Self) -> f32 {
        let width = self.xmax.min(other.xmax) - self.xmin.max(other.xmin);
        let height = self.ymax.min(other.ymax) - self.ymin.max(other.ymin);
        if width <= 0.0 || height <= 0.0 {
            return 0.0;
        }
        let shared = width * height;
        shared / (self.area() + other.area() - shared)
    }

    fn is_box(&self) -> bool {
        let finite = [self.xmin, self.ymin, self.xmax, self.ymax].iter().all(|value| value.is_finite());
        finite && self.xmin <= self.xmax && self.ymin <= self.ymax
    }
}

impl Detections {
    /// What was found in each sample, in any order.
    ///
    /// # Errors
    /// [`WrongBox`]: the first one with a number that is not finite, or with corners that are not in order.
    pub fn new(mut samples: Vec<Vec<Detection>>) -> Result<Self, WrongBox> {
        for (sample, boxes) in samples.iter_mut().enumerate() {
            let is_wrong = |found: &&Detection| !found.score.is_finite() || !found.corners.is_box();
            if let Some(&found) = boxes.iter().find(is_wrong) {
                return Err(WrongBox { sample, found });
            }
            boxes.sort_by(|one, other| other.score.total_cmp(&one.score));
        }
        Ok(Self(samples))
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True without samples.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The boxes of each sample.
    pub fn samples(&self) -> impl Iterator<Item = &[Detection]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// The boxes of a sample; none beyond the last one.
    pub fn of(&self, sample: usize) -> &[Detection] {
        self.0.get(sample).map_or(&[], Vec::as_slice)
    }

    /// Boxes of all samples.
    pub fn boxes(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(xmin: f32, ymin: f32, xmax: f32, ymax: f32) -> Corners {
        Corners { xmin, ymin, xmax, ymax }
    }

    #[test]
    fn overlap_is_the_shared_part_of_what_either_covers() {
        let square = at(0.0, 0.0, 2.0, 2.0);
        for (other, expected) in [
            (square, 1.0),
            (at(1.0, 0.0, 3.0, 2.0), 1.0 / 3.0),
            (at(0.5, 0.5, 1.5, 1.5), 0.25),
            (at(2.0, 0.0, 4.0, 2.0), 0.0),
            (at(5.0, 5.0, 6.0, 6.0), 0.0),
            (at(1.0, 1.0, 1.0, 1.0), 0.0),
        ] {
            assert!((square.overlap(&other) - expected).abs() < 1e-6, "{other:?}");
            assert_eq!(square.overlap(&other), other.overlap(&square));
        }
        let point = at(1.0, 1.0, 1.0, 1.0);
        assert_eq!(point.overlap(&point), 0.0, "no area is no number that is not one");
    }

    #[test]
    fn boxes_come_by_score_and_in_their_order() {
        let found = |class, score| Detection { class, score, corners: at(0.0, 0.0, 1.0, 1.0) };
        let boxes = vec![found(0, 0.25), found(1, 0.75), found(2, 0.25)];
        let detections = Detections::new(vec![boxes, vec![]]).expect("boxes");
        let classes: Vec<usize> = detections.of(0).iter().map(|found| found.class).collect();
        assert_eq!((classes, detections.of(1), detections.of(2)), (vec![1, 0, 2], &[][..], &[][..]));
        assert_eq!((detections.len(), detections.boxes()), (2, 3));
    }

    #[test]
    fn what_is_no_box_is_named() {
        let right = at(0.0, 0.0, 0.0, 1.0);
        for (corners, score, is_right) in [
            (right, 0.5, true),
            (right, f32::NAN, false),
            (at(0.0, f32::INFINITY, 1.0, f32::INFINITY), 0.5, false),
            (at(2.0, 0.0, 1.0, 1.0), 0.5, false),
            (at(0.0, 2.0, 1.0, 1.0), 0.5, false),
            (at(0.0, f32::NAN, 1.0, 1.0), 0.5, false),
        ] {
            let found = Detection { class: 0, score, corners };
            let made = Detections::new(vec![vec![], vec![found]]);
            assert_eq!(made.is_ok(), is_right, "{found:?}");
            let said = made.err().map(|error| error.to_string());
            assert!(said.is_none_or(|said| said.ends_with("in item 2")), "{found:?}");
        }
    }
}
