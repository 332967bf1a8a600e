//! Networks of several inputs and outputs, of every type, asked through the dispatcher.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dede_backends::neural::engine::Engine;
use dede_backends::neural::onnx::Onnx as OnnxBackend;
use dede_connectors::csv::CsvConnector;
use dede_engine::catalogue::Catalogue;
use dede_engine::dispatch::{Call, Dispatcher, Door, Inferred, Record, RemoteTarget};
use dede_engine::environment::Environment;
use dede_engine::limiter::{Bounds, Forwarded, Limiter};
use dede_engine::name::ServiceName;
use dede_engine::protocol::Plain;
use dede_engine::service::{CreationRequest, PredictCall};
use dede_model::backend::{Backend, EngineOptions};
use dede_model::connector::InputLimits;
use dede_model::error::{Error, Result};
use dede_model::outputs::Outputs;
use dede_model::request_memory::MemoryShare;
use dede_model::tensor::{ElementType, NamedTensor, Tensor, Values};
use dede_storage::Roots;
use dede_testing::onnx::Attribute::Int;
use dede_testing::onnx::{BOOL, F16, F32, I64, Onnx, U8};
use half::f16;
use serde_json::{Value, json};

use crate::engines::usable;

static BACKENDS: &[&dyn Backend] = &[&OnnxBackend::new()];

/// A protocol whose replies are tensors.
struct TensorDoor;

impl Door for TensorDoor {
    type Reply = Vec<NamedTensor>;
    type Failure = Error;

    fn check(&mut self, _asked: &ServiceName) -> Result<()> {
        Ok(())
    }

    fn take_memory(&mut self) -> MemoryShare {
        MemoryShare::unbounded()
    }

    fn render(&self, inferred: Inferred<'_>) -> Result<Vec<NamedTensor>> {
        match inferred.outputs {
            Outputs::Tensors(tensors) => Ok(tensors.clone()),
            Outputs::Classification(_)
            | Outputs::Regression(_)
            | Outputs::Detection(_)
            | Outputs::Segmentation(_)
            | Outputs::Features(_) => Err(Error::Internal("tensors expected".into())),
        }
    }

    fn reason(&self, _call: &PredictCall, failure: &Error) -> Option<String> {
        Some(failure.to_string())
    }

    async fn forward(&mut self, _to: RemoteTarget, _permit: Forwarded) -> Result<Vec<NamedTensor>> {
        Err(Error::Internal("there is no peer".into()))
    }

    fn queued(&self, _waited: Duration) {}

    fn record(&self, _record: &Record<'_>, _outcome: Result<&Vec<NamedTensor>, &Error>) {}
}

fn catalogue(directory: &Path, engine: &dyn Engine) -> Arc<Catalogue> {
    let environment = Environment {
        connectors: &[&CsvConnector],
        backends: BACKENDS,
        engine: EngineOptions { threads: 1, concurrency: 1, engine: Some(engine.name().to_owned()) },
        limits: Arc::new(InputLimits::default()),
        guest_limits: None,
        limiter: Limiter::new(Bounds::of_machine(16, 1)),
        queue_limit: 16,
        capture_bytes: 0,
        strict: true,
        repository_roots: Roots::default(),
        state_directory: directory.join("state"),
        protocol: &Plain,
        trial: None,
    };
    Catalogue::start(environment).expect("an empty directory")
}

fn create(catalogue: &Catalogue, directory: &Path, name: &str, onnx: Option<&Onnx>, mllib: &Value) -> Result<()> {
    let repository = directory.join(name);
    std::fs::create_dir_all(&repository).expect("made");
    if let Some(onnx) = onnx {
        std::fs::write(repository.join("model.onnx"), onnx.build()).expect("written");
    }
    let record = json!({"mllib": "onnx", "model": {"repository": repository},
                        "parameters": {"input": {"connector": "csv"}, "mllib": mllib}});
    catalogue.create(name, CreationRequest::from_record(&record.to_string())?)
}

/// Of four types, with an output of each.
fn of_many_types() -> Onnx {
    Onnx::new(17)
        .input("a", F32, &[-1, 2])
        .input("n", I64, &[-1, 2])
        .input("h", F16, &[2])
        .input("b", U8, &[3])
        .output("sum", F32, &[-1, 2])
        .output("twice", F16, &[2])
        .output("same", U8, &[3])
        .output("is_more", BOOL, &[-1, 2])
        .output("count", I64, &[-1, 2])
        .floats("zero", &[1], &[0.0])
        .node("Cast", &["n"], &["number"], &[("to", Int(1))])
        .node("Add", &["a", "number"], &["sum"], &[])
        .node("Add", &["h", "h"], &["twice"], &[])
        .node("Identity", &["b"], &["same"], &[])
        .node("Greater", &["a", "zero"], &["is_more"], &[])
        .node("Identity", &["n"], &["count"], &[])
}

fn named(name: &str, shape: &[usize], values: Values) -> NamedTensor {
    NamedTensor { name: name.into(), tensor: Tensor::new(shape.to_vec(), values).expect("fits") }
}

fn halves(values: &[f32]) -> Values {
    Values::F16(values.iter().map(|value| f16::from_f32(*value)).collect())
}

fn inputs() -> Vec<NamedTensor> {
    vec![
        // In any order.
        named("b", &[3], Values::U8(vec![1, 2, 255])),
        named("a", &[2, 2], Values::F32(vec![0.5, -0.5, 2.0, -2.0])),
        named("h", &[2], halves(&[0.25, 1000.0])),
        named("n", &[2, 2], Values::I64(vec![1, 2, -3, 4])),
    ]
}

async fn ask(catalogue: &Arc<Catalogue>, name: &str, call: PredictCall) -> Result<Vec<NamedTensor>> {
    let call = Call { name: name.to_owned(), request: Box::new(call), received: Instant::now(), deadline: None };
    Dispatcher::new(Arc::clone(catalogue)).infer(TensorDoor, call).await
}

fn of(tensors: Vec<NamedTensor>) -> PredictCall {
    PredictCall { tensors, ..PredictCall::default() }
}

#[tokio::test]
async fn several_inputs_and_outputs_of_every_type_are_answered() {
    for engine in usable() {
        let directory = tempfile::tempdir().expect("a directory");
        let catalogue = catalogue(directory.path(), engine);
        let network = of_many_types();
        create(&catalogue, directory.path(), "many", Some(&network), &json!({"output_format": "tensors"}))
            .unwrap_or_else(|error| panic!("{}: {error}", engine.name()));
        let found = ask(&catalogue, "many", of(inputs())).await;
        let found = found.unwrap_or_else(|error| panic!("{}: {error}", engine.name()));
        let expected = [
            named("sum", &[2, 2], Values::F32(vec![1.5, 1.5, -1.0, 2.0])),
            named("twice", &[2], halves(&[0.5, 2000.0])),
            named("same", &[3], Values::U8(vec![1, 2, 255])),
            named("is_more", &[2, 2], Values::Bool(vec![true, false, true, false])),
            named("count", &[2, 2], Values::I64(vec![1, 2, -3, 4])),
        ];
        assert_eq!(found, expected, "{}", engine.name());
        let signature = catalogue.resolve("many").expect("there").service.serving().expect("loaded");
        let signature = signature.model.as_ref().and_then(|model| model.signature().cloned()).expect("tensors");
        let elements: Vec<_> = signature.inputs.iter().map(|port| (port.name.as_str(), port.element)).collect();
        let expected =
            [("a", ElementType::F32), ("n", ElementType::I64), ("h", ElementType::F16), ("b", ElementType::U8)];
        assert_eq!(elements, expected.map(|(name, element)| (name, Some(element))), "{}", engine.name());
        assert_eq!(signature.inputs[0].dims, [None, Some(2)], "{}", engine.name());
    }
}

#[tokio::test]
async fn what_does_not_fit_is_named() {
    for engine in usable() {
        let directory = tempfile::tempdir().expect("a directory");
        let catalogue = catalogue(directory.path(), engine);
        let network = of_many_types();
        create(&catalogue, directory.path(), "many", Some(&network), &json!({"output_format": "tensors"}))
            .expect("loads");
        let changed = |change: &dyn Fn(&mut Vec<NamedTensor>)| {
            let mut tensors = inputs();
            change(&mut tensors);
            of(tensors)
        };
        let text = of(vec![named("a", &[1, 2], Values::Bytes(vec![b"x".to_vec(), b"y".to_vec()]))]);
        let both = PredictCall { data: vec!["1,2".into()], ..of(inputs()) };
        let cases = [
            (changed(&|all| drop(all.remove(0))), "found none of that name (input b)"),
            (changed(&|all| all.push(named("z", &[1], Values::F32(vec![0.0])))), "found another (input z)"),
            (changed(&|all| all.push(all[0].clone())), "found another (input b)"),
            (
                changed(&|all| all[3] = named("n", &[2, 2], Values::I32(vec![1, 2, 3, 4]))),
                "expected type int64, found int32 (input n)",
            ),
            (
                changed(&|all| all[1] = named("a", &[1, 3], Values::F32(vec![0.0; 3]))),
                "expected shape [any, 2], found [1, 3] (input a)",
            ),
            (
                changed(&|all| all[1] = named("a", &[2], Values::F32(vec![0.0; 2]))),
                "expected shape [any, 2], found [2]",
            ),
            (text, "expected type fp32, found bytes (input a)"),
            (both, "expected items or tensors, found both"),
            (
                PredictCall { data: vec!["1,2".into()], ..PredictCall::default() },
                "found items (parameters.mllib.output_format)",
            ),
        ];
        for (call, expected) in cases {
            let found = ask(&catalogue, "many", call).await.expect_err(expected).to_string();
            assert!(found.contains(expected), "{}: {found}, expected {expected}", engine.name());
        }
        assert!(ask(&catalogue, "many", of(inputs())).await.is_ok(), "it goes on answering");
    }
}

#[tokio::test]
async fn services_of_items_are_asked_in_items() {
    let engine = usable()[0];
    let directory = tempfile::tempdir().expect("a directory");
    let catalogue = catalogue(directory.path(), engine);
    let network =
        Onnx::new(17).input("x", F32, &[-1, 2]).output("y", F32, &[-1, 2]).node("Softmax", &["x"], &["y"], &[]);
    create(&catalogue, directory.path(), "items", Some(&network), &json!({"nclasses": 2})).expect("loads");
    let tensors = vec![named("x", &[1, 2], Values::F32(vec![0.0, 1.0]))];
    let refused = ask(&catalogue, "items", of(tensors)).await.expect_err("items").to_string();
    assert!(refused.contains("asked in items"), "{refused}");
    for (mllib, network, expected) in [
        (json!({"output_format": "tensors"}), None, "found none (parameters.mllib.output_format)"),
        (json!({"output_format": "boxes"}), Some(&network), "parameters.mllib.output_format"),
        (json!({"nclasses": 3}), Some(&of_many_types()), "a network with one input expected"),
    ] {
        let refused = create(&catalogue, directory.path(), "refused", network, &mllib).expect_err(expected).to_string();
        assert!(refused.contains(expected), "{refused}");
    }
}
