//! Two masks of one image: the share of the pixels that are of another class, and how far the areas of the classes overlap.
//!
//! The share decides. The mean overlap counts a class of one pixel as much as one of a million, so that it only catches classes that got
//! lost.

use std::collections::HashMap;

use dede_model::outputs::Mask;

use super::difference::{Difference, Measured, incomparable};
use super::matching::Matching;
use super::tolerance::Tolerance;

/// Pixels of one class.
#[derive(Default, Clone, Copy)]
struct Pixels {
    old: u64,
    new: u64,
    both: u64,
}

/// Compares the masks of two models of one image.
pub(super) fn masks(matching: &Matching, old: &Mask, new: &Mask, tolerance: &Tolerance) -> Difference {
    if old.extent != new.extent {
        return incomparable(Measured::Lengths { old: old.classes.len(), new: new.classes.len() });
    }
    let places = Places::of(matching, old, new);
    let mut counts = vec![Pixels::default(); places.count];
    for (&one, &other) in old.classes.iter().zip(&new.classes) {
        let (one, other) = (places.old[usize::from(one)], places.new[usize::from(other)]);
        counts[one].old += 1;
        counts[other].new += 1;
        counts[one].both += u64::from(one == other);
    }
    let same: u64 = counts.iter().map(|pixels| pixels.both).sum();
    let moved_pixels = 1.0 - same as f64 / old.classes.len().max(1) as f64;
    let present = counts.iter().filter(|pixels| pixels.old + pixels.new > 0);
    let overlaps: Vec<f64> =
        present.map(|Pixels { old, new, both }| *both as f64 / (old + new - both) as f64).collect();
    let mean_overlap = overlaps.iter().sum::<f64>() / overlaps.len().max(1) as f64;
    Difference {
        measured: Measured::Segmentation { moved_pixels, mean_overlap },
        bit_equal: moved_pixels == 0.0 && confidences_are_equal(old, new),
        agrees: moved_pixels <= tolerance.moved_pixels && mean_overlap >= tolerance.least_mean_overlap,
    }
}

/// Confidences that only one of the masks has are none that differ: recorded ones may lack them.
fn confidences_are_equal(old: &Mask, new: &Mask) -> bool {
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    old.confidences.len() == new.confidences.len()
        && old.confidences.iter().zip(&new.confidences).all(|(one, other)| bits(&one.values) == bits(&other.values))
}

/// A place for each class of either model, where the same ones have one place.
struct Places {
    old: Vec<usize>,
    new: Vec<usize>,
    count: usize,
}

impl Places {
    fn of(matching: &Matching, old: &Mask, new: &Mask) -> Self {
        let classes = |mask: &Mask| mask.classes.iter().max().map_or(0, |most| usize::from(*most) + 1);
        let mut known: HashMap<usize, usize> = HashMap::new();
        let mut place = |class: usize| {
            let next = known.len();
            *known.entry(class).or_insert(next)
        };
        let of_old = (0..classes(old)).map(&mut place).collect();
        let of_new = (0..classes(new)).map(|class| place(matching.old_of(class))).collect();
        Self { old: of_old, new: of_new, count: known.len() }
    }
}

#[cfg(test)]
mod tests {
    use dede_model::labels::Labels;
    use dede_model::outputs::{Confidence, ConfidenceMap, Extent};

    use super::*;

    fn mask(classes: &[u16]) -> Mask {
        let extent = Extent { width: classes.len(), height: 1 };
        Mask { extent, original: extent, classes: classes.to_vec(), confidences: Vec::new() }
    }

    fn measured(matching: &Matching, old: &[u16], new: &[u16]) -> (f64, f64, bool, bool) {
        let difference = masks(matching, &mask(old), &mask(new), &Tolerance::default());
        let Measured::Segmentation { moved_pixels, mean_overlap } = difference.measured else { panic!("of masks") };
        assert_eq!(difference.distance(), moved_pixels);
        (moved_pixels, mean_overlap, difference.agrees, difference.bit_equal)
    }

    #[test]
    fn pixels_and_areas_are_compared() {
        let matching = Matching::by_index();
        let half = [[0_u16; 50], [1; 50]].concat();
        let with = |places: &[usize], class: u16| {
            let mut changed = half.clone();
            places.iter().for_each(|place| changed[*place] = class);
            changed
        };
        for (new, moved, overlap, agrees, equal) in [
            (half.clone(), 0.0, 1.0, true, true),
            (with(&[0], 1), 0.01, (49.0 / 50.0 + 50.0 / 51.0) / 2.0, true, false),
            // A pixel of a class that the other lacks.
            (with(&[0], 7), 0.01, (49.0 / 50.0 + 1.0) / 3.0, true, false),
            (with(&[0, 1, 2, 3, 4, 5], 1), 0.06, (44.0 / 50.0 + 50.0 / 56.0) / 2.0, false, false),
            (half.iter().map(|class| 1 - class).collect(), 1.0, 0.0, false, false),
        ] {
            let found = measured(&matching, &half, &new);
            assert!((found.0 - moved).abs() < 1e-9 && (found.1 - overlap).abs() < 1e-9, "{found:?}");
            assert_eq!((found.2, found.3), (agrees, equal));
        }
        let other_size = masks(&matching, &mask(&[0, 1]), &mask(&[0]), &Tolerance::default());
        assert_eq!(other_size.measured, Measured::Lengths { old: 2, new: 1 });
    }

    #[test]
    fn classes_are_the_same_by_their_names() {
        let labels = |names: &[&str]| Labels::from_names(names.iter().copied());
        let matching = Matching::by_name(&labels(&["road", "sky"]), &labels(&["sky", "tree", "road"]));
        for (old, new, moved) in [
            (&[0, 1, 0, 1][..], &[2, 0, 2, 0][..], 0.0),
            (&[0, 1, 0, 1], &[0, 2, 0, 2], 1.0),
            // The tree is none of the old classes, whatever number it has.
            (&[0, 1, 0, 1], &[2, 1, 2, 0], 0.25),
            // Numbers behind the names of both are the same.
            (&[5, 1, 0, 1], &[5, 0, 2, 0], 0.0),
            (&[2, 1, 0, 1], &[1, 0, 2, 0], 0.25),
        ] {
            assert_eq!(measured(&matching, old, new).0, moved, "{old:?} {new:?}");
        }
    }

    #[test]
    fn confidences_count_for_equal_bits_alone() {
        let sure = |value: f32| Mask {
            confidences: vec![ConfidenceMap { of: Confidence::Best, values: vec![value] }],
            ..mask(&[0])
        };
        for (old, new, equal) in [(sure(0.5), sure(0.5), true), (sure(0.5), sure(0.25), false)] {
            let difference = masks(&Matching::by_index(), &old, &new, &Tolerance::numerical());
            assert_eq!((difference.bit_equal, difference.agrees), (equal, true));
        }
    }
}
