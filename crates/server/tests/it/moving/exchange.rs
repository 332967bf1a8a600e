//! Moves whose former network leaves memory first: clients wait, and none of them fails.

use serde_json::json;

use super::stage::{Stage, text};
use crate::models::{Models, classes, put_service};
use crate::server::{Server, eventually};

/// As a predict of a service that is not in memory is told.
const NOT_LOADED: &str = "is not loaded: another took its place in memory";

#[test]
fn requests_wait_while_the_network_is_exchanged_and_again_on_the_way_back() {
    let mut stage = Stage::with_service();
    stage.clients.turns(&[1]);
    let made = stage.dede(&[
        "move",
        "service2",
        "--from",
        "dev",
        "--to",
        "prod",
        "--as",
        "service1",
        "--auto",
        "--replace-first",
        "--watch-for",
        "1s",
    ]);
    assert!(made.status.success() && text(&made).contains("requests waited, 0 were answered 503"), "{}", text(&made));
    stage.lose_source();
    stage.is_served_by(1);
    let info = stage.info("m1");
    let exchange = &info["report"]["exchange"];
    assert!(exchange["held_requests"].as_u64() > Some(0), "{info}");
    assert_eq!(exchange["failed_requests"], 0, "{info}");
    assert!(info["report"]["shadow"].is_null(), "the two were never in memory at once: {info}");

    let former = format!("service1-{}", stage.short(0));
    let (status, answer) = stage.target.put("/aliases/service1", &json!({"service": former}));
    assert!(status == 503 && answer.to_string().contains(NOT_LOADED), "an alias leads to answers: {answer}");

    for version in [0, 1, 0] {
        stage.clients.turns(&[version]);
        let rolled = stage.dede(&["rollback", "service1", "--on", "prod"]);
        assert!(rolled.status.success(), "{}", text(&rolled));
        stage.is_served_by(version);
    }
    stage.finish();
}

#[test]
fn a_broken_model_gives_the_place_back() {
    let stage = Stage::with_alias();
    let before = stage.state();
    let golden = json!([{"request": {"data": ["5,3.4,1.5,0.2"]}, "predictions": []}]);
    let id = stage.begin(json!({"auto": true, "replace_first": true, "golden": golden}));
    let info = stage.outcome(&id);
    assert_eq!(info["phase"], "aborted", "{info}");
    assert!(info["error"].as_str().unwrap().contains("golden answers are not reproduced"), "{info}");
    assert_eq!(stage.state(), before);
    stage.is_served_by(0);
    stage.finish();
}

#[test]
fn it_waits_for_a_promotion_before_anybody_has_to_wait() {
    let stage = Stage::with_service();
    let before = stage.state();
    let id = stage.begin(json!({"replace_first": true}));
    stage.until_it_waits(&id);
    stage.is_served_by(0);
    assert_eq!(stage.target.post(&format!("/moves/{id}/abort"), &json!({})).0, 200);
    assert_eq!(stage.outcome(&id)["phase"], "aborted");
    assert_eq!(stage.state(), before);
    let id = stage.begin(json!({"replace_first": true, "watch_for_s": 60}));
    stage.until_it_waits(&id);
    stage.clients.turns(&[1, 0]);
    assert_eq!(stage.target.post(&format!("/moves/{id}/promote"), &json!({})).0, 200);
    eventually("it serves", || stage.info(&id)["phase"] == "watching");
    stage.clients.wait_for(200);
    assert_eq!(stage.target.post(&format!("/moves/{id}/abort"), &json!({})).0, 200);
    assert_eq!(stage.outcome(&id)["phase"], "rolled_back");
    stage.is_served_by(0);
    stage.finish();
}

#[test]
fn the_plan_says_how_long_and_what_cannot_be() {
    let stage = Stage::with_service();
    let plan = |members: serde_json::Value| {
        let mut request = json!({"service": "service2", "source": "dev", "as": "service1", "replace_first": true});
        request.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        stage.target.post("/moves/plan", &request).1["body"].clone()
    };
    let planned = plan(json!({}));
    assert!(planned["pause_ms"].as_u64() >= Some(50), "{planned}");
    assert!(planned["notes"].to_string().contains("after 10 s they are answered 503"), "{planned}");
    assert!(plan(json!({"hold_for_s": 0}))["notes"].to_string().contains("expected to fail"));
    assert_eq!(stage.target.put("/aliases/other", &json!({"service": "service1"})).0, 200);
    assert!(plan(json!({}))["obstacles"].to_string().contains("it is the target of alias other too"));
    for members in [json!({"canary": [10]}), json!({"keep_for_s": 10}), json!({"as": null})] {
        let mut request = json!({"service": "service2", "source": "dev", "as": "service1", "replace_first": true});
        request.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let (status, answer) = stage.target.post("/moves", &request);
        assert!(status == 400 && answer.to_string().contains("replace_first"), "{members}: {answer}");
    }
    stage.finish();
}

/// What was proved was proved against the service that answered then.
#[test]
fn whoever_pointed_the_alias_elsewhere_meanwhile_is_not_overruled() {
    for replace_first in [false, true] {
        let stage = Stage::with_alias();
        stage.clients.allow(&[0]);
        let id = stage.begin(json!({"replace_first": replace_first, "shadow_for_s": 0}));
        stage.until_it_waits(&id);
        assert_eq!(stage.target.put("/aliases/bystander", &json!({"service": "old"})).0, 200);
        let other = stage.target.path().join("other");
        Models::get().versions[0].write(&other);
        put_service(&stage.target, "other", &other);
        assert_eq!(stage.target.put("/aliases/service1", &json!({"service": "other"})).0, 200);
        assert_eq!(stage.target.post(&format!("/moves/{id}/promote"), &json!({})).0, 200);
        let info = stage.outcome(&id);
        assert_eq!(info["phase"], "aborted", "{info}");
        assert_eq!(stage.target.get("/aliases/service1").1["body"]["service"], "other", "{info}");
        assert_eq!(stage.target.get("/aliases/bystander").1["body"]["service"], "old");
        stage.is_served_by(0);
        stage.finish();
    }
}

/// A restart loads the one that the alias points to, and the way back is still open.
#[test]
fn a_restart_loads_one_of_them() {
    let models = Models::get();
    let source = Server::start(&[]);
    let mut target = Server::start_with_peers(&[("dev", &source.url())], &[]);
    for (server, service, model) in
        [(&target, "service1", &models.versions[0]), (&source, "service2", &models.versions[1])]
    {
        let repository = server.path().join(service);
        model.write(&repository);
        put_service(server, service, &repository);
    }
    let request = json!({"service": "service2", "source": "dev", "as": "service1", "replace_first": true, "auto": true,
        "watch_for_s": 0});
    assert_eq!(target.post("/moves", &request).0, 202);
    eventually("the move is done", || target.get("/moves/m1").1["body"]["phase"] == "done");
    // Another alias needs the network that would be unloaded.
    assert_eq!(target.put("/aliases/bystander", &json!({"service": "service2"})).0, 200);
    let (status, answer) = target.post("/aliases/service1/rollback", &json!({}));
    assert!(status == 409 && answer.to_string().contains("alias bystander"), "{answer}");
    assert_eq!(target.delete("/aliases/bystander").0, 200);
    for version in [1, 0] {
        let other = [format!("service1-{}", models.versions[0].short()), "service2".to_owned()][1 - version].clone();
        let check = |server: &Server| {
            assert_eq!(&classes(server, "service1", &models.inputs[0]), &models.versions[version].answers[0]);
            assert_eq!(server.post("/predict", &json!({"service": other, "data": [models.inputs[0]]})).0, 503);
        };
        check(&target);
        target = Server::start_in(target.stop(), &[]);
        check(&target);
        assert_eq!(target.post("/aliases/service1/rollback", &json!({})).0, 200);
    }
    target.stop();
}

/// Nothing leaves memory where nothing answers yet, and a restart brings the new one back.
#[test]
fn a_name_that_is_free_is_taken_as_without() {
    let models = Models::get();
    let source = Server::start(&[]);
    let repository = source.path().join("service2");
    models.versions[1].write(&repository);
    put_service(&source, "service2", &repository);
    let mut target = Server::start_with_peers(&[("dev", &source.url())], &[]);
    let request =
        json!({"service": "service2", "source": "dev", "as": "service1", "replace_first": true, "auto": true});
    assert_eq!(target.post("/moves", &request).0, 202);
    eventually("the move is done", || target.get("/moves/m1").1["body"]["phase"] == "done");
    for _ in 0..2 {
        assert_eq!(&classes(&target, "service1", &models.inputs[0]), &models.versions[1].answers[0]);
        target = Server::start_in(target.stop(), &[]);
    }
    target.stop();
}
