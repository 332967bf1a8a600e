//! The head of features: the numbers of any value, each sample's beside each other.

use dede_model::backend::Task;
use dede_model::error::Result;
use dede_model::outputs::Outputs;

use super::{Asked, Batches, Head, only};

/// Answers numbers as features, whatever they mean.
#[derive(Debug, Clone, Copy)]
pub(in crate::neural) struct Features;

impl Head for Features {
    fn task(&self) -> Task {
        Task::Features
    }

    fn outputs(&self, found: Vec<Batches>, asked: &Asked<'_>) -> Result<Outputs> {
        let batches = only(found)?;
        let columns = batches.columns();
        Ok(Outputs::Features(batches.stacked(columns, asked.memory)?))
    }
}

#[cfg(test)]
mod tests {
    use dede_model::backend::PredictOptions;
    use dede_model::request_memory::MemoryShare;
    use dede_model::tensor::Floats;

    use super::*;

    #[test]
    fn each_sample_is_a_row_of_all_its_numbers() {
        let maps = |rows| Floats::new(vec![rows, 2, 2], vec![f32::NAN; rows * 4]).expect("fits");
        for (runs, shape) in [(vec![], [0, 0]), (vec![maps(1)], [1, 4]), (vec![maps(2), maps(1)], [3, 4])] {
            let asked = Asked { images: &[], options: &PredictOptions::default(), memory: &MemoryShare::unbounded() };
            let outputs = Features.outputs(vec![Batches::new(runs)], &asked).expect("alike");
            assert!(matches!(outputs, Outputs::Features(features) if features.shape() == shape), "{shape:?}");
        }
    }
}
