//! Case 32: web pages in a browser on a machine that reaches the server.

use serde_json::json;

use super::{ask, create_iris};
use crate::server::Server;

const MUTATING: &[(&str, &str)] = &[
    ("PUT", "/services/a"),
    ("POST", "/services/a"),
    ("PATCH", "/services/iris"),
    ("DELETE", "/services/iris"),
    ("POST", "/train"),
    ("PUT", "/train"),
    ("DELETE", "/train?service=iris&job=1"),
    ("POST", "/predict"),
    ("PUT", "/aliases/a"),
    ("DELETE", "/aliases/a"),
    ("POST", "/aliases/a/rollback"),
];

#[test]
fn foreign_pages_change_nothing() {
    let server = Server::start(&[]);
    create_iris(&server);
    for (method, path) in MUTATING {
        for headers in [
            "Origin: http://evil.example\r\n",
            "Origin: null\r\n",
            "Sec-Fetch-Site: cross-site\r\n",
            // The name of the page was pointed here.
            "Host: evil.example:8080\r\nOrigin: http://evil.example:8080\r\n",
        ] {
            let response = ask(&server, method, path, headers, b"{}");
            assert_eq!(response.status, 403, "{method} {path} {headers}");
            assert!(response.json().unwrap()["status"]["dd_msg"].as_str().unwrap().contains("--allow-origin"));
        }
    }
    assert_eq!(server.get("/services/iris").0, 200);
}

#[test]
fn other_clients_and_allowed_pages_go_on() {
    let predict = json!({"service": "iris", "data": [super::ROW]}).to_string();
    let server = Server::start(&[]);
    create_iris(&server);
    let own = format!("Origin: http://{}\r\nHost: {}\r\n", server.address, server.address);
    for headers in
        ["", "Host: prod.example\r\n", &own, "Sec-Fetch-Site: same-origin\r\nOrigin: http://localhost:1912\r\n"]
    {
        assert_eq!(ask(&server, "POST", "/predict", headers, predict.as_bytes()).status, 200, "{headers}");
    }
    let server = Server::start(&["--allow-origin", "http://ui.example"]);
    create_iris(&server);
    let post =
        |origin: &str| ask(&server, "POST", "/predict", &format!("Origin: {origin}\r\n"), predict.as_bytes()).status;
    assert_eq!((post("http://ui.example"), post("http://evil.example")), (200, 403));
}

#[test]
fn a_name_that_was_pointed_here_reads_nothing_of_what_moves() {
    let server = Server::start(&[]);
    create_iris(&server);
    let rename = json!({"name": "b"}).to_string();
    for (host, status) in [("evil.example:8080", 403), ("localhost:8080", 200)] {
        let response = ask(&server, "PATCH", "/services/iris", &format!("Host: {host}\r\n"), rename.as_bytes());
        assert_eq!(response.status, status, "{host}");
    }
}
