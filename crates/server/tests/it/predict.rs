//! Predicts beyond what was recorded: answers sent on, rendered, refused in strict mode, many at once.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use dede_testing::{fixtures, http};
use serde_json::{Value, json};

use crate::server::{Server, eventually};

const ROW: &str = "5.1,3.5,1.4,0.2";

fn with_iris(arguments: &[&str]) -> Server {
    let server = Server::start(arguments);
    let repository = fixtures::copy_model("iris", server.path()).unwrap();
    let (status, answer) = server.put(
        "/services/iris",
        &json!({"mllib": "caffe", "parameters": {"input": {"connector": "csv"}, "mllib": {"nclasses": 3}},
                "model": {"repository": repository}}),
    );
    assert_eq!(status, 201, "{answer}");
    server
}

fn predict(server: &Server, output: &Value) -> (u16, Value) {
    server.post("/predict", &json!({"service": "IRIS", "parameters": {"output": output}, "data": [ROW]}))
}

#[test]
fn the_answer_names_what_was_asked_for_and_who_answered() {
    let server = with_iris(&[]);
    let body = json!({"service": "IRIS", "data": [ROW]}).to_string();
    let response = server.send("POST", "/predict", &body);
    let answer = response.json().unwrap();
    assert_eq!(answer["head"]["service"], "iris");
    let served_by = response.header("x-dede-served-by").unwrap();
    assert!(served_by.starts_with("iris@sha256:") && served_by.len() == "iris@sha256:".len() + 64, "{served_by}");
    let log = server.log();
    assert!(log.contains("HTTP/1.1 \"POST /predict\" iris 200 "), "{log}");
    let metrics = String::from_utf8(server.send("GET", "/metrics", "").body).unwrap();
    let counter = metrics.lines().find(|line| line.starts_with("dede_predict_requests_total{")).unwrap();
    assert!(
        counter.contains("service=\"iris\"") && counter.contains("code=\"200\"") && counter.ends_with(" 1"),
        "{counter}"
    );
}

#[test]
fn a_template_may_be_wrong_and_says_where() {
    let server = with_iris(&[]);
    let response = server.send(
        "POST",
        "/predict",
        &json!({"service": "iris", "data": [ROW], "parameters": {"output": {"template": "{{#status}}{{code}}{{/status}}"}}}).to_string(),
    );
    assert_eq!((response.status, response.body.as_slice()), (200, b"200".as_slice()));
    let (status, answer) = predict(&server, &json!({"template": "{{#status}}"}));
    let text = answer["status"]["dd_msg"].as_str().unwrap();
    assert!(status == 400 && text.contains("\"status\" is not closed"), "{text}");
}

#[test]
fn an_answer_is_sent_on_and_what_comes_back_is_the_answer() {
    let server = with_iris(&[]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/in", listener.local_addr().unwrap());
    let other_side = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut received = Vec::new();
        let mut chunk = [0; 4096];
        while !String::from_utf8_lossy(&received).contains("\"predictions\"") {
            let count = stream.read(&mut chunk).unwrap();
            received.extend_from_slice(&chunk[..count]);
        }
        stream
            .write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 9\r\nConnection: close\r\n\r\n{\"ok\": 1}")
            .unwrap();
        String::from_utf8(received).unwrap()
    });
    let (status, answer) = predict(
        &server,
        &json!({"network": {"url": url, "http_method": "PUT", "content_type": "Content-Type: text/x"}}),
    );
    assert_eq!((status, answer), (202, json!({"ok": 1})));
    let received = other_side.join().unwrap().to_ascii_lowercase();
    assert!(received.starts_with("put /in ") && received.contains("content-type: text/x"), "{received}");
}

#[test]
fn a_place_that_cannot_be_reached_is_an_answer_of_its_own() {
    let server = with_iris(&[]);
    let (status, answer) = predict(&server, &json!({"network": {"url": "http://127.0.0.1:1/"}}));
    let expected =
        json!({"code": 404, "msg": "Not Found", "dd_code": 1009, "dd_msg": "Output Connector Network Error"});
    assert_eq!((status, &answer["status"]), (404, &expected));
    for network in
        [json!({}), json!({"url": "no url"}), json!({"url": 3}), json!({"url": "http://x/", "http_method": "DELETE"})]
    {
        let (status, answer) = predict(&server, &json!({"network": network}));
        assert_eq!((status, &answer["status"]["dd_code"]), (400, &json!(1006)), "{answer}");
    }
}

#[test]
fn members_that_nobody_knows_are_warned_of_once_or_refused() {
    let body = json!({"service": "iris", "dta": 1, "data": [ROW]});
    let server = with_iris(&[]);
    for _ in 0..2 {
        assert_eq!(server.post("/predict", &body).0, 200);
    }
    assert_eq!(server.log().matches("unknown member \"dta\" ignored").count(), 1);
    let strict = with_iris(&["--strict"]);
    let (status, answer) = strict.post("/predict", &body);
    assert_eq!((status, &answer["status"]["dd_code"]), (400, &json!(1006)));
    assert_eq!(predict(&strict, &json!({})).0, 200);
    let train = json!({"service": "iris", "data": ["x.csv"],
        "parameters": {"input": {"label": "target"}, "mllib": {"solver": {"iteration": 1}}}});
    let (status, answer) = strict.post("/train", &train);
    assert_eq!((status, &answer["status"]["dd_code"]), (400, &json!(1006)));
    assert!(answer["status"]["dd_msg"].as_str().unwrap().contains("parameters.mllib.solver.iteration"), "{answer}");
}

#[test]
fn what_is_not_supported_yet_is_refused_by_name() {
    let server = with_iris(&[]);
    for (output, name) in
        [(json!({"ctc": true}), "parameters.output.ctc"), (json!({"rois": "x"}), "parameters.output.rois")]
    {
        let (status, answer) = predict(&server, &output);
        let dd_msg = format!("Service Bad Request Error: not supported yet: {name}");
        assert_eq!((status, &answer["status"]["dd_msg"]), (400, &json!(dd_msg)));
    }
    let create = |name: &str, change: Value| {
        let mut body = json!({"mllib": "caffe", "parameters": {"input": {"connector": "csv"}, "mllib": {"nclasses": 3}},
                              "model": {"repository": server.path()}});
        let target = change.as_object().unwrap().clone();
        target.into_iter().for_each(|(pointer, value)| *body.pointer_mut(&pointer).unwrap() = value);
        server.put(&format!("/services/{name}"), &body).1["status"]["dd_msg"].as_str().unwrap_or_default().to_owned()
    };
    assert!(create("a", json!({"/parameters/input/connector": "svm"})).ends_with("not supported yet: connector svm"));
    assert!(create("a", json!({"/model": {"init": "x.tar"}})).ends_with("not supported yet: model.init"));
}

#[test]
fn many_clients_get_their_own_answers() {
    let server = with_iris(&[]);
    std::thread::scope(|scope| {
        for client in 0..16 {
            let server = &server;
            scope.spawn(move || {
                let mut connection = server.connect();
                for number in 0..50 {
                    let id = format!("{client}-{number}");
                    let body = json!({"service": "iris", "data": [ROW], "ids": [id]}).to_string();
                    let answer = connection.send("POST", "/predict", body.as_bytes()).unwrap().json().unwrap();
                    assert_eq!(answer["body"]["predictions"][0]["uri"], id);
                }
            });
        }
    });
    let (_, info) = server.get("/services/iris");
    assert_eq!(info["body"]["service_stats"]["predict_success"], 16 * 50);
    assert_eq!(server.answered_predicts(), 16 * 50);
}

#[test]
fn a_full_queue_is_a_503_that_says_when_to_come_back() {
    let server = with_iris(&["--queue", "1", "--threads", "1"]);
    let rows: Vec<String> = (0..20_000).map(|_| ROW.to_owned()).collect();
    let slow = json!({"service": "iris", "data": rows}).to_string();
    let refused = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..8).map(|_| scope.spawn(|| server.send("POST", "/predict", &slow))).collect();
        let responses: Vec<_> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
        responses.into_iter().filter(|response| response.status != 200).collect::<Vec<_>>()
    });
    assert!(!refused.is_empty(), "eight large requests at once fit into a queue of one");
    for response in refused {
        assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
        assert!(response.json().unwrap()["status"]["dd_msg"].is_string());
    }
    assert_eq!(predict(&server, &json!({})).0, 200);
}

/// Sends a predict whose body comes once the server waits for it, a little later; the answer.
fn predict_later(server: &Server, timeout_ms: &str) -> String {
    let body = json!({"service": "iris", "data": [ROW]}).to_string();
    let mut stream = TcpStream::connect(server.address).unwrap();
    let head = format!(
        "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\
         X-Request-Timeout-Ms: {timeout_ms}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut first = [0; 1 << 10];
    let read = stream.read(&mut first).unwrap();
    let mut answer = String::from_utf8_lossy(&first[..read]).into_owned();
    if answer.starts_with("HTTP/1.1 100") {
        let until = Instant::now() + Duration::from_millis(20);
        while Instant::now() < until {
            std::thread::yield_now();
        }
        stream.write_all(body.as_bytes()).unwrap();
        answer.clear();
    }
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_request_is_answered_within_the_time_that_it_allows_or_computes_nothing() {
    let server = with_iris(&[]);
    let late = predict_later(&server, "1");
    assert!(
        late.starts_with("HTTP/1.1 504 ") && late.contains(r#""code":504,"msg":"Gateway Timeout","dd_msg""#),
        "{late}"
    );
    let count = || server.get("/services/iris").1["body"]["service_stats"]["predict_count"].clone();
    assert_eq!(count(), 0);
    assert!(predict_later(&server, "60000").starts_with("HTTP/1.1 200 "));
    assert!(predict_later(&server, "99999999999999999").starts_with("HTTP/1.1 200 "));
    assert_eq!(count(), 2);
    for wrong in ["0", "-1", "1.5", "soon", ""] {
        let refused = predict_later(&server, wrong);
        assert!(refused.starts_with("HTTP/1.1 400 ") && refused.contains("x-request-timeout-ms"), "{wrong}: {refused}");
    }
}

#[test]
fn requests_whose_clients_left_are_skipped() {
    const CLIENTS: usize = 30;
    let server = with_iris(&["--threads", "1"]);
    let rows: Vec<String> = (0..20_000).map(|_| ROW.to_owned()).collect();
    let request = http::request("POST", "/predict", json!({"service": "iris", "data": rows}).to_string().as_bytes());
    let sent = Barrier::new(CLIENTS);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut stream = TcpStream::connect(server.address).unwrap();
                stream.write_all(&request).unwrap();
                sent.wait();
            });
        }
    });
    let depth = || {
        let text = String::from_utf8(server.send("GET", "/metrics", "").body).unwrap();
        let line = text.lines().find(|line| line.starts_with("dede_queue_depth{service=\"iris\"}")).map(str::to_owned);
        line.unwrap().ends_with(" 0")
    };
    eventually("nobody waits", depth);
    let count = server.get("/services/iris").1["body"]["service_stats"]["predict_count"].as_u64().unwrap();
    assert!(count < CLIENTS as u64, "{count} of {CLIENTS} were answered for nobody");
    assert_eq!(predict(&server, &json!({})).0, 200);
}

/// An ONNX network of three columns, each of which goes through `operator`.
fn network(operator: &str) -> Vec<u8> {
    use dede_testing::protobuf::{bytes, number};
    let dims = [bytes(1, &bytes(2, b"n")), bytes(1, &number(1, 3))].concat();
    let value = |field, name: &str| {
        let tensor = bytes(1, &[number(1, 1), bytes(2, &dims)].concat());
        bytes(field, &[bytes(1, name.as_bytes()), bytes(2, &tensor)].concat())
    };
    let node = [bytes(1, b"x"), bytes(2, b"y"), bytes(4, operator.as_bytes())].concat();
    let graph = [bytes(1, &node), bytes(2, b"graph"), value(11, "x"), value(12, "y")].concat();
    [number(1, 8), bytes(8, &number(2, 17)), bytes(7, &graph)].concat()
}

/// A service of an ONNX network of one operator on three columns, called as the operator is.
pub(crate) fn put_network(server: &Server, operator: &str, kind: &str, mllib: &Value) -> (u16, Value) {
    let repository = server.path().join(operator);
    std::fs::create_dir_all(&repository).unwrap();
    std::fs::write(repository.join("m.onnx"), network(operator)).unwrap();
    let body = json!({"mllib": "onnx", "description": "", "type": kind, "model": {"repository": repository},
                      "parameters": {"input": {"connector": "csv"}, "mllib": mllib}});
    server.put(&format!("/services/{}", operator.to_lowercase()), &body)
}

#[test]
fn infinite_answers_are_errors_and_never_null() {
    for engine in [&["--engine", "rten"][..], &[]] {
        let server = Server::start(engine);
        assert_eq!(put_network(&server, "Log", "unsupervised", &json!({})).0, 201);
        let ask = |row: &str| server.post("/predict", &json!({"service": "log", "data": ["1.0,1.0,1.0", row]}));
        assert_eq!(ask("1.0,2.0,3.0").0, 200);
        let (status, answer) = ask("0.0,1.0,2.7");
        let text = answer.to_string();
        assert!(status == 400 && text.contains("item 2") && text.contains("infinite"), "{status}: {text}");
    }
}

#[test]
fn a_service_says_which_output_it_answers_and_what_that_holds() {
    let server = Server::start(&["--strict"]);
    for (operator, mllib, activation) in [
        ("Softmax", json!({"nclasses": 3}), "softmax"),
        ("Sigmoid", json!({"nclasses": 3, "output": "y"}), "sigmoid"),
        ("Tanh", json!({"nclasses": 3, "output_activation": "logits", "outputBlob": "y"}), "logits"),
    ] {
        let (status, answer) = put_network(&server, operator, "supervised", &mllib);
        assert_eq!(status, 201, "{answer}");
        let (_, answer) = server.get(&format!("/services/{}", operator.to_lowercase()));
        assert_eq!(answer["body"]["output_activation"], activation, "{answer}");
        assert_eq!(answer["body"]["output"], "y", "{answer}");
    }
    let (status, answer) = put_network(&server, "Relu", "supervised", &json!({"nclasses": 3}));
    let text = answer.to_string();
    assert!(status == 400 && text.contains("output_activation") && text.contains("Relu"), "{text}");
    let ask = |mllib: Value| {
        server.post("/predict", &json!({"service": "tanh", "parameters": {"mllib": mllib}, "data": ["1.0,2.0,3.0"]}))
    };
    assert_eq!(ask(json!({"output_activation": "logits"})).0, 200);
    let (status, answer) = ask(json!({"output_activation": "sigmoid"}));
    assert!(status == 400 && answer.to_string().contains("output_activation"), "{status}: {answer}");
}
