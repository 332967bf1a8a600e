//! Moves of models that are worse or broken: production stays as it was, or is again.

use dede_testing::http::Response;
use serde_json::json;

use super::stage::{Stage, text};

#[test]
fn a_worse_model_never_serves() {
    let stage = Stage::with_service();
    let before = stage.state();
    let made = stage
        .dede(&["move", "service2", "--from", "dev", "--to", "prod", "--as", "service1", "--auto", "--expect", "same"]);
    assert!(!made.status.success() && text(&made).contains("of the answers differ"), "{}", text(&made));
    let info = stage.info("m1");
    assert_eq!((&info["phase"], &info["report"]["verdict"]["verdict"]), (&json!("aborted"), &json!("worse")), "{info}");
    assert_eq!(stage.state(), before);
    stage.is_served_by(0);
    stage.finish();
}

#[test]
fn a_worse_model_never_serves_under_an_alias() {
    let stage = Stage::with_alias();
    let before = stage.state();
    let id = stage.begin(json!({"auto": true, "policy": {"expect": "same"}}));
    let info = stage.outcome(&id);
    assert_eq!((&info["phase"], &info["report"]["verdict"]["verdict"]), (&json!("aborted"), &json!("worse")), "{info}");
    assert_eq!(stage.state(), before);
    stage.is_served_by(0);
    stage.finish();
}

/// An operator promotes it before the verdict; what follows the switch finds out.
#[test]
fn a_model_that_turns_out_worse_is_rolled_back() {
    let stage = Stage::with_service();
    stage.clients.turns(&[1, 0]);
    let id = stage.begin(json!({"policy": {"expect": "same"}, "watch_for_s": 60}));
    let (status, answer) = stage.target.post(&format!("/moves/{id}/promote"), &json!({}));
    assert_eq!(status, 200, "{answer}");
    let info = stage.outcome(&id);
    assert_eq!(info["phase"], "rolled_back", "{info}");
    assert!(info["error"].as_str().unwrap().contains("turned out worse"), "{info}");
    stage.is_served_by(0);
    let (_, alias) = stage.target.get("/aliases/service1");
    assert_eq!(alias["body"]["service"], format!("service1-{}", stage.short(0)), "{alias}");
    assert!(alias["body"]["shadow"].is_null() && alias["body"]["canary"].is_null(), "{alias}");
    stage.finish();
}

#[test]
fn a_broken_model_never_serves() {
    let stage = Stage::with_service();
    let before = stage.state();
    // Golden answers that it does not reproduce: those of another model.
    let other: Response = stage.source().send("POST", "/predict", r#"{"service":"service2","data":["7,3,5,2"]}"#);
    let golden =
        json!([{"request": {"data": ["5,3.4,1.5,0.2"]}, "predictions": other.json().unwrap()["body"]["predictions"]}]);
    let id = stage.begin(json!({"auto": true, "golden": golden}));
    let info = stage.outcome(&id);
    assert_eq!(info["phase"], "aborted", "{info}");
    assert!(info["error"].as_str().unwrap().contains("1 of 1 golden answers are not reproduced"), "{info}");
    assert_eq!(stage.state(), before);

    // A byte of its largest file is another one than when it was loaded.
    let network = stage.source_repository().join(stage.planned_files()[0].as_str());
    let mut bytes = std::fs::read(&network).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&network, bytes).unwrap();
    let made = stage.dede(&["move", "service2", "--from", "dev", "--to", "prod", "--as", "service1", "--auto"]);
    assert!(!made.status.success() && text(&made).contains("content of digest"), "{}", text(&made));
    assert_eq!(stage.info("m2")["phase"], "aborted");
    assert_eq!(stage.state(), before);
    stage.is_served_by(0);
    stage.finish();
}
