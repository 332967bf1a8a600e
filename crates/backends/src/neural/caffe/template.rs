//! `mllib.template` at creation: what is allowed where a network exists, and where none does (contract.md 3.9, rule 5, and
//! decision 10).
//!
//! A template equal to the network that is there is accepted, another one is refused with what differs; nothing is written
//! in either case. It must not know engines.

use dede_graph::templates::{Activation, Head, Template, TemplateOptions};
use dede_graph::{Graph, Layer};
use dede_model::backend::OpenRequest;
use dede_model::error::{Error, Result};
use dede_model::parameters::Section;
use dede_model::parameters::keys::says_nothing;
use serde_json::Value;

use super::files::Files;
use super::input_shape;
use crate::neural::options::CreationOptions;
use crate::neural::planned_templates::{is_here, is_planned};
use crate::neural::training;

const EXISTS: &str = "using template while model prototxt and network weights exist, remove 'template' from 'mllib' or \
                      remove prototxt files instead instead ?";
const EXISTS_FINETUNING: &str = "using template for finetuning but model prototxt already exists, remove 'template' from \
                                 'mllib', or remove existing 'prototxt' files ?";

/// Keys that describe a template.
const KEYS: [&str; 8] = ["template", "layers", "activation", "dropout", "bn", "nclasses", "ntargets", "regression"];
/// Those that say something of the layers alone: without a template they must say what is there.
const LAYER_KEYS: [&str; 4] = ["layers", "activation", "dropout", "bn"];

/// Checks a template where the repository holds no network that can be served; `has_weights` says whether it holds weights.
///
/// # Errors
/// [`Error::BadParameter`] when there is no such template, when it does not have what is asked for, or when `finetuning` has no weights
/// to take over.
pub(in crate::neural) fn check_new(
    request: &OpenRequest<'_>,
    options: &CreationOptions,
    has_weights: bool,
) -> Result<()> {
    let Some(name) = &options.template else { return Ok(()) };
    if is_planned(name) {
        return Err(Error::bad_parameter(format!("not supported yet: template {name}")));
    }
    if !is_here(name) {
        let directory = request.model.get("templates").and_then(Value::as_str).unwrap_or("templates/caffe/");
        return Err(Error::bad_parameter(format!("failed to locate model template {directory}/{name}/.prototxt")));
    }
    training::check_template(request.mllib, request.kind)?;
    match options.finetuning == Some(true) && !has_weights {
        true => Err(Error::bad_parameter("finetuning requires specifying an existing weights file")),
        false => Ok(()),
    }
}

/// Checks a template of the request against the network that is served.
///
/// # Errors
/// [`Error::BadParameter`] with the original's text and what differs.
pub(super) fn check_existing(in_call: &CreationOptions, stored: &Section, files: &Files, graph: &Graph) -> Result<()> {
    let Some(name) = &in_call.template else {
        return match files.has_run() {
            true => check_layers(in_call, stored),
            false => check_layers_of(in_call, files, graph),
        };
    };
    if files.has_solver_state() && !files.has_run() {
        tracing::warn!(template = name, "the repository holds a training that can be resumed: template ignored");
        return Ok(());
    }
    let finetuning = in_call.finetuning == Some(true);
    if finetuning && !files.has_run() && files.has_train_network() {
        return Err(Error::bad_parameter(EXISTS_FINETUNING));
    }
    let difference = match files.has_run() {
        true => difference_from_stored(&KEYS, in_call, stored),
        false => difference_from_network(in_call, name, files, graph),
    };
    match difference {
        None => Ok(()),
        Some(difference) => {
            let text = if finetuning { EXISTS_FINETUNING } else { EXISTS };
            Err(Error::bad_parameter_at("parameters.mllib.template", format!("{text} {difference}")))
        }
    }
}

/// Checks a template of the request where only stored parameters can be compared; `file` is the network that is there.
///
/// # Errors
/// As [`check_existing`].
pub(in crate::neural) fn check_run(in_call: &CreationOptions, stored: &Section, file: &str) -> Result<()> {
    if in_call.template.is_none() {
        return check_layers(in_call, stored);
    }
    let difference = match stored.contains_key("template") {
        true => difference_from_stored(&KEYS, in_call, stored),
        false => Some(format!("the repository has {file}")),
    };
    match difference {
        None => Ok(()),
        Some(difference) => Err(Error::bad_parameter_at("parameters.mllib.template", format!("{EXISTS} {difference}"))),
    }
}

/// Checks what a request without a template says of the layers against the parameters stored with the run.
fn check_layers(in_call: &CreationOptions, stored: &Section) -> Result<()> {
    let difference = difference_from_stored(&LAYER_KEYS, in_call, stored);
    difference.map_or(Ok(()), |difference| Err(no_template(&difference)))
}

/// As [`check_layers`], where the network of a template can be compared alone.
fn check_layers_of(in_call: &CreationOptions, files: &Files, graph: &Graph) -> Result<()> {
    let none = Section::new();
    let Some(difference) = difference_from_stored(&LAYER_KEYS, in_call, &none) else { return Ok(()) };
    let is_there = |name| difference_from_network(in_call, name, files, graph).is_none();
    match in_call.layers.is_some() && ["mlp", "convnet"].into_iter().any(is_there) {
        true => Ok(()),
        false => Err(no_template(&difference)),
    }
}

fn no_template(difference: &str) -> Error {
    let text =
        "expected layers, activation, dropout and bn with a template alone, as the network that is there has its own";
    Error::bad_parameter_at("parameters.mllib", format!("{text}; {difference}"))
}

/// What the request says otherwise than the parameters stored with the run, of these keys.
fn difference_from_stored(keys: &[&str], in_call: &CreationOptions, stored: &Section) -> Option<String> {
    let asked = |key: &str| match key {
        "template" => in_call.template.clone().map(Value::from),
        "layers" => in_call.layers.clone(),
        "activation" => in_call.activation.clone().map(Value::from),
        "dropout" => in_call.dropout.clone(),
        "bn" => in_call.bn.map(Value::from),
        "nclasses" => in_call.nclasses.map(Value::from),
        "ntargets" => in_call.ntargets.map(Value::from),
        "regression" => in_call.regression.map(Value::from),
        _ => None,
    };
    let default = |key: &str| match key {
        "activation" => Value::from("relu"),
        "bn" | "regression" => Value::from(false),
        "dropout" => Value::from(0),
        _ => Value::Null,
    };
    let differs = |key: &&str| {
        let asked = asked(key).filter(|asked| !says_nothing(asked))?;
        let found = stored.get(*key).filter(|value| !value.is_null()).cloned().unwrap_or_else(|| default(key));
        (!same(&asked, &found)).then(|| format!("{key}: the stored network has {found}, found {asked}"))
    };
    let differences: Vec<String> = keys.iter().filter_map(differs).collect();
    (!differences.is_empty()).then(|| differences.join("; "))
}

/// Equality of JSON values, with `16`, `16.0` and `"16"` the same.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        _ => one == other || (text_of(one) == text_of(other) && !one.is_array() && !other.is_array()),
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), |number| number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// How the template's network differs from the one that the original trained: there the request is not stored, so the networks
/// themselves are compared.
fn difference_from_network(in_call: &CreationOptions, name: &str, files: &Files, graph: &Graph) -> Option<String> {
    let Ok(template) = Template::parse(name, &layer_names(in_call.layers.as_ref())) else {
        let known = files.has_template(name);
        return (!known).then(|| format!("the repository has no {name}.prototxt"));
    };
    let shape = input_shape(graph)?.clone();
    let outputs = graph.shapes().ok()?.get(graph.output())?.elements().ok()?;
    let head = match in_call.regression {
        Some(true) => Head::Regression { targets: in_call.ntargets.unwrap_or(outputs) },
        Some(false) | None => Head::Classification { classes: in_call.nclasses.unwrap_or(outputs) },
    };
    let mut options = TemplateOptions::new(shape, head);
    options.activation = activation(in_call.activation.as_deref()).ok()?;
    options.batch_norm = in_call.bn.unwrap_or(false);
    // The original writes its default hidden layer of 50 units under the name lregression.
    let template = match template {
        Template::Lregression if in_call.layers.is_none() && layers(graph).len() > 2 => Template::Mlp(vec![50]),
        other @ (Template::Lregression | Template::Mlp(_) | Template::Convnet(_)) => other,
    };
    let wanted = match template.build(&options) {
        Ok(wanted) => layers(&wanted),
        Err(error) => return Some(error.to_string()),
    };
    let found = layers(graph);
    (wanted != found).then(|| format!("the stored network is {}, found {}", found.join(", "), wanted.join(", ")))
}

/// The layers that make a network what it is, in words.
fn layers(graph: &Graph) -> Vec<String> {
    let word = |node: &dede_graph::Node| match &node.layer {
        Layer::InnerProduct(inner) => Some(format!("InnerProduct {}", inner.outputs)),
        Layer::Convolution(convolution) => Some(format!("Convolution {}", convolution.outputs)),
        Layer::Dropout { .. } | Layer::Split | Layer::Flatten | Layer::Reshape { .. } => None,
        // Caffe's batch normalisation comes with a scale, the template's may not.
        Layer::Scale(_) => None,
        Layer::Relu { .. }
        | Layer::Prelu { .. }
        | Layer::Elu { .. }
        | Layer::Sigmoid
        | Layer::Tanh
        | Layer::Pooling(_)
        | Layer::Lrn(_)
        | Layer::BatchNorm(_)
        | Layer::Bias(_)
        | Layer::Broadcast { .. }
        | Layer::Concat { .. }
        | Layer::Eltwise(_)
        | Layer::Softmax { .. }
        | Layer::Slice { .. }
        | Layer::Operation(_) => Some(node.layer.kind().to_owned()),
    };
    graph.nodes.iter().filter_map(word).collect()
}

fn layer_names(layers: Option<&Value>) -> Vec<String> {
    match layers {
        Some(Value::Array(layers)) => layers.iter().map(text_of).collect(),
        Some(other) if !other.is_null() => vec![text_of(other)],
        Some(_) | None => Vec::new(),
    }
}

fn activation(name: Option<&str>) -> Result<Activation> {
    let name = name.filter(|name| !name.is_empty()).unwrap_or("relu");
    let place = "parameters.mllib.activation";
    name.parse().map_err(|reason: String| Error::bad_parameter_at(place, reason))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn options(value: &Value) -> CreationOptions {
        CreationOptions::parse(value.as_object().expect("an object")).expect("parses")
    }

    #[test]
    fn a_stored_template_is_compared_key_by_key() {
        let stored = json!({"template": "mlp", "layers": [16, 16], "nclasses": 3});
        let stored = stored.as_object().expect("an object");
        let cases = [
            (json!({"template": "mlp"}), None),
            (json!({"template": "mlp", "layers": [16, 16], "activation": "relu", "nclasses": 3}), None),
            (json!({"template": "mlp", "layers": ["16", 16.0]}), None),
            (json!({"template": "mlp", "layers": [50]}), Some("layers: the stored network has [16,16], found [50]")),
            (json!({"template": "convnet"}), Some("template: the stored network has \"mlp\", found \"convnet\"")),
            (json!({"template": "mlp", "bn": true}), Some("bn: the stored network has false, found true")),
        ];
        for (asked, expected) in cases {
            assert_eq!(difference_from_stored(&KEYS, &options(&asked), stored).as_deref(), expected, "{asked}");
        }
        for (asked, fits) in [
            (json!({"layers": [16, 16], "activation": "relu", "bn": false, "dropout": 0}), true),
            (json!({"layers": [], "activation": ""}), true),
            (json!({"layers": [7]}), false),
            (json!({"activation": "zzz"}), false),
            (json!({"bn": true}), false),
            (json!({"dropout": "x"}), false),
        ] {
            assert_eq!(check_layers(&options(&asked), stored).is_ok(), fits, "{asked}");
        }
    }
}
