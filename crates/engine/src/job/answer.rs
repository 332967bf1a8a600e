//! The bodies that status requests answer with, and metrics.json records (contract.md 1.6, 4.2).

use std::collections::BTreeMap;

use dede_api::Object;
use dede_api::training::{ModelPlace, TrainBody, TrainedParameters};
use dede_model::progress::{Figures, TestResult};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::status::JobView;

/// What a job that is over answers besides the figures it had while it ran.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct JobResult {
    /// Measures of the first test set.
    pub measure: Object,
    /// Measures of every test set.
    pub measures: Vec<Object>,
    /// `parameters.input` of the answer.
    pub input: Object,
    /// `parameters.mllib` of the answer.
    pub mllib: Object,
    /// Histories under their wire names.
    pub measure_hist: Object,
}

impl JobResult {
    /// With at most `points` points of each history.
    pub(super) fn thinned(&self, points: usize) -> Self {
        let (histories, _) = sample(&self.measure_hist, points);
        let measure_hist = histories.into_iter().map(|(name, values)| (name, json!(values))).collect();
        Self { measure_hist, ..self.clone() }
    }
}

/// What every status answer says about the service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Name of the service.
    pub sname: String,
    /// Its task.
    pub mltype: String,
    /// As created.
    pub description: String,
    /// `model.repository` as sent.
    pub repository: String,
}

/// The `measure` object of a live job: figures of the last iteration and the last test, vectors flattened to scalars.
pub fn measure_object(figures: &Figures) -> Object {
    let mut measure = Object::new();
    let names: Object =
        figures.tests.iter().map(|test| (test.id.to_string(), Value::from(test.name.clone()))).collect();
    measure.insert("test_names".into(), Value::Object(names));
    measure.insert("flops".into(), 0.into());
    measure.insert("iteration".into(), json!(figures.iteration.unwrap_or(0) as f64));
    if figures.iteration.is_some() {
        let seconds = figures.remaining_s();
        measure.insert("train_loss".into(), json!(figures.train_loss));
        measure.insert("learning_rate".into(), json!(figures.learning_rate));
        measure.insert("iter_time".into(), json!(figures.iteration_ms));
        measure.insert("iteration_duration_ms".into(), json!(figures.iteration_ms));
        measure.insert("elapsed_time_ms".into(), json!(figures.elapsed_ms));
        measure.insert("remain_time".into(), json!(seconds));
        measure.insert("remain_time_str".into(), remaining_text(seconds).into());
    }
    if let Some(first) = figures.tests.first() {
        for (name, value) in first.values.flattened() {
            measure.insert(name, json!(value));
        }
    }
    measure
}

/// The final measures of one test set, vectors as arrays.
pub fn test_object(figures: &Figures, test: &TestResult) -> Object {
    let mut object = Object::new();
    object.insert("test_id".into(), test.id.into());
    object.insert("test_name".into(), test.name.clone().into());
    object.extend(final_object(figures));
    object.extend(test.values.entries().map(|(name, value)| (name.to_owned(), value.clone())));
    object
}

/// The final figures that do not come from a test.
pub fn final_object(figures: &Figures) -> Object {
    let mut object = Object::new();
    object.insert("iteration".into(), json!(figures.iteration.unwrap_or(0) as f64));
    for (name, value) in [("train_loss", figures.train_loss), ("learning_rate", figures.learning_rate)] {
        if let Some(value) = value {
            object.insert(name.into(), json!(value));
        }
    }
    object
}

/// The body of a status answer, with at most `max_points` points of each history.
pub fn status_body(view: &JobView, identity: &Identity, max_points: usize) -> TrainBody {
    let (measure_hist, measure_sampling) = match &view.status.result {
        Some(result) => sample(&result.measure_hist, max_points),
        None => sample(&histories(&view.figures), max_points),
    };
    let mut body = TrainBody {
        sname: Some(identity.sname.clone()),
        mltype: Some(identity.mltype.clone()),
        description: Some(identity.description.clone()),
        measure_hist: Some(measure_hist),
        measure_sampling: Some(measure_sampling),
        model: Some(ModelPlace { repository: identity.repository.clone() }),
        ..TrainBody::default()
    };
    match &view.status.result {
        Some(result) => add_result(&mut body, result),
        None => body.measure = Some(measure_object(&view.figures)),
    }
    body
}

/// The body of a blocking train.
pub fn blocking_body(result: &JobResult, identity: &Identity, with_histories: bool, max_points: usize) -> TrainBody {
    let mut body = TrainBody {
        model: Some(ModelPlace { repository: identity.repository.clone() }),
        measure_hist: with_histories.then(|| sample(&result.measure_hist, max_points).0),
        ..TrainBody::default()
    };
    add_result(&mut body, result);
    body
}

fn add_result(body: &mut TrainBody, result: &JobResult) {
    body.measure = Some(result.measure.clone());
    body.measures = Some(result.measures.clone());
    body.parameters = Some(TrainedParameters { input: result.input.clone(), mllib: result.mllib.clone() });
}

/// Histories under their wire names, `<measure>_hist`, whole.
pub fn histories(figures: &Figures) -> Object {
    figures.histories.iter().map(|(name, values)| (format!("{name}_hist"), json!(values))).collect()
}

type Sampled = (BTreeMap<String, Vec<f64>>, BTreeMap<String, u64>);

/// Takes every n-th point where a history has more than `max_points`, and says so under `<measure>_sampling`.
fn sample(histories: &Object, max_points: usize) -> Sampled {
    let (mut sampled, mut factors) = Sampled::default();
    for (name, points) in histories {
        let points = points.as_array().map(Vec::as_slice).unwrap_or_default();
        let step = points.len().div_ceil(max_points.max(1)).max(1);
        // JSON has no NaN: a loss that was none comes back as null.
        let kept = points.iter().step_by(step).map(|point| point.as_f64().unwrap_or(f64::NAN));
        sampled.insert(name.clone(), kept.collect());
        if step > 1 {
            let measure = name.strip_suffix("_hist").unwrap_or(name);
            factors.insert(format!("{measure}_sampling"), step as u64);
        }
    }
    (sampled, factors)
}

/// `0d:0h:3m:7s`.
fn remaining_text(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    format!("{}d:{}h:{}m:{}s", whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dede_model::progress::{IterationReport, Progress};

    #[test]
    fn remaining_time_reads_like_the_original() {
        assert_eq!(remaining_text(187.9), "0d:0h:3m:7s");
        assert_eq!(remaining_text(90_061.0), "1d:1h:1m:1s");
    }

    #[test]
    fn long_histories_are_thinned_and_say_so() {
        let progress = Progress::default();
        progress.start(25);
        for iteration in 0..25 {
            progress.iteration(IterationReport {
                iteration,
                train_loss: 1.0,
                learning_rate: 0.1,
                iteration_ms: 2.0,
                elapsed_ms: 2.0,
            });
        }
        let (sampled, factors) = sample(&histories(&progress.figures()), 10);
        assert_eq!(sampled["train_loss_hist"].len(), 9);
        assert_eq!(factors["train_loss_sampling"], 3);
        let measure = measure_object(&progress.figures());
        assert_eq!(measure["iteration"], 24.0);
        assert_eq!(measure["remain_time_str"], "0d:0h:0m:0s");
    }
}
