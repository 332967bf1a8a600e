//! Bytes on a connection.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::run;
use crate::server::Server;

#[test]
fn bytes_of_any_kind_are_answered_or_closed() {
    let server = Server::start(&[]);
    let originals: Vec<Vec<u8>> = [
        "GET /info HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /services/a?status=1 HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n",
        "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 26\r\n\r\n{\"service\":\"a\",\"data\":[1]}",
        "POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n",
        "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\u{8}x",
        "PUT /v2/a/blobs/uploads/x?digest=sha256:00 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
        "GET /moves/m1/events HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-1\r\nExpect: 100-continue\r\n\r\n",
        "DELETE /services/a?clear=full HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\nGET /info HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    run("raw HTTP", &server, |random| {
        let bytes = random.mutant(&originals);
        let mut stream = TcpStream::connect(server.address).unwrap();
        // What is no whole request is waited for by the server, not by this test.
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let _ = stream.write_all(&bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        let head = String::from_utf8_lossy(&answer[..answer.len().min(12)]).into_owned();
        assert!(answer.is_empty() || head.starts_with("HTTP/1."), "{head:?} to {shown:?}");
        assert!(!head.ends_with("500"), "{shown:?}: {}", String::from_utf8_lossy(&answer));
    });
}
