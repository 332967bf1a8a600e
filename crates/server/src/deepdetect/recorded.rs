//! Recorded answers, read under the output options of their request: what they say of every value of a new answer.
//!
//! An answer lists what `best`, `confidence_threshold` and the forms of features let through. What it does not list is known only to be
//! below what it lists, so that is all that is held against a new answer.

mod boxes;
mod masks;

use std::collections::HashMap;

use dede_comparison::Tolerance;
use dede_engine::output::{Binarized, OutputOptions};
use dede_model::backend::Task;
use dede_model::error::{Error, Result};
use dede_model::labels::Labels;
use dede_model::outputs::Outputs;
use dede_model::tensor::Floats;
use serde_json::Value;

/// The answers of one case.
pub(super) struct Recorded<'a> {
    /// As on the wire, one per item.
    pub(super) predictions: &'a [Value],
    /// Names of the classes.
    pub(super) labels: &'a Labels,
    /// Of the request, over those of the service.
    pub(super) options: &'a OutputOptions,
}

impl Recorded<'_> {
    /// The recorded answers and the new ones, as far as they can be compared.
    ///
    /// # Errors
    /// [`Error::BadParameter`] with what was expected of the case and what it holds.
    pub(super) fn beside(&self, task: Task, answered: Outputs) -> Result<(Outputs, Outputs)> {
        if !self.options.measures.is_empty() {
            return Err(refused("its request asks for measures, where predictions are compared".into()));
        }
        if self.predictions.len() != answered.len() {
            let (recorded, found) = (self.predictions.len(), answered.len());
            return Err(refused(format!("it holds {recorded} predictions, and its request is answered with {found}")));
        }
        match (task, answered) {
            (_, Outputs::Features(found)) => {
                let expected = self.features()?;
                let found = match self.options.binarized {
                    Binarized::No => found,
                    Binarized::Numbers | Binarized::Booleans | Binarized::Text => bits(&found)?,
                };
                Ok((Outputs::Features(expected), Outputs::Features(found)))
            }
            (_, Outputs::Detection(found)) => boxes::beside(self, &found),
            (_, Outputs::Segmentation(found)) => masks::beside(self, found),
            (_, Outputs::Tensors(_)) => Err(refused("its request is answered in tensors".into())),
            (_, Outputs::Classification(found)) => {
                let expected = self.rows(&found, |prediction, row| self.classes(prediction, row))?;
                Ok((Outputs::Classification(expected), Outputs::Classification(found)))
            }
            (_, Outputs::Regression(found)) => {
                let expected = self.rows(&found, |prediction, row| self.targets(prediction, row))?;
                Ok((Outputs::Regression(expected), Outputs::Regression(found)))
            }
        }
    }

    fn rows(&self, found: &Floats, read: impl Fn(&Value, &Row<'_>) -> Result<Vec<f32>>) -> Result<Floats> {
        let mut all = Vec::with_capacity(found.values().len());
        let columns = if found.rows() == 0 { 0 } else { found.row(0).len() };
        let mut named: HashMap<String, Vec<usize>> = HashMap::new();
        for column in 0..columns {
            named.entry(self.labels.name(column)).or_default().push(column);
        }
        for (index, prediction) in self.predictions.iter().enumerate() {
            all.extend(read(prediction, &Row { values: found.row(index), named: &named })?);
        }
        Floats::new(found.shape().to_vec(), all).map_err(|error| Error::Internal(error.to_string()))
    }

    fn features(&self) -> Result<Floats> {
        let rows = self.predictions.iter().map(values).collect::<Result<Vec<_>>>()?;
        let columns = rows.first().map_or(0, Vec::len);
        if let Some(other) = rows.iter().find(|row| row.len() != columns) {
            return Err(refused(format!("it holds predictions of {columns} and of {} values", other.len())));
        }
        Floats::new(vec![rows.len(), columns], rows.concat()).map_err(|error| Error::Internal(error.to_string()))
    }

    /// Probabilities of all classes: those listed, and for the others the new ones as far as they stay below.
    fn classes(&self, prediction: &Value, row: &Row<'_>) -> Result<Vec<f32>> {
        let listed = row.scores(prediction, "classes", "prob")?;
        let found = row.values;
        let (threshold, tie) = (self.options.confidence_threshold, Tolerance::numerical().tie as f32);
        let most = self.options.best.unwrap_or(usize::MAX);
        let above = |threshold: f32| found.iter().filter(|value| **value >= threshold).count().min(most);
        let (fewest, at_most) = (above(threshold + tie), above(threshold - tie));
        if most == 0 {
            return Err(refused("its request asks for no class (best: 0), so that there is nothing to compare".into()));
        }
        if !(fewest..=at_most).contains(&listed.len()) {
            let count = listed.len();
            return Err(refused(format!(
                "it lists {count} classes, and its request is answered with {fewest} to {at_most}: best and confidence_threshold must be those that it was recorded with"
            )));
        }
        let lowest = listed.iter().map(|(_, value)| *value).fold(f32::INFINITY, f32::min);
        let bound = if listed.len() < most { threshold } else { lowest };
        let unbounded = listed.len() == found.len();
        let mut row: Vec<f32> = found.iter().map(|value| if unbounded { *value } else { value.min(bound) }).collect();
        listed.into_iter().for_each(|(column, value)| row[column] = value);
        Ok(row)
    }

    fn targets(&self, prediction: &Value, row: &Row<'_>) -> Result<Vec<f32>> {
        let listed = row.scores(prediction, "vector", "val")?;
        let found = row.values;
        if listed.len() != found.len() {
            let (recorded, expected) = (listed.len(), found.len());
            return Err(refused(format!("it holds {recorded} values, and its request is answered with {expected}")));
        }
        let mut row = found.to_vec();
        listed.into_iter().for_each(|(column, value)| row[column] = value);
        Ok(row)
    }
}

fn refused(reason: String) -> Error {
    Error::bad_parameter_at("golden", reason)
}

/// A new answer that a recorded one is read beside.
struct Row<'a> {
    values: &'a [f32],
    /// Columns by name: several may have the same one.
    named: &'a HashMap<String, Vec<usize>>,
}

impl Row<'_> {
    /// Columns of the classes or targets that an answer lists, each below the number of columns, and their values. Of columns with one
    /// name, the first listed is the one whose new value is highest, as answers are sorted.
    fn scores(&self, prediction: &Value, member: &str, value: &str) -> Result<Vec<(usize, f32)>> {
        let items = prediction.get(member).and_then(Value::as_array);
        let items = items.ok_or_else(|| refused(format!("a prediction with a list {member} expected")))?;
        let mut scores = Vec::with_capacity(items.len());
        let mut is_listed = vec![false; self.values.len()];
        for item in items {
            let read = item.get("cat").and_then(Value::as_str).zip(item.get(value).and_then(Value::as_f64));
            let (name, number) =
                read.ok_or_else(|| refused(format!("cat and {value} expected in each of {member}")))?;
            let columns = self.named.get(name).ok_or_else(|| self.unknown(name))?;
            let free = columns.iter().copied().filter(|column| !is_listed[*column]);
            let first = free.max_by(|a, b| self.values[*a].total_cmp(&self.values[*b]).then(b.cmp(a)));
            let column = first.ok_or_else(|| {
                let times = columns.len();
                refused(format!("it lists {name:?} more often than the service has it ({times} times)"))
            })?;
            is_listed[column] = true;
            scores.push((column, number as f32));
        }
        Ok(scores)
    }

    fn unknown(&self, name: &str) -> Error {
        let columns = self.values.len();
        refused(format!("it lists {name:?}, which is none of the {columns} classes or values of this service"))
    }
}

/// Values of a layer, in any of their forms.
fn values(prediction: &Value) -> Result<Vec<f32>> {
    let wrong = || refused("a prediction with numbers, booleans or a text of 0 and 1 in vals expected".into());
    let bit = |set: bool| if set { 1.0 } else { 0.0 };
    match prediction.get("vals").ok_or_else(wrong)? {
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_f64().map(|value| value as f32).or(item.as_bool().map(bit)).ok_or_else(wrong))
            .collect(),
        Value::String(text) if text.bytes().all(|byte| matches!(byte, b'0' | b'1')) => {
            Ok(text.bytes().map(|byte| bit(byte == b'1')).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => Err(wrong()),
    }
}

fn bits(values: &Floats) -> Result<Floats> {
    let bits = values.values().iter().map(|value| if *value > 0.0 { 1.0 } else { 0.0 }).collect();
    Floats::new(values.shape().to_vec(), bits).map_err(|error| Error::Internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::deepdetect::predictions::predictions;
    use dede_comparison::compare;

    fn options(section: &Value) -> OutputOptions {
        OutputOptions::parse(section.as_object().unwrap()).unwrap()
    }

    fn classes(values: &[f32]) -> Outputs {
        Outputs::Classification(Floats::new(vec![1, values.len()], values.to_vec()).unwrap())
    }

    /// What a case that was recorded of `recorded` says of `answered`: whether they are equal, and whether they agree.
    fn judged(section: &Value, recorded: &Outputs, answered: &Outputs) -> Result<(bool, bool), String> {
        let (labels, options) = (Labels::from_names(["a", "b", "c"]), options(section));
        let rendered = predictions(recorded, vec!["1".into(); recorded.len()], &labels, &options);
        let written: Vec<Value> = rendered.iter().map(|one| serde_json::to_value(one).unwrap()).collect();
        let case = Recorded { predictions: &written, labels: &labels, options: &options };
        let task = Task::Classification { classes: 3 };
        let (expected, found) = case.beside(task, answered.clone()).map_err(|error| error.to_string())?;
        let differences = compare(&expected, &found, &Tolerance::numerical()).unwrap();
        Ok((differences.iter().all(|one| one.bit_equal), differences.iter().all(|one| one.agrees)))
    }

    #[test]
    fn what_an_answer_does_not_list_is_not_held_against_a_new_one() {
        let recorded = [0.7, 0.2, 0.1];
        let (equal, agrees, differs) = (Ok((true, true)), Ok((false, true)), Ok((false, false)));
        for (section, answered, expected) in [
            (json!({}), [0.7, 0.2, 0.1], &equal),
            (json!({}), [0.7, 0.1, 0.2], &equal),
            (json!({}), [0.70001, 0.19999, 0.1], &agrees),
            (json!({}), [0.2, 0.7, 0.1], &differs),
            (json!({}), [0.7, 0.72, 0.1], &differs),
            (json!({"best": 2}), [0.7, 0.2, 0.15], &equal),
            (json!({"best": 2}), [0.7, 0.2, 0.25], &differs),
            (json!({"best": 2}), [0.7, 0.1, 0.2], &differs),
            (json!({"best": 3}), [0.7, 0.2, 0.1], &equal),
            (json!({"best": -1}), [0.7, 0.25, 0.05], &differs),
            (json!({"confidence_threshold": 0.15}), [0.7, 0.2, 0.05], &equal),
            (json!({"confidence_threshold": 0.5}), [0.7, 0.05, 0.2], &equal),
        ] {
            assert_eq!(&judged(&section, &classes(&recorded), &classes(&answered)), expected, "{section} {answered:?}");
        }
    }

    /// Rounding may swap two classes at the cut.
    #[test]
    fn ties_may_swap_at_the_cut() {
        let swapped = judged(&json!({}), &classes(&[0.45, 0.4499, 0.1001]), &classes(&[0.4499, 0.45, 0.1001]));
        assert_eq!(swapped, Ok((false, true)));
    }

    #[test]
    fn a_class_that_should_not_be_there_or_should_is_a_miss() {
        let section = json!({"confidence_threshold": 0.15});
        let missed = judged(&section, &classes(&[0.7, 0.2, 0.1]), &classes(&[0.6, 0.2, 0.2])).unwrap_err();
        assert!(missed.contains("it lists 2 classes, and its request is answered with 3 to 3"), "{missed}");
        let missed = judged(&section, &classes(&[0.6, 0.2, 0.2]), &classes(&[0.7, 0.2, 0.1])).unwrap_err();
        assert!(missed.contains("it lists 3 classes"), "{missed}");
    }

    #[test]
    fn values_and_features_are_compared_whole_in_their_form() {
        let targets =
            |values: &[f32]| Outputs::Regression(Floats::new(vec![1, values.len()], values.to_vec()).unwrap());
        assert_eq!(judged(&json!({}), &targets(&[1.0, 2.0]), &targets(&[1.0, 2.0])), Ok((true, true)));
        assert_eq!(judged(&json!({}), &targets(&[1.0, 2.0]), &targets(&[1.0, 2.1])), Ok((false, false)));
        assert!(judged(&json!({}), &targets(&[1.0]), &targets(&[1.0, 2.1])).unwrap_err().contains("it holds 1 values"));
        let features = |values: &[f32]| Outputs::Features(Floats::new(vec![1, values.len()], values.to_vec()).unwrap());
        for form in ["binarized", "bool_binarized", "string_binarized"] {
            let found = judged(&json!({form: true}), &features(&[0.5, -1.0]), &features(&[0.1, -2.0]));
            assert_eq!(found, Ok((true, true)), "{form}");
            let found = judged(&json!({form: true}), &features(&[0.5, -1.0]), &features(&[0.5, 1.0]));
            assert_eq!(found, Ok((false, false)), "{form}");
        }
        assert_eq!(judged(&json!({}), &features(&[0.5, -1.0]), &features(&[0.1, -2.0])), Ok((false, false)));
    }

    /// Different classes may have one name; an answer lists each of them under it.
    #[test]
    fn classes_of_one_name_are_told_apart_by_their_probabilities() {
        let labels = Labels::from_names(["crane", "crane", "swan"]);
        let options = options(&json!({"best": 3}));
        for (answered, expected) in [([0.2, 0.7, 0.1], (true, true)), ([0.2, 0.5, 0.3], (false, false))] {
            let rendered = predictions(&classes(&[0.2, 0.7, 0.1]), vec!["1".into()], &labels, &options);
            let written = [serde_json::to_value(&rendered[0]).unwrap()];
            let case = Recorded { predictions: &written, labels: &labels, options: &options };
            let (recorded, found) = case.beside(Task::Classification { classes: 3 }, classes(&answered)).unwrap();
            let difference = &compare(&recorded, &found, &Tolerance::numerical()).unwrap()[0];
            assert_eq!((difference.bit_equal, difference.agrees), expected, "{answered:?}");
        }
    }

    #[test]
    fn cases_that_cannot_be_compared_say_why() {
        let (labels, plain) = (Labels::from_names(["a", "b"]), options(&json!({})));
        let measured = options(&json!({"measure": ["acc"]}));
        let (all, none) = (options(&json!({"best": -1})), options(&json!({"best": 0})));
        let refusal = |predictions: &[Value], options: &OutputOptions| {
            let case = Recorded { predictions, labels: &labels, options };
            let task = Task::Classification { classes: 2 };
            case.beside(task, classes(&[0.9, 0.1])).unwrap_err().to_string()
        };
        for (predictions, options, text) in [
            (vec![], &plain, "it holds 0 predictions"),
            (vec![json!({})], &plain, "a list classes expected"),
            (vec![json!({"classes": [{"cat": "z", "prob": 0.5}]})], &plain, "it lists \"z\", which is none of the 2"),
            (vec![json!({"classes": [{"cat": "7", "prob": 0.5}]})], &plain, "it lists \"7\", which is none of the 2"),
            (vec![json!({"classes": [{"prob": 0.5}]})], &plain, "cat and prob expected"),
            (vec![json!({"classes": [{"cat": "a", "prob": 0.9}, {"cat": "a", "prob": 0.1}]})], &all, "more often"),
            (vec![json!({"classes": []})], &none, "asks for no class"),
            (vec![json!({})], &measured, "asks for measures"),
        ] {
            let found = refusal(&predictions, options);
            assert!(found.contains(text), "{found}");
        }
    }
}
