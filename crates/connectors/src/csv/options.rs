//! The parameters of the csv connector: as written in one section, and what that says.
//!
//! It must not know what else is known of the columns; that is in `resolve`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use dede_model::connector::{Fetched, InputLimits, ReaderContext};
use dede_model::data::SampleShape;
use dede_model::error::{Error, Result};
use dede_model::parameters::{self, Section};
use dede_model::request_memory::MemoryShare;
use serde::Deserialize;

use super::SECTION;
use super::categories::Mappings;
use super::labels::ClassNames;
use super::lists;
use super::records::Dialect;
use super::scaling::{Bounds, ScaleType};
use crate::seed;
use crate::source::{Fetcher, is_remote};

/// `parameters.input` as written; [`super::keys`] has every key that there is.
#[derive(Debug, Deserialize)]
pub(super) struct Options {
    #[serde(default, deserialize_with = "lists::names")]
    label: Option<Vec<String>>,
    #[serde(default, deserialize_with = "lists::whole_numbers")]
    label_offset: Option<Vec<i64>>,
    id: Option<String>,
    separator: Option<String>,
    quote: Option<String>,
    #[serde(default, deserialize_with = "lists::names")]
    ignore: Option<Vec<String>>,
    #[serde(default, deserialize_with = "lists::names")]
    categoricals: Option<Vec<String>>,
    categoricals_mapping: Option<BTreeMap<String, HashMap<String, u64>>>,
    scale: Option<bool>,
    scale_type: Option<ScaleType>,
    min_vals: Option<Vec<f64>>,
    max_vals: Option<Vec<f64>>,
    mean_vals: Option<Vec<f64>>,
    variance_vals: Option<Vec<f64>>,
    test_split: Option<f64>,
    shuffle: Option<bool>,
    seed: Option<i64>,
    autoencoder: Option<bool>,
    columns: Option<Vec<String>>,
    timeout: Option<i64>,
}

/// The parameters, resolved.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// How lines are split.
    pub(super) dialect: Dialect,
    /// Label columns.
    pub(super) labels: Vec<String>,
    /// Added to numeric labels; as many as there are label columns.
    pub(super) label_offsets: Vec<i64>,
    /// The column that names the rows.
    pub(super) id: Option<String>,
    /// Columns dropped.
    pub(super) ignore: HashSet<String>,
    /// Columns to be one-hot coded, in the order given.
    pub(super) categoricals: Vec<String>,
    /// Their values, as far as known.
    pub(super) mappings: Mappings,
    /// How to scale, if at all.
    pub(super) scale: Option<ScaleType>,
    /// Bounds given for that scale type.
    pub(super) bounds: Option<Bounds>,
    /// Share of the rows split off as a test set.
    pub(super) test_split: f64,
    /// Whether training rows are shuffled.
    pub(super) shuffle: bool,
    /// Seed of the shuffle; random without it.
    pub(super) seed: Option<u64>,
    /// The features are the targets: no label is needed.
    pub(super) autoencoder: bool,
    /// Header of the training file, when this service was trained on one.
    pub(super) columns: Option<Vec<String>>,
    /// What was known of these columns before this request: a training stored it, or the service was created with it.
    pub(super) known: Option<Arc<Settings>>,
    /// Columns that keys of this request name and that are none of `columns`: only a header can say where they stand.
    pub(super) elsewhere: Vec<NamedColumn>,
    /// The request or the service names an id: not only what the training stored.
    pub(super) is_id_sent: bool,
    /// What the service was created with, in a training.
    pub(super) created: Section,
    /// Names of classes whose labels are text.
    pub(super) class_names: ClassNames,
    /// Numeric labels are values, never classes.
    pub(super) regression: bool,
    /// This request itself sent input parameters.
    pub(super) in_call: bool,
    /// Columns that the network takes, where known.
    pub(super) network_columns: Option<usize>,
    /// `timeout` of fetching a URL, seconds.
    pub(super) timeout_s: Option<i64>,
    /// Bounds on what is read.
    pub(super) limits: Arc<InputLimits>,
}

/// A column that a key names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedColumn {
    /// Below `parameters.input`.
    pub(super) key: &'static str,
    /// As the request has it.
    pub(super) name: String,
}

impl Settings {
    /// Fetches what items name by URL.
    ///
    /// # Errors
    /// As [`dede_model::connector::Reader::fetch`].
    pub(super) fn fetch(&self, data: &[String], memory: &MemoryShare) -> Result<Fetched> {
        if !data.iter().any(|item| is_remote(item)) {
            return Ok(Fetched::default());
        }
        Fetcher::new(&self.limits, self.timeout_s)?.fetch_all(data, memory, Error::bad_input)
    }

    /// The parameters of one section, as they stand there.
    ///
    /// # Errors
    /// As [`Settings::resolve`].
    pub(super) fn of_section(section: &Section, context: &ReaderContext<'_>) -> Result<Self> {
        let options = parameters::parse::<Options>(section, SECTION).map_err(Error::BadInput)?.options;
        let (scale, bounds) = scaling(&options)?;
        let mapping = options.categoricals_mapping.unwrap_or_default();
        let mut categoricals = named(options.categoricals);
        categoricals.extend(mapping.keys().filter(|key| !categoricals.contains(key)).cloned().collect::<Vec<_>>());
        let test_split = options.test_split.unwrap_or(0.0);
        if !(0.0..1.0).contains(&test_split) {
            let reason = format!("expected a share of at least 0 and below 1, found {test_split}");
            return Err(Error::bad_input_at(format!("{SECTION}.test_split"), reason));
        }
        if options.timeout.is_some() {
            Fetcher::new(&context.limits, options.timeout)?;
        }
        Ok(Self {
            dialect: Dialect::new(options.separator.as_deref(), options.quote.as_deref())?,
            labels: named(options.label),
            label_offsets: options.label_offset.unwrap_or_default(),
            id: options.id.filter(|id| !id.is_empty()),
            ignore: options.ignore.unwrap_or_default().into_iter().collect(),
            categoricals,
            mappings: Mappings::parse(&mapping)?,
            scale,
            bounds,
            test_split,
            shuffle: options.shuffle.unwrap_or(false),
            seed: options.seed.map(seed::of_parameter).transpose()?.flatten(),
            autoencoder: options.autoencoder.unwrap_or(false),
            columns: options.columns.filter(|columns| !columns.is_empty()),
            known: None,
            elsewhere: Vec::new(),
            is_id_sent: false,
            created: Section::new(),
            class_names: ClassNames::known(context.labels),
            regression: context.regression,
            in_call: context.parameters_in_call,
            network_columns: match context.shape {
                Some(SampleShape::Row { columns }) => Some(columns),
                Some(SampleShape::Image { .. }) | None => None,
            },
            timeout_s: options.timeout,
            limits: Arc::clone(&context.limits),
        })
    }
}

/// Names, without empty ones: these ask for nothing.
fn named(names: Option<Vec<String>>) -> Vec<String> {
    let mut names = names.unwrap_or_default();
    names.retain(|name| !name.is_empty());
    names
}

/// `scale`, `scale_type` and the bounds of that type.
fn scaling(options: &Options) -> Result<(Option<ScaleType>, Option<Bounds>)> {
    if options.scale != Some(true) {
        return Ok((None, None));
    }
    let kind = options.scale_type.unwrap_or_default();
    let given = match kind {
        ScaleType::MinMax => [&options.min_vals, &options.max_vals],
        ScaleType::ZNorm => [&options.mean_vals, &options.variance_vals],
    };
    let [low, high] = kind.keys();
    let (first, second) = match given {
        [Some(first), Some(second)] => (first, second),
        [None, None] => return Ok((Some(kind), None)),
        [first, _] => {
            let (found, missing) = if first.is_some() { (low, high) } else { (high, low) };
            return Err(Error::bad_input_at(
                format!("{SECTION}.{missing}"),
                format!("expected beside {found}, found none"),
            ));
        }
    };
    if first.len() != second.len() {
        let reason = format!("{low} has {} values and {high} has {}", first.len(), second.len());
        return Err(Error::bad_input_at(SECTION, reason));
    }
    let bounds = Bounds { kind, first: first.clone(), second: second.clone() };
    bounds.check().map_err(|reason| Error::bad_input_at(SECTION, reason))?;
    Ok((Some(kind), (bounds.len() > 0).then_some(bounds)))
}
