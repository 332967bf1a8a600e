//! Non-maximum suppression: of boxes of one class that overlap, the one of the highest score stays.
//!
//! It must not know where boxes come from.

use dede_model::outputs::{Corners, Detection};

/// The boxes that stay, in their order: each box of `found`, which is by decreasing score, that overlaps no box of its class that stays by
/// more than `most_overlap` (Jaccard index). Of equal scores the first one stays. For heads from outside of this crate, too.
pub fn suppressed(found: Vec<Detection>, most_overlap: f32) -> Vec<Detection> {
    let mut classes: Vec<usize> = found.iter().map(|one| one.class).collect();
    classes.sort_unstable();
    classes.dedup();
    let mut staying: Vec<Staying> = classes.iter().map(|_| Staying::default()).collect();
    let is_admitted = |one: &Detection| {
        let class = classes.binary_search(&one.class).ok().and_then(|class| staying.get_mut(class));
        class.is_some_and(|class| class.admits(one.corners, most_overlap))
    };
    found.into_iter().filter(is_admitted).collect()
}

/// The boxes of one class that stay: each coordinate beside those of the others, so that a processor compares several at once.
#[derive(Default)]
pub(super) struct Staying {
    xmin: Vec<f32>,
    ymin: Vec<f32>,
    xmax: Vec<f32>,
    ymax: Vec<f32>,
    area: Vec<f32>,
}

/// As one instruction, which `f32::max` is not: it looks for what is no number.
fn larger(one: f32, other: f32) -> f32 {
    if one > other { one } else { other }
}

/// As [`larger`].
fn smaller(one: f32, other: f32) -> f32 {
    if one < other { one } else { other }
}

/// Boxes that are compared before it is asked whether one of them may cover.
const AT_ONCE: usize = 64;
/// What a product instead of a quotient may be wrong by, and more.
const ROUNDING: f32 = 1e-5;

impl Staying {
    /// Adds a box unless one that stays overlaps it by more than that.
    pub(super) fn admits(&mut self, one: Corners, most_overlap: f32) -> bool {
        let (area, nearly) = (one.area(), most_overlap * (1.0 - ROUNDING));
        let sides = self.xmin.chunks(AT_ONCE).zip(self.xmax.chunks(AT_ONCE));
        let heights = self.ymin.chunks(AT_ONCE).zip(self.ymax.chunks(AT_ONCE)).zip(self.area.chunks(AT_ONCE));
        for ((xmin, xmax), ((ymin, ymax), areas)) in sides.zip(heights) {
            let mut may_cover = false;
            for ((xmin, xmax), ((ymin, ymax), other)) in xmin.iter().zip(xmax).zip(ymin.iter().zip(ymax).zip(areas)) {
                let width = larger(smaller(*xmax, one.xmax) - larger(*xmin, one.xmin), 0.0);
                let height = larger(smaller(*ymax, one.ymax) - larger(*ymin, one.ymin), 0.0);
                let shared = width * height;
                // Boxes that share nothing overlap by 0, whatever their areas are.
                may_cover |= (shared > nearly * (area + other - shared)) & (shared > 0.0);
            }
            if may_cover {
                let corners = xmin.iter().zip(ymin).zip(xmax.iter().zip(ymax));
                let mut others = corners.map(|((&xmin, &ymin), (&xmax, &ymax))| Corners { xmin, ymin, xmax, ymax });
                if others.any(|other| other.overlap(&one) > most_overlap) {
                    return false;
                }
            }
        }
        self.xmin.push(one.xmin);
        self.ymin.push(one.ymin);
        self.xmax.push(one.xmax);
        self.ymax.push(one.ymax);
        self.area.push(area);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_boxes_that_overlap_the_best_of_each_class_stays() {
        let at = |class, score, xmin: f32| {
            let corners = Corners { xmin, ymin: 0.0, xmax: xmin + 10.0, ymax: 10.0 };
            Detection { class, score, corners }
        };
        let (best, near, far, other) = (at(0, 0.9, 0.0), at(0, 0.8, 2.0), at(0, 0.7, 6.0), at(1, 0.6, 0.0));
        for (most_overlap, stays) in [
            (0.5, vec![best, far, other]),
            // `far` overlaps `near`, which does not stay.
            (0.3, vec![best, far, other]),
            (0.2, vec![best, other]),
            (0.7, vec![best, near, far, other]),
            (1.0, vec![best, near, far, other]),
        ] {
            assert_eq!(suppressed(vec![best, near, far, other], most_overlap), stays, "{most_overlap}");
        }
        assert_eq!(suppressed(vec![best, best], 0.5), [best]);
        // Half of each, of three halves: not more than a third, as far as single precision goes.
        let half = at(0, 0.5, 5.0);
        assert_eq!(suppressed(vec![best, half], 1.0 / 3.0), [best, half]);
        assert_eq!(suppressed(vec![best, half], 0.333_333), [best]);
    }

    /// The boxes that stay, as they are defined.
    fn defined(found: &[Detection], most_overlap: f32) -> Vec<Detection> {
        let mut stays: Vec<Detection> = Vec::new();
        for one in found {
            let covers =
                |other: &Detection| other.class == one.class && other.corners.overlap(&one.corners) > most_overlap;
            if !stays.iter().any(covers) {
                stays.push(*one);
            }
        }
        stays
    }

    #[test]
    fn many_boxes_stay_as_they_are_defined_to() {
        let mut state = 7_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1_u64 << 24) as f32
        };
        let mut found: Vec<Detection> = (0..3000)
            .map(|place| {
                let (xmin, ymin) = (random() * 600.0, random() * 600.0);
                let corners = Corners { xmin, ymin, xmax: xmin + random() * 200.0, ymax: ymin + random() * 200.0 };
                Detection { class: place % 5, score: random(), corners }
            })
            .collect();
        found.sort_by(|one, other| other.score.total_cmp(&one.score));
        let all = found.len();
        let stays = suppressed(found.clone(), 0.45);
        assert!(stays.len() > 100 && stays.len() < all, "{} of {all}", stays.len());
        assert_eq!(stays, defined(&found, 0.45));
    }
}
