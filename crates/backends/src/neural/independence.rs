//! Whether a network computes each item of a run alone, tried with generated items: their answers together and apart.
//!
//! It stands behind what is read in the file: a claim about some operator that is wrong shows here in the numbers, before a client's do.
//! What depends on others only for inputs of a kind that are not generated does not show. It must not know operators.

use std::time::Duration;

use super::closeness::{Closeness, Probe, Tolerance};
use super::engine::{EngineError, Parallelism, Session, Tensor};
use super::runner::{join, padded, rows_of};

/// Numbers of items that are tried together, where they take little time.
const TOGETHER: [usize; 3] = [2, 3, 7];
/// Items that take this long gain nothing by others in the same run.
pub(super) const LONG: Duration = Duration::from_millis(300);
/// An item that takes less is tried with several numbers of others.
const SHORT: Duration = Duration::from_millis(5);
/// Items of so many numbers are tried two at a time: several take more memory than a run has to.
const LARGE: usize = 4 << 20;
/// A loaded network, and items to try it with.
pub(super) struct Tried<'t> {
    pub(super) session: &'t dyn Session,
    /// Makes a generated item an input.
    pub(super) item: &'t dyn Fn(usize) -> Result<Tensor, EngineError>,
    /// Items of each run, where the network's file fixes them.
    pub(super) fixed: Option<usize>,
    /// Whether the network computes with whole numbers.
    pub(super) is_coarse: bool,
}

/// An item, and its answers alone.
pub(super) struct Alone {
    item: Tensor,
    probe: Probe,
}

/// The answers of items alone.
pub(super) fn answers(alone: Vec<Alone>) -> Vec<Vec<Tensor>> {
    alone.into_iter().map(|alone| alone.probe.answers).collect()
}

impl Tried<'_> {
    /// Items that the network takes, alone: not all take any number. `item_time` is how long one takes.
    pub(super) fn alone(&self, item_time: Duration) -> Vec<Alone> {
        let is_long = item_time >= LONG && self.fixed.is_none();
        let most = match item_time {
            _ if is_long => TOGETHER[0],
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
            let run = |item: Tensor| self.answers_alone(item);
            let probe = if is_long { run(item.clone()).map(Probe::once) } else { Probe::of(&item, &run) };
            let Ok(probe) = probe else { continue };
            found.push(Alone { item, probe });
        }
        found
    }

    fn answers_alone(&self, item: Tensor) -> Result<Vec<Tensor>, EngineError> {
        let rows = self.fixed.unwrap_or(1);
        let all = padded(item, rows).and_then(|item| self.run(item))?;
        all.iter().map(|output| rows_of(output, 0, 1, rows)).collect()
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
        let probes = alone.iter().map(|alone| &alone.probe);
        let tolerance = if self.is_coarse { Tolerance::WHOLE } else { Tolerance::ORDER };
        let closeness = Closeness::of(&probes.collect::<Vec<_>>(), tolerance);
        let is_tried = |size: &usize| *size > 1 && alone.len() > 1;
        sizes.into_iter().filter(is_tried).all(|size| {
            let items: Vec<Tensor> = alone.iter().cycle().take(size).map(|alone| alone.item.clone()).collect();
            let Ok(together) = join(&items).and_then(|items| self.run(items)) else { return false };
            let mut places = alone.iter().enumerate().cycle().take(size).enumerate();
            places.all(|(place, (item, alone))| {
                let mut outputs = alone.probe.answers.iter().zip(&together).enumerate();
                outputs.all(|(output, (own, together))| {
                    let among = rows_of(together, place, 1, size);
                    among.is_ok_and(|among| closeness.are_alike((item, output), own, &among))
                })
            })
        })
    }

    fn run(&self, batch: Tensor) -> Result<Vec<Tensor>, EngineError> {
        self.session.run(vec![batch], Parallelism::One)
    }
}
