//! `parameters.output`, as written and as resolved.

use std::collections::BTreeSet;

use dede_model::backend::{BoxOptions, Confidences, Task};
use dede_model::error::{Error, Fault, Result};
use dede_model::measure::MeasureSpec;
use dede_model::outputs::Confidence;
use dede_model::parameters::keys::{Idle, Remarks};
use dede_model::parameters::{Count, OneOrMany, Section, Whole, parse};
use dede_model::quote::quote;
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
    /// Classes and boxes below this probability are left out.
    pub confidence_threshold: f32,
    /// Boxes are expected, or none of them; `None`: whatever the service answers.
    pub bbox: Option<bool>,
    /// Boxes per item, best first; `None`: all.
    pub best_bbox: Option<usize>,
    /// Of two boxes of one class that overlap by more, the one of the lower score is left out; `None`: as it is usual for the network.
    pub nms_threshold: Option<f32>,
    /// Boxes that are looked at in each item, by their scores; `None`: all.
    pub top_k: Option<usize>,
    /// Masks are expected, or none of them; `None`: whatever the service answers.
    pub segmentation: Option<bool>,
    /// The confidences of masks that are answered.
    pub confidences: Confidences,
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
    bbox: Option<bool>,
    best_bbox: Option<Whole>,
    nms_threshold: Option<f32>,
    top_k: Option<Whole>,
    segmentation: Option<bool>,
    confidences: Option<OneOrMany<ConfidenceName>>,
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
        check_share("confidence_threshold", threshold)?;
        written.nms_threshold.map_or(Ok(()), |threshold| check_share("nms_threshold", threshold))?;
        // A threshold alone asks for every class above it.
        let default_best = if written.confidence_threshold.is_some() { ALL } else { 1 };
        let names = written.measure.unwrap_or_default().0;
        Ok(Self {
            best: number_of("best", written.best.map_or(default_best, |best| best.0))?,
            confidence_threshold: threshold,
            bbox: written.bbox,
            best_bbox: written.best_bbox.map_or(Ok(None), |best| number_of("best_bbox", best.0))?,
            nms_threshold: written.nms_threshold,
            top_k: written.top_k.map_or(Ok(None), |top| number_of("top_k", top.0))?,
            segmentation: written.segmentation,
            confidences: confidences(written.confidences.map_or_else(Vec::new, |names| names.0))?,
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
        for (key, asked, has) in [
            ("bbox", self.bbox, matches!(task, Task::Detection { .. })),
            ("segmentation", self.segmentation, matches!(task, Task::Segmentation { .. })),
        ] {
            if let Some(asked) = asked.filter(|asked| *asked != has) {
                let reason = format!("expected {has}, as the task of this service is {}, found {asked}", task.mltype());
                return Err(Error::bad_parameter_at(format!("{AT}.{key}"), reason));
            }
        }
        self.measures.check_task(task)
    }

    /// Which boxes a model is to answer.
    pub(crate) fn boxes(&self) -> BoxOptions {
        BoxOptions { least_score: self.confidence_threshold, most_overlap: self.nms_threshold, candidates: self.top_k }
    }
}

/// Whose confidences, as it is written.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ConfidenceName {
    /// A class.
    Number(Whole),
    /// `best`, `all` or a class.
    Word(String),
}

/// Which confidences are asked for, each once.
fn confidences(names: Vec<ConfidenceName>) -> Result<Confidences> {
    let mut asked = BTreeSet::new();
    let mut all = false;
    for name in names {
        let (number, shown) = match name {
            ConfidenceName::Number(Whole(number)) => (usize::try_from(number).ok(), number.to_string()),
            ConfidenceName::Word(word) if word == "best" => {
                asked.insert(Confidence::Best);
                continue;
            }
            ConfidenceName::Word(word) if word == "all" => {
                all = true;
                continue;
            }
            ConfidenceName::Word(word) => (word.parse().ok(), quote(&word)),
        };
        let class = number.ok_or_else(|| {
            let reason = format!("expected best, all or the numbers of classes, found {shown}");
            Error::bad_parameter_at(format!("{AT}.confidences"), reason)
        })?;
        asked.insert(Confidence::Class(class));
    }
    Ok(match all {
        true => Confidences::All { with_best: asked.contains(&Confidence::Best) },
        false => Confidences::Of(asked.into_iter().collect()),
    })
}

fn check_share(key: &str, share: f32) -> Result<()> {
    if (0.0..=1.0).contains(&share) {
        return Ok(());
    }
    Err(Error::BadParameter(Fault::at(format!("{AT}.{key}"), format!("0 to 1 expected, found {share}"))))
}

/// How many are asked for; `None`: all.
fn number_of(key: &str, asked: i64) -> Result<Option<usize>> {
    if asked < ALL {
        return Err(Error::bad_parameter_at(
            format!("{AT}.{key}"),
            format!("{ALL} (all) or more expected, found {asked}"),
        ));
    }
    Ok(usize::try_from(asked).ok())
}

impl OutputOptions {
    /// Keys that change no answer of this meaning.
    pub fn without_effect(&self, task: Task) -> Remarks {
        let (has_scores, has_boxes, is_layer) = match task {
            Task::Segmentation { .. } => (false, false, false),
            Task::Classification { .. } => (true, false, false),
            Task::Detection { .. } => (true, true, false),
            Task::Regression { .. } | Task::Tensors => (false, false, false),
            Task::Features => (false, false, true),
        };
        let binarized = match self.binarized {
            Binarized::No => None,
            Binarized::Numbers => Some("binarized"),
            Binarized::Booleans => Some("bool_binarized"),
            Binarized::Text => Some("string_binarized"),
        };
        let threshold = (self.confidence_threshold > 0.0).then_some("confidence_threshold");
        let confidences = (self.confidences != Confidences::default()).then_some("confidences");
        let named = [
            (binarized.filter(|_| !is_layer), "it forms the values of layers"),
            (threshold.filter(|_| !has_scores), "it leaves out classes and boxes"),
            (self.best_bbox.filter(|_| !has_boxes).map(|_| "best_bbox"), "it leaves out boxes"),
            (self.nms_threshold.filter(|_| !has_boxes).map(|_| "nms_threshold"), "it leaves out boxes"),
            (self.top_k.filter(|_| !has_boxes).map(|_| "top_k"), "it leaves out boxes"),
            (confidences.filter(|_| !matches!(task, Task::Segmentation { .. })), "it adds to masks"),
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
            ("bbox", json!(true)),
            ("best_bbox", json!(3)),
            ("nms_threshold", json!(0.5)),
            ("top_k", json!(100)),
            ("segmentation", json!(true)),
            ("confidences", json!(["best", 2])),
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
            (json!({"best_bbox": -2}), "-1 (all) or more expected, found -2 (parameters.output.best_bbox)"),
            (json!({"nms_threshold": 1.5}), "0 to 1 expected, found 1.5 (parameters.output.nms_threshold)"),
            (
                json!({"confidences": ["first"]}),
                "best, all or the numbers of classes, found first (parameters.output.confidences)",
            ),
            (json!({"confidences": -1}), "best, all or the numbers of classes, found -1"),
            (json!({"best": -5}), "-1 (all) or more expected, found -5 (parameters.output.best)"),
            (json!({"best": 1.5}), "expected a whole number, found 1.5 (parameters.output.best)"),
            (json!({"measure": 3}), "invalid type: integer `3`, expected a string (parameters.output.measure)"),
        ] {
            let error = OutputOptions::parse(section.as_object().unwrap()).unwrap_err().to_string();
            assert!(error.contains(expected), "{section}: {error}");
        }
    }

    #[test]
    fn confidences_are_asked_for_once_each() {
        use Confidence::{Best, Class};
        for (section, expected) in [
            (json!({}), Confidences::default()),
            (json!({"confidences": []}), Confidences::default()),
            (json!({"confidences": "best"}), Confidences::Of(vec![Best])),
            (json!({"confidences": [2, "1", 2.0, "best", "best"]}), Confidences::Of(vec![Best, Class(1), Class(2)])),
            (json!({"confidences": ["all", 2]}), Confidences::All { with_best: false }),
            (json!({"confidences": ["best", "all"]}), Confidences::All { with_best: true }),
        ] {
            assert_eq!(options(&section).confidences, expected, "{section}");
        }
    }

    #[test]
    fn what_changes_no_answer_of_a_task_is_named() {
        let boxes = Task::Detection { classes: None };
        let (classes, values) = (Task::Classification { classes: 2 }, Task::Regression { targets: 1 });
        for (section, task, named) in [
            (json!({"binarized": true}), classes, Some("parameters.output.binarized")),
            (json!({"string_binarized": true}), values, Some("parameters.output.string_binarized")),
            (json!({"bool_binarized": true}), Task::Features, None),
            (json!({"confidence_threshold": 0.5}), values, Some("parameters.output.confidence_threshold")),
            (json!({"confidence_threshold": 0.5}), classes, None),
            (json!({"confidence_threshold": 0, "binarized": false}), values, None),
            (json!({"confidence_threshold": 0.5, "best_bbox": 2, "nms_threshold": 0.5, "top_k": 9}), boxes, None),
            (json!({"confidences": "best"}), Task::Segmentation { classes: None }, None),
            (json!({"confidences": "best"}), classes, Some("parameters.output.confidences")),
            (
                json!({"confidence_threshold": 0.5}),
                Task::Segmentation { classes: None },
                Some("parameters.output.confidence_threshold"),
            ),
            (json!({"best_bbox": 2}), classes, Some("parameters.output.best_bbox")),
            (json!({"nms_threshold": 0.5}), values, Some("parameters.output.nms_threshold")),
            (json!({"top_k": 9}), Task::Features, Some("parameters.output.top_k")),
            (json!({"best_bbox": -1, "top_k": -1}), classes, None),
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
            (json!({"bbox": true}), classes, Some("parameters.output.bbox")),
            (json!({"bbox": false}), values, None),
            (json!({"segmentation": true}), classes, Some("parameters.output.segmentation")),
            (json!({"segmentation": true}), Task::Segmentation { classes: Some(2) }, None),
            (
                json!({"segmentation": false}),
                Task::Segmentation { classes: Some(2) },
                Some("parameters.output.segmentation"),
            ),
            (json!({"bbox": true}), Task::Detection { classes: None }, None),
            (json!({"bbox": false}), Task::Detection { classes: None }, Some("parameters.output.bbox")),
        ] {
            match (options(&section).check_task(task), refused) {
                (Ok(()), None) => {}
                (Err(error), Some(key)) => assert!(error.to_string().contains(key), "{section}: {error}"),
                (found, expected) => panic!("{section}: expected {expected:?}, found {found:?}"),
            }
        }
    }
}
