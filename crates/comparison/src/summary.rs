//! What a comparison found, as reports and certificates carry it.

use serde::{Deserialize, Serialize};

use super::histogram::Latencies;
use super::rate::Rate;

/// The figures of a [`super::Comparison`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Requests that both models answered, or only the old one: those that count.
    pub requests: u64,
    /// Answers compared: one per sample.
    pub answers: u64,
    /// Answers that are equal bit by bit.
    pub bit_equal: u64,
    /// Answers within the tolerance.
    pub agreements: u64,
    /// Share of `agreements`, with its 95 % interval.
    pub agreement: Option<Rate>,
    /// Share of classifications with the same best class.
    pub top_1: Option<Rate>,
    /// Share of classifications with the same best classes.
    pub top_k: Option<Rate>,
    /// Answers that cannot be compared: other tasks or numbers of values.
    pub incomparable: u64,
    /// Mean distance of an answer, from 0 to 2.
    pub mean_distance: f64,
    /// Largest distance of an answer.
    pub max_distance: f64,
    /// Requests that were not answered.
    pub errors: Errors,
    /// The first error of the new model that the old one did not have.
    pub first_error: Option<String>,
    /// Copies that were dropped instead of compared.
    pub dropped: u64,
    /// Copies that say nothing, because their input changed meanwhile: a file or a page that came or went.
    #[serde(default)]
    pub changed: u64,
    /// How long the old model took, for requests that both answered and whose times can be compared.
    pub old: LatencySummary,
    /// How long the new model took for them.
    pub new: LatencySummary,
    /// The inputs whose answers are farthest apart.
    pub most_different: Vec<Example>,
}

/// Requests that failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errors {
    /// Only the old model failed.
    pub old_only: u64,
    /// Only the new model failed.
    pub new_only: u64,
    /// Both failed: the request's own fault.
    pub both: u64,
}

/// Durations of one side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencySummary {
    /// Requests.
    pub count: u64,
    /// Mean.
    pub mean_ms: f64,
    /// Median, within 0.8 %.
    pub p50_ms: f64,
    /// 99th percentile, within 0.8 %.
    pub p99_ms: f64,
    /// The longest one.
    pub max_ms: f64,
}

impl From<&Latencies> for LatencySummary {
    fn from(latencies: &Latencies) -> Self {
        Self {
            count: latencies.count(),
            mean_ms: latencies.mean_ms(),
            p50_ms: latencies.quantile_ms(0.5),
            p99_ms: latencies.quantile_ms(0.99),
            max_ms: latencies.max_ms(),
        }
    }
}

/// One input and both answers to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// What the input was called: never its content.
    pub input: String,
    /// From 0 to 2.
    pub distance: f64,
    /// The old answer, in a few words.
    pub old: String,
    /// The new answer.
    pub new: String,
}
