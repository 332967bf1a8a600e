//! Heads from outside of the crate: what they are offered, what they get, and what no head may do.

use dede_backends::neural::heads::{Asked, Batches, Head, HeadKind, OfferedNetwork, OfferedOutput};
use dede_backends::neural::onnx::Onnx as Backend;
use dede_model::backend::{OutputActivation, PredictOptions, ServiceType, Task};
use dede_model::data::Samples;
use dede_model::error::{Error, Result};
use dede_model::outputs::Outputs;
use dede_model::request_memory::{MemoryShare, RequestMemory};
use dede_model::tensor::Floats;
use dede_testing::onnx::{F32, Onnx};
use serde_json::json;

use crate::requests::{Request, open, refusal, rows, table, usable_engines};

/// Claims outputs by their names where all are there, and answers the sum of what it is given, the first one twice.
#[derive(Debug)]
struct Sum {
    name: &'static str,
    claims: &'static [&'static str],
    task: Task,
    needs_name: bool,
}

const VALUE: Task = Task::Regression { targets: 1 };

impl HeadKind for Sum {
    fn name(&self) -> &'static str {
        self.name
    }

    fn claim(&self, network: &OfferedNetwork<'_>) -> Result<Option<Vec<String>>> {
        let is_wanted = network.is_asked || !self.needs_name;
        Ok(is_wanted.then(|| self.claims.iter().map(|&name| name.to_owned()).collect()))
    }

    fn head(&self, network: &OfferedNetwork<'_>) -> Result<Box<dyn Head>> {
        let names: Vec<_> = network.outputs.iter().map(|output| output.name.as_str()).collect();
        assert_eq!(names, self.claims);
        assert!(network.outputs.iter().all(|output| output.shape.as_deref() == Some(&[2])), "{network:?}");
        Ok(Box::new(SumHead(self.task)))
    }
}

struct SumHead(Task);

impl Head for SumHead {
    fn task(&self) -> Task {
        self.0
    }

    fn outputs(&self, found: Vec<Batches>, _: &Asked<'_>) -> Result<Outputs> {
        let [first, others @ ..] = found.as_slice() else { return Err(Error::Internal("no output".into())) };
        let mut sums: Vec<f32> = first.rows().map(|row| 2.0 * row.iter().sum::<f32>()).collect();
        for other in others {
            sums.iter_mut().zip(other.rows()).for_each(|(sum, row)| *sum += row.iter().sum::<f32>());
        }
        Ok(Outputs::Regression(Floats::new(vec![sums.len(), 1], sums).expect("one each")))
    }
}

static BOTH: Sum = Sum { name: "both", claims: &["b", "a"], task: VALUE, needs_name: false };
static ONE: Sum = Sum { name: "one", claims: &["a"], task: VALUE, needs_name: true };
static MISSING: Sum = Sum { name: "missing", claims: &["z"], task: VALUE, needs_name: true };
static EMPTY: Sum = Sum { name: "empty", claims: &[], task: VALUE, needs_name: true };
static OTHER: Sum = Sum { name: "other", claims: &["a"], task: Task::Regression { targets: 2 }, needs_name: true };
static TENSORS: Sum = Sum { name: "raw", claims: &["a"], task: Task::Tensors, needs_name: true };
static FEATURES: Sum = Sum { name: "features", claims: &["a"], task: Task::Features, needs_name: true };
static LAST: [&dyn HeadKind; 7] = [&ONE, &MISSING, &EMPTY, &OTHER, &TENSORS, &FEATURES, &BOTH];
static NONE_UNASKED: [&dyn HeadKind; 1] = [&ONE];

/// `a = x`, `b = 10 x`.
fn two() -> Onnx {
    Onnx::new(17)
        .input("x", F32, &[-1, 2])
        .output("a", F32, &[-1, 2])
        .output("b", F32, &[-1, 2])
        .floats("ten", &[1], &[10.0])
        .node("Identity", &["x"], &["a"], &[])
        .node("Mul", &["x", "ten"], &["b"], &[])
}

fn repository(onnx: &Onnx) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("model.onnx"), onnx.build()).expect("written");
    directory
}

#[test]
fn a_head_gets_the_outputs_that_it_claims_in_its_order() {
    let (directory, backend) = (repository(&two()), Backend::with_heads(&LAST));
    let points: Vec<Vec<f32>> = (0..1500).map(|row| vec![row as f32, 1.0]).collect();
    let points: Vec<&[f32]> = points.iter().map(Vec::as_slice).collect();
    for engine in usable_engines() {
        for (mllib, weight) in
            [(json!({}), 21.0), (json!({"output_format": "both"}), 21.0), (json!({"output_format": "one"}), 2.0)]
        {
            let request = Request { mllib: mllib.clone(), engine, ..Request::default() };
            let opened = open(&backend, directory.path(), &request).unwrap_or_else(|error| panic!("{mllib}: {error}"));
            assert_eq!(opened.task, Some(VALUE));
            let model = opened.model.expect("a network");
            let described = &model.description().output;
            assert_eq!(
                (described.name.as_str(), described.activation),
                (if weight == 2.0 { "a" } else { "b, a" }, None)
            );
            // Of several runs, one behind the other.
            for (row, found) in rows(model.as_ref(), &table(&points)).iter().enumerate() {
                assert_eq!(found[..], [weight * (row as f32 + 1.0)], "{engine} {mllib} {row}");
            }
            let nothing = Samples::Table(Floats::new(vec![0, 2], Vec::new()).expect("fits"));
            let empty = model.predict(&nothing, &PredictOptions::default(), &MemoryShare::unbounded());
            assert!(empty.is_ok_and(|outputs| outputs.is_empty()), "{mllib}");
        }
    }
}

#[test]
fn all_outputs_of_a_head_are_counted() {
    let (directory, backend) = (repository(&two()), Backend::with_heads(&LAST));
    // Outputs of 32 KiB each stay until they are answered.
    let points = table(&vec![&[1.0, 2.0][..]; 4096]);
    for (name, memory, fits) in [("both", 60 << 10, false), ("both", 1 << 20, true), ("one", 60 << 10, true)] {
        let request = Request { mllib: json!({"output_format": name}), ..Request::default() };
        let model = open(&backend, directory.path(), &request).expect("opens").model.expect("a network");
        let answer = model.predict(&points, &PredictOptions::default(), &RequestMemory::new(memory).share());
        assert_eq!(answer.is_ok(), fits, "{name} in {memory} bytes: {answer:?}");
    }
}

#[test]
fn what_no_kind_claims_has_a_head_that_is_built_in() {
    let one = Onnx::new(17).input("x", F32, &[-1, 2]).output("a", F32, &[-1, 2]).node("Softmax", &["x"], &["a"], &[]);
    let (directory, backend) = (repository(&one), Backend::with_heads(&NONE_UNASKED));
    let opened = open(&backend, directory.path(), &Request::default()).expect("opens");
    assert_eq!(opened.task, Some(Task::Classification { classes: 2 }));
    let built_in =
        open(&Backend::new(), directory.path(), &Request::default()).expect("opens").model.expect("a network");
    let points = table(&[&[0.5, -0.25]]);
    let found = rows(opened.model.expect("a network").as_ref(), &points);
    assert_eq!(found, rows(built_in.as_ref(), &points));
}

#[test]
fn what_no_head_may_do_is_refused_when_the_service_is_created() {
    let (directory, backend) = (repository(&two()), Backend::with_heads(&LAST));
    let supervised = ServiceType::Supervised;
    for (mllib, service_type, expected) in [
        (json!({"output_format": "missing"}), supervised, "claims other outputs than it was offered"),
        (json!({"output_format": "empty"}), supervised, "claims other outputs than it was offered"),
        (json!({"output_format": "other"}), supervised, "answered 2 samples with something else"),
        (json!({"output_format": "raw"}), supervised, "answers tensors"),
        (json!({"output_format": "features"}), supervised, "expected unsupervised for head features (type)"),
        (json!({"output_format": "one"}), ServiceType::Unsupervised, "expected supervised for head one (type)"),
        (json!({"output_format": "one", "ntargets": 3}), supervised, "expected 1, as head one answers, found 3"),
        (json!({"output_format": "one", "regression": false}), supervised, "expected true, as head one answers"),
        (
            json!({"output_format": "one", "output_activation": "sigmoid"}),
            supervised,
            "expected none, as head one answers, found sigmoid (parameters.mllib.output_activation)",
        ),
        (
            json!({"output_format": "one", "extract_layer": "a"}),
            ServiceType::Unsupervised,
            "expected none with head one, which answers outputs (parameters.mllib.extract_layer)",
        ),
        (
            json!({"output_format": "sum"}),
            supervised,
            "unknown variant `sum`, expected one of `tensors`, `one`, `missing`",
        ),
    ] {
        let request = Request { mllib: mllib.clone(), service_type, ..Request::default() };
        let text = open(&backend, directory.path(), &request).err().expect(expected).to_string();
        assert!(text.contains(expected), "{mllib}: {text}");
    }
    let empty = tempfile::tempdir().expect("a directory");
    let request = Request { mllib: json!({"output_format": "one"}), ..Request::default() };
    assert!(refusal(open(&backend, empty.path(), &request)).contains("a network in the repository, found none"));
}

/// Remembers nothing, and refuses with what it sees.
#[derive(Debug)]
struct Looks;

impl HeadKind for Looks {
    fn name(&self) -> &'static str {
        "looks"
    }

    fn claim(&self, network: &OfferedNetwork<'_>) -> Result<Option<Vec<String>>> {
        let shown = |output: &OfferedOutput| {
            let activation = output.activation.map_or("?", OutputActivation::name);
            format!("{} {:?} {activation} {}", output.name, output.shape, output.is_label)
        };
        let all: Vec<_> = network.outputs.iter().map(shown).collect();
        Err(Error::bad_parameter(format!("[{}] {}", all.join("; "), network.is_asked)))
    }

    fn head(&self, _network: &OfferedNetwork<'_>) -> Result<Box<dyn Head>> {
        Err(Error::Internal("it claims nothing".into()))
    }
}

#[test]
fn a_kind_sees_what_the_file_and_the_creation_say() {
    static LOOKS: [&dyn HeadKind; 1] = [&Looks];
    let of_two = two().output("c", F32, &[-1, 2]).node("Sigmoid", &["x"], &["c"], &[]);
    let unsized_output = Onnx::new(17).input("x", F32, &[-1, 2]).untyped_output("a").node("Tanh", &["x"], &["a"], &[]);
    for (onnx, mllib, expected) in [
        (&of_two, json!({}), "[a Some([2]) ? false; b Some([2]) ? false; c Some([2]) sigmoid false] false"),
        (&of_two, json!({"output_format": "looks", "output": "c"}), "[c Some([2]) sigmoid false] true"),
        (&unsized_output, json!({"output_activation": "logits"}), "[a None logits false] false"),
    ] {
        let directory = repository(onnx);
        let request = Request { mllib: mllib.clone(), ..Request::default() };
        let text = refusal(open(&Backend::with_heads(&LOOKS), directory.path(), &request));
        assert!(text.contains(expected), "{mllib}: {text}");
    }
}
