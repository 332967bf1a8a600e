//! Clients that open more connections than they need: others find a place.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpSocket;

use super::honest::Honest;
use crate::models::waiting_move;
use crate::server::{Server, eventually};

const ALL: usize = 64;
const PER_ADDRESS: usize = ALL / 8;

/// A connection from an address of the loopback network.
fn connect(server: &Server, from: u8) -> std::io::Result<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stream = runtime.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, from)), 0))?;
        socket.connect(server.address).await?.into_std()
    })?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    Ok(stream)
}

/// The status of one request on a connection; nothing where the server closed it.
fn ask(stream: &mut TcpStream, path: &str) -> Option<u16> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = [0; 4096];
    let read = stream.read(&mut answer).ok()?;
    std::str::from_utf8(&answer[..read]).ok()?.get(9..12)?.parse().ok()
}

#[test]
fn one_address_keeps_no_other_out() {
    let server = Server::start(&["--max-connections", &ALL.to_string()]);
    let _honest = Honest::beside(&server);
    let idle: Vec<TcpStream> = (0..10 * ALL).filter_map(|_| connect(&server, 2).ok()).collect();
    for from in 3..9 {
        let mut honest = connect(&server, from).unwrap();
        assert_eq!(ask(&mut honest, "/info"), Some(200), "127.0.0.{from}");
    }
    // The one that has too many gets places back for those that are idle for longest.
    eventually("its own next connection is served", || ask(&mut connect(&server, 2).unwrap(), "/info") == Some(200));
    drop(idle);
}

#[test]
fn idle_connections_of_many_addresses_go_where_places_run_short() {
    let server = Server::start(&["--max-connections", &ALL.to_string()]);
    let _honest = Honest::beside(&server);
    let mut idle: Vec<TcpStream> =
        (0..ALL * 2).filter_map(|number| connect(&server, 2 + (number / PER_ADDRESS) as u8).ok()).collect();
    let used = idle.iter_mut().filter_map(|stream| ask(stream, "/info")).count();
    assert!(used >= ALL / 2, "{used} of them have a place");
    let mut honest = connect(&server, 200).unwrap();
    assert_eq!(ask(&mut honest, "/info"), Some(200));
    assert_eq!(ask(&mut honest, "/healthz"), Some(200), "it stays open");
}

/// A connection on which something goes on is not idle.
#[test]
fn what_goes_on_is_not_interrupted() {
    let (_source, server) = waiting_move(&["--max-connections", "16"]);
    let mut events = connect(&server, 2).unwrap();
    assert_eq!(ask(&mut events, "/moves/m1/events"), Some(200));
    let others: Vec<TcpStream> = (0..100).filter_map(|number| connect(&server, 10 + number).ok()).collect();
    let mut honest = connect(&server, 200).unwrap();
    assert_eq!(ask(&mut honest, "/info"), Some(200));
    assert_eq!(server.post("/moves/m1/abort", &json!({})).0, 200);
    let (mut rest, mut piece) = (String::new(), [0; 4096]);
    while !rest.contains("\"aborted\"") {
        let read = events.read(&mut piece).unwrap();
        assert!(read > 0, "it was closed: {rest}");
        rest.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    drop(others);
}
