//! Which output of a network of Caffe a service answers, and by which head.
//!
//! It owns what is said of outputs that the original answers as they are, and that boxes are answered where a DetectionOutput makes the
//! output. It must not know files.

use dede_graph::operations::Operation;
use dede_graph::{Graph, Layer};
use dede_model::backend::{OpenRequest, OutputActivation, ServiceType, Task};
use dede_model::data::DataKind;
use dede_model::error::{Error, Result};

use super::files::Source;
use crate::neural::heads::{DetectionOutputHead, Head, Numbers, built_in};
use crate::neural::options::{CreationOptions, MLLIB};
use crate::neural::outputs::{Candidate, Choice, check_list, choose};

/// How a service answers.
pub(super) struct Answer {
    /// The output that it answers.
    pub(super) name: String,
    /// The values that an engine computes for it.
    pub(super) values: Vec<String>,
    /// What makes answers of them.
    pub(super) head: Box<dyn Head>,
}

/// The answer of a service that predicts with a network whose output a DetectionOutput makes: the one that is named, else the only one
/// of the network. `None`: the network answers something else.
///
/// # Errors
/// [`Error::BadParameter`] naming what the layer does not have, or what is asked for instead of boxes.
pub(super) fn detections(
    graph: &Graph,
    options: &CreationOptions,
    request: &OpenRequest<'_>,
    source: &Source,
) -> Result<Option<Answer>> {
    if request.service_type == ServiceType::Unsupervised {
        return Ok(None);
    }
    let is_made_so = |output: &&String| {
        let layer = graph.producer(output).map(|node| &node.layer);
        matches!(layer, Some(Layer::Operation(Operation::DetectionOutput(_))))
    };
    let mut made = graph.outputs.iter().filter(is_made_so);
    let found = match options.output()? {
        Some((_, name)) => made.find(|output| *output == name),
        None => match (made.next(), made.next()) {
            (Some(only), None) => Some(only),
            (Some(_), Some(_)) | (None, _) => None,
        },
    };
    let Some(name) = found else { return Ok(None) };
    let Some(decoding) = graph.decoding(name).map_err(|error| source.complaint(&error))? else { return Ok(None) };
    check_boxes_asked(options, (decoding.layer.as_str(), decoding.options.classes))?;
    if request.kind == DataKind::Table {
        let reason = format!("expected images, in which layer {} places boxes, found rows", decoding.layer);
        return Err(Error::bad_parameter_at("parameters.input.connector", reason));
    }
    let values = decoding.values.clone();
    Ok(Some(Answer { name: name.clone(), values, head: Box::new(DetectionOutputHead::new(name.clone(), decoding)) }))
}

/// Refuses what a creation asks for and no network of boxes has.
fn check_boxes_asked(options: &CreationOptions, (layer, classes): (&str, usize)) -> Result<()> {
    options.check_no_activation()?;
    if options.regression == Some(true) {
        let reason = format!("expected false, as layer {layer} answers boxes, found true");
        return Err(Error::bad_parameter_at(format!("{MLLIB}.regression"), reason));
    }
    match options.nclasses.filter(|&asked| asked != classes) {
        None => Ok(()),
        Some(asked) => {
            let reason = format!("expected {classes}, as num_classes of layer {layer} says, found {asked}");
            Err(Error::bad_parameter_at(format!("{MLLIB}.nclasses"), reason))
        }
    }
}

/// The answer of a service that answers a value by its shape and the layer that makes it.
///
/// # Errors
/// As [`conclude`].
pub(super) fn of_value(
    graph: &Graph,
    options: &CreationOptions,
    service_type: ServiceType,
    source: &Source,
    value: String,
) -> Result<Answer> {
    let head = conclude(graph, options, service_type, source, &value)?;
    Ok(Answer { values: vec![value.clone()], name: value, head })
}

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
fn conclude(
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
