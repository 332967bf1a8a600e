//! Plans that are carried out or refused, promotion and abort.

use serde_json::json;

use super::stage::{Stage, text};
use crate::models::{Models, put_service};
use crate::server::{Server, eventually};

#[test]
fn a_plan_is_carried_out_unless_the_world_changed() {
    let mut stage = Stage::with_service();
    let file = stage.file("plan.json");
    let before = stage.state();
    let planned = stage.dede(&[
        "plan",
        "service2",
        "--from",
        "dev",
        "--to",
        "prod",
        "--as",
        "service1",
        "--auto",
        "--shadow-for",
        "2s",
        "--watch-for",
        "1s",
        "--out",
        &file,
    ]);
    for line in ["the alias takes over", "until it is ready, compared for up to"] {
        assert!(planned.status.success() && text(&planned).contains(line), "{}", text(&planned));
    }
    assert_eq!(stage.state(), before, "a plan changes nothing");

    // Another service has the planned name now.
    let repository = stage.target.path().join("other");
    std::fs::create_dir(&repository).unwrap();
    crate::models::Models::get().versions[0].write(&repository);
    put_service(&stage.target, "service2", &repository);
    let with_other = stage.state();
    let refused = stage.dede(&["apply", &file, "--to", "prod"]);
    assert!(!refused.status.success() && text(&refused).contains("out of date"), "{}", text(&refused));
    assert_eq!(stage.state(), with_other);
    assert_eq!(stage.target.delete("/services/service2").0, 200);
    stage.is_served_by(0);

    stage.clients.turns(&[1]);
    let applied = stage.dede(&["apply", &file, "--to", "prod"]);
    assert!(applied.status.success(), "{}", text(&applied));
    stage.lose_source();
    stage.is_served_by(1);
    stage.finish();
}

#[test]
fn a_move_waits_until_it_is_promoted_or_aborted() {
    let mut stage = Stage::with_service();
    let before = stage.state();
    let arguments = [
        "move",
        "service2",
        "--from",
        "dev",
        "--to",
        "prod",
        "--as",
        "service1",
        "--shadow-for",
        "1s",
        "--watch-for",
        "1s",
    ];
    let waiting = stage.command(&arguments).spawn().unwrap();
    eventually("the move is begun", || stage.target.get("/moves/m1").0 == 200);
    stage.until_it_waits("m1");
    let second = stage.dede(&arguments);
    assert!(!second.status.success() && text(&second).contains("move m1"), "two at once: {}", text(&second));
    let aborted = stage.dede(&["abort", "m1", "--on", "prod"]);
    assert!(aborted.status.success(), "{}", text(&aborted));
    assert!(!waiting.wait_with_output().unwrap().status.success());
    assert_eq!(stage.info("m1")["phase"], "aborted");
    assert_eq!(stage.state(), before);
    stage.is_served_by(0);

    let waiting = stage.command(&arguments).spawn().unwrap();
    eventually("the move is begun", || stage.target.get("/moves/m2").0 == 200);
    stage.until_it_waits("m2");
    stage.clients.turns(&[1]);
    let promoted = stage.dede(&["promote", "m2", "--on", "prod"]);
    assert!(promoted.status.success(), "{}", text(&promoted));
    assert!(waiting.wait_with_output().unwrap().status.success());
    stage.lose_source();
    stage.is_served_by(1);
    let listed = stage.dede(&["moves", "--on", "prod"]);
    assert!(text(&listed).contains("m1") && text(&listed).contains("done"), "{}", text(&listed));
    stage.finish();
}

#[test]
fn an_abort_while_it_watches_goes_back() {
    let stage = Stage::with_alias();
    stage.clients.turns(&[1, 0]);
    let id = stage.begin(json!({"auto": true, "shadow_for_s": 1, "watch_for_s": 600}));
    eventually("it watches", || stage.info(&id)["phase"] == "watching");
    let aborted = stage.dede(&["abort", &id, "--on", "prod"]);
    assert!(aborted.status.success(), "{}", text(&aborted));
    assert_eq!(stage.outcome(&id)["phase"], "rolled_back");
    stage.is_served_by(0);
    stage.finish();
}

#[test]
fn a_service_moves_to_a_server_whose_state_has_a_relative_path() {
    let (source, models) = (Server::start(&[]), Models::get());
    models.versions[0].write(&source.path().join("a"));
    put_service(&source, "a", &source.path().join("a"));
    let target = Server::start_on_relative_state(&[("dev", &source.url())]);
    assert_eq!(target.post("/moves", &json!({"service": "a", "source": "dev"})).0, 202);
    eventually("it is over", || {
        ["done", "aborted"].contains(&target.get("/moves/m1").1["body"]["phase"].as_str().unwrap_or(""))
    });
    let moved = target.get("/moves/m1").1;
    assert_eq!(moved["body"]["phase"], "done", "{moved}");
}
