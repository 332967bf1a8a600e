//! A keep-alive HTTP/1.1 connection over a plain socket, for tests and load: what is sent is under the caller's control to the
//! byte, and a request costs two system calls.
//!
//! Answers must carry `Content-Length`, as those of the server do; anything else is an error, so that a test notices.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Longest wait for one answer.
const READ_TIMEOUT: Duration = Duration::from_secs(600);

/// An open connection. After an error it is of no further use.
pub struct Connection {
    stream: TcpStream,
    /// What was read beyond the last answer, and room for the next.
    buffer: Vec<u8>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// As sent, possibly compressed.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of that (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> serde_json::Result<serde_json::Value> {
        serde_json::from_slice(&self.body)
    }
}

/// The bytes of a request with a JSON body, which may be empty.
pub fn request(method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When no server listens there.
    pub fn open(address: impl ToSocketAddrs) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        Ok(Self { stream, buffer: Vec::with_capacity(1 << 16) })
    }

    /// Sends a request with a JSON body and waits for the answer.
    ///
    /// # Errors
    /// As [`Self::exchange`].
    pub fn send(&mut self, method: &str, path: &str, body: &[u8]) -> io::Result<Response> {
        self.exchange(&request(method, path, body))
    }

    /// Sends the bytes of one request and waits for the answer.
    ///
    /// # Errors
    /// When the connection breaks, no answer comes in ten minutes, or the answer is no HTTP/1.1 with `Content-Length`.
    pub fn exchange(&mut self, request: &[u8]) -> io::Result<Response> {
        self.stream.write_all(request)?;
        let head_end = loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            self.read_more()?;
        };
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).into_owned();
        let (status, headers) = parse_head(&head).ok_or_else(|| invalid(&format!("no HTTP/1.1 answer: {head:?}")))?;
        let response = Response { status, headers, body: Vec::new() };
        let length: usize = match response.header("content-length").map(str::parse) {
            // Its length is that of the body it stands for.
            _ if request.starts_with(b"HEAD ") => 0,
            Some(Ok(length)) => length,
            None if status == 204 || status == 304 => 0,
            Some(Err(_)) | None => return Err(invalid(&format!("an answer without Content-Length: {head:?}"))),
        };
        let body_start = head_end + 4;
        while self.buffer.len() < body_start + length {
            self.read_more()?;
        }
        let body = self.buffer[body_start..body_start + length].to_vec();
        self.buffer.drain(..body_start + length);
        Ok(Response { body, ..response })
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut chunk = [0; 1 << 14];
        let count = loop {
            match self.stream.read(&mut chunk) {
                // A socket with a time limit is not restarted after a signal.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
        }
        self.buffer.extend_from_slice(&chunk[..count]);
        Ok(())
    }
}

fn parse_head(head: &str) -> Option<(u16, Vec<(String, String)>)> {
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let headers = lines
        .map(|line| line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())))
        .collect::<Option<_>>()?;
    Some((status, headers))
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What a client makes of two requests to a server that sends `answer`, whatever is asked, and no more.
    fn against(answer: &str) -> [io::Result<Response>; 2] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let mut connection = Connection::open(address).expect("connected");
        let (mut stream, _) = listener.accept().expect("a client");
        stream.write_all(answer.as_bytes()).expect("sent");
        stream.shutdown(std::net::Shutdown::Write).expect("closed");
        [connection.send("GET", "/info", b""), connection.send("GET", "/info", b"")]
    }

    #[test]
    fn answers_are_split_where_they_end() {
        let [first, second] = against(
            "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nX-Dede-Served-By: a@b\r\n\r\n{\"a\":1}\
             HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
        );
        let (first, second) = (first.expect("an answer"), second.expect("an answer"));
        assert_eq!((first.status, first.header("x-dede-served-by")), (200, Some("a@b")));
        assert_eq!(first.json().expect("JSON"), serde_json::json!({"a": 1}));
        assert_eq!((second.status, second.body.as_slice()), (404, b"".as_slice()));
    }

    #[test]
    fn broken_answers_are_errors() {
        for (answer, kind) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{", io::ErrorKind::UnexpectedEof),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", io::ErrorKind::InvalidData),
            ("nonsense\r\n\r\n", io::ErrorKind::InvalidData),
        ] {
            let [first, _] = against(answer);
            assert_eq!(first.expect_err("a broken answer").kind(), kind, "{answer:?}");
        }
    }
}
