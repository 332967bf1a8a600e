//! Whatever is sent, an answer with the envelope comes back, and the server lives.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

use crate::server::Server;

/// Keys that mean something somewhere, and some that do not.
const KEYS: &[&str] = &[
    "service",
    "mllib",
    "type",
    "description",
    "parameters",
    "input",
    "output",
    "connector",
    "model",
    "repository",
    "data",
    "async",
    "name",
    "expect",
    "takeover",
    "template",
    "nclasses",
    "layers",
    "width",
    "measure",
    "network",
    "url",
    "best",
    "x",
];
const WORDS: &[&str] = &[
    "",
    "caffe",
    "onnx",
    "csv",
    "image",
    "supervised",
    "unsupervised",
    "mlp",
    "/nonexistent",
    "..",
    "a/b",
    "\u{0}",
    "é😀",
    "{{#a}}",
    "1,2,3",
    "true",
];
const ROUTES: &[(&str, &str)] = &[
    ("PUT", "/services/hostile"),
    ("POST", "/services/hostile"),
    ("PATCH", "/services/hostile"),
    ("DELETE", "/services/hostile"),
    ("GET", "/services/hostile"),
    ("POST", "/train"),
    ("PUT", "/train"),
    ("GET", "/train"),
    ("DELETE", "/train"),
    ("POST", "/predict"),
    ("PUT", "/aliases/hostile"),
    ("GET", "/aliases/hostile"),
    ("DELETE", "/aliases/hostile"),
    ("POST", "/aliases/hostile/rollback"),
    ("GET", "/info"),
    ("PUT", "/chain/a"),
    ("GET", "/nosuch"),
];

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(WORDS).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((proptest::sample::select(KEYS), inner), 0..6).prop_map(|members| {
                Value::Object(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>())
            }),
        ]
    })
}

fn has_envelope(body: &[u8], code: u16) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|answer| answer["status"]["code"] == json!(code))
}

#[test]
fn any_json_on_any_route_is_answered() {
    let server = Server::start(&[]);
    let mut runner = TestRunner::new(Config { cases: 1500, failure_persistence: None, ..Config::default() });
    let strategy = (proptest::sample::select(ROUTES), json_value());
    let ran = runner.run(&strategy, |((method, path), body)| {
        let response = server.send(method, path, &body.to_string());
        prop_assert!(has_envelope(&response.body, response.status), "{method} {path} {body}: {response:?}");
        prop_assert!(response.status != 500, "{method} {path} {body}: {}", String::from_utf8_lossy(&response.body));
        Ok(())
    });
    assert!(ran.is_ok(), "{}", ran.unwrap_err());
    assert_eq!(server.send("GET", "/healthz", "").status, 200);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[test]
fn any_query_is_answered() {
    let server = Server::start(&[]);
    let mut runner = TestRunner::new(Config { cases: 500, failure_persistence: None, ..Config::default() });
    let routes = proptest::sample::select(
        &[("GET", "/train"), ("DELETE", "/train"), ("GET", "/info"), ("DELETE", "/services/a")][..],
    );
    let strategy = (routes, "(service|job|timeout|status|clear|a\\.b)?=[-0-9a-z%.]{0,6}(&job=[0-9a-]{0,22})?");
    let ran = runner.run(&strategy, |((method, path), query)| {
        let response = server.send(method, &format!("{path}?{query}"), "");
        prop_assert!(has_envelope(&response.body, response.status), "{method} {path}?{query}: {response:?}");
        Ok(())
    });
    assert!(ran.is_ok(), "{}", ran.unwrap_err());
}

#[test]
fn bodies_that_broke_the_original_are_a_clear_4xx() {
    let server = Server::start(&[]);
    for (method, path, body) in [
        ("POST", "/predict", r#"{"parameters":{},"data":["a"]}"#),
        ("GET", "/train", ""),
        ("PUT", "/services/svc6", r#"{"mllib":"caffe"}"#),
        ("PUT", "/services/svc6", "[]"),
        ("POST", "/predict", "[]"),
        ("POST", "/train", "[]"),
        ("PUT", "/services/svc6", r#"{"mllib":1,"parameters":{"input":{"connector":"csv"}}}"#),
        ("POST", "/predict", "3"),
        ("POST", "/train", "null"),
    ] {
        let response = server.send(method, path, body);
        let answer = response.json().expect("JSON");
        assert_eq!(response.status, 400, "{method} {path} {body}");
        assert!(answer["status"]["dd_msg"].as_str().is_some_and(|text| !text.is_empty()), "{answer}");
        assert_eq!(server.send("GET", "/info", "").status, 200);
    }
}

#[test]
fn deep_nesting_is_not_json() {
    let server = Server::start(&[]);
    for body in ["[".repeat(100_000), "{\"a\":".repeat(100_000)] {
        let response = server.send("POST", "/predict", &body);
        let answer = response.json().expect("JSON");
        assert_eq!((&answer["status"]["code"], &answer["status"]["msg"]), (&json!(400), &json!("BadRequest")));
        assert_eq!(answer["status"].get("dd_code"), None);
        let reason = answer["status"]["dd_msg"].as_str().expect("a reason");
        assert!(reason.contains("recursion limit exceeded (line 1, column "), "{reason}");
    }
}
