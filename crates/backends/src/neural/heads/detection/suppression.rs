//! Non-maximum suppression: of boxes of one class that overlap, the one of the highest score stays.
//!
//! It must not know where boxes come from.

use std::collections::HashMap;

use dede_model::outputs::Detection;

/// The boxes that stay, in their order: each box of `found`, which is by decreasing score, that overlaps no box of its class that stays by
/// more than `most_overlap`. Of equal scores the first one stays.
pub(super) fn suppressed(found: Vec<Detection>, most_overlap: f32) -> Vec<Detection> {
    let mut by_class: HashMap<usize, Staying> = HashMap::new();
    found.into_iter().filter(|one| by_class.entry(one.class).or_default().admits(one, most_overlap)).collect()
}

/// The boxes of one class that stay: each coordinate beside those of the others, so that a processor compares several at once.
#[derive(Default)]
struct Staying {
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

/// Boxes that are compared before it is asked whether one of them covers.
const AT_ONCE: usize = 64;

impl Staying {
    /// Adds a box unless one that stays covers it.
    fn admits(&mut self, one: &Detection, most_overlap: f32) -> bool {
        let (corners, area) = (one.corners, one.corners.area());
        let sides = self.xmin.chunks(AT_ONCE).zip(self.xmax.chunks(AT_ONCE));
        let heights = self.ymin.chunks(AT_ONCE).zip(self.ymax.chunks(AT_ONCE)).zip(self.area.chunks(AT_ONCE));
        for ((xmin, xmax), ((ymin, ymax), areas)) in sides.zip(heights) {
            let mut is_covered = false;
            for ((xmin, xmax), ((ymin, ymax), other)) in xmin.iter().zip(xmax).zip(ymin.iter().zip(ymax).zip(areas)) {
                let width = larger(smaller(*xmax, corners.xmax) - larger(*xmin, corners.xmin), 0.0);
                let height = larger(smaller(*ymax, corners.ymax) - larger(*ymin, corners.ymin), 0.0);
                let shared = width * height;
                // Boxes that share nothing overlap by 0, whatever their areas are.
                is_covered |= (shared > most_overlap * (area + other - shared)) & (shared > 0.0);
            }
            if is_covered {
                return false;
            }
        }
        self.xmin.push(corners.xmin);
        self.ymin.push(corners.ymin);
        self.xmax.push(corners.xmax);
        self.ymax.push(corners.ymax);
        self.area.push(area);
        true
    }
}

#[cfg(test)]
mod tests {
    use dede_model::outputs::Corners;

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
