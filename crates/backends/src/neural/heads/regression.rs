//! The head of values: the numbers of an output as they are, one for each target.

use dede_model::backend::Task;
use dede_model::error::Result;
use dede_model::outputs::Outputs;

use super::{Asked, Batches, Head, only};

/// Answers numbers as values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Regression {
    targets: usize,
}

impl Regression {
    /// With so many of them for each sample.
    pub(super) fn new(targets: usize) -> Self {
        Self { targets }
    }
}

impl Head for Regression {
    fn task(&self) -> Task {
        Task::Regression { targets: self.targets }
    }

    fn outputs(&self, found: Vec<Batches>, asked: &Asked<'_>) -> Result<Outputs> {
        Ok(Outputs::Regression(only(found)?.stacked(self.targets, asked.memory)?))
    }
}

#[cfg(test)]
mod tests {
    use dede_model::backend::PredictOptions;
    use dede_model::request_memory::MemoryShare;
    use dede_model::tensor::Floats;

    use super::*;

    #[test]
    fn values_are_answered_as_they_are() {
        let run = |values: &[f32]| Floats::new(vec![values.len() / 2, 2], values.to_vec()).expect("fits");
        for (targets, runs, expected) in [
            (2, vec![], Some(vec![])),
            (2, vec![run(&[1.5, -7.0])], Some(vec![1.5, -7.0])),
            (2, vec![run(&[1.5, -7.0]), run(&[0.0, 1e30])], Some(vec![1.5, -7.0, 0.0, 1e30])),
            (3, vec![run(&[1.5, -7.0])], None),
        ] {
            let asked = Asked { images: &[], options: &PredictOptions::default(), memory: &MemoryShare::unbounded() };
            let found = Regression::new(targets).outputs(vec![Batches::new(runs)], &asked);
            match (found, expected) {
                (Ok(Outputs::Regression(found)), Some(expected)) => assert_eq!(found.values(), expected),
                (found, expected) => assert!(found.is_err() && expected.is_none(), "{found:?}, expected {expected:?}"),
            }
        }
    }
}
