//! Measures: how good outputs are, given targets (contract.md 4.3).
//!
//! One file per family; this one owns the parsing of `parameters.output.measure`, the results and the dispatch. `name` has
//! the names, `best` the order in which a measure decides which model is best. Measures are pure functions of outputs and
//! targets.

mod accuracy;
mod best;
mod confusion;
mod detection;
mod distance;
mod name;
mod ranking;
mod raw;

pub use best::{deciding, is_better};
use serde_json::Value;

use self::name::Measure;
use crate::data::Targets;
use crate::error::{Error, Result};
use crate::labels::Labels;
use crate::outputs::Outputs;
use crate::quote::quote;
use crate::task::Task;
use crate::tensor::Floats;

/// What to measure: `parameters.output.measure`, parsed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MeasureSpec(Vec<(String, Measure)>);

/// Where measures stand in a request.
const AT: &str = "parameters.output.measure";

impl MeasureSpec {
    /// Reads the names that were asked for.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming one that is not supported yet, or that is no measure.
    pub fn parse<S: AsRef<str>>(names: &[S]) -> Result<Self> {
        let measure = |name: &S| {
            let name = name.as_ref();
            Ok((name.to_owned(), Measure::parse(name).ok_or_else(|| no_measure(name))?))
        };
        names.iter().map(measure).collect::<Result<_>>().map(Self)
    }

    /// Whether nothing is to be measured.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses measures that outputs of this meaning do not have.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the first.
    pub fn check_task(&self, task: Task) -> Result<()> {
        let fits = |measure: &Measure| match task {
            Task::Classification { .. } => measure.is_of_classes(),
            Task::Regression { .. } => measure.is_of_values(),
            Task::Detection { .. } => measure.is_of_boxes(),
            Task::Segmentation { .. } | Task::Features | Task::Tensors => false,
        };
        let Some((name, measure)) = self.0.iter().find(|(_, measure)| !fits(measure)) else { return Ok(()) };
        let needed = match measure {
            measure if measure.is_of_classes() => "classes",
            measure if measure.is_of_boxes() => "boxes",
            _ => "values",
        };
        let found = match task {
            Task::Classification { .. } => "classes",
            Task::Regression { .. } => "values (a regression)",
            Task::Detection { .. } => "boxes",
            Task::Segmentation { .. } => "masks",
            Task::Features => "features",
            Task::Tensors => "tensors",
        };
        Err(Error::bad_parameter_at(AT, format!("measure {name} needs {needed}, this service answers {found}")))
    }

    fn measures(&self) -> impl Iterator<Item = Measure> {
        self.0.iter().map(|(_, measure)| *measure)
    }
}

fn no_measure(name: &str) -> Error {
    let shown = quote(name);
    if Measure::is_planned(name) {
        return Error::bad_parameter(format!("not supported yet: measure {shown} ({AT})"));
    }
    Error::bad_parameter_at(AT, format!("expected {}, found {shown}", Measure::NAMES))
}

/// Results by wire name, in the order they were computed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MeasureValues {
    entries: Vec<(String, Value)>,
}

impl MeasureValues {
    /// Adds or replaces one result.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        let (name, value) = (name.into(), value.into());
        match self.entries.iter_mut().find(|(known, _)| *known == name) {
            Some(entry) => entry.1 = value,
            None => self.entries.push((name, value)),
        }
    }

    /// Refuses results that are NaN or infinite: JSON has neither, and a `null` says nothing.
    fn check_finite(&self) -> Result<()> {
        let not_finite = self.entries.iter().find(|(_, value)| holds_null(value));
        not_finite.map_or(Ok(()), |(name, _)| {
            Err(Error::bad_input(format!("expected finite numbers, found NaN or infinity for measure {name}")))
        })
    }

    /// A scalar result.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.entries.iter().find(|(known, _)| known == name)?.1.as_f64()
    }

    /// All results as they are answered.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Scalars only, vectors as `<measure>_<class name>`: the form of live measures and histories (contract.md 4.2).
    pub fn flattened(&self) -> Vec<(String, f64)> {
        let labels: Vec<&str> = self
            .entries
            .iter()
            .find(|(name, _)| name == "labels")
            .and_then(|(_, value)| value.as_array())
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let mut flat = Vec::new();
        for (name, value) in &self.entries {
            if let Some(number) = value.as_f64() {
                flat.push((name.clone(), number));
            } else if let Some(values) = value.as_array() {
                for (index, value) in values.iter().enumerate() {
                    if let Some(number) = value.as_f64() {
                        let label = labels.get(index).map_or_else(|| index.to_string(), |name| (*name).to_owned());
                        flat.push((format!("{name}_{label}"), number));
                    }
                }
            }
        }
        flat
    }
}

/// Whether a result holds what was no finite number.
fn holds_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.iter().any(holds_null),
        Value::Object(members) => members.values().any(holds_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Computes every measure asked for that suits the outputs; without samples there is nothing to measure.
///
/// # Errors
/// [`Error::Internal`] when targets do not fit the outputs; [`Error::BadInput`] with the texts of contract.md 4.3 when a target is
/// negative or not below the number of classes, when classes are predicted and the labels are none, and when a result is no finite
/// number.
pub fn evaluate(spec: &MeasureSpec, outputs: &Outputs, targets: &Targets, labels: &Labels) -> Result<MeasureValues> {
    let mut values = MeasureValues::default();
    if outputs.len() != targets.len() {
        let reason = format!("{} outputs for {} targets", outputs.len(), targets.len());
        return Err(Error::Internal(reason));
    }
    if outputs.is_empty() {
        return Ok(values);
    }
    match outputs {
        Outputs::Classification(scores) => {
            let answers = Classified::new(scores, targets)?;
            spec.measures().for_each(|measure| answers.measure(measure, labels, &mut values));
        }
        Outputs::Regression(outputs) => {
            let targets = as_values(targets, outputs)?;
            spec.measures().for_each(|measure| estimated(measure, outputs, &targets, &mut values));
        }
        Outputs::Detection(found) => {
            let Targets::Boxes(truths) = targets else {
                return Err(Error::bad_input("expected boxes as labels: a list of images with files of boxes"));
            };
            let mut thresholds: Vec<u8> = Vec::new();
            for threshold in spec.measures().filter_map(Measure::least_overlap_percent) {
                if !thresholds.contains(&threshold) {
                    thresholds.push(threshold);
                }
            }
            detection::Found::new(found, truths).write(&thresholds, &mut values);
        }
        Outputs::Segmentation(_) | Outputs::Features(_) | Outputs::Tensors(_) => {}
    }
    values.check_finite()?;
    Ok(values)
}

/// Scores of classes with the classes that are right, checked against each other.
struct Classified<'a> {
    scores: &'a Floats,
    classes: Vec<usize>,
}

impl<'a> Classified<'a> {
    fn new(scores: &'a Floats, targets: &Targets) -> Result<Self> {
        let count = scores.row_len();
        let checked = |class: i64| match usize::try_from(class) {
            Err(_) => Err(Error::bad_input("negative supervised discrete target (e.g. wrong use of label_offset ?")),
            Ok(class) if class >= count => Err(Error::bad_input(format!(
                "target class has id {class} is higher than the number of classes {count} (e.g. wrong number of classes \
                 specified with nclasses"
            ))),
            Ok(class) => Ok(class),
        };
        let classes = match targets {
            Targets::Classes(classes) => classes.iter().map(|&class| checked(class)).collect::<Result<_>>()?,
            Targets::Values(values) => {
                let whole = values.row_len() == 1 && values.values().iter().all(|value| value.fract() == 0.0);
                if !whole {
                    return Err(Error::bad_input("expected one class id per row as label, found values"));
                }
                values.values().iter().map(|&value| checked(value as i64)).collect::<Result<_>>()?
            }
            Targets::Boxes(_) => return Err(boxes()),
            Targets::Unknown { class, .. } => return Err(unknown(class)),
        };
        Ok(Self { scores, classes })
    }

    /// Scores of one sample and its class, sample by sample.
    fn samples(&self) -> impl Iterator<Item = (&[f32], usize)> {
        self.classes.iter().enumerate().map(|(row, &class)| (self.scores.row(row), class))
    }

    fn measure(&self, measure: Measure, labels: &Labels, values: &mut MeasureValues) {
        match measure {
            Measure::Accuracy(best) => accuracy::write(self, best, values),
            Measure::CrossEntropy => values.set("mcll", accuracy::cross_entropy(self)),
            Measure::F1 { per_class } => confusion::Confusion::of(self).write_f1(per_class, labels, values),
            Measure::Recalls => confusion::Confusion::of(self).write_recalls(labels, values),
            Measure::Matrix => confusion::Confusion::of(self).write_matrix(labels, values),
            Measure::Matthews => values.set("mcc", confusion::Confusion::of(self).matthews()),
            Measure::AreaUnderCurve => values.set("auc", ranking::area_under_curve(self)),
            Measure::Gini => values.set("gini", ranking::gini_of_classes(self)),
            Measure::Raw => values.set("raw", raw::of_classes(self, labels)),
            Measure::Euclidean { .. } | Measure::Absolute | Measure::Percent | Measure::MeanAveragePrecision { .. } => {
            }
        }
    }
}

fn estimated(measure: Measure, outputs: &Floats, targets: &Floats, values: &mut MeasureValues) {
    match measure {
        Measure::Euclidean { threshold } => distance::write_euclidean(outputs, targets, threshold, values),
        Measure::Absolute => distance::write_absolute(outputs, targets, values),
        Measure::Percent => distance::write_percent(outputs, targets, values),
        Measure::Gini => values.set("gini", ranking::gini_of_values(outputs, targets)),
        Measure::Raw => values.set("raw", raw::of_values(outputs, targets)),
        Measure::Accuracy(_)
        | Measure::CrossEntropy
        | Measure::F1 { .. }
        | Measure::Recalls
        | Measure::Matrix
        | Measure::Matthews
        | Measure::AreaUnderCurve
        | Measure::MeanAveragePrecision { .. } => {}
    }
}

fn boxes() -> Error {
    Error::bad_input("expected a class or values as labels, found boxes")
}

fn unknown(class: &str) -> Error {
    Error::bad_input(format!("class \"{}\" is none of the network's", quote(class)))
}

/// Targets in the shape of `outputs`; class ids count as values.
fn as_values(targets: &Targets, outputs: &Floats) -> Result<Floats> {
    let values = match targets {
        Targets::Values(values) => values.values().to_vec(),
        Targets::Classes(classes) => classes.iter().map(|&class| class as f32).collect(),
        Targets::Boxes(_) => return Err(boxes()),
        Targets::Unknown { class, .. } => return Err(unknown(class)),
    };
    Floats::new(outputs.shape().to_vec(), values).map_err(|mismatch| {
        let (expected, rows) = (outputs.row_len(), outputs.rows());
        Error::Internal(format!("{expected} values predicted for {rows} samples, but {} targets", mismatch.found))
    })
}

#[cfg(test)]
mod tests;
