//! Aliases that point to a service of another server.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use dede_testing::http::request;
use serde_json::json;

use crate::aliases::{create, point, predict};
use crate::server::Server;

/// An address that leads to a server which may not run yet: two servers that know each other need one.
struct Gateway {
    address: SocketAddr,
    target: Arc<OnceLock<SocketAddr>>,
}

impl Gateway {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let target: Arc<OnceLock<SocketAddr>> = Arc::default();
        let known = Arc::clone(&target);
        // It ends with the tests.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (near, far) = (stream.unwrap(), TcpStream::connect(known.get().unwrap()).unwrap());
                pipe(near.try_clone().unwrap(), far.try_clone().unwrap());
                pipe(far, near);
            }
        });
        Self { address, target }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn pipe(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        // Either side may go at any time.
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
}

fn start(peer: &str, url: &str) -> Server {
    Server::start_with_peers(&[(peer, url)], &[])
}

#[test]
fn an_old_server_forwards_while_its_clients_are_repointed() {
    let prod = Server::start(&[]);
    create(&prod, "service1");
    let old = start("prod", &format!("{}/", prod.url()));
    create(&old, "service1");
    assert_eq!(point(&old, "clients", json!({"service": "service1"})).0, 200);
    let (_, own) = predict(&old, "clients");

    let route = json!({"peer": "prod", "service": "service1", "expect": "service1"});
    let (status, answer) = point(&old, "clients", route);
    assert_eq!((status, &answer["body"]["peer"]), (200, &json!("prod")), "{answer}");
    assert_eq!(old.delete("/services/service1").0, 200);
    assert_eq!(old.send("GET", "/readyz", "").status, 200);

    let body = json!({"service": "Clients", "data": ["5.1,3.5,1.4,0.2"], "unheard-of": 1}).to_string();
    let response = old.send("POST", "/predict", &body);
    let json = response.json().unwrap();
    assert_eq!((response.status, &json["head"]["service"]), (200, &json!("clients")), "{json}");
    assert_eq!(json["body"], own["body"], "the same model");
    assert!(response.header("x-dede-served-by").unwrap().starts_with("service1@sha256:"));
    assert_eq!(prod.answered_predicts(), 1);
    assert_eq!(old.answered_predicts(), 2);
    let (status, described) = old.get("/services/clients?labels=true");
    assert_eq!((status, &described["body"]["name"]), (200, &json!("service1")), "{described}");

    // What the peer refuses is refused here, in its words.
    let (status, answer) = old.post("/predict", &json!({"service": "clients", "data": []}));
    assert_eq!((status, &answer["status"]["dd_code"]), (400, &json!(1005)), "{answer}");
    assert_eq!(prod.delete("/services/service1").0, 200);
    assert_eq!(predict(&old, "clients").1["status"]["dd_code"], 1002);

    old.forget_peers();
    let old = old.kill_and_restart();
    let (status, answer) = predict(&old, "clients");
    let missing = "\"prod\" is no peer of the configuration; there are none";
    assert_eq!((status, &answer["status"]["dd_msg"]), (502, &json!(missing)), "{answer}");
    let (status, answer) = old.post("/train", &json!({"service": "clients", "data": ["x"]}));
    assert_eq!((status, &answer["status"]["dd_code"]), (400, &json!(1006)), "{answer}");
}

#[test]
fn a_peer_that_is_gone_is_a_502() {
    let prod = Server::start(&[]);
    let old = start("prod", &prod.url());
    assert_eq!(point(&old, "clients", json!({"peer": "prod", "service": "service1"})).0, 200);
    assert_eq!(predict(&old, "clients").0, 404, "it answers");
    prod.stop();
    for (status, answer) in [predict(&old, "clients"), old.get("/services/clients")] {
        assert_eq!((status, &answer["status"]["msg"]), (502, &json!("Bad Gateway")), "{answer}");
        assert!(answer["status"]["dd_msg"].as_str().unwrap().starts_with("peer prod did not answer: "), "{answer}");
    }
}

#[test]
fn a_circle_of_servers_ends_with_a_508() {
    let gateway = Gateway::open();
    let first = start("second", &gateway.url());
    let second = start("first", &first.url());
    gateway.target.set(second.address).unwrap();
    assert_eq!(point(&first, "a", json!({"peer": "second", "service": "b"})).0, 200);
    assert_eq!(point(&second, "b", json!({"peer": "first", "service": "a"})).0, 200);
    let circle = "alias a is forwarded in a circle: the request came back to this server";
    for (status, answer) in [predict(&first, "a"), first.get("/services/a")] {
        assert_eq!((status, &answer["status"]["dd_msg"]), (508, &json!(circle)), "{answer}");
    }

    // Nor does a request go on for ever that lost its marks on the way.
    let hopped = |hop: &str| {
        let body = json!({"service": "a", "data": ["1"]}).to_string();
        let plain = String::from_utf8(request("POST", "/predict", body.as_bytes())).unwrap();
        let hopped = plain.replacen("\r\n", &format!("\r\nX-Dede-Hop: {hop}\r\n"), 1);
        let response = first.connect().exchange(hopped.as_bytes()).unwrap();
        (response.status, response.json().unwrap()["status"]["dd_msg"].clone())
    };
    assert_eq!(hopped("4"), (508, json!("alias a: the request was forwarded 4 times already")));
    assert_eq!(hopped("3").1, json!("alias b: the request was forwarded 4 times already"));
}

/// A peer of a few lines, which does with each connection what it is told: it reads one request, and ends.
struct ScriptedPeer {
    url: String,
    connections: Arc<AtomicUsize>,
}

impl ScriptedPeer {
    /// `answer`: what the connection of this number is answered; `None` ends it without a byte.
    fn start(answer: impl Fn(usize) -> Option<Vec<u8>> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let connections: Arc<AtomicUsize> = Arc::default();
        let counted = Arc::clone(&connections);
        // It ends with the tests.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                read_request(&mut stream);
                if let Some(bytes) = answer(counted.fetch_add(1, Ordering::SeqCst)) {
                    stream.write_all(&bytes).unwrap();
                }
            }
        });
        Self { url, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Reads a request whose body has a length.
fn read_request(stream: &mut TcpStream) {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
}

fn whole_answer(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).into_bytes()
}

#[test]
fn a_call_whose_peer_went_away_is_made_once_more() {
    let flaky = ScriptedPeer::start(|number| (number == 1).then(|| whole_answer("{\"answered\":true}")));
    let gone = ScriptedPeer::start(|_| None);
    let busy =
        ScriptedPeer::start(|_| Some(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".into()));
    let broken = ScriptedPeer::start(|_| Some(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".into()));
    let peers = [("flaky", &flaky), ("gone", &gone), ("busy", &busy), ("broken", &broken)];
    let named: Vec<(&str, &str)> = peers.iter().map(|(name, peer)| (*name, peer.url.as_str())).collect();
    let server = Server::start_with_peers(&named, &[]);
    for ((name, peer), (status, connections)) in peers.iter().zip([(200, 2), (502, 2), (503, 1), (502, 1)]) {
        assert_eq!(point(&server, name, json!({"peer": name, "service": "s"})).0, 200);
        let body = json!({"service": name, "data": ["1"]}).to_string();
        assert_eq!(server.send("POST", "/predict", &body).status, status, "{name}");
        assert_eq!(peer.connections(), connections, "{name}");
    }
}

#[test]
fn a_call_whose_peer_went_away_goes_where_the_alias_leads_by_then() {
    let (sender, changed) = std::sync::mpsc::channel();
    let (tell, told) = std::sync::mpsc::channel();
    // It ends the connection once the alias leads elsewhere.
    let leaving = ScriptedPeer::start(move |_| {
        tell.send(()).unwrap();
        changed.recv().unwrap();
        None
    });
    let next = ScriptedPeer::start(|_| Some(whole_answer("{\"answered\":true}")));
    let server = Server::start_with_peers(&[("leaving", &leaving.url), ("next", &next.url)], &[]);
    create(&server, "service1");
    let to_leaving = json!({"peer": "leaving", "service": "s"});
    for (route, served_here) in
        [(json!({"service": "service1"}), true), (json!({"peer": "next", "service": "s"}), false)]
    {
        assert_eq!(point(&server, "clients", to_leaving.clone()).0, 200);
        let (status, answer) = std::thread::scope(|scope| {
            let asked = scope.spawn(|| predict(&server, "clients"));
            told.recv().unwrap();
            assert_eq!(point(&server, "clients", route.clone()).0, 200);
            sender.send(()).unwrap();
            asked.join().unwrap()
        });
        assert_eq!(status, 200, "{route}: {answer}");
        assert_eq!(answer["head"]["service"] == "clients", served_here, "{answer}");
    }
    assert_eq!((leaving.connections(), next.connections()), (2, 1));
}
