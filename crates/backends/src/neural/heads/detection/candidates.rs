//! The boxes of each class that are looked at, as Caffe's DetectionOutput chooses them: those of enough score, the best first.
//!
//! It owns which scores count, and the order of equal ones. It must not know where boxes are.

use std::cmp::Ordering;

/// A box of a class, as long as it is one of the best.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub(super) score: f32,
    /// Its place among all boxes.
    pub(super) place: u32,
}

/// The scores of one image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scores<'a> {
    /// `[boxes, classes]`.
    pub(super) scores: &'a [f32],
    /// Number of classes, at least one.
    pub(super) classes: usize,
    /// The class that is no detection.
    pub(super) background: Option<usize>,
    /// `[boxes, 2]`, the second of which says that there is an object, and how high it has to be: in other boxes class 0 has score 1, and
    /// the others have 0. `None`: there may be an object in each.
    pub(super) objects: Option<(&'a [f32], f32)>,
    /// Scores up to it do not count.
    pub(super) threshold: Option<f32>,
    /// Nor do those below this one.
    pub(super) least: f32,
}

impl Scores<'_> {
    /// How many boxes of each class count.
    pub(super) fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        self.each(|class, _| counts[class] += 1);
        counts
    }

    /// The boxes of each class that count, as many as `counts` says: at most `most` of them, the best first, and equal ones in the order
    /// of their places.
    pub(super) fn best(&self, counts: &[usize], most: Option<usize>) -> Vec<Vec<Candidate>> {
        let mut classes: Vec<Vec<Candidate>> = counts.iter().map(|&count| Vec::with_capacity(count)).collect();
        self.each(|class, candidate| classes[class].push(candidate));
        for class in &mut classes {
            if let Some(most) = most.filter(|&most| most < class.len()) {
                class.select_nth_unstable_by(most, better);
                class.truncate(most);
            }
            class.sort_unstable_by(better);
        }
        classes
    }

    fn each(&self, mut take: impl FnMut(usize, Candidate)) {
        let Self { scores, classes, background, objects, threshold, least } = *self;
        let mut empty = vec![0.0; classes];
        empty[0] = 1.0;
        let threshold = threshold.unwrap_or(f32::NEG_INFINITY);
        for (place, row) in (0_u32..).zip(scores.chunks_exact(classes)) {
            let is_empty = objects.is_some_and(|(objects, least)| {
                let of_place = objects.as_chunks::<2>().0.get(place as usize);
                of_place.is_none_or(|&[_, object]| object < least)
            });
            let row = if is_empty { &empty } else { row };
            for (class, &score) in row.iter().enumerate() {
                if score > threshold && score >= least && Some(class) != background {
                    take(class, Candidate { score, place });
                }
            }
        }
    }
}

/// The better one first, of equal ones that of the lower place.
fn better(one: &Candidate, other: &Candidate) -> Ordering {
    let by_score = other.score.partial_cmp(&one.score).unwrap_or(Ordering::Equal);
    by_score.then(one.place.cmp(&other.place))
}

/// Leaves the best `most` of all classes together, of equal ones those of lower classes and then places. Each class has its best first.
pub(super) fn cut_together(classes: &mut [Vec<Candidate>], most: usize) {
    let all = classes.iter().enumerate().flat_map(|(class, boxes)| boxes.iter().map(move |one| (one.score, class)));
    let mut all: Vec<(f32, usize)> = all.collect();
    if all.len() <= most {
        return;
    }
    all.sort_by(|one, other| other.0.partial_cmp(&one.0).unwrap_or(Ordering::Equal));
    let mut kept = vec![0; classes.len()];
    all.iter().take(most).for_each(|&(_, class)| kept[class] += 1);
    classes.iter_mut().zip(kept).for_each(|(boxes, kept)| boxes.truncate(kept));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three classes of four boxes.
    const SCORES: [f32; 12] = [0.1, 0.5, 0.4, 0.2, 0.2, 0.6, 0.3, 0.5, 0.2, 0.9, 0.0, 0.1];

    fn places(scores: Scores<'_>, most: Option<usize>) -> Vec<Vec<u32>> {
        let counts = scores.counts();
        let found = scores.best(&counts, most);
        assert_eq!(scores.best(&counts, None).iter().map(Vec::len).collect::<Vec<_>>(), counts);
        found.iter().map(|class| class.iter().map(|one| one.place).collect()).collect()
    }

    #[test]
    fn the_best_of_each_class_come_first_and_equal_ones_in_their_order() {
        let all =
            Scores { scores: &SCORES, classes: 3, background: Some(0), objects: None, threshold: None, least: 0.0 };
        let objects = [0.9, 0.1, 0.2, 0.8, 0.5, 0.5, 0.8, 0.2];
        for (scores, most, expected) in [
            (all, None, vec![vec![], vec![0, 2, 1, 3], vec![1, 0, 2, 3]]),
            (all, Some(2), vec![vec![], vec![0, 2], vec![1, 0]]),
            (all, Some(9), vec![vec![], vec![0, 2, 1, 3], vec![1, 0, 2, 3]]),
            (Scores { background: None, ..all }, None, vec![vec![3, 2, 1, 0], vec![0, 2, 1, 3], vec![1, 0, 2, 3]]),
            // A threshold is above what counts, and the least score is the least that does.
            (Scores { threshold: Some(0.2), ..all }, None, vec![vec![], vec![0, 2], vec![1, 0]]),
            (Scores { least: 0.2, ..all }, None, vec![vec![], vec![0, 2, 1], vec![1, 0, 2]]),
            // Nothing is in the first and the last box: their scores are 1, 0, 0.
            (
                Scores { objects: Some((&objects, 0.5)), background: None, ..all },
                None,
                vec![vec![0, 3, 2, 1], vec![2, 1, 0, 3], vec![1, 2, 0, 3]],
            ),
            (
                Scores { objects: Some((&objects, 0.5)), threshold: Some(0.0), ..all },
                None,
                vec![vec![], vec![2, 1], vec![1, 2]],
            ),
        ] {
            assert_eq!(places(scores, most), expected, "{scores:?} {most:?}");
        }
    }

    #[test]
    fn the_best_of_all_classes_are_left() {
        let one = |score, place| Candidate { score, place };
        let classes = || vec![vec![one(0.9, 4), one(0.5, 1)], vec![one(0.7, 0), one(0.5, 2), one(0.1, 3)], vec![]];
        for (most, expected) in
            [(9, [2, 3, 0]), (5, [2, 3, 0]), (4, [2, 2, 0]), (3, [2, 1, 0]), (2, [1, 1, 0]), (0, [0; 3])]
        {
            let mut classes = classes();
            cut_together(&mut classes, most);
            assert_eq!(classes.iter().map(Vec::len).collect::<Vec<_>>(), expected, "{most}");
        }
    }
}
