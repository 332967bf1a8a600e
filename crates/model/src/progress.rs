//! Live figures of a training run: current measures and their histories (contract.md 4.2).
//!
//! Written by the trainer, read by status requests at any time. It owns the figures only; their JSON is made where it is asked for.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::measure::MeasureValues;

/// Shared between one trainer and many readers.
#[derive(Debug, Default)]
pub struct Progress {
    figures: Mutex<Figures>,
}

/// A copy of the figures at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// 0-based number of the last finished iteration.
    pub iteration: Option<u64>,
    /// Iterations in all, for the remaining time.
    pub iterations: u64,
    /// Moving average of the loss.
    pub train_loss: Option<f64>,
    /// Learning rate of the last iteration.
    pub learning_rate: Option<f64>,
    /// Milliseconds of the last iteration.
    pub iteration_ms: f64,
    /// Milliseconds since the start, going on across a resume.
    pub elapsed_ms: f64,
    /// Results of the last test, one per test set.
    pub tests: Vec<TestResult>,
    /// Name without `_hist` → values. One point per iteration for `train_loss`, `learning_rate`, `elapsed_time_ms`; one
    /// per test for `iteration` and the measures of the first test set.
    pub histories: BTreeMap<String, Vec<f64>>,
}

/// Measures of one test set.
#[derive(Debug, Clone, PartialEq)]
pub struct TestResult {
    /// 0-based.
    pub id: usize,
    /// Name of the set; may be empty.
    pub name: String,
    /// What was measured.
    pub values: MeasureValues,
}

/// What a trainer reports after an iteration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IterationReport {
    /// 0-based.
    pub iteration: u64,
    /// Moving average of the loss.
    pub train_loss: f64,
    /// Learning rate used.
    pub learning_rate: f64,
    /// Milliseconds of this iteration.
    pub iteration_ms: f64,
    /// Milliseconds since the start, going on across a resume.
    pub elapsed_ms: f64,
}

impl Progress {
    /// Starts with the histories of an earlier run, for `resume`.
    pub fn with_histories(histories: BTreeMap<String, Vec<f64>>) -> Self {
        Self { figures: Mutex::new(Figures { histories, ..Figures::default() }) }
    }

    /// Says how many iterations there will be.
    pub fn start(&self, iterations: u64) {
        self.with(|figures| figures.iterations = iterations);
    }

    /// Says which iteration is done where a training goes on with none left. No history gets a point.
    pub fn reached(&self, iteration: u64) {
        self.with(|figures| figures.iteration = Some(iteration));
    }

    /// Records an iteration.
    pub fn iteration(&self, report: IterationReport) {
        self.with(|figures| {
            figures.iteration = Some(report.iteration);
            figures.train_loss = Some(report.train_loss);
            figures.learning_rate = Some(report.learning_rate);
            figures.iteration_ms = report.iteration_ms;
            figures.elapsed_ms = report.elapsed_ms;
            figures.push("train_loss", report.train_loss);
            figures.push("learning_rate", report.learning_rate);
            figures.push("elapsed_time_ms", report.elapsed_ms);
        });
    }

    /// Records a test of all test sets at `iteration`.
    pub fn test(&self, iteration: u64, tests: Vec<TestResult>) {
        self.with(|figures| {
            figures.push("iteration", iteration as f64);
            if let Some(first) = tests.first() {
                for (name, value) in first.values.flattened() {
                    figures.push(&name, value);
                }
            }
            figures.tests = tests;
        });
    }

    /// A copy of everything.
    pub fn figures(&self) -> Figures {
        self.with(|figures| figures.clone())
    }

    fn with<T>(&self, change: impl FnOnce(&mut Figures) -> T) -> T {
        let mut figures = self.figures.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut figures)
    }
}

impl Figures {
    fn push(&mut self, name: &str, value: f64) {
        match self.histories.get_mut(name) {
            Some(history) => history.push(value),
            None => {
                self.histories.insert(name.to_owned(), vec![value]);
            }
        }
    }

    /// With at most `points` of each history.
    pub fn thinned(&self, points: usize) -> Self {
        let kept = |(name, values): (&String, &Vec<f64>)| (name.clone(), thinned(values, points).0);
        Self { histories: self.histories.iter().map(kept).collect(), ..self.clone() }
    }

    /// Seconds until the last iteration, at the pace so far.
    pub fn remaining_s(&self) -> f64 {
        let left = self.iterations.saturating_sub(self.iteration.map_or(0, |done| done + 1));
        left as f64 * self.iteration_ms / 1000.0
    }
}

/// At most `most` of these points, evenly, and one in how many that is.
pub fn thinned(points: &[f64], most: usize) -> (Vec<f64>, usize) {
    let step = points.len().div_ceil(most.max(1)).max(1);
    (points.iter().copied().step_by(step).collect(), step)
}
