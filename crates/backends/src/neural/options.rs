//! `parameters.mllib` at the creation of a service (contract.md 7.1).
//!
//! Every key that there is stands in [`super::keys`]; what training reads of them is in [`super::training`].

use std::fmt;

use dede_model::backend::{OpenRequest, OutputActivation, ServiceType, Task};
use dede_model::error::{Error, Result};
use dede_model::parameters::{Count, Section, parse};
use dede_model::quote::{quote, quote_within};
use serde::de::{EnumAccess, VariantAccess as _, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The path of the section in a request.
pub(super) const MLLIB: &str = "parameters.mllib";
/// The `output_format` of outputs that are answered as they are, to calls of tensors.
pub(super) const TENSORS: &str = "tensors";

/// What creation reads.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct CreationOptions {
    /// Name of a template; empty counts as absent.
    pub(super) template: Option<String>,
    /// Sizes of its layers.
    pub(super) layers: Option<Value>,
    /// Its activation.
    pub(super) activation: Option<String>,
    /// Its dropout; some templates take a list.
    pub(super) dropout: Option<Value>,
    /// Whether it normalises over the batch.
    pub(super) bn: Option<bool>,
    /// Number of classes.
    #[serde(default, deserialize_with = "count")]
    pub(super) nclasses: Option<usize>,
    /// Values instead of classes.
    pub(super) regression: Option<bool>,
    /// Number of values.
    #[serde(default, deserialize_with = "count")]
    pub(super) ntargets: Option<usize>,
    /// Weights are taken over into a new network.
    pub(super) finetuning: Option<bool>,
    /// Factor of pixels, after the mean (caffe).
    pub(super) scale: Option<f32>,
    /// The layer whose values are answered.
    pub(super) extract_layer: Option<String>,
    /// The output that is answered, where a network has several.
    output: Option<String>,
    /// The same under the original's name.
    #[serde(rename = "outputBlob")]
    output_blob: Option<String>,
    /// How the outputs are answered: [`TENSORS`], or the name of a head; otherwise that is found.
    #[serde(default, deserialize_with = "word")]
    pub(super) output_format: Option<String>,
    /// What the numbers of the output went through, instead of what the network's file says.
    #[serde(default, deserialize_with = "activation")]
    pub(super) output_activation: Option<OutputActivation>,
}

/// A number of outputs; 0 asks for none.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<usize>, D::Error> {
    let Count(count) = Count::deserialize(deserializer)?;
    let count = usize::try_from(count).map_err(<D::Error as serde::de::Error>::custom)?;
    Ok(Some(count).filter(|&count| count > 0))
}

/// The activations that can be asked for; several heads are found, never asked for.
const ACTIVATIONS: [OutputActivation; 4] =
    [OutputActivation::Softmax, OutputActivation::LogSoftmax, OutputActivation::Sigmoid, OutputActivation::Logits];

fn activation<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<OutputActivation>, D::Error> {
    let name = String::deserialize(deserializer)?;
    let found = ACTIVATIONS.into_iter().find(|activation| activation.name() == name);
    let known = ACTIVATIONS.map(OutputActivation::name).join(", ");
    found.map(Some).ok_or_else(|| serde::de::Error::custom(format!("expected one of {known}, found {name:?}")))
}

/// One word of several, as enums are parsed: which words there are is the backend's to say.
fn word<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<String>, D::Error> {
    struct Word;
    impl<'de> Visitor<'de> for Word {
        type Value = String;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a word")
        }

        fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> std::result::Result<String, A::Error> {
            let (word, rest) = data.variant()?;
            rest.unit_variant().map(|()| word)
        }
    }
    deserializer.deserialize_enum("OutputFormat", &[], Word).map(Some)
}

/// What there is to choose from, in the words of the parser.
fn choices(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [only] => only.clone(),
        [one, other] => format!("{one} or {other}"),
        several => format!("one of {}", several.join(", ")),
    }
}

impl CreationOptions {
    /// Parses a section.
    ///
    /// # Errors
    /// As [`CreationOptions::parse_with`].
    pub(super) fn parse(section: &Section) -> Result<Self> {
        Self::parse_with(section, &[])
    }

    /// Parses a section of a backend whose outputs these heads may answer, beside those that are built in.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the key whose type is wrong, or whose word is none of those that there are.
    pub(super) fn parse_with(section: &Section, heads: &[&str]) -> Result<Self> {
        let mut options: Self = parse(section, MLLIB).map_err(Error::BadParameter)?.options;
        options.template = options.template.filter(|name| !name.is_empty());
        options.extract_layer = options.extract_layer.filter(|name| !name.is_empty());
        options.output = options.output.filter(|name| !name.is_empty());
        options.output_blob = options.output_blob.filter(|name| !name.is_empty());
        let words = [&[TENSORS], heads].concat();
        if let Some(word) = options.output_format.as_deref().filter(|word| !words.contains(word)) {
            let reason = quote_within(&format!("unknown variant `{word}`, expected {}", choices(&words)));
            return Err(Error::bad_parameter_at(format!("{MLLIB}.output_format"), reason));
        }
        if let Some(scale) = options.scale.filter(|scale| !scale.is_finite()) {
            let reason = format!("expected a number of single precision, found {scale}");
            return Err(Error::bad_parameter_at(format!("{MLLIB}.scale"), reason));
        }
        Ok(options)
    }

    /// The output asked for by name, with the key that does.
    ///
    /// # Errors
    /// [`Error::BadParameter`] when two keys name two outputs, and when a layer is asked for as well.
    pub(super) fn output(&self) -> Result<Option<(&'static str, &str)>> {
        let named = match (&self.output, &self.output_blob) {
            (Some(output), Some(blob)) if output != blob => {
                let reason = format!("{} expected, as output says, found {}", quote(output), quote(blob));
                return Err(Error::bad_parameter_at(format!("{MLLIB}.outputBlob"), reason));
            }
            (Some(output), _) => ("output", output.as_str()),
            (None, Some(blob)) => ("outputBlob", blob.as_str()),
            (None, None) => return Ok(None),
        };
        match &self.extract_layer {
            Some(layer) if layer != named.1 => {
                let reason =
                    format!("either an output or a layer expected, found extract_layer {} as well", quote(layer));
                Err(Error::bad_parameter_at(format!("{MLLIB}.{}", named.0), reason))
            }
            Some(_) | None => Ok(Some(named)),
        }
    }

    /// Refuses an activation where no classes are predicted.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the key.
    pub(super) fn check_no_activation(&self) -> Result<()> {
        let reason = "expected with classes alone: values and features are answered as they are, found";
        self.output_activation.map_or(Ok(()), |asked| {
            Err(Error::bad_parameter_at(format!("{MLLIB}.output_activation"), format!("{reason} {}", asked.name())))
        })
    }

    /// The number of classes or targets asked for, with the key that does.
    pub(super) fn count(&self) -> Option<(&'static str, usize)> {
        let classes = self.nclasses.map(|count| ("nclasses", count));
        let targets = self.ntargets.map(|count| ("ntargets", count));
        match self.regression {
            Some(true) => targets,
            Some(false) => classes,
            None => classes.or(targets),
        }
    }

    /// Refuses the number that services of the other task have, where it is not that of this one's outputs.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the key.
    pub(super) fn check_other_count(&self, task: Task) -> Result<()> {
        let (key, asked, what, found) = match task {
            Task::Classification { classes } => ("ntargets", self.ntargets, "classes", classes),
            Task::Regression { targets } => ("nclasses", self.nclasses, "values", targets),
            Task::Detection { .. } | Task::Segmentation { .. } | Task::Features | Task::Tensors => return Ok(()),
        };
        match asked.filter(|&asked| asked != found) {
            None => Ok(()),
            Some(asked) => {
                let reason = format!("expected none, as the service answers {found} {what}, found {asked}");
                Err(Error::bad_parameter_at(format!("{MLLIB}.{key}"), reason))
            }
        }
    }

    /// The task asked for, without a network to look at (contract.md 3.9, rule 7).
    ///
    /// # Errors
    /// [`Error::BadParameter`] when it does not say how many classes or values.
    pub(super) fn task(&self, service_type: ServiceType) -> Result<Task> {
        if service_type == ServiceType::Unsupervised {
            return Ok(Task::Features);
        }
        if self.regression == Some(true) {
            let unknown = || Error::bad_parameter("number of regression targets is unknown (ntargets == 0)");
            return Ok(Task::Regression { targets: self.ntargets.ok_or_else(unknown)? });
        }
        let unknown = || Error::bad_parameter("number of classes is unknown (nclasses == 0)");
        Ok(Task::Classification { classes: self.nclasses.ok_or_else(unknown)? })
    }

    /// The task of a network with `outputs` values, of which `probabilities` says that they are such.
    ///
    /// # Errors
    /// [`Error::BadParameter`] when another number was asked for than the network has, naming both.
    pub(super) fn task_of(&self, service_type: ServiceType, outputs: usize, probabilities: bool) -> Result<Task> {
        if service_type == ServiceType::Unsupervised {
            return Ok(Task::Features);
        }
        let regression = self.regression.unwrap_or(!probabilities && self.nclasses.is_none());
        let (asked, name) = match regression {
            true => (self.ntargets, "ntargets"),
            false => (self.nclasses, "nclasses"),
        };
        if let Some(asked) = asked.filter(|&asked| asked != outputs) {
            let reason = format!("the network has {outputs} outputs, found {name} {asked}");
            return Err(Error::bad_parameter_at(format!("{MLLIB}.{name}"), reason));
        }
        Ok(match regression {
            true => Task::Regression { targets: outputs },
            false => Task::Classification { classes: outputs },
        })
    }
}

/// A size that the input connector is asked for, with the key that does: a crop counts before the size.
pub(super) fn asked_size<'k>(input: &Section, key: &'k str, crop: &'k str) -> Option<(&'k str, f64)> {
    let number = |key: &'k str| Some((key, input.get(key)?.as_f64().filter(|number| *number > 0.0)?));
    number(crop).or_else(|| number(key))
}

/// Checks `width`, `height`, `bw` and `rgb` of the input connector against a network of `[channels, height, width]`;
/// `None` where the network takes any.
///
/// # Errors
/// [`Error::BadParameter`] naming the parameter, what the network takes and what was found.
pub(super) fn check_image_input(
    request: &OpenRequest<'_>,
    channels: usize,
    height: Option<usize>,
    width: Option<usize>,
) -> Result<()> {
    let flag = |key: &str| request.input.get(key).and_then(Value::as_bool);
    for (key, crop, size) in [("width", "crop_width", width), ("height", "crop_height", height)] {
        if let (Some((key, asked)), Some(size)) = (asked_size(request.input, key, crop), size)
            && asked != size as f64
        {
            let reason = format!("the network takes images of {key} {size}, found {asked}");
            return Err(Error::bad_parameter_at(format!("parameters.input.{key}"), reason));
        }
    }
    let grey = flag("bw").map(|bw| bw && flag("rgb") != Some(true));
    match grey {
        Some(true) if channels != 1 => {
            let reason = format!("the network takes images of {channels} channels, found bw true, which gives 1");
            Err(Error::bad_parameter_at("parameters.input.bw", reason))
        }
        Some(false) if channels == 1 => {
            let reason = "the network takes grey images, found bw false, which gives 3 channels";
            Err(Error::bad_parameter_at("parameters.input.bw", reason))
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use dede_model::parameters::keys::{Key, Moment, Standing};
    use serde_json::json;

    use super::super::keys::{CAFFE_KEYS, KEYS};
    use super::*;

    fn options(value: Value) -> CreationOptions {
        CreationOptions::parse(value.as_object().expect("an object")).expect("parses")
    }

    #[test]
    fn the_task_follows_the_parameters_then_the_network() {
        let (supervised, classes) = (ServiceType::Supervised, |classes| Task::Classification { classes });
        let targets = |targets| Task::Regression { targets };
        let cases = [
            (json!({"nclasses": 3}), Some(classes(3)), 3, true, Some(classes(3))),
            (json!({"nclasses": 0}), None, 3, true, Some(classes(3))),
            (json!({}), None, 3, true, Some(classes(3))),
            (json!({}), None, 2, false, Some(targets(2))),
            (json!({"nclasses": 7}), Some(classes(7)), 3, true, None),
            (json!({"regression": true, "ntargets": 2}), Some(targets(2)), 2, false, Some(targets(2))),
            (json!({"regression": true}), None, 2, false, Some(targets(2))),
            (json!({"regression": true, "ntargets": 1}), Some(targets(1)), 2, false, None),
            (json!({"nclasses": 3}), Some(classes(3)), 3, false, Some(classes(3))),
        ];
        for (mllib, alone, outputs, probabilities, with_network) in cases {
            let options = options(mllib.clone());
            assert_eq!(options.task(supervised).ok(), alone, "{mllib}");
            assert_eq!(options.task_of(supervised, outputs, probabilities).ok(), with_network, "{mllib}");
        }
        assert_eq!(options(json!({})).task(ServiceType::Unsupervised).ok(), Some(Task::Features));
    }

    #[test]
    fn both_numbers_are_named() {
        let error = options(json!({"nclasses": 7})).task_of(ServiceType::Supervised, 3, true).expect_err("7 is not 3");
        assert_eq!(error.to_string(), "the network has 3 outputs, found nclasses 7 (parameters.mllib.nclasses)");
    }

    #[test]
    fn numbers_of_the_other_task_are_refused() {
        let (classes, targets) = (Task::Classification { classes: 5 }, Task::Regression { targets: 5 });
        for (mllib, task, fits) in [
            (json!({"nclasses": 5.0}), classes, true),
            (json!({"ntargets": 5, "nclasses": 5}), classes, true),
            (json!({"ntargets": 4}), classes, false),
            (json!({"regression": true, "nclasses": 4}), targets, false),
            (json!({"regression": true, "nclasses": 0}), targets, true),
            (json!({"nclasses": 4, "ntargets": 9}), Task::Features, true),
        ] {
            assert_eq!(options(mllib.clone()).check_other_count(task).is_ok(), fits, "{mllib}");
        }
    }

    #[test]
    fn a_word_of_an_output_format_is_one_of_those_that_there_are() {
        let heads: [&[&str]; 3] = [&[], &["ordinal"], &["ordinal", "boxes"]];
        for (value, heads, expected) in [
            (json!("tensors"), heads[0], None),
            (json!("tensors"), heads[2], None),
            (json!("ordinal"), heads[1], None),
            (json!("ordinal"), heads[0], Some("unknown variant `ordinal`, expected `tensors`")),
            (json!("box"), heads[1], Some("unknown variant `box`, expected `tensors` or `ordinal`")),
            (json!(""), heads[2], Some("unknown variant ``, expected one of `tensors`, `ordinal`, `boxes`")),
            (json!(3), heads[1], Some("invalid type: integer `3`, expected string or map")),
        ] {
            let section = json!({"output_format": value}).as_object().cloned().expect("an object");
            let found = CreationOptions::parse_with(&section, heads).map_err(|error| error.to_string());
            let expected = expected.map(|reason| format!("{reason} (parameters.mllib.output_format)"));
            assert_eq!(found.err(), expected, "{value}");
        }
    }

    /// Each key that decides a network, with a value that is read as other options than none.
    #[test]
    fn every_key_of_a_network_is_read() {
        let changes = [
            ("template", json!("mlp")),
            ("layers", json!([7])),
            ("activation", json!("tanh")),
            ("dropout", json!(0.5)),
            ("bn", json!(true)),
            ("nclasses", json!(7)),
            ("regression", json!(true)),
            ("ntargets", json!(7)),
            ("output", json!("y")),
            ("outputBlob", json!("y")),
            ("output_activation", json!("sigmoid")),
            ("output_format", json!("tensors")),
            ("extract_layer", json!("fc")),
            ("scale", json!(0.5)),
            ("finetuning", json!(true)),
        ];
        let applied = |key: &&Key| match key.standing {
            Standing::Applied(Moment::Training | Moment::Each) => key.path == "finetuning",
            Standing::Applied(Moment::Network | Moment::Loading | Moment::Predict) => true,
            // Of connectors.
            Standing::Applied(Moment::Reading) => false,
            Standing::NotYet(_) | Standing::WithoutEffect(_) => false,
        };
        for key in CAFFE_KEYS.keys().filter(applied) {
            let change = changes.iter().find(|(path, _)| *path == key.path);
            let (path, value) = change.unwrap_or_else(|| panic!("no change is known for {}", key.path));
            assert_ne!(options(json!({ *path: value })), CreationOptions::default(), "{path}");
        }
        assert_eq!(KEYS.ambiguous(), [""; 0]);
        assert_eq!(CAFFE_KEYS.ambiguous(), [""; 0]);
    }
}
