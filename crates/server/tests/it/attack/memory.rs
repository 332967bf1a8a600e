//! Requests that grow while they are worked on, bodies, items, answers: what all of them take together stays below `--request-memory`.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dede_testing::fixtures;
use dede_testing::http::{Connection, Response, request};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Value, json};

use super::honest::Honest;
use crate::server::{Server, eventually};

/// For all requests, MiB.
const MEMORY_MB: u64 = 128;
/// Beyond it, of what is not a request's: threads, pools, what the allocator keeps.
const BESIDES_MB: u64 = 64;
const CONNECTIONS: usize = 64;

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
        let _honest = Honest::beside(&server);
        let idle = server.peak_mb();
        let body = gzip(&text);
        drop(text);
        for (method, path) in [("POST", "/predict"), ("PUT", "/services/x"), ("POST", "/train"), ("PUT", "/aliases/x")]
        {
            let request = compressed(method, path, &body);
            let send = || {
                let mut connection = Connection::open(server.address).unwrap();
                let answer = connection.exchange(&request).unwrap();
                assert!([400, 404, 413, 503].contains(&answer.status), "{what} {path}: {}", answer.status);
            };
            std::thread::scope(|scope| (0..CONNECTIONS).for_each(|_| drop(scope.spawn(send))));
        }
        let taken = server.peak_mb() - idle;
        assert!(taken < MEMORY_MB * 6 / 5 + BESIDES_MB, "{what}: {taken} MB of {MEMORY_MB}");
        assert_eq!(server.get("/info").0, 200, "{what}");
    }
}

/// A PNG of one colour.
fn png(side: u32) -> Vec<u8> {
    let chunk = |kind: &[u8; 4], content: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(kind);
        crc.update(content);
        let length = u32::try_from(content.len()).unwrap();
        [&length.to_be_bytes(), &kind[..], content, &crc.sum().to_be_bytes()].concat()
    };
    let size = side.to_be_bytes();
    let header = [&size[..], &size[..], &[8, 2, 0, 0, 0]].concat();
    let mut pixels = ZlibEncoder::new(Vec::new(), Compression::best());
    let row = vec![0; side as usize * 3 + 1];
    (0..side).for_each(|_| pixels.write_all(&row).unwrap());
    let signature = b"\x89PNG\r\n\x1a\n";
    let pixels = chunk(b"IDAT", &pixels.finish().unwrap());
    [&signature[..], &chunk(b"IHDR", &header), &pixels, &chunk(b"IEND", &[])].concat()
}

/// A server with `wide`, which answers rows of four numbers and has a layer of 3,000 values, and `images`, which takes images of 8 by 8.
fn stage() -> Server {
    let server = Server::start(&["--request-memory", &MEMORY_MB.to_string()]);
    let put = |name: &str, input: Value, layers: Value| {
        let body = json!({
            "mllib": "caffe", "description": "", "type": "supervised",
            "model": {"repository": server.path().join(name), "create_repository": true},
            "parameters": {"input": input, "mllib": {"template": "mlp", "layers": layers, "nclasses": 3}}});
        assert_eq!(server.put(&format!("/services/{name}"), &body).0, 201);
    };
    let train = |name: &str, data: Value, input: Value| {
        let body = json!({"service": name, "async": false, "data": data, "parameters": {
            "input": input, "mllib": {"solver": {"iterations": 1}, "net": {"batch_size": 3}}}});
        let (status, answer) = server.post("/train", &body);
        assert_eq!(status, 201, "{answer}");
    };
    put("wide", json!({"connector": "csv"}), json!([3000]));
    train("wide", json!([fixtures::data("iris_train.csv")]), json!({"id": "id", "label": "target"}));
    put("images", json!({"connector": "image", "width": 8, "height": 8}), json!([4]));
    for class in ["a", "b", "c"] {
        std::fs::create_dir_all(server.path().join("pictures").join(class)).unwrap();
        std::fs::write(server.path().join("pictures").join(class).join("one.png"), png(8)).unwrap();
    }
    train("images", json!([server.path().join("pictures")]), json!({}));
    server
}

fn predict(service: &str, data: Value, parameters: Value) -> Vec<u8> {
    let body = json!({"service": service, "data": data, "parameters": parameters});
    request("POST", "/predict", body.to_string().as_bytes())
}

/// Sends bodies of so many bytes to every client that asks.
fn serve_bodies(bytes: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\nConnection: close\r\n\r\n");
                let _ = stream.write_all(head.as_bytes());
                let piece = vec![b'x'; 1 << 16];
                for _ in 0..bytes / piece.len() {
                    if stream.write_all(&piece).is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

#[test]
fn items_and_answers_that_grow_are_counted_before_they_do() {
    let server = stage();
    let _honest = Honest::beside(&server);
    let rows = "5.1,3.5,1.4,0.2";
    let table = format!("sl,sw,pl,pw\n{}", format!("{rows}\n").repeat(90_000));
    std::fs::write(server.path().join("table.csv"), &table).unwrap();
    let (small, large) = (STANDARD.encode(png(1)), STANDARD.encode(png(5000)));
    let layer = json!({"mllib": {"extract_layer": "fc_data"}});
    let url = serve_bodies(32 << 20);
    let cases = [
        (
            "tiny images made large",
            400,
            predict("images", json!(vec![&small; 20]), json!({"input": {"width": 10_000}})),
        ),
        (
            "images of both sides",
            413,
            predict("images", json!([small]), json!({"input": {"width": 9000, "height": 9000}})),
        ),
        ("images that declare much", 413, predict("images", json!(vec![&large; 8]), json!({}))),
        (
            "images kept as they are",
            413,
            predict("images", json!(vec![&large; 8]), json!({"input": {"unchanged_data": true}})),
        ),
        ("images that are fetched", 413, predict("images", json!(vec![&url; 8]), json!({}))),
        ("a table that is fetched", 413, predict("wide", json!([url]), json!({}))),
        ("values of a layer", 413, predict("wide", json!(vec![rows; 4000]), layer)),
        ("classes of rows", 200, predict("wide", json!(vec![rows; 90_000]), json!({}))),
        ("rows of one item", 200, predict("wide", json!([format!("{rows}\n").repeat(90_000)]), json!({}))),
        ("one long row", 413, predict("wide", json!(["1,".repeat(20 << 20)]), json!({}))),
        (
            "a long header",
            413,
            predict("wide", json!([format!("{}\n1", "a,".repeat(10 << 20))]), json!({"input": {"id": "a"}})),
        ),
        (
            "a long row of quotes",
            413,
            predict("wide", json!(["'1',".repeat(10 << 20)]), json!({"input": {"quote": "'"}})),
        ),
        ("rows of a file", 200, predict("wide", json!([server.path().join("table.csv")]), json!({}))),
        (
            "a template that repeats",
            200,
            predict(
                "wide",
                json!(vec![rows; 2000]),
                json!({"output": {"template": "{{#body.predictions}}{{#body.predictions}}0123456789{{/body.predictions}}                    {{/body.predictions}}"}}),
            ),
        ),
    ];
    for (what, status, request) in cases {
        let idle = server.reset_peak_mb();
        std::thread::scope(|scope| {
            for _ in 0..CONNECTIONS {
                scope.spawn(|| {
                    let answer = Connection::open(server.address).unwrap().exchange(&request);
                    assert!(is_bounded(&answer), "{what}: {answer:?}");
                });
            }
        });
        let taken = server.peak_mb().saturating_sub(idle);
        let alone = Connection::open(server.address).unwrap().exchange(&request).map(|answer| answer.status);
        assert_eq!(alone.unwrap(), status, "{what}: with all the memory for itself");
        assert!(taken < MEMORY_MB * 6 / 5 + BESIDES_MB, "{what}: {taken} MB of {MEMORY_MB}");
    }
}

/// Answered or refused; the rest of a refused body passes for a while only, and then its client cannot write on.
fn is_bounded(answer: &std::io::Result<Response>) -> bool {
    match answer {
        Ok(answer) => [200, 400, 413, 503].contains(&answer.status),
        Err(error) => matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
    }
}

/// Each layer that is asked for is another copy of the network.
#[test]
fn layers_that_are_asked_for_in_turn_take_no_more_than_there_is() {
    const LAYERS: usize = 65;
    const ASKING: usize = 8;
    let server = Server::start(&["--request-memory", &MEMORY_MB.to_string()]);
    let _honest = Honest::beside(&server);
    let body = json!({
        "mllib": "caffe", "description": "", "type": "supervised",
        "model": {"repository": server.path().join("deep"), "create_repository": true},
        "parameters": {"input": {"connector": "csv"},
            "mllib": {"template": "mlp", "layers": vec![256; LAYERS], "nclasses": 3}}});
    assert_eq!(server.put("/services/deep", &body).0, 201);
    let train = json!({"service": "deep", "async": false, "data": [fixtures::data("iris_train.csv")], "parameters": {
        "input": {"id": "id", "label": "target"}, "mllib": {"solver": {"iterations": 1}, "net": {"batch_size": 3}}}});
    assert_eq!(server.post("/train", &train).0, 201);
    let rows = json!(["5.1,3.5,1.4,0.2"]);
    let honest = predict("deep", rows.clone(), json!({}));
    let ask = |request: &[u8]| Connection::open(server.address).unwrap().exchange(request).unwrap().status;
    let idle = server.reset_peak_mb();
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..ASKING)
            .map(|first| {
                let (ask, rows) = (&ask, &rows);
                scope.spawn(move || {
                    for layer in (first..LAYERS).step_by(ASKING) {
                        let name = if layer == 0 { "fc_data".to_owned() } else { format!("fc_ip{}", layer - 1) };
                        let request = predict("deep", rows.clone(), json!({"mllib": {"extract_layer": name}}));
                        // While another layer is loaded it is to come again.
                        eventually(&name, || match ask(&request) {
                            503 => false,
                            status => status == 200 || panic!("{name}: {status}"),
                        });
                    }
                })
            })
            .collect();
        while asking.iter().any(|one| !one.is_finished()) {
            assert_eq!(ask(&honest), 200);
        }
    });
    let taken = server.peak_mb().saturating_sub(idle);
    assert!(taken < MEMORY_MB * 6 / 5 + BESIDES_MB, "{taken} MB of {MEMORY_MB}");
}

#[test]
fn answers_that_are_not_read_count_until_they_are_gone() {
    let server = stage();
    let _honest = Honest::beside(&server);
    let rows = "5.1,3.5,1.4,0.2";
    let request = predict("wide", json!(vec![rows; 500]), json!({"mllib": {"extract_layer": "fc_data"}}));
    let idle = server.reset_peak_mb();
    let unread: Vec<TcpStream> = (0..CONNECTIONS)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address).unwrap();
            stream.write_all(&request).unwrap();
            // It has begun to come.
            stream.peek(&mut [0]).unwrap();
            stream
        })
        .collect();
    let taken = server.peak_mb().saturating_sub(idle);
    assert!(taken < MEMORY_MB * 6 / 5 + BESIDES_MB, "{taken} MB of {MEMORY_MB}");
    let ask = |request: &[u8]| Connection::open(server.address).unwrap().exchange(request).unwrap().status;
    assert_eq!(ask(&request), 503, "all of it is taken");
    assert_eq!(ask(&predict("wide", json!([rows]), json!({}))), 200, "small requests are answered");
    drop(unread);
    eventually("it is given back", || ask(&request) == 200);
}
