//! Aliases over HTTP: compare-and-swap, takeover, rollback, and what they forbid.

use dede_testing::fixtures;
use serde_json::{Value, json};

use crate::server::Server;

/// A server with `names` as services, each on a copy of a trained repository.
pub(crate) fn server(names: &[&str]) -> Server {
    let server = Server::start(&[]);
    for name in names {
        create(&server, name);
    }
    server
}

pub(crate) fn create(server: &Server, name: &str) {
    let repository = fixtures::copy_model("iris", &server.path().join(name)).unwrap();
    let body = json!({
        "mllib": "caffe",
        "parameters": {"input": {"connector": "csv"}, "mllib": {"nclasses": 3}},
        "model": {"repository": repository},
    });
    let (status, answer) = server.put(&format!("/services/{name}"), &body);
    assert_eq!(status, 201, "{answer}");
}

pub(crate) fn point(server: &Server, alias: &str, body: Value) -> (u16, Value) {
    server.put(&format!("/aliases/{alias}"), &body)
}

pub(crate) fn predict(server: &Server, service: &str) -> (u16, Value) {
    server.post("/predict", &json!({"service": service, "data": ["5.1,3.5,1.4,0.2"]}))
}

#[test]
fn an_alias_switches_rolls_back_and_remembers() {
    let server = server(&["a", "b"]);
    let (status, answer) = point(&server, "stable", json!({"service": "a"}));
    assert_eq!((status, &answer["body"]["generation"]), (200, &json!(1)), "{answer}");
    assert_eq!(predict(&server, "STABLE").1["head"]["service"], "stable");

    let (status, answer) = point(&server, "stable", json!({"service": "b", "expect": "x"}));
    assert_eq!(status, 409, "{answer}");
    assert_eq!(server.get("/aliases/stable").1["body"]["service"], "a", "a wrong expect changes nothing");
    let (status, answer) = point(&server, "stable", json!({"service": "b", "expect": "A"}));
    assert_eq!((status, &answer["body"]["generation"]), (200, &json!(2)), "{answer}");
    let (_, answer) = point(&server, "stable", json!({"service": "b"}));
    assert_eq!(answer["body"]["generation"], 2, "pointing where it points is no new generation");

    let (status, answer) = server.post("/aliases/stable/rollback", &json!({}));
    assert_eq!((status, &answer["body"]["service"]), (200, &json!("a")), "{answer}");
    let (status, _) = server.delete("/services/b");
    assert_eq!(status, 200);
    let (status, answer) = server.post("/aliases/stable/rollback", &json!({}));
    assert_eq!(status, 409, "{answer}");
    assert_eq!(server.delete("/aliases/stable").0, 200);
    assert_eq!(server.get("/aliases/stable").0, 404);
    assert_eq!(predict(&server, "stable").0, 404);
    assert_eq!(predict(&server, "a").0, 200);
}

#[test]
fn services_and_aliases_share_one_namespace() {
    let server = server(&["a", "b"]);
    assert_eq!(point(&server, "a", json!({"service": "b"})).0, 409, "a is a service, and nobody said takeover");
    assert_eq!(point(&server, "stable", json!({"service": "none"})).0, 404);
    assert_eq!(point(&server, "stable", json!({"service": "a"})).0, 200);
    assert_eq!(point(&server, "second", json!({"service": "stable"})).0, 409, "an alias points to a service");
    let (status, answer) = server.put(
        "/services/stable",
        &json!({"mllib": "caffe", "parameters": {"input": {"connector": "csv"}}, "model": {"repository": "/x"}}),
    );
    assert_eq!((status, &answer["status"]["dd_code"]), (409, &json!(1014)), "{answer}");
    let (status, answer) = server.delete("/services/a");
    assert_eq!(status, 409);
    assert!(answer.to_string().contains("stable"), "the alias is named: {answer}");
    let (status, answer) = server.post("/train", &json!({"service": "stable", "data": ["x"]}));
    assert_eq!((status, &answer["status"]["dd_code"]), (400, &json!(1006)), "{answer}");
    assert_eq!(server.get("/services/stable").1["body"]["name"], "a");
}

#[test]
fn a_rename_keeps_the_service_and_its_alias() {
    let server = server(&["a", "b"]);
    assert_eq!(point(&server, "stable", json!({"service": "a"})).0, 200);
    assert_eq!(server.patch("/services/a", &json!({"name": "b"})).0, 409);
    assert_eq!(server.patch("/services/none", &json!({"name": "c"})).0, 404);
    assert_eq!(server.patch("/services/a", &json!({"name": "New"})).0, 200);
    assert_eq!(predict(&server, "a").0, 404);
    assert_eq!(predict(&server, "new").0, 200);
    assert_eq!(predict(&server, "stable").0, 200);
    assert_eq!(server.get("/aliases/stable").1["body"]["service"], "new");
}

#[test]
fn a_takeover_of_a_taken_name_finds_another() {
    let server = server(&["a", "b"]);
    let served_by = server.served_by(&json!({"service": "a", "data": ["5.1,3.5,1.4,0.2"]}));
    let digest = &served_by.split_once("sha256:").unwrap().1[..8];
    assert_eq!(server.patch("/services/b", &json!({"name": format!("a-{digest}")})).0, 200);
    let (status, answer) =
        point(&server, "a", json!({"service": format!("a-{digest}"), "takeover": true, "expect": "a"}));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["body"]["history"][0]["service"], format!("a-{digest}-2"));
    assert_eq!(predict(&server, "a").0, 200);
}
