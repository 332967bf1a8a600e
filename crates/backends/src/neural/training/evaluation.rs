//! Tests: what the network answers on the test sets, measured.

use burn::tensor::Device;
use dede_model::backend::Task;
use dede_model::connector::TestSet;
use dede_model::data::{Samples, Targets};
use dede_model::error::{Error, Result};
use dede_model::labels::Labels;
use dede_model::measure::{self, MeasureSpec};
use dede_model::outputs::Outputs;
use dede_model::progress::TestResult;
use dede_model::tensor::Floats;

use super::feed::{Source, targets_of};
use super::interpreter::{Interpreter, Phase, matrix, values};
use super::loss::Goal;
use super::network::Network;

/// Runs networks on test sets.
pub(super) struct Evaluation<'a> {
    pub(super) interpreter: Interpreter,
    pub(super) output: String,
    pub(super) device: Device,
    pub(super) tests: &'a [TestSet],
    pub(super) measures: &'a MeasureSpec,
    pub(super) labels: &'a Labels,
    pub(super) batch_size: usize,
}

impl Evaluation<'_> {
    /// Measures `network` on every test set. `source` says how samples become inputs; its own data is not used.
    ///
    /// # Errors
    /// Whatever reading the items met, and targets that do not fit the network.
    pub(super) fn run(&self, network: &Network, source: &Source<'_>) -> Result<Vec<TestResult>> {
        let leaves = network.leaves(&self.device);
        let mut results = Vec::with_capacity(self.tests.len());
        for (id, test) in self.tests.iter().enumerate() {
            let answer = |samples: &Samples| -> Result<Vec<f32>> {
                let inputs = matrix(source.inputs(samples)?, samples.len(), source.elements, &self.device);
                let (outputs, _) = self.interpreter.run(&self.output, inputs, &leaves, Phase::Test)?;
                values(outputs)
            };
            let (outputs, targets) = self.answer_all(test, source.task, &answer)?;
            let outputs = as_outputs(outputs, targets.len(), source.task)?;
            let measured = measure::evaluate(self.measures, &outputs, &targets, self.labels)?;
            results.push(TestResult { id, name: test.name.clone(), values: measured });
        }
        Ok(results)
    }

    fn answer_all(
        &self,
        test: &TestSet,
        task: Task,
        answer: &dyn Fn(&Samples) -> Result<Vec<f32>>,
    ) -> Result<(Vec<f32>, Targets)> {
        let indices: Vec<usize> = (0..test.data.len()).collect();
        let mut outputs = Vec::new();
        let mut all: Option<Targets> = None;
        for chunk in indices.chunks(self.batch_size) {
            let batch = test.data.batch(chunk)?;
            outputs.extend(answer(&batch.samples)?);
            let targets = targets_of(&batch)?;
            Goal::check_kind(targets, task)?;
            all = Some(match all {
                None => targets.clone(),
                Some(before) => join(before, targets)?,
            });
        }
        let targets = all.ok_or_else(|| Error::bad_input(format!("the test set {} is empty", test.name)))?;
        Ok((outputs, targets))
    }
}

fn join(before: Targets, more: &Targets) -> Result<Targets> {
    let mixed = || Error::Internal("a test set changes its kind of targets".to_owned());
    match (before, more) {
        (Targets::Classes(mut ids), Targets::Classes(more)) => {
            ids.extend(more);
            Ok(Targets::Classes(ids))
        }
        (Targets::Values(before), Targets::Values(more)) if before.row_len() == more.row_len() => {
            let shape = vec![before.rows() + more.rows(), before.row_len()];
            let mut values = before.into_values();
            values.extend_from_slice(more.values());
            Floats::new(shape, values).map(Targets::Values).map_err(|_| mixed())
        }
        _ => Err(mixed()),
    }
}

fn as_outputs(values: Vec<f32>, items: usize, task: Task) -> Result<Outputs> {
    let columns = values.len() / items.max(1);
    let tensor = Floats::new(vec![items, columns], values).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(match task {
        Task::Classification { .. } => Outputs::Classification(tensor),
        Task::Regression { .. }
        | Task::Detection { .. }
        | Task::Segmentation { .. }
        | Task::Features
        | Task::Tensors => Outputs::Regression(tensor),
    })
}
