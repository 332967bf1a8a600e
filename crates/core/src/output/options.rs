//! `parameters.output`, as written and as resolved.

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Fault, Result};
use crate::measure::MeasureSpec;
use crate::parameters::{Section, parse};

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
    /// Keys that nobody knows, as dotted paths.
    pub unknown: Vec<String>,
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

/// Keys of later versions and of other outputs are known, so that they do not count as typing errors.
#[derive(Debug, Default, Deserialize)]
struct Written {
    best: Option<i64>,
    confidence_threshold: Option<f32>,
    measure: Option<OneOrMany>,
    binarized: Option<bool>,
    bool_binarized: Option<bool>,
    string_binarized: Option<bool>,
    template: Option<String>,
    network: Option<Section>,
    #[serde(rename = "regression")]
    _regression: Option<Value>,
    #[serde(rename = "measure_hist")]
    _measure_hist: Option<Value>,
    #[serde(rename = "max_hist_points")]
    _max_hist_points: Option<Value>,
    #[serde(rename = "target_repository")]
    _target_repository: Option<Value>,
    #[serde(rename = "store_config")]
    _store_config: Option<Value>,
    #[serde(rename = "logits")]
    _logits: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OutputOptions {
    /// Parses a section.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the key whose value has the wrong type.
    pub fn parse(section: &Section) -> Result<Self> {
        let parsed = parse::<Written>(section, "parameters.output").map_err(Error::BadParameter)?;
        let written = parsed.options;
        let threshold = written.confidence_threshold.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&threshold) {
            let fault =
                Fault::at("parameters.output.confidence_threshold", format!("0 to 1 expected, found {threshold}"));
            return Err(Error::BadParameter(fault));
        }
        // A threshold alone asks for every class above it.
        let default_best = if written.confidence_threshold.is_some() { -1 } else { 1 };
        let names = match written.measure {
            None => Vec::new(),
            Some(OneOrMany::One(name)) => vec![name],
            Some(OneOrMany::Many(names)) => names,
        };
        Ok(Self {
            best: usize::try_from(written.best.unwrap_or(default_best)).ok(),
            confidence_threshold: threshold,
            measures: MeasureSpec { names },
            binarized: binarized(written.binarized, written.bool_binarized, written.string_binarized),
            template: written.template.filter(|template| !template.is_empty()),
            network: written.network,
            unknown: parsed.unknown,
        })
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
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_keys_are_told_apart_from_known_ones() {
        let section = json!({"bset": 3, "measure": "acc", "regression": true});
        let options = OutputOptions::parse(section.as_object().unwrap()).unwrap();
        assert_eq!(options.unknown, ["parameters.output.bset"]);
        assert_eq!(options.measures.names, ["acc"]);
    }
}
