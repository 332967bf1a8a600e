//! The outputs of an ONNX file that could be answered, and what each of them holds.
//!
//! It owns what stands behind scikit-learn's maps from class to probability: the tensor that they are made of. It must not
//! know which output is answered.

use std::collections::{HashMap, HashSet};

use dede_graph::onnx::{ModelSummary, ValueSummary};
use dede_model::backend::{DecidingFile, OutputActivation};
use dede_model::error::{Error, Result};
use dede_model::quote::{quote, quote_list};

use crate::neural::activation::{Known, KnownTie, Reading, Strength, Values};
use crate::neural::engine::Tensor;
use crate::neural::loading::Trial;
use crate::neural::onnx_view::{Dimension, GraphView, OnnxView};
use crate::neural::outputs::Candidate;

/// `TensorProto.DataType.STRING`.
const STRINGS: i64 = 8;
/// Domain of the operators of classical models.
const OF_MAPS: &str = "ai.onnx.ml";
/// The converter of scikit-learn. It writes out what makes probabilities, so that bare scores are those of a classifier without any.
const OF_SCIKIT_LEARN: &str = "skl2onnx";

/// An output with what it holds.
#[derive(Debug, Clone)]
pub(super) struct GraphOutput {
    pub(super) candidate: Candidate,
    pub(super) reading: Reading,
    /// Whether its numbers are the whole ones that a quantised network computes with.
    lacks_scale: bool,
    /// Whether its numbers are what they hold only about.
    pub(super) is_rounded: bool,
    /// Whether an operator on the way to them may end at 0 and 1.
    pub(super) is_bent: bool,
    /// What makes the numbers of an item depend on other items, or on chance.
    tie: Option<KnownTie>,
    is_behind_maps: bool,
}

impl GraphOutput {
    fn of(known: Known, producer: &str, (name, value): (&str, &str), shape: Option<Vec<usize>>) -> Self {
        let Known { reading, lacks_scale, is_rounded, is_bent, tie } = known;
        let reading = if producer == OF_SCIKIT_LEARN && reading == Reading::Found(OutputActivation::Logits) {
            Reading::Unclear("a classifier of scikit-learn without probabilities".to_owned())
        } else {
            reading
        };
        let is_label = reading == Reading::Label;
        let candidate = Candidate { name: name.to_owned(), value: value.to_owned(), shape, is_label };
        Self { candidate, reading, lacks_scale, is_rounded, is_bent, tie, is_behind_maps: name != value }
    }

    /// A value inside the network, whose numbers are features whatever they hold.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the file when it is no network.
    pub(super) fn layer(onnx: &[u8], file: &DecidingFile, name: &str, value: String) -> Result<Self> {
        let view = parsed(onnx, file)?;
        let Known { tie, .. } = Values::of(&view).known(&value);
        let candidate = Candidate { name: name.to_owned(), value, shape: None, is_label: false };
        let reading = Reading::Unclear("a layer".to_owned());
        let (lacks_scale, is_rounded, is_bent) = (false, false, false);
        Ok(Self { candidate, reading, lacks_scale, is_rounded, is_bent, tie, is_behind_maps: false })
    }

    /// The shape of one sample, where a run answered a row for each.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the output and its shape, where it did not.
    pub(super) fn check_rows<'t>(&self, file: &str, (trial, place): (&'t Trial, usize)) -> Result<&'t [usize]> {
        let (shape, samples) = (trial.outputs.get(place).map(Tensor::shape).unwrap_or_default(), trial.samples);
        match shape.split_first() {
            Some((rows, sample)) if *rows == samples => Ok(sample),
            Some(_) | None => {
                let output = &self.candidate.name;
                let (found, count) =
                    (format!("output {output} has shape {shape:?} for {samples} samples"), "one row each");
                Err(Error::bad_parameter_at(file, format!("{count} expected, {found}")))
            }
        }
    }

    /// As [`GraphOutput::check_rows`], or the shape of a list, which all of it is of one sample.
    ///
    /// # Errors
    /// As there.
    pub(super) fn check_lists<'t>(&self, file: &str, (trial, place): (&'t Trial, usize)) -> Result<&'t [usize]> {
        match trial.outputs.get(place).map(Tensor::shape) {
            Some(list) if trial.samples == 1 && list.first() != Some(&1) => Ok(list),
            Some(_) | None => self.check_rows(file, (trial, place)),
        }
    }

    /// Refuses what is not the same for an item alone and beside others, where a run takes several items, or at another time.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the output, and the operator where it is known.
    pub(super) fn check_items(&self, file: &str, trial: &Trial, fixed_batch: Option<usize>) -> Result<()> {
        let name = quote(&self.candidate.name);
        let tie = self.tie.as_ref().filter(|tie| trial.samples > 1 || tie.strength == Strength::Chance);
        let Some(tie) = tie else {
            let Some(items) = fixed_batch.filter(|_| !trial.are_apart) else { return Ok(()) };
            let reason = format!(
                "expected an output that is computed for each item of a request alone, found {name}, whose numbers for an item \
                 depend on its place among the {items} of a run or on the others; a file with a batch of 1 is served"
            );
            return Err(Error::bad_parameter_at(file, reason));
        };
        let way_out = match tie.strength {
            Strength::Possible => "; a file with a batch of 1 is served",
            Strength::Certain | Strength::Chance => "",
        };
        let reason = format!(
            "expected an output that is computed for each item of a request alone, and the same each time, found {name} made by \
             {}{way_out}",
            tie.cause
        );
        Err(Error::bad_parameter_at(file, reason))
    }

    /// Refuses whole numbers that stand for others.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the output.
    pub(super) fn check_scale(&self, file: &str) -> Result<()> {
        if !self.lacks_scale {
            return Ok(());
        }
        let name = quote(&self.candidate.name);
        let reason =
            format!("expected scores or values, found quantised output {name} without DequantizeLinear after it");
        Err(Error::bad_parameter_at(file, reason))
    }

    /// Whether it is the tensor behind a sequence of maps.
    pub(super) fn is_behind_maps(&self) -> bool {
        self.is_behind_maps
    }
}

/// All outputs that are tensors of numbers, or made of one, in the order of the file.
///
/// # Errors
/// [`Error::BadParameter`] naming the outputs when none is.
pub(super) fn graph_outputs(onnx: &[u8], file: &DecidingFile, summary: &ModelSummary) -> Result<Vec<GraphOutput>> {
    let view = parsed(onnx, file)?;
    let (graph, values) = (&view.graph, Values::of(&view));
    let names: HashSet<&str> = summary.outputs.iter().map(|output| output.name.as_str()).collect();
    let maps = maps(&view);
    let shapes: HashMap<&str, Option<Vec<usize>>> = match maps.is_empty() {
        true => HashMap::new(),
        false => shapes(graph),
    };
    let found =
        |name: &str, value: &str, shape| GraphOutput::of(values.known(value), &summary.producer, (name, value), shape);
    let found: Vec<GraphOutput> = summary
        .outputs
        .iter()
        .filter_map(|output| match output.element_type {
            STRINGS => None,
            // Where the file says nothing, engines tell the type.
            0 if output.is_other => {
                let &value = maps.get(output.name.as_str()).filter(|&&value| !names.contains(value))?;
                Some(found(&output.name, value, shapes.get(value).cloned().flatten()))
            }
            _ => Some(found(&output.name, &output.name, sample_shape(output))),
        })
        .collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let names = quote_list(summary.outputs.iter().map(|output| output.name.as_str()));
    let reason = format!("an output that is a tensor of numbers expected, found {names} (texts, sequences or maps)");
    Err(Error::bad_parameter_at(&file.name, reason))
}

/// What is chosen from among them.
pub(super) fn candidates(outputs: &[GraphOutput]) -> Vec<Candidate> {
    outputs.iter().map(|output| output.candidate.clone()).collect()
}

/// How many items a run takes where the file fixes no number: one, where what is made of an item may depend on the others beside it.
/// `None`: as many as are asked for.
pub(super) fn items_of_a_run(outputs: &[GraphOutput], file: &DecidingFile) -> Option<usize> {
    let mut ties = outputs.iter().filter_map(|output| output.tie.as_ref());
    let tie = ties.find(|tie| tie.strength == Strength::Possible)?;
    tracing::info!(file = file.name, cause = tie.cause, "items are computed one by one: they may depend on each other");
    Some(1)
}

fn parsed<'a>(onnx: &'a [u8], file: &DecidingFile) -> Result<OnnxView<'a>> {
    OnnxView::parse(onnx).map_err(|error| Error::bad_parameter_at(&file.name, error.to_string()))
}

fn sample_shape(output: &ValueSummary) -> Option<Vec<usize>> {
    output.dims.as_ref()?.get(1..)?.iter().copied().collect()
}

/// Sequences of maps, and the tensors that they are made of.
fn maps<'a>(view: &OnnxView<'a>) -> HashMap<&'a str, &'a str> {
    let is_own = view.functions.iter().any(|function| (function.domain, function.op) == (OF_MAPS, "ZipMap"));
    let nodes = view.graph.nodes.iter().filter(|node| (node.domain, node.op) == (OF_MAPS, "ZipMap") && !is_own);
    nodes.filter_map(|node| Some((*node.outputs.first()?, *node.inputs.first()?))).collect()
}

/// Shapes of one item of each value that the file says anything of.
fn shapes<'a>(graph: &GraphView<'a>) -> HashMap<&'a str, Option<Vec<usize>>> {
    let shape = |dims: &[Dimension<'_>]| dims.get(1..)?.iter().map(Dimension::size).collect();
    // Where a value is named more than once, the first is taken.
    let values = graph.values.iter().rev().chain(graph.outputs.iter().rev()).chain(graph.inputs.iter().rev());
    values.map(|value| (value.name, value.dims.as_deref().and_then(shape))).collect()
}
