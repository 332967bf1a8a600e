//! The decision: safe, worse, or not known yet. It may be asked for after every request.
//!
//! Answers are judged by a confidence sequence (see `sequence.rs`), so that looking often does not make it wrong more often. With a noise
//! floor, half of `alpha` goes to its bounds: the new model is safe when its disagreement is surely below the allowance on top of the *least*
//! noise there can be, and worse when it is surely above the allowance on top of the *most*. Latencies are judged by bounds on
//! quantiles that hold at all times, for any distribution; below some 700 requests nothing can be said of a p99, and nothing is.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::accumulator::Comparison;
use super::noise::NoiseFloor;
use super::policy::{Expect, Policy};
use super::sequence::Position;

/// What can be said of the new model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// Not known yet; with `exhausted`, it will not be known: all requests of the policy are compared.
    Undecided {
        /// What is missing.
        needed: Needed,
        /// No more requests are to be compared.
        exhausted: bool,
        /// What was found so far.
        numbers: Numbers,
    },
    /// As expected.
    Safe {
        /// What was found.
        numbers: Numbers,
    },
    /// Not as expected.
    Worse {
        /// In which respect.
        reason: Reason,
        /// What was found.
        numbers: Numbers,
    },
}

/// What a verdict waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Needed {
    /// More requests, as many as the policy wants.
    Requests,
    /// More certainty about the answers.
    Answers,
    /// More certainty about the latency.
    Latency,
}

/// Why a model is worse.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// It fails what the old one answers.
    Errors {
        /// Requests failed.
        found: u64,
        /// Requests that may fail.
        allowed: u64,
    },
    /// It answers otherwise.
    Disagreement {
        /// Surely at least this share of requests.
        at_least: f64,
        /// The share allowed.
        allowed: f64,
        /// Noise that is not held against it, at most.
        noise: f64,
    },
    /// Its p99 is too long.
    Slower {
        /// Surely at least this ratio to the old p99.
        at_least: f64,
        /// The ratio allowed.
        allowed: f64,
    },
    /// It was to be faster, and is not.
    NotFaster,
}

/// The figures a verdict rests on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Numbers {
    /// Requests compared.
    pub requests: u64,
    /// Share of requests that disagree.
    pub disagreement: f64,
    /// It is surely not below.
    pub disagreement_low: f64,
    /// It is surely not above.
    pub disagreement_high: f64,
    /// Noise of the old model: at least this.
    pub noise_low: f64,
    /// At most this.
    pub noise_high: f64,
    /// Requests that only the new model failed.
    pub errors: u64,
    /// New p50 to old p50; 0 while unknown.
    pub p50_ratio: f64,
    /// New p99 to old p99; 0 while unknown.
    pub p99_ratio: f64,
}

enum Finding {
    Holds,
    Open(Needed),
    Fails(Reason),
}

impl Policy {
    /// Judges what was compared so far. A verdict other than undecided is final: stop there.
    pub fn judge(&self, comparison: &Comparison, floor: Option<&NoiseFloor>) -> Verdict {
        let numbers = self.numbers(comparison, floor);
        let exhausted = numbers.requests >= self.requests;
        let worse = |reason| Verdict::Worse { reason, numbers };
        if numbers.errors > self.max_errors {
            return worse(Reason::Errors { found: numbers.errors, allowed: self.max_errors });
        }
        if self.expect == Expect::Report {
            let needed = Needed::Requests;
            return if exhausted {
                Verdict::Safe { numbers }
            } else {
                Verdict::Undecided { needed, exhausted, numbers }
            };
        }
        let alpha = self.answers_alpha(floor);
        match (self.answers(comparison, &numbers, alpha, exhausted), self.latency(comparison)) {
            (Finding::Fails(reason), _) | (_, Finding::Fails(reason)) => worse(reason),
            (Finding::Open(needed), _) | (_, Finding::Open(needed)) => {
                Verdict::Undecided { needed, exhausted, numbers }
            }
            (Finding::Holds, Finding::Holds) => Verdict::Safe { numbers },
        }
    }

    /// The chance of error that is left for the new model's own disagreement.
    fn answers_alpha(&self, floor: Option<&NoiseFloor>) -> f64 {
        if floor.is_some() { self.alpha / 2.0 } else { self.alpha }
    }

    fn numbers(&self, comparison: &Comparison, floor: Option<&NoiseFloor>) -> Numbers {
        let (sum, requests) = (comparison.disagreement(), comparison.requests());
        let alpha = self.answers_alpha(floor);
        let bounds = self.sequence().bounds(sum, requests, alpha);
        let (noise_low, noise_high) = floor.map_or((0.0, 0.0), |floor| floor.bounds(self.sequence(), alpha));
        let (old, new) = comparison.latencies();
        let ratio = |share| match old.quantile_ms(share) {
            0.0 => 0.0,
            old_ms => new.quantile_ms(share) / old_ms,
        };
        Numbers {
            requests,
            disagreement: if requests == 0 { 0.0 } else { sum / requests as f64 },
            disagreement_low: *bounds.start(),
            disagreement_high: *bounds.end(),
            noise_low,
            noise_high,
            errors: comparison.errors().new_only,
            p50_ratio: ratio(0.5),
            p99_ratio: ratio(0.99),
        }
    }

    fn answers(&self, comparison: &Comparison, numbers: &Numbers, alpha: f64, exhausted: bool) -> Finding {
        let (sum, requests) = (comparison.disagreement(), comparison.requests());
        let worse = Finding::Fails(Reason::Disagreement {
            at_least: numbers.disagreement_low,
            allowed: self.max_disagreement,
            noise: numbers.noise_high,
        });
        let least = self.max_disagreement + numbers.noise_low;
        let most = self.max_disagreement + numbers.noise_high;
        if most == 0.0 {
            // Nothing may disagree: one case is proof, and only the whole sample speaks for it.
            return match sum > 0.0 {
                true => worse,
                false if exhausted => Finding::Holds,
                false => Finding::Open(Needed::Requests),
            };
        }
        let position = |threshold: f64| self.sequence().position(sum, requests, threshold.min(1.0 - 1e-9), alpha);
        match (position(least), position(most)) {
            (Position::Below, _) => Finding::Holds,
            (_, Position::Above) => worse,
            (Position::Above | Position::Unclear, Position::Below | Position::Unclear) => {
                Finding::Open(Needed::Answers)
            }
        }
    }

    fn latency(&self, comparison: &Comparison) -> Finding {
        let (old, new) = comparison.latencies();
        let bounds = |share| {
            (old.quantile_bounds(share, self.latency_alpha()), new.quantile_bounds(share, self.latency_alpha()))
        };
        let (old_p99, new_p99) = bounds(0.99);
        let (Some(old_high), Some(new_high)) = (old_p99.high_ms, new_p99.high_ms) else {
            return Finding::Open(Needed::Latency);
        };
        let at_least = new_p99.low_ms / old_high.max(f64::MIN_POSITIVE);
        if at_least > self.max_p99_ratio {
            return Finding::Fails(Reason::Slower { at_least, allowed: self.max_p99_ratio });
        }
        if self.expect == Expect::BetterLatency {
            let (old_p50, new_p50) = bounds(0.5);
            let faster = new_high < old_p99.low_ms || new_p50.high_ms.is_some_and(|high| high < old_p50.low_ms);
            let longer = new.quantile_ms(0.99) >= old.quantile_ms(0.99);
            let slower = longer && old_p50.high_ms.is_some_and(|high| new_p50.low_ms > high);
            return match (faster, slower) {
                (true, _) => self.within_ratio(comparison),
                (false, true) => Finding::Fails(Reason::NotFaster),
                (false, false) => Finding::Open(Needed::Latency),
            };
        }
        self.within_ratio(comparison)
    }

    /// Not surely slower, and not slower as measured either.
    fn within_ratio(&self, comparison: &Comparison) -> Finding {
        let (old, new) = comparison.latencies();
        let within = new.quantile_ms(0.99) <= self.max_p99_ratio * old.quantile_ms(0.99);
        if within { Finding::Holds } else { Finding::Open(Needed::Latency) }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errors { found, allowed } => {
                write!(formatter, "{found} requests failed that the old model answered, {allowed} may")
            }
            Self::Disagreement { at_least, allowed, noise } => write!(
                formatter,
                "at least {:.2} % of the answers differ, {:.2} % may, besides {:.2} % noise",
                at_least * 100.0,
                allowed * 100.0,
                noise * 100.0
            ),
            Self::Slower { at_least, allowed } => {
                write!(formatter, "its p99 is at least {at_least:.2} times the old one, {allowed:.2} times is allowed")
            }
            Self::NotFaster => formatter.write_str("it was to be faster, and both its p50 and its p99 are longer"),
        }
    }
}
