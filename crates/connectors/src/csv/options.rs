//! The parameters of the csv connector: as written, and as resolved.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use dede_core::connector::{Fetched, InputLimits, ReaderContext};
use dede_core::data::SampleShape;
use dede_core::error::{Error, Result};
use dede_core::parameters;
use dede_core::request_memory::MemoryShare;
use serde::Deserialize;

use super::SECTION;
use super::categories::Mappings;
use super::labels::ClassNames;
use super::records::Dialect;
use super::scaling::{Bounds, ScaleType};
use crate::source::{Fetcher, is_remote};

/// One value or a list of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(value) => vec![value],
            Self::Many(values) => values,
        }
    }
}

/// `parameters.input` as written; [`super::keys`] has every key that there is.
#[derive(Debug, Deserialize)]
pub(super) struct Options {
    label: Option<OneOrMany<String>>,
    label_offset: Option<OneOrMany<i64>>,
    id: Option<String>,
    separator: Option<String>,
    quote: Option<String>,
    ignore: Option<OneOrMany<String>>,
    categoricals: Option<OneOrMany<String>>,
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

impl Settings {
    /// Fetches what items name by URL.
    ///
    /// # Errors
    /// As [`dede_core::connector::Reader::fetch`].
    pub(super) fn fetch(&self, data: &[String], memory: &MemoryShare) -> Result<Fetched> {
        if !data.iter().any(|item| is_remote(item)) {
            return Ok(Fetched::default());
        }
        Fetcher::new(&self.limits, self.timeout_s)?.fetch_all(data, memory, Error::bad_input)
    }

    /// Resolves the parameters.
    ///
    /// # Errors
    /// [`Error::BadInput`] naming the parameter.
    pub(super) fn resolve(context: &ReaderContext<'_>) -> Result<Self> {
        let options = parameters::parse::<Options>(context.parameters, SECTION).map_err(Error::BadInput)?.options;
        let (scale, bounds) = scaling(&options)?;
        let mapping = options.categoricals_mapping.unwrap_or_default();
        let mut categoricals = options.categoricals.map(OneOrMany::into_vec).unwrap_or_default();
        categoricals.extend(mapping.keys().filter(|key| !categoricals.contains(key)).cloned().collect::<Vec<_>>());
        let labels = options.label.map(OneOrMany::into_vec).unwrap_or_default();
        let mut label_offsets = options.label_offset.map(OneOrMany::into_vec).unwrap_or_default();
        label_offsets.resize(labels.len(), 0);
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
            labels,
            label_offsets,
            id: options.id.filter(|id| !id.is_empty()),
            ignore: options.ignore.map(OneOrMany::into_vec).unwrap_or_default().into_iter().collect(),
            categoricals,
            mappings: Mappings::parse(&mapping)?,
            scale,
            bounds,
            test_split,
            shuffle: options.shuffle.unwrap_or(false),
            seed: options.seed.and_then(|seed| u64::try_from(seed).ok()),
            autoencoder: options.autoencoder.unwrap_or(false),
            columns: options.columns.filter(|columns| !columns.is_empty()),
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
    let [Some(first), Some(second)] = given else { return Ok((Some(kind), None)) };
    if first.len() != second.len() {
        let [low, high] = kind.keys();
        let reason = format!("{low} has {} values and {high} has {}", first.len(), second.len());
        return Err(Error::bad_input_at(SECTION, reason));
    }
    let bounds = Bounds { kind, first: first.clone(), second: second.clone() };
    Ok((Some(kind), (bounds.len() > 0).then_some(bounds)))
}
