//! What status requests of trainings answer, and what metrics.json records (contract.md 1.6, 4.2).

use std::collections::BTreeMap;

use dede_api::Object;
use dede_api::training::{JobStatus, ModelPlace, TrainBody, TrainedParameters};
use dede_engine::job::{FormerResult, JobResult, JobState, JobView, Training};
use dede_engine::protocol::ServiceIdentity;
use dede_model::progress::{Figures, TestResult, thinned};
use serde_json::{Value, json};

/// How names of histories end.
const HISTORY: &str = "_hist";

/// Values by name, and by measure one in how many of them was kept.
type Sampled = (BTreeMap<String, Vec<f64>>, BTreeMap<String, u64>);

/// The state of a job on the wire.
pub(crate) fn job_status(state: JobState) -> JobStatus {
    match state {
        JobState::Running => JobStatus::Running,
        JobState::Terminating => JobStatus::Terminating,
        JobState::Finished => JobStatus::Finished,
        JobState::Terminated => JobStatus::Terminated,
        JobState::Error => JobStatus::Error,
    }
}

/// The live measures of a job, as `GET /train` shows them.
pub(super) fn live_measure(figures: &Figures) -> Object {
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

/// Measures of one test set when the training is over: vectors stay vectors.
fn test_measure(figures: &Figures, test: &TestResult) -> Object {
    let mut object = Object::new();
    object.insert("test_id".into(), test.id.into());
    object.insert("test_name".into(), test.name.clone().into());
    object.extend(final_figures(figures));
    object.extend(test.values.entries().map(|(name, value)| (name.to_owned(), value.clone())));
    object
}

/// What a training without test sets measured.
fn final_figures(figures: &Figures) -> Object {
    let mut object = Object::new();
    object.insert("iteration".into(), json!(figures.iteration.unwrap_or(0) as f64));
    for (name, value) in [("train_loss", figures.train_loss), ("learning_rate", figures.learning_rate)] {
        if let Some(value) = value {
            object.insert(name.into(), json!(value));
        }
    }
    object
}

/// The body of a job's status: with live figures while it goes on. At most `points` of each history.
pub(crate) fn status_body(view: &JobView, service: &ServiceIdentity, points: usize) -> TrainBody {
    let (measure_hist, measure_sampling) = match &view.status.result {
        Some(result) => histories_of(result, points),
        None => sampled(&view.figures, points),
    };
    let mut body = TrainBody {
        sname: Some(service.name.clone()),
        mltype: Some(service.mltype.clone()),
        description: Some(service.description.clone()),
        measure_hist: Some(measure_hist),
        measure_sampling: Some(measure_sampling),
        model: Some(place(service)),
        ..TrainBody::default()
    };
    match &view.status.result {
        Some(result) => add_result(&mut body, result),
        None => body.measure = Some(live_measure(&view.figures)),
    }
    body
}

/// The body of a blocking train, with histories when they were asked for.
pub(crate) fn blocking_body(result: &JobResult, service: &ServiceIdentity, histories: Option<usize>) -> TrainBody {
    let mut body = TrainBody {
        model: Some(place(service)),
        measure_hist: histories.map(|points| histories_of(result, points).0),
        ..TrainBody::default()
    };
    add_result(&mut body, result);
    body
}

fn place(service: &ServiceIdentity) -> ModelPlace {
    ModelPlace { repository: service.repository.clone() }
}

fn add_result(body: &mut TrainBody, result: &JobResult) {
    let (measure, measures, input, mllib) = match result {
        JobResult::Untrained => (Object::new(), Vec::new(), Object::new(), Object::new()),
        JobResult::Trained(training) => {
            let Training { figures, input, mllib } = &**training;
            let measures: Vec<Object> = figures.tests.iter().map(|test| test_measure(figures, test)).collect();
            let first = measures.first().cloned().unwrap_or_else(|| final_figures(figures));
            (first, measures, input.clone(), mllib.clone())
        }
        JobResult::Former(former) => {
            let FormerResult { measure, measures, input, mllib, .. } = FormerResult::clone(former);
            (measure, measures, input, mllib)
        }
    };
    body.measure = Some(measure);
    body.measures = Some(measures);
    body.parameters = Some(TrainedParameters { input, mllib });
}

fn histories_of(result: &JobResult, points: usize) -> Sampled {
    match result {
        JobResult::Untrained => Sampled::default(),
        JobResult::Trained(training) => sampled(&training.figures, points),
        JobResult::Former(former) => {
            let named = former
                .measure_hist
                .iter()
                .map(|(name, values)| (name.strip_suffix(HISTORY).unwrap_or(name).to_owned(), numbers(values)));
            sampled(&Figures { histories: named.collect(), ..Figures::default() }, points)
        }
    }
}

/// Histories under their names on the wire.
fn sampled(figures: &Figures, most: usize) -> Sampled {
    let (mut histories, mut factors) = Sampled::default();
    for (measure, points) in &figures.histories {
        let (kept, step) = thinned(points, most);
        histories.insert(format!("{measure}{HISTORY}"), kept);
        if step > 1 {
            factors.insert(format!("{measure}_sampling"), step as u64);
        }
    }
    (histories, factors)
}

/// JSON has no NaN: a loss that was none comes back as `null`.
fn numbers(values: &Value) -> Vec<f64> {
    let values = values.as_array().map(Vec::as_slice).unwrap_or_default();
    values.iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect()
}

/// metrics.json: the answer to a request for the status of a job, with all points.
pub(super) fn metrics(service: &ServiceIdentity, view: &JobView) -> String {
    let body = status_body(view, service, usize::MAX);
    let head = json!({"method": "/train", "job": view.id, "status": "finished", "time": view.seconds.floor()});
    let answer = json!({"status": {"code": 200, "msg": "OK"}, "head": head, "body": body});
    format!("{answer}\n")
}

/// The histories in a metrics.json.
pub(super) fn histories(metrics: &str) -> BTreeMap<String, Vec<f64>> {
    let Ok(root) = serde_json::from_str::<Value>(metrics) else { return BTreeMap::new() };
    let kept = root.get("body").and_then(|body| body.get("measure_hist")).and_then(Value::as_object);
    let named = kept.into_iter().flatten();
    named.map(|(name, values)| (name.trim_end_matches(HISTORY).to_owned(), numbers(values))).collect()
}

fn remaining_text(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    format!("{}d:{}h:{}m:{}s", whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60)
}

#[cfg(test)]
mod tests {
    use dede_model::progress::{IterationReport, Progress};

    use super::*;

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
        let (histories, factors) = sampled(&progress.figures(), 10);
        assert_eq!(histories["train_loss_hist"].len(), 9);
        assert_eq!(factors["train_loss_sampling"], 3);
        let measure = live_measure(&progress.figures());
        assert_eq!(measure["iteration"], 24.0);
        assert_eq!(measure["remain_time_str"], "0d:0h:0m:0s");
    }

    #[test]
    fn what_an_earlier_version_kept_is_shown_as_it_was() {
        let section = |value: Value| value.as_object().cloned().expect("an object");
        let former = FormerResult {
            measure: section(json!({"acc": 1.0, "test_id": 0})),
            measures: vec![section(json!({"acc": 1.0, "test_id": 0}))],
            measure_hist: section(json!({"acc_hist": [0.5, null, 1.0]})),
            ..FormerResult::default()
        };
        let result = JobResult::Former(Box::new(former.clone()));
        let mut body = TrainBody::default();
        add_result(&mut body, &result);
        assert_eq!((body.measure, body.measures), (Some(former.measure), Some(former.measures)));
        let (histories, factors) = histories_of(&result, 2);
        assert_eq!((histories["acc_hist"].as_slice(), factors["acc_sampling"]), (&[0.5, 1.0][..], 2));
    }

    #[test]
    fn histories_of_other_files_are_none() {
        let found = histories(r#"{"body":{"measure_hist":{"acc_hist":[0.5,null]}}}"#);
        assert!(found["acc"][0] == 0.5 && found["acc"][1].is_nan());
        for text in ["", "[]", r#"{"body":{}}"#, r#"{"body":{"measure_hist":[1]}}"#] {
            assert!(histories(text).is_empty(), "{text}");
        }
    }
}
