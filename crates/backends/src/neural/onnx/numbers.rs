//! Whether the numbers that came out for generated samples are what an output was found to hold.
//!
//! What is read in a file and what its numbers are have to agree: where they do not, or no number is one, the reading is not certain. It
//! must not know graphs.

mod scores;

use dede_model::backend::OutputActivation;
use dede_model::error::{Error, Result};
use dede_model::quote::quote;

use crate::neural::engine::Tensor;
use crate::neural::options::MLLIB;

/// How far the probabilities of a sample may be from 1 together: some networks compute them in half precision.
const ROUNDING: f32 = 0.01;
/// How near to 1 numbers are together that were divided by their sum.
const EXACT: f32 = 1e-5;
/// How far a number may be off that is one of 127 steps or more, as a probability mostly is. Of many classes any sum is possible.
const STEP: f32 = 1.0 / 127.0;
/// How far the probabilities of a sample may be from 1 together where they are known about, their logarithms above all.
const COARSE: f32 = 0.25;

/// What was found in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) activation: OutputActivation,
    pub(super) exactness: Exactness,
    /// Whether some operator on the way may end at 0 and 1, as probabilities do.
    pub(super) is_bent: bool,
}

/// How exactly numbers are what they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exactness {
    /// As floating-point numbers are.
    Exact,
    /// They were quantised since.
    About,
}

impl Exactness {
    /// How far `count` probabilities may be from 1 together.
    fn of_shares(self, count: usize) -> f32 {
        match self {
            Self::Exact => ROUNDING,
            Self::About => ROUNDING + count as f32 * STEP,
        }
    }

    /// The same of their logarithms.
    fn of_logarithms(self, count: usize) -> f32 {
        match self {
            Self::Exact => ROUNDING,
            Self::About => COARSE + count as f32 * STEP,
        }
    }

    /// How far numbers may be from parts of 1 that are taken for such: weights of files of 16 bits add up to 1 about.
    fn of_parts(self, count: usize) -> f32 {
        match self {
            Self::Exact => ROUNDING,
            Self::About => (count as f32 * STEP).min(COARSE),
        }
    }
}

/// Checks what was found, which the request does not say; each tensor has a row for each of its samples.
///
/// # Errors
/// [`Error::BadParameter`] naming the readings that there are.
pub(super) fn check<'a>(
    Found { activation, exactness, is_bent }: Found,
    outputs: impl Iterator<Item = &'a Tensor>,
    output: &str,
) -> Result<()> {
    let tensors: Vec<_> = outputs.filter_map(|output| output.clone().into_floats()).collect();
    let rows = tensors.iter().flat_map(|tensor| (0..tensor.rows()).map(|row| tensor.row(row)));
    // What is certainly no class has no end below.
    let is_logarithm = matches!(activation, OutputActivation::LogSoftmax | OutputActivation::Logits);
    let is_number = |number: &f32| number.is_finite() || is_logarithm && *number == f32::NEG_INFINITY;
    let rows: Vec<&[f32]> = rows.filter(|row| row.iter().all(is_number)).collect();
    let found = match activation {
        _ if rows.is_empty() => Some("no generated sample whose numbers are finite".to_owned()),
        OutputActivation::Softmax => {
            let is_other = |row: &&&[f32]| !are_shares(row, exactness.of_shares(row.len()));
            rows.iter().find(is_other).filter(|_| !is_capped(&rows, exactness)).map(|row| sum_of(row))
        }
        OutputActivation::LogSoftmax => {
            let rows: Vec<Vec<f32>> = rows.iter().map(|row| row.iter().map(|number| number.exp()).collect()).collect();
            let is_other = |row: &&Vec<f32>| !are_shares(row, exactness.of_logarithms(row.len()));
            rows.iter().find(is_other).map(|row| format!("exponentials with {}", sum_of(row)))
        }
        OutputActivation::Sigmoid | OutputActivation::Heads => {
            let is_other = |number: &&f32| !(-ROUNDING..=1.0 + ROUNDING).contains(*number);
            rows.iter().flat_map(|row| row.iter()).find(is_other).map(ToString::to_string)
        }
        OutputActivation::Logits => scores::likeness(&rows, exactness, is_bent).map(str::to_owned),
    };
    let Some(found) = found else { return Ok(()) };
    let reason = format!(
        "expected output {} to hold {}, by the operators that make it, found {found}; say which it is: softmax or sigmoid \
         (probabilities, answered as they are), log_softmax (their logarithms) or logits (scores, answered as their softmax)",
        quote(output),
        expected(activation)
    );
    Err(Error::bad_parameter_at(format!("{MLLIB}.output_activation"), reason))
}

fn expected(activation: OutputActivation) -> &'static str {
    match activation {
        OutputActivation::Softmax => "probabilities that sum to 1",
        OutputActivation::LogSoftmax => "logarithms of probabilities that sum to 1",
        OutputActivation::Sigmoid | OutputActivation::Heads => "probabilities from 0 to 1",
        OutputActivation::Logits => "scores",
    }
}

/// Whether quantising cut the largest number of each sample, so that they sum to less than they did: all of these are the same then.
fn is_capped(rows: &[&[f32]], exactness: Exactness) -> bool {
    let most = |row: &[f32]| row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let cap = rows.iter().map(|row| most(row)).fold(f32::NEG_INFINITY, f32::max);
    let are_less = rows.iter().all(|row| row.iter().sum::<f32>() <= 1.0 + exactness.of_shares(row.len()));
    exactness == Exactness::About
        && rows.len() > 1
        && cap < 1.0 - STEP
        && are_less
        && rows.iter().filter(|row| !are_shares(row, exactness.of_shares(row.len()))).all(|row| most(row) == cap)
}

fn are_shares(row: &[f32], rounding: f32) -> bool {
    (row.iter().sum::<f32>() - 1.0).abs() <= rounding && row.iter().all(|number| *number >= -rounding.min(ROUNDING))
}

fn sum_of(row: &[f32]) -> String {
    format!("a sum of {}", row.iter().sum::<f32>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neural::engine::Values;

    #[test]
    fn numbers_have_to_be_what_was_found() {
        let numbers = |values: [f32; 4]| Tensor::new(vec![2, 2], Values::F32(values.to_vec())).expect("fits");
        use OutputActivation::{LogSoftmax, Logits, Sigmoid, Softmax};
        for (activation, values, is_good) in [
            (Softmax, [0.5, 0.5, 0.1, 0.9], true),
            (Softmax, [0.5, 0.5, 0.1, 0.4], false),
            (Softmax, [0.5, 0.5, 1.5, -0.5], false),
            (Softmax, [f32::NAN, 0.5, 0.5, 0.5], true),
            (LogSoftmax, [0.5_f32.ln(), 0.5_f32.ln(), 0.1_f32.ln(), 0.9_f32.ln()], true),
            (LogSoftmax, [0.0; 4], false),
            (LogSoftmax, [0.0, f32::NEG_INFINITY, f32::NEG_INFINITY, 0.0], true),
            (LogSoftmax, [1.0, f32::NEG_INFINITY, f32::NEG_INFINITY, 1.0], false),
            (Sigmoid, [1.0, 1.0, 0.0, 0.3], true),
            (Sigmoid, [1.0, 1.0, 0.0, 1.3], false),
            (Logits, [3.0, -2.0, 0.5, 0.5], true),
            (Logits, [1.0, 0.0, 0.5, 0.5], false),
            (Logits, [1.5, -0.5, 0.5, 0.5], true),
            (Logits, [1.5, f32::NEG_INFINITY, 0.5, f32::NEG_INFINITY], true),
        ] {
            let found = Found { activation, exactness: Exactness::Exact, is_bent: false };
            let checked = check(found, [numbers(values)].iter(), "y");
            assert_eq!(checked.is_ok(), is_good, "{activation:?} {values:?}");
        }
    }

    #[test]
    fn a_network_without_a_finite_number_is_not_believed() {
        use OutputActivation::{Heads, LogSoftmax, Logits, Sigmoid, Softmax};
        for activation in [Softmax, LogSoftmax, Sigmoid, Heads, Logits] {
            let found = Found { activation, exactness: Exactness::Exact, is_bent: false };
            for number in [f32::NAN, f32::INFINITY] {
                let tensor = Tensor::new(vec![2, 2], Values::F32(vec![number, 1.0, 0.0, number])).expect("fits");
                let text = check(found, [tensor].iter(), "y").expect_err("nothing is checked").to_string();
                assert!(text.contains("output_activation") && text.contains("finite"), "{text}");
            }
        }
    }

    #[test]
    fn numbers_that_were_quantised_are_what_they_hold_about() {
        let numbers = |values: [f32; 4]| Tensor::new(vec![2, 2], Values::F32(values.to_vec())).expect("fits");
        use OutputActivation::{LogSoftmax, Logits, Softmax};
        for (activation, values, is_good) in [
            (Softmax, [0.5, 0.51, 0.1, 0.89], true),
            (Softmax, [0.5, 0.5, 0.3, 0.3], false),
            (Softmax, [0.5, 0.5, 1.5, -0.5], false),
            (LogSoftmax, [-0.7, -0.7, -0.1, -2.1], true),
            (LogSoftmax, [-0.7, -0.7, 0.4, -1.0], false),
            (Logits, [0.5, 0.51, 0.1, 0.3], false),
            (Logits, [0.5, 0.51, -0.1, 0.3], true),
            (Logits, [0.9, 0.51, 0.1, 0.3], true),
        ] {
            let found = Found { activation, exactness: Exactness::About, is_bent: false };
            let checked = check(found, [numbers(values), numbers(values)].iter(), "y");
            assert_eq!(checked.is_ok(), is_good, "{activation:?} {values:?}");
        }
    }
}
