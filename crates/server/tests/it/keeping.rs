//! The former service after a move: how long it stays in memory, and when it stays for good.

use std::collections::BTreeMap;
use std::path::Path;

use dede_testing::fixtures;
use serde_json::{Value, json};

use crate::aliases::{create, predict};
use crate::server::{Server, eventually};

/// A source with `service2`, another version of what is `service1` on the target.
fn servers() -> (Server, Server) {
    let source = Server::start(&[]);
    let repository = fixtures::copy_model("iris", &source.path().join("service2")).unwrap();
    let body = json!({
        "mllib": "caffe",
        "parameters": {"input": {"connector": "csv"}, "mllib": {"nclasses": 3}},
        "model": {"repository": repository, "weights": "model_iter_300.caffemodel"},
    });
    let (status, answer) = source.put("/services/service2", &body);
    assert_eq!(status, 201, "{answer}");
    let target = Server::start_with_peers(&[("dev", &source.url())], &[]);
    create(&target, "service1");
    (source, target)
}

/// Makes a move, and says what the former service is called now.
fn moved(target: &Server, keep_for_s: u64) -> String {
    let body = json!({
        "service": "service2", "source": "dev", "as": "service1", "auto": true, "shadow_for_s": 0, "watch_for_s": 0,
        "keep_for_s": keep_for_s,
    });
    let (status, answer) = target.post("/moves", &body);
    assert_eq!(status, 202, "{answer}");
    eventually("the move is over", || {
        let info = info(target);
        assert!(info["error"].is_null(), "{info}");
        info["phase"] == "done"
    });
    info(target)["report"]["former"]["service"].as_str().unwrap().to_owned()
}

fn info(target: &Server) -> Value {
    target.get("/moves/m1").1["body"].clone()
}

fn outcome(target: &Server) -> String {
    eventually("the former service's time is over", || !info(target)["report"]["kept"]["outcome"].is_null());
    info(target)["report"]["kept"]["outcome"].as_str().unwrap().to_owned()
}

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn the_former_service_leaves_memory_in_time_and_its_files_stay() {
    let (_source, target) = servers();
    let repository = target.path().join("service1/iris");
    let before = files(&repository);
    let former = moved(&target, 1);
    assert!(outcome(&target).contains("left memory"), "{}", outcome(&target));
    assert_eq!(target.get(&format!("/services/{former}")).0, 404);
    assert_eq!(files(&repository), before);
    assert_eq!(predict(&target, "service1").0, 200);
    let (status, answer) = target.post("/aliases/service1/rollback", &json!({}));
    assert_eq!(status, 409, "there is nothing to go back to: {answer}");
}

#[test]
fn a_restart_does_not_forget_it() {
    let (_source, target) = servers();
    let former = moved(&target, 5);
    assert_eq!(target.get(&format!("/services/{former}")).0, 200, "it is kept until then");
    let until_ms = info(&target)["report"]["kept"]["until_ms"].clone();
    let target = target.kill_and_restart();
    assert_eq!(info(&target)["report"]["kept"]["until_ms"], until_ms);
    assert!(outcome(&target).contains("left memory"), "{}", outcome(&target));
    assert_eq!(target.get(&format!("/services/{former}")).0, 404);
    let target = target.stop_and_restart();
    assert_eq!(target.get(&format!("/services/{former}")).0, 404);
    assert_eq!(predict(&target, "service1").0, 200);
}

#[test]
fn it_stays_when_an_alias_points_to_it_again() {
    for path in ["/aliases/service1/rollback", "/moves/m1/rollback"] {
        let (_source, target) = servers();
        let former = moved(&target, 2);
        assert_eq!(target.post(path, &json!({})).0, 200);
        assert!(outcome(&target).contains("it stays"), "{}", outcome(&target));
        assert_eq!(target.get(&format!("/services/{former}")).0, 200);
        assert_eq!(predict(&target, "service1").0, 200);
    }
}

#[test]
fn it_stays_as_the_canary_of_another_alias() {
    let (_source, target) = servers();
    let former = moved(&target, 2);
    let body = json!({"service": "service2", "canary": {"service": former, "percent": 5}});
    assert_eq!(target.put("/aliases/other", &body).0, 200);
    assert!(outcome(&target).contains("other"), "the alias is named: {}", outcome(&target));
    assert_eq!(target.get(&format!("/services/{former}")).0, 200);
}

#[test]
fn nothing_is_kept_where_nothing_is_replaced() {
    let (_source, target) = servers();
    let (status, answer) = target.post("/moves", &json!({"service": "service2", "source": "dev", "keep_for_s": 1}));
    assert_eq!(status, 400, "{answer}");
    assert_eq!(target.get("/moves").1["body"], json!([]));
}
