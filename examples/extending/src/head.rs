//! A head of one's own: classes in an order, such as grades, by a network that answers how likely each limit between two of them is passed.
//!
//! Of `K` classes there are `K - 1` numbers, `P(y > 0)`, `P(y > 1)` and so on (Frank and Hall, 2001); the head makes `K` probabilities of
//! them. It knows neither files nor engines nor how a network is asked.

use dede_backends::neural::heads::{Asked, Batches, Head, HeadKind, OfferedNetwork};
use dede_model::backend::{OutputActivation, ServiceType, Task};
use dede_model::error::{Error, Result};
use dede_model::outputs::Outputs;
use dede_model::tensor::Floats;

/// How far rounding puts a probability beyond 0 and 1.
const ROUNDING: f32 = 1e-5;

/// Ordinal regression: `parameters.mllib.output_format` is `ordinal`, or the network has an output of that name.
#[derive(Debug, Clone, Copy)]
pub struct Ordinal;

/// The head of one network.
struct OrdinalHead {
    classes: usize,
    /// What the numbers went through.
    activation: OutputActivation,
}

impl HeadKind for Ordinal {
    fn name(&self) -> &'static str {
        "ordinal"
    }

    fn claim(&self, network: &OfferedNetwork<'_>) -> Result<Option<Vec<String>>> {
        if network.service_type == ServiceType::Unsupervised {
            return Ok(None);
        }
        let claimed = match network.outputs.as_slice() {
            [only] if network.is_asked => Some(only),
            outputs => outputs.iter().find(|output| output.name == self.name()),
        };
        Ok(claimed.map(|output| vec![output.name.clone()]))
    }

    fn head(&self, network: &OfferedNetwork<'_>) -> Result<Box<dyn Head>> {
        let [output] = network.outputs.as_slice() else {
            return Err(Error::Internal("one output was claimed".into()));
        };
        let limits = match output.shape.as_deref() {
            Some([limits]) if *limits > 0 => *limits,
            Some(_) | None => {
                let text =
                    format!("expected one number for each limit between classes, found shape {:?}", output.shape);
                return Err(Error::bad_parameter_at("parameters.mllib.output_format", text));
            }
        };
        match output.activation {
            Some(activation @ (OutputActivation::Sigmoid | OutputActivation::Logits)) => {
                Ok(Box::new(OrdinalHead { classes: limits + 1, activation }))
            }
            Some(_) | None => Err(Error::bad_parameter_at(
                "parameters.mllib.output_activation",
                "expected sigmoid (probabilities of passing each limit) or logits (scores that a sigmoid makes these)",
            )),
        }
    }
}

impl Head for OrdinalHead {
    fn task(&self) -> Task {
        Task::Classification { classes: self.classes }
    }

    fn activation(&self) -> Option<OutputActivation> {
        Some(self.activation)
    }

    fn outputs(&self, found: Vec<Batches>, asked: &Asked<'_>) -> Result<Outputs> {
        let mut answered = Vec::new();
        for batches in found {
            let count = batches.samples() * self.classes;
            asked.memory.grow((count * size_of::<f32>()) as u64)?;
            answered.reserve_exact(count);
            for row in batches.rows() {
                self.answer(row, &mut answered)?;
            }
        }
        let tensor = Floats::new(vec![answered.len() / self.classes, self.classes], answered);
        Ok(Outputs::Classification(tensor.map_err(|error| Error::Internal(error.to_string()))?))
    }
}

impl OrdinalHead {
    /// Adds the probabilities of one sample: `P(y = k) = P(y > k - 1) - P(y > k)`.
    fn answer(&self, row: &[f32], answered: &mut Vec<f32>) -> Result<()> {
        if row.len() + 1 != self.classes {
            return Err(Error::bad_input_at(
                "data",
                format!("{} limits expected, found {}", self.classes - 1, row.len()),
            ));
        }
        let mut passed = 1.0;
        for &number in row {
            let likely = match self.activation {
                OutputActivation::Logits => 1.0 / (1.0 + (-number).exp()),
                OutputActivation::Softmax
                | OutputActivation::LogSoftmax
                | OutputActivation::Sigmoid
                | OutputActivation::Heads => number,
            };
            if !(-ROUNDING..=1.0 + ROUNDING).contains(&likely) {
                let text = format!("expected probabilities of passing each limit, found {likely}");
                return Err(Error::bad_parameter_at("parameters.mllib.output_activation", text));
            }
            // No limit is passed more often than the one below it: a network that says so of two has no class between them.
            let likely = likely.clamp(0.0, passed);
            answered.push(passed - likely);
            passed = likely;
        }
        answered.push(passed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dede_model::backend::PredictOptions;
    use dede_model::request_memory::MemoryShare;

    use super::*;

    #[test]
    fn limits_that_are_passed_become_classes() {
        use OutputActivation::{Logits, Sigmoid};
        let run = |values: &[f32]| Floats::new(vec![values.len() / 2, 2], values.to_vec()).expect("fits");
        for (activation, runs, expected) in [
            (Sigmoid, vec![], Some(vec![])),
            (Sigmoid, vec![run(&[0.75, 0.25])], Some(vec![0.25, 0.5, 0.25])),
            (Sigmoid, vec![run(&[1.0, 0.0]), run(&[0.0, 0.0])], Some(vec![0.0, 1.0, 0.0, 1.0, 0.0, 0.0])),
            // More likely above the second limit than above the first.
            (Sigmoid, vec![run(&[0.5, 0.75])], Some(vec![0.5, 0.0, 0.5])),
            (Sigmoid, vec![run(&[1.5, 0.5])], None),
            (Sigmoid, vec![run(&[f32::NAN, 0.5])], None),
            (Logits, vec![run(&[0.0, -200.0])], Some(vec![0.5, 0.5, 0.0])),
            (Sigmoid, vec![Floats::new(vec![1, 3], vec![0.5; 3]).expect("fits")], None),
        ] {
            let head = OrdinalHead { classes: 3, activation };
            let asked = Asked { images: &[], options: &PredictOptions::default(), memory: &MemoryShare::unbounded() };
            let found = head.outputs(vec![Batches::new(runs)], &asked);
            match (found, expected) {
                (Ok(Outputs::Classification(found)), Some(expected)) => assert_eq!(found.values(), expected),
                (found, expected) => assert!(found.is_err() && expected.is_none(), "{found:?}, expected {expected:?}"),
            }
        }
    }
}
