//! `parameters.output`, as written and as resolved.

use dede_model::backend::Task;
use dede_model::error::{Error, Fault, Result};
use dede_model::measure::MeasureSpec;
use dede_model::parameters::keys::{Idle, Remarks};
use dede_model::parameters::{Count, OneOrMany, Section, Whole, parse};
use serde::Deserialize;

/// Where these parameters stand in a request.
const AT: &str = "parameters.output";
/// Of `best`: all classes.
const ALL: i64 = -1;

/// What to answer.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputOptions {
    /// Classes per item, best first; `None`: all.
    pub best: Option<usize>,
    /// Classes below this probability are left out.
    pub confidence_threshold: f32,
    /// Answer these measures instead of predictions.
    pub measures: MeasureSpec,
    /// Form of the values of a layer.
    pub binarized: Binarized,
    /// Mustache template that the answer is rendered with.
    pub template: Option<String>,
    /// Where the answer is sent instead.
    pub network: Option<Section>,
    /// Values are expected, not classes.
    pub regression: bool,
    /// A blocking training answers its histories.
    pub measure_hist: bool,
    /// Points of each history that are answered; `None`: as many as usual.
    pub max_hist_points: Option<u64>,
}

/// The forms of feature values (contract.md 5.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Binarized {
    /// As computed.
    #[default]
    No,
    /// 0.0 and 1.0.
    Numbers,
    /// false and true.
    Booleans,
    /// A string of 0 and 1.
    Text,
}

/// The section as written; [`super::keys`] has every key that there is.
#[derive(Debug, Default, Deserialize)]
struct Written {
    best: Option<Whole>,
    confidence_threshold: Option<f32>,
    measure: Option<OneOrMany<String>>,
    binarized: Option<bool>,
    bool_binarized: Option<bool>,
    string_binarized: Option<bool>,
    template: Option<String>,
    network: Option<Section>,
    regression: Option<bool>,
    measure_hist: Option<bool>,
    max_hist_points: Option<Count>,
}

impl OutputOptions {
    /// Parses a section.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the key whose value has the wrong type.
    pub fn parse(section: &Section) -> Result<Self> {
        let written = parse::<Written>(section, AT).map_err(Error::BadParameter)?.options;
        let threshold = written.confidence_threshold.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&threshold) {
            let fault = Fault::at(format!("{AT}.confidence_threshold"), format!("0 to 1 expected, found {threshold}"));
            return Err(Error::BadParameter(fault));
        }
        // A threshold alone asks for every class above it.
        let default_best = if written.confidence_threshold.is_some() { ALL } else { 1 };
        let best = written.best.map_or(default_best, |best| best.0);
        if best < ALL {
            return Err(Error::bad_parameter_at(
                format!("{AT}.best"),
                format!("{ALL} (all) or more expected, found {best}"),
            ));
        }
        let names = written.measure.unwrap_or_default().0;
        Ok(Self {
            best: usize::try_from(best).ok(),
            confidence_threshold: threshold,
            measures: MeasureSpec::parse(&names)?,
            binarized: binarized(written.binarized, written.bool_binarized, written.string_binarized),
            template: written.template.filter(|template| !template.is_empty()),
            network: written.network,
            regression: written.regression.unwrap_or(false),
            measure_hist: written.measure_hist.unwrap_or(false),
            max_hist_points: written.max_hist_points.map(|points| points.0),
        })
    }

    /// Refuses what outputs of this meaning cannot give.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the key or the measure.
    pub fn check_task(&self, task: Task) -> Result<()> {
        if self.regression && !matches!(task, Task::Regression { .. }) {
            let reason = format!("expected false, as this service is no regression (its task is {})", task.mltype());
            return Err(Error::bad_parameter_at(format!("{AT}.regression"), reason));
        }
        self.measures.check_task(task)
    }
}

impl OutputOptions {
    /// Keys that change no answer of this meaning.
    pub fn without_effect(&self, task: Task) -> Remarks {
        let (has_classes, is_layer) = match task {
            Task::Classification { .. } => (true, false),
            Task::Regression { .. } => (false, false),
            Task::Features => (false, true),
            Task::Tensors => (false, false),
        };
        let binarized = match self.binarized {
            Binarized::No => None,
            Binarized::Numbers => Some("binarized"),
            Binarized::Booleans => Some("bool_binarized"),
            Binarized::Text => Some("string_binarized"),
        };
        let threshold = (self.confidence_threshold > 0.0).then_some("confidence_threshold");
        let named = [
            (binarized.filter(|_| !is_layer), "it forms the values of layers"),
            (threshold.filter(|_| !has_classes), "it leaves out classes"),
        ];
        let idle = named.into_iter().filter_map(|(key, reason)| Some(Idle { path: format!("{AT}.{}", key?), reason }));
        Remarks { unknown: Vec::new(), idle: idle.collect() }
    }
}

fn binarized(numbers: Option<bool>, booleans: Option<bool>, text: Option<bool>) -> Binarized {
    let asked = |flag: Option<bool>| flag.unwrap_or(false);
    if asked(text) {
        Binarized::Text
    } else if asked(booleans) {
        Binarized::Booleans
    } else if asked(numbers) {
        Binarized::Numbers
    } else {
        Binarized::No
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::KEYS;
    use super::*;
    use dede_model::parameters::keys::Standing;

    fn options(section: &Value) -> OutputOptions {
        OutputOptions::parse(section.as_object().unwrap()).unwrap()
    }

    /// Each applied key of the table, with a value that resolves to other options than without it.
    #[test]
    fn every_applied_key_is_read() {
        let changes = [
            ("best", json!(3)),
            ("confidence_threshold", json!(0.5)),
            ("measure", json!(["acc"])),
            ("binarized", json!(true)),
            ("bool_binarized", json!(true)),
            ("string_binarized", json!(true)),
            ("template", json!("{{status}}")),
            ("network.url", json!("http://x")),
            ("network.http_method", json!("POST")),
            ("network.content_type", json!("text/plain")),
            ("regression", json!(true)),
            ("measure_hist", json!(true)),
            ("max_hist_points", json!(5)),
        ];
        let plain = options(&json!({}));
        for key in KEYS.keys().filter(|key| matches!(key.standing, Standing::Applied(_))) {
            let change = changes.iter().find(|(path, _)| *path == key.path);
            let (path, value) = change.unwrap_or_else(|| panic!("{} has no value that changes something", key.path));
            let section = match path.split_once('.') {
                Some((group, name)) => json!({ group: { name: value } }),
                None => json!({ *path: value }),
            };
            assert_ne!(options(&section), plain, "{path}");
        }
        assert_eq!(KEYS.ambiguous(), [""; 0]);
    }

    #[test]
    fn numbers_and_names_are_read_in_every_form() {
        assert_eq!(options(&json!({"best": 2.0})).best, Some(2));
        assert_eq!(options(&json!({"measure": "acc"})), options(&json!({"measure": ["acc"]})));
        for (section, expected) in [
            (json!({"best": -5}), "-1 (all) or more expected, found -5 (parameters.output.best)"),
            (json!({"best": 1.5}), "expected a whole number, found 1.5 (parameters.output.best)"),
            (json!({"measure": 3}), "invalid type: integer `3`, expected a string (parameters.output.measure)"),
        ] {
            let error = OutputOptions::parse(section.as_object().unwrap()).unwrap_err().to_string();
            assert!(error.contains(expected), "{section}: {error}");
        }
    }

    #[test]
    fn what_changes_no_answer_of_a_task_is_named() {
        let (classes, values) = (Task::Classification { classes: 2 }, Task::Regression { targets: 1 });
        for (section, task, named) in [
            (json!({"binarized": true}), classes, Some("parameters.output.binarized")),
            (json!({"string_binarized": true}), values, Some("parameters.output.string_binarized")),
            (json!({"bool_binarized": true}), Task::Features, None),
            (json!({"confidence_threshold": 0.5}), values, Some("parameters.output.confidence_threshold")),
            (json!({"confidence_threshold": 0.5}), classes, None),
            (json!({"confidence_threshold": 0, "binarized": false}), values, None),
        ] {
            let idle = options(&section).without_effect(task).idle;
            assert_eq!(idle.first().map(|idle| idle.path.as_str()), named, "{section}");
        }
    }

    #[test]
    fn what_a_task_cannot_give_is_refused() {
        let (classes, values) = (Task::Classification { classes: 2 }, Task::Regression { targets: 1 });
        for (section, task, refused) in [
            (json!({"regression": true}), values, None),
            (json!({"regression": false}), classes, None),
            (json!({"regression": true}), classes, Some("parameters.output.regression")),
            (json!({"measure": "acc"}), values, Some("parameters.output.measure")),
        ] {
            match (options(&section).check_task(task), refused) {
                (Ok(()), None) => {}
                (Err(error), Some(key)) => assert!(error.to_string().contains(key), "{section}: {error}"),
                (found, expected) => panic!("{section}: expected {expected:?}, found {found:?}"),
            }
        }
    }
}
