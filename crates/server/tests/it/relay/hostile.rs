//! A target that means harm: it asks a command that relays for what it was not promised.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::aliases;
use crate::server::{binary, eventually, write_peers};

/// Paths and bodies of what a command brought.
type Brought = Arc<Mutex<Vec<(String, String)>>>;

/// A target that asks these questions, one after the other, and keeps every other request waiting.
fn start(questions: Vec<Value>) -> (String, Brought) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (brought, questions) = (Brought::default(), Arc::new(questions));
    let shared = Arc::clone(&brought);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (brought, questions) = (Arc::clone(&shared), Arc::clone(&questions));
            std::thread::spawn(move || {
                // A client that has seen enough leaves.
                while answer(&client, &questions, &brought).is_ok() {}
            });
        }
    });
    (url, brought)
}

fn answer(mut client: &TcpStream, questions: &[Value], brought: &Brought) -> io::Result<()> {
    let (line, body) = receive(client)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let answer = if line.starts_with("POST /v2/_dede/relays ") {
        json!({"source": format!("relay:{}:http://dev", "0".repeat(32))})
    } else if let Some((_, after)) = path.split_once("/questions?after=") {
        let after: usize = after.parse().unwrap();
        match questions.get(after) {
            Some(question) => json!({"number": after + 1, "question": question}),
            None => return keep_waiting(),
        }
    } else if line.starts_with("PUT ") {
        brought.lock().unwrap().push((path, body));
        Value::Null
    } else {
        return keep_waiting();
    };
    let text = json!({"status": {"code": 200, "msg": "OK"}, "body": answer}).to_string();
    write!(client, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len())
}

fn keep_waiting() -> io::Result<()> {
    loop {
        std::thread::park();
    }
}

/// The first line of a request, and its body as it was sent.
fn receive(mut client: &TcpStream) -> io::Result<(String, String)> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            let is_chunked = head.contains("transfer-encoding: chunked");
            if (is_chunked && body.ends_with("0\r\n\r\n")) || (!is_chunked && body.len() >= length.unwrap_or(0)) {
                return Ok((text.lines().next().unwrap_or_default().to_owned(), body.to_owned()));
            }
        }
        match client.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => bytes.extend_from_slice(&piece[..count]),
        }
    }
}

#[test]
fn what_goes_beyond_the_service_of_the_command_never_reaches_the_source() {
    let source = aliases::server(&["service2", "other"]);
    let digest = format!("sha256:{}", "0".repeat(64));
    let too_far = [
        json!({"ask": "bundle", "service": "other", "with_training_state": false}),
        json!({"ask": "bundle", "service": "service2", "with_training_state": true}),
        json!({"ask": "blob", "service": "other", "digest": digest, "start": 0, "end": 1}),
        json!({"ask": "blob", "service": "service2", "digest": "../../../../metrics", "start": 0, "end": 1}),
        json!({"ask": "captured", "service": "service2"}),
        json!({"ask": "predict", "service": "other", "request": {"data": ["1,2,3,4"]}}),
        json!({"ask": "predict", "service": "service2", "request": {"data": ["/etc/passwd"]}}),
    ];
    let (target, brought) = start([&too_far[..], &[json!({"ask": "host"})]].concat());
    let home = tempfile::tempdir().unwrap();
    write_peers(home.path(), &[("dev", &source.url()), ("prod", &target)]);
    let mut command = Command::new(binary())
        .args(["move", "service2", "--from", "dev", "--to", "prod", "--relay"])
        .env("XDG_CONFIG_HOME", home.path().join("config"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("every question has its answer", || brought.lock().unwrap().len() > too_far.len());
    command.kill().unwrap();
    command.wait().unwrap();

    let brought = brought.lock().unwrap();
    for (question, (path, body)) in too_far.iter().zip(brought.iter()) {
        assert!(path.contains("/failures/") && body.contains("forbidden"), "{question}: {path} {body}");
    }
    let (path, body) = brought.last().unwrap();
    assert!(path.ends_with("/answers/8") && body.contains("cpu_features"), "{path} {body}");
    let log = source.log();
    let asked: Vec<&str> = log.lines().filter(|line| line.contains("/v2/") || line.contains("/predict")).collect();
    assert!(asked.len() == 1 && asked[0].contains("GET /v2/_dede/host"), "{asked:?}");
}
