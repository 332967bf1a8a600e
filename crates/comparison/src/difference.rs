//! How two answers to the same sample differ, in the terms of their task. It must not know how that is measured.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Distance of answers that cannot be compared: no measure gives more.
pub(super) const FARTHEST: f64 = 2.0;

/// How two answers to one sample differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// In the terms of the task.
    pub measured: Measured,
    /// Every bit of every value is the same.
    pub bit_equal: bool,
    /// Within the tolerance.
    pub agrees: bool,
}

/// The measures of each task. All are finite, also where answers are not: a value that is not finite on one side only is as far
/// away as can be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "lowercase")]
pub enum Measured {
    /// Probabilities.
    Classification {
        /// The same class is the most probable one.
        top_1: bool,
        /// The same classes are the five most probable ones (with five classes or fewer: all but the least probable one).
        top_k: bool,
        /// Half the sum of the differences of all probabilities: the share that moved, from 0 to 1.
        total_variation: f64,
        /// Largest difference of one probability.
        max_absolute: f64,
    },
    /// Values.
    Regression {
        /// Largest `|new - old| / max(|new|, |old|, floor)` over the targets, from 0 to 2.
        relative_error: f64,
        /// Largest `|new - old|` over the targets.
        absolute_error: f64,
    },
    /// Boxes.
    Detection {
        /// Twice the number of boxes that are the same (one class, half of what they cover), over the number of all.
        f1: f64,
        /// The share of all scores that is not in both answers, from 0 to 1.
        moved_score: f64,
        /// Least overlap of boxes that are the same (Jaccard index); 1 without any.
        least_overlap: f64,
    },
    /// Masks of one size.
    Segmentation {
        /// The share of the pixels that are of another class, from 0 to 1.
        moved_pixels: f64,
        /// Of each class that either mask has, the pixels that both give to it over those that either does (Jaccard index): the mean.
        mean_overlap: f64,
    },
    /// Vectors.
    Features {
        /// `1 - cosine`, from 0 to 2.
        cosine_distance: f64,
        /// `|‖new‖ - ‖old‖| / max(‖new‖, ‖old‖)`.
        norm_gap: f64,
    },
    /// Tensors of the same names, types and shapes.
    Tensors {
        /// Largest `|new - old|` of an output, as a share of the largest number of that output, from 0 to 2.
        relative_error: f64,
        /// Largest `|new - old|`.
        absolute_error: f64,
    },
    /// Tensors of other names, types or shapes.
    Signatures,
    /// Different numbers of classes, targets or values: one cannot stand for the other.
    Lengths {
        /// Values of the old answer.
        old: usize,
        /// Values of the new answer.
        new: usize,
    },
    /// Different tasks.
    Tasks,
}

/// For people: what is found in the new answer.
impl fmt::Display for Measured {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Classification { top_1, total_variation, .. } => {
                let best = if *top_1 { "the same best class" } else { "another best class" };
                write!(formatter, "{best}, {:.4} % of the probability elsewhere", total_variation * 100.0)
            }
            Self::Regression { relative_error, absolute_error } => {
                write!(formatter, "a value that is off by {absolute_error}, {:.4} % of it", relative_error * 100.0)
            }
            Self::Detection { f1, moved_score, least_overlap } => {
                write!(
                    formatter,
                    "boxes of which {:.2} % are the same, overlapping by {least_overlap:.4}, with {:.4} % of the scores elsewhere",
                    f1 * 100.0,
                    moved_score * 100.0
                )
            }
            Self::Segmentation { moved_pixels, mean_overlap } => {
                write!(
                    formatter,
                    "{:.4} % of the pixels of another class, classes overlapping by {mean_overlap:.4}",
                    moved_pixels * 100.0
                )
            }
            Self::Features { cosine_distance, norm_gap } => {
                write!(formatter, "a cosine distance of {cosine_distance:.6}, lengths {:.4} % apart", norm_gap * 100.0)
            }
            Self::Tensors { relative_error, absolute_error } => {
                write!(
                    formatter,
                    "numbers up to {absolute_error} apart, {:.4} % of the largest",
                    relative_error * 100.0
                )
            }
            Self::Signatures => formatter.write_str("tensors of other names, types or shapes"),
            Self::Lengths { old, new } => write!(formatter, "{new} values where {old} were recorded"),
            Self::Tasks => formatter.write_str("an answer of another kind"),
        }
    }
}

impl Difference {
    /// One number to sort by, from 0 (the same) to 2: total variation, relative error, share of scores or pixels,
    /// cosine distance, or 2 where answers cannot be
    /// compared.
    pub fn distance(&self) -> f64 {
        match self.measured {
            Measured::Classification { total_variation, .. } => total_variation,
            Measured::Regression { relative_error, .. } => relative_error,
            Measured::Detection { moved_score, .. } => moved_score,
            Measured::Segmentation { moved_pixels, .. } => moved_pixels,
            Measured::Features { cosine_distance, .. } => cosine_distance,
            Measured::Tensors { relative_error, .. } => relative_error,
            Measured::Lengths { .. } | Measured::Signatures | Measured::Tasks => FARTHEST,
        }
    }
}

pub(super) fn incomparable(measured: Measured) -> Difference {
    Difference { measured, bit_equal: false, agrees: false }
}

/// `|new - old|`; infinite when one of them is not finite and the other is something else.
pub(super) fn gap(old: f64, new: f64) -> f64 {
    if old == new || (old.is_nan() && new.is_nan()) {
        return 0.0;
    }
    let gap = (new - old).abs();
    if gap.is_nan() { f64::INFINITY } else { gap }
}
