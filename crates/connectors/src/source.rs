//! Where the bytes of one `data` item come from: a URL, a file, a directory, or the string itself.
//!
//! It owns the order in which an item is resolved (contract.md 3.1) and the fetching of URLs with its bounds. It must
//! not know what the bytes mean.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use dede_core::connector::InputLimits;
use dede_core::error::{Error, Result};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// `timeout` when the request gives none, seconds.
const DEFAULT_TIMEOUT_S: u64 = 600;

/// Largest `timeout` accepted, seconds.
const MAX_TIMEOUT_S: i64 = 36_000;

/// Longer strings are no paths: Linux has no longer ones, and base64 images need not be looked up.
const MAX_PATH_BYTES: usize = 4096;

/// What one item of `data` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin<'a> {
    /// `http://`, `https://` or `file://`.
    Url(&'a str),
    /// A directory that exists.
    Directory(PathBuf),
    /// Anything else that exists under that path.
    File(PathBuf),
    /// The string is the content.
    Inline(&'a str),
}

impl<'a> Origin<'a> {
    /// Resolves an item.
    pub(crate) fn of(item: &'a str) -> Self {
        if ["http://", "https://", "file://"].iter().any(|scheme| item.starts_with(scheme)) {
            return Self::Url(item);
        }
        if item.is_empty() || item.len() > MAX_PATH_BYTES || item.contains('\0') {
            return Self::Inline(item);
        }
        match std::fs::metadata(item) {
            Ok(found) if found.is_dir() => Self::Directory(PathBuf::from(item)),
            Ok(_) => Self::File(PathBuf::from(item)),
            Err(_) => Self::Inline(item),
        }
    }
}

/// Reads a regular file of at most `max_bytes` into `buffer`, replacing what it held. Pipes and devices are refused, and so
/// is what says that it is empty: reading those may never end, `/proc/kmsg` for one.
///
/// # Errors
/// What is wrong, without the path.
pub(crate) fn read_file(path: &Path, max_bytes: u64, buffer: &mut Vec<u8>) -> Result<(), String> {
    let words = |error: std::io::Error| error.to_string();
    let metadata = std::fs::metadata(path).map_err(words)?;
    if !metadata.is_file() {
        return Err("not a regular file".to_owned());
    }
    if metadata.len() == 0 {
        return Err("an empty file".to_owned());
    }
    if metadata.len() > max_bytes {
        return Err(format!("{} bytes, at most {max_bytes} are read", metadata.len()));
    }
    buffer.clear();
    buffer.reserve(usize::try_from(metadata.len()).unwrap_or(0) + 1);
    let file = std::fs::File::open(path).map_err(words)?;
    let read = file.take(max_bytes + 1).read_to_end(buffer).map_err(words)?;
    if read as u64 > max_bytes {
        return Err(format!("more than {max_bytes} bytes"));
    }
    Ok(())
}

/// Fetches URLs within the bounds of the server and of the request.
#[derive(Debug)]
pub(crate) struct Fetcher {
    agent: ureq::Agent,
    max_bytes: u64,
}

impl Fetcher {
    /// `timeout_s` is `parameters.input.timeout`: -1, 0 or absent is the default.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the timeout is too long.
    pub(crate) fn new(limits: &InputLimits, timeout_s: Option<i64>) -> Result<Self> {
        let total = match timeout_s {
            Some(seconds) if seconds > MAX_TIMEOUT_S => {
                let reason = format!("expected at most {MAX_TIMEOUT_S} seconds, found {seconds}");
                return Err(Error::bad_input_at("parameters.input.timeout", reason));
            }
            Some(seconds) if seconds > 0 => Duration::from_secs(seconds.unsigned_abs()),
            _ => Duration::from_secs(DEFAULT_TIMEOUT_S),
        };
        // Without a proxy: behind one, addresses could not be checked here.
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(total))
            .timeout_connect(Some(total.min(Duration::from_millis(limits.connect_timeout_ms))))
            .max_redirects(limits.redirects)
            .max_redirects_will_error(true)
            .http_status_as_error(false)
            .proxy(None)
            .user_agent(concat!("dede/", env!("CARGO_PKG_VERSION")))
            .build();
        let agent = ureq::Agent::with_parts(config, DefaultConnector::default(), CheckedResolver::default());
        Ok(Self { agent, max_bytes: limits.fetch_bytes })
    }

    /// The body behind a URL; a local file for `file://`.
    ///
    /// # Errors
    /// What went wrong, naming the URL.
    pub(crate) fn fetch(&self, url: &str) -> Result<Vec<u8>, String> {
        if url.starts_with("file://") {
            return self.read_local(url);
        }
        let mut answer = self.agent.get(url).call().map_err(|error| format!("{url}: {error}"))?;
        let status = answer.status().as_u16();
        if status != 200 {
            return Err(format!("{url}: expected HTTP status 200, found {status}"));
        }
        let body = answer.body_mut().with_config().limit(self.max_bytes).read_to_vec();
        body.map_err(|error| format!("{url}: {error}"))
    }

    fn read_local(&self, url: &str) -> Result<Vec<u8>, String> {
        let parsed = url::Url::parse(url).map_err(|error| format!("{url}: {error}"))?;
        let path = parsed.to_file_path().map_err(|()| format!("{url}: expected file:// and an absolute path"))?;
        let mut content = Vec::new();
        read_file(&path, self.max_bytes, &mut content).map_err(|reason| format!("{url}: {reason}"))?;
        Ok(content)
    }
}

/// Resolves hosts, and refuses those at link-local addresses, where clouds keep their credentials. It is asked on
/// every redirect hop, and its answer is what is connected to, so a name cannot change its address in between.
#[derive(Debug, Default)]
struct CheckedResolver(DefaultResolver);

impl Resolver for CheckedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> std::result::Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.0.resolve(uri, config, timeout)?;
        match found.iter().find(|address| is_forbidden(address.ip())) {
            None => Ok(found),
            Some(address) => {
                let reason = format!("link-local and metadata addresses are refused ({})", address.ip());
                Err(ureq::Error::Io(std::io::Error::new(std::io::ErrorKind::PermissionDenied, reason)))
            }
        }
    }
}

/// Link-local (RFC 3927, RFC 4291) and the well-known metadata address that is not link-local, also where an IPv6
/// address carries an IPv4 one (mapped, or NAT64 of RFC 6052).
fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => {
            const NAT64: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];
            const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
            let embedded = || {
                let [.., a, b] = v6.segments();
                let [a, b, c, d] = ((u32::from(a) << 16) | u32::from(b)).to_be_bytes();
                Ipv4Addr::new(a, b, c, d)
            };
            v6.is_unicast_link_local()
                || v6 == METADATA
                || v6.to_ipv4_mapped().is_some_and(|v4| v4.is_link_local())
                || (v6.segments().starts_with(&NAT64) && embedded().is_link_local())
        }
    }
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

    fn fetcher(limits: InputLimits) -> Fetcher {
        Fetcher::new(&limits, Some(5)).expect("a timeout in range")
    }

    #[test]
    fn bodies_are_fetched_through_redirects() {
        let base = serve(vec![redirect("{here}/moved"), ok("pixels")]);
        assert_eq!(fetcher(InputLimits::default()).fetch(&base), Ok(b"pixels".to_vec()));
    }

    #[test]
    fn other_statuses_long_bodies_and_long_redirects_are_refused() {
        let base = serve(vec!["HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned()]);
        let refused = fetcher(InputLimits::default()).fetch(&base).expect_err("404");
        assert!(refused.contains("found 404"), "{refused}");

        let base = serve(vec![ok("0123456789")]);
        let limits = InputLimits { fetch_bytes: 9, ..InputLimits::default() };
        assert!(fetcher(limits).fetch(&base).is_err());

        let base = serve(vec![redirect("{here}/1"), redirect("{here}/2"), ok("never reached")]);
        let limits = InputLimits { redirects: 1, ..InputLimits::default() };
        assert!(fetcher(limits).fetch(&base).is_err());
    }

    #[test]
    fn a_server_that_does_not_answer_is_given_up() {
        let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", silent.local_addr().expect("bound"));
        let fetcher = Fetcher::new(&InputLimits::default(), Some(1)).expect("a timeout in range");
        let refused = fetcher.fetch(&url).expect_err("silence");
        assert!(refused.contains("timeout"), "{refused}");
    }

    #[test]
    fn metadata_addresses_are_refused_on_every_hop() {
        let direct = fetcher(InputLimits::default()).fetch("http://169.254.169.254/latest").expect_err("refused");
        assert!(direct.contains("link-local"), "{direct}");
        for to in ["http://169.254.169.254/", "http://[fe80::1]/", "http://[::ffff:169.254.169.254]/"] {
            let base = serve(vec![redirect(to)]);
            let refused = fetcher(InputLimits::default()).fetch(&base).expect_err(to);
            assert!(refused.contains("link-local"), "{refused}");
        }
    }

    #[test]
    fn forbidden_addresses() {
        for (address, forbidden) in [
            ("169.254.1.1", true),
            ("fe80::1", true),
            ("febf::1", true),
            ("fd00:ec2::254", true),
            ("::ffff:169.254.169.254", true),
            ("64:ff9b::a9fe:a9fe", true),
            ("127.0.0.1", false),
            ("10.0.0.1", false),
            ("fd00::1", false),
            ("2606:4700::1111", false),
        ] {
            assert_eq!(is_forbidden(address.parse().expect("an address")), forbidden, "{address}");
        }
    }

    #[test]
    fn items_are_resolved_in_the_order_of_the_contract() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("a.jpg");
        std::fs::write(&file, b"content").expect("written");
        let file_url = format!("file://{}", file.display());
        let (file_text, directory_text) = (file.to_str().expect("utf-8"), directory.path().to_str().expect("utf-8"));
        assert_eq!(Origin::of("https://host/a"), Origin::Url("https://host/a"));
        assert_eq!(Origin::of(file_text), Origin::File(file.clone()));
        assert_eq!(Origin::of(directory_text), Origin::Directory(directory.path().to_owned()));
        assert_eq!(Origin::of("/nonexistent/a.jpg"), Origin::Inline("/nonexistent/a.jpg"));
        assert_eq!(Origin::of("a\0b"), Origin::Inline("a\0b"));
        assert_eq!(fetcher(InputLimits::default()).fetch(&file_url), Ok(b"content".to_vec()));
        assert!(fetcher(InputLimits::default()).fetch("file:///nonexistent").is_err());
    }

    #[test]
    fn special_files_and_timeouts_out_of_range_are_refused() {
        for endless in ["/dev/zero", "/proc/kmsg"] {
            assert!(read_file(Path::new(endless), 10, &mut Vec::new()).is_err(), "{endless}");
        }
        let error = Fetcher::new(&InputLimits::default(), Some(36_001)).expect_err("too long");
        assert!(error.to_string().contains("parameters.input.timeout"), "{error}");
    }
}
