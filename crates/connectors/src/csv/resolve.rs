//! From what a request, a service and a training say of the columns to the settings that hold: which of them wins, and
//! which keys have no effect and are refused.

use dede_model::connector::ReaderContext;
use dede_model::error::{Error, Result};
use dede_model::parameters::{self, Section};
use dede_model::quote::quote;
use serde_json::Value;

use super::SECTION;
use super::known::reconciled;
use super::options::{NamedColumn, Settings};
use super::scaling::ScaleType;

impl Settings {
    /// Resolves the parameters.
    ///
    /// # Errors
    /// [`Error::BadInput`] naming the parameter, also one that contradicts what is known of the training data.
    pub(super) fn resolve(context: &ReaderContext<'_>) -> Result<Self> {
        let written = Self::of_section(context.parameters, context)?;
        let known = known_columns(context).map(|section| Self::of_section(&section, context)).transpose()?;
        let mut settings = match known {
            Some(known) => reconciled(written, known)?,
            None => Self { elsewhere: ignored_in_call(&written, context), ..written },
        };
        settings.check_offsets(context.own)?;
        // What a service is created with are defaults of its trainings, unless there is a network that none of them will change.
        if context.parameters_in_call || (context.shape.is_some() && context.stored.is_empty()) {
            check_scaling_keys(context.own, &settings)?;
        }
        let names_id = |section: &Section| section.get("id").and_then(Value::as_str).is_some_and(|id| !id.is_empty());
        settings.is_id_sent = names_id(context.own) || names_id(context.created);
        settings.created = context.created.clone();
        Ok(settings)
    }

    /// One offset for each label.
    ///
    /// # Errors
    /// [`Error::BadInput`] with more offsets than labels, and for a label whose values are categories.
    fn check_offsets(&mut self, own: &Section) -> Result<()> {
        let refused = |reason: String| Err(Error::bad_input_at(format!("{SECTION}.label_offset"), reason));
        let (offsets, labels) = (self.label_offsets.len(), self.labels.len());
        if labels == 0 {
            // At a creation it is a default of trainings, which say what the label is.
            let is_sent = self.in_call && own.get("label_offset").is_some_and(says_something);
            let is_wanted = is_sent && self.label_offsets.iter().any(|&offset| offset != 0);
            return match is_wanted {
                true => refused("there is no label to add it to: send label, too".to_owned()),
                false => Ok(()),
            };
        }
        if offsets > labels {
            return refused(format!("expected at most one for each label, {labels}, found {offsets}"));
        }
        self.label_offsets.resize(labels, 0);
        let is_category = |label: &&String| self.mappings.of(label).is_some() || self.categoricals.contains(label);
        let shifted = self.labels.iter().zip(&self.label_offsets).filter(|(_, offset)| **offset != 0);
        match shifted.map(|(label, _)| label).find(is_category) {
            Some(label) => {
                refused(format!("label {} is a categorical column: there is no number to add to", quote(label)))
            }
            None => Ok(()),
        }
    }
}

/// Columns that this request itself leaves out, where the training data is not known: a header must have them.
fn ignored_in_call(written: &Settings, context: &ReaderContext<'_>) -> Vec<NamedColumn> {
    if !context.parameters_in_call || !context.own.get("ignore").is_some_and(says_something) {
        return Vec::new();
    }
    let mut names: Vec<&String> = written.ignore.iter().filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    names.into_iter().map(|name| NamedColumn { key: "ignore", name: name.clone() }).collect()
}

/// The parameters that say what the columns of the training data are: the lowest that name them wins.
fn known_columns(context: &ReaderContext<'_>) -> Option<Section> {
    let names_columns = |section: &Section| section.get("columns").is_some_and(says_something);
    if names_columns(context.stored) {
        return Some(context.stored.clone());
    }
    names_columns(context.created).then(|| parameters::over(context.created, context.stored))
}

/// Whether a value asks for something.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => true,
    }
}

/// Refuses keys of scaling that this request sends and that have no effect on it.
///
/// # Errors
/// [`Error::BadInput`] naming the key.
fn check_scaling_keys(own: &Section, settings: &Settings) -> Result<()> {
    let sent = |key: &str| own.get(key).is_some_and(says_something);
    let refused = |key: &str, reason: String| Err(Error::bad_input_at(format!("{SECTION}.{key}"), reason));
    let Some(kind) = settings.scale else {
        if own.get("scale") == Some(&Value::Bool(false)) {
            return Ok(());
        }
        let all = ScaleType::ALL.iter().flat_map(|kind| kind.keys()).chain(["scale_type"]);
        return match all.into_iter().find(|key| sent(key)) {
            Some(key) => refused(key, "it has an effect with scale: true alone".to_owned()),
            None => Ok(()),
        };
    };
    let others = ScaleType::ALL.iter().filter(|other| **other != kind).flat_map(|other| other.keys());
    match others.into_iter().find(|key| sent(key)) {
        Some(key) => refused(key, format!("it has no effect with scale_type {}", kind.name())),
        None => Ok(()),
    }
}
