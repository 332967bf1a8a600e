//! Measures of the order in which scores put the samples: area under the ROC curve, normalised Gini.

use super::Classified;
use super::accuracy::predicted;
use crate::tensor::Floats;

/// `auc`: the share of pairs of a sample of class 1 and another one in which the former has the higher score of class 1,
/// equal scores counting half (Mann and Whitney 1947). 1 where such pairs do not exist.
pub(super) fn area_under_curve(answers: &Classified<'_>) -> f64 {
    if answers.scores.row_len() < 2 {
        return 1.0;
    }
    let mut scored: Vec<(f32, bool)> = answers.samples().map(|(scores, class)| (scores[1], class == 1)).collect();
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let positives = scored.iter().filter(|(_, positive)| *positive).count() as f64;
    let negatives = scored.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return 1.0;
    }
    let (mut below, mut won) = (0.0, 0.0);
    for equal in scored.chunk_by(|a, b| a.0 == b.0) {
        let ours = equal.iter().filter(|(_, positive)| *positive).count() as f64;
        let theirs = equal.len() as f64 - ours;
        won += ours * (below + theirs / 2.0);
        below += theirs;
    }
    won / (positives * negatives)
}

/// `gini` of classes: two classes are ranked by the score of the second, more by the class predicted.
pub(super) fn gini_of_classes(answers: &Classified<'_>) -> f64 {
    let pairs = answers.samples().map(|(scores, class)| {
        let rank = if scores.len() == 2 { f64::from(scores[1]) } else { predicted(scores) as f64 };
        (class as f64, rank)
    });
    normalised_gini(&pairs.collect::<Vec<_>>())
}

/// `gini` of values: the first target counts.
pub(super) fn gini_of_values(outputs: &Floats, targets: &Floats) -> f64 {
    let first = |tensor: &Floats, row: usize| tensor.row(row).first().copied().map_or(0.0, f64::from);
    let pairs = (0..outputs.rows()).map(|row| (first(targets, row), first(outputs, row)));
    normalised_gini(&pairs.collect::<Vec<_>>())
}

/// Gini of the order of the predictions over Gini of the right order; 0 where all targets are equal. Pairs are (target,
/// prediction).
fn normalised_gini(pairs: &[(f64, f64)]) -> f64 {
    let best: Vec<(f64, f64)> = pairs.iter().map(|&(target, _)| (target, target)).collect();
    let possible = gini(&best);
    if possible == 0.0 || !possible.is_finite() { 0.0 } else { gini(pairs) / possible }
}

/// Mean distance between the cumulated share of the targets, highest prediction first, and that of the samples.
fn gini(pairs: &[(f64, f64)]) -> f64 {
    let mut sorted = pairs.to_vec();
    sorted.sort_by(|a, b| b.1.total_cmp(&a.1));
    let total: f64 = sorted.iter().map(|(target, _)| target).sum();
    if total == 0.0 {
        return 0.0;
    }
    let count = sorted.len() as f64;
    let (mut cumulated, mut distance) = (0.0, 0.0);
    for (rank, (target, _)) in sorted.iter().enumerate() {
        cumulated += target / total;
        distance += cumulated - (rank + 1) as f64 / count;
    }
    // What rounding leaves of equal targets is no order.
    if distance.abs() < 1e-12 * count { 0.0 } else { distance / count }
}
