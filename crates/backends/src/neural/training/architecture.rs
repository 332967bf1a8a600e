//! Which template a request asks for, with its options, checked before any data is read.

use dede_graph::templates::{Activation, Head, Template, TemplateOptions};
use dede_graph::{Graph, Shape};
use dede_model::backend::Task;
use dede_model::data::DataKind;
use dede_model::error::{Error, Result};
use serde_json::Value;

use super::network::bad_network;
use super::options::{MLLIB, MllibOptions};
use crate::neural::planned_templates::{is_here, is_planned};

/// A template with everything but the sizes of input and output.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Architecture {
    template: Template,
    activation: Activation,
    dropout: Option<f32>,
    batch_norm: bool,
}

impl Architecture {
    /// `None` when no template is asked for.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the parameter.
    pub(super) fn resolve(options: &MllibOptions, kind: DataKind) -> Result<Option<Self>> {
        let Some(name) = options.template.as_deref() else { return Ok(None) };
        if is_planned(name) {
            let text = format!("not supported yet: template {name}");
            return Err(Error::bad_parameter_at(format!("{MLLIB}.template"), text));
        }
        let at = |key: &str| format!("{MLLIB}.{key}");
        let layers = layers(options.layers.as_ref())?;
        let key = if is_here(name) { "layers" } else { "template" };
        let template =
            Template::parse(name, &layers).map_err(|error| Error::bad_parameter_at(at(key), error.to_string()))?;
        if matches!(template, Template::Convnet(_)) && kind == DataKind::Table {
            return Err(Error::bad_parameter_at(at("template"), "convnet needs images, found a table of numbers"));
        }
        let dropout = options.dropout.map(|ratio| ratio as f32);
        if let Some(ratio) = dropout.filter(|ratio| !(0.0..1.0).contains(ratio)) {
            let text = format!("expected a number from 0 to below 1, found {ratio}");
            return Err(Error::bad_parameter_at(at("dropout"), text));
        }
        let activation = match options.activation.as_deref().filter(|name| !name.is_empty()) {
            None => Activation::Relu,
            Some(name) if name.eq_ignore_ascii_case("swish") => {
                return Err(Error::bad_parameter_at(at("activation"), "not supported yet: activation swish"));
            }
            Some(name) => name.parse().map_err(|text: String| Error::bad_parameter_at(at("activation"), text))?,
        };
        let found = Self { template, activation, dropout, batch_norm: options.bn.unwrap_or(false) };
        if matches!(found.template, Template::Lregression) {
            found.check_single_layer(&layers)?;
        }
        Ok(Some(found))
    }

    /// Refuses what says something of hidden layers, where the template has none.
    fn check_single_layer(&self, layers: &[String]) -> Result<()> {
        let said = [
            ("layers", !layers.is_empty()),
            ("activation", self.activation != Activation::Relu),
            ("dropout", self.dropout.is_some_and(|ratio| ratio != 0.0)),
            ("bn", self.batch_norm),
        ];
        let Some((key, _)) = said.into_iter().find(|(_, is_said)| *is_said) else { return Ok(()) };
        let text = "expected none, as template lregression has no hidden layer";
        Err(Error::bad_parameter_at(format!("{MLLIB}.{key}"), text))
    }

    /// The network for samples of `shape`, without weights.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the layer that does not fit.
    pub(super) fn build(&self, shape: &Shape, task: Task) -> Result<Graph> {
        let head = match task {
            Task::Classification { classes } => Head::Classification { classes },
            Task::Regression { targets } => Head::Regression { targets },
            Task::Detection { .. } => return Err(Error::bad_parameter("not supported yet: training of boxes")),
            Task::Segmentation { .. } => return Err(Error::bad_parameter("not supported yet: training of masks")),
            Task::Features => return Err(Error::bad_parameter("an unsupervised service cannot be trained")),
            Task::Tensors => return Err(Error::bad_parameter("a service of tensors cannot be trained")),
        };
        let mut options = TemplateOptions::new(shape.clone(), head);
        options.activation = self.activation;
        options.dropout = self.dropout;
        options.batch_norm = self.batch_norm;
        self.template.build(&options).map_err(bad_network)
    }
}

/// `layers`: an array of numbers and strings.
fn layers(asked: Option<&Value>) -> Result<Vec<String>> {
    let wrong = |found: &Value| {
        let text = format!("expected an array such as [50, 50] or [\"1CR32\", \"256\"], found {found}");
        Error::bad_parameter_at(format!("{MLLIB}.layers"), text)
    };
    let Some(value) = asked else { return Ok(Vec::new()) };
    let layers = value.as_array().ok_or_else(|| wrong(value))?;
    let text = |layer: &Value| match layer {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.as_u64().map_or_else(|| number.to_string(), |units| units.to_string())),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(wrong(value)),
    };
    layers.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resolve(options: Value, kind: DataKind) -> Result<Option<Architecture>> {
        Architecture::resolve(&serde_json::from_value(options).unwrap(), kind)
    }

    #[test]
    fn mistakes_name_the_parameter() {
        let table = [
            (json!({"template": "squeezenet"}), "not supported yet: template squeezenet"),
            (json!({"template": "lenet5"}), "found \"lenet5\" (parameters.mllib.template)"),
            (json!({"template": "mlp", "layers": "50"}), "parameters.mllib.layers"),
            (json!({"template": "mlp", "layers": [0]}), "parameters.mllib.layers"),
            (json!({"template": "mlp", "layers": [[1]]}), "parameters.mllib.layers"),
            (json!({"template": "mlp", "dropout": 1.0}), "parameters.mllib.dropout"),
            (json!({"template": "mlp", "activation": "step"}), "parameters.mllib.activation"),
            (json!({"template": "mlp", "activation": "Swish"}), "not supported yet: activation swish"),
            (json!({"template": "mlp", "dropout": -0.1}), "parameters.mllib.dropout"),
            (json!({"template": "lregression", "layers": [8]}), "has no hidden layer (parameters.mllib.layers)"),
            (
                json!({"template": "lregression", "activation": "tanh"}),
                "has no hidden layer (parameters.mllib.activation)",
            ),
            (json!({"template": "lregression", "dropout": 0.5}), "has no hidden layer (parameters.mllib.dropout)"),
            (json!({"template": "lregression", "bn": true}), "has no hidden layer (parameters.mllib.bn)"),
            (json!({"template": "convnet"}), "convnet needs images"),
        ];
        for (options, expected) in table {
            let error = resolve(options.clone(), DataKind::Table).unwrap_err();
            assert!(error.to_string().contains(expected), "{options}: {error}");
        }
        let idle = json!({"template": "lregression", "layers": [], "activation": "", "dropout": 0, "bn": false});
        assert!(resolve(idle, DataKind::Table).is_ok());
        assert_eq!(resolve(json!({}), DataKind::Table).unwrap(), None);
    }

    #[test]
    fn layers_may_be_numbers_and_strings() {
        let options = json!({"template": "convnet", "layers": ["1CR8", 16]});
        let architecture = resolve(options, DataKind::Images).unwrap().unwrap();
        let graph = architecture.build(&Shape::image(1, 8, 8), Task::Classification { classes: 2 }).unwrap();
        assert!(graph.parameters().unwrap().iter().any(|parameter| parameter.shape == [16, 8 * 3 * 3]));
    }
}
