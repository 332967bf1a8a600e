//! Why a request to a registry failed, and whether the same request may succeed later. It knows HTTP and TLS; it must
//! not know which request it was, or how often it was made.

use std::io;
use std::time::{Duration, SystemTime};

use tokio_rustls::rustls;
use ureq::Timeout;
use ureq::http::HeaderMap;
use ureq::http::header::RETRY_AFTER;

use crate::peer::client::{BodyError, UnknownHost};

/// What may be different when the same request is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// Nothing: a refusal, or content that is wrong.
    Permanent,
    /// There is no connection to be had: the name has no address, no program listens at the port, no way leads there.
    Unreachable,
    /// A connection that broke, or a registry with too much to do, which may say how long it wants to be left alone.
    Transient(Option<Duration>),
}

/// One failed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// In words, without the registry and the request.
    pub(super) reason: String,
    /// Whether it is worth another attempt.
    pub(super) kind: FailureKind,
    /// The status, where the registry answered.
    pub(super) status: Option<u16>,
}

impl Failure {
    /// One that another attempt cannot change.
    pub(super) fn permanent(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), kind: FailureKind::Permanent, status: None }
    }

    /// One that another attempt may change.
    pub(super) fn transient(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), kind: FailureKind::Transient(None), status: None }
    }

    /// The same, for a client that cannot know yet whether there is a registry at all.
    pub(super) fn at_first_contact(mut self) -> Self {
        if self.kind == FailureKind::Unreachable {
            self.kind = FailureKind::Permanent;
        }
        self
    }

    /// No answer.
    pub(super) fn of_error(error: &ureq::Error) -> Self {
        if let ureq::Error::Io(error) = error {
            return Self { reason: error.to_string(), kind: of_io(error), status: None };
        }
        Self { reason: error.to_string(), kind: of_client(error), status: None }
    }

    /// An answer whose body cannot be read.
    pub(super) fn of_body(error: &BodyError) -> Self {
        match error {
            BodyError::BrokeOff(_) => Self::transient(error.to_string()),
            BodyError::TooLong(_) => Self::permanent(error.to_string()),
        }
    }

    /// An answer with a status that says that the request was not served.
    pub(super) fn of_answer(status: u16, headers: &HeaderMap, reason: String) -> Self {
        let kind = match status {
            429 | 503 => FailureKind::Transient(retry_after(headers, SystemTime::now())),
            408 | 500 | 502 | 504 => FailureKind::Transient(None),
            _ => FailureKind::Permanent,
        };
        Self { reason, kind, status: Some(status) }
    }
}

fn of_client(error: &ureq::Error) -> FailureKind {
    use ureq::Error::{ConnectionFailed, HostNotFound, Timeout as TimedOut};
    if matches!(error, HostNotFound | ConnectionFailed | TimedOut(Timeout::Resolve | Timeout::Connect)) {
        FailureKind::Unreachable
    } else if is_mistake(error) {
        FailureKind::Permanent
    } else {
        // Other timeouts, and answers that are no HTTP because they broke off.
        FailureKind::Transient(None)
    }
}

fn of_io(error: &io::Error) -> FailureKind {
    use io::ErrorKind::{
        AddrNotAvailable, ConnectionRefused, HostUnreachable, InvalidInput, NetworkDown, NetworkUnreachable,
        PermissionDenied,
    };
    let inner = error.get_ref();
    if inner.is_some_and(|inner| inner.is::<UnknownHost>()) {
        return FailureKind::Unreachable;
    }
    if inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some_and(is_refusal) {
        return FailureKind::Permanent;
    }
    let kind = error.kind();
    if matches!(kind, PermissionDenied | InvalidInput) {
        FailureKind::Permanent
    } else if matches!(kind, ConnectionRefused | HostUnreachable | NetworkUnreachable | NetworkDown | AddrNotAvailable)
    {
        FailureKind::Unreachable
    } else {
        FailureKind::Transient(None)
    }
}

/// Whether one end does not accept the other, in contrast to records that arrived damaged.
fn is_refusal(error: &rustls::Error) -> bool {
    use rustls::Error::{
        AlertReceived, InvalidCertRevocationList, InvalidCertificate, NoCertificatesPresented, PeerIncompatible,
        UnsupportedNameType,
    };
    matches!(
        error,
        AlertReceived(_)
            | InvalidCertRevocationList(_)
            | InvalidCertificate(_)
            | NoCertificatesPresented
            | PeerIncompatible(_)
            | UnsupportedNameType
    )
}

/// Whether the request could not be made, or its answer is beyond a limit of this client.
fn is_mistake(error: &ureq::Error) -> bool {
    matches!(error, ureq::Error::Rustls(error) if is_refusal(error))
        || matches!(
            error,
            ureq::Error::Http(_)
                | ureq::Error::BadUri(_)
                | ureq::Error::Tls(_)
                | ureq::Error::BodyExceedsLimit(_)
                | ureq::Error::LargeResponseHeader(..)
        )
}

/// RFC 9110, 10.2.3: a number of seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    Some(httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use ureq::http::HeaderValue;

    use super::*;
    use crate::peer::client::{self, AgentOptions};

    #[test]
    fn statuses_that_may_pass_are_told_from_those_that_do_not() {
        let kind = |status| Failure::of_answer(status, &HeaderMap::new(), String::new()).kind;
        for status in [408, 429, 500, 502, 503, 504] {
            assert_eq!(kind(status), FailureKind::Transient(None), "{status}");
        }
        for status in [301, 400, 401, 403, 404, 405, 409, 411, 413, 416, 501, 507] {
            assert_eq!(kind(status), FailureKind::Permanent, "{status}");
        }
    }

    #[test]
    fn errors_that_may_pass_are_told_from_those_that_do_not() {
        let io = |kind| ureq::Error::Io(io::Error::from(kind));
        let tls = |error| ureq::Error::Io(io::Error::new(io::ErrorKind::InvalidData, error));
        let certificate = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        for (error, expected) in [
            (io(io::ErrorKind::ConnectionReset), FailureKind::Transient(None)),
            (io(io::ErrorKind::UnexpectedEof), FailureKind::Transient(None)),
            (io(io::ErrorKind::BrokenPipe), FailureKind::Transient(None)),
            (io(io::ErrorKind::TimedOut), FailureKind::Transient(None)),
            (io(io::ErrorKind::ConnectionRefused), FailureKind::Unreachable),
            (io(io::ErrorKind::HostUnreachable), FailureKind::Unreachable),
            (io(io::ErrorKind::NetworkUnreachable), FailureKind::Unreachable),
            (ureq::Error::Timeout(Timeout::Connect), FailureKind::Unreachable),
            (ureq::Error::Timeout(Timeout::PerRead), FailureKind::Transient(None)),
            (io(io::ErrorKind::PermissionDenied), FailureKind::Permanent),
            (tls(certificate), FailureKind::Permanent),
            (tls(rustls::Error::DecryptError), FailureKind::Transient(None)),
            (ureq::Error::BadUri("x".to_owned()), FailureKind::Permanent),
        ] {
            let found = Failure::of_error(&error);
            assert_eq!(found.kind, expected, "{error}");
            let first = if expected == FailureKind::Unreachable { FailureKind::Permanent } else { expected };
            assert_eq!(found.at_first_contact().kind, first, "{error}");
        }
    }

    #[test]
    fn what_is_not_there_is_told_by_what_the_client_really_returns() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound");
        let agent = client::agent(&AgentOptions { ca_file: None, only_loopback: false }).expect("usable");
        for (url, expected) in [
            ("http://no-such-host.invalid/v2/".to_owned(), "no-such-host.invalid"),
            (format!("http://{closed}/v2/"), "refused"),
        ] {
            let found = Failure::of_error(&agent.get(&url).call().expect_err("nothing is there"));
            assert_eq!(found.kind, FailureKind::Unreachable, "{url}: {found:?}");
            assert!(found.reason.contains(expected), "{url}: {found:?}");
            assert_eq!(found.at_first_contact().kind, FailureKind::Permanent, "{url}");
        }
    }

    #[test]
    fn a_registry_says_how_long_it_wants_to_be_left_alone() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a date");
        for (text, expected) in [
            ("0", Some(0)),
            (" 17 ", Some(17)),
            ("Sun, 06 Nov 1994 08:50:00 GMT", Some(23)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("1.5", None),
            ("99999999999999999999", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
