//! What chains refuse: with the codes and words of the original where it has some.

use serde_json::{Value, json};

use super::networks::{colours, detector, first, quarters};
use super::pictures::{RED, plain};
use super::{predictions, send};
use crate::server::Server;

fn crop(parameters: Value) -> Value {
    json!({"id": "crop", "action": {"type": "crop", "parameters": parameters}})
}

fn action(kind: &str, parameters: Value) -> Value {
    json!({"id": "a", "action": {"type": kind, "parameters": parameters}})
}

#[test]
fn mistakes_have_the_codes_of_the_original() {
    let server = Server::start(&[]);
    detector(&server, "finder");
    colours(&server, "colour");
    quarters(&server, "angle", &["0", "90", "180", "270"]);
    let start = first("finder", &json!([plain(RED)]));
    let with = |section: &str, key: &str, value: Value| json!({"service": "finder", "data": [plain(RED)], "parameters": {section: {key: value}}});
    let of_colour = json!({"service": "colour", "data": [plain(RED)], "parameters": {"input": {"keep_orig": true}}});
    for (calls, status, code, expected) in [
        (json!([{"service": "nosuch", "data": ["x"]}]), 500, 1007, "Service nosuch does not exist"),
        (json!([start, crop(json!({})), {"service": "nosuch"}]), 500, 1007, "Service nosuch does not exist"),
        (json!([{"service": "finder", "action": {"type": "crop"}}]), 500, 1007, "names a service and an action"),
        (json!([start, {"id": "x"}]), 500, 1007, "chain call x names neither a service nor an action"),
        (
            json!([start, crop(json!({})), {"service": "colour"}, {"service": "colour", "parent_id": "crop"}]),
            500,
            1007,
            "This key already exists and cannot be used to reference model output: colour",
        ),
        (json!([start, {"service": "colour"}]), 400, 1005, "Service Input Error: no action data for action id "),
        (json!([start, crop(json!({})), {"service": "colour", "parent_id": "x"}]), 400, 1005, "for action id x"),
        (
            json!([{"service": "finder", "data": ["/no/such.jpg"]}]),
            400,
            1005,
            "image could not be read or does not exist",
        ),
        (json!([start, action("nosuch", json!({}))]), 400, 1012, "unknown action nosuch"),
        (json!([start, action("filter", json!({}))]), 400, 1012, "filter action is missing classes parameter"),
        (json!([start, action("recompose", json!({}))]), 400, 1012, "no service here generates images"),
        (json!([start, action("dlib_align_crop", json!({}))]), 400, 1012, "unknown action dlib_align_crop"),
        (
            json!([start, crop(json!({"save_crops": true}))]),
            400,
            1012,
            "not supported yet: action.parameters.save_crops",
        ),
        (json!([start, crop(json!({"save_path": "/tmp"}))]), 400, 1012, "written nowhere"),
        (json!([start, crop(json!({"generate_mask": true}))]), 400, 1012, "no service here generates images"),
        (
            json!([start, crop(json!({"padding_ratio": -1}))]),
            400,
            1012,
            "expected 0 to 1000, found -1 (chain.calls[1].action.parameters.padding_ratio)",
        ),
        (
            json!([of_colour, crop(json!({})), {"service": "finder"}]),
            400,
            1012,
            "crop action cannot find bbox object for uri 0",
        ),
        (json!([of_colour, action("rotate", json!({}))]), 400, 1005, "no image could be found"),
        (json!([with("output", "template", json!("{{status}}"))]), 400, 1006, "which no template makes"),
        (json!([with("output", "network", json!({"url": "http://127.0.0.1:1"}))]), 400, 1006, "sent nowhere"),
        (json!([with("output", "measure", json!(["acc"]))]), 400, 1006, "ask POST /predict for them"),
        (
            json!([with("output", "index_uri", json!(true))]),
            400,
            1006,
            "not supported yet: parameters.output.index_uri",
        ),
        (json!([with("output", "bbox", json!(false))]), 400, 1006, "(chain.calls[0].parameters.output.bbox)"),
        (
            json!([with("input", "unchanged_data", json!(true)), crop(json!({})), {"service": "colour"}]),
            400,
            1005,
            "unchanged_data keeps what the file has",
        ),
        (json!([]), 400, 400, "expected at least one call, found none (chain.calls)"),
        (json!({}), 400, 400, "expected an array of objects"),
        (json!([{"service": "finder", "data": [3]}]), 400, 400, "(chain.calls[0].data[0])"),
        (json!(vec![start.clone(); 65]), 400, 400, "expected 1 to 64, found 65"),
    ] {
        let response = send(&server, &calls);
        let answer = response.json().expect("JSON");
        let found = answer["status"]["dd_msg"].as_str().unwrap_or_default();
        assert_eq!(response.status, status, "{calls}: {answer}");
        assert_eq!(answer["status"]["dd_code"], code, "{calls}: {answer}");
        assert!(found.contains(expected), "{calls}: {answer}");
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
    let (status, answer) = server.get("/chain/test");
    assert_eq!((status, &answer["status"]["code"]), (404, &json!(404)));
    assert_eq!(predictions(&server, &json!([start]))[0]["uri"], "0", "and nothing else came of it");
}

/// A chain is asked by whom a predict is asked: a guest names no files.
#[test]
fn a_guest_is_one_in_a_chain() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "token-of-the-chain-tests").unwrap();
    let secret = directory.path().join("secret.jpg");
    std::fs::copy(dede_testing::fixtures::data("shapes_test/circle/circle00.jpg"), &secret).unwrap();
    let server = Server::start(&[]);
    colours(&server, "colour");
    server.signal("TERM");
    let (_, home) = server.wait();
    let server = Server::start_in(home, &["--token-file", file.to_str().unwrap()]);
    for calls in [
        json!([{"service": "colour", "data": [secret]}]),
        json!([{"service": "colour", "data": [format!("file://{}", secret.display())]}]),
    ] {
        let response = send(&server, &calls);
        let answer = response.json().expect("JSON");
        assert_eq!((response.status, &answer["status"]["dd_code"]), (400, &json!(1005)), "{answer}");
    }
    assert_eq!(
        predictions(&server, &json!([{"service": "colour", "data": [plain(RED)]}]))[0]["classes"][0]["cat"],
        "red"
    );
}

#[test]
fn unknown_members_are_refused_where_that_is_asked_for() {
    let server = Server::start(&["--strict"]);
    colours(&server, "colour");
    let response = send(&server, &json!([{"service": "colour", "data": [plain(RED)], "dta": []}]));
    let answer = response.json().expect("JSON");
    assert_eq!(answer["status"]["dd_code"], 1006, "{answer}");
    assert!(answer["status"]["dd_msg"].as_str().is_some_and(|text| text.contains("chain.calls[0].dta")), "{answer}");
}
