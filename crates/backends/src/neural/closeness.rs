//! How far apart answers to the same item may be when the same network is computed in another order.
//!
//! Each number of an answer has its own bound: by how much it differs between items, and by how much it moves where the item is changed a
//! little. A bound of the largest number alone would hide what becomes of a small number beside it. It must not know what is compared.

use super::engine::{Array, Values};

/// Each number of an item is changed by this share of itself, up or down.
const CHANGE: f32 = 1.0 / 4096.0;
/// Such a change stands for one rounding in each of some operators.
const ROUNDINGS: f32 = 4.0;

/// Shares by which numbers may be apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tolerance {
    /// Of the largest number of the answer, at most; and of how far a number is apart between items.
    share: f32,
    /// Of the number itself.
    own: f32,
}

impl Tolerance {
    /// Of numbers that are added up in another order.
    pub(super) const ORDER: Self = Self { share: 2e-4, own: 1e-5 };
    /// Of whole numbers that stand for others, which a small difference makes others.
    pub(super) const WHOLE: Self = Self { share: 0.05, own: 0.05 };
}

/// Answers to an item, and those to the same item changed a little, where the network took it.
#[derive(Clone, Copy)]
pub(super) struct Probe<'p> {
    pub(super) answers: &'p [Array],
    pub(super) changed: Option<&'p [Array]>,
}

/// How far the numbers of each output may be apart.
pub(super) struct Closeness {
    tolerance: Tolerance,
    /// For each output; `None` where answers have different lengths.
    bounds: Vec<Option<Vec<f32>>>,
}

impl Closeness {
    /// Measured by the answers to several items.
    pub(super) fn of(probes: &[Probe<'_>], tolerance: Tolerance) -> Self {
        let outputs = probes.first().map_or(0, |probe| probe.answers.len());
        let of_output = |output: usize| {
            let answers: Option<Vec<_>> = probes.iter().map(|probe| numbers(probe.answers.get(output)?)).collect();
            let changed = probes.iter().map(|probe| numbers(probe.changed?.get(output)?));
            bounds(&answers?, &changed.collect::<Vec<_>>(), tolerance)
        };
        Self { tolerance, bounds: (0..outputs).map(of_output).collect() }
    }

    /// Whether two answers of one output are the same, as far as another order of computing may change them.
    pub(super) fn are_alike(&self, output: usize, one: &Array, other: &Array) -> bool {
        let (Some(one), Some(other)) = (numbers(one), numbers(other)) else { return false };
        let most = self.tolerance.share * largest(&one);
        let own = self.bounds.get(output).and_then(Option::as_deref).filter(|own| own.len() == one.len());
        let bound = |place: usize| own.map_or(most, |own| own[place].min(most));
        let is_close = |(place, (one, other)): (usize, (&f32, &f32))| {
            one == other || (one.is_nan() && other.is_nan()) || (one - other).abs() <= bound(place)
        };
        one.len() == other.len() && one.iter().zip(&other).enumerate().all(is_close)
    }
}

/// An item changed so little that what is computed of it moves as roundings move it.
pub(super) fn changed(item: &Array) -> Option<Array> {
    // Fibonacci hashing (Knuth): any order of ups and downs will do.
    let is_up = |place: usize| (place as u32).wrapping_mul(2_654_435_769) >> 31 == 0;
    let values = match item.values() {
        Values::F32(values) => {
            let change = |(place, value): (usize, &f32)| value * if is_up(place) { 1.0 + CHANGE } else { 1.0 - CHANGE };
            Values::F32(values.iter().enumerate().map(change).collect())
        }
        Values::U8(values) => Values::U8(values.iter().map(|value| value ^ 1).collect()),
        Values::I8(_) | Values::I32(_) | Values::I64(_) | Values::Bool(_) => return None,
    };
    Array::new(item.shape().to_vec(), values).ok()
}

fn numbers(array: &Array) -> Option<Vec<f32>> {
    Some(array.clone().into_tensor().values().to_vec())
}

/// For each number how far it may be from its like, where all answers have the same length.
fn bounds(answers: &[Vec<f32>], changed: &[Option<Vec<f32>>], tolerance: Tolerance) -> Option<Vec<f32>> {
    let length = answers.first()?.len();
    if answers.iter().any(|answer| answer.len() != length) {
        return None;
    }
    let mut pairs = answers.iter().zip(changed);
    // What moved cannot be told of an item that the network takes no other way.
    let moved: Vec<_> = pairs.by_ref().filter_map(|(own, changed)| Some((own, changed.as_ref()?))).collect();
    if moved.is_empty() || moved.iter().any(|(own, changed)| own.len() != changed.len()) {
        return None;
    }
    let bound = |place: usize| {
        let finite = || answers.iter().map(|answer| answer[place]).filter(|number| number.is_finite());
        let (least, most) = finite()
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(least, most), number| (least.min(number), most.max(number)));
        let spread = (most - least).max(0.0);
        let movement = moved.iter().map(|(own, changed)| (own[place] - changed[place]).abs());
        let movement = movement.filter(|moved| moved.is_finite()).fold(0.0, f32::max);
        let own = finite().map(f32::abs).fold(0.0, f32::max);
        ROUNDINGS * movement + tolerance.share * spread + tolerance.own * own
    };
    Some((0..length).map(bound).collect())
}

/// The largest of finite numbers, by its size.
fn largest(values: &[f32]) -> f32 {
    values.iter().map(|value| value.abs()).filter(|value| value.is_finite()).fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(values: &[f32]) -> Array {
        Array::new(vec![1, values.len()], Values::F32(values.to_vec())).expect("fits")
    }

    /// Two items that differ by 1 in the first number and by 1e6 in the second.
    fn closeness(tolerance: Tolerance) -> Closeness {
        let answers = [[array(&[0.5, 4e6])], [array(&[1.5, 5e6])]];
        let changed = [[array(&[0.5001, 4.001e6])], [array(&[1.5003, 5.001e6])]];
        let probes: Vec<_> = answers
            .iter()
            .zip(&changed)
            .map(|(answers, changed)| Probe { answers: &answers[..], changed: Some(&changed[..]) })
            .collect();
        Closeness::of(&probes, tolerance)
    }

    #[test]
    fn a_small_number_beside_a_large_one_has_its_own_bound() {
        let closeness = closeness(Tolerance::ORDER);
        let alike = |other: &[f32]| closeness.are_alike(0, &array(&[0.5, 5e6]), &array(other));
        for (other, is_alike) in [
            ([0.5, 5e6], true),
            ([0.5005, 5e6 + 500.0], true),
            ([0.6, 5e6], false),
            ([0.0, 5e6], false),
            ([0.5, 5.1e6], false),
            ([f32::NAN, 5e6], false),
        ] {
            assert_eq!(alike(&other), is_alike, "{other:?}");
        }
    }

    #[test]
    fn no_bound_is_wider_than_a_share_of_the_largest_number() {
        let closeness = closeness(Tolerance::ORDER);
        assert!(!closeness.are_alike(0, &array(&[0.5, 1.0]), &array(&[0.5, 1.1])));
        assert!(!closeness.are_alike(0, &array(&[0.5, 1.0]), &array(&[0.5])));
    }

    #[test]
    fn answers_of_other_lengths_are_bound_by_the_largest_number_alone() {
        let (one, other) = ([array(&[1.0])], [array(&[1.0, 2.0])]);
        let probes = [Probe { answers: &one, changed: Some(&one) }, Probe { answers: &other, changed: Some(&other) }];
        let closeness = Closeness::of(&probes, Tolerance::ORDER);
        assert!(closeness.are_alike(0, &array(&[1.0, 0.0]), &array(&[1.0, 1e-4])));
        assert!(!closeness.are_alike(0, &array(&[1.0, 0.0]), &array(&[1.0, 1e-3])));
    }

    #[test]
    fn items_are_changed_a_little_and_up_and_down() {
        let changed = changed(&array(&[1.0; 16])).expect("floats").into_tensor();
        assert!(changed.values().iter().all(|value| (value - 1.0).abs() == CHANGE));
        assert!(changed.values().iter().any(|value| *value > 1.0) && changed.values().iter().any(|value| *value < 1.0));
    }
}
