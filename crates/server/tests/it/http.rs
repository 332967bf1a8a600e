//! The HTTP layer itself: unknown routes, compression, limits, CORS, the log.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use flate2::Compression;
use flate2::read::{GzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Value, json};

use crate::server::Server;

/// The bytes of a request with further header lines.
fn request(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[test]
fn unknown_routes_and_methods_have_the_recorded_answer() {
    let server = Server::start(&[]);
    for (method, path) in
        [("GET", "/"), ("GET", "/predict"), ("PATCH", "/info"), ("PUT", "/services/"), ("GET", "/a/b?c=d")]
    {
        let (code, body) = server.json(method, path, &Value::Null);
        let msg = format!("Not Found: No mapping for HTTP-method: '{method}', URL: '{path}'");
        assert_eq!((code, body), (404, json!({"status": {"code": 404, "msg": msg}})));
    }
}

#[test]
fn info_describes_the_server() {
    let server = Server::start(&[]);
    let (code, body) = server.json("GET", "/info?status=true", &Value::Null);
    assert_eq!((code, &body["status"]["code"]), (200, &json!(200)));
    assert_eq!(body["head"]["services"], json!([]));
    assert_eq!(body["head"]["version"], concat!("v", env!("CARGO_PKG_VERSION")));
    let (code, body) = server.json("GET", "/info?status=flase", &Value::Null);
    let status = json!({"code": 400, "msg": "Bad request", "dd_code": 400, "dd_msg": "status must be a boolean value"});
    assert_eq!((code, &body["status"]), (400, &status));
}

#[test]
fn what_is_not_there_yet_says_so() {
    let server = Server::start(&[]);
    for (method, path, what) in [("GET", "/resources/a", "resources"), ("DELETE", "/stream/a", "stream")] {
        let (code, body) = server.json(method, path, &Value::Null);
        let dd_msg = format!("Service Bad Request Error: not supported yet: {what}");
        let status = json!({"code": 400, "msg": "BadRequest", "dd_code": 1006, "dd_msg": dd_msg});
        assert_eq!((code, &body["status"]), (400, &status));
    }
}

#[test]
fn compressed_bodies_are_read() {
    let server = Server::start(&[]);
    let text = br#"{"service":"nosuch","data":["x"]}"#;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text).expect("a vector takes all");
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(text).expect("a vector takes all");
    for (encoding, body, dd_code) in [
        ("gzip", gzip.finish().expect("finishes"), json!(1002)),
        ("deflate", zlib.finish().expect("finishes"), json!(1002)),
        ("identity", text.to_vec(), json!(1002)),
        ("br", text.to_vec(), Value::Null),
    ] {
        let bytes = request("POST", "/predict", &format!("Content-Encoding: {encoding}\r\n"), &body);
        let answer = server.connect().exchange(&bytes).expect("answered").json().expect("JSON");
        assert_eq!(answer["status"]["dd_code"], dd_code, "{encoding}");
    }
}

#[test]
fn large_answers_are_compressed_when_asked_for() {
    let server = Server::start(&[]);
    let path = format!("/{}", "x".repeat(3000));
    let plain = server.send("GET", &path, "").body;
    for encoding in ["gzip", "deflate"] {
        let bytes = request("GET", &path, &format!("Accept-Encoding: {encoding}\r\n"), b"");
        let response = server.connect().exchange(&bytes).expect("answered");
        assert_eq!(response.header("content-encoding"), Some(encoding));
        assert!(response.body.len() < plain.len() / 2);
        let mut inflated = Vec::new();
        let read = match encoding {
            "gzip" => GzDecoder::new(&response.body[..]).read_to_end(&mut inflated),
            _ => ZlibDecoder::new(&response.body[..]).read_to_end(&mut inflated),
        };
        read.expect("inflates");
        assert_eq!(inflated, plain);
    }
}

#[test]
fn bodies_beyond_the_limit_are_refused_before_and_after_inflating() {
    let server = Server::start(&["--max-body", "1"]);
    let large = vec![b' '; 2 << 20];
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&large).expect("a vector takes all");
    let bomb = gzip.finish().expect("finishes");
    assert!(bomb.len() < 1 << 20);
    for (headers, body) in [("Content-Encoding: gzip\r\n", &bomb), ("", &large)] {
        let response = server.connect().exchange(&request("POST", "/predict", headers, body)).expect("answered");
        assert_eq!(response.status, 413, "{headers}");
        assert_eq!(response.json().expect("JSON")["status"]["code"], 413);
    }
    assert_eq!(server.send("GET", "/info", "").status, 200);
}

#[test]
fn heads_beyond_the_limit_are_refused() {
    let server = Server::start(&[]);
    let bytes = request("GET", "/info", &format!("X-Long: {}\r\n", "x".repeat(20_000)), b"");
    let response = server.connect().exchange(&bytes).expect("answered");
    assert_eq!(response.status, 431);
}

#[test]
fn web_pages_may_call_only_when_allowed() {
    let closed = Server::start(&[]);
    let response = closed.send("OPTIONS", "/info", "");
    assert_eq!((response.status, response.header("access-control-allow-origin")), (404, None));
    let open = Server::start(&["--allow-origin", "*"]);
    for (method, status) in [("OPTIONS", 200), ("GET", 200)] {
        let response = open.send(method, "/info", "");
        assert_eq!((response.status, response.header("access-control-allow-origin")), (status, Some("*")));
        assert!(response.header("access-control-allow-methods").is_some_and(|methods| methods.contains("PATCH")));
    }
}

#[test]
fn every_answer_claims_to_be_json_but_metrics() {
    let server = Server::start(&[]);
    for path in ["/info", "/nosuch", "/healthz", "/services/nosuch"] {
        assert_eq!(server.send("GET", path, "").header("content-type"), Some("application/json"), "{path}");
    }
    let metrics = server.send("GET", "/metrics", "");
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4"));
    let text = String::from_utf8(metrics.body).expect("UTF-8");
    assert!(text.contains("dede_http_requests_total{") && text.contains("dede_ready 1"), "{text}");
}

#[test]
fn requests_are_counted_by_the_route_that_answered_them() {
    let server = Server::start(&[]);
    let asked = [
        ("/services/a", "services"),
        ("/moves", "moves"),
        ("/moves/m1/events", "moves"),
        ("/v2/", "registry"),
        ("/v2/some/name/tags/list", "registry"),
        ("/v2/_dede/host", "bundles"),
        ("/chain/x", "chain"),
        ("/nosuch", "other"),
    ];
    for (path, _) in asked {
        server.send("GET", path, "");
    }
    let text = String::from_utf8(server.send("GET", "/metrics", "").body).expect("UTF-8");
    for (path, route) in asked {
        let counted = asked.iter().filter(|(_, other)| *other == route).count();
        let of_route: u64 = text
            .lines()
            .filter(|line| {
                line.starts_with("dede_http_requests_total{") && line.contains(&format!("route=\"{route}\""))
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum();
        assert_eq!(of_route, counted as u64, "{path}: {text}");
    }
}

#[test]
fn the_log_has_one_line_per_request_and_none_that_a_client_forged() {
    let server = Server::start(&[]);
    server.send("GET", "/info", "");
    server.send("GET", "/a%0d%0ab", "");
    server.send("POST", "/predict", "{\"service\":\"x\\u001b[31m\\ny\"}");
    let log = server.log();
    let api: Vec<&str> = log.lines().filter(|line| line.contains("[api]") && line.contains("HTTP/1.1")).collect();
    assert_eq!(api.len(), 3, "{log}");
    assert!(api[0].contains("[info] HTTP/1.1 \"GET /info\" <n/a> 200 "), "{}", api[0]);
    assert!(api[1].contains("[error] HTTP/1.1 \"GET /a%0d%0ab\" <n/a> 404 "), "{}", api[1]);
    assert!(!log.contains('\u{1b}'), "{log}");
}

#[test]
fn a_client_that_leaves_or_dawdles_holds_nobody_up() {
    let server = Server::start(&["--threads", "1", "--max-requests", "1"]);
    let mut dawdlers: Vec<TcpStream> = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(server.address).expect("the server listens");
        stream.write_all(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{").expect("sent");
        dawdlers.push(stream);
    }
    let mut left = TcpStream::connect(server.address).expect("the server listens");
    left.write_all(b"POST /pre").expect("sent");
    drop(left);
    let mut connection = server.connect();
    let response = connection.send("POST", "/predict", br#"{"service":"nosuch"}"#).expect("answered");
    assert_eq!(response.status, 404);
    for stream in &mut dawdlers {
        stream.set_read_timeout(Some(Duration::from_millis(1))).expect("set");
        assert!(stream.read(&mut [0; 1]).is_err(), "a dawdler is still waited for");
    }
}
