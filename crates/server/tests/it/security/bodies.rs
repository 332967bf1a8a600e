//! Case 6: a body in a million pieces costs no memory.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::{ask, create_iris};
use crate::server::Server;

/// A request whose body of `pieces` pieces, each of `size` bytes, is chunked; gives the status.
fn send_chunked(server: &Server, pieces: usize, size: usize) -> u16 {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    let piece = format!("{size:x}\r\n{}\r\n", " ".repeat(size));
    let batch = piece.repeat(1000);
    for _ in 0..pieces / 1000 {
        // A server that has seen enough may close.
        if stream.write_all(batch.as_bytes()).is_err() {
            break;
        }
    }
    let _ = stream.write_all(b"0\r\n\r\n");
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    std::str::from_utf8(&head[9..]).unwrap().parse().unwrap()
}

#[test]
fn a_body_in_many_pieces_is_refused_and_costs_no_memory() {
    let server = Server::start(&[]);
    create_iris(&server);
    assert_eq!(send_chunked(&server, 60_000, 1), 400, "not JSON, but read to its end");
    assert_eq!(send_chunked(&server, 100_000, 50), 400, "this too");
    assert!(!server.log().contains("too small pieces"), "{}", server.log());
    let before = server.resident_kb();
    assert_eq!(send_chunked(&server, 3_000_000, 1), 400);
    assert!(server.log().contains("the body comes in too small pieces"), "{}", server.log());
    let grown = server.peak_kb().saturating_sub(before);
    assert!(grown < 32 << 10, "{grown} kB more for 3 MB");
}

#[test]
fn announced_sizes_are_not_believed() {
    let server = Server::start(&[]);
    let before = server.resident_kb();
    for length in ["9223372036854775808", "18446744073709551615", "99999999999999999999", "-1", "0x10", "1, 2"] {
        let mut stream = TcpStream::connect(server.address).unwrap();
        write!(stream, "POST /predict HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n")
            .unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        assert!(head.starts_with(b"HTTP/1.1 4"), "{length}: {}", String::from_utf8_lossy(&head));
    }
    assert!(server.peak_kb() < before + (32 << 10));
    let both = "Transfer-Encoding: chunked\r\n";
    let response = ask(&server, "POST", "/predict", both, b"0\r\n\r\n");
    assert!((400..500).contains(&response.status), "two lengths are one too many: {}", response.status);
}
