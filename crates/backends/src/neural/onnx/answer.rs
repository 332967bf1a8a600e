//! Which output of an ONNX file a service answers, and what its numbers mean.
//!
//! It owns the order in which an output is refused: its kind, its shape, its number of values, its activation. It must not
//! know engines.

use dede_graph::onnx::ModelSummary;
use dede_model::backend::{DecidingFile, OutputActivation, ServiceType, Task};
use dede_model::error::{Error, Result};

use super::heads::{Head, heads};
use super::numbers::{self, Exactness, Found};
use crate::neural::activation::decided;
use crate::neural::engine::Tensor;
use crate::neural::loading::Trial;
use crate::neural::model::Meaning;
use crate::neural::options::{CreationOptions, MLLIB};
use crate::neural::outputs::{Candidate, Choice, check_list, check_no_label, choose};

/// The outputs to load: the one to answer, or all where only a run tells which one that is.
///
/// # Errors
/// [`Error::BadParameter`] naming the outputs, where none can be chosen.
pub(super) fn wanted_heads(
    service_type: ServiceType,
    options: &CreationOptions,
    onnx: &[u8],
    file: &DecidingFile,
    summary: &ModelSummary,
) -> Result<Vec<Head>> {
    let mut heads = heads(onnx, file, summary)?;
    match choose(&candidates(&heads), options, service_type)? {
        Choice::Output(place) => Ok(vec![heads.swap_remove(place)]),
        Choice::NeedsShapes => Ok(heads.into_iter().filter(|head| !head.candidate.is_label).collect()),
    }
}

fn candidates(heads: &[Head]) -> Vec<Candidate> {
    heads.iter().map(|head| head.candidate.clone()).collect()
}

/// The output to answer among those that were loaded, with its place.
///
/// # Errors
/// As [`wanted_heads`].
pub(super) fn chosen_head(
    service_type: ServiceType,
    options: &CreationOptions,
    mut heads: Vec<Head>,
    trial: &Trial,
) -> Result<(usize, Head)> {
    if heads.len() == 1 {
        return Ok((0, heads.swap_remove(0)));
    }
    for (head, output) in heads.iter_mut().zip(&trial.outputs) {
        head.candidate.shape = Some(output.shape().iter().skip(1).copied().collect());
    }
    match choose(&candidates(&heads), options, service_type)? {
        Choice::Output(place) => Ok((place, heads.swap_remove(place))),
        Choice::NeedsShapes => Err(Error::Internal("outputs without shapes after a run".into())),
    }
}

/// What kept a network from being loaded, with the maps that it has: engines name another operator.
pub(super) fn with_maps(error: Error, behind_maps: Option<&Head>) -> Error {
    match (error, behind_maps) {
        (Error::BadParameter(mut fault), Some(head)) => {
            let name = &head.candidate.name;
            let maps = format!(
                " (output {name} is a sequence of maps, ZipMap of scikit-learn; ONNX Runtime answers its probabilities)"
            );
            fault.reason.push_str(&maps);
            Error::BadParameter(fault)
        }
        (other, _) => other,
    }
}

/// What the output means, by what makes it and the shape that came out for generated samples.
///
/// # Errors
/// [`Error::BadParameter`] where it is no answer of the service's type, or cannot be told.
pub(super) fn conclude(
    service_type: ServiceType,
    options: &CreationOptions,
    file: &DecidingFile,
    head: Head,
    (trial, place): (&Trial, usize),
    fixed_batch: Option<usize>,
) -> Result<(Task, Meaning, Option<OutputActivation>)> {
    let output = &head.candidate.name;
    let (shape, samples) = (trial.outputs.get(place).map(Tensor::shape).unwrap_or_default(), trial.samples);
    if shape.first() != Some(&samples) {
        let (found, count) = (format!("output {output} has shape {shape:?} for {samples} samples"), "one row each");
        return Err(Error::bad_parameter_at(&file.name, format!("{count} expected, {found}")));
    }
    head.check_items(&file.name, trial, fixed_batch)?;
    let sample = &shape[1..];
    let outputs = sample.iter().product::<usize>();
    if service_type == ServiceType::Supervised {
        check_no_label(&file.name, &head.candidate)?;
        head.check_scale(&file.name)?;
        check_list(&file.name, output, sample)?;
    }
    let task = options.task_of(service_type, outputs, outputs > 1 && options.ntargets.is_none())?;
    match task {
        Task::Features | Task::Tensors | Task::Regression { .. } => {
            options.check_no_activation()?;
            let meaning = if task == Task::Features { Meaning::Features } else { Meaning::Values };
            Ok((task, meaning, None))
        }
        Task::Classification { classes } => {
            let activation = decided(options.output_activation, head.reading, &file.name, output)?;
            if options.output_activation.is_none() {
                // What no operator makes probabilities of may have been some before it was quantised.
                let is_rounded = head.is_rounded || trial.is_coarse && activation == OutputActivation::Logits;
                let exactness = if is_rounded { Exactness::About } else { Exactness::Exact };
                let alone = trial.alone.iter().map(|answers| &answers[..]);
                let tried = alone.chain(std::iter::once(&trial.outputs[..]));
                let found = Found { activation, exactness, is_bent: head.is_bent };
                numbers::check(found, tried.filter_map(|outputs| outputs.get(place)), output)?;
            }
            check_softmax(activation, classes, output)?;
            Ok((task, Meaning::of(activation), Some(activation)))
        }
    }
}

/// A softmax over one class is 1 whatever its score is, which no client means.
fn check_softmax(activation: OutputActivation, classes: usize, output: &str) -> Result<()> {
    if activation != OutputActivation::Logits || classes > 1 {
        return Ok(());
    }
    let reason = format!(
        "expected several classes for a softmax, found one score in output {output}: it is a value (regression: true), or \
         a probability already (output_activation sigmoid); the logit of one needs a Sigmoid at the end of the network"
    );
    Err(Error::bad_parameter_at(format!("{MLLIB}.nclasses"), reason))
}
