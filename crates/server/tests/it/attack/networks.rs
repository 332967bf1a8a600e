//! Networks that take all memory, crash an engine or never answer: refused, and no service notices.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::honest::Honest;
use super::onnx_file::{Attribute, floats, looping, model, node, numbers};
use crate::models::{Models, predict_body, put_service};
use crate::server::Server;

/// For one network, MiB.
const MEMORY_MB: u64 = 1024;
const TIMEOUT_S: u64 = 10;
/// What a server may take besides, for its own look at a file, MiB.
const BESIDES_MB: u64 = 100;

/// What is computed of constants, reduced to one number and added to the input.
pub(super) fn beside(parts: &[Vec<u8>], computed: &str) -> Vec<u8> {
    let sum = node("ReduceMax", &[computed], &["sum"], &[("keepdims", Attribute::Int(0))]);
    let add = node("Add", &["x", "sum"], &["y"], &[]);
    model(&[0, 4], &[parts, &[sum, add]].concat())
}

fn endless_loop(turns: i64) -> Vec<u8> {
    looping("count", &[numbers("count", &[turns], true)], &[node("Identity", &["c"], &["c2"], &[])])
}

pub(super) fn networks() -> Vec<(&'static str, Vec<u8>)> {
    let identity = || node("Identity", &["x"], &["y"], &[]);
    let flat = |of: &str| node("Reshape", &[of, "four"], &["y"], &[]);
    let four = || numbers("four", &[-1, 4], false);
    vec![
        (
            "weights of 2^40 rows",
            model(&[0, 4], &[floats("w", &[1 << 40, 4], &[]), node("MatMul", &["x", "w"], &["y"], &[])]),
        ),
        (
            "weights whose size overflows",
            model(&[0, 4], &[floats("w", &[1 << 33, 1 << 33], &[]), node("MatMul", &["x", "w"], &["y"], &[])]),
        ),
        ("an input of 2^33 columns", model(&[1, 1 << 33], &[identity()])),
        ("an input of 10^9 columns", model(&[0, 1_000_000_000], &[identity()])),
        ("an image of 10^5 by 10^5", model(&[0, 3, 100_000, 100_000], &[identity()])),
        (
            "a constant of 40 GB",
            beside(
                &[numbers("shape", &[100_000, 100_000], false), node("ConstantOfShape", &["shape"], &["big"], &[])],
                "big",
            ),
        ),
        (
            "a range to 2^60",
            beside(
                &[
                    numbers("from", &[0], true),
                    numbers("to", &[1 << 60], true),
                    numbers("step", &[1], true),
                    node("Range", &["from", "to", "step"], &["range"], &[]),
                    node("Cast", &["range"], &["big"], &[("to", Attribute::Int(1))]),
                ],
                "big",
            ),
        ),
        (
            "rows expanded to 10^9",
            beside(
                &[
                    floats("row", &[1, 4], &[1.0; 4]),
                    numbers("shape", &[1_000_000_000, 4], false),
                    node("Expand", &["row", "shape"], &["big"], &[]),
                ],
                "big",
            ),
        ),
        (
            "tiles of tiles",
            beside(
                &[
                    floats("row", &[1, 4], &[1.0; 4]),
                    numbers("times", &[1 << 20, 1 << 20], false),
                    node("Tile", &["row", "times"], &["big"], &[]),
                ],
                "big",
            ),
        ),
        (
            "padding of 10^10",
            beside(
                &[
                    floats("row", &[1, 4], &[1.0; 4]),
                    numbers("pads", &[0, 0, 10_000_000_000, 0], false),
                    node("Pad", &["row", "pads"], &["big"], &[]),
                ],
                "big",
            ),
        ),
        (
            "an image enlarged by 10^5",
            model(
                &[0, 4],
                &[
                    numbers("square", &[-1, 1, 2, 2], false),
                    node("Reshape", &["x", "square"], &["image"], &[]),
                    floats("scales", &[4], &[1.0, 1.0, 100_000.0, 100_000.0]),
                    node("Resize", &["image", "", "scales"], &["large"], &[("mode", Attribute::Text("nearest"))]),
                    four(),
                    flat("large"),
                ],
            ),
        ),
        (
            "80 MB for each row",
            model(
                &[0, 4],
                &[
                    numbers("column", &[-1, 4, 1], false),
                    node("Reshape", &["x", "column"], &["columns"], &[]),
                    numbers("wide", &[1, 4, 5_000_000], false),
                    node("Expand", &["columns", "wide"], &["large"], &[]),
                    node(
                        "ReduceMax",
                        &["large"],
                        &["y"],
                        &[("axes", Attribute::Ints(vec![2])), ("keepdims", Attribute::Int(0))],
                    ),
                ],
            ),
        ),
        (
            "a kernel of 10^9",
            model(
                &[0, 4],
                &[
                    numbers("square", &[-1, 1, 2, 2], false),
                    node("Reshape", &["x", "square"], &["image"], &[]),
                    node(
                        "MaxPool",
                        &["image"],
                        &["pooled"],
                        &[
                            ("kernel_shape", Attribute::Ints(vec![1_000_000_000, 1_000_000_000])),
                            ("pads", Attribute::Ints(vec![999_999_999, 999_999_999, 999_999_999, 999_999_999])),
                        ],
                    ),
                    four(),
                    flat("pooled"),
                ],
            ),
        ),
        ("a loop of 2^62 turns", endless_loop(1 << 62)),
        ("a loop of 2^31 turns", endless_loop(i64::from(i32::MAX))),
    ]
}

pub(super) fn creation(mllib: &str, connector: &str, repository: &Path) -> Value {
    json!({
        "mllib": mllib, "description": "", "type": "supervised", "model": {"repository": repository},
        "parameters": {"input": {"connector": connector}, "mllib": {"nclasses": 4, "output_activation": "logits"}}})
}

/// Both ways to be refused in time, beside a client that goes on.
fn refuse(server: &Server, honest: &Value, what: &str, put: &Value) -> bool {
    let (before_mb, mut seen) = (server.peak_mb(), false);
    let began = Instant::now();
    let (status, answer) = std::thread::scope(|scope| {
        let creating = scope.spawn(|| server.put("/services/tried", put));
        while !creating.is_finished() {
            let asked = Instant::now();
            assert_eq!(server.post("/predict", honest).0, 200, "{what}");
            assert!(asked.elapsed() < Duration::from_secs(5), "{what}: {:?}", asked.elapsed());
            seen |= !children(server).is_empty();
            std::thread::yield_now();
        }
        creating.join().unwrap()
    });
    assert_eq!(status, 400, "{what}: {answer}");
    assert!(began.elapsed() < Duration::from_secs(TIMEOUT_S + 20), "{what}: {:?}", began.elapsed());
    let taken_mb = server.peak_mb() - before_mb;
    assert!(taken_mb < BESIDES_MB, "{what}: {taken_mb} MB");
    seen
}

/// Processes that threads of the server started and that are still there.
fn children(server: &Server) -> String {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let of = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
    tasks.map(|task| of(task.unwrap())).collect::<String>().trim().to_owned()
}

#[test]
fn no_network_takes_the_server_down() {
    let models = Models::get();
    for engine in [&["--engine", "rten"][..], &[]] {
        let bounds = ["--max-network-memory", &MEMORY_MB.to_string(), "--network-timeout", &TIMEOUT_S.to_string()];
        let server = Server::start(&[&bounds[..], engine].concat());
        let _honest = Honest::beside(&server);
        models.versions[0].write(&server.path().join("iris"));
        put_service(&server, "iris", &server.path().join("iris"));
        let (honest, mut seen) = (predict_body("iris", &models.inputs[0]), false);
        assert_eq!(children(&server), "");
        for (number, (what, network)) in networks().into_iter().enumerate() {
            let repository = server.path().join(format!("network-{number}"));
            std::fs::create_dir(&repository).unwrap();
            std::fs::write(repository.join("model.onnx"), network).unwrap();
            let connector = if what.starts_with("an image of") { "image" } else { "csv" };
            seen |= refuse(&server, &honest, what, &creation("onnx", connector, &repository));
        }
        assert!(seen, "processes are seen while they try");
        let good = server.path().join("good");
        std::fs::create_dir(&good).unwrap();
        std::fs::write(good.join("model.onnx"), model(&[0, 4], &[node("Softmax", &["x"], &["y"], &[])])).unwrap();
        let (status, answer) = server.put("/services/tried", &creation("onnx", "csv", &good));
        assert_eq!(status, 201, "the name is free: {answer}");
        assert_eq!(server.post("/predict", &predict_body("tried", &models.inputs[0])).0, 200);
        assert_eq!(children(&server), "", "no process is left");
    }
}

fn chain(length: usize) -> Vec<u8> {
    let name = |level: usize| match level {
        0 => "x".to_owned(),
        level if level == length => "scores".to_owned(),
        level => format!("v{level}"),
    };
    let relu = |level: usize| node("Relu", &[&name(level)], &[&name(level + 1)], &[]);
    let nodes: Vec<_> = (0..length).map(relu).chain([node("Softmax", &["scores"], &["y"], &[])]).collect();
    model(&[0, 4], &nodes)
}

/// What follows operator by operator, on a stack: more of it than a thread has.
#[test]
fn no_chain_of_operators_takes_the_server_down() {
    let models = Models::get();
    for engine in [&["--engine", "rten"][..], &[]] {
        let server = Server::start(engine);
        let _honest = Honest::beside(&server);
        for length in [2500, 8000, 16_000, 30_000] {
            let name = format!("chain{length}");
            let repository = server.path().join(&name);
            std::fs::create_dir(&repository).unwrap();
            std::fs::write(repository.join("model.onnx"), chain(length)).unwrap();
            let (status, answer) = server.put(&format!("/services/{name}"), &creation("onnx", "csv", &repository));
            match status {
                201 => assert_eq!(server.post("/predict", &predict_body(&name, &models.inputs[0])).0, 200, "{name}"),
                status => assert!(status == 400 && length > 2500, "{name}: {status} {answer}"),
            }
        }
    }
}

/// Each that waits holds a thread that predicts need too.
#[test]
fn many_endless_networks_at_once_hold_up_no_predict() {
    let models = Models::get();
    let server = Server::start(&["--max-network-memory", &MEMORY_MB.to_string(), "--network-timeout", "1"]);
    let _honest = Honest::beside(&server);
    models.versions[0].write(&server.path().join("iris"));
    put_service(&server, "iris", &server.path().join("iris"));
    let honest = predict_body("iris", &models.inputs[0]);
    let repository = server.path().join("endless");
    std::fs::create_dir(&repository).unwrap();
    std::fs::write(repository.join("model.onnx"), endless_loop(1 << 62)).unwrap();
    let put = creation("onnx", "csv", &repository);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let creating: Vec<_> = (0..40)
            .map(|number| {
                let (server, put) = (&server, &put);
                scope.spawn(move || server.put(&format!("/services/tried{number}"), put).0)
            })
            .collect();
        while creating.iter().any(|one| !one.is_finished()) {
            let asked = Instant::now();
            assert_eq!(server.post("/predict", &honest).0, 200);
            assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        }
        creating.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(statuses.contains(&400) && statuses.contains(&503), "{statuses:?}");
    assert!(statuses.iter().all(|status| [400, 503].contains(status)), "{statuses:?}");
}
