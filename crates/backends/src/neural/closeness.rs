//! How far apart answers to the same item may be when the same network is computed in another order.
//!
//! Each number of an answer has its own bound: by how far it is from those of similar items, and by how much it moves where the item is
//! changed a little. A bound of the largest number alone would hide what becomes of a small number beside it. It must not know what is compared.

use dede_model::tensor::Floats;

use super::engine::{EngineError, Tensor, Values};

/// Each number of an item is changed by this share of itself, up or down.
const CHANGE: f32 = 1.0 / 4096.0;
/// Such a change stands for one rounding in each of some operators.
const ROUNDINGS: f32 = 4.0;
/// The distance to the how many-th nearest item counts.
const NEAR: usize = 3;
/// What is added to bounds where items are fewer than that, as a share of the largest number.
const FEW: f32 = 1e-5;
/// How items are changed.
const CHANGES: [Change; 2] = [Change::EachItsWay, Change::Alike];

/// Which way the numbers of an item go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// Some up and some down.
    EachItsWay,
    /// All up: what averages over many numbers moves, too.
    Alike,
}

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
    pub(super) const ORDER: Self = Self { share: 2e-4, own: 2e-6 };
    /// Of whole numbers that stand for others, which a small difference makes others.
    pub(super) const WHOLE: Self = Self { share: 0.05, own: 0.05 };
}

/// Answers to an item, and those to the same item changed a little, each time in another way; where the network took it.
pub(super) struct Probe {
    pub(super) answers: Vec<Tensor>,
    changed: Vec<Vec<Tensor>>,
}

impl Probe {
    /// Runs an item, and what it becomes by small changes.
    ///
    /// # Errors
    /// Those of `run` on the item itself.
    pub(super) fn of(
        item: &Tensor,
        run: &dyn Fn(Tensor) -> Result<Vec<Tensor>, EngineError>,
    ) -> Result<Self, EngineError> {
        let answers = run(item.clone())?;
        let changed = CHANGES.iter().filter_map(|change| run(changed(item, *change)?).ok()).collect();
        Ok(Self { answers, changed })
    }

    /// Of an item that takes too long to be run more than once.
    pub(super) fn once(answers: Vec<Tensor>) -> Self {
        Self { answers, changed: Vec::new() }
    }
}

/// How far the numbers of each item's answers may be apart.
pub(super) struct Closeness {
    tolerance: Tolerance,
    /// For each item and output; `None` where answers cannot be compared with those to other items.
    bounds: Vec<Vec<Option<Vec<f32>>>>,
    /// Whether all items have the same answers, whatever they are: they tell nothing then.
    pub(super) is_blind: bool,
}

impl Closeness {
    /// Measured by the answers to several items.
    pub(super) fn of(probes: &[&Probe], tolerance: Tolerance) -> Self {
        let outputs = probes.first().map_or(0, |probe| probe.answers.len());
        let all: Vec<_> = (0..outputs).map(|output| Measured::of(probes, output)).collect();
        let of_item = |item: usize| all.iter().map(|measured| measured.as_ref()?.bounds(item, tolerance)).collect();
        let is_blind = !all.is_empty() && all.iter().all(|measured| measured.as_ref().is_some_and(Measured::is_still));
        Self { tolerance, bounds: (0..probes.len()).map(of_item).collect(), is_blind }
    }

    /// Whether two answers of one output to an item are the same, as far as another order of computing may change them.
    pub(super) fn are_alike(&self, (item, output): (usize, usize), one: &Tensor, other: &Tensor) -> bool {
        let (one, other) = (numbers(one), numbers(other));
        let most = self.tolerance.share * largest(&one);
        let own = self.bounds.get(item).and_then(|outputs| outputs.get(output)).and_then(Option::as_deref);
        let own = own.filter(|own| own.len() == one.len() && !self.is_blind);
        let bound = |place: usize| own.map_or(most, |own| own[place].min(most));
        let is_close = |(place, (one, other)): (usize, (&f32, &f32))| {
            one == other || (one.is_nan() && other.is_nan()) || (one - other).abs() <= bound(place)
        };
        one.len() == other.len() && one.iter().zip(&other).enumerate().all(is_close)
    }
}

/// An item changed so little that what is computed of it moves as roundings move it.
fn changed(item: &Tensor, change: Change) -> Option<Tensor> {
    let is_up = |place: usize| match change {
        Change::Alike => true,
        // Fibonacci hashing (Knuth): any order of ups and downs will do.
        Change::EachItsWay => (place as u32).wrapping_mul(2_654_435_769) >> 31 == 0,
    };
    #[expect(clippy::wildcard_enum_match_arm, reason = "no other number changes by so little")]
    let values = match item.values() {
        Values::F32(values) => {
            let change = |(place, value): (usize, &f32)| value * if is_up(place) { 1.0 + CHANGE } else { 1.0 - CHANGE };
            Values::F32(values.iter().enumerate().map(change).collect())
        }
        // No byte changes by less.
        Values::U8(values) if change == Change::EachItsWay => {
            Values::U8(values.iter().map(|value| value ^ 1).collect())
        }
        _ => return None,
    };
    Tensor::new(item.shape().to_vec(), values).ok()
}

/// Whether each number is apart from the other's by that share of the largest at most.
pub(super) fn are_within(share: f32, one: &Tensor, other: &Tensor) -> bool {
    let (one, other) = (numbers(one), numbers(other));
    let most = share * largest(&one);
    let is_close =
        |(one, other): (&f32, &f32)| one == other || (one.is_nan() && other.is_nan()) || (one - other).abs() <= most;
    one.len() == other.len() && one.iter().zip(&other).all(is_close)
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.clone().into_floats().map(Floats::into_values).unwrap_or_default()
}

/// The numbers of one output for all items.
struct Measured {
    own: Vec<Vec<f32>>,
    /// How far each number moves by small changes of its item.
    moved: Vec<Vec<f32>>,
}

impl Measured {
    /// `None` where answers have different lengths, or no item could be changed.
    fn of(probes: &[&Probe], output: usize) -> Option<Self> {
        let own: Vec<Vec<f32>> =
            probes.iter().map(|probe| probe.answers.get(output).map(numbers)).collect::<Option<_>>()?;
        let length = own.first()?.len();
        let mut moved = Vec::new();
        for (probe, own) in probes.iter().zip(&own) {
            let mut most = vec![0.0_f32; length];
            for changed in &probe.changed {
                let changed = changed.get(output).map(numbers).filter(|changed| changed.len() == own.len())?;
                for (most, (own, changed)) in most.iter_mut().zip(own.iter().zip(&changed)) {
                    let by = (own - changed).abs();
                    *most = if by.is_finite() { most.max(by) } else { *most };
                }
            }
            moved.push(most);
        }
        let is_comparable =
            own.iter().all(|own| own.len() == length) && probes.iter().any(|probe| !probe.changed.is_empty());
        is_comparable.then_some(Self { own, moved })
    }

    /// How far each number of an item may be from its like.
    fn bounds(&self, item: usize, tolerance: Tolerance) -> Option<Vec<f32>> {
        let own = self.own.get(item)?;
        // Few items say little of how far a number goes.
        let least = if self.own.len() < NEAR { FEW * largest(own) } else { 0.0 };
        let bound = |(place, number): (usize, &f32)| {
            let movement = ROUNDINGS * self.moved[item][place];
            least + movement + tolerance.share * self.distance(item, place) + tolerance.own * number.abs()
        };
        Some(own.iter().enumerate().map(bound).collect())
    }

    /// How far a number is apart from that of most items that are near: some items are far stronger than others.
    fn distance(&self, item: usize, place: usize) -> f32 {
        let number = self.own[item][place];
        let others = self.own.iter().enumerate().filter(|(other, _)| *other != item);
        let mut distances: Vec<f32> = others.map(|(_, other)| (other[place] - number).abs()).collect();
        distances.retain(|distance| distance.is_finite());
        distances.sort_unstable_by(f32::total_cmp);
        distances.get(NEAR - 1).or(distances.last()).copied().unwrap_or(0.0)
    }

    /// Whether no number differs between items, nor moves.
    fn is_still(&self) -> bool {
        let first = self.own.first();
        self.own.iter().all(|own| first.is_some_and(|first| are_same(own, first)))
            && self.moved.iter().flatten().all(|moved| *moved == 0.0)
    }
}

fn are_same(one: &[f32], other: &[f32]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one == other || one.is_nan() && other.is_nan())
}

/// The largest of finite numbers, by its size.
fn largest(values: &[f32]) -> f32 {
    values.iter().map(|value| value.abs()).filter(|value| value.is_finite()).fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(values: &[f32]) -> Tensor {
        Tensor::new(vec![1, values.len()], Values::F32(values.to_vec())).expect("fits")
    }

    /// What a network makes of items of one number: the number times 1, and a million times as much.
    fn closeness(items: &[f32]) -> Closeness {
        let run = |item: Tensor| {
            let number = numbers(&item)[0];
            Ok(vec![array(&[number + 0.1, 1e6 * number])])
        };
        let probes: Vec<Probe> = items.iter().map(|item| Probe::of(&array(&[*item]), &run).expect("it runs")).collect();
        Closeness::of(&probes.iter().collect::<Vec<_>>(), Tolerance::ORDER)
    }

    #[test]
    fn a_small_number_beside_a_large_one_has_its_own_bound() {
        let closeness = closeness(&[0.5, 1.5, 2.0]);
        for (other, is_alike) in [
            ([0.6, 5e5], true),
            ([0.6005, 5e5 + 50.0], true),
            ([0.61, 5e5], false),
            ([0.0, 5e5], false),
            ([0.6, 5.1e5], false),
            ([f32::NAN, 5e5], false),
        ] {
            assert_eq!(closeness.are_alike((0, 0), &array(&[0.6, 5e5]), &array(&other)), is_alike, "{other:?}");
        }
    }

    #[test]
    fn a_strong_item_widens_no_bound_of_weak_ones() {
        let closeness = closeness(&[0.5, 1.5, 2.0, -1.0, 5000.0]);
        assert!(!closeness.are_alike((0, 0), &array(&[0.6, 5e5]), &array(&[0.62, 5e5])));
        assert!(closeness.are_alike((4, 0), &array(&[5000.0, 5e9]), &array(&[5001.0, 5e9])));
    }

    #[test]
    fn no_bound_is_wider_than_a_share_of_the_largest_number() {
        let closeness = closeness(&[0.5, 1.5]);
        assert!(!closeness.are_alike((0, 0), &array(&[0.5, 1.0]), &array(&[0.5, 1.1])));
        assert!(!closeness.are_alike((0, 0), &array(&[0.5, 1.0]), &array(&[0.5])));
    }

    #[test]
    fn answers_of_other_lengths_are_bound_by_the_largest_number_alone() {
        let run = |item: Tensor| Ok(vec![array(&vec![1.0; numbers(&item)[0] as usize])]);
        let probes = [1.0, 2.0].map(|item| Probe::of(&array(&[item]), &run).expect("it runs"));
        let closeness = Closeness::of(&probes.iter().collect::<Vec<_>>(), Tolerance::ORDER);
        assert!(closeness.are_alike((0, 0), &array(&[1.0, 0.0]), &array(&[1.0, 1e-4])));
        assert!(!closeness.are_alike((0, 0), &array(&[1.0, 0.0]), &array(&[1.0, 1e-3])));
    }

    #[test]
    fn answers_that_are_always_the_same_tell_nothing() {
        let run = |_: Tensor| Ok(vec![array(&[1.0, 0.0])]);
        let probes = [1.0, 2.0].map(|item| Probe::of(&array(&[item]), &run).expect("it runs"));
        assert!(Closeness::of(&probes.iter().collect::<Vec<_>>(), Tolerance::ORDER).is_blind);
        assert!(!closeness(&[0.5, 1.5]).is_blind);
    }

    #[test]
    fn items_are_changed_a_little() {
        for (change, downs) in [(Change::Alike, 0..=0), (Change::EachItsWay, 1..=15)] {
            let changed = numbers(&changed(&array(&[1.0; 16]), change).expect("floats"));
            assert!(changed.iter().all(|value| (value - 1.0).abs() == CHANGE));
            assert!(downs.contains(&changed.iter().filter(|value| **value < 1.0).count()), "{change:?}");
        }
    }
}
