//! Heads from outside of this crate: which networks their kinds claim, and what a creation has to agree with.
//!
//! It owns the order in which kinds are offered a network, and the checks that hold for every head. It must not know what a head does
//! with the numbers.

use dede_graph::onnx::ModelSummary;
use dede_model::backend::{DecidingFile, OpenRequest, ServiceType, Task};
use dede_model::error::{Error, Result};
use dede_model::quote::{quote, quote_list};

use super::graph_outputs::{GraphOutput, candidates, graph_outputs};
use crate::neural::activation::Reading;
use crate::neural::head_trial::try_head;
use crate::neural::heads::{Head, HeadKind, OfferedNetwork, OfferedOutput};
use crate::neural::loading::Trial;
use crate::neural::options::{CreationOptions, MLLIB};
use crate::neural::outputs::{Choice, choose};

/// The kinds of heads that networks are offered to.
#[derive(Clone)]
pub(super) struct Kinds {
    /// All of them, in this order.
    pub(super) all: Vec<&'static dyn HeadKind>,
    /// The one that the creation asks for.
    pub(super) asked: Option<&'static dyn HeadKind>,
}

/// A network that a kind of head claimed.
pub(super) struct Claim {
    kind: &'static dyn HeadKind,
    is_asked: bool,
}

/// Offers a network to all kinds in turn, or to the one that the creation asks for; with the outputs that the head takes, in that order.
/// `None`: the head is one of those built in.
///
/// # Errors
/// Those of the kind; [`Error::BadParameter`] where the one asked for does not claim the network.
pub(super) fn claimed(
    Kinds { all, asked }: Kinds,
    request: &OpenRequest<'_>,
    options: &CreationOptions,
    onnx: &[u8],
    (file, summary): (&DecidingFile, &ModelSummary),
) -> Result<Option<(Claim, Vec<GraphOutput>)>> {
    let mut outputs = graph_outputs(onnx, file, summary)?;
    if options.output()?.is_some()
        && let Choice::Output(place) = choose(&candidates(&outputs), options, request.service_type)?
    {
        outputs = vec![outputs.swap_remove(place)];
    }
    let network = offered(&outputs, request, options, asked.is_some());
    let offers = asked.as_slice().iter().chain(all.iter().filter(|_| asked.is_none()));
    for &kind in offers {
        if let Some(names) = kind.claim(&network)? {
            let outputs = taken(kind, &names, outputs)?;
            return Ok(Some((Claim { kind, is_asked: asked.is_some() }, outputs)));
        }
    }
    let Some(kind) = asked else { return Ok(None) };
    let names = quote_list(network.outputs.iter().map(|output| output.name.as_str()));
    let reason = format!("expected a network for head {}, found one with outputs {names}", kind.name());
    Err(Error::bad_parameter_at(format!("{MLLIB}.output_format"), reason))
}

/// What a kind sees of these outputs.
fn offered<'a>(
    outputs: &[GraphOutput],
    request: &OpenRequest<'a>,
    options: &CreationOptions,
    is_asked: bool,
) -> OfferedNetwork<'a> {
    let output = |output: &GraphOutput| OfferedOutput {
        name: output.candidate.name.clone(),
        shape: output.candidate.shape.clone(),
        activation: options.output_activation.or(match &output.reading {
            Reading::Found(activation) => Some(*activation),
            Reading::Label | Reading::Unclear(_) => None,
        }),
        is_label: output.candidate.is_label,
    };
    let outputs = outputs.iter().map(output).collect();
    OfferedNetwork { outputs, parameters: request.mllib, service_type: request.service_type, is_asked }
}

/// The outputs of those names.
fn taken(kind: &dyn HeadKind, names: &[String], mut outputs: Vec<GraphOutput>) -> Result<Vec<GraphOutput>> {
    let lost = || Error::Internal(format!("head {} claims other outputs than it was offered", kind.name()));
    if names.is_empty() {
        return Err(lost());
    }
    let take = |name: &String| {
        let place = outputs.iter().position(|output| output.candidate.name == *name).ok_or_else(lost)?;
        Ok(outputs.swap_remove(place))
    };
    names.iter().map(take).collect()
}

impl Claim {
    /// The head, by what came out for generated samples, which it answers here for the first time.
    ///
    /// # Errors
    /// Those of the kind and of its head; [`Error::BadParameter`] where the head is not what the creation asks for, or the outputs are
    /// not computed for each item alone.
    pub(super) fn head(
        &self,
        request: &OpenRequest<'_>,
        options: &CreationOptions,
        file: &DecidingFile,
        mut outputs: Vec<GraphOutput>,
        (trial, fixed_batch): (&Trial, Option<usize>),
    ) -> Result<Box<dyn Head>> {
        for (place, output) in outputs.iter_mut().enumerate() {
            let shape = match self.kind.takes_lists() {
                true => output.check_lists(&file.name, (trial, place))?,
                false => output.check_rows(&file.name, (trial, place))?,
            };
            output.candidate.shape = Some(shape.to_vec());
            output.check_items(&file.name, trial, fixed_batch)?;
            output.check_scale(&file.name)?;
        }
        let head = self.kind.head(&offered(&outputs, request, options, self.is_asked))?;
        check_asked(self.kind.name(), head.as_ref(), options, request.service_type)?;
        try_head(head.as_ref(), &format!("head {}", self.kind.name()), &file.name, trial)?;
        Ok(head)
    }
}

/// Refuses a head that is not what the creation asks for, so that no kind can ignore these keys.
fn check_asked(name: &str, head: &dyn Head, options: &CreationOptions, service_type: ServiceType) -> Result<()> {
    let refused = |key: &str, expected: String, found: String| {
        let reason = format!("expected {expected}, as head {name} answers, found {}", quote(&found));
        Err(Error::bad_parameter_at(format!("{MLLIB}.{key}"), reason))
    };
    let task = head.task();
    let (regression, key, asked, count) = match task {
        Task::Classification { classes } => (false, "nclasses", options.nclasses, classes),
        Task::Regression { targets } => (true, "ntargets", options.ntargets, targets),
        Task::Detection { classes } | Task::Segmentation { classes } => {
            (false, "nclasses", classes.and(options.nclasses), classes.unwrap_or_default())
        }
        Task::Features if service_type == ServiceType::Unsupervised => return options.check_no_activation(),
        Task::Features => {
            return Err(Error::bad_parameter_at("type", format!("expected unsupervised for head {name}")));
        }
        Task::Tensors => return Err(Error::Internal(format!("head {name} answers tensors"))),
    };
    if service_type == ServiceType::Unsupervised {
        return Err(Error::bad_parameter_at("type", format!("expected supervised for head {name}")));
    }
    if let Some(asked) = options.regression.filter(|asked| *asked != regression) {
        return refused("regression", regression.to_string(), asked.to_string());
    }
    if let Some(asked) = asked.filter(|asked| *asked != count) {
        return refused(key, count.to_string(), asked.to_string());
    }
    match options.output_activation.filter(|asked| head.activation() != Some(*asked)) {
        None => Ok(()),
        Some(asked) => {
            let said = head.activation().map_or("none", |activation| activation.name());
            refused("output_activation", said.to_owned(), asked.name().to_owned())
        }
    }
}
