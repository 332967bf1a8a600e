//! Whether a network computes each item of a run alone, tried with generated items: their answers together and apart.
//!
//! It stands behind what is read in the file: a claim about some operator that is wrong shows here in the numbers, before a client's do.
//! What depends on others only for inputs of a kind that are not generated does not show. It must not know operators.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::time::Duration;

use super::engine::{Array, EngineError, Session, Width};
use super::runner::rows_of;

/// Numbers of items that are tried together, where they take little time.
const TOGETHER: [usize; 3] = [2, 3, 7];
/// An item that takes this long is tried with one other alone.
pub(super) const LONG: Duration = Duration::from_millis(300);
/// An item that takes less is tried with several numbers of others.
const SHORT: Duration = Duration::from_millis(5);
/// How far numbers of an item may be apart, as a share of the largest number of the output: batches of another size are summed in another
/// order.
const TOLERANCE: f32 = 2e-4;

/// A loaded network, and items to try it with.
pub(super) struct Tried<'t> {
    pub(super) session: &'t dyn Session,
    /// Makes the generated items of a range one array.
    pub(super) items: &'t dyn Fn(Range<usize>) -> Result<Array, EngineError>,
    /// Makes an array as long as a run has to be, where the network's file fixes that.
    pub(super) padded: &'t dyn Fn(Array) -> Result<Array, EngineError>,
    /// Time that an item takes.
    pub(super) item_time: Duration,
}

impl Tried<'_> {
    /// Whether items have the same answers in a run of several as alone. `fixed`: the number of items of each run, where the network's
    /// file fixes it. A run of several that fails has no answers.
    ///
    /// # Errors
    /// [`EngineError`] of an item alone.
    pub(super) fn are_apart(&self, fixed: Option<usize>) -> Result<bool, EngineError> {
        let sizes = match (fixed, self.item_time) {
            (Some(size), _) => vec![size],
            (None, time) if time >= LONG => vec![2],
            (None, time) if time >= SHORT => vec![3],
            (None, _) => TOGETHER.to_vec(),
        };
        let mut alone: BTreeMap<usize, Vec<Array>> = BTreeMap::new();
        for size in sizes.into_iter().filter(|&size| size > 1) {
            let Ok(together) = (self.items)(0..size).and_then(|batch| self.run(batch)) else { return Ok(false) };
            // The others are as the second.
            for place in [0, 1, size - 1] {
                let own = match alone.entry(place) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(free) => free.insert(self.run((self.items)(place..place + 1)?)?),
                };
                if !are_alike(own, &together, (place, size)) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn run(&self, batch: Array) -> Result<Vec<Array>, EngineError> {
        self.session.run(vec![(self.padded)(batch)?], Width::One)
    }
}

/// Whether the answers to an item alone are those in its place among `size`.
fn are_alike(alone: &[Array], together: &[Array], (place, size): (usize, usize)) -> bool {
    alone.iter().zip(together).all(|(alone, together)| {
        // An item alone may be padded to a run.
        let rows = if alone.shape() == together.shape() { size } else { 1 };
        let (own, among) = (rows_of(alone, 0, 1, rows), rows_of(together, place, 1, size));
        let (Ok(own), Ok(among)) = (own, among) else { return false };
        let most = TOLERANCE * largest(together.clone().into_tensor().values());
        are_close(own.into_tensor().values(), among.into_tensor().values(), most)
    })
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
