//! The class of each pixel, and confidences, from the numbers of one image.
//!
//! Works on some thousand pixels at a time, all classes of them, so that what is compared stays in the processor's cache. Of equal scores
//! the class of the lowest number wins, on every engine. It must not know requests nor memory: the caller counts it.

use dede_model::backend::OutputActivation;
use dede_model::outputs::Confidence;

/// Pixels that are looked at together: their scores, sums and classes take some 50 KB.
const TOGETHER: usize = 4096;
/// How far probabilities may be from a sum of 1.
const SUM_SLACK: f32 = 1e-2;

/// Classes, and a map for each of the confidences wanted.
pub(super) type Found = (Vec<u16>, Vec<Vec<f32>>);

/// The scores of one image: one map of `pixels` numbers after the other.
pub(super) struct Scores<'a> {
    pub(super) values: &'a [f32],
    pub(super) pixels: usize,
    /// What they went through; known where confidences are wanted.
    pub(super) activation: Option<OutputActivation>,
}

/// From scores of each class: the class of the highest one.
///
/// # Errors
/// A sentence on scores that are NaN, or no probabilities where they should be.
pub(super) fn from_scores(scores: &Scores<'_>, wanted: &[Confidence]) -> Result<Found, String> {
    let mut classes = Vec::with_capacity(scores.pixels);
    let mut maps: Vec<Vec<f32>> = wanted.iter().map(|_| Vec::with_capacity(scores.pixels)).collect();
    let mut best = [0.0_f32; TOGETHER];
    let mut best_class = [0_u32; TOGETHER];
    let mut sums = [0.0_f32; TOGETHER];
    for start in (0..scores.pixels).step_by(TOGETHER) {
        let count = TOGETHER.min(scores.pixels - start);
        let (best, best_class, sums) = (&mut best[..count], &mut best_class[..count], &mut sums[..count]);
        best.fill(f32::NEG_INFINITY);
        best_class.fill(0);
        let mut has_nan = false;
        for (class, map) in (0_u32..).zip(scores.maps()) {
            let scores = &map[start..start + count];
            for ((best, best_class), &score) in best.iter_mut().zip(best_class.iter_mut()).zip(scores) {
                let is_better = score > *best;
                has_nan |= score.is_nan();
                *best = if is_better { score } else { *best };
                *best_class = if is_better { class } else { *best_class };
            }
        }
        if has_nan {
            return Err("expected numbers for scores, found NaN".into());
        }
        // Classes are below 65,536, which is checked where the head is made.
        classes.extend(best_class.iter().map(|&class| class as u16));
        if wanted.is_empty() {
            continue;
        }
        sum(scores, start, best, sums)?;
        for (of, map) in wanted.iter().zip(&mut maps) {
            let probability = |score: f32, best: f32, sum: f32| match scores.activation {
                Some(OutputActivation::Logits) => (score - best).exp() / sum,
                Some(OutputActivation::LogSoftmax) => score.exp(),
                Some(OutputActivation::Softmax | OutputActivation::Sigmoid | OutputActivation::Heads) | None => score,
            };
            let beside = best.iter().zip(sums.iter());
            match of {
                Confidence::Best => map.extend(beside.map(|(&best, &sum)| probability(best, best, sum))),
                Confidence::Class(class) => {
                    let scores = scores.map(*class).get(start..start + count).unwrap_or_default();
                    let each = scores.iter().zip(beside);
                    map.extend(each.map(|(&score, (&best, &sum))| probability(score, best, sum)));
                }
            }
        }
    }
    Ok((classes, maps))
}

/// For scores without an activation, sums of `exp(score - best)` over the classes. Of probabilities, refuses those whose sum is not 1:
/// such went through a softmax over something else than the classes.
fn sum(scores: &Scores<'_>, start: usize, best: &[f32], sums: &mut [f32]) -> Result<(), String> {
    let value: fn(f32, f32) -> f32 = match scores.activation {
        Some(OutputActivation::Logits) => |score, best| (score - best).exp(),
        Some(OutputActivation::LogSoftmax) => |score, _| score.exp(),
        Some(OutputActivation::Softmax) => |score, _| score,
        Some(OutputActivation::Sigmoid | OutputActivation::Heads) | None => return Ok(()),
    };
    sums.fill(0.0);
    for map in scores.maps() {
        let each = sums.iter_mut().zip(&map[start..start + best.len()]).zip(best);
        each.for_each(|((sum, &score), &best)| *sum += value(score, best));
    }
    let is_probability = scores.activation != Some(OutputActivation::Logits);
    match sums.iter().find(|sum| is_probability && !(1.0 - SUM_SLACK..=1.0 + SUM_SLACK).contains(*sum)) {
        None => Ok(()),
        Some(sum) => {
            Err(format!("expected probabilities of a pixel that sum to 1 over the classes, found a sum of {sum}"))
        }
    }
}

/// From the number of a class for each pixel.
///
/// # Errors
/// A sentence on numbers that are no class.
pub(super) fn from_numbers(values: &[f32], classes: usize) -> Result<Vec<u16>, String> {
    let class = |&number: &f32| {
        let is_class = number.fract() == 0.0 && number >= 0.0 && (number as usize) < classes;
        is_class.then_some(number as u16).ok_or_else(|| {
            format!(
                "expected classes from 0 to {}, found {number} (nclasses, or output_format, says otherwise)",
                classes - 1
            )
        })
    };
    values.iter().map(class).collect()
}

/// From one score for each pixel: class 1 from one half on, of what is a probability, or becomes one.
///
/// # Errors
/// A sentence on scores that are NaN, or no probabilities where they should be.
pub(super) fn from_one_score(scores: &Scores<'_>, wanted: &[Confidence]) -> Result<Found, String> {
    let is_logit = scores.activation == Some(OutputActivation::Logits);
    let wrong = scores.values.iter().find(|score| score.is_nan() || !is_logit && !(0.0..=1.0).contains(*score));
    if let Some(wrong) = wrong {
        let expected = if is_logit { "numbers for scores" } else { "probabilities from 0 to 1" };
        return Err(format!("expected {expected}, found {wrong}"));
    }
    let least = if is_logit { 0.0 } else { 0.5 };
    let probability = |score: f32| if is_logit { 1.0 / (1.0 + (-score).exp()) } else { score };
    let classes = scores.values.iter().map(|&score| u16::from(score >= least)).collect();
    let map = |of: &Confidence| -> Vec<f32> {
        let each = scores.values.iter().map(|&score| probability(score));
        match of {
            Confidence::Best => each.map(|one| one.max(1.0 - one)).collect(),
            Confidence::Class(0) => each.map(|one| 1.0 - one).collect(),
            Confidence::Class(_) => each.collect(),
        }
    };
    Ok((classes, wanted.iter().map(map).collect()))
}

impl<'a> Scores<'a> {
    /// The map of each class.
    fn maps(&self) -> impl Iterator<Item = &'a [f32]> {
        self.values.chunks_exact(self.pixels.max(1))
    }

    /// The map of one class; nothing of one that is not there.
    fn map(&self, class: usize) -> &'a [f32] {
        self.maps().nth(class).unwrap_or_default()
    }
}
