//! What a new model is expected to be, and how sure a verdict must be.

use std::str::FromStr;

use dede_model::error::{Error, Result};
use dede_model::quote::quote;
use serde::{Deserialize, Serialize};

use super::sequence::{ConfidenceSequence, Position};
use super::tolerance::Tolerance;

/// What the user expects of the new model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// The same answers, not much slower.
    #[default]
    Same,
    /// The same answers, faster.
    BetterLatency,
    /// Other answers: they are measured and reported, and only errors count against it.
    Report,
}

impl FromStr for Expect {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "same" => Ok(Self::Same),
            "better-latency" => Ok(Self::BetterLatency),
            "report" => Ok(Self::Report),
            other => Err(format!("expected same, better-latency or report, found {:?}", quote(other))),
        }
    }
}

/// When a new model is safe, and when it is worse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// What is expected.
    pub expect: Expect,
    /// Largest share of requests whose answers may disagree, besides what the old model disagrees with itself on. 2 % by default: that is
    /// sure after some 300 requests when none disagrees, 600 when 0.5 % do, 1,800 when 1 % do. 0: not one may.
    pub max_disagreement: f64,
    /// Requests that the new model may fail while the old one answers. None by default.
    pub max_errors: u64,
    /// Largest ratio of the new p99 to the old one. 1.2 by default.
    pub max_p99_ratio: f64,
    /// Requests compared at most. 10,000 by default: enough to tell 1 % from 2 %.
    pub requests: u64,
    /// Largest chance of a wrong verdict on the answers, and on the latency: 1 % each by default.
    pub alpha: f64,
    /// How far two answers may be apart and still agree.
    pub tolerance: Tolerance,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            expect: Expect::Same,
            max_disagreement: 0.02,
            max_errors: 0,
            max_p99_ratio: 1.2,
            requests: 10_000,
            alpha: 0.01,
            tolerance: Tolerance::default(),
        }
    }
}

impl Policy {
    /// Checks the numbers of a policy from a request.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the member.
    pub fn check(&self) -> Result<()> {
        let bad = |key: &str, expected: &str, found: f64| {
            Err(Error::bad_parameter_at(key, format!("expected {expected}, found {found}")))
        };
        if !(0.0..1.0).contains(&self.max_disagreement) {
            return bad("max_disagreement", "a share from 0 to below 1", self.max_disagreement);
        }
        if !(self.max_p99_ratio > 0.0 && self.max_p99_ratio.is_finite()) {
            return bad("max_p99_ratio", "a number above 0", self.max_p99_ratio);
        }
        if !(1e-9..=0.5).contains(&self.alpha) {
            return bad("alpha", "a chance from 1e-9 to 0.5", self.alpha);
        }
        if self.requests == 0 {
            return bad("requests", "1 or more", 0.0);
        }
        let Tolerance {
            total_variation,
            tie,
            relative_error,
            absolute_floor,
            moved_score,
            least_overlap,
            moved_pixels,
            least_mean_overlap,
            cosine_distance,
            norm_gap,
        } = self.tolerance;
        let written = [
            ("tolerance.total_variation", total_variation),
            ("tolerance.tie", tie),
            ("tolerance.relative_error", relative_error),
            ("tolerance.absolute_floor", absolute_floor),
            ("tolerance.moved_score", moved_score),
            ("tolerance.least_overlap", least_overlap),
            ("tolerance.moved_pixels", moved_pixels),
            ("tolerance.least_mean_overlap", least_mean_overlap),
            ("tolerance.cosine_distance", cosine_distance),
            ("tolerance.norm_gap", norm_gap),
        ];
        match written.into_iter().find(|(_, value)| !(*value >= 0.0 && value.is_finite())) {
            Some((key, found)) => bad(key, "a number of at least 0", found),
            None => Ok(()),
        }
    }

    /// The fewest requests that can show a model to be safe: all of them agree, and its p99 is known. For plans, and to say that a
    /// smaller `requests` decides nothing. Never more than `requests` where that decides by itself.
    pub fn least_requests(&self) -> u64 {
        if self.expect == Expect::Report {
            return self.requests;
        }
        let answers = if self.max_disagreement == 0.0 { self.requests } else { self.least_answers() };
        answers.max(self.least_latencies())
    }

    fn least_answers(&self) -> u64 {
        let sequence = self.sequence();
        first(|count| sequence.position(0.0, count, self.max_disagreement, self.alpha) == Position::Below)
    }

    fn least_latencies(&self) -> u64 {
        let sequence = ConfidenceSequence::around(0.01);
        first(|count| sequence.quantile_ranks(0.99, count, self.latency_alpha()).1.is_some())
    }

    /// The test of answers, sharpest at the threshold.
    pub(super) fn sequence(&self) -> ConfidenceSequence {
        ConfidenceSequence::around(self.max_disagreement)
    }

    /// Two quantiles of two sides share the chance to be wrong.
    pub(super) fn latency_alpha(&self) -> f64 {
        self.alpha / 4.0
    }
}

/// The first count for which `holds`, which holds from there on.
fn first(holds: impl Fn(u64) -> bool) -> u64 {
    let mut high = 1;
    while !holds(high) && high < 1 << 40 {
        high *= 2;
    }
    let mut low = high / 2;
    while low + 1 < high {
        let middle = u64::midpoint(low, high);
        if holds(middle) { high = middle } else { low = middle }
    }
    high
}
