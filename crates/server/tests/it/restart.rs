//! What survives: a stop, `kill -9`, a broken neighbour, a killed training.

use std::path::Path;

use dede_testing::fixtures;
use serde_json::{Value, json};

use crate::server::{Server, eventually};

/// Iterations between two checkpoints.
const SNAPSHOT: u64 = 500;

fn put(server: &Server, name: &str, repository: &Path) {
    let body = json!({
        "mllib": "caffe",
        "description": "d",
        "parameters": {"input": {"connector": "csv"}, "mllib": {"nclasses": 3}},
        "model": {"repository": repository},
    });
    let (status, answer) = server.put(&format!("/services/{name}"), &body);
    assert_eq!(status, 201, "{answer}");
}

fn predict(server: &Server, service: &str) -> (u16, Value) {
    server.post("/predict", &json!({"service": service, "data": ["5.1,3.5,1.4,0.2"]}))
}

#[test]
fn services_and_aliases_come_back_and_a_broken_one_keeps_nobody_down() {
    let directory = tempfile::tempdir().unwrap();
    let good = fixtures::copy_model("iris", &directory.path().join("good")).unwrap();
    let bad = fixtures::copy_model("iris", &directory.path().join("bad")).unwrap();
    let server = Server::start(&[]);
    put(&server, "good", &good);
    put(&server, "bad", &bad);
    assert_eq!(server.put("/aliases/stable", &json!({"service": "good"})).0, 200);
    let before = server.get("/services/good").1["body"].clone();
    let prediction = predict(&server, "stable").1["body"].clone();
    std::fs::remove_dir_all(&bad).unwrap();
    let server = server.kill_and_restart();
    assert_eq!(predict(&server, "stable").1["body"], prediction);
    for key in ["parameters", "description", "mltype", "repository", "model_stats"] {
        assert_eq!(server.get("/services/good").1["body"][key], before[key], "{key}");
    }
    let (status, answer) = predict(&server, "bad");
    assert!((400..=500).contains(&status), "{answer}");
    assert!(answer.to_string().contains("bad"), "the repository is named: {answer}");
    assert_eq!(server.delete("/services/bad").0, 200, "a broken service can be deleted");
    let server = server.stop_and_restart();
    assert_eq!(predict(&server, "stable").0, 200);
    assert_eq!(predict(&server, "bad").0, 404);
}

/// A thread of the server is in the middle of what an engine's library does.
#[test]
fn a_stop_in_the_middle_of_a_move_ends_in_order() {
    const STOPS: usize = 24;
    let source = Server::start(&[]);
    put(&source, "service2", &fixtures::copy_model("iris", &source.path().join("model")).unwrap());
    for _ in 0..STOPS {
        let target = Server::start_with_peers(&[("dev", &source.url())], &[]);
        let request = json!({"service": "service2", "source": "dev", "as": "service1"});
        assert_eq!(target.post("/moves", &request).0, 202);
        let phase = || target.get("/moves/m1").1["body"]["phase"].clone();
        eventually("it loads", || !["planned", "copying"].map(Value::from).contains(&phase()));
        drop(target.stop());
    }
}

/// Trains a service once, starts a second training, and kills the server in the middle of it.
#[test]
fn a_killed_training_leaves_the_former_model_served_and_can_be_resumed() {
    let directory = tempfile::tempdir().unwrap();
    let repository = directory.path().join("repository");
    let (server, query, digest) = trained(&repository);

    // The second training would go on for hours; it is killed after its first checkpoint.
    assert_eq!(train(&server, 100_000_000, true, false).0, 201);
    let run = repository.join("runs").join("2");
    eventually("a checkpoint", || holds_checkpoint(&run));
    assert_eq!(server.served_by(&query), digest, "predicts go on while it trains");
    let server = server.kill_and_restart();
    assert_eq!(server.served_by(&query), digest);
    let (status, answer) = server.get("/train?service=iris&job=2");
    assert_eq!((status, &answer["head"]["status"]), (200, &json!("error")), "{answer}");
    assert!(answer["body"]["Error"]["dd_msg"].as_str().unwrap().contains("interrupted"), "{answer}");
    let (_, first) = server.get("/train?service=iris&job=1");
    assert_eq!(first["head"]["status"], "finished", "jobs stay answerable: {first}");

    let (status, answer) = train(&server, 100_000_000, true, true);
    assert_eq!(status, 201, "{answer}");
    let job = answer["head"]["job"].as_u64().unwrap();
    let figures = wait_for_iteration(&server, job);
    assert!(figures["iteration"].as_f64().unwrap() >= (SNAPSHOT - 1) as f64, "it goes on from a checkpoint: {figures}");
    let (status, answer) = server.delete(&format!("/train?service=iris&job={job}"));
    assert_eq!((status, &answer["head"]["status"]), (200, &json!("terminated")), "{answer}");
    assert_ne!(server.served_by(&query), digest, "a stopped training serves what it reached");
    server.stop();
}

#[test]
fn a_stop_ends_a_training_with_a_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let repository = directory.path().join("repository");
    let server = Server::start(&[]);
    create_template(&server, &repository);
    assert_eq!(train(&server, 100_000_000, true, false).0, 201);
    eventually("a checkpoint", || holds_checkpoint(&repository.join("runs").join("1")));
    server.stop();
    assert!(repository.join("published").exists());
    assert!(repository.join("runs").join("1").join("model.onnx").exists());
}

/// The number of classes of the training contradicts that of the service: its network cannot be served.
#[test]
fn a_network_that_cannot_be_served_replaces_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let repository = directory.path().join("repository");
    let (server, query, digest) = trained(&repository);
    let (status, answer) = server.post(
        "/train",
        &json!({
            "service": "iris",
            "async": false,
            "parameters": {
                "input": {"id": "id", "label": "target"},
                "mllib": {"solver": {"iterations": 10}, "nclasses": 5},
            },
            "data": [fixtures::data("iris.csv")],
        }),
    );
    assert_eq!((status, &answer["status"]["dd_code"]), (400, &json!(1006)), "{answer}");
    assert_eq!(server.served_by(&query), digest);
    assert_eq!(server.kill_and_restart().served_by(&query), digest);
}

/// A server with a trained service, a predict for it, and the version that answers it.
fn trained(repository: &Path) -> (Server, Value, String) {
    let server = Server::start(&[]);
    create_template(&server, repository);
    assert_eq!(train(&server, 50, false, false).0, 201);
    let query = json!({"service": "iris", "data": ["5.1,3.5,1.4,0.2"]});
    let digest = server.served_by(&query);
    (server, query, digest)
}

fn create_template(server: &Server, repository: &Path) {
    let (status, answer) = server.put(
        "/services/iris",
        &json!({
            "mllib": "caffe",
            "parameters": {"input": {"connector": "csv"}, "mllib": {"template": "mlp", "layers": [16], "nclasses": 3}},
            "model": {"repository": repository, "create_repository": true},
        }),
    );
    assert_eq!(status, 201, "{answer}");
}

fn train(server: &Server, iterations: u64, asynchronous: bool, resume: bool) -> (u16, Value) {
    server.post(
        "/train",
        &json!({
            "service": "iris",
            "async": asynchronous,
            "parameters": {
                "input": {"id": "id", "label": "target", "scale": true, "shuffle": true, "seed": 3, "test_split": 0.2},
                "mllib": {
                    "solver": {"iterations": iterations, "base_lr": 0.01, "snapshot": SNAPSHOT, "test_interval": 10_000},
                    "net": {"batch_size": 30},
                    "resume": resume,
                    "seed": 3,
                },
                "output": {"measure": ["acc"]},
            },
            "data": [fixtures::data("iris.csv")],
        }),
    )
}

/// Whether a run got as far as its first regular snapshot.
fn holds_checkpoint(run: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(run) else { return false };
    let iteration = |name: &str| name.strip_prefix("checkpoint-")?.strip_suffix(".safetensors")?.parse::<u64>().ok();
    entries
        .flatten()
        .any(|entry| iteration(&entry.file_name().to_string_lossy()).is_some_and(|done| done >= SNAPSHOT - 1))
}

fn wait_for_iteration(server: &Server, job: u64) -> Value {
    loop {
        let (status, answer) = server.get(&format!("/train?service=iris&job={job}"));
        assert_eq!((status, &answer["head"]["status"]), (200, &json!("running")), "{answer}");
        let measure = &answer["body"]["measure"];
        if measure.get("train_loss").is_some() {
            return measure.clone();
        }
    }
}
