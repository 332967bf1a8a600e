//! Cases 1 and 14: without the token nothing but predicts, and from elsewhere nothing that moves services.
//!
//! The whole table of routes, methods and clients is a test beside the router; here the process proves that it is in force.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::{ROW, ask, create_iris, csv_service, own_address};
use crate::server::{Server, spawn};

const TOKEN: &str = "token-of-the-security-tests";

/// A server with a token, and the header that presents it.
fn with_token(arguments: &[&str]) -> (Server, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let arguments = [&["--require-token", "--token-file", file.to_str().unwrap()], arguments].concat();
    (Server::start_in(directory, &arguments), format!("Authorization: Bearer {TOKEN}\r\n"))
}

#[test]
fn a_server_is_alone_with_its_machine_unless_told_otherwise() {
    assert!(Server::start(&[]).address.ip().is_loopback());
}

#[test]
fn with_a_token_strangers_may_predict_and_nothing_else() {
    let (server, token) = with_token(&[]);
    let repository = dede_testing::fixtures::copy_model("iris", server.path()).unwrap();
    let creation = csv_service(&repository).to_string();
    assert_eq!(ask(&server, "PUT", "/services/iris", "", creation.as_bytes()).status, 401);
    assert_eq!(ask(&server, "PUT", "/services/iris", &token, creation.as_bytes()).status, 201);
    let predict = json!({"service": "iris", "data": [ROW]}).to_string();
    assert_eq!(ask(&server, "POST", "/predict", "", predict.as_bytes()).status, 200);
    for path in ["/info", "/healthz", "/readyz"] {
        assert_eq!(ask(&server, "GET", path, "", b"").status, 200, "{path}");
    }
    for (method, path) in [
        ("GET", "/services/iris"),
        ("DELETE", "/services/iris?clear=dir"),
        ("PATCH", "/services/iris"),
        ("POST", "/train"),
        ("GET", "/train?service=iris"),
        ("DELETE", "/train?service=iris&job=1"),
        ("PUT", "/aliases/a"),
        ("GET", "/metrics"),
        ("GET", "/v2/"),
        ("POST", "/moves"),
        ("POST", "/v2/_dede/relays"),
        ("GET", "/v2/_dede/relays/a/questions"),
        ("PUT", "/v2/_dede/relays/a/answers/1"),
        ("GET", "/"),
    ] {
        let response = ask(&server, method, path, "", b"{}");
        assert_eq!(response.status, 401, "{method} {path}");
        let answer = response.json().unwrap();
        match path {
            "/v2/" => assert_eq!(answer["errors"][0]["code"], "UNAUTHORIZED", "{answer}"),
            _ => assert_eq!(answer["status"]["code"], 401, "{answer}"),
        }
        let challenges: Vec<&str> = response
            .headers
            .iter()
            .filter(|(name, _)| name == "www-authenticate")
            .map(|(_, value)| value.as_str())
            .collect();
        let expected: &[&str] = match path {
            "/v2/" => &["Basic realm=\"dede\""],
            _ => &["Basic realm=\"dede\"", "Bearer realm=\"dede\""],
        };
        assert_eq!(challenges, expected, "{path}");
    }
    assert!(repository.is_dir());
    assert_eq!(ask(&server, "GET", "/services/iris", &token, b"").status, 200);
    assert!(!server.log().contains(TOKEN));
}

#[test]
fn a_refused_body_passes_so_that_its_client_reads_the_answer() {
    let (server, _) = with_token(&[]);
    let response = ask(&server, "PUT", "/services/a", "", &vec![b' '; 8 << 20]);
    assert_eq!(response.status, 401);
}

#[test]
fn without_a_token_a_server_beyond_loopback_warns_and_keeps_moves_to_itself() {
    let server = Server::start(&["--host", "0.0.0.0"]);
    assert!(server.log().contains("[warning] no token (--token-file)"), "{}", server.log());
    create_iris(&server);
    let rename = |name: &str| json!({ "name": name });
    assert_eq!(server.patch("/services/iris", &rename("iris2")).0, 200, "this machine may");
    let Some(own) = own_address() else { return };
    let mut elsewhere = dede_testing::http::Connection::open((own, server.address.port())).unwrap();
    let mut send = |method: &str, path: &str, body: Value| {
        let response = elsewhere.send(method, path, body.to_string().as_bytes()).unwrap();
        (response.status, response.json().unwrap())
    };
    for (method, path, body) in [
        ("PATCH", "/services/iris2", rename("iris3")),
        ("PUT", "/aliases/a", json!({"service": "iris2"})),
        ("DELETE", "/aliases/a", json!({})),
        ("POST", "/aliases/a/rollback", json!({})),
        ("POST", "/v2/_dede/relays", json!({"from": "http://dev"})),
        ("GET", "/v2/_dede/relays/a/questions", json!({})),
        ("PUT", "/v2/_dede/relays/a/answers/1", json!({})),
        ("PUT", "/v2/_dede/relays/a/failures/1", json!({"kind": "away", "text": ""})),
    ] {
        let (status, answer) = send(method, path, body);
        let text = answer["status"]["dd_msg"].as_str().unwrap_or_default();
        assert_eq!(status, 403, "{method} {path}");
        assert!(text.contains("its own machine only"), "{text}");
    }
    let (status, _) = send("POST", "/predict", json!({"service": "iris2", "data": [ROW]}));
    assert_eq!(status, 200);
    assert_eq!(send("GET", "/services/iris2", json!({})).0, 200);
    assert_eq!(send("DELETE", "/services/iris2", json!({})).0, 200, "as open as the original");
}

#[test]
fn a_server_that_must_have_a_token_does_not_start_without() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    for (arguments, expected) in [
        (&["--require-token"][..], "--require-token"),
        (&["--token-file", missing.to_str().unwrap()], "missing"),
        (&["--token-file", "/dev/null"], "expected a token"),
    ] {
        let (mut child, log) = spawn(directory.path(), arguments);
        assert_eq!(child.wait().unwrap().code(), Some(1), "{arguments:?}");
        let log = std::fs::read_to_string(log).unwrap();
        assert!(log.contains(expected), "{log}");
    }
}

#[test]
fn a_token_that_others_can_read_is_warned_of() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "short").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let server = Server::start(&["--token-file", file.to_str().unwrap()]);
    let log = server.log();
    assert!(log.contains("can read the token") && log.contains("can be guessed"), "{log}");
}
