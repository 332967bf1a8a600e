//! Which output of a network of Caffe a service answers, and by which head.
//!
//! It owns what is said of outputs that the original answers as they are. It must not know files.

use dede_graph::{Graph, Layer};
use dede_model::backend::{OutputActivation, ServiceType, Task};
use dede_model::error::{Error, Result};

use super::files::Source;
use crate::neural::heads::{Head, Numbers, built_in};
use crate::neural::options::CreationOptions;
use crate::neural::outputs::{Candidate, Choice, check_list, choose};

/// The output that a service answers.
///
/// # Errors
/// [`Error::BadParameter`] naming the outputs, where none can be chosen.
pub(super) fn chosen_output(
    graph: &Graph,
    options: &CreationOptions,
    service_type: ServiceType,
    source: &Source,
) -> Result<String> {
    let shapes = graph.shapes().map_err(|error| source.complaint(&error))?;
    let candidate = |name: &String| Candidate {
        name: name.clone(),
        value: name.clone(),
        shape: shapes.get(name).map(|shape| shape.dims().to_vec()),
        is_label: false,
    };
    let candidates: Vec<_> = graph.outputs.iter().map(candidate).collect();
    let found = match choose(&candidates, options, service_type)? {
        Choice::Output(place) => candidates.into_iter().nth(place),
        Choice::NeedsShapes => None,
    };
    let lost = || Error::Internal("an output of the network has no shape".into());
    found.map(|candidate| candidate.name).ok_or_else(lost)
}

/// The head of the output, by its shape and the layer that makes it.
///
/// # Errors
/// [`Error::BadParameter`] where it has another shape or number of values than was asked for.
pub(super) fn conclude(
    graph: &Graph,
    options: &CreationOptions,
    service_type: ServiceType,
    source: &Source,
    value: &str,
) -> Result<Box<dyn Head>> {
    let shapes = graph.shapes().map_err(|error| source.complaint(&error))?;
    let shape = shapes.get(value);
    let outputs = shape.and_then(|shape| shape.elements().ok()).unwrap_or(0);
    let found = match graph.producer(value).map(|node| &node.layer) {
        Some(Layer::Softmax { .. }) => Some(OutputActivation::Softmax),
        Some(Layer::Sigmoid) => Some(OutputActivation::Sigmoid),
        Some(_) | None => None,
    };
    let task = options.task_of(service_type, outputs, found == Some(OutputActivation::Softmax))?;
    let numbers = match task {
        // Without a word on it they are answered as they are, as the original does.
        Task::Classification { .. } => options.output_activation.map_or(Numbers::AsTheyAre(found), Numbers::Decided),
        Task::Regression { .. }
        | Task::Detection { .. }
        | Task::Segmentation { .. }
        | Task::Features
        | Task::Tensors => {
            options.check_no_activation()?;
            Numbers::AsTheyAre(None)
        }
    };
    if let (Some(shape), Task::Classification { .. } | Task::Regression { .. }) = (shape, task) {
        check_list(&source.name(), value, shape.dims())?;
    }
    Ok(built_in(task, numbers))
}
