//! Forms of boxes that are found by the shapes of outputs: how a network is claimed, and what all of these forms check.
//!
//! It owns which form a network has, and that two which it could have are refused. It must not know how a form is decoded: that is one
//! file each.
//!
//! `parameters.mllib.nclasses` tells these forms apart and has to be said. It counts the classes that the network can answer: without
//! background for all forms but `ssd` and `yolox_background`, whose class 0 is the background and counts (contract.md 7.1).

use std::fmt;

use dede_model::backend::{ServiceType, Task};
use dede_model::data::ImageSizes;
use dede_model::error::{Error, Result};
use dede_model::outputs::{Detection, Outputs};
use dede_model::quote::quote_list;

use super::{BoxHead, Edge, FORMS, finished};
use crate::neural::heads::{Asked, Batches, Head, HeadKind, OfferedNetwork, OfferedOutput};
use crate::neural::options::MLLIB;

/// A form in which networks answer boxes.
pub(super) trait Form: fmt::Debug + Send + Sync {
    /// Its name in `parameters.mllib.output_format`.
    fn name(&self) -> &'static str;

    /// Whether outputs of these names and shapes of one image are those of a network of so many classes, in the order that the form takes
    /// them.
    fn fits(&self, outputs: &[&OfferedOutput], classes: usize) -> bool;

    /// Whether networks are taken for it without being asked for.
    fn is_found(&self) -> bool {
        true
    }

    /// Number of outputs it takes.
    fn outputs(&self) -> usize {
        1
    }

    /// How far boxes of one class may overlap where the request does not say it; `None`: the network leaves out those that do.
    fn most_overlap(&self) -> Option<f32>;

    /// What a share of 1 of the image is.
    fn edge(&self) -> Edge {
        Edge::Size
    }

    /// Most boxes in one image of so many numbers in the first output, for so many classes.
    fn most_boxes(&self, numbers: usize, classes: usize) -> usize;

    /// The boxes of one image, in pixels of the network's input.
    ///
    /// # Errors
    /// What is wrong with the numbers, without the output's name.
    fn boxes(&self, outputs: &[&[f32]], classes: usize, image: &ImageSizes) -> Result<Vec<Detection>, String>;
}

/// Claims networks of a form.
#[derive(Debug, Clone, Copy)]
pub(in crate::neural::heads) struct FormKind(pub(super) &'static dyn Form);

struct FormHead {
    form: &'static dyn Form,
    names: String,
    classes: usize,
}

impl HeadKind for FormKind {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn claim(&self, network: &OfferedNetwork<'_>) -> Result<Option<Vec<String>>> {
        let is_regression = network.parameters.get("regression").and_then(serde_json::Value::as_bool) == Some(true);
        let is_unasked = !network.is_asked && (is_regression || !self.0.is_found());
        if network.service_type == ServiceType::Unsupervised || is_unasked {
            return Ok(None);
        }
        let Some(classes) = classes(network) else {
            return if network.is_asked { Err(unsaid(self.name())) } else { Ok(None) };
        };
        if let Some(names) = chosen(self.0, network, classes) {
            let fits = |form: &&FormKind| form.0.is_found() && chosen(form.0, network, classes).is_some();
            let others: Vec<_> = FORMS.iter().filter(fits).collect();
            if network.is_asked || others.len() == 1 {
                return Ok(Some(names));
            }
            let forms = quote_list(others.iter().map(|form| form.name()));
            let reason = format!(
                "expected one of {forms}, found none: output {} has the shape of each of them with {classes} classes",
                quote_list(names.iter().map(String::as_str))
            );
            return Err(Error::bad_parameter_at(format!("{MLLIB}.output_format"), reason));
        }
        if !network.is_asked {
            return Ok(None);
        }
        let found = network.outputs.iter().map(|output| match &output.shape {
            Some(shape) => format!("{} of {shape:?}", output.name),
            None => format!("{} of an unknown shape", output.name),
        });
        let found: Vec<_> = found.collect();
        let anchors = network.outputs.iter().any(|output| has_anchors(output, classes));
        let hint =
            if anchors { "; raw outputs of YOLOv5 need anchors, which the file lacks: export it decoded" } else { "" };
        let reason = format!(
            "expected outputs of {} for {classes} classes in each image, found {}{hint}",
            self.name(),
            quote_list(found.iter().map(String::as_str))
        );
        Err(Error::bad_parameter_at(format!("{MLLIB}.output_format"), reason))
    }

    fn head(&self, network: &OfferedNetwork<'_>) -> Result<Box<dyn Head>> {
        let classes = classes(network).ok_or_else(|| unsaid(self.name()))?;
        let outputs: Vec<_> = network.outputs.iter().collect();
        let names = quote_list(outputs.iter().map(|output| output.name.as_str())).to_string();
        if !self.0.fits(&outputs, classes) {
            let shapes: Vec<_> = outputs.iter().map(|output| output.shape.clone().unwrap_or_default()).collect();
            let reason = format!("expected {} with {classes} classes, found shapes {shapes:?} of {names}", self.name());
            return Err(Error::bad_parameter_at(format!("{MLLIB}.nclasses"), reason));
        }
        Ok(Box::new(FormHead { form: self.0, names, classes }))
    }
}

fn unsaid(name: &str) -> Error {
    Error::bad_parameter_at(
        format!("{MLLIB}.nclasses"),
        format!("expected the number of classes for {name}, found none"),
    )
}

fn classes(network: &OfferedNetwork<'_>) -> Option<usize> {
    let classes = network.parameters.get("nclasses").and_then(serde_json::Value::as_u64)?;
    usize::try_from(classes).ok().filter(|&classes| classes > 0)
}

/// The outputs that a form takes of a network; `None` where there are none, or several.
fn chosen(form: &'static dyn Form, network: &OfferedNetwork<'_>, classes: usize) -> Option<Vec<String>> {
    let all = &network.outputs;
    let lists: Vec<Vec<&OfferedOutput>> = match form.outputs() {
        1 => all.iter().map(|output| vec![output]).collect(),
        _ => {
            let pairs = all.iter().flat_map(|one| all.iter().map(move |other| vec![one, other]));
            pairs.filter(|pair| pair[0].name != pair[1].name).collect()
        }
    };
    let mut fitting = lists.into_iter().filter(|outputs| {
        // An output whose shape the file does not say is taken where the form is asked for; the run shows whether it fits.
        let is_unsaid = all.len() == form.outputs() && outputs.iter().all(|output| output.shape.is_none());
        // As many numbers as classes are probabilities of them, unless the creation says otherwise.
        let is_classifier = outputs.iter().any(|output| numbers(output) == Some(classes));
        let is_shape = form.fits(outputs, classes) && (network.is_asked || !is_classifier);
        is_shape || (network.is_asked && form.outputs() == 1 && is_unsaid)
    });
    let first = fitting.next()?;
    fitting.next().is_none().then(|| first.iter().map(|output| output.name.clone()).collect())
}

/// Numbers of one image.
fn numbers(output: &OfferedOutput) -> Option<usize> {
    Some(output.shape.as_ref()?.iter().fold(1, |numbers: usize, extent| numbers.saturating_mul(*extent)))
}

/// Whether it is `[anchors, rows, columns, 5 + classes]`.
fn has_anchors(output: &OfferedOutput, classes: usize) -> bool {
    matches!(output.shape.as_deref(), Some([_, _, _, last]) if Some(*last) == classes.checked_add(5))
}

impl BoxHead for FormHead {
    fn output(&self) -> &str {
        &self.names
    }

    fn most_overlap(&self) -> Option<f32> {
        self.form.most_overlap()
    }

    fn edge(&self) -> Edge {
        self.form.edge()
    }
}

impl Head for FormHead {
    fn task(&self) -> Task {
        Task::Detection { classes: Some(self.classes) }
    }

    fn outputs(&self, found: Vec<Batches>, asked: &Asked<'_>) -> Result<Outputs> {
        if asked.images.is_empty() && found.iter().any(|output| output.samples() > 0) {
            let reason = format!("expected images for {}, which answers boxes, found rows", self.form.name());
            return Err(Error::bad_parameter_at("parameters.input.connector", reason));
        }
        let rows: Vec<Vec<&[f32]>> = found.iter().map(|output| output.rows().collect()).collect();
        let mut samples = Vec::with_capacity(asked.images.len());
        for (sample, image) in asked.images.iter().enumerate() {
            let outputs: Option<Vec<&[f32]>> = rows.iter().map(|rows| rows.get(sample).copied()).collect();
            let outputs = outputs.ok_or_else(|| Error::Internal("fewer answers than images".into()))?;
            let numbers = outputs.first().map_or(0, |first| first.len());
            let boxes = self.form.most_boxes(numbers, self.classes);
            // Twice: decoded, and those that stay.
            asked.memory.grow((boxes as u64).saturating_mul(2 * size_of::<Detection>() as u64))?;
            let boxes = self.form.boxes(&outputs, self.classes, image);
            samples.push(boxes.map_err(|reason| {
                Error::bad_input_at(format!("item {}, output {}", sample + 1, self.names), reason)
            })?);
        }
        finished(self, samples, asked.images, &asked.options.boxes)
    }
}

/// How far beyond 0 and 1 coarse numbers put scores.
const COARSE: f32 = 0.01;

/// The class of the highest score, the first one of equal scores.
///
/// # Errors
/// Names a score that is no probability.
pub(super) fn best(scores: impl Iterator<Item = f32>) -> Result<(usize, f32), String> {
    let mut best = (0, f32::NEG_INFINITY);
    for (class, score) in scores.enumerate() {
        check_score(score)?;
        if score > best.1 {
            best = (class, score);
        }
    }
    Ok(best)
}

/// Refuses what is no probability: such numbers have not been through a sigmoid, or the output has another form.
pub(super) fn check_score(score: f32) -> Result<f32, String> {
    if (-COARSE..=1.0 + COARSE).contains(&score) {
        return Ok(score);
    }
    Err(format!("expected scores from 0 to 1, found {score}"))
}
