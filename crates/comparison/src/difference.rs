//! Two answers to the same sample, measured by task.

use std::fmt;

use dede_model::outputs::Outputs;
use serde::{Deserialize, Serialize};

use super::matching::{Aligned, Matching};
use super::tensors::tensors;
use super::tolerance::Tolerance;

/// Classes whose set is compared, besides the first one.
const TOP: usize = 5;
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
    /// One number to sort by, from 0 (the same) to 2: total variation, relative error, cosine distance, or 2 where answers cannot be
    /// compared.
    pub fn distance(&self) -> f64 {
        match self.measured {
            Measured::Classification { total_variation, .. } => total_variation,
            Measured::Regression { relative_error, .. } => relative_error,
            Measured::Features { cosine_distance, .. } => cosine_distance,
            Measured::Tensors { relative_error, .. } => relative_error,
            Measured::Lengths { .. } | Measured::Signatures | Measured::Tasks => FARTHEST,
        }
    }
}

/// The two models answered different numbers of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the old model answered {old} samples, the new one {new}")]
pub struct SamplesDiffer {
    /// Answers of the old model.
    pub old: usize,
    /// Answers of the new model.
    pub new: usize,
}

/// Compares answers to the same samples, one difference per sample; classes are matched by index.
///
/// # Errors
/// [`SamplesDiffer`].
pub fn compare(old: &Outputs, new: &Outputs, tolerance: &Tolerance) -> Result<Vec<Difference>, SamplesDiffer> {
    Matching::by_index().compare(old, new, tolerance)
}

impl Matching {
    /// Compares answers to the same samples, one difference per sample.
    ///
    /// # Errors
    /// [`SamplesDiffer`].
    pub fn compare(
        &self,
        old: &Outputs,
        new: &Outputs,
        tolerance: &Tolerance,
    ) -> Result<Vec<Difference>, SamplesDiffer> {
        let samples = old.len();
        if samples != new.len() {
            return Err(SamplesDiffer { old: samples, new: new.len() });
        }
        let each = |measure: &dyn Fn(usize) -> Difference| (0..samples).map(measure).collect();
        Ok(match (old, new) {
            (Outputs::Classification(old), Outputs::Classification(new)) => {
                each(&|index| classification(self, old.row(index), new.row(index), tolerance))
            }
            (Outputs::Regression(old), Outputs::Regression(new)) => {
                each(&|index| regression(old.row(index), new.row(index), tolerance))
            }
            (Outputs::Features(old), Outputs::Features(new)) => {
                each(&|index| features(old.row(index), new.row(index), tolerance))
            }
            (Outputs::Tensors(old), Outputs::Tensors(new)) => each(&|_| tensors(old, new, tolerance)),
            (
                Outputs::Classification(_) | Outputs::Regression(_) | Outputs::Features(_) | Outputs::Tensors(_),
                Outputs::Classification(_) | Outputs::Regression(_) | Outputs::Features(_) | Outputs::Tensors(_),
            ) => each(&|_| incomparable(Measured::Tasks)),
        })
    }
}

pub(super) fn incomparable(measured: Measured) -> Difference {
    Difference { measured, bit_equal: false, agrees: false }
}

fn bit_equal(old: &[f32], new: &[f32]) -> bool {
    old.len() == new.len() && old.iter().zip(new).all(|(old, new)| old.to_bits() == new.to_bits())
}

/// `|new - old|`; infinite when one of them is not finite and the other is something else.
pub(super) fn gap(old: f64, new: f64) -> f64 {
    if old == new || (old.is_nan() && new.is_nan()) {
        return 0.0;
    }
    let gap = (new - old).abs();
    if gap.is_nan() { f64::INFINITY } else { gap }
}

fn classification(matching: &Matching, old: &[f32], new: &[f32], tolerance: &Tolerance) -> Difference {
    let Some(Aligned { old: left, new: right }) = matching.align(old, new) else {
        return incomparable(Measured::Lengths { old: old.len(), new: new.len() });
    };
    let gaps = || left.iter().zip(right.iter()).map(|(old, new)| gap(f64::from(*old), f64::from(*new)));
    // Probabilities that sum to more than one (independent outputs) may move more than all of it.
    let total_variation = (gaps().sum::<f64>() / 2.0).min(1.0);
    let max_absolute = gaps().fold(0.0, f64::max).min(1.0);
    let k = TOP.min(left.len().saturating_sub(1)).max(1);
    let (best_old, best_new) = (best(&left, k), best(&right, k));
    let top_1 = best_old.first() == best_new.first();
    let in_no_order = |row: &[f32]| match (best_old.first(), best_new.first()) {
        (Some(&one), Some(&other)) => gap(f64::from(row[one]), f64::from(row[other])) <= tolerance.tie,
        (Some(_), None) | (None, Some(_)) | (None, None) => true,
    };
    let same_class = top_1 || in_no_order(&left) || in_no_order(&right);
    let top_k = top_1 && k == 1 || best_old.iter().all(|class| best_new.contains(class));
    Difference {
        measured: Measured::Classification { top_1, top_k, total_variation, max_absolute },
        bit_equal: bit_equal(&left, &right),
        agrees: same_class && total_variation <= tolerance.total_variation,
    }
}

/// The `k` most probable classes in the order in which they are answered: equal ones by ascending id.
fn best(probabilities: &[f32], k: usize) -> Vec<usize> {
    let mut ranked: Vec<usize> = (0..probabilities.len()).collect();
    let order = |a: &usize, b: &usize| probabilities[*b].total_cmp(&probabilities[*a]).then(a.cmp(b));
    if k < ranked.len() {
        ranked.select_nth_unstable_by(k - 1, order);
        ranked.truncate(k);
    }
    ranked.sort_unstable_by(order);
    ranked
}

fn regression(old: &[f32], new: &[f32], tolerance: &Tolerance) -> Difference {
    if old.len() != new.len() {
        return incomparable(Measured::Lengths { old: old.len(), new: new.len() });
    }
    let (mut relative_error, mut absolute_error) = (0.0_f64, 0.0_f64);
    for (&old, &new) in old.iter().zip(new) {
        let gap = gap(f64::from(old), f64::from(new));
        let size = f64::from(old).abs().max(f64::from(new).abs()).max(tolerance.absolute_floor);
        let relative = if gap == 0.0 { 0.0 } else { gap / size };
        relative_error = relative_error.max(if relative.is_finite() { relative } else { FARTHEST });
        absolute_error = absolute_error.max(gap).min(f64::MAX);
    }
    Difference {
        agrees: relative_error <= tolerance.relative_error,
        measured: Measured::Regression { relative_error, absolute_error },
        bit_equal: bit_equal(old, new),
    }
}

fn features(old: &[f32], new: &[f32], tolerance: &Tolerance) -> Difference {
    if old.len() != new.len() {
        return incomparable(Measured::Lengths { old: old.len(), new: new.len() });
    }
    let equal = old.iter().zip(new).all(|(old, new)| gap(f64::from(*old), f64::from(*new)) == 0.0);
    let (mut product, mut old_square, mut new_square) = (0.0, 0.0, 0.0);
    for (&old, &new) in old.iter().zip(new) {
        let (old, new) = (f64::from(old), f64::from(new));
        product += old * new;
        old_square += old * old;
        new_square += new * new;
    }
    let (old_norm, new_norm) = (old_square.sqrt(), new_square.sqrt());
    let (cosine_distance, norm_gap) = if equal {
        (0.0, 0.0)
    } else if !product.is_finite() || !old_norm.is_finite() || !new_norm.is_finite() {
        (FARTHEST, 1.0)
    } else if old_norm == 0.0 || new_norm == 0.0 {
        (1.0, 1.0)
    } else {
        let cosine_distance = (1.0 - product / (old_norm * new_norm)).clamp(0.0, FARTHEST);
        (cosine_distance, (new_norm - old_norm).abs() / old_norm.max(new_norm))
    };
    Difference {
        measured: Measured::Features { cosine_distance, norm_gap },
        bit_equal: bit_equal(old, new),
        agrees: cosine_distance <= tolerance.cosine_distance && norm_gap <= tolerance.norm_gap,
    }
}
