//! Why a request to a registry failed, and whether the same request may succeed later. Knows HTTP and TLS; which request it was, and
//! how often it was made, is the caller's business.

use std::io;
use std::time::{Duration, SystemTime};

use tokio_rustls::rustls;
use ureq::http::HeaderMap;
use ureq::http::header::RETRY_AFTER;

/// What may be different when the same request is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outlook {
    /// Nothing: a refusal, or content that is wrong.
    Final,
    /// There is no connection to be had; a name that does not exist or a port where no program listens looks like this too.
    Absent,
    /// A connection that broke, or a registry with too much to do, which may say how long it wants to be left alone.
    Passing(Option<Duration>),
}

/// One failed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// In words, without the registry and the request.
    pub(super) reason: String,
    /// Whether it is worth another attempt.
    pub(super) outlook: Outlook,
    /// The status, where the registry answered.
    pub(super) status: Option<u16>,
}

impl Failure {
    /// One that another attempt cannot change.
    pub(super) fn last(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), outlook: Outlook::Final, status: None }
    }

    /// One that another attempt may change.
    pub(super) fn passing(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), outlook: Outlook::Passing(None), status: None }
    }

    /// The same, seen by a client that has no reason to believe that there is a registry at all.
    pub(super) fn at_first_contact(mut self) -> Self {
        if self.outlook == Outlook::Absent {
            self.outlook = Outlook::Final;
        }
        self
    }

    /// No answer.
    pub(super) fn of_error(error: &ureq::Error) -> Self {
        let outlook = if let ureq::Error::Io(error) = error {
            of_io(error)
        } else if matches!(error, ureq::Error::HostNotFound | ureq::Error::ConnectionFailed) {
            Outlook::Absent
        } else if is_mistake(error) {
            Outlook::Final
        } else {
            // Timeouts, and answers that are no HTTP because they broke off.
            Outlook::Passing(None)
        };
        Self { reason: error.to_string(), outlook, status: None }
    }

    /// An answer with a status that says that the request was not served.
    pub(super) fn of_answer(status: u16, headers: &HeaderMap, reason: String) -> Self {
        let outlook = match status {
            429 | 503 => Outlook::Passing(retry_after(headers, SystemTime::now())),
            408 | 500 | 502 | 504 => Outlook::Passing(None),
            _ => Outlook::Final,
        };
        Self { reason, outlook, status: Some(status) }
    }
}

fn of_io(error: &io::Error) -> Outlook {
    let refused = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some_and(is_refusal);
    if refused || matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput) {
        Outlook::Final
    } else if error.kind() == io::ErrorKind::ConnectionRefused {
        Outlook::Absent
    } else {
        Outlook::Passing(None)
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

    #[test]
    fn statuses_that_may_pass_are_told_from_those_that_do_not() {
        let outlook = |status| Failure::of_answer(status, &HeaderMap::new(), String::new()).outlook;
        for status in [408, 429, 500, 502, 503, 504] {
            assert_eq!(outlook(status), Outlook::Passing(None), "{status}");
        }
        for status in [301, 400, 401, 403, 404, 405, 409, 411, 413, 416, 501, 507] {
            assert_eq!(outlook(status), Outlook::Final, "{status}");
        }
    }

    #[test]
    fn errors_that_may_pass_are_told_from_those_that_do_not() {
        let io = |kind| ureq::Error::Io(io::Error::from(kind));
        let tls = |error| ureq::Error::Io(io::Error::new(io::ErrorKind::InvalidData, error));
        let certificate = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        for (error, expected) in [
            (io(io::ErrorKind::ConnectionReset), Outlook::Passing(None)),
            (io(io::ErrorKind::UnexpectedEof), Outlook::Passing(None)),
            (io(io::ErrorKind::BrokenPipe), Outlook::Passing(None)),
            (io(io::ErrorKind::TimedOut), Outlook::Passing(None)),
            (io(io::ErrorKind::ConnectionRefused), Outlook::Absent),
            (ureq::Error::HostNotFound, Outlook::Absent),
            (io(io::ErrorKind::PermissionDenied), Outlook::Final),
            (tls(certificate), Outlook::Final),
            (tls(rustls::Error::DecryptError), Outlook::Passing(None)),
            (ureq::Error::BadUri("x".to_owned()), Outlook::Final),
        ] {
            let found = Failure::of_error(&error);
            assert_eq!(found.outlook, expected, "{error}");
            let first = if expected == Outlook::Absent { Outlook::Final } else { expected };
            assert_eq!(found.at_first_contact().outlook, first, "{error}");
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
