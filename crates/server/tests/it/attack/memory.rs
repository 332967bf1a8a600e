//! Bodies that grow when they are read: what all of them take together stays below `--request-memory`.

use std::io::Write as _;

use dede_testing::http::Connection;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::server::Server;

/// For all requests, MiB.
const MEMORY_MB: u64 = 128;
/// Beyond it, of what is not a request's: threads, pools, what the allocator keeps.
const BESIDES_MB: u64 = 64;
const CONNECTIONS: usize = 64;

fn high_water_mark_mb(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// The bytes of a request with a compressed body.
fn compressed(method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[test]
fn bodies_that_inflate_or_parse_to_more_are_refused_before_they_do() {
    let long = 100 << 20;
    let bombs = [
        ("values", format!("{{\"service\": \"x\", \"data\": [{}0]}}", "0,".repeat(20 << 20))),
        ("lists", format!("{{\"service\": \"x\", \"parameters\": [{}[]]}}", "[],".repeat(10 << 20))),
        ("strings", format!("{{\"service\": \"x\", \"data\": [{}\"\"]}}", "\"\",".repeat(10 << 20))),
        ("members", format!("{{\"service\": \"x\", \"parameters\": {{{}\"b\":0}}}}", "\"a\":{},".repeat(5 << 20))),
        ("one text", format!("{{\"service\": \"x\", \"data\": [\"{}\"]}}", "1".repeat(long))),
        ("spaces", " ".repeat(long)),
        ("not numbers", format!("{{\"service\": \"x\", \"data\": [{}0]}}", "NaN,".repeat(10 << 20))),
    ];
    for (what, text) in bombs {
        let server = Server::start(&["--request-memory", &MEMORY_MB.to_string()]);
        let idle = high_water_mark_mb(&server);
        let body = gzip(&text);
        drop(text);
        for (method, path) in [("POST", "/predict"), ("PUT", "/services/x"), ("POST", "/train"), ("PUT", "/aliases/x")]
        {
            let request = compressed(method, path, &body);
            std::thread::scope(|scope| {
                for _ in 0..CONNECTIONS {
                    scope.spawn(|| {
                        let mut connection = Connection::open(server.address).unwrap();
                        let answer = connection.exchange(&request).unwrap();
                        assert!([400, 404, 413, 503].contains(&answer.status), "{what} {path}: {}", answer.status);
                    });
                }
            });
        }
        let taken = high_water_mark_mb(&server) - idle;
        assert!(taken < MEMORY_MB * 6 / 5 + BESIDES_MB, "{what}: {taken} MB of {MEMORY_MB}");
        assert_eq!(server.get("/info").0, 200, "{what}");
    }
}
