//! Whether a network computes each item of a run alone, tried with generated items: their answers together and apart.
//!
//! It stands behind what is read in the file: a claim about some operator that is wrong shows here in the numbers, before a client's do.
//! What depends on others only for inputs of a kind that are not generated does not show. It must not know operators.

use std::time::Duration;

use super::engine::{Array, EngineError, Session, Width};
use super::runner::{join, rows_of};

/// Numbers of items that are tried together, where they take little time.
const TOGETHER: [usize; 3] = [2, 3, 7];
/// An item that takes this long is tried with one other alone.
pub(super) const LONG: Duration = Duration::from_millis(300);
/// An item that takes less is tried with several numbers of others.
const SHORT: Duration = Duration::from_millis(5);
/// Items of so many numbers are tried two at a time: several take more memory than a run has to.
const LARGE: usize = 4 << 20;
/// How far numbers of an item may be apart, as a share of the largest number of the output: batches of another size are summed in another
/// order.
const TOLERANCE: f32 = 2e-4;
/// The same of networks that compute with whole numbers, which a small difference makes others.
pub(super) const COARSE: f32 = 0.05;

/// A loaded network, and items to try it with.
pub(super) struct Tried<'t> {
    pub(super) session: &'t dyn Session,
    /// Makes a generated item an input.
    pub(super) item: &'t dyn Fn(usize) -> Result<Array, EngineError>,
    /// Items of each run, where the network's file fixes them.
    pub(super) fixed: Option<usize>,
    /// Whether the network computes with whole numbers.
    pub(super) is_coarse: bool,
}

/// An item, and its answers alone.
pub(super) struct Alone {
    item: Array,
    answers: Vec<Array>,
}

/// The answers of items alone.
pub(super) fn answers(alone: Vec<Alone>) -> Vec<Vec<Array>> {
    alone.into_iter().map(|alone| alone.answers).collect()
}

impl Tried<'_> {
    /// Items that the network takes, alone: not all take any number. `item_time` is how long one takes.
    pub(super) fn alone(&self, item_time: Duration) -> Vec<Alone> {
        let most = match item_time {
            time if time >= LONG => TOGETHER[0],
            time if time >= SHORT => TOGETHER[1],
            _ => TOGETHER[2],
        };
        let mut found: Vec<Alone> = Vec::new();
        for number in 0..TOGETHER[2] {
            let is_large = found.first().is_some_and(|first| first.item.values().len() > LARGE);
            if found.len() >= if is_large { TOGETHER[0] } else { most } {
                break;
            }
            let Ok(item) = (self.item)(number) else { continue };
            let alone = item.clone().padded(self.fixed.unwrap_or(1)).and_then(|item| self.run(item));
            let rows = self.fixed.unwrap_or(1);
            let own = alone.and_then(|all| all.iter().map(|output| rows_of(output, 0, 1, rows)).collect());
            found.extend(own.ok().map(|answers| Alone { item, answers }));
        }
        found
    }

    /// Whether items have the same answers in a run of several as alone. A run of several that fails has no answers.
    pub(super) fn are_apart(&self, alone: &[Alone]) -> bool {
        let mut sizes = TOGETHER.into_iter().filter(|&size| size <= alone.len());
        let sizes: Vec<usize> = match self.fixed {
            Some(size) => vec![size],
            // A long one is tried once.
            None if alone.len() < TOGETHER[2] => sizes.next_back().into_iter().collect(),
            None => sizes.collect(),
        };
        let is_tried = |size: &usize| *size > 1 && alone.len() > 1;
        sizes.into_iter().filter(is_tried).all(|size| {
            let items: Vec<Array> = alone.iter().cycle().take(size).map(|alone| alone.item.clone()).collect();
            let Ok(together) = join(&items).and_then(|items| self.run(items)) else { return false };
            let mut places = alone.iter().cycle().take(size).enumerate();
            places.all(|(place, alone)| self.are_alike(&alone.answers, &together, (place, size)))
        })
    }

    fn run(&self, batch: Array) -> Result<Vec<Array>, EngineError> {
        self.session.run(vec![batch], Width::One)
    }

    /// Whether the answers to an item alone are those in its place among `size`.
    fn are_alike(&self, alone: &[Array], together: &[Array], (place, size): (usize, usize)) -> bool {
        let tolerance = if self.is_coarse { COARSE } else { TOLERANCE };
        alone.iter().zip(together).all(|(own, together)| {
            let Ok(among) = rows_of(together, place, 1, size) else { return false };
            let most = tolerance * largest(own.clone().into_tensor().values());
            are_close(own.clone().into_tensor().values(), among.into_tensor().values(), most)
        })
    }
}

/// Whether numbers are as many as others, and each of them as far from its like at most.
pub(super) fn are_close(one: &[f32], other: &[f32], most: f32) -> bool {
    let is_close =
        |(one, other): (&f32, &f32)| one == other || (one.is_nan() && other.is_nan()) || (one - other).abs() <= most;
    one.len() == other.len() && one.iter().zip(other).all(is_close)
}

/// The largest of finite numbers, by its size.
pub(super) fn largest(values: &[f32]) -> f32 {
    values.iter().map(|value| value.abs()).filter(|value| value.is_finite()).fold(0.0, f32::max)
}
