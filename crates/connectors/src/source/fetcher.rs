//! Fetching URLs within the bounds of the server and of the request.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dede_model::connector::{Fetched, InputLimits};
use dede_model::egress::EgressPolicy;
use dede_model::error::{Error, Result};
use dede_model::quote::quote;
use dede_model::request_memory::MemoryShare;
use dede_storage::FileAccess;

use super::{is_remote, local_path, outbound, read_file};

/// URLs of one request fetched at once.
const FETCHES: usize = 8;

/// `timeout` when the request gives none, seconds.
const DEFAULT_TIMEOUT_S: u64 = 600;

/// Largest `timeout` accepted, seconds.
const MAX_TIMEOUT_S: i64 = 36_000;

/// Why there are no bytes.
#[derive(Debug)]
pub(crate) enum Unfetched {
    /// What is wrong with the place or with what is there.
    Wrong(String),
    /// There is no memory for it.
    Memory(Error),
}

impl From<Error> for Unfetched {
    fn from(error: Error) -> Self {
        Self::Memory(error)
    }
}

impl From<String> for Unfetched {
    fn from(reason: String) -> Self {
        Self::Wrong(reason)
    }
}

impl Unfetched {
    /// As an error of the request.
    pub(crate) fn or(self, complaint: impl FnOnce(String) -> Error) -> Error {
        match self {
            Self::Wrong(reason) => complaint(reason),
            Self::Memory(error) => error,
        }
    }

    /// With the place before the reason.
    pub(crate) fn at(self, place: &str) -> Self {
        match self {
            Self::Wrong(reason) => Self::Wrong(format!("{place}: {reason}")),
            Self::Memory(error) => Self::Memory(error),
        }
    }
}

/// Fetches URLs within the bounds of the server and of the request.
#[derive(Debug)]
pub(crate) struct Fetcher {
    connect_timeout: Duration,
    redirects: u32,
    egress: EgressPolicy,
    /// For all that one request names.
    total: Duration,
    max_bytes: u64,
    files: FileAccess,
}

impl Fetcher {
    /// `timeout_s` is `parameters.input.timeout`: -1 or absent is the default.
    ///
    /// # Errors
    /// [`Error::BadInput`] for a timeout that is too long, and for one within which nothing can be fetched.
    pub(crate) fn new(limits: &InputLimits, timeout_s: Option<i64>) -> Result<Self> {
        let total = match timeout_s {
            None | Some(-1) => Duration::from_secs(DEFAULT_TIMEOUT_S),
            Some(seconds @ 1..=MAX_TIMEOUT_S) => Duration::from_secs(seconds.unsigned_abs()),
            Some(seconds) => {
                let reason = format!(
                    "expected at most {MAX_TIMEOUT_S} seconds, at least 1, or -1 for {DEFAULT_TIMEOUT_S}, found {seconds}"
                );
                return Err(Error::bad_input_at("parameters.input.timeout", reason));
            }
        };
        let total = total.min(Duration::from_millis(limits.fetch_timeout_ms));
        Ok(Self {
            connect_timeout: total.min(Duration::from_millis(limits.connect_timeout_ms)),
            redirects: limits.redirects,
            egress: limits.egress.clone(),
            total,
            max_bytes: limits.fetch_bytes,
            files: limits.files.clone(),
        })
    }

    /// The bodies behind the items of a request that are URLs of other machines, a few at once. They count in `memory`.
    ///
    /// # Errors
    /// What went wrong with the first of them, in order, as `complaint` says it; that there is no memory for them.
    pub(crate) fn fetch_all(
        &self,
        data: &[String],
        memory: &MemoryShare,
        complaint: impl Fn(String) -> Error,
    ) -> Result<Fetched> {
        let remote: Vec<usize> = (0..data.len()).filter(|&index| is_remote(&data[index])).collect();
        if remote.is_empty() {
            return Ok(Fetched::default());
        }
        let deadline = Instant::now() + self.total;
        let agent = self.agent();
        let fetching = agent.clone();
        memory.caller().when_gone(move || fetching.shutdown());
        let bodies = on_threads(remote.len(), |at| self.fetch(&agent, &data[remote[at]], deadline, memory));
        let pairs = remote.into_iter().zip(bodies);
        pairs.map(|(index, body)| Ok((index, body.map_err(|failure| failure.or(&complaint))?))).collect()
    }

    /// The connections of one request, which end with it.
    fn agent(&self) -> ureq::Agent {
        let config = ureq::Agent::config_builder()
            .timeout_resolve(Some(self.connect_timeout))
            .timeout_connect(Some(self.connect_timeout))
            .max_redirects(self.redirects)
            .max_redirects_will_error(true)
            .http_status_as_error(false)
            .user_agent(concat!("dede/", env!("CARGO_PKG_VERSION")));
        outbound::agent(config, self.egress.clone())
    }

    fn fetch(
        &self,
        agent: &ureq::Agent,
        url: &str,
        deadline: Instant,
        memory: &MemoryShare,
    ) -> Result<Vec<u8>, Unfetched> {
        let shown = quote(url);
        let wrong = |reason: String| Unfetched::Wrong(format!("{shown}: {reason}"));
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(wrong("no time is left to fetch it (--fetch-timeout)".to_owned()));
        }
        let request = agent.get(url).config().timeout_global(Some(left)).build();
        let answer = request.call().map_err(|error| wrong(error.to_string()))?;
        let status = answer.status().as_u16();
        if status != 200 {
            return Err(wrong(format!("expected HTTP status 200, found {status}")));
        }
        memory.read(answer.into_body().into_reader(), self.max_bytes).map_err(|unread| unread.or(wrong))
    }

    /// The content of a file that a `file://` URL names. It counts in `memory`.
    ///
    /// # Errors
    /// What went wrong, naming the URL, or that there is no memory for it.
    pub(crate) fn read_local(&self, url: &str, memory: &MemoryShare) -> Result<Vec<u8>, Unfetched> {
        let path = local_path(url, &self.files)?;
        let mut content = Vec::new();
        read_file(&self.files, &path, self.max_bytes, &mut content, memory)
            .map_err(|failure| failure.at(&quote(url)))?;
        Ok(content)
    }
}

/// Works on so many items on a few threads of their own, in order.
fn on_threads<R: Send>(items: usize, work: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let run = || {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= items {
                    return done;
                }
                done.push((at, work(at)));
            }
        };
        let threads: Vec<_> = (1..FETCHES.min(items)).map(|_| scope.spawn(run)).collect();
        let mut done = run();
        let joined =
            |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        done.extend(threads.into_iter().flat_map(joined));
        done
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::*;

    /// Answers one connection per answer, in order, on a free loopback port.
    fn serve(answers: Vec<String>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("bound"));
        let here = base.clone();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().expect("a client");
                let mut request = BufReader::new(stream.try_clone().expect("a clone"));
                let mut line = String::new();
                while request.read_line(&mut line).expect("a request") > 2 {
                    line.clear();
                }
                let answer = answer.replace("{here}", &here);
                stream.write_all(answer.as_bytes()).expect("an open connection");
            }
        });
        base
    }

    fn ok(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    }

    fn redirect(to: &str) -> String {
        format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    }

    impl Fetcher {
        fn fetched(&self, url: &str) -> Result<Vec<u8>, String> {
            let memory = MemoryShare::unbounded();
            if !is_remote(url) {
                return self.read_local(url, &memory).map_err(|failure| failure.or(Error::bad_input).to_string());
            }
            let fetched = self.fetch_all(&[url.to_owned()], &memory, Error::bad_input);
            fetched.map(|fetched| fetched.get(0).expect("fetched").to_vec()).map_err(|error| error.to_string())
        }
    }

    fn fetcher(limits: InputLimits) -> Fetcher {
        Fetcher::new(&limits, Some(5)).expect("a timeout in range")
    }

    #[test]
    fn bodies_are_fetched_through_redirects() {
        let base = serve(vec![redirect("{here}/moved"), ok("pixels")]);
        assert_eq!(fetcher(InputLimits::default()).fetched(&base), Ok(b"pixels".to_vec()));
    }

    #[test]
    fn other_statuses_long_bodies_and_long_redirects_are_refused() {
        let base = serve(vec!["HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned()]);
        let refused = fetcher(InputLimits::default()).fetched(&base).expect_err("404");
        assert!(refused.contains("found 404"), "{refused}");

        let base = serve(vec![ok("0123456789")]);
        let limits = InputLimits { fetch_bytes: 9, ..InputLimits::default() };
        assert!(fetcher(limits).fetched(&base).is_err());

        let base = serve(vec![redirect("{here}/1"), redirect("{here}/2"), ok("never reached")]);
        let limits = InputLimits { redirects: 1, ..InputLimits::default() };
        assert!(fetcher(limits).fetched(&base).is_err());
    }

    #[test]
    fn a_server_that_does_not_answer_is_given_up() {
        let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", silent.local_addr().expect("bound"));
        let fetcher = Fetcher::new(&InputLimits::default(), Some(1)).expect("a timeout in range");
        let refused = fetcher.fetched(&url).expect_err("silence");
        assert!(refused.contains("timeout"), "{refused}");
    }

    #[test]
    fn addresses_are_checked_on_every_hop() {
        let direct = fetcher(InputLimits::default()).fetched("http://169.254.169.254/latest").expect_err("refused");
        assert!(direct.contains(outbound::REFUSED), "{direct}");
        for to in
            ["http://169.254.169.254/", "http://[fe80::1]/", "http://[::ffff:169.254.169.254]/", "http://2852039166/"]
        {
            let base = serve(vec![redirect(to)]);
            let refused = fetcher(InputLimits::default()).fetched(&base).expect_err(to);
            assert!(refused.contains(outbound::REFUSED), "{refused}");
        }
    }

    #[test]
    fn a_server_beyond_loopback_sends_no_packet_to_its_own_machine() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let closed = InputLimits { egress: EgressPolicy::new(false, Vec::new()), ..InputLimits::default() };
        for host in ["127.0.0.1", "localhost", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"] {
            let refused = fetcher(closed.clone()).fetched(&format!("http://{host}:{port}/")).expect_err(host);
            assert!(refused.contains(outbound::REFUSED), "{refused}");
        }
        listener.set_nonblocking(true).expect("set");
        assert!(listener.accept().is_err(), "somebody connected");
    }

    #[test]
    fn local_files_are_read_and_timeouts_out_of_range_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("a.jpg");
        std::fs::write(&file, b"content").expect("written");
        let url = format!("file://{}", file.display());
        assert_eq!(fetcher(InputLimits::default()).fetched(&url), Ok(b"content".to_vec()));
        assert!(fetcher(InputLimits::default()).fetched("file:///nonexistent").is_err());
        let error = Fetcher::new(&InputLimits::default(), Some(36_001)).expect_err("too long");
        assert!(error.to_string().contains("parameters.input.timeout"), "{error}");
    }
}
