//! Average precision of boxes, as PASCAL VOC 2012 has it: the area under the precision of a class over its recall, where the precision at a
//! recall is the best at that or a higher one (Everingham et al., 2015, section 4.2), and false alarms.
//!
//! Boxes are taken by decreasing score over all images. One is right where the truth of its class that it overlaps most was not found
//! before and is overlapped by at least the threshold.

use std::collections::{BTreeMap, HashSet};

use super::MeasureValues;
use crate::data::TrueBox;
use crate::outputs::{Detection, Detections};

/// The threshold of `map`, hundredths.
const USUAL_THRESHOLD: u8 = 50;
/// Boxes of higher scores that are wrong are false alarms.
const SURE: f32 = 0.5;

/// What was found, beside what is there, image by image.
pub(super) struct Found<'a> {
    /// Boxes with the number of their image, by decreasing score; equal ones in their order.
    boxes: Vec<(usize, &'a Detection)>,
    truths: &'a [Vec<TrueBox>],
    /// Truths of each class, also of those of which something was found.
    counts: BTreeMap<usize, usize>,
}

impl<'a> Found<'a> {
    pub(super) fn new(found: &'a Detections, truths: &'a [Vec<TrueBox>]) -> Self {
        let images = found.samples().enumerate();
        let mut boxes: Vec<_> = images.flat_map(|(image, boxes)| boxes.iter().map(move |one| (image, one))).collect();
        boxes.sort_by(|one, other| other.1.score.total_cmp(&one.1.score));
        let mut counts: BTreeMap<usize, usize> = boxes.iter().map(|(_, found)| (found.class, 0)).collect();
        truths.iter().flatten().for_each(|truth| *counts.entry(truth.class).or_default() += 1);
        Self { boxes, truths, counts }
    }

    /// Writes `map` and `map-XX` of these thresholds in hundredths, of each class, and the false alarms at the first threshold; without
    /// thresholds `map` at the usual one alone.
    pub(super) fn write(&self, thresholds: &[u8], values: &mut MeasureValues) {
        let (thresholds, are_named) = match thresholds {
            [] => (&[USUAL_THRESHOLD][..], false),
            named => (named, true),
        };
        let mut sums: BTreeMap<usize, f64> = self.counts.keys().map(|class| (*class, 0.0)).collect();
        for threshold in thresholds {
            let (is_right, name) = (self.right(*threshold), format!("map-{threshold:02}"));
            let precisions = self.precisions(&is_right);
            if are_named {
                values.set(name.as_str(), mean(precisions.values()));
            }
            for (class, precision) in &precisions {
                if are_named {
                    values.set(format!("{name}_{class}"), *precision);
                }
                *sums.entry(*class).or_default() += precision / thresholds.len() as f64;
            }
            if thresholds.first() == Some(threshold) {
                self.write_alarms(&is_right, values);
            }
        }
        values.set("map", mean(sums.values()));
        sums.iter().for_each(|(class, precision)| values.set(format!("map_{class}"), *precision));
    }

    /// Which boxes are right.
    fn right(&self, threshold: u8) -> Vec<bool> {
        let least = f32::from(threshold) / 100.0;
        let mut taken: HashSet<(usize, usize)> = HashSet::new();
        let is_right = |(image, found): &(usize, &Detection)| {
            let truths = self.truths.get(*image).map_or(&[][..], Vec::as_slice).iter().enumerate();
            let own = truths.filter(|(_, truth)| truth.class == found.class);
            let overlaps = own.map(|(place, truth)| (place, truth.corners.overlap(&found.corners)));
            // The first of those that are overlapped as much.
            let best = overlaps.max_by(|one, other| one.1.total_cmp(&other.1).then(other.0.cmp(&one.0)));
            best.is_some_and(|(place, overlap)| overlap >= least && taken.insert((*image, place)))
        };
        self.boxes.iter().map(is_right).collect()
    }

    /// The average precision of each class.
    fn precisions(&self, is_right: &[bool]) -> BTreeMap<usize, f64> {
        let of_class = |(class, count): (&usize, &usize)| {
            let own = self.boxes.iter().zip(is_right).filter(|((_, found), _)| found.class == *class);
            (*class, average_precision(own.map(|(_, is_right)| *is_right), *count))
        };
        self.counts.iter().map(of_class).collect()
    }

    fn write_alarms(&self, is_right: &[bool], values: &mut MeasureValues) {
        let alarms: Vec<(usize, f64)> = self
            .counts
            .iter()
            .map(|(class, count)| {
                let is_alarm = |(found, is_right): &(&(usize, &Detection), &bool)| {
                    !**is_right && found.1.class == *class && found.1.score > SURE
                };
                let alarms = self.boxes.iter().zip(is_right).filter(is_alarm).count();
                (*class, if *count == 0 { 0.0 } else { alarms as f64 / *count as f64 })
            })
            .collect();
        values.set("fp", mean(alarms.iter().map(|(_, share)| share)));
        alarms.into_iter().for_each(|(class, share)| values.set(format!("fp_{class}"), share));
    }
}

/// The area under the precision over the recall, of boxes by decreasing score; 0 where there is no truth.
fn average_precision(is_right: impl Iterator<Item = bool>, truths: usize) -> f64 {
    if truths == 0 {
        return 0.0;
    }
    let (mut right, mut points) = (0.0, Vec::new());
    for (place, is_right) in is_right.enumerate() {
        right += if is_right { 1.0 } else { 0.0 };
        points.push((right / truths as f64, right / (place + 1) as f64));
    }
    let (mut area, mut best) = (0.0, 0.0_f64);
    for (place, (recall, precision)) in points.iter().enumerate().rev() {
        best = best.max(*precision);
        let before = if place == 0 { 0.0 } else { points[place - 1].0 };
        area += (recall - before) * best;
    }
    area
}

fn mean<'v>(values: impl ExactSizeIterator<Item = &'v f64>) -> f64 {
    let count = values.len();
    if count == 0 { 0.0 } else { values.sum::<f64>() / count as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outputs::Corners;

    fn corners([xmin, ymin, xmax, ymax]: [f32; 4]) -> Corners {
        Corners { xmin, ymin, xmax, ymax }
    }

    type Truth = (usize, usize, [f32; 4]);
    type Box = (usize, usize, [f32; 4], f32);

    fn measured(thresholds: &[u8], truths: &[Truth], boxes: &[Box]) -> MeasureValues {
        let images = 1 + truths.iter().map(|one| one.0).chain(boxes.iter().map(|one| one.0)).max().unwrap_or(0);
        let mut there = vec![Vec::new(); images];
        truths
            .iter()
            .for_each(|(image, class, at)| there[*image].push(TrueBox { class: *class, corners: corners(*at) }));
        let mut found = vec![Vec::new(); images];
        for (image, class, at, score) in boxes {
            found[*image].push(Detection { class: *class, score: *score, corners: corners(*at) });
        }
        let (found, mut values) = (Detections::new(found).expect("boxes"), MeasureValues::default());
        Found::new(&found, &there).write(thresholds, &mut values);
        values
    }

    const WHOLE: [f32; 4] = [0.0, 0.0, 10.0, 10.0];
    const AWAY: [f32; 4] = [20.0, 20.0, 30.0, 30.0];

    /// The cases of the original's own evaluation over whole data sets (`detection_map_v2_cases.json`).
    #[test]
    fn the_cases_of_the_original_have_its_values() {
        let row = |from: f32| [from, 0.0, from + 1.0, 1.0];
        let many: Vec<Truth> =
            std::iter::once((0, 1, WHOLE)).chain((0..9).map(|place| (1, 1, row(2.0 * place as f32)))).collect();
        let (left, right) = ((0, 1, WHOLE), (0, 1, [10.0, 0.0, 20.0, 10.0]));
        let cases: [(&str, Vec<Truth>, Vec<Box>, f64); 9] = [
            ("an early false positive", vec![left], vec![(0, 1, AWAY, 0.9), (0, 1, WHOLE, 0.8)], 0.5),
            ("one in an image without the class", vec![left], vec![(1, 1, WHOLE, 0.99), (0, 1, WHOLE, 0.9)], 0.5),
            ("truths of all images weigh alike", many, vec![(0, 1, WHOLE, 0.9)], 0.1),
            ("classes weigh alike", vec![left, (0, 2, AWAY)], vec![(0, 1, WHOLE, 0.9)], 0.5),
            ("by score", vec![left], vec![(0, 1, WHOLE, 0.2), (0, 1, WHOLE, 0.9)], 1.0),
            ("equal scores in order", vec![left], vec![(0, 1, AWAY, 0.9), (0, 1, WHOLE, 0.9)], 0.5),
            (
                "the first of truths that are overlapped as much",
                vec![left, right],
                vec![(0, 1, [0.0, 0.0, 20.0, 10.0], 0.9), (0, 1, WHOLE, 0.8)],
                0.5,
            ),
            ("no truth", vec![], vec![(0, 1, WHOLE, 0.9)], 0.0),
            ("nothing found", vec![left], vec![], 0.0),
        ];
        for (name, truths, boxes, expected) in cases {
            let values = measured(&[50], &truths, &boxes);
            let close = |key: &str| values.number(key).is_some_and(|found| (found - expected).abs() < 1e-12);
            assert!(close("map") && close("map-50"), "{name}: {values:?}");
        }
        let values = measured(&[5, 50, 90], &[left], &[(0, 1, [5.0, 5.0, 15.0, 15.0], 0.9)]);
        let numbers = ["map", "map-05", "map-50", "map-90"].map(|name| values.number(name));
        assert_eq!(numbers, [Some(1.0 / 3.0), Some(1.0), Some(0.0), Some(0.0)]);
    }

    /// Four truths and five boxes of one class, as in the original's unit test of torch: 5/12 at 0.5 and 1/4 at 0.9.
    #[test]
    fn the_unit_test_of_the_original_has_its_values() {
        let truths = [
            [10.0, 10.0, 100.0, 100.0],
            [200.0, 200.0, 300.0, 300.0],
            [400.0, 400.0, 500.0, 500.0],
            [600.0, 600.0, 700.0, 700.0],
        ];
        let truths: Vec<Truth> = truths.into_iter().map(|at| (0, 1, at)).collect();
        let boxes = vec![
            (0, 1, [10.0, 10.0, 100.0, 100.0], 0.9),
            (0, 1, [800.0, 800.0, 900.0, 900.0], 0.8),
            (0, 1, [200.0, 200.0, 300.0, 280.0], 0.7),
            (0, 1, [200.0, 200.0, 300.0, 300.0], 0.6),
            (0, 1, [400.0, 400.0, 410.0, 410.0], 0.5),
        ];
        let values = measured(&[50], &truths, &boxes);
        assert!((values.number("map-50").expect("measured") - 5.0 / 12.0).abs() < 1e-12, "{values:?}");
        let values = measured(&[90], &truths, &boxes[..3]);
        assert!((values.number("map-90").expect("measured") - 0.25).abs() < 1e-12, "{values:?}");
    }

    #[test]
    fn without_thresholds_one_is_usual_and_not_named() {
        let values = measured(&[], &[(0, 1, WHOLE), (0, 2, AWAY)], &[(0, 1, WHOLE, 0.9)]);
        let numbers = ["map", "map_1", "map_2", "map-50"].map(|name| values.number(name));
        assert_eq!(numbers, [Some(0.5), Some(1.0), Some(0.0), None]);
    }

    #[test]
    fn false_alarms_are_sure_and_wrong() {
        let values = measured(
            &[50],
            &[(0, 0, WHOLE), (0, 1, AWAY)],
            &[(0, 0, WHOLE, 0.9), (0, 0, AWAY, 0.8), (0, 0, AWAY, 0.5), (0, 2, AWAY, 0.9)],
        );
        let numbers = ["fp", "fp_0", "fp_1", "fp_2"].map(|name| values.number(name));
        assert_eq!(numbers, [Some(1.0 / 3.0), Some(1.0), Some(0.0), Some(0.0)]);
    }
}
