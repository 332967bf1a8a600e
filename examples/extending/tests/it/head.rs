//! The head of one's own on networks of ONNX, asked through the dispatcher, and its answers compared as a move compares them.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dede_comparison::{Measured, Tolerance, compare};
use dede_engine::catalogue::Catalogue;
use dede_engine::dispatch::{Call, Dispatcher, Door, Inferred, Record, RemoteTarget};
use dede_engine::limiter::Forwarded;
use dede_engine::name::ServiceName;
use dede_engine::service::PredictCall;
use dede_extending::{catalogue, create};
use dede_model::error::{Error, Result};
use dede_model::outputs::Outputs;
use dede_model::request_memory::MemoryShare;
use dede_testing::onnx::{F32, Onnx};
use serde_json::{Value, json};

/// A protocol whose replies are the answers themselves.
struct OutputsDoor;

impl Door for OutputsDoor {
    type Reply = Outputs;
    type Failure = Error;

    fn check(&mut self, _asked: &ServiceName) -> Result<()> {
        Ok(())
    }

    fn take_memory(&mut self) -> MemoryShare {
        MemoryShare::unbounded()
    }

    fn render(&self, inferred: Inferred<'_>) -> Result<Outputs> {
        Ok(inferred.outputs.clone())
    }

    fn reason(&self, _call: &PredictCall, failure: &Error) -> Option<String> {
        Some(failure.to_string())
    }

    async fn forward(&mut self, _to: RemoteTarget, _permit: Forwarded) -> Result<Outputs> {
        Err(Error::Internal("there is no peer".into()))
    }

    fn queued(&self, _waited: Duration) {}

    fn record(&self, _record: &Record<'_>, _outcome: Result<&Outputs, &Error>) {}
}

/// One slope, and three limits between four grades: the output is `sigmoid(slope · x - limits)`, or the scores below it.
fn grades(output: &str, limits: [f32; 3], is_sigmoid: bool) -> Onnx {
    let onnx = Onnx::new(17)
        .input("x", F32, &[-1, 2])
        .output(output, F32, &[-1, 3])
        .floats("slope", &[2, 3], &[1.0, 1.0, 1.0, 0.5, 0.5, 0.5])
        .floats("limits", &[3], &limits)
        .node("MatMul", &["x", "slope"], &["height"], &[]);
    match is_sigmoid {
        true => onnx.node("Sub", &["height", "limits"], &["scores"], &[]).node("Sigmoid", &["scores"], &[output], &[]),
        false => onnx.node("Sub", &["height", "limits"], &[output], &[]),
    }
}

const LIMITS: [f32; 3] = [-1.0, 0.5, 2.0];

fn put(catalogue: &Catalogue, directory: &Path, name: &str, network: &Onnx, mllib: &Value) -> Result<()> {
    let repository = directory.join(name);
    fs::create_dir_all(&repository).expect("a directory");
    fs::write(repository.join("model.onnx"), network.build()).expect("written");
    let body = json!({"mllib": "onnx", "model": {"repository": repository},
                      "parameters": {"input": {"connector": "readings"}, "mllib": mllib}});
    create(catalogue, name, &body)
}

async fn ask(catalogue: &Arc<Catalogue>, name: &str, items: &[&str]) -> Result<Outputs> {
    let data = items.iter().map(|item| (*item).to_owned()).collect();
    let request = Box::new(PredictCall { is_guest: true, data, ..PredictCall::default() });
    let call = Call { name: name.to_owned(), request, received: Instant::now(), deadline: None };
    Dispatcher::new(Arc::clone(catalogue)).infer(OutputsDoor, call).await
}

fn probabilities(outputs: &Outputs) -> Vec<f32> {
    let Outputs::Classification(tensor) = outputs else { panic!("expected classes, found {outputs:?}") };
    tensor.values().to_vec()
}

#[tokio::test]
async fn grades_are_answered_by_a_head_that_is_asked_for_or_claims_them() {
    let directory = tempfile::tempdir().expect("a directory");
    let catalogue = catalogue(&directory.path().join("state")).expect("an empty directory");
    let asked = json!({"output_format": "ordinal", "nclasses": 4});
    let cases = [
        ("asked", grades("y", LIMITS, true), asked.clone()),
        ("scores", grades("y", LIMITS, false), asked),
        ("claimed", grades("ordinal", LIMITS, true), json!({})),
    ];
    let sigmoid = |number: f32| 1.0 / (1.0 + (-number).exp());
    for (name, network, mllib) in cases {
        put(&catalogue, directory.path(), name, &network, &mllib).unwrap_or_else(|error| panic!("{name}: {error}"));
        let outputs = ask(&catalogue, name, &["0 0", "1 2", "-3 0.5"]).await.expect("an answer");
        let expected = [0.0, 2.0, -2.75].map(|height| LIMITS.map(|limit| sigmoid(height - limit)));
        let expected = expected.iter().flat_map(|&[one, two, three]| [1.0 - one, one - two, two - three, three]);
        for (found, expected) in probabilities(&outputs).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{name}: {found}, expected {expected}");
        }
    }
    // Without a word on it, and under another name, they are independent scores as ever.
    put(&catalogue, directory.path(), "plain", &grades("y", LIMITS, true), &json!({})).expect("created");
    assert_eq!(probabilities(&ask(&catalogue, "plain", &["0 0"]).await.expect("an answer")).len(), 3);
}

#[tokio::test]
async fn grades_of_two_networks_are_compared() {
    let directory = tempfile::tempdir().expect("a directory");
    let catalogue = catalogue(&directory.path().join("state")).expect("an empty directory");
    let moved = [LIMITS[0], LIMITS[1], LIMITS[2] + 3.0];
    let mllib = json!({"output_format": "ordinal"});
    for (name, limits) in [("old", LIMITS), ("same", LIMITS), ("moved", moved)] {
        put(&catalogue, directory.path(), name, &grades("y", limits, true), &mllib).expect("created");
    }
    let items = ["0 0", "3 0", "-3 0"];
    let old = ask(&catalogue, "old", &items).await.expect("an answer");
    let same = ask(&catalogue, "same", &items).await.expect("an answer");
    let moved = ask(&catalogue, "moved", &items).await.expect("an answer");
    let tolerance = Tolerance::default();
    let differences = compare(&old, &same, &tolerance).expect("as many answers");
    assert!(differences.iter().all(|difference| difference.agrees && difference.bit_equal), "{differences:?}");
    let differences = compare(&old, &moved, &tolerance).expect("as many answers");
    assert_eq!(differences.iter().map(|difference| difference.agrees).collect::<Vec<_>>(), [false, false, true]);
    // Above the moved limit there was the best grade, and now there is the one below it.
    assert!(
        matches!(differences[1].measured, Measured::Classification { top_1: false, total_variation, .. } if total_variation > 0.5)
    );
}

#[test]
fn what_no_head_answers_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let catalogue = catalogue(&directory.path().join("state")).expect("an empty directory");
    let two = grades("y", LIMITS, true).output("height", F32, &[-1, 3]);
    let tanh = Onnx::new(17).input("x", F32, &[-1, 2]).output("y", F32, &[-1, 2]).node("Tanh", &["x"], &["y"], &[]);
    let asked = |more: Value| {
        let mut mllib = json!({"output_format": "ordinal"});
        let section = mllib.as_object_mut().expect("an object");
        section.extend(more.as_object().expect("an object").clone());
        mllib
    };
    for (network, mllib, expected) in [
        (
            grades("y", LIMITS, true),
            json!({"output_format": "grades"}),
            "expected one of `tensors`, `ordinal`, `boxes`",
        ),
        (grades("y", LIMITS, true), asked(json!({"nclasses": 3})), "expected 4, as head ordinal answers, found 3"),
        (grades("y", LIMITS, true), asked(json!({"regression": true})), "parameters.mllib.regression"),
        (two, asked(json!({})), "expected a network for head ordinal, found one with outputs y,height"),
        (tanh, asked(json!({})), "expected sigmoid (probabilities of passing each limit)"),
        (grades("y", LIMITS, false), asked(json!({"output_activation": "sigmoid"})), "passing each limit, found"),
        (grades("y", LIMITS, true), asked(json!({"output": "z"})), "found z (parameters.mllib.output)"),
    ] {
        let error = put(&catalogue, directory.path(), "refused", &network, &mllib).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}, expected {expected}");
    }
}
