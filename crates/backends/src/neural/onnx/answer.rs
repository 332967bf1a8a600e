//! Which output of an ONNX file a service answers, and by which head.
//!
//! It owns the order in which an output is refused: its kind, its shape, its number of values, its activation. It must not
//! know engines.

use dede_graph::onnx::ModelSummary;
use dede_model::backend::{DecidingFile, OutputActivation, ServiceType, Task};
use dede_model::error::{Error, Result};

use super::graph_outputs::{GraphOutput, candidates, graph_outputs};
use super::numbers::{self, Exactness, Found};
use crate::neural::activation::decided;
use crate::neural::heads::{Head, Numbers, built_in};
use crate::neural::loading::Trial;
use crate::neural::options::{CreationOptions, MLLIB};
use crate::neural::outputs::{Choice, check_list, check_no_label, choose};

/// The outputs to load: the one to answer, or all where only a run tells which one that is.
///
/// # Errors
/// [`Error::BadParameter`] naming the outputs, where none can be chosen.
pub(super) fn wanted_outputs(
    service_type: ServiceType,
    options: &CreationOptions,
    onnx: &[u8],
    file: &DecidingFile,
    summary: &ModelSummary,
) -> Result<Vec<GraphOutput>> {
    let mut outputs = graph_outputs(onnx, file, summary)?;
    match choose(&candidates(&outputs), options, service_type)? {
        Choice::Output(place) => Ok(vec![outputs.swap_remove(place)]),
        Choice::NeedsShapes => Ok(outputs.into_iter().filter(|output| !output.candidate.is_label).collect()),
    }
}

/// The output to answer among those that were loaded, with its place.
///
/// # Errors
/// As [`wanted_outputs`].
pub(super) fn chosen_output(
    service_type: ServiceType,
    options: &CreationOptions,
    mut outputs: Vec<GraphOutput>,
    trial: &Trial,
) -> Result<(usize, GraphOutput)> {
    if outputs.len() == 1 {
        return Ok((0, outputs.swap_remove(0)));
    }
    for (output, found) in outputs.iter_mut().zip(&trial.outputs) {
        output.candidate.shape = Some(found.shape().iter().skip(1).copied().collect());
    }
    match choose(&candidates(&outputs), options, service_type)? {
        Choice::Output(place) => Ok((place, outputs.swap_remove(place))),
        Choice::NeedsShapes => Err(Error::Internal("outputs without shapes after a run".into())),
    }
}

/// What kept a network from being loaded, with the maps that it has: engines name another operator.
pub(super) fn with_maps(error: Error, behind_maps: Option<&GraphOutput>) -> Error {
    match (error, behind_maps) {
        (Error::BadParameter(mut fault), Some(output)) => {
            let name = &output.candidate.name;
            let maps = format!(
                " (output {name} is a sequence of maps, ZipMap of scikit-learn; ONNX Runtime answers its probabilities)"
            );
            fault.reason.push_str(&maps);
            Error::BadParameter(fault)
        }
        (other, _) => other,
    }
}

/// The head of an output, by what makes it and the shape that came out for generated samples.
///
/// # Errors
/// [`Error::BadParameter`] where it is no answer of the service's type, or what it holds cannot be told.
pub(super) fn conclude(
    service_type: ServiceType,
    options: &CreationOptions,
    file: &DecidingFile,
    output: GraphOutput,
    (trial, place): (&Trial, usize),
    fixed_batch: Option<usize>,
) -> Result<Box<dyn Head>> {
    let name = &output.candidate.name;
    let sample = output.check_rows(&file.name, (trial, place))?;
    output.check_items(&file.name, trial, fixed_batch)?;
    let outputs = sample.iter().product::<usize>();
    if service_type == ServiceType::Supervised {
        check_no_label(&file.name, &output.candidate)?;
        output.check_scale(&file.name)?;
        check_list(&file.name, name, sample)?;
    }
    let task = options.task_of(service_type, outputs, outputs > 1 && options.ntargets.is_none())?;
    let numbers = match task {
        Task::Detection { .. }
        | Task::Segmentation { .. }
        | Task::Features
        | Task::Tensors
        | Task::Regression { .. } => {
            options.check_no_activation()?;
            Numbers::AsTheyAre(None)
        }
        Task::Classification { classes } => {
            let activation = decided(options.output_activation, output.reading, &file.name, name)?;
            if options.output_activation.is_none() {
                // What no operator makes probabilities of may have been some before it was quantised.
                let is_rounded = output.is_rounded || trial.is_coarse && activation == OutputActivation::Logits;
                let exactness = if is_rounded { Exactness::About } else { Exactness::Exact };
                let alone = trial.alone.iter().map(|answers| &answers[..]);
                let tried = alone.chain(std::iter::once(&trial.outputs[..]));
                let found = Found { activation, exactness, is_bent: output.is_bent };
                numbers::check(found, tried.filter_map(|outputs| outputs.get(place)), name)?;
            }
            check_softmax(activation, classes, name)?;
            Numbers::Decided(activation)
        }
    };
    Ok(built_in(task, numbers))
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
