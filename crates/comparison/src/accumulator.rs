//! Gathers live answers of both models, in bounded memory.

use std::time::Duration;

use dede_model::labels::Labels;
use dede_model::outputs::Outputs;

use super::describe;
use super::difference::{Difference, FARTHEST, Measured};
use super::examples::Examples;
use super::histogram::Latencies;
use super::matching::Matching;
use super::rate::Rate;
use super::summary::{Errors, LatencySummary, Summary};
use super::tolerance::Tolerance;

/// One request and what became of it on both sides.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// A short name of the input, such as its number: it ends in reports, so it must not be its content.
    pub input: &'a str,
    /// What clients got.
    pub old: Answered<'a>,
    /// What they would have got.
    pub new: Answered<'a>,
}

/// What one model made of a request.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// Its answer, or why there is none.
    pub outcome: Result<&'a Outputs, &'a str>,
    /// How long that took; `None` where the time says nothing about the model, because it gave way to other work, say.
    pub took: Option<Duration>,
}

/// Running statistics of old against new.
#[derive(Debug, Clone)]
pub struct Comparison {
    tolerance: Tolerance,
    matching: Matching,
    old_labels: Labels,
    new_labels: Labels,
    counts: Counts,
    errors: Errors,
    first_error: Option<String>,
    dropped: u64,
    /// Sum over requests of the share of their answers that disagree.
    disagreement: f64,
    distance_sum: f64,
    distance_max: f64,
    old: Latencies,
    new: Latencies,
    examples: Examples,
}

#[derive(Debug, Clone, Default)]
struct Counts {
    requests: u64,
    answers: u64,
    bit_equal: u64,
    agreements: u64,
    classifications: u64,
    top_1: u64,
    top_k: u64,
    incomparable: u64,
}

impl Comparison {
    /// Nothing compared yet. Classes are matched by name where both models name all of theirs.
    pub fn new(tolerance: Tolerance, old_labels: &Labels, new_labels: &Labels) -> Self {
        Self {
            tolerance,
            matching: Matching::by_name(old_labels, new_labels),
            old_labels: old_labels.clone(),
            new_labels: new_labels.clone(),
            counts: Counts::default(),
            errors: Errors::default(),
            first_error: None,
            dropped: 0,
            disagreement: 0.0,
            distance_sum: 0.0,
            distance_max: 0.0,
            old: Latencies::default(),
            new: Latencies::default(),
            examples: Examples::default(),
        }
    }

    /// Adds one request.
    pub fn add(&mut self, observation: Observation<'_>) {
        let Observation { input, old, new } = observation;
        match (old.outcome, new.outcome) {
            (Ok(old_outputs), Ok(new_outputs)) => {
                if let (Some(old_took), Some(new_took)) = (old.took, new.took) {
                    self.old.record(old_took);
                    self.new.record(new_took);
                }
                self.compare(input, old_outputs, new_outputs);
            }
            (Ok(_), Err(reason)) => {
                self.errors.new_only += 1;
                self.first_error.get_or_insert_with(|| describe::shortened(reason));
                // A failed request counts as a disagreement.
                self.counts.requests += 1;
                self.disagreement += 1.0;
            }
            (Err(_), Ok(_)) => self.errors.old_only += 1,
            (Err(_), Err(_)) => self.errors.both += 1,
        }
    }

    /// Counts copies that were dropped instead of compared.
    pub fn dropped(&mut self, copies: u64) {
        self.dropped += copies;
    }

    /// Requests that count: the old model answered them.
    pub fn requests(&self) -> u64 {
        self.counts.requests
    }

    /// Sum over these requests of the share of their answers that disagree.
    pub(super) fn disagreement(&self) -> f64 {
        self.disagreement
    }

    /// Requests that failed.
    pub fn errors(&self) -> Errors {
        self.errors
    }

    /// Durations of the old model and of the new one, of requests that both answered.
    pub fn latencies(&self) -> (&Latencies, &Latencies) {
        (&self.old, &self.new)
    }

    /// Whether all answers so far are equal bit by bit.
    pub fn is_bit_equal(&self) -> bool {
        self.counts.bit_equal == self.counts.answers && self.errors.new_only == 0
    }

    fn compare(&mut self, input: &str, old: &Outputs, new: &Outputs) {
        self.counts.requests += 1;
        let Ok(differences) = self.matching.compare(old, new, &self.tolerance) else {
            self.counts.answers += 1;
            self.counts.incomparable += 1;
            self.disagreement += 1.0;
            self.measure(FARTHEST);
            let words = |outputs: &Outputs| format!("{} answers", outputs.len());
            self.examples.offer(input, FARTHEST, || (words(old), words(new)));
            return;
        };
        let agreements = differences.iter().filter(|difference| difference.agrees).count();
        if !differences.is_empty() {
            self.disagreement += (differences.len() - agreements) as f64 / differences.len() as f64;
        }
        for (index, difference) in differences.iter().enumerate() {
            self.count(difference);
            if difference.distance() > 0.0 {
                let (old_labels, new_labels) = (&self.old_labels, &self.new_labels);
                self.examples.offer(input, difference.distance(), || {
                    (describe::answer(old, index, old_labels), describe::answer(new, index, new_labels))
                });
            }
        }
    }

    fn count(&mut self, difference: &Difference) {
        let counts = &mut self.counts;
        counts.answers += 1;
        counts.bit_equal += u64::from(difference.bit_equal);
        counts.agreements += u64::from(difference.agrees);
        match difference.measured {
            Measured::Classification { top_1, top_k, .. } => {
                counts.classifications += 1;
                counts.top_1 += u64::from(top_1);
                counts.top_k += u64::from(top_k);
            }
            Measured::Regression { .. }
            | Measured::Detection { .. }
            | Measured::Segmentation { .. }
            | Measured::Features { .. }
            | Measured::Tensors { .. } => {}
            Measured::Lengths { .. } | Measured::Signatures | Measured::Tasks => counts.incomparable += 1,
        }
        self.measure(difference.distance());
    }

    fn measure(&mut self, distance: f64) {
        self.distance_sum += distance;
        self.distance_max = self.distance_max.max(distance);
    }

    /// The figures so far.
    pub fn summary(&self) -> Summary {
        let counts = &self.counts;
        let rate = |count, total| Rate::of(count, total, counts.requests);
        Summary {
            requests: counts.requests,
            answers: counts.answers,
            bit_equal: counts.bit_equal,
            agreements: counts.agreements,
            agreement: rate(counts.agreements, counts.answers),
            top_1: rate(counts.top_1, counts.classifications),
            top_k: rate(counts.top_k, counts.classifications),
            incomparable: counts.incomparable,
            mean_distance: if counts.answers == 0 { 0.0 } else { self.distance_sum / counts.answers as f64 },
            max_distance: self.distance_max,
            errors: self.errors,
            first_error: self.first_error.clone(),
            dropped: self.dropped,
            changed: 0,
            old: LatencySummary::from(&self.old),
            new: LatencySummary::from(&self.new),
            most_different: self.examples.list().to_vec(),
        }
    }
}
