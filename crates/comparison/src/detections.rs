//! Two sets of boxes in one image: which of them are the same, and how much of the scores is elsewhere.
//!
//! Boxes of one class that overlap by half are the same (PASCAL VOC), the best one first. A box counts as much as its score: what a
//! network is hardly sure of decides nothing.

use dede_model::outputs::Detection;

use super::difference::{Difference, Measured};
use super::matching::Matching;
use super::tolerance::Tolerance;

/// Least overlap of two boxes that are the same.
const SAME: f32 = 0.5;

/// Two boxes that are the same.
struct Pair<'a> {
    old: &'a Detection,
    new: &'a Detection,
    overlap: f32,
}

/// Compares what two models found in one image.
pub(super) fn detections(
    matching: &Matching,
    old: &[Detection],
    new: &[Detection],
    tolerance: &Tolerance,
) -> Difference {
    let pairs = pairs(matching, old, new);
    let score = |found: &Detection| f64::from(found.score).max(0.0);
    let shared: f64 = pairs.iter().map(|pair| score(pair.old).min(score(pair.new))).sum();
    let all: f64 = old.iter().chain(new).map(score).sum();
    let moved_score = if all > 0.0 { (1.0 - 2.0 * shared / all).clamp(0.0, 1.0) } else { 0.0 };
    let count = old.len() + new.len();
    let f1 = if count == 0 { 1.0 } else { 2.0 * pairs.len() as f64 / count as f64 };
    let least_overlap = pairs.iter().map(|pair| f64::from(pair.overlap)).fold(1.0, f64::min);
    Difference {
        measured: Measured::Detection { f1, moved_score, least_overlap },
        bit_equal: bit_equal(matching, old, new),
        agrees: moved_score <= tolerance.moved_score && least_overlap >= tolerance.least_overlap,
    }
}

/// The boxes that are the same, in the order of the old ones: each with the free one that it overlaps most.
fn pairs<'a>(matching: &Matching, old: &'a [Detection], new: &'a [Detection]) -> Vec<Pair<'a>> {
    let mut free: Vec<&Detection> = new.iter().collect();
    let mut pairs = Vec::with_capacity(old.len().min(new.len()));
    for one in old {
        let overlap = |other: &Detection| match one.corners == other.corners {
            // Also where neither has an area.
            true => 1.0,
            false => one.corners.overlap(&other.corners),
        };
        let same = free.iter().enumerate().filter(|(_, other)| matching.is_same(one.class, other.class));
        let nearest = same.map(|(place, other)| (place, overlap(other))).filter(|(_, overlap)| *overlap >= SAME);
        // The first of those that overlap as much, which has the higher score.
        let nearest = nearest.max_by(|one, other| one.1.total_cmp(&other.1).then(other.0.cmp(&one.0)));
        if let Some((place, overlap)) = nearest {
            pairs.push(Pair { old: one, new: free.remove(place), overlap });
        }
    }
    pairs
}

fn bit_equal(matching: &Matching, old: &[Detection], new: &[Detection]) -> bool {
    let bits = |found: &Detection| {
        let corners = found.corners;
        [found.score, corners.xmin, corners.ymin, corners.xmax, corners.ymax].map(f32::to_bits)
    };
    let is_equal =
        |(one, other): (&Detection, &Detection)| matching.is_same(one.class, other.class) && bits(one) == bits(other);
    old.len() == new.len() && old.iter().zip(new).all(is_equal)
}

#[cfg(test)]
mod tests {
    use dede_model::labels::Labels;
    use dede_model::outputs::Corners;

    use super::*;

    fn found(class: usize, score: f32, xmin: f32) -> Detection {
        Detection { class, score, corners: Corners { xmin, ymin: 0.0, xmax: xmin + 10.0, ymax: 10.0 } }
    }

    fn measured(old: &[Detection], new: &[Detection]) -> (f64, f64, f64, bool) {
        let difference = detections(&Matching::by_index(), old, new, &Tolerance::default());
        let Measured::Detection { f1, moved_score, least_overlap } = difference.measured else { panic!("of boxes") };
        assert_eq!(difference.distance(), moved_score);
        (f1, moved_score, least_overlap, difference.agrees)
    }

    #[test]
    fn boxes_of_one_class_that_overlap_are_the_same() {
        let (dog, cat) = (found(0, 0.9, 0.0), found(1, 0.9, 0.0));
        for (old, new, f1, moved, agrees) in [
            (vec![], vec![], 1.0, 0.0, true),
            (vec![dog], vec![dog], 1.0, 0.0, true),
            (vec![dog], vec![found(0, 0.9, 2.0)], 1.0, 0.0, true),
            (vec![dog], vec![found(0, 0.9, 6.0)], 0.0, 1.0, false),
            (vec![dog], vec![cat], 0.0, 1.0, false),
            (vec![dog], vec![], 0.0, 1.0, false),
            (vec![dog], vec![found(0, 0.45, 0.0)], 1.0, 1.0 / 3.0, false),
            // A box that is hardly sure weighs little.
            (vec![dog, found(0, 0.01, 50.0)], vec![dog], 2.0 / 3.0, 0.01 / 1.81, true),
            // One box answers for one only.
            (vec![dog, dog], vec![dog], 2.0 / 3.0, 1.0 / 3.0, false),
            (vec![dog, cat], vec![cat, dog], 1.0, 0.0, true),
        ] {
            let (found_f1, found_moved, _, found_agrees) = measured(&old, &new);
            assert!(
                (found_f1 - f1).abs() < 1e-6 && (found_moved - moved).abs() < 1e-6,
                "{old:?} {new:?}: {found_f1} {found_moved}"
            );
            assert_eq!(found_agrees, agrees, "{old:?} {new:?}");
        }
    }

    #[test]
    fn each_box_takes_the_one_that_is_nearest() {
        let old = [found(0, 0.9, 0.0), found(0, 0.8, 3.0)];
        let new = [found(0, 0.9, 3.0), found(0, 0.8, 0.0)];
        let (f1, moved, overlap, _) = measured(&old, &new);
        assert_eq!((f1, overlap), (1.0, 1.0));
        assert!((moved - 0.2 / 3.4).abs() < 1e-6, "{moved}");
    }

    #[test]
    fn classes_are_the_same_by_their_names() {
        let matching = Matching::by_name(&Labels::from_names(["dog", "cat"]), &Labels::from_names(["cat", "dog"]));
        let (old, new) = ([found(0, 0.9, 0.0)], [found(1, 0.9, 0.0)]);
        let difference = detections(&matching, &old, &new, &Tolerance::default());
        assert!(difference.bit_equal && difference.agrees);
        let other = detections(&matching, &old, &old, &Tolerance::default());
        assert!(!other.bit_equal && !other.agrees);
    }
}
