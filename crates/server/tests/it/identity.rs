//! Requests told apart in logs: ids, traces, and spans as JSON.

use dede_testing::fixtures;
use dede_testing::http::{Connection, Response, request};
use serde_json::{Value, json};

use crate::aliases::{create, point};
use crate::server::{Server, eventually};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Sends a predict with these lines of headers.
fn predict(server: &Server, name: &str, headers: &str) -> Response {
    let body = json!({"service": name, "data": ["5.1,3.5,1.4,0.2"]}).to_string();
    let plain = String::from_utf8(request("POST", "/predict", body.as_bytes())).expect("text");
    let sent = plain.replacen("\r\n", &format!("\r\n{headers}"), 1);
    let mut connection = Connection::open(server.address).expect("it listens");
    connection.exchange(sent.as_bytes()).expect("answered")
}

/// The log, a line an object.
fn lines(server: &Server) -> Vec<Value> {
    server
        .log()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn spans<'l>(line: &'l Value, name: &str) -> Vec<&'l Value> {
    let spans = line["spans"].as_array().map(Vec::as_slice).unwrap_or_default();
    spans.iter().filter(|span| span["name"] == name).collect()
}

#[test]
fn a_request_keeps_its_id_and_trace_from_server_to_server() {
    let prod = Server::start(&["--log-format", "json"]);
    create(&prod, "service1");
    let front = Server::start_with_peers(&[("prod", &prod.url())], &["--log-format", "json"]);
    assert_eq!(point(&front, "clients", json!({"service": "service1", "peer": "prod"})).0, 200);
    let headers = format!("X-Request-Id: order-7\r\nTraceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n");
    let answer = predict(&front, "clients", &headers);
    assert_eq!((answer.status, answer.header("x-request-id")), (200, Some("order-7")));
    for server in [&front, &prod] {
        let lines = lines(server);
        let is_of_request = |line: &&Value| {
            spans(line, "request").iter().any(|span| span["id"] == "order-7" && span["trace_id"] == TRACE)
        };
        let found: Vec<_> = lines.iter().filter(is_of_request).collect();
        assert!(found.iter().any(|line| line["message"].as_str().is_some_and(|text| text.contains("POST /predict"))));
    }
}

#[test]
fn each_request_has_an_id_of_its_own_and_text_shows_those_of_clients() {
    let server = Server::start(&[]);
    create(&server, "service1");
    let ids = ["", "X-Request-Id: two words\r\n"].map(|headers| {
        let answer = predict(&server, "service1", headers);
        answer.header("x-request-id").expect("each answer has one").to_owned()
    });
    assert!(ids[0] != ids[1] && ids.iter().all(|id| id.len() == 16), "{ids:?}");
    let refused = predict(&server, "nothing", "X-Request-Id: order-8\r\n");
    assert_eq!((refused.status, refused.header("x-request-id")), (404, Some("order-8")));
    let log = server.log();
    assert!(log.lines().any(|line| line.contains("404") && line.ends_with("request_id=order-8")), "{log}");
    assert!(!ids.iter().any(|id| log.contains(id.as_str())));
}

#[test]
fn what_is_logged_in_a_move_says_which_one_and_in_which_phase() {
    let source = Server::start(&[]);
    let repository = fixtures::copy_model("iris", source.path()).expect("copied");
    let body = json!({"mllib": "caffe", "parameters": {"input": {"connector": "csv"}, "mllib": {"nclasses": 3}},
                      "model": {"repository": repository}});
    assert_eq!(source.put("/services/iris", &body).0, 201);
    let target = Server::start_with_peers(&[("dev", &source.url())], &["--log-format", "json"]);
    let request =
        json!({"service": "iris", "source": "dev", "as": "flowers", "watch_for_s": 0, "shadow_for_s": 0, "auto": true});
    let (status, begun) = target.json("POST", "/moves", &request);
    assert_eq!(status, 202, "{begun}");
    let state = || target.get("/moves/m1").1["body"]["phase"].clone();
    eventually("the move is over", || state() == "done" || state() == "aborted");
    assert_eq!(state(), "done");
    let lines = lines(&target);
    for phase in ["planned", "copying", "loading", "warming", "verifying", "switching", "watching", "draining"] {
        let is_of_phase = |line: &&Value| {
            let of = |name, key: &str, value: &str| spans(line, name).iter().any(|span| span[key] == value);
            of("move", "id", "m1") && of("phase", "phase", phase)
        };
        assert!(lines.iter().any(|line| is_of_phase(&line)), "{phase}");
    }
}
