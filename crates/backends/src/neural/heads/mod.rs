//! Heads: what makes answers of the numbers that a network computes.
//!
//! It owns what a head is and the list of those that are built in, one file each. A head sees the numbers of the samples of a request
//! and what its kind was told when the service was created; it must not know files, engines, requests nor HTTP. Which head a network
//! gets is decided where its file is read. Read first [`Head`], then [`HeadKind`]: how heads are added from outside of this crate.

mod batches;
mod classification;
mod detection;
mod features;
mod kind;
pub(super) mod kinds;
mod regression;
mod segmentation;

use dede_model::backend::{OutputActivation, PredictOptions, Task};
use dede_model::data::ImageSizes;
use dede_model::error::{Error, Result};
use dede_model::outputs::Outputs;
use dede_model::request_memory::MemoryShare;

pub use batches::Batches;
use classification::Classification;
pub(super) use detection::DetectionOutputHead;
pub use detection::suppressed;
pub(super) use features::Features;
pub use kind::{HeadKind, OfferedNetwork, OfferedOutput};
use regression::Regression;

/// What a request asks of a head.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The images of the samples, in order; none where the samples are rows.
    pub images: &'a [ImageSizes],
    /// Options of the request.
    pub options: &'a PredictOptions,
    /// Memory of the request.
    pub memory: &'a MemoryShare,
}

/// Makes answers of the numbers that a network computes, whatever they mean.
pub trait Head: Send + Sync {
    /// What its answers mean: probabilities of so many classes, so many values, boxes, or features. It answers no tensors.
    fn task(&self) -> Task;

    /// What the numbers of the network went through, where it has classes and that is known; it is shown to clients.
    fn activation(&self) -> Option<OutputActivation> {
        None
    }

    /// Answers the samples of one request, in order. `found` has the numbers of each output that the head was given, in the order in
    /// which its kind claimed them; they are counted in the memory of the request already, and what is allocated beside them has to be,
    /// before it is.
    ///
    /// # Errors
    /// [`Error::BadInput`] or [`Error::BadParameter`] where the numbers are not what the head takes them for; those of the memory.
    fn outputs(&self, found: Vec<Batches>, asked: &Asked<'_>) -> Result<Outputs>;
}

/// What is known of the numbers of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    /// They went through this, which decides how they are answered.
    Decided(OutputActivation),
    /// They are answered as they are, and went through this as far as is known.
    AsTheyAre(Option<OutputActivation>),
}

/// The head of a network that no kind claims and whose output means that: the list of all that are built in.
pub(super) fn built_in(task: Task, numbers: Numbers) -> Box<dyn Head> {
    match task {
        Task::Classification { classes } => Box::new(Classification::new(classes, numbers)),
        Task::Regression { targets } => Box::new(Regression::new(targets)),
        Task::Detection { .. } | Task::Segmentation { .. } | Task::Features | Task::Tensors => Box::new(Features),
    }
}

/// Refuses answers of another form than those of a task, or of another number than that of the samples: no door could render them.
///
/// # Errors
/// [`Error::Internal`], since a head that answers so has a defect.
pub(super) fn check_outputs(task: Task, outputs: &Outputs, samples: usize) -> Result<()> {
    let are_right = match (task, outputs) {
        (Task::Classification { classes: columns }, Outputs::Classification(tensor))
        | (Task::Regression { targets: columns }, Outputs::Regression(tensor)) => tensor.row_len() == columns,
        (Task::Detection { .. }, Outputs::Detection(_))
        | (Task::Segmentation { .. }, Outputs::Segmentation(_))
        | (Task::Features, Outputs::Features(_)) => true,
        (
            Task::Classification { .. }
            | Task::Regression { .. }
            | Task::Detection { .. }
            | Task::Segmentation { .. }
            | Task::Features
            | Task::Tensors,
            Outputs::Classification(_)
            | Outputs::Regression(_)
            | Outputs::Detection(_)
            | Outputs::Segmentation(_)
            | Outputs::Features(_)
            | Outputs::Tensors(_),
        ) => false,
    };
    if are_right && outputs.len() == samples {
        return Ok(());
    }
    Err(Error::Internal(format!("a head of {task:?} answered {samples} samples with something else")))
}

/// The numbers of a head that was given one output.
fn only(mut found: Vec<Batches>) -> Result<Batches> {
    match (found.pop(), found.is_empty()) {
        (Some(batches), true) => Ok(batches),
        (Some(_) | None, _) => Err(Error::Internal("the head takes one output".into())),
    }
}

#[cfg(test)]
mod tests {
    use dede_model::tensor::Floats;

    use super::*;

    #[test]
    fn answers_of_another_form_are_refused() {
        let tensor = |rows, columns| Floats::new(vec![rows, columns], vec![0.5; rows * columns]).expect("fits");
        let classes = Task::Classification { classes: 3 };
        for (task, outputs, is_right) in [
            (classes, Outputs::Classification(tensor(2, 3)), true),
            (classes, Outputs::Classification(tensor(2, 2)), false),
            (classes, Outputs::Classification(tensor(1, 3)), false),
            (classes, Outputs::Regression(tensor(2, 3)), false),
            (Task::Regression { targets: 1 }, Outputs::Regression(tensor(2, 1)), true),
            (Task::Regression { targets: 1 }, Outputs::Regression(tensor(2, 2)), false),
            (Task::Features, Outputs::Features(tensor(2, 7)), true),
            (Task::Features, Outputs::Tensors(Vec::new()), false),
            (Task::Tensors, Outputs::Tensors(Vec::new()), false),
        ] {
            assert_eq!(check_outputs(task, &outputs, 2).is_ok(), is_right, "{task:?} {outputs:?}");
        }
    }

    #[test]
    fn each_task_has_the_head_that_says_it() {
        let shown = OutputActivation::Sigmoid;
        for (task, numbers, activation) in [
            (Task::Classification { classes: 3 }, Numbers::Decided(shown), Some(shown)),
            (Task::Classification { classes: 3 }, Numbers::AsTheyAre(Some(shown)), Some(shown)),
            (Task::Classification { classes: 3 }, Numbers::AsTheyAre(None), None),
            (Task::Regression { targets: 2 }, Numbers::AsTheyAre(None), None),
            (Task::Features, Numbers::AsTheyAre(None), None),
        ] {
            let head = built_in(task, numbers);
            assert_eq!((head.task(), head.activation()), (task, activation));
            let (one, two) = (Batches::new(Vec::new()), [Batches::new(Vec::new()), Batches::new(Vec::new())]);
            let asked = Asked { images: &[], options: &PredictOptions::default(), memory: &MemoryShare::unbounded() };
            let outputs = head.outputs(vec![one], &asked).expect("no samples");
            assert!(check_outputs(task, &outputs, 0).is_ok(), "{task:?}");
            assert!(head.outputs(two.into(), &asked).is_err(), "{task:?} takes one output");
        }
    }
}
