//! Whether a network computes each item of a run alone, tried with generated items: their answers together and apart.
//!
//! It stands behind what is read in the file: a claim about some operator that is wrong shows here in the numbers, before a client's do.
//! What depends on others only for inputs of a kind that are not generated does not show. It must not know operators.

use std::time::Duration;

use super::closeness::{Closeness, Probe, Tolerance, are_within};
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
/// How far numbers of a row may be apart in two runs of one size, as a share of the largest: what is computed of it is the same.
const SAME: f32 = 1e-6;

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
            if self.is_coarse && !self.is_company_without_effect(alone, size, &together) {
                return false;
            }
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

    /// Whether each item of a run has the answer that it has among items like itself, in the same place of a run of as many: whole numbers
    /// that are one step apart by the order of computing are the same then, so that a small difference comes from the others.
    fn is_company_without_effect(&self, alone: &[Alone], size: usize, together: &[Tensor]) -> bool {
        // Of a slow network two items have to do.
        let items = if alone.len() < TOGETHER[2] { TOGETHER[0] } else { size };
        alone.iter().take(items.min(size)).enumerate().all(|(item, alone_in)| {
            let Ok(alike) = join(&vec![alone_in.item.clone(); size]).and_then(|items| self.run(items)) else {
                return false;
            };
            (item..size).step_by(alone.len()).all(|place| {
                together.iter().zip(&alike).all(|(together, alike)| {
                    let of = |output| rows_of(output, place, 1, size);
                    of(together).is_ok_and(|among| of(alike).is_ok_and(|own| are_within(SAME, &own, &among)))
                })
            })
        })
    }

    fn run(&self, batch: Tensor) -> Result<Vec<Tensor>, EngineError> {
        self.session.run(vec![batch], Parallelism::One)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neural::engine::{Port, Values};

    /// Answers each row in steps of 0.01.
    struct Steps {
        /// Adds this share of the mean of the run.
        of_others: f32,
        /// Adds this where rows are several.
        by_order: f32,
    }

    impl Session for Steps {
        fn inputs(&self) -> &[Port] {
            &[]
        }

        fn outputs(&self) -> &[Port] {
            &[]
        }

        fn run(&self, inputs: Vec<Tensor>, _parallelism: Parallelism) -> Result<Vec<Tensor>, EngineError> {
            let Values::F32(values) = inputs[0].values() else { return Err(EngineError::new("floats")) };
            let mean = values.iter().sum::<f32>() / values.len() as f32;
            let beside = mean * self.of_others + if values.len() > 2 { self.by_order } else { 0.0 };
            let steps = values.iter().map(|value| (value * 100.0).round() / 100.0 + beside).collect();
            Ok(vec![Tensor::new(inputs[0].shape().to_vec(), Values::F32(steps))?])
        }
    }

    #[test]
    fn others_of_a_run_show_below_the_step_of_a_quantiser() {
        let cases = [(0.0, 0.0, true), (0.0, 0.01, true), (0.001, 0.0, false), (0.02, 0.0, false), (0.0, 0.5, false)];
        for (of_others, by_order, expected) in cases {
            let session = Steps { of_others, by_order };
            let item = |number: usize| {
                let values = vec![number as f32 / 3.0 - 1.0, 0.5];
                Ok(Tensor::new(vec![1, 2], Values::F32(values))?)
            };
            let tried = Tried { session: &session, item: &item, fixed: None, is_coarse: true };
            let alone = tried.alone(Duration::ZERO);
            assert_eq!(alone.len(), TOGETHER[2]);
            assert_eq!(tried.are_apart(&alone), expected, "{of_others} {by_order}");
        }
    }
}
