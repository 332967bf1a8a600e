//! Figures of a report: made as types, and kept as they were written.
//!
//! What an earlier version wrote is shown as it wrote it, whatever its figures were; what reads them says which it expects.

use std::marker::PhantomData;

use dede_bundle::Digest;
use dede_comparison::Golden;
use dede_comparison::warming::Warmed;
use dede_model::error::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Figures of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct Figures<T> {
    written: Value,
    #[serde(skip)]
    kind: PhantomData<T>,
}

impl<T: Serialize + DeserializeOwned> Figures<T> {
    /// Writes figures.
    ///
    /// # Errors
    /// [`Error::Internal`] for what JSON cannot say.
    pub(crate) fn of(figures: &T) -> Result<Self> {
        let written = serde_json::to_value(figures).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Self { written, kind: PhantomData })
    }

    /// Reads them; `None` for what an earlier version wrote in another form.
    pub fn read(&self) -> Option<T> {
        T::deserialize(&self.written).ok()
    }
}

impl<T> Figures<T> {
    /// As they were written.
    pub fn into_written(self) -> Value {
        self.written
    }
}

/// How a network was warmed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Warming {
    /// Until its latency was flat.
    UntilFlat(Warmed),
    /// While clients waited.
    Shortly {
        /// Calls made.
        requests: usize,
        /// Calls that failed.
        failed: usize,
        /// In all, milliseconds.
        took_ms: f64,
    },
}

/// How the golden set came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum GoldenReport {
    /// Answers were compared.
    Compared {
        /// Where the cases came from.
        origin: String,
        /// How many.
        cases: usize,
        /// Of the file that holds them, where they are kept.
        digest: Option<Digest>,
        /// What was found.
        result: Golden,
    },
    /// There was nothing to compare.
    Nothing {
        /// Why.
        origin: String,
        /// None.
        cases: usize,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_of_another_form_are_kept_as_they_were_written() {
        for (written, is_read) in [
            (json!({"requests": 20, "failed": 1, "took_ms": 12.5}), true),
            (json!({"requests": 20, "failed": 1, "windows": 1, "p99_ms": [0.5], "flat": true, "took_ms": 12.5}), true),
            (json!({"took_ms": null, "runs": 3}), false),
            (json!("cold"), false),
        ] {
            let figures: Figures<Warming> = serde_json::from_value(written.clone()).unwrap();
            assert_eq!(figures.read().is_some(), is_read, "{written}");
            assert_eq!(serde_json::to_string(&figures).unwrap(), written.to_string());
        }
    }

    #[test]
    fn a_set_that_was_not_kept_is_told_from_one_that_there_was_not() {
        let nothing = GoldenReport::Nothing { origin: "none".into(), cases: 0 };
        assert_eq!(Figures::of(&nothing).unwrap().into_written(), json!({"origin": "none", "cases": 0}));
        let result = dede_comparison::GoldenCheck::new(dede_comparison::Exactness::BitEqual).finish();
        let compared = GoldenReport::Compared { origin: "given".into(), cases: 1, digest: None, result };
        let written = Figures::of(&compared).unwrap();
        assert_eq!(written.read(), Some(compared));
        assert_eq!(written.into_written()["digest"], Value::Null);
    }
}
