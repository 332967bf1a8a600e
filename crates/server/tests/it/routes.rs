//! Routes of an alias: a canary that answers a part of the requests, a shadow that gets copies.

use serde_json::{Value, json};

use crate::aliases::{point, predict, server};
use crate::server::{Server, eventually};

/// How many of these predicts each service answered, by the header.
fn answered_by(server: &Server, count: usize, service: &str) -> usize {
    let body = json!({"service": "stable", "data": ["5.1,3.5,1.4,0.2"]});
    (0..count).filter(|_| server.served_by(&body).split('@').next() == Some(service)).count()
}

/// A counter of /metrics for the alias.
fn counter(server: &Server, name: &str) -> u64 {
    let text = String::from_utf8(server.send("GET", "/metrics", "").body).unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("{name}{{alias=\"stable\"}}")));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

fn service_stats(server: &Server, service: &str) -> Value {
    server.get(&format!("/services/{service}")).1["body"]["service_stats"].clone()
}

#[test]
fn a_canary_answers_exactly_its_part() {
    let server = server(&["a", "b"]);
    let route = json!({"service": "a", "canary": {"service": "b", "percent": 10}});
    let (status, answer) = point(&server, "stable", route);
    assert_eq!((status, &answer["body"]["canary"]), (200, &json!({"service": "b", "percent": 10})), "{answer}");
    assert_eq!(answered_by(&server, 100, "b"), 10);
    assert_eq!(predict(&server, "stable").1["head"]["service"], "stable");
    let (status, answer) = server.delete("/services/b");
    assert_eq!((status, &answer["status"]["dd_msg"]), (409, &json!("this service is the canary of alias stable")));

    let server = server.kill_and_restart();
    assert_eq!(server.get("/aliases/stable").1["body"]["canary"]["percent"], 10, "it is recorded");
    let (status, answer) = point(&server, "stable", json!({"service": "a", "canary": null}));
    assert_eq!((status, &answer["body"]["canary"]), (200, &Value::Null), "{answer}");
    assert_eq!(answered_by(&server, 20, "b"), 0);
    assert_eq!(server.delete("/services/b").0, 200);
}

#[test]
fn a_shadow_gets_copies_and_nobody_notices() {
    let server = server(&["a", "b"]);
    let route = json!({"service": "a", "shadow": {"service": "b", "percent": 50}});
    let (status, answer) = point(&server, "stable", route);
    assert_eq!((status, &answer["body"]["shadow"]["service"]), (200, &json!("b")), "{answer}");
    let before = service_stats(&server, "b");
    assert_eq!(answered_by(&server, 40, "a"), 40, "the target answers");
    eventually("copies compared", || {
        counter(&server, "dede_shadow_compared_total") + counter(&server, "dede_shadow_dropped_total") == 20
    });
    assert!(counter(&server, "dede_shadow_compared_total") > 0);
    assert_eq!(counter(&server, "dede_shadow_failed_total"), 0);
    assert_eq!(server.get("/aliases/stable").1["body"]["shadow"]["failed"], 0);
    assert_eq!(service_stats(&server, "b"), before, "copies are nobody's predicts");
    assert_eq!(server.answered_predicts(), 40);
    let (status, answer) = server.delete("/services/b");
    assert_eq!((status, &answer["status"]["dd_msg"]), (409, &json!("this service is the shadow of alias stable")));
}

#[test]
fn routes_are_compared_and_swapped_and_checked() {
    let server = server(&["a", "b"]);
    assert_eq!(point(&server, "stable", json!({"service": "a", "expect_generation": 0})).0, 200);
    for (route, status, complaint) in [
        (json!({"service": "b", "expect_generation": 7}), 409, "expected generation 7 of stable, found 1"),
        (
            json!({"service": "a", "canary": {"service": "b", "percent": 101}}),
            400,
            "expected a whole number from 0 to 100, found 101 (canary.percent)",
        ),
        (
            json!({"service": "a", "shadow": {"service": "c", "percent": 1}}),
            400,
            "Service Bad Request Error: no service c (shadow.service)",
        ),
        (
            json!({"service": "a", "peer": "prod"}),
            400,
            "Service Bad Request Error: \"prod\" is no peer of the configuration; there are none (peer)",
        ),
    ] {
        let (found, answer) = point(&server, "stable", route);
        assert_eq!((found, answer["status"]["dd_msg"].as_str()), (status, Some(complaint)), "{answer}");
    }
    let route = json!({"service": "b", "expect_generation": 1, "shadow": {"service": "a", "percent": 100}});
    assert_eq!(point(&server, "stable", route).1["body"]["generation"], 2);
    let (_, answer) = server.post("/aliases/stable/rollback", &json!({}));
    assert_eq!((&answer["body"]["service"], &answer["body"]["shadow"]), (&json!("a"), &Value::Null), "{answer}");
}
