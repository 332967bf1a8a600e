//! Readiness and shutdown of a server.

use std::process::Command;

use dede_testing::fixtures;
use serde_json::{Value, json};

use crate::server::{Server, eventually, spawn};

#[test]
fn a_signal_ends_the_server_in_order() {
    for signal in ["TERM", "INT"] {
        let server = Server::start(&[]);
        assert_eq!(server.send("GET", "/readyz", "").status, 200);
        let idle = server.connect();
        server.signal(signal);
        let (status, _) = server.wait();
        assert_eq!(status.code(), Some(0), "{signal}");
        drop(idle);
    }
}

#[test]
fn not_ready_comes_before_the_end_and_requests_are_still_answered() {
    let server = Server::start(&["--drain-delay", "600"]);
    let mut connection = server.connect();
    server.signal("TERM");
    eventually("not ready", || server.send("GET", "/readyz", "").status == 503);
    let response = connection.send("GET", "/info", b"").expect("answered");
    assert_eq!((response.status, response.header("connection")), (200, Some("close")));
    assert_eq!(server.send("GET", "/healthz", "").status, 200);
    server.signal("TERM");
    let (status, _) = server.wait();
    assert_ne!(status.code(), Some(0), "a second signal ends it at once");
}

#[test]
fn readiness_has_the_envelope_and_a_retry_after() {
    let server = Server::start(&["--drain-delay", "600"]);
    let (code, body) = server.json("GET", "/readyz", &Value::Null);
    assert_eq!((code, body), (200, json!({"status": {"code": 200, "msg": "OK"}})));
    server.signal("TERM");
    eventually("not ready", || server.send("GET", "/readyz", "").status == 503);
    let response = server.send("GET", "/readyz", "");
    assert_eq!(response.header("retry-after"), Some("1"));
    assert_eq!(response.json().expect("JSON")["status"]["dd_msg"], "the server is stopping");
}

/// The memory of a network goes back to the system, not only to the allocator.
#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn a_service_that_is_deleted_leaves_memory() {
    let server = Server::start(&[]);
    let before_mb = server.resident_mb();
    let put = json!({
        "mllib": "caffe",
        "description": "large",
        "parameters": {
            "input": {"connector": "csv"},
            "mllib": {"template": "mlp", "layers": [3000, 3000], "nclasses": 3},
        },
        "model": {"repository": server.path().join("large"), "create_repository": true},
    });
    assert_eq!(server.put("/services/large", &put).0, 201);
    let train = json!({
        "service": "large",
        "async": false,
        "parameters": {
            "input": {"id": "id", "label": "target"},
            "mllib": {"solver": {"iterations": 1}, "net": {"batch_size": 30}},
            "output": {"measure": ["acc"]},
        },
        "data": [fixtures::data("iris_train.csv"), fixtures::data("iris_test.csv")],
    });
    assert_eq!(server.post("/train", &train).0, 201);
    // Nine million weights; what the training needed besides may be gone by now.
    assert!(server.resident_mb() >= before_mb + 34);
    assert_eq!(server.delete("/services/large").0, 200);
    eventually("its memory is given back", || server.resident_mb() < before_mb + 30);
    server.stop();
}

#[test]
fn a_signal_while_it_starts_ends_it_too() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("list.txt");
    // A pipe without a writer: the server waits for it.
    assert!(Command::new("mkfifo").arg(&list).status().unwrap().success());
    let (mut child, log) = spawn(directory.path(), &["--service-start-list", list.to_str().unwrap()]);
    eventually("the state directory is open", || directory.path().join("state").exists());
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{}", std::fs::read_to_string(log).unwrap());
}
