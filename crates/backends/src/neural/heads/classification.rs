//! The head of classes: probabilities, made of whatever the network computes.
//!
//! It owns what is done to numbers by what they went through, and which numbers are no probabilities. Independent scores are
//! probabilities that need not sum to 1, and answered like others.

use dede_model::backend::{OutputActivation, Task};
use dede_model::error::{Error, Result};
use dede_model::outputs::Outputs;
use dede_model::tensor::Floats;

use super::{Asked, Batches, Head, Numbers, only};
use crate::neural::options::MLLIB;

/// How far below 0 rounding puts a probability that is 0.
const ROUNDING: f32 = 1e-5;
/// How far beyond 0 and 1 the coarsest numbers put probabilities: those of 8 bits.
const COARSE: f32 = 0.01;

/// Answers one probability for each class.
#[derive(Debug, Clone, Copy)]
pub(super) struct Classification {
    classes: usize,
    numbers: Numbers,
}

impl Classification {
    /// Of so many classes, with what is known of the numbers.
    pub(super) fn new(classes: usize, numbers: Numbers) -> Self {
        Self { classes, numbers }
    }
}

impl Head for Classification {
    fn task(&self) -> Task {
        Task::Classification { classes: self.classes }
    }

    fn activation(&self) -> Option<OutputActivation> {
        match self.numbers {
            Numbers::Decided(activation) => Some(activation),
            Numbers::AsTheyAre(activation) => activation,
        }
    }

    fn outputs(&self, found: Vec<Batches>, asked: &Asked<'_>) -> Result<Outputs> {
        let (mut batches, classes) = (only(found)?, self.classes);
        let answered = match self.numbers {
            Numbers::AsTheyAre(_) => batches.stacked(classes, asked.memory)?,
            Numbers::Decided(OutputActivation::Softmax | OutputActivation::Sigmoid | OutputActivation::Heads) => {
                probabilities(batches.stacked(classes, asked.memory)?)?
            }
            Numbers::Decided(OutputActivation::LogSoftmax) => {
                probabilities(exponentials(batches.stacked(classes, asked.memory)?)?)?
            }
            Numbers::Decided(OutputActivation::Logits) => {
                batches.change_rows(softmax);
                batches.stacked(classes, asked.memory)?
            }
        };
        Ok(Outputs::Classification(answered))
    }
}

fn exponentials(tensor: Floats) -> Result<Floats> {
    let shape = tensor.shape().to_vec();
    let values = tensor.into_values().into_iter().map(f32::exp).collect();
    Floats::new(shape, values).map_err(|error| Error::Internal(error.to_string()))
}

/// Probabilities that are below 0 by rounding alone are 0, as when two shares that sum to 1 are subtracted: an answer leaves out what is
/// below its threshold, and that of 0 leaves out no class.
///
/// # Errors
/// [`Error::BadParameter`] naming a number that is no probability: what the service was created with is not so.
fn probabilities(tensor: Floats) -> Result<Floats> {
    let shape = tensor.shape().to_vec();
    let beyond = tensor.values().iter().find(|value| **value < -COARSE || **value > 1.0 + COARSE);
    if let Some(value) = beyond {
        let reason =
            format!("expected probabilities, found {value}: logits are scores that a softmax makes probabilities");
        return Err(Error::bad_parameter_at(format!("{MLLIB}.output_activation"), reason));
    }
    let is_rounding = |value: f32| (-ROUNDING..0.0).contains(&value);
    let values = tensor.into_values().into_iter().map(|value| if is_rounding(value) { 0.0 } else { value }).collect();
    Floats::new(shape, values).map_err(|error| Error::Internal(error.to_string()))
}

/// `exp(x_i) / sum_j exp(x_j)`, with the largest subtracted first.
fn softmax(row: &mut [f32]) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.iter_mut().for_each(|value| *value = (*value - largest).exp());
    let sum: f32 = row.iter().sum();
    row.iter_mut().for_each(|value| *value /= sum);
}

#[cfg(test)]
mod tests {
    use dede_model::backend::PredictOptions;
    use dede_model::request_memory::MemoryShare;

    use super::*;

    /// The answer to samples of one run.
    fn answer(numbers: Numbers, shape: [usize; 2], values: &[f32]) -> Result<Vec<f32>> {
        let run = Floats::new(shape.to_vec(), values.to_vec()).expect("fits");
        let head = Classification::new(shape[1], numbers);
        let asked = Asked { images: &[], options: &PredictOptions::default(), memory: &MemoryShare::unbounded() };
        let outputs = head.outputs(vec![Batches::new(vec![run])], &asked)?;
        let Outputs::Classification(answered) = outputs else { panic!("expected classes, found {outputs:?}") };
        Ok(answered.into_values())
    }

    #[test]
    fn what_the_numbers_went_through_decides_the_answer() {
        use OutputActivation::{Heads, LogSoftmax, Logits, Sigmoid, Softmax};
        let (half, most) = ([0.5, 0.5], [0.25, 0.75]);
        for (numbers, values, expected) in [
            (Numbers::Decided(Softmax), most, most),
            (Numbers::Decided(Sigmoid), [0.9, 0.8], [0.9, 0.8]),
            (Numbers::Decided(Heads), [1.0, 0.3], [1.0, 0.3]),
            (Numbers::Decided(LogSoftmax), [0.25_f32.ln(), 0.75_f32.ln()], most),
            (Numbers::Decided(Logits), [7.0, 7.0], half),
            (Numbers::Decided(Logits), [0.0, 3_f32.ln()], most),
            // Their largest is subtracted first: none is infinite.
            (Numbers::Decided(Logits), [1000.0, 1000.0], half),
            (Numbers::AsTheyAre(Some(Softmax)), [7.0, -7.0], [7.0, -7.0]),
            (Numbers::AsTheyAre(None), [7.0, -7.0], [7.0, -7.0]),
        ] {
            let found = answer(numbers, [1, 2], &values).unwrap_or_else(|error| panic!("{numbers:?}: {error}"));
            let is_near = |(found, expected): (&f32, &f32)| (found - expected).abs() < 1e-6;
            assert!(found.iter().zip(&expected).all(is_near), "{numbers:?}: {found:?}, expected {expected:?}");
        }
    }

    #[test]
    fn each_row_is_a_softmax_of_its_own() {
        let found = answer(Numbers::Decided(OutputActivation::Logits), [2, 2], &[1000.0, 1000.0, 0.0, 3f32.ln()]);
        for (found, expected) in found.expect("scores").iter().zip([0.5, 0.5, 0.25, 0.75]) {
            assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
        }
    }

    #[test]
    fn what_rounding_puts_below_zero_is_zero() {
        let shares = Floats::new(vec![1, 4], vec![-1.2e-7, 1.0, -0.005, f32::NAN]).expect("fits");
        let found = probabilities(shares).expect("fits").into_values();
        assert_eq!(found[..3], [0.0, 1.0, -0.005]);
        assert!(found[3].is_nan() && found[0].is_sign_positive());
    }

    #[test]
    fn numbers_that_are_no_probabilities_are_refused() {
        for numbers in [[1.35, -0.35], [0.5, -0.02], [f32::INFINITY, 0.0]] {
            let tensor = Floats::new(vec![1, 2], numbers.to_vec()).expect("fits");
            let error = probabilities(tensor).expect_err("no probabilities").to_string();
            assert!(error.contains("parameters.mllib.output_activation"), "{numbers:?}: {error}");
        }
        let coarse = Floats::new(vec![1, 3], vec![1.004, 0.0, f32::NAN]).expect("fits");
        assert!(probabilities(coarse).is_ok(), "what is no number is found later");
    }
}
