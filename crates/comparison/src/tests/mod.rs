//! Tests of the parts together: answers, verdicts, and how often verdicts are wrong.

mod answers;
mod gathering;
mod simulation;
mod verdicts;

use std::time::Duration;

use dede_model::labels::Labels;
use dede_model::outputs::Outputs;
use dede_model::tensor::Floats;

use super::{Answered, Comparison, Observation, Tolerance};

fn classes(rows: &[&[f32]]) -> Outputs {
    let width = rows.first().map_or(0, |row| row.len());
    Outputs::Classification(Floats::new(vec![rows.len(), width], rows.concat()).expect("equal rows"))
}

fn targets(rows: &[&[f32]]) -> Outputs {
    let width = rows.first().map_or(0, |row| row.len());
    Outputs::Regression(Floats::new(vec![rows.len(), width], rows.concat()).expect("equal rows"))
}

fn vectors(rows: &[&[f32]]) -> Outputs {
    let width = rows.first().map_or(0, |row| row.len());
    Outputs::Features(Floats::new(vec![rows.len(), width], rows.concat()).expect("equal rows"))
}

fn comparison() -> Comparison {
    Comparison::new(Tolerance::default(), &Labels::default(), &Labels::default())
}

fn answered(outputs: &Outputs, milliseconds: f64) -> Answered<'_> {
    Answered { outcome: Ok(outputs), took: Some(Duration::from_secs_f64(milliseconds / 1e3)) }
}

/// A request that both answer: alike or not.
fn observe(comparison: &mut Comparison, alike: bool, old_ms: f64, new_ms: f64) {
    let (one, other) = (classes(&[&[0.9, 0.1]]), classes(&[&[0.1, 0.9]]));
    let new = if alike { &one } else { &other };
    comparison.add(Observation { input: "a request", old: answered(&one, old_ms), new: answered(new, new_ms) });
}
