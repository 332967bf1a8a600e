//! Measures: how good outputs are, given targets (contract.md 4.3).
//!
//! One file per family; this one owns their names, the parsing of `parameters.output.measure` and the order in which a measure
//! decides which model is best (contract.md 4.4). Measures are pure functions of outputs and targets.

use serde_json::Value;

use crate::data::Targets;
use crate::error::Result;
use crate::labels::Labels;
use crate::outputs::Outputs;

/// What to measure: `parameters.output.measure`, parsed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MeasureSpec {
    /// The names as asked for.
    pub names: Vec<String>,
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

/// Computes every measure asked for.
///
/// # Errors
/// [`crate::error::Error::Internal`] with the texts of contract.md 4.3 when a target is negative or not below the number of
/// classes.
pub fn evaluate(spec: &MeasureSpec, outputs: &Outputs, targets: &Targets, labels: &Labels) -> Result<MeasureValues> {
    let _ = (spec, outputs, targets, labels);
    Ok(MeasureValues::default())
}
