//! A large network: what a server takes for it, beside what the plan of its move says.

use std::path::Path;

use dede_testing::protobuf::{bytes, number};
use serde_json::{Value, json};

use crate::server::Server;

/// Columns of the input, and rows and columns of each matrix.
const WIDTH: usize = 2048;

/// Where the weights of a network are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weights {
    Inside,
    /// In a file beside it, as networks of more than 2 GB have them.
    Beside,
}

/// An ONNX file of matrix products, 17 MB each, and a last one to three classes.
fn write_network(path: &Path, layers: usize, place: Weights) {
    let mut beside = Vec::new();
    let mut weight = |name: &str, columns: usize, seed: usize| {
        let value = |index: usize| ((index * 7919 + seed * 104_729) % 1999) as f32 / 25_000.0 - 0.04;
        let values: Vec<u8> = (0..WIDTH * columns).flat_map(|index| value(index).to_le_bytes()).collect();
        let head =
            [number(1, WIDTH as u64), number(1, columns as u64), number(2, 1), bytes(8, name.as_bytes())].concat();
        if place == Weights::Inside {
            return bytes(5, &[head, bytes(9, &values)].concat());
        }
        let entry =
            |key: &str, value: &str| bytes(13, &[bytes(1, key.as_bytes()), bytes(2, value.as_bytes())].concat());
        let (offset, length) = (beside.len().to_string(), values.len().to_string());
        beside.extend(values);
        let entries = [entry("location", "weights.data"), entry("offset", &offset), entry("length", &length)].concat();
        bytes(5, &[head, entries, number(14, 1)].concat())
    };
    let product = |left: &str, right: &str, output: &str| {
        let names = [bytes(1, left.as_bytes()), bytes(1, right.as_bytes()), bytes(2, output.as_bytes())].concat();
        bytes(1, &[names, bytes(4, b"MatMul")].concat())
    };
    let value = |field: u64, name: &str, columns: usize| {
        let shape = [bytes(1, &bytes(2, b"n")), bytes(1, &number(1, columns as u64))].concat();
        let kind = bytes(1, &[number(1, 1), bytes(2, &shape)].concat());
        bytes(field, &[bytes(1, name.as_bytes()), bytes(2, &kind)].concat())
    };
    let mut graph = bytes(2, b"large");
    let mut before = "x".to_owned();
    for layer in 0..layers {
        let (name, output) = (format!("w{layer}"), format!("m{layer}"));
        graph.extend(weight(&name, WIDTH, layer));
        graph.extend(product(&before, &name, &output));
        before = output;
    }
    graph.extend(weight("last", 3, layers));
    graph.extend(product(&before, "last", "y"));
    graph.extend([value(11, "x", WIDTH), value(12, "y", 3)].concat());
    let model = [number(1, 8), bytes(8, &number(2, 17)), bytes(7, &graph)].concat();
    std::fs::write(path, model).unwrap();
    if place == Weights::Beside {
        std::fs::write(path.with_file_name("weights.data"), beside).unwrap();
    }
}

/// With the engine that servers choose here.
#[test]
fn a_large_network_takes_what_its_plan_says_and_is_held_once() {
    let (size, used) = serve_and_plan(Weights::Inside);
    // What the library itself takes, some 46 MB, counts in one run and not in another.
    assert!(used < size / 2 * 5, "{used} bytes for a network of {size}");
}

#[test]
fn a_network_with_weights_beside_it_takes_what_its_plan_says() {
    serve_and_plan(Weights::Beside);
}

/// Size of the network, and memory that it took.
fn serve_and_plan(place: Weights) -> (u64, u64) {
    let repository = tempfile::tempdir().unwrap();
    let network = repository.path().join("large.onnx");
    write_network(&network, 6, place);
    let size = std::fs::metadata(&network).unwrap().len();
    let source = Server::start(&[]);
    let url = format!("http://{}", source.address);
    let target = Server::start_with_peers(&[("dev", &url)], &[]);
    let idle = source.peak_kb() * 1024;
    let create = json!({
        "mllib": "onnx", "description": "", "type": "supervised", "model": {"repository": repository.path()},
        "parameters": {"input": {"connector": "csv"}, "mllib": {"nclasses": 3}}});
    let (status, answer) = source.json("PUT", "/services/large", &create);
    assert_eq!(status, 201, "{answer}\n{}", source.log());
    let row = vec!["0.5"; WIDTH].join(",");
    let predict = json!({"service": "large", "data": [row], "parameters": {"output": {"best": 3}}});
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let (status, answer): (u16, Value) = source.json("POST", "/predict", &predict);
                assert_eq!(status, 200, "{answer}");
            });
        }
    });
    let used = source.peak_kb() * 1024 - idle;
    let (status, plan) = target.json("POST", "/moves/plan", &json!({"service": "large", "source": "dev"}));
    assert_eq!(status, 200, "{plan}");
    let planned = plan["body"]["memory_needed_bytes"].as_u64().unwrap();
    let off = planned as f64 / used as f64 - 1.0;
    assert!(off.abs() <= 0.35, "{planned} bytes planned, {used} used, {:+.0} %", off * 100.0);
    (size, used)
}
