//! Keys of a request against what is known of the columns of the training data.
//!
//! The training says what its columns are, and so which of them are features. Keys of a request may name a column beside them as id,
//! label or one to ignore, leave out the id or the labels, and repeat what is known. Whatever would make other features of them
//! contradicts the network, and is refused.

use std::collections::HashSet;
use std::sync::Arc;

use dede_model::error::{Error, Result};
use dede_model::quote::{quote, quote_list};

use super::SECTION;
use super::layout::{Role, role};
use super::options::{NamedColumn, Settings};

/// `settings` of a request where `known` is what was known before it.
///
/// # Errors
/// [`Error::BadInput`] naming the key that contradicts what is known.
pub(super) fn reconciled(settings: Settings, known: Settings) -> Result<Settings> {
    let columns = known.columns.clone().unwrap_or_default();
    let ignore = known.ignore.clone();
    let mut reconciling = Reconciling { settings, known, columns, ignore };
    reconciling.columns()?;
    reconciling.labels()?;
    reconciling.id()?;
    reconciling.ignored()?;
    reconciling.categories()?;
    let Reconciling { settings, mut known, ignore, .. } = reconciling;
    known.mappings.clone_from(&settings.mappings);
    Ok(Settings { ignore, known: Some(Arc::new(known)), ..settings })
}

struct Reconciling {
    /// As the request has them, and step by step as they are meant.
    settings: Settings,
    known: Settings,
    /// Of the training data.
    columns: Vec<String>,
    /// Columns that are dropped.
    ignore: HashSet<String>,
}

impl Reconciling {
    fn columns(&mut self) -> Result<()> {
        if self.settings.columns.as_ref().is_some_and(|columns| *columns != self.columns) {
            let known = quote_list(self.columns.iter().map(String::as_str));
            return Err(refused("columns", format!("the training data has the columns {known}, found others")));
        }
        self.settings.columns = Some(self.columns.clone());
        Ok(())
    }

    /// Other names may stand for the labels, as many as there are.
    fn labels(&mut self) -> Result<()> {
        if self.settings.labels.is_empty() {
            self.settings.labels.clone_from(&self.known.labels);
        }
        let labels = self.settings.labels.clone();
        if !self.known.labels.is_empty() && labels.len() != self.known.labels.len() {
            let reason = format!("found {} labels; {}", labels.len(), self.roles());
            return Err(refused("label", reason));
        }
        for (index, label) in labels.iter().enumerate() {
            match self.role(label) {
                Some(Role::Label(known)) if known == index => {}
                Some(Role::Ignored) => {
                    self.ignore.remove(label);
                }
                None => self.stands_elsewhere("label", label),
                Some(Role::Label(_) | Role::Id | Role::Number(_) | Role::Category(..)) => {
                    return Err(self.contradiction("label", label));
                }
            }
        }
        self.ignore.extend(self.known.labels.iter().filter(|label| !labels.contains(label)).cloned());
        Ok(())
    }

    fn id(&mut self) -> Result<()> {
        let Some(id) = self.settings.id.clone() else {
            self.settings.id.clone_from(&self.known.id);
            return Ok(());
        };
        match self.role(&id) {
            Some(Role::Id) => return Ok(()),
            Some(Role::Ignored) => {
                self.ignore.remove(&id);
            }
            None => self.stands_elsewhere("id", &id),
            Some(Role::Label(_) | Role::Number(_) | Role::Category(..)) => {
                return Err(self.contradiction("id", &id));
            }
        }
        self.ignore.extend(self.known.id.clone());
        Ok(())
    }

    fn ignored(&mut self) -> Result<()> {
        let sent = self.settings.ignore.difference(&self.known.ignore).filter(|name| !name.is_empty());
        let mut sent: Vec<String> = sent.cloned().collect();
        sent.sort_unstable();
        for name in sent {
            let is_id = self.settings.id.as_ref() == Some(&name);
            let is_label = self.settings.labels.contains(&name);
            match self.role(&name) {
                Some(Role::Number(_) | Role::Category(..)) => return Err(self.contradiction("ignore", &name)),
                Some(Role::Id) if is_id => self.settings.id = None,
                Some(Role::Id | Role::Label(_) | Role::Ignored) => {}
                None if is_id || is_label => {
                    let other = if is_id { "id" } else { "label" };
                    return Err(refused("ignore", format!("column {} is named by {other}, too", quote(&name))));
                }
                None => self.stands_elsewhere("ignore", &name),
            }
            self.ignore.insert(name);
        }
        Ok(())
    }

    /// The network was trained with the values of the categorical columns, and their numbers.
    fn categories(&mut self) -> Result<()> {
        if let Some(name) = self.settings.categoricals.iter().find(|name| !self.known.categoricals.contains(name)) {
            return Err(self.contradiction("categoricals", name));
        }
        for name in &self.known.categoricals {
            let (sent, known) = (self.settings.mappings.of(name), self.known.mappings.of(name));
            if let (Some(sent), Some(known)) = (sent, known)
                && sent != known
            {
                let values = quote_list(known.values().iter().map(String::as_str));
                let reason = format!("the training numbered the values {values}, from 0; found others");
                return Err(refused(&format!("categoricals_mapping.{}", quote(name)), reason));
            }
        }
        self.settings.categoricals.clone_from(&self.known.categoricals);
        if !self.known.mappings.is_empty() {
            self.settings.mappings.clone_from(&self.known.mappings);
        }
        Ok(())
    }

    /// What a column of the training data is; `None` for others.
    fn role(&self, name: &str) -> Option<Role> {
        // A categorical column whose values are not known yet is one all the same.
        let is_there = self.columns.iter().any(|column| column == name);
        is_there.then(|| role(name, 0, &self.known).unwrap_or(Role::Category(0, 0)))
    }

    fn stands_elsewhere(&mut self, key: &'static str, name: &str) {
        self.settings.elsewhere.push(NamedColumn { key, name: name.to_owned() });
    }

    fn contradiction(&self, key: &str, name: &str) -> Error {
        let is = match self.role(name) {
            None => "is not in the training data",
            Some(Role::Number(_)) => "holds numbers that are a feature",
            Some(Role::Category(..)) => "holds categories that are features",
            Some(Role::Id) => "is the id",
            Some(Role::Label(_)) => "is a label",
            Some(Role::Ignored) => "is left out",
        };
        refused(key, format!("column {} {is}; {}", quote(name), self.roles()))
    }

    /// What the training data has, as the end of a sentence.
    fn roles(&self) -> String {
        let is_feature = |name: &&str| matches!(self.role(name), Some(Role::Number(_) | Role::Category(..)));
        let features = quote_list(self.columns.iter().map(String::as_str).filter(is_feature));
        let id = self.known.id.as_ref().map_or_else(String::new, |id| format!(", the id {}", quote(id)));
        let labels = match self.known.labels.as_slice() {
            [] => String::new(),
            [label] => format!(", the label {}", quote(label)),
            labels => format!(", the labels {}", quote_list(labels.iter().map(String::as_str))),
        };
        format!("the network was trained with the features {features}{id}{labels}")
    }
}

fn refused(key: &str, reason: String) -> Error {
    Error::bad_input_at(format!("{SECTION}.{key}"), reason)
}
