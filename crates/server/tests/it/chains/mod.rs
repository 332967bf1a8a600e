//! Chains over HTTP: real networks that find boxes, angles and colours in images that are painted here.

mod answers;
mod networks;
mod pictures;
mod refusals;

use dede_testing::http::Response;
use serde_json::{Value, json};

use crate::server::Server;

/// Asks for a chain, and gives the answer as it came.
fn send(server: &Server, calls: &Value) -> Response {
    server.send("POST", "/chain/test", &json!({"chain": {"calls": calls}}).to_string())
}

/// The predictions of a chain that is answered.
fn predictions(server: &Server, calls: &Value) -> Value {
    let response = send(server, calls);
    let mut answer = response.json().expect("JSON");
    assert_eq!(response.status, 200, "{answer}");
    assert_eq!(answer["head"]["method"], "/chain");
    answer["body"]["predictions"].take()
}

/// The class that stands first in an answer.
fn best(answer: &Value) -> &str {
    answer["classes"][0]["cat"].as_str().unwrap_or_default()
}

/// The values of a header that stands several times.
fn served_by(response: &Response) -> Vec<String> {
    let is_it = |(name, _): &&(String, String)| name == "x-dede-served-by";
    response.headers.iter().filter(is_it).map(|(_, value)| value.split('@').next().unwrap().to_owned()).collect()
}
