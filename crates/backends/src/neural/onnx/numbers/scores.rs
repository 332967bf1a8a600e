//! Whether numbers that were found to be scores look like probabilities all the same.
//!
//! Scores have no ends: for several samples of different strength some are below 0 or above 1. Where none is, it cannot be told. It must
//! not know how they were found to be scores.

use super::{EXACT, Exactness, STEP, are_shares};

/// Samples none of which has a score below 0 by chance.
const SEVERAL: usize = 4;
/// Numbers none of which, as a score, is below 0 or above 1 by chance.
const MANY: usize = 8;
/// How much less the sums of samples are apart than their numbers, where the sums are the same.
const STILL: f32 = 1e-3;

/// What makes scores look like probabilities, in words; `None` where they do not. `is_bent` says that something on the way may have ends.
pub(super) fn likeness(rows: &[&[f32]], exactness: Exactness, is_bent: bool) -> Option<&'static str> {
    let numbers = || rows.iter().flat_map(|row| row.iter().copied());
    // Where nothing was found, nothing is a probability either.
    if numbers().all(|number| number == 0.0) {
        return None;
    }
    let (count, is_exact) = (numbers().count(), exactness == Exactness::Exact);
    let beyond = if is_exact { EXACT } else { STEP };
    let are_all = rows.iter().all(|row| row.len() > 1 && are_shares(row, EXACT));
    // A class may be left out.
    let is_part = |row: &&[f32]| row.iter().sum::<f32>() <= 1.0 + exactness.of_parts(row.len());
    let are_parts = rows.len() >= SEVERAL && numbers().all(|number| number >= -EXACT) && rows.iter().all(is_part);
    if are_all || are_parts {
        return Some("numbers of each sample that sum to 1 or less, as probabilities do");
    }
    let are_within = numbers().all(|number| (-beyond..=1.0 + beyond).contains(&number));
    // A line that is cut at both ends reaches them.
    let is_reached = |end: f32| numbers().any(|number| (number - end).abs() <= EXACT);
    let has_ends = is_bent || is_reached(0.0) && is_reached(1.0);
    if are_within && has_ends && rows.len() > 1 && count >= MANY {
        return Some("numbers from 0 to 1 alone, as probabilities are");
    }
    (rows.len() >= SEVERAL && is_bent && are_of_one_whole(rows))
        .then_some("numbers of each sample that have the same sum")
}

/// Whether numbers that differ between samples, none of them below 0, add up to the same in each: shares of a whole that is not 1.
fn are_of_one_whole(rows: &[&[f32]]) -> bool {
    let spread = |numbers: &mut dyn Iterator<Item = f32>| {
        let ends =
            numbers.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), number| (low.min(number), high.max(number)));
        ends.1 - ends.0
    };
    let classes = rows.first().map_or(0, |row| row.len());
    let of_class = |class: usize| spread(&mut rows.iter().filter_map(|row| row.get(class).copied()));
    let apart = (0..classes).map(of_class).fold(0.0, f32::max);
    let sums = spread(&mut rows.iter().map(|row| row.iter().sum()));
    let never_negative = rows.iter().flat_map(|row| row.iter()).all(|number| *number >= -EXACT);
    classes > 1 && never_negative && apart > EXACT && sums <= STILL * apart
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rows: &[&[f32]], is_bent: bool) -> bool {
        likeness(rows, Exactness::Exact, is_bent).is_some()
    }

    #[test]
    fn scores_of_several_samples_are_not_all_parts_of_1() {
        let parts: [&[f32]; 4] = [&[0.5, 0.2], &[0.1, 0.9], &[0.3, 0.3], &[0.0, 0.4]];
        let scores: [&[f32]; 4] = [&[0.5, 0.2], &[0.1, 0.9], &[0.3, 0.3], &[-0.1, 0.4]];
        for is_bent in [false, true] {
            assert!(found(&parts, is_bent));
            assert!(!found(&scores, is_bent));
            assert!(!found(&[&[0.0, 0.0][..]; 4], is_bent));
        }
        // Weights of a file of 16 bits add up to 1 about.
        assert!(found(&[&[0.4, 0.602], &[0.1, 0.902], &[0.5, 0.502], &[0.0, 1.002]], false));
    }

    #[test]
    fn numbers_from_0_to_1_may_be_probabilities_where_something_has_ends() {
        let within: [&[f32]; 4] = [&[0.5, 0.9], &[0.8, 0.9], &[0.7, 0.6], &[0.2, 0.4]];
        assert!(found(&within, true));
        assert!(!found(&within, false));
        assert!(!found(&within[..2], true), "by chance");
        let mut beyond = within;
        beyond[2] = &[0.7, 1.1];
        assert!(!found(&beyond, true));
        beyond[2] = &[0.7, -0.1];
        assert!(!found(&beyond, true));
        // Two rectifiers cut a line at both ends.
        assert!(found(&[&[1.0, 0.9], &[0.8, 0.9], &[0.7, 0.6], &[0.0, 0.4]], false));
        assert!(!found(&[&[0.9, 0.9], &[0.8, 0.9], &[0.7, 0.6], &[0.0, 0.4]], false));
    }

    #[test]
    fn shares_of_another_whole_than_1_may_be_probabilities() {
        let percent: [&[f32]; 4] = [&[50.0, 50.0], &[10.0, 90.0], &[75.0, 25.0], &[0.0, 100.0]];
        assert!(found(&percent, true));
        assert!(!found(&[&[50.0, 51.0], percent[1], percent[2], percent[3]], true));
        assert!(!found(&[&[-50.0, 150.0], percent[1], percent[2], percent[3]], true));
        assert!(!found(&[&[3.0, 1.5][..]; 4], true), "the same for all samples");
    }
}
