//! An HTTP client for one peer: its certificates, its token, bounds on time and size.
//!
//! The token goes to that peer alone: redirects are not followed, proxies are not used, and over plain http it goes to this machine
//! only, or where the configuration says so.

use std::error::Error;
use std::fmt;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use ureq::config::Config;
use ureq::http::header::AUTHORIZATION;
use ureq::http::{Method, Request, Response, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, AsSendBody, Body};

use super::{Peer, PeerName, PeerUrl};
use crate::token::Token;

/// Longest time to find the peer and connect to it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest pause while a body is sent or received; how long the whole takes is the caller's business.
const PAUSE: Duration = Duration::from_secs(60);
/// Longest time until an answer begins: the peer may be loading a model.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);
/// Largest head of an answer, bytes.
const HEAD_LIMIT: usize = 64 << 10;
/// Largest file with certificates, bytes.
const CA_LIMIT: u64 = 1 << 20;

/// How a server is spoken to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AgentOptions<'a> {
    /// Certificates that vouch for it, instead of the well-known ones.
    pub(crate) ca_file: Option<&'a Path>,
    /// Its name may lead to this machine only.
    pub(crate) only_loopback: bool,
}

/// Sends requests within bounds of time; follows no redirect, uses no proxy.
///
/// # Errors
/// A sentence: the certificates cannot be read.
pub(crate) fn agent(options: &AgentOptions<'_>) -> Result<Agent, String> {
    let config = Agent::config_builder()
        .timeout_resolve(Some(CONNECT_TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(ANSWER_TIMEOUT))
        .timeout_per_read(Some(PAUSE))
        .timeout_per_write(Some(PAUSE))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .max_response_header_size(HEAD_LIMIT)
        .proxy(None)
        .user_agent(concat!("dede/", env!("CARGO_PKG_VERSION")))
        .tls_config(TlsConfig::builder().root_certs(roots(options.ca_file)?).build())
        .build();
    let resolver = PeerResolver { only_loopback: options.only_loopback };
    Ok(Agent::with_parts(config, DefaultConnector::default(), resolver))
}

/// Why the body of an answer was not read.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// It did not come to its end.
    BrokeOff(io::Error),
    /// It has more bytes than these.
    TooLong(u64),
}

impl fmt::Display for BodyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BrokeOff(error) => write!(formatter, "its answer broke off: {error}"),
            Self::TooLong(limit) => write!(formatter, "expected an answer of at most {limit} bytes"),
        }
    }
}

/// The body of an answer, inflated, of at most `limit` bytes.
///
/// # Errors
/// [`BodyError`].
pub(crate) fn bounded(answer: Response<Body>, limit: u64) -> Result<Vec<u8>, BodyError> {
    let mut bytes = Vec::new();
    let mut body = answer.into_body();
    let read = body.as_reader().take(limit.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(BodyError::BrokeOff)?;
    if bytes.len() as u64 > limit { Err(BodyError::TooLong(limit)) } else { Ok(bytes) }
}

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) struct Unanswered {
    /// A sentence with the peer's name.
    pub(crate) reason: String,
    /// There was no connection to be had, or it ended before the head of an answer had come.
    pub(crate) is_gone: bool,
}

/// Whether an error says that the other side is not there, or went away before it answered. One that takes too long, or that one end
/// does not accept, is there.
fn is_gone(error: &ureq::Error) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, NetworkDown,
        NetworkUnreachable, NotConnected, UnexpectedEof,
    };
    let ureq::Error::Io(error) = error else { return matches!(error, ureq::Error::ConnectionFailed) };
    matches!(
        error.kind(),
        BrokenPipe
            | ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | NetworkDown
            | NetworkUnreachable
            | NotConnected
            | UnexpectedEof
    )
}

/// Talks to one peer over connections that are kept.
#[derive(Debug, Clone)]
pub(crate) struct PeerClient {
    name: PeerName,
    url: PeerUrl,
    agent: Agent,
    only_loopback: bool,
    token: Option<Token>,
}

impl PeerClient {
    /// Reads the peer's token and certificates.
    ///
    /// # Errors
    /// A sentence: a file cannot be read, or the token would go over plain http to another machine.
    pub(crate) fn new(peer: &Peer) -> Result<Self, String> {
        let failed = |reason: String| format!("{}: {reason}", peer.name);
        let token = peer.token_file.as_deref().map(Token::read).transpose().map_err(failed)?;
        let may_be_plain = peer.plain_http || peer.url.is_loopback();
        if token.is_some() && peer.url.is_plain() && !may_be_plain {
            return Err(failed(format!(
                "the token is not sent over plain http to {}: use https, or set plain_http = true",
                peer.url
            )));
        }
        let only_loopback = peer.url.is_plain() && !peer.plain_http && token.is_some();
        let agent = agent(&AgentOptions { ca_file: peer.ca_file.as_deref(), only_loopback }).map_err(failed)?;
        Ok(Self { name: peer.name.clone(), url: peer.url.clone(), agent, only_loopback, token })
    }

    /// The same client without the connections that were kept: the next request opens its own.
    pub(crate) fn afresh(&self) -> Self {
        let resolver = PeerResolver { only_loopback: self.only_loopback };
        let agent = Agent::with_parts(self.agent.config().clone(), DefaultConnector::default(), resolver);
        Self { agent, ..self.clone() }
    }

    /// Sends a request without a body.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub(crate) fn get(&self, path: &str) -> Result<Response<Body>, String> {
        self.send(Method::GET, path, &[], ())
    }

    /// Sends a request to a path of the peer, percent-encoded already. Every status but a redirect is an answer; its body is to be
    /// read with a limit ([`Self::bytes`]).
    ///
    /// # Errors
    /// A sentence with the peer's name.
    pub(crate) fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl AsSendBody,
    ) -> Result<Response<Body>, String> {
        self.attempt(method, path, headers, body).map_err(|unanswered| unanswered.reason)
    }

    /// As [`Self::send`].
    ///
    /// # Errors
    /// [`Unanswered`].
    pub(crate) fn attempt(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl AsSendBody,
    ) -> Result<Response<Body>, Unanswered> {
        let failed = |reason: &str, is_gone| Unanswered { reason: self.failure(path, reason), is_gone };
        let mut request = Request::builder().method(method).uri(self.url.join(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.bearer());
        }
        let request = request.body(body).map_err(|error| failed(&error.to_string(), false))?;
        let answer = self.agent.run(request).map_err(|error| failed(&error.to_string(), is_gone(&error)))?;
        if answer.status().is_redirection() {
            return Err(failed("it answers with a redirect; its url in the configuration is not its own", false));
        }
        Ok(answer)
    }

    /// The body of an answer, inflated, of at most `limit` bytes.
    ///
    /// # Errors
    /// A sentence with the peer's name.
    pub(crate) fn bytes(&self, answer: Response<Body>, limit: u64) -> Result<Vec<u8>, String> {
        bounded(answer, limit).map_err(|error| format!("{}: {error}", self.name))
    }

    fn failure(&self, path: &str, reason: &str) -> String {
        format!("{} ({}): {reason}", self.name, self.url.join(path))
    }
}

fn roots(ca_file: Option<&Path>) -> Result<RootCerts, String> {
    let Some(file) = ca_file else { return Ok(RootCerts::WebPki) };
    let unreadable = |error: io::Error| format!("cannot read the certificates in {}: {error}", file.display());
    let mut pem = Vec::new();
    std::fs::File::open(file).and_then(|file| file.take(CA_LIMIT).read_to_end(&mut pem)).map_err(unreadable)?;
    let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
            Ok(_) => None,
            Err(error) => Some(Err(format!("{}: {error}", file.display()))),
        })
        .collect::<Result<_, _>>()?;
    if certificates.is_empty() {
        return Err(format!("{}: expected certificates in PEM, found none", file.display()));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

/// Resolves the peer's host. Where the token may go to this machine only, so must the name: `localhost` is a name like others.
#[derive(Debug)]
struct PeerResolver {
    only_loopback: bool,
}

impl Resolver for PeerResolver {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = match DefaultResolver::default().resolve(uri, config, timeout) {
            Err(ureq::Error::Io(error)) => return Err(UnknownHost::error(uri.host().unwrap_or_default(), &error)),
            resolved => resolved?,
        };
        if self.only_loopback && !found.iter().all(|address| address.ip().to_canonical().is_loopback()) {
            let reason = "the token is sent over plain http to this machine only";
            return Err(ureq::Error::Io(io::Error::new(io::ErrorKind::PermissionDenied, reason)));
        }
        Ok(found)
    }
}

/// A name without an address. The system says so in words alone, so that nothing else tells it from a connection that broke.
#[derive(Debug)]
pub(crate) struct UnknownHost(String);

impl UnknownHost {
    fn error(host: &str, error: &io::Error) -> ureq::Error {
        ureq::Error::Io(io::Error::other(Self(format!("no address of {host}: {error}"))))
    }
}

impl fmt::Display for UnknownHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Error for UnknownHost {}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::path::PathBuf;

    use super::*;

    /// Answers one request with these bytes; gives the URL and what was asked.
    fn serve(answer: Vec<u8>) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let asked = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = Vec::new();
            while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                let mut piece = [0; 4096];
                let count = stream.read(&mut piece).expect("a request");
                request.extend_from_slice(&piece[..count]);
            }
            // A client that has seen enough leaves.
            let _ = stream.write_all(&answer);
            String::from_utf8(request).expect("text")
        });
        (url, asked)
    }

    fn peer(url: &str, token_file: Option<PathBuf>) -> Peer {
        let name = PeerName::parse("dev").expect("a name");
        Peer { name, url: PeerUrl::parse(url).expect("a URL"), token_file, ca_file: None, plain_http: false }
    }

    fn token_in(directory: &tempfile::TempDir) -> PathBuf {
        let file = directory.path().join("token");
        std::fs::write(&file, "a-secret-of-the-peer\n").expect("written");
        file
    }

    #[test]
    fn a_redirect_is_an_error_and_the_token_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let elsewhere = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let place = elsewhere.local_addr().expect("bound");
        for status in ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
            let head = format!("HTTP/1.1 {status}\r\nLocation: http://{place}/\r\nContent-Length: 0\r\n\r\n");
            let (url, asked) = serve(head.into_bytes());
            let client = PeerClient::new(&peer(&url, Some(token_in(&directory)))).expect("usable");
            let reason = client.get("/info").expect_err("a redirect");
            assert!(reason.contains("dev") && reason.contains("redirect") && !reason.contains("secret"), "{reason}");
            let asked = asked.join().expect("asked").to_ascii_lowercase();
            assert!(asked.contains("authorization: bearer a-secret-of-the-peer\r\n"), "{asked}");
        }
        elsewhere.set_nonblocking(true).expect("set");
        assert!(elsewhere.accept().is_err(), "the redirect was followed");
    }

    #[test]
    fn a_token_goes_over_plain_http_to_this_machine_or_where_it_may() {
        let directory = tempfile::tempdir().expect("a directory");
        let with_token = |url: &str| peer(url, Some(token_in(&directory)));
        for (peer, expected) in [
            (with_token("http://127.0.0.1:1"), true),
            (with_token("http://localhost:1"), true),
            (with_token("https://dev.example"), true),
            (with_token("http://dev.example"), false),
            (with_token("http://10.0.0.1"), false),
            (Peer { plain_http: true, ..with_token("http://dev.example") }, true),
            (peer("http://dev.example", None), true),
        ] {
            let made = PeerClient::new(&peer);
            assert_eq!(made.is_ok(), expected, "{}", peer.url);
            if let Err(reason) = made {
                assert!(reason.contains("plain_http = true"), "{reason}");
            }
        }
    }

    #[test]
    fn answers_are_bounded_after_inflating() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&vec![b' '; 64 << 20]).expect("a vector takes all");
        let bomb = gzip.finish().expect("finishes");
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", bomb.len());
        let (url, _) = serve([head.as_bytes(), &bomb].concat());
        let client = PeerClient::new(&peer(&url, None)).expect("usable");
        let answer = client.get("/v2/").expect("an answer");
        let reason = client.bytes(answer, 4 << 20).expect_err("a bomb");
        assert!(reason.contains("at most 4194304 bytes"), "{reason}");
    }

    #[test]
    fn unusable_certificates_and_dead_peers_are_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("ca.pem");
        std::fs::write(&file, "no certificate").expect("written");
        let wrong = Peer { ca_file: Some(file), ..peer("https://dev", None) };
        let reason = PeerClient::new(&wrong).expect_err("no certificate");
        assert!(reason.contains("dev: ") && reason.contains("ca.pem"), "{reason}");
        let closed = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound");
        let client = PeerClient::new(&peer(&format!("http://{closed}"), None)).expect("usable");
        let Unanswered { reason, is_gone } =
            client.attempt(Method::GET, "/info", &[], ()).expect_err("nothing listens there");
        assert!(reason.starts_with("dev (http://127.0.0.1:") && is_gone, "{reason}");
    }

    #[test]
    fn a_peer_that_went_away_is_told_from_one_that_is_there() {
        let io = |kind| ureq::Error::Io(io::Error::from(kind));
        for (error, expected) in [
            (io(io::ErrorKind::ConnectionRefused), true),
            (io(io::ErrorKind::ConnectionReset), true),
            (io(io::ErrorKind::BrokenPipe), true),
            (io(io::ErrorKind::UnexpectedEof), true),
            (io(io::ErrorKind::HostUnreachable), true),
            (ureq::Error::ConnectionFailed, true),
            (io(io::ErrorKind::TimedOut), false),
            (io(io::ErrorKind::PermissionDenied), false),
            (io(io::ErrorKind::InvalidData), false),
            (UnknownHost::error("dev", &io::Error::other("none")), false),
            (ureq::Error::Timeout(ureq::Timeout::Connect), false),
            (ureq::Error::Timeout(ureq::Timeout::RecvResponse), false),
            (ureq::Error::LargeResponseHeader(2, 1), false),
        ] {
            assert_eq!(is_gone(&error), expected, "{error}");
        }
    }

    #[test]
    fn what_the_client_really_returns_tells_a_lost_connection_from_an_answer() {
        for (answer, expected) in [
            (&b""[..], Some(true)),
            (b"HTTP/1.1 200 OK\r\nContent-Le", Some(true)),
            (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", None),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", None),
        ] {
            let (url, _) = serve(answer.to_vec());
            let client = PeerClient::new(&peer(&url, None)).expect("usable").afresh();
            let outcome = client.attempt(Method::POST, "/predict", &[], &b"{}"[..]);
            let found = outcome.err().map(|unanswered| unanswered.is_gone);
            assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(answer));
        }
    }
}
