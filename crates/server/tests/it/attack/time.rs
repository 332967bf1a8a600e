//! Requests that would compute for ever: answered within their bound, and nothing else waits for them.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dede_testing::http::request;
use serde_json::{Value, json};

use super::honest::Honest;
use crate::models::{Models, predict_body, put_service};
use crate::server::{Server, eventually};

/// Longest time of an answer, on a machine with other work.
const LONGEST: Duration = Duration::from_secs(30);

fn serving(arguments: &[&str]) -> (Server, Vec<String>) {
    let (server, models) = (Server::start(arguments), Models::get());
    let repository = server.path().join("model");
    models.versions[0].write(&repository);
    put_service(&server, "iris", &repository);
    (server, models.inputs.clone())
}

/// Ten rows, and a template whose sections multiply.
fn with_template(inputs: &[String], template: String) -> Value {
    let mut body = predict_body("iris", &inputs[0]);
    body["data"] = json!(inputs.iter().cycle().take(10).collect::<Vec<_>>());
    body["parameters"]["output"]["template"] = template.into();
    body
}

#[test]
fn templates_that_multiply_end_and_stop_no_other_request() {
    let (server, inputs) = serving(&[]);
    let _honest = Honest::beside(&server);
    let nested = |open: &str, inside: &str, close: &str| format!("{}{inside}{}", open.repeat(40), close.repeat(40));
    let list = "{{#body}}{{#predictions}}";
    let end = "{{/predictions}}{{/body}}";
    let templates = [
        format!("{list}{}{end}", nested("{{#predictions}}", "", "{{/predictions}}")),
        format!("{list}{}{end}", nested("{{#classes}}", "{{cat}}", "{{/classes}}")),
        format!("{list}{}{end}", nested("{{#body.predictions}}", "{{^none}}{{/none}}", "{{/body.predictions}}")),
        format!(
            "{list}{}{end}",
            nested("{{#predictions}}", &format!("{{{{x{}}}}}", ".y".repeat(500)), "{{/predictions}}")
        ),
    ];
    // Two are as many as there are threads for connections on a small machine; each comes twice.
    std::thread::scope(|scope| {
        let bombs: Vec<_> = templates
            .iter()
            .chain(&templates)
            .map(|template| {
                let (server, body) = (&server, with_template(&inputs, template.clone()));
                scope.spawn(move || {
                    let began = Instant::now();
                    (server.post("/predict", &body), began.elapsed())
                })
            })
            .collect();
        let (mut asked, mut slowest) = (0, Duration::ZERO);
        while asked < 20 || bombs.iter().any(|bomb| !bomb.is_finished()) {
            let began = Instant::now();
            assert_eq!(server.get("/info").0, 200);
            slowest = slowest.max(began.elapsed());
            asked += 1;
        }
        assert!(slowest < Duration::from_secs(10), "an answer took {slowest:?} meanwhile");
        for bomb in bombs {
            let ((status, answer), took) = bomb.join().unwrap();
            assert!(took < LONGEST, "{took:?}: {answer}");
            assert!(status == 400 && answer.to_string().contains("steps"), "{status}: {answer}");
        }
    });
    assert_eq!(server.post("/predict", &predict_body("iris", &inputs[0])).0, 200);
}

/// A machine that takes connections and says little or nothing.
fn silent(says: &'static [u8]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, counted) = (stream.unwrap(), Arc::clone(&counted));
            counted.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || {
                let _ = stream.write_all(says);
                // Until the server gives up.
                while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {}
                counted.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    (url, connections)
}

#[test]
fn other_machines_that_do_not_answer_stop_no_other_request() {
    const FETCH_TIMEOUT_S: u64 = 3;
    let (server, inputs) = serving(&["--fetch-timeout", &FETCH_TIMEOUT_S.to_string()]);
    let _honest = Honest::beside(&server);
    let slow_body = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
    let honest = predict_body("iris", &inputs[0]);
    let alone = slowest_of(&server, &honest, 200);
    for says in [&b""[..], slow_body] {
        let (url, connections) = silent(says);
        let by_url = json!({"service": "iris", "data": [url], "parameters": {"input": {"timeout": 36_000}}});
        let several = json!({"service": "iris", "data": vec![&url; 20], "parameters": {}});
        let mut sent_on = honest.clone();
        sent_on["parameters"]["output"]["network"] = json!({"url": url});
        std::thread::scope(|scope| {
            let waiting: Vec<_> = [by_url, several, sent_on]
                .iter()
                .cycle()
                .take(24)
                .map(|body| {
                    let (server, body) = (&server, body.clone());
                    scope.spawn(move || {
                        let began = Instant::now();
                        (server.post("/predict", &body), began.elapsed())
                    })
                })
                .collect();
            eventually("they wait", || connections.load(Ordering::SeqCst) >= 24);
            let beside = slowest_of(&server, &honest, 200);
            assert!(beside <= (3 * alone).max(Duration::from_millis(100)), "{beside:?}, alone {alone:?}");
            assert!(waiting.iter().all(|one| !one.is_finished()), "they still wait");
            for one in waiting {
                let ((status, answer), took) = one.join().unwrap();
                assert!([400, 404].contains(&status), "{status}: {answer}");
                assert!(took < Duration::from_secs(FETCH_TIMEOUT_S + 3), "{took:?}: {answer}");
            }
        });
        eventually("nothing is left of them", || connections.load(Ordering::SeqCst) == 0);
    }
}

#[test]
fn clients_that_leave_free_what_waits_for_them() {
    const WAITING: usize = 60;
    // Far longer than this test takes.
    let (server, inputs) = serving(&["--fetch-timeout", "600"]);
    let _honest = Honest::beside(&server);
    let (url, connections) = silent(b"");
    let mut sent_on = predict_body("iris", &inputs[0]);
    sent_on["parameters"]["output"]["network"] = json!({"url": url});
    for body in [json!({"service": "iris", "data": [url]}), sent_on] {
        // As many again as there are places, so that the first ones must have been freed.
        for round in 0..3 {
            let clients: Vec<TcpStream> = (0..WAITING)
                .map(|_| {
                    let mut client = TcpStream::connect(server.address).unwrap();
                    client.write_all(&request("POST", "/predict", body.to_string().as_bytes())).unwrap();
                    client
                })
                .collect();
            eventually("they wait", || connections.load(Ordering::SeqCst) == WAITING);
            drop(clients);
            eventually(&format!("nothing waits for them, {round}"), || connections.load(Ordering::SeqCst) == 0);
        }
    }
}

/// The 99th part in 100 of the times that so many requests take, one after the other.
fn slowest_of(server: &Server, body: &Value, requests: usize) -> Duration {
    let mut times: Vec<Duration> = (0..requests)
        .map(|_| {
            let began = Instant::now();
            assert_eq!(server.post("/predict", body).0, 200);
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[requests * 99 / 100]
}
