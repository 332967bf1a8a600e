//! The client against registries that answer as they are told: what it makes of broken connections, wrong parts and redirects.

mod download;
mod requests;
mod upload;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::*;

/// One request as a registry sees it.
#[derive(Debug, Clone)]
struct Asked {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    /// Bytes of its body.
    length: usize,
}

impl Asked {
    /// Nothing where the client left before the end.
    fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut this = Self::read_head(stream)?;
        let announced = this.header("content-length").map_or(0, |length| length.parse().expect("a length"));
        let mut piece = vec![0; 64 << 10];
        while this.length < announced {
            this.length += stream.read(&mut piece).ok().filter(|count| *count > 0)?;
        }
        Some(this)
    }

    /// With as much of its body as came along.
    fn read_head(stream: &mut TcpStream) -> Option<Self> {
        let (mut received, mut piece) = (Vec::new(), vec![0; 64 << 10]);
        let end = loop {
            if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
            received.extend_from_slice(&piece[..count]);
        };
        let head = String::from_utf8(received[..end].to_vec()).expect("a head in text");
        let mut lines = head.lines();
        let mut first = lines.next().expect("a first line").split(' ').map(str::to_owned);
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        let (method, path) = (first.next().expect("a method"), first.next().expect("a path"));
        Some(Self { method, path, headers, length: received.len() - end })
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// Listens until the test process ends; each answer ends its connection.
struct Scripted {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Scripted {
    /// `answer` gives the bytes of each answer; none is a connection that breaks. `GET /v2/` is answered by itself.
    fn start(mut answer: impl FnMut(&Asked) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let seen = Arc::clone(&asked);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let Some(asked) = Asked::read(&mut stream) else { continue };
                let bytes = if asked.path == "/v2/" { reply("200 OK", &[], b"{}") } else { answer(&asked) };
                if asked.path != "/v2/" {
                    seen.lock().expect("no panic").push(asked);
                }
                // A client that has seen enough leaves.
                let _ = stream.write_all(&bytes);
            }
        });
        Self { address, asked }
    }

    /// What was asked so far, but for `GET /v2/`.
    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no panic").clone()
    }

    /// The repository `a`, with so many attempts.
    fn registry(&self, attempts: u32) -> Registry {
        self.connect(attempts).expect("a registry")
    }

    fn connect(&self, attempts: u32) -> Result<Registry, String> {
        let url = PeerUrl::parse(&format!("http://{}", self.address)).expect("a URL");
        let endpoint = Endpoint {
            registry: &url,
            repository: "a".parse().expect("a name"),
            credentials: None,
            agent: AgentOptions { ca_file: None, only_loopback: true },
        };
        Registry::connect(endpoint, Scope::Pull, &Retry { attempts, report: Arc::new(|_| {}) })
    }
}

fn reply(status: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for header in headers {
        head.push_str(&format!("{header}\r\n"));
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

/// An answer that breaks off so many bytes before its end.
fn cut(mut reply: Vec<u8>, missing: usize) -> Vec<u8> {
    reply.truncate(reply.len() - missing);
    reply
}
