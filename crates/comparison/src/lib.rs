//! Answers of an old and a new model, compared by task, and what follows from them.
//!
//! [`compare`] measures two answers to the same samples; [`Golden`] decides on recorded ones; [`Comparison`] gathers live ones,
//! [`NoiseFloor`] what the old model differs from itself by, and [`Policy`] turns both into a [`Verdict`] that may be asked for after
//! every request. Nothing here knows services, queues or HTTP.

mod accumulator;
mod compare;
mod describe;
mod detections;
mod difference;
mod examples;
mod golden;
mod histogram;
mod masks;
mod matching;
mod noise;
mod policy;
mod rate;
mod sequence;
mod summary;
mod tensors;
mod tolerance;
mod verdict;
pub mod warming;

#[cfg(test)]
mod tests;

pub use accumulator::{Answered, Comparison, Observation};
pub use compare::{SamplesDiffer, compare};
pub use difference::{Difference, Measured};
pub use golden::{Exactness, Golden, GoldenCheck, Missed};
pub use histogram::{Latencies, QuantileBounds};
pub use matching::Matching;
pub use noise::NoiseFloor;
pub use policy::{Expect, Policy};
pub use rate::Rate;
pub use sequence::{ConfidenceSequence, Position};
pub use summary::{Errors, Example, LatencySummary, Summary};
pub use tolerance::Tolerance;
pub use verdict::{Needed, Numbers, Reason, Verdict};
