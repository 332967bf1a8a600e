//! What a job leaves, and how that is kept on disk.
//!
//! It must not know how a protocol shows it.

use std::collections::BTreeMap;

use dede_model::measure::MeasureValues;
use dede_model::parameters::Section;
use dede_model::progress::{Figures, TestResult};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The outcome of a job that did not fail.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub enum JobResult {
    /// It was stopped before it began.
    #[default]
    Untrained,
    /// A network was trained.
    Trained(Box<Training>),
    /// As an earlier version kept it.
    Former(Box<FormerResult>),
}

/// How a training went.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Training {
    /// The figures at its end.
    pub figures: Figures,
    /// What the connector learnt.
    pub input: Section,
    /// What the backend did otherwise than asked.
    pub mllib: Section,
}

/// What earlier versions kept: the members of an answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FormerResult {
    /// Measures of the first test set.
    pub measure: Section,
    /// Measures of every test set.
    pub measures: Vec<Section>,
    /// What the connector learnt.
    pub input: Section,
    /// What the backend did otherwise than asked.
    pub mllib: Section,
    /// Name with `_hist` → values.
    pub measure_hist: Section,
}

impl JobResult {
    /// With at most `points` of each history.
    pub(super) fn thinned(&self, points: usize) -> Self {
        match self {
            Self::Trained(training) => {
                let figures = training.figures.thinned(points);
                Self::Trained(Box::new(Training { figures, ..Training::clone(training) }))
            }
            // It was thinned when it was kept.
            Self::Untrained | Self::Former(_) => self.clone(),
        }
    }
}

/// The forms that a result has on disk, told apart by their members.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Former(Box<FormerResult>),
    Trained { figures: Box<StoredFigures>, input: Section, mllib: Section },
    Untrained(Nothing),
}

/// No members: anything else is no result at all.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// JSON has no NaN: a loss that was none stands as `null`.
#[derive(Serialize, Deserialize)]
struct StoredFigures {
    iteration: Option<u64>,
    iterations: u64,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "null_is_nan")]
    train_loss: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "null_is_nan")]
    learning_rate: Option<f64>,
    iteration_ms: f64,
    elapsed_ms: f64,
    tests: Vec<StoredTest>,
    histories: BTreeMap<String, Vec<Option<f64>>>,
}

#[derive(Serialize, Deserialize)]
struct StoredTest {
    id: usize,
    name: String,
    values: Vec<(String, Value)>,
}

fn null_is_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Ok(Some(Option::deserialize(deserializer)?.unwrap_or(f64::NAN)))
}

impl From<JobResult> for Stored {
    fn from(result: JobResult) -> Self {
        match result {
            JobResult::Untrained => Self::Untrained(Nothing {}),
            JobResult::Former(former) => Self::Former(former),
            JobResult::Trained(training) => {
                let Training { figures, input, mllib } = *training;
                Self::Trained { figures: Box::new(figures.into()), input, mllib }
            }
        }
    }
}

impl From<Stored> for JobResult {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Untrained(Nothing {}) => Self::Untrained,
            Stored::Former(former) => Self::Former(former),
            Stored::Trained { figures, input, mllib } => {
                Self::Trained(Box::new(Training { figures: Figures::from(*figures), input, mllib }))
            }
        }
    }
}

impl From<Figures> for StoredFigures {
    fn from(figures: Figures) -> Self {
        let test = |test: TestResult| StoredTest {
            id: test.id,
            name: test.name,
            values: test.values.entries().map(|(name, value)| (name.to_owned(), value.clone())).collect(),
        };
        let points = |points: Vec<f64>| points.into_iter().map(Some).collect();
        Self {
            iteration: figures.iteration,
            iterations: figures.iterations,
            train_loss: figures.train_loss,
            learning_rate: figures.learning_rate,
            iteration_ms: figures.iteration_ms,
            elapsed_ms: figures.elapsed_ms,
            tests: figures.tests.into_iter().map(test).collect(),
            histories: figures.histories.into_iter().map(|(name, values)| (name, points(values))).collect(),
        }
    }
}

impl From<StoredFigures> for Figures {
    fn from(stored: StoredFigures) -> Self {
        let test = |test: StoredTest| {
            let mut values = MeasureValues::default();
            test.values.into_iter().for_each(|(name, value)| values.set(name, value));
            TestResult { id: test.id, name: test.name, values }
        };
        let points = |points: Vec<Option<f64>>| points.into_iter().map(|point| point.unwrap_or(f64::NAN)).collect();
        Self {
            iteration: stored.iteration,
            iterations: stored.iterations,
            train_loss: stored.train_loss,
            learning_rate: stored.learning_rate,
            iteration_ms: stored.iteration_ms,
            elapsed_ms: stored.elapsed_ms,
            tests: stored.tests.into_iter().map(test).collect(),
            histories: stored.histories.into_iter().map(|(name, values)| (name, points(values))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn trained() -> JobResult {
        let mut values = MeasureValues::default();
        values.set("acc", 0.5);
        values.set("labels", json!(["a", "b"]));
        let figures = Figures {
            iteration: Some(9),
            iterations: 10,
            train_loss: Some(0.25),
            learning_rate: None,
            tests: vec![TestResult { id: 0, name: "test".into(), values }],
            histories: BTreeMap::from([("train_loss".to_owned(), (0..10).map(f64::from).collect())]),
            ..Figures::default()
        };
        JobResult::Trained(Box::new(Training { figures, ..Training::default() }))
    }

    #[test]
    fn every_form_is_read_as_it_was_written() {
        let former = FormerResult { measures: vec![Section::new()], ..FormerResult::default() };
        for result in [JobResult::Untrained, trained(), JobResult::Former(Box::new(former))] {
            let text = serde_json::to_string(&result).expect("written");
            assert_eq!(serde_json::from_str::<JobResult>(&text).expect(&text), result, "{text}");
        }
    }

    #[test]
    fn what_an_earlier_version_kept_is_read() {
        let text = r#"{"measure":{"acc":1.0},"measures":[{"acc":1.0}],"input":{},"mllib":{},"measure_hist":{"acc_hist":[0.5,null]}}"#;
        let JobResult::Former(former) = serde_json::from_str(text).expect("read") else { panic!("another form") };
        assert_eq!((former.measure["acc"].clone(), former.measures.len()), (json!(1.0), 1));
    }

    #[test]
    fn what_is_damaged_is_not_taken_for_untrained() {
        for text in [r#"{"figures":{"iterations":"x"},"input":{},"mllib":{}}"#, r#"{"measure":{}}"#] {
            assert!(serde_json::from_str::<JobResult>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_loss_that_is_no_number_stays_one_that_is_none() {
        let figures = Figures {
            train_loss: Some(f64::NAN),
            histories: BTreeMap::from([("train_loss".to_owned(), vec![1.0, f64::NAN])]),
            ..Figures::default()
        };
        let text = serde_json::to_string(&StoredFigures::from(figures)).expect("written");
        let read = Figures::from(serde_json::from_str::<StoredFigures>(&text).expect("read"));
        assert!(read.train_loss.is_some_and(f64::is_nan) && read.learning_rate.is_none(), "{text}");
        assert!(read.histories["train_loss"][1].is_nan());
    }

    #[test]
    fn histories_are_thinned_when_they_are_kept() {
        let JobResult::Trained(training) = trained().thinned(5) else { panic!("another form") };
        assert_eq!(training.figures.histories["train_loss"], [0.0, 2.0, 4.0, 6.0, 8.0]);
    }
}
