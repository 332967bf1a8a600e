//! What training makes small.
//!
//! Classification: softmax cross-entropy, as Caffe's SoftmaxWithLoss; with class weights as its InfogainLoss with these weights on
//! the diagonal. Regression: half the squared Euclidean distance, as Caffe's EuclideanLoss. Both are means over the
//! batch. This file must not know networks or solvers.

use burn::tensor::{Tensor, activation};
use dede_model::backend::Task;
use dede_model::data::Targets;
use dede_model::error::{Error, Result};
use dede_model::quote::quote;

use super::interpreter::Matrix;

/// Targets of one batch in the form the loss wants, row-major `[items, outputs]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Goal {
    /// The weight of each item, divided by the number of items, at its class; 0 elsewhere.
    Classes(Vec<f32>),
    /// The values wanted.
    Values(Vec<f32>),
}

impl Goal {
    /// The values of either kind.
    pub(super) fn into_values(self) -> Vec<f32> {
        match self {
            Self::Classes(values) | Self::Values(values) => values,
        }
    }

    /// Checks that targets are of the kind of `task`; whether a class is one of the network's is up to what measures them.
    ///
    /// # Errors
    /// [`Error::BadParameter`] saying what the network learns and what the data has.
    pub(super) fn check_kind(targets: &Targets, task: Task) -> Result<()> {
        match (task, targets) {
            (Task::Classification { .. }, Targets::Classes(_)) | (_, Targets::Unknown { .. }) => Ok(()),
            (Task::Regression { targets: expected }, Targets::Values(tensor)) if tensor.row_len() == expected => Ok(()),
            (_, Targets::Boxes(_))
            | (Task::Classification { .. }, Targets::Values(_))
            | (Task::Regression { .. }, Targets::Values(_) | Targets::Classes(_))
            | (
                Task::Detection { .. } | Task::Segmentation { .. } | Task::Features | Task::Tensors,
                Targets::Values(_) | Targets::Classes(_),
            ) => Err(mismatch(task, targets)),
        }
    }

    /// Prepares targets for a network of `task`. `class_weights` may be empty.
    ///
    /// # Errors
    /// [`Error::Internal`] with the texts of contract.md 4.3 when a class id does not fit the network, and
    /// [`Error::BadParameter`] when the targets are of another kind than the task.
    pub(super) fn new(targets: &Targets, task: Task, class_weights: &[f32]) -> Result<Self> {
        match (task, targets) {
            (Task::Classification { classes }, Targets::Classes(ids)) => {
                let share = 1.0 / ids.len() as f32;
                let mut weights = vec![0.0; ids.len() * classes];
                for (row, id) in weights.chunks_exact_mut(classes).zip(ids) {
                    let class = class_of(*id, classes)?;
                    row[class] = class_weights.get(class).copied().unwrap_or(1.0) * share;
                }
                Ok(Self::Classes(weights))
            }
            (Task::Regression { targets: expected }, Targets::Values(tensor)) if tensor.row_len() == expected => {
                Ok(Self::Values(tensor.values().to_vec()))
            }
            (task, targets) => Err(mismatch(task, targets)),
        }
    }
}

fn class_of(id: i64, classes: usize) -> Result<usize> {
    match usize::try_from(id) {
        Ok(class) if class < classes => Ok(class),
        Ok(class) => Err(Error::Internal(format!(
            "target class has id {class} is higher than the number of classes {classes} (e.g. wrong number of classes \
             specified with nclasses"
        ))),
        Err(_) => {
            Err(Error::Internal("negative supervised discrete target (e.g. wrong use of label_offset ?".to_owned()))
        }
    }
}

fn mismatch(task: Task, targets: &Targets) -> Error {
    let wanted = match task {
        Task::Classification { classes } => format!("one of {classes} classes per item"),
        Task::Regression { targets } => format!("{targets} values per item (ntargets)"),
        Task::Detection { .. } | Task::Segmentation { .. } | Task::Features | Task::Tensors => "no targets".to_owned(),
    };
    let found = match targets {
        Targets::Classes(_) => "a class per item".to_owned(),
        Targets::Values(tensor) => format!("{} values per item", tensor.row_len()),
        Targets::Boxes(_) => "boxes in each item".to_owned(),
        Targets::Unknown { class, .. } => format!("the class \"{}\", which it does not have", quote(class)),
    };
    Error::bad_parameter_at("parameters.mllib", format!("the network learns {wanted}, the data has {found}"))
}

/// The loss of a batch, one value. `outputs` are the logits or the values `[items, outputs]`, `goal` has the same shape.
pub(super) fn loss(task: Task, outputs: Matrix, goal: Matrix) -> Tensor<1> {
    let [items, _] = outputs.dims();
    match task {
        Task::Classification { .. } => -(activation::log_softmax(outputs, 1) * goal).sum(),
        Task::Regression { .. }
        | Task::Detection { .. }
        | Task::Segmentation { .. }
        | Task::Features
        | Task::Tensors => {
            let difference = outputs - goal;
            (difference.clone() * difference).sum() / (2.0 * items as f32)
        }
    }
}

#[cfg(test)]
mod tests {
    use dede_model::tensor;

    use super::super::interpreter::{device, matrix, values};
    use super::*;

    fn value_of(task: Task, outputs: Vec<f32>, targets: &Targets, class_weights: &[f32]) -> f32 {
        let (rows, columns) = (targets.len(), outputs.len() / targets.len());
        let goal = Goal::new(targets, task, class_weights).unwrap().into_values();
        let device = device();
        let loss = loss(task, matrix(outputs, rows, columns, &device), matrix(goal, rows, columns, &device));
        values(loss).unwrap()[0]
    }

    /// Rows [0, ln 3] and [ln 4, 0]: p(target) is 3/4 and 1/5; the expected losses are worked out by hand.
    #[test]
    fn cross_entropy_is_the_mean_of_minus_ln_p_times_the_class_weight() {
        let task = Task::Classification { classes: 2 };
        let outputs = vec![0.0, 3f32.ln(), 4f32.ln(), 0.0];
        let targets = Targets::Classes(vec![1, 1]);
        let plain = (-(0.75f32.ln()) - 0.2f32.ln()) / 2.0;
        assert!((value_of(task, outputs.clone(), &targets, &[]) - plain).abs() < 1e-6);
        assert!((value_of(task, outputs, &targets, &[5.0, 0.5]) - plain / 2.0).abs() < 1e-6);
    }

    /// Differences (1, -2) and (0, 3): (1 + 4 + 9) / (2 · 2).
    #[test]
    fn euclidean_loss_is_half_the_mean_squared_distance() {
        let targets = Targets::Values(tensor::Floats::new(vec![2, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap());
        let found = value_of(Task::Regression { targets: 2 }, vec![2.0, 0.0, 3.0, 7.0], &targets, &[]);
        assert!((found - 3.5).abs() < 1e-6, "{found}");
    }

    #[test]
    fn targets_that_do_not_fit_are_named() {
        let classes = Task::Classification { classes: 3 };
        let table = [
            (classes, Targets::Classes(vec![-1]), "negative supervised discrete target"),
            (classes, Targets::Classes(vec![3]), "id 3 is higher than the number of classes 3"),
            (Task::Regression { targets: 2 }, Targets::Classes(vec![1]), "learns 2 values per item"),
            (classes, Targets::Values(tensor::Floats::new(vec![1, 2], vec![0.0; 2]).unwrap()), "has 2 values"),
        ];
        for (task, targets, expected) in table {
            let error = Goal::new(&targets, task, &[]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
