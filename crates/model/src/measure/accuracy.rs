//! Accuracy among the k best classes, and cross entropy.

use super::{Classified, MeasureValues};

/// Writes `acc` (`best` 1) or `acc-k`; nothing where there are fewer classes.
pub(super) fn write(answers: &Classified<'_>, best: usize, values: &mut MeasureValues) {
    if best > answers.scores.row_len() {
        return;
    }
    let right = answers.samples().filter(|&(scores, class)| rank(scores, class) < best).count();
    let name = if best == 1 { "acc".to_owned() } else { format!("acc-{best}") };
    values.set(name, right as f64 / answers.classes.len() as f64);
}

/// How many classes come before `class`, best first; of equal scores the lower class comes first.
fn rank(scores: &[f32], class: usize) -> usize {
    let score = scores[class];
    let before = |(other, &value): (usize, &f32)| value > score || (value == score && other < class);
    scores.iter().enumerate().filter(|&entry| before(entry)).count()
}

/// The class with the highest score.
pub(super) fn predicted(scores: &[f32]) -> usize {
    let mut best = 0;
    for (class, &score) in scores.iter().enumerate() {
        if score > scores[best] {
            best = class;
        }
    }
    best
}

/// `mcll`: the mean of `-ln p(right class)`. JSON has no infinity, so that a probability of zero counts as the smallest
/// positive one.
pub(super) fn cross_entropy(answers: &Classified<'_>) -> f64 {
    let losses = answers.samples().map(|(scores, class)| -f64::from(scores[class].max(f32::MIN_POSITIVE)).ln());
    losses.sum::<f64>() / answers.classes.len() as f64
}
