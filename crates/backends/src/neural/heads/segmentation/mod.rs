//! The heads of masks: networks that answer something for each pixel.
//!
//! It owns which networks are taken for such, and in which of three forms they answer: scores of each class `[classes, rows, columns]`,
//! classes `[rows, columns]`, or one score for whether a pixel belongs to what is looked for (`binary_masks`, never taken for granted).
//! What comes out keeps the size of the network's output; the doors scale it to that of the image.

mod pixels;

use dede_model::backend::{Confidences, OutputActivation, PredictOptions, ServiceType, Task};
use dede_model::data::ImageSizes;
use dede_model::error::{Error, Result};
use dede_model::outputs::{Confidence, ConfidenceMap, Extent, MOST_CLASSES, MOST_PIXELS, Mask, Masks, Outputs};
use dede_model::quote::quote_list;

use super::{Asked, Batches, Head, HeadKind, OfferedNetwork, OfferedOutput, only};
use pixels::{Scores, from_numbers, from_one_score, from_scores};

/// What PyTorch's segmenters call the output that counts, beside `aux`.
const USUAL: &str = "out";
/// Where the activation of scores is said.
const ACTIVATION: &str = "parameters.mllib.output_activation";

/// Claims networks with scores or the number of a class for each pixel.
#[derive(Debug, Clone, Copy)]
pub(in crate::neural::heads) struct MaskKind;

/// Takes networks with one score for each pixel, where the creation says so.
#[derive(Debug, Clone, Copy)]
pub(in crate::neural::heads) struct BinaryMaskKind;

/// What a network answers for a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A score for each class.
    Scores,
    /// The number of its class.
    Number,
    /// A score for class 1, beside class 0.
    OneScore,
}

struct MaskHead {
    output: String,
    form: Form,
    activation: Option<OutputActivation>,
    classes: Option<usize>,
}

impl HeadKind for MaskKind {
    fn name(&self) -> &'static str {
        "masks"
    }

    fn claim(&self, network: &OfferedNetwork<'_>) -> Result<Option<Vec<String>>> {
        let asks_for_values = ["regression", "ntargets"].iter().any(|key| match network.parameters.get(*key) {
            Some(value) => value.as_bool() == Some(true) || value.as_u64().is_some_and(|count| count > 0),
            None => false,
        });
        if network.service_type == ServiceType::Unsupervised || asks_for_values && !network.is_asked {
            return Ok(None);
        }
        let classes = asked_classes(network);
        let fits = |output: &&OfferedOutput| match network.is_asked {
            true => output.shape.as_deref().is_none_or(|shape| form(shape, output.is_label).is_some()),
            false => is_certain(output, classes),
        };
        let fitting: Vec<&OfferedOutput> = network.outputs.iter().filter(fits).collect();
        let usual = fitting.iter().find(|output| output.name == USUAL);
        match (fitting.as_slice(), usual) {
            ([], _) => Ok(None),
            ([only], _) | (_, Some(only)) => Ok(Some(vec![only.name.clone()])),
            (several, None) => {
                let names = quote_list(several.iter().map(|output| output.name.as_str()));
                let reason = format!("expected one of the outputs with a class for each pixel, found {names}");
                Err(Error::bad_parameter_at("parameters.mllib.output", reason))
            }
        }
    }

    fn head(&self, network: &OfferedNetwork<'_>) -> Result<Box<dyn Head>> {
        let (output, shape) = only_output(network)?;
        let form = form(shape, output.is_label).ok_or_else(|| {
            let reason = format!(
                "expected scores [classes, rows, columns] of two classes or more, or classes [rows, columns], for each image, \
                 found output {} with shape {shape:?} (one score for each pixel: output_format binary_masks)",
                output.name
            );
            Error::bad_parameter_at("parameters.mllib.output_format", reason)
        })?;
        let classes = match (form, shape) {
            (Form::Scores, [classes, ..]) => Some(*classes),
            (Form::Scores | Form::Number | Form::OneScore, _) => asked_classes(network),
        };
        if let Some(classes) = classes.filter(|classes| *classes > MOST_CLASSES) {
            let reason = format!("expected at most {MOST_CLASSES} classes, found {classes}");
            return Err(Error::bad_parameter_at(format!("output {}", output.name), reason));
        }
        let activation = output.activation.filter(|_| form == Form::Scores);
        Ok(Box::new(MaskHead { output: output.name.clone(), form, activation, classes }))
    }
}

impl HeadKind for BinaryMaskKind {
    fn name(&self) -> &'static str {
        "binary_masks"
    }

    fn claim(&self, network: &OfferedNetwork<'_>) -> Result<Option<Vec<String>>> {
        if !network.is_asked {
            return Ok(None);
        }
        let fits = |output: &&OfferedOutput| output.shape.as_deref().is_none_or(|shape| one_map(shape).is_some());
        let fitting: Vec<&OfferedOutput> = network.outputs.iter().filter(fits).collect();
        match fitting.as_slice() {
            [] => Ok(None),
            [only] => Ok(Some(vec![only.name.clone()])),
            several => {
                let names = quote_list(several.iter().map(|output| output.name.as_str()));
                let reason = format!("expected one of the outputs with a score for each pixel, found {names}");
                Err(Error::bad_parameter_at("parameters.mllib.output", reason))
            }
        }
    }

    fn head(&self, network: &OfferedNetwork<'_>) -> Result<Box<dyn Head>> {
        let (output, shape) = only_output(network)?;
        if one_map(shape).is_none() {
            let reason = format!(
                "expected one score for each pixel [1, rows, columns], found output {} with shape {shape:?}",
                output.name
            );
            return Err(Error::bad_parameter_at("parameters.mllib.output_format", reason));
        }
        let activation = match output.activation {
            Some(known @ (OutputActivation::Sigmoid | OutputActivation::Logits)) => known,
            other @ (Some(OutputActivation::Softmax | OutputActivation::LogSoftmax | OutputActivation::Heads)
            | None) => {
                let found = other.map_or("none that is known", OutputActivation::name);
                let reason = format!(
                    "expected sigmoid (class 1 from 0.5 on) or logits (class 1 from 0 on), found {found} for output {}",
                    output.name
                );
                return Err(Error::bad_parameter_at(ACTIVATION, reason));
            }
        };
        let (form, classes) = (Form::OneScore, Some(2));
        Ok(Box::new(MaskHead { output: output.name.clone(), form, activation: Some(activation), classes }))
    }
}

/// The number of classes that the creation says.
fn asked_classes(network: &OfferedNetwork<'_>) -> Option<usize> {
    let classes = network.parameters.get("nclasses").and_then(serde_json::Value::as_f64)?;
    (classes >= 1.0 && classes <= MOST_CLASSES as f64).then_some(classes as usize)
}

fn only_output<'a>(network: &'a OfferedNetwork<'_>) -> Result<(&'a OfferedOutput, &'a [usize])> {
    match network.outputs.as_slice() {
        [output] => Ok((output, output.shape.as_deref().unwrap_or_default())),
        _ => Err(Error::Internal("one output was claimed".into())),
    }
}

/// Whether an output holds a class for each pixel for certain: it is made of class numbers, or its numbers are probabilities. Scores may
/// as well be those of a classifier that were not averaged over the image. One pixel in a row or column is none: such are scores of an image.
fn is_certain(output: &OfferedOutput, classes: Option<usize>) -> bool {
    let Some(shape) = output.shape.as_deref() else { return false };
    let [.., rows, columns] = shape else { return false };
    if *rows < 2 || *columns < 2 {
        return false;
    }
    match form(shape, output.is_label) {
        Some(Form::Number) => output.is_label,
        Some(Form::Scores) => match output.activation {
            Some(OutputActivation::Softmax | OutputActivation::LogSoftmax) => {
                classes.is_none_or(|classes| shape.first() == Some(&classes))
            }
            Some(OutputActivation::Sigmoid | OutputActivation::Heads | OutputActivation::Logits) | None => false,
        },
        Some(Form::OneScore) | None => false,
    }
}

/// The form of an output of which one image has this shape.
fn form(shape: &[usize], is_label: bool) -> Option<Form> {
    match (shape, is_label) {
        (_, true) => one_map(shape).map(|_| Form::Number),
        ([_, _], false) => Some(Form::Number),
        ([classes, _, _], false) if *classes > 1 => Some(Form::Scores),
        (_, false) => None,
    }
}

/// The extent of an output with one number for each pixel.
fn one_map(shape: &[usize]) -> Option<Extent> {
    match shape {
        [height, width] | [1, height, width] => Some(Extent { width: *width, height: *height }),
        _ => None,
    }
}

impl Head for MaskHead {
    fn task(&self) -> Task {
        Task::Segmentation { classes: self.classes }
    }

    fn activation(&self) -> Option<OutputActivation> {
        self.activation
    }

    fn outputs(&self, found: Vec<Batches>, asked: &Asked<'_>) -> Result<Outputs> {
        let found = only(found)?;
        if found.samples() != asked.images.len() {
            let reason =
                format!("expected images, whose pixels have classes, found {} of other items", found.samples());
            return Err(Error::bad_parameter_at(format!("output {}", self.output), reason));
        }
        if let Some(item) = asked.images.iter().position(|image| image.frame.is_some()) {
            return Err(
                self.fault(item, "not supported yet: masks of padded images (parameters.input.aspect_ratio_pad)")
            );
        }
        let rows = found.shaped_rows().zip(asked.images).enumerate();
        let masks = rows.map(|(item, ((shape, values), image))| self.mask(item, (shape, values), image, asked));
        let masks = Masks::new(masks.collect::<Result<_>>()?);
        masks.map(Outputs::Segmentation).map_err(|wrong| self.fault(wrong.sample, wrong.reason))
    }
}

impl MaskHead {
    fn fault(&self, item: usize, reason: impl Into<String>) -> Error {
        Error::bad_input_at(format!("item {}, output {}", item + 1, self.output), reason.into())
    }

    /// The mask of one image.
    fn mask(
        &self,
        item: usize,
        (shape, values): (&[usize], &[f32]),
        image: &ImageSizes,
        asked: &Asked<'_>,
    ) -> Result<Mask> {
        let extent = match (self.form, shape) {
            (Form::Scores, [classes, height, width]) if Some(*classes) == self.classes => {
                Some(Extent { width: *width, height: *height })
            }
            (Form::Scores, _) => None,
            (Form::Number | Form::OneScore, _) => one_map(shape),
        };
        let extent = extent.filter(|extent| (1..=MOST_PIXELS).contains(&extent.pixels())).ok_or_else(|| {
            let found =
                format!("expected a map as at its creation, of 1 to {MOST_PIXELS} pixels, found shape {shape:?}");
            self.fault(item, found)
        })?;
        let wanted = self.confidences(asked.options)?;
        let numbers = size_of::<u16>() + wanted.len() * size_of::<f32>();
        asked.memory.grow((extent.pixels() as u64).saturating_mul(numbers as u64))?;
        let scores = Scores { values, pixels: extent.pixels(), activation: self.activation };
        let found = match self.form {
            Form::Scores => from_scores(&scores, &wanted),
            Form::Number => {
                from_numbers(values, self.classes.unwrap_or(MOST_CLASSES)).map(|classes| (classes, Vec::new()))
            }
            Form::OneScore => from_one_score(&scores, &wanted),
        };
        let (classes, maps) = found.map_err(|reason| self.fault(item, reason))?;
        let confidences = wanted.into_iter().zip(maps).map(|(of, values)| ConfidenceMap { of, values }).collect();
        let original = Extent { width: image.original_width, height: image.original_height };
        Ok(Mask { extent, original, classes, confidences })
    }

    /// The confidences that a request asks for, in order.
    fn confidences(&self, options: &PredictOptions) -> Result<Vec<Confidence>> {
        let refused = |reason: String| Err(Error::bad_parameter_at("parameters.output.confidences", reason));
        let (asked, most) = match (&options.confidences, self.classes) {
            (Confidences::Of(asked), _) if asked.is_empty() => return Ok(Vec::new()),
            (_, _) if self.form == Form::Number => {
                return refused(format!("expected none, as output {} has classes without scores", self.output));
            }
            (_, None) => return Err(Error::Internal("scores have a number of classes".into())),
            (Confidences::Of(asked), Some(classes)) => (asked.clone(), classes),
            (Confidences::All { with_best }, Some(classes)) => {
                let best = with_best.then_some(Confidence::Best);
                (best.into_iter().chain((0..classes).map(Confidence::Class)).collect(), classes)
            }
        };
        let unknown = |confidence: &&Confidence| matches!(confidence, Confidence::Class(class) if *class >= most);
        if let Some(Confidence::Class(class)) = asked.iter().find(unknown) {
            return refused(format!("expected classes from 0 to {}, found {class}", most - 1));
        }
        match self.activation {
            Some(OutputActivation::Heads) | None => {
                let reason = format!(
                    "expected softmax, log_softmax, sigmoid or logits for confidences, as the network does not say which of them \
                     output {} holds",
                    self.output
                );
                Err(Error::bad_parameter_at(ACTIVATION, reason))
            }
            Some(
                OutputActivation::Softmax
                | OutputActivation::LogSoftmax
                | OutputActivation::Sigmoid
                | OutputActivation::Logits,
            ) => Ok(asked),
        }
    }
}

#[cfg(test)]
mod tests;
