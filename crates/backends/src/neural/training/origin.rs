//! Where the network and its first weights come from.
//!
//! With a template, the network is drawn anew; the weights that the repository holds are taken over when `finetuning` asks for
//! it, or when they were not trained here, as the original does with weights it finds. Without a template, the repository's
//! network is trained further.

use dede_graph::caffe::LayerWeights;
use dede_graph::{Graph, Shape};
use dede_model::backend::{Task, TrainRequest};
use dede_model::data::DataKind;
use dede_model::error::{Error, Result};
use dede_model::parameters::Count;
use rand::Rng;

use super::architecture::Architecture;
use super::feed::Source;
use super::network::{Network, bad_network};
use super::options::{MLLIB, MllibOptions, TrainOptions};
use super::order::{Stream, generator};
use super::settings::Settings;
use super::{Existing, Held, memory, standardization};

/// Where the network comes from.
pub(super) enum Origin {
    /// Drawn anew.
    Template(Architecture),
    /// Drawn anew, with the weights of this one where names and shapes agree.
    Finetuned(Architecture, Graph),
    /// Drawn anew, with the weights of a file of Caffe; `finetuning` says whether the last layer may be another one.
    Weights { architecture: Architecture, weights: LayerWeights, finetuning: bool },
    /// The repository's network.
    Repository(Graph),
}

/// How a training begins.
#[derive(Clone, Copy)]
pub(super) enum Beginning<'a> {
    /// With the training set that statistics are measured from.
    Fresh(&'a Source<'a>),
    /// With a checkpoint, which has them; `standardized` says whether its network begins with them.
    Resumed { standardized: bool },
}

impl Origin {
    /// Decides, with the original's texts where nothing can be decided.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the parameter, or saying what the repository lacks.
    pub(super) fn resolve(request: &TrainRequest<'_>, options: &MllibOptions, existing: Existing<'_>) -> Result<Self> {
        let finetuning = options.finetuning.unwrap_or(false);
        let Some(architecture) = Architecture::resolve(options, request.kind)? else {
            let missing = || format!("missing solver file in {}", request.repository.root().display());
            return match existing(false)? {
                Some(Held::Network(graph)) => Ok(Self::Repository(graph)),
                Some(Held::Weights(_)) | None => Err(Error::bad_parameter(missing())),
            };
        };
        if options.resume.unwrap_or(false) {
            return Ok(Self::Template(architecture));
        }
        // A template over a network that was trained here starts anew, unless asked otherwise: with the weights that the repository
        // has without a network, if any.
        let ours = request.repository.published()?.is_some();
        match existing(ours && !finetuning)? {
            Some(Held::Network(graph)) => Ok(Self::Finetuned(architecture, graph)),
            Some(Held::Weights(weights)) => Ok(Self::Weights { architecture, weights, finetuning }),
            None if finetuning => Err(Error::bad_parameter("finetuning requires specifying an existing weights file")),
            None => Ok(Self::Template(architecture)),
        }
    }

    /// What the network is for: as asked, or as the repository's network says.
    ///
    /// # Errors
    /// [`Error::BadParameter`] with the texts of contract.md 3.9, rule 7.
    pub(super) fn task(&self, options: &TrainOptions) -> Result<Task> {
        let outputs = match self {
            Self::Repository(graph) => outputs_of(graph),
            Self::Template(_) | Self::Finetuned(..) | Self::Weights { .. } => 0,
        };
        let asked = |count: Option<Count>| count.map(|count| count.0 as usize).filter(|&count| count > 0);
        let unknown = |key: &str, text: &str| Err(Error::bad_parameter_at(format!("{MLLIB}.{key}"), text));
        match options.mllib.regression {
            Some(true) => match asked(options.mllib.ntargets).unwrap_or(outputs) {
                0 => unknown("ntargets", "number of regression targets is unknown (ntargets == 0)"),
                targets => Ok(Task::Regression { targets }),
            },
            Some(false) | None => match asked(options.mllib.nclasses).unwrap_or(outputs) {
                0 => unknown("nclasses", "number of classes is unknown (nclasses == 0)"),
                classes => Ok(Task::Classification { classes }),
            },
        }
    }

    /// Refuses the number of outputs that trainings of the other task have, where it is not that of this one's.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming both keys.
    pub(super) fn check_other_count(options: &MllibOptions, task: Task) -> Result<()> {
        let (key, asked, own, count) = match task {
            Task::Classification { classes } => ("ntargets", options.ntargets, "nclasses", classes),
            Task::Regression { targets } => ("nclasses", options.nclasses, "ntargets", targets),
            Task::Detection { .. } | Task::Segmentation { .. } | Task::Features | Task::Tensors => return Ok(()),
        };
        match asked.map(|count| count.0 as usize).filter(|&asked| asked > 0 && asked != count) {
            None => Ok(()),
            Some(asked) => {
                let text = format!(
                    "expected none beside {own} {count}, as regression says which of them counts, found {asked}"
                );
                Err(Error::bad_parameter_at(format!("{MLLIB}.{key}"), text))
            }
        }
    }

    /// The network before the first iteration, for samples of `shape`.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the layer or the parameter that does not fit; whatever reading the data met.
    pub(super) fn network(
        &self,
        shape: &Shape,
        kind: DataKind,
        settings: &Settings,
        seed: u64,
        beginning: Beginning<'_>,
    ) -> Result<Network> {
        let task = settings.task;
        let mut graph = match self {
            Self::Template(architecture) => {
                let mut graph = architecture.build(shape, task)?;
                if let (DataKind::Images, Some((channels, _, _))) = (kind, shape.as_image()) {
                    match beginning {
                        Beginning::Fresh(source) => {
                            standardization::insert(&mut graph);
                            standardization::measure(&mut graph, channels, source, seed)?;
                        }
                        Beginning::Resumed { standardized: true } => standardization::insert(&mut graph),
                        Beginning::Resumed { standardized: false } => {}
                    }
                }
                graph
            }
            Self::Finetuned(architecture, from) => {
                let mut graph = architecture.build(shape, task)?;
                if standardization::is_in(from) {
                    standardization::insert(&mut graph);
                }
                take_over(&mut graph, from)?;
                graph
            }
            Self::Weights { architecture, weights, finetuning } => {
                let mut graph = architecture.build(shape, task)?;
                begin_with(&mut graph, weights, *finetuning)?;
                graph
            }
            Self::Repository(graph) => graph.clone(),
        };
        check(&graph, shape, task)?;
        memory::check(&graph, settings)?;
        let mut random = generator(seed, Stream::Weights);
        // 53 bits are what a double holds.
        graph.initialize(|| (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64).map_err(bad_network)?;
        Network::new(graph, matches!(self, Self::Template(_)))
    }
}

/// Checks that the network takes the data and answers what the task wants, and that there is something to train.
fn check(graph: &Graph, shape: &Shape, task: Task) -> Result<()> {
    let found = graph.inputs.first().map(|input| &input.shape);
    if found.and_then(|found| found.elements().ok()) != shape.elements().ok() {
        let found = found.map_or_else(|| "nothing".to_owned(), Shape::to_string);
        let text = format!("the network takes {found}, the data has samples of {shape}");
        return Err(Error::bad_parameter_at("parameters.input", text));
    }
    let (key, wanted) = match task {
        Task::Classification { classes } => ("nclasses", classes),
        Task::Regression { targets } => ("ntargets", targets),
        Task::Detection { .. } => return Err(Error::bad_parameter("not supported yet: training of boxes")),
        Task::Segmentation { .. } => return Err(Error::bad_parameter("not supported yet: training of masks")),
        Task::Features => return Err(Error::bad_parameter("an unsupervised service cannot be trained")),
        Task::Tensors => return Err(Error::bad_parameter("a service of tensors cannot be trained")),
    };
    let answers = outputs_of(graph);
    if answers != wanted {
        let text = format!("the network answers {answers} values per sample, {key} says {wanted}");
        return Err(Error::bad_parameter_at(format!("{MLLIB}.{key}"), text));
    }
    match graph.parameters().map_err(bad_network)?.iter().any(|parameter| parameter.trainable) {
        true => Ok(()),
        false => Err(Error::bad_parameter("the network has no weights to train")),
    }
}

/// Values that a network answers per sample; 0 when it is broken.
fn outputs_of(graph: &Graph) -> usize {
    let shapes = graph.shapes().unwrap_or_default();
    shapes.get(graph.output()).and_then(|shape| shape.elements().ok()).unwrap_or(0)
}

/// Puts the weights of a file into a network. With `finetuning` its last layer may be another one, and layers may be missing.
fn begin_with(graph: &mut Graph, weights: &LayerWeights, finetuning: bool) -> Result<()> {
    let head = graph.producer(graph.logits()).map(|node| node.name.clone()).filter(|_| finetuning);
    let left = weights.put_into(graph, head.as_deref()).map_err(|error| {
        let hint = "a template begins with the weights of the repository where all of them fit, or, with finetuning, all but the last";
        Error::bad_parameter(format!("{error}: {hint}"))
    })?;
    if !left.is_empty() {
        tracing::info!(layers = ?left, "not in the weights of the repository, drawn anew");
    }
    Ok(())
}

/// Copies weights that agree in name and shape.
fn take_over(graph: &mut Graph, from: &Graph) -> Result<()> {
    let parameters = graph.parameters().map_err(bad_network)?;
    let mut missing = Vec::new();
    for parameter in &parameters {
        match from.weights.get(&parameter.name) {
            Some(weight) if weight.shape() == parameter.shape => {
                graph.weights.insert(parameter.name.clone(), weight.clone());
            }
            Some(_) | None => missing.push(parameter.name.as_str()),
        }
    }
    if missing.len() == parameters.len() {
        return Err(Error::bad_parameter("no layer of the existing network fits the template: nothing to finetune"));
    }
    if !missing.is_empty() {
        tracing::info!(weights = ?missing, "not in the existing network, drawn anew");
    }
    Ok(())
}
