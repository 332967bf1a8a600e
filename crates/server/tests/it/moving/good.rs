//! Moves that end well, and what people do after them.

use std::net::TcpListener;

use serde_json::json;

use super::stage::{Stage, text};
use crate::server::eventually;

#[test]
fn onto_a_plain_service_by_command() {
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
        "--shadow-for",
        "3s",
        "--watch-for",
        "1s",
    ]);
    assert!(made.status.success(), "{}", text(&made));
    stage.lose_source();
    stage.is_served_by(1);
    stage.check_answers("service2", 1);

    let info = stage.info("m1");
    assert_eq!(info["phase"], "done", "{info}");
    let former = format!("service1-{}", stage.short(0));
    assert_eq!(info["report"]["former"]["service"], former.as_str(), "{info}");
    assert_eq!(info["report"]["golden"]["result"]["missed"], 0, "{info}");
    assert!(info["report"]["shadow"]["requests"].as_u64() > Some(0), "{info}");
    assert!(info["report"]["watch"]["requests"].as_u64() > Some(0), "{info}");
    assert_eq!(info["report"]["cut_requests"], 0, "{info}");
    let served = &info["report"]["served"];
    assert!(served["requests"].as_u64() > Some(100) && served["failed"] == 0, "{info}");
    for line in ["served        ", " requests during the move, 0 failed", "verdict       ", " saved"] {
        assert!(text(&made).contains(line), "{line}: {}", text(&made));
    }
    let certificate = stage.file("certificate.json");
    std::fs::write(&certificate, stage.target.send("GET", "/moves/m1/certificate", "").body).unwrap();
    let verified = stage.dede(&["verify", &certificate]);
    assert!(verified.status.success(), "{}", text(&verified));

    assert_eq!(stage.target.delete(&format!("/services/{former}")).0, 200);
    stage.is_served_by(1);
    stage.finish();
}

/// It waits for a file that does not come: the drain does not wait for it, and says so.
#[test]
fn a_request_that_outlives_the_drain_is_listed() {
    let stage = Stage::with_alias();
    let slow = TcpListener::bind("127.0.0.1:0").unwrap();
    let body = json!({"service": "service1", "data": [format!("http://{}/rows.csv", slow.local_addr().unwrap())]});
    let mut connection = stage.target.connect();
    let asking = std::thread::spawn(move || connection.send("POST", "/predict", body.to_string().as_bytes()));
    let (held, _) = slow.accept().unwrap();
    stage.clients.turns(&[1]);
    let id = stage.begin(json!({"auto": true, "shadow_for_s": 1, "watch_for_s": 0, "drain_for_s": 0}));
    let info = stage.outcome(&id);
    assert_eq!(info["phase"], "done", "{info}");
    let (count, listed) = (info["report"]["cut_requests"].as_u64(), info["report"]["cut"].as_array().unwrap());
    assert!(count >= Some(1) && listed[0]["ran_ms"].as_u64() >= Some(1000), "{info}");
    drop(held);
    let answered = asking.join().unwrap().unwrap();
    assert_eq!(answered.status, 400, "it ends as what it asked for does: {answered:?}");
    stage.is_served_by(1);
    stage.end();
}

#[test]
fn onto_an_alias_and_back_by_the_move() {
    let mut stage = Stage::with_alias();
    stage.clients.turns(&[1]);
    let id = stage.begin(json!({"auto": true, "shadow_for_s": 3, "watch_for_s": 1}));
    let info = stage.outcome(&id);
    assert_eq!(info["phase"], "done", "{info}");
    stage.lose_source();
    stage.is_served_by(1);

    stage.clients.turns(&[0]);
    let (status, answer) = stage.target.post(&format!("/moves/{id}/rollback"), &json!({}));
    assert_eq!((status, &answer["body"]["phase"]), (200, &json!("rolled_back")), "{answer}");
    stage.is_served_by(0);
    let (status, answer) = stage.target.post(&format!("/moves/{id}/rollback"), &json!({}));
    assert_eq!(status, 409, "it was rolled back already: {answer}");
    stage.finish();
}

#[test]
fn rolled_back_by_command_and_forward_again() {
    let mut stage = Stage::with_service();
    stage.clients.turns(&[1]);
    let id = stage.begin(json!({"auto": true, "shadow_for_s": 2, "watch_for_s": 1}));
    assert_eq!(stage.outcome(&id)["phase"], "done");
    stage.lose_source();
    stage.is_served_by(1);
    for version in [0, 1, 0] {
        stage.clients.turns(&[version]);
        let rolled = stage.dede(&["rollback", "service1", "--on", "prod"]);
        assert!(rolled.status.success(), "{}", text(&rolled));
        stage.is_served_by(version);
    }
    stage.finish();
}

#[test]
fn by_growing_shares_of_the_traffic() {
    let mut stage = Stage::with_service();
    stage.clients.allow(&[0, 1]);
    let id = stage.begin(json!({"auto": true, "shadow_for_s": 1, "watch_for_s": 1, "canary": [10, 50]}));
    for percent in [10, 50] {
        let set = || stage.target.get("/aliases/service1").1["body"]["canary"]["percent"] == percent;
        eventually("the share is set", set);
        let counts = || (stage.clients.answers_of(0), stage.clients.answers_of(1));
        let before = counts();
        stage.clients.wait_for(1000);
        let after = counts();
        assert!(set(), "the share is still that");
        let (old, new) = (after.0 - before.0, after.1 - before.1);
        let share = 100.0 * new as f64 / (new + old) as f64;
        assert!((share - f64::from(percent)).abs() < 3.0, "{share} % instead of {percent} %");
    }
    assert_eq!(stage.outcome(&id)["phase"], "done");
    stage.clients.allow(&[1]);
    stage.lose_source();
    stage.is_served_by(1);
    stage.finish();
}

#[test]
fn only_brought_then_renamed_and_taken_over_by_hand() {
    let mut stage = Stage::with_service();
    let brought = stage.dede(&["move", "service2", "--from", "dev", "--to", "prod"]);
    assert!(brought.status.success(), "{}", text(&brought));
    stage.lose_source();
    stage.is_served_by(0);
    stage.check_answers("service2", 1);
    assert_eq!(stage.target.patch("/services/service2", &json!({"name": "brought"})).0, 200);
    stage.check_answers("brought", 1);

    stage.clients.turns(&[1]);
    let (status, answer) = stage.target.put("/aliases/service1", &json!({"service": "brought", "takeover": true}));
    assert_eq!(status, 200, "{answer}");
    stage.is_served_by(1);
    assert_eq!(stage.target.patch("/services/brought", &json!({"name": "present"})).0, 200);
    let former = format!("service1-{}", stage.short(0));
    assert_eq!(stage.target.patch(&format!("/services/{former}"), &json!({"name": "former"})).0, 200);
    stage.check_answers("former", 0);
    assert_eq!(stage.target.delete("/services/present").0, 409, "the alias points to it");
    assert_eq!(stage.target.delete("/services/former").0, 200);
    let rolled = stage.dede(&["rollback", "service1", "--on", "prod"]);
    assert!(!rolled.status.success(), "there is nothing to go back to: {}", text(&rolled));
    stage.is_served_by(1);
    stage.finish();
}
