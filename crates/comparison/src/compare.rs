//! Two answers to the same samples, measured by task: classes, values and features here, the others in files of their own.

use dede_model::outputs::Outputs;

use super::detections::detections;
use super::difference::{Difference, FARTHEST, Measured, gap, incomparable};
use super::masks::masks;
use super::matching::{Aligned, Matching};
use super::tensors::tensors;
use super::tolerance::Tolerance;

/// Classes whose set is compared, besides the first one.
const TOP: usize = 5;

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
            (Outputs::Detection(old), Outputs::Detection(new)) => {
                each(&|index| detections(self, old.of(index), new.of(index), tolerance))
            }
            (Outputs::Segmentation(old), Outputs::Segmentation(new)) => {
                each(&|index| masks(self, &old.samples()[index], &new.samples()[index], tolerance))
            }
            (Outputs::Features(old), Outputs::Features(new)) => {
                each(&|index| features(old.row(index), new.row(index), tolerance))
            }
            (Outputs::Tensors(old), Outputs::Tensors(new)) => each(&|_| tensors(old, new, tolerance)),
            (
                Outputs::Classification(_)
                | Outputs::Regression(_)
                | Outputs::Detection(_)
                | Outputs::Segmentation(_)
                | Outputs::Features(_)
                | Outputs::Tensors(_),
                Outputs::Classification(_)
                | Outputs::Regression(_)
                | Outputs::Detection(_)
                | Outputs::Segmentation(_)
                | Outputs::Features(_)
                | Outputs::Tensors(_),
            ) => each(&|_| incomparable(Measured::Tasks)),
        })
    }
}

fn bit_equal(old: &[f32], new: &[f32]) -> bool {
    old.len() == new.len() && old.iter().zip(new).all(|(old, new)| old.to_bits() == new.to_bits())
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
