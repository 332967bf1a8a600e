//! Cases 2 and 26: where URLs in requests may lead.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::{Value, json};

use super::create_iris;
use crate::server::Server;

/// A predict whose data is behind a URL; status and text.
fn predict(server: &Server, url: &str) -> (u16, String) {
    let (status, answer) = server.post("/predict", &json!({"service": "iris", "data": [url]}));
    (status, answer["status"]["dd_msg"].as_str().unwrap_or_default().to_owned())
}

/// A predict whose answer goes to a URL.
fn send_on(server: &Server, url: &str) -> (u16, Value) {
    let output = json!({"network": {"url": url}});
    server.post("/predict", &json!({"service": "iris", "data": [super::ROW], "parameters": {"output": output}}))
}

#[test]
fn a_server_for_others_connects_to_no_private_address() {
    let server = Server::start(&["--host", "0.0.0.0"]);
    create_iris(&server);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    for host in [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0.0.0.0",
        "[::1]",
        "[::ffff:7f00:1]",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "100.64.0.1",
        "[fd00::1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::1]",
    ] {
        let url = format!("http://{host}:{port}/rows.csv");
        // The second time it is checked again.
        for _ in 0..2 {
            let (status, text) = predict(&server, &url);
            assert_eq!(status, 400, "{url}");
            assert!(text.contains("--allow-fetch"), "{text}");
            let resolved = text.replace(&url, "");
            assert!(!resolved.contains("127.0.0") && !resolved.contains("::1"), "{text}");
        }
        assert_eq!(send_on(&server, &url).0, 403, "{url}: a guest has answers sent nowhere");
    }
    assert!(listener.accept().is_err(), "somebody connected");
}

#[test]
fn metadata_is_out_of_reach_for_everybody() {
    let beyond = ["--host", "0.0.0.0", "--allow-fetch", "0.0.0.0/0", "--allow-fetch", "::/0"];
    for (arguments, sent_on) in [(&[][..], 404), (&beyond, 403)] {
        let server = Server::start(arguments);
        create_iris(&server);
        for host in
            ["169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "100.100.100.200", "[::ffff:a9fe:a9fe]", "2852039166"]
        {
            let (status, text) = predict(&server, &format!("http://{host}/latest/meta-data"));
            assert_eq!(status, 400, "{host}");
            assert!(text.contains("--allow-fetch"), "{host}: {text}");
            assert_eq!(send_on(&server, &format!("http://{host}/")).0, sent_on, "{host}");
        }
    }
}

#[test]
fn what_an_operator_allows_is_fetched() {
    let server = Server::start(&["--host", "0.0.0.0", "--allow-fetch", "127.0.0.0/8"]);
    create_iris(&server);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/rows.csv", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        let rows = "5.1,3.5,1.4,0.2\n";
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{rows}", rows.len()).unwrap();
    });
    let (status, text) = predict(&server, &url);
    assert!(!text.contains("--allow-fetch"), "{status} {text}");
    serving.join().expect("the server connected");
}
