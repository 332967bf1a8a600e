//! What tells one request from all others, in the logs of every server that it comes through: its id, and its place in a trace.
//!
//! Ids are those of the client (`X-Request-Id`), or made here; traces follow W3C Trace Context (<https://www.w3.org/TR/trace-context/>).
//! It must not know what requests ask for.

use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The id of a request, in and out.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Version, trace, span of the caller and flags.
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What tracing systems add to it.
pub(super) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// Longest id that is taken from a client, bytes.
const LONGEST_ID: usize = 128;
/// Longest `tracestate` that is passed on, bytes.
const LONGEST_STATE: usize = 512;

/// The identity of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// Of the client, or made here.
    pub(super) id: HeaderValue,
    /// Whether the client gave it.
    pub(super) is_given: bool,
    /// The trace that it belongs to, 32 hexadecimal digits; empty without.
    pub(super) trace_id: String,
}

impl Identity {
    /// Reads it from the headers of a request, and leaves there what is to be passed on: the same id, and this server as the caller.
    pub(super) fn take(headers: &mut HeaderMap) -> Self {
        let given = headers.get(REQUEST_ID).filter(|id| is_id(id.as_bytes())).cloned();
        let is_given = given.is_some();
        let id = given.unwrap_or_else(|| hexadecimal(random()));
        headers.insert(REQUEST_ID, id.clone());
        let parent = headers.remove(TRACEPARENT);
        let trace = parent.as_ref().and_then(|parent| Trace::parse(parent.to_str().ok()?));
        if let Some(trace) = &trace {
            headers.insert(TRACEPARENT, trace.continued());
        }
        // Without a trace its state has no meaning.
        let is_passed_on = |state: &HeaderValue| trace.is_some() && state.len() <= LONGEST_STATE;
        if headers.get(TRACESTATE).is_some_and(|state| !is_passed_on(state)) {
            headers.remove(TRACESTATE);
        }
        Self { id, is_given, trace_id: trace.map(|trace| trace.id).unwrap_or_default() }
    }

    /// The id as text.
    pub(super) fn text(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }
}

/// What a request passes on to a peer.
pub(super) fn passed_on(headers: &HeaderMap) -> Vec<(HeaderName, String)> {
    let named = |name: HeaderName| Some((name.clone(), headers.get(name)?.to_str().ok()?.to_owned()));
    [REQUEST_ID, TRACEPARENT, TRACESTATE].into_iter().filter_map(named).collect()
}

/// Visible characters without quotes and separators, so that an id is one word in every log.
fn is_id(id: &[u8]) -> bool {
    let is_known = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@~".contains(byte);
    (1..=LONGEST_ID).contains(&id.len()) && id.iter().all(is_known)
}

/// A number that no other request has, and that cannot be foreseen.
fn random() -> u64 {
    static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    KEYS.hash_one(COUNT.fetch_add(1, Ordering::Relaxed))
}

fn hexadecimal(number: u64) -> HeaderValue {
    let mut digits = [0; 16];
    let is_written = write!(&mut digits[..], "{number:016x}").is_ok();
    HeaderValue::from_bytes(&digits).ok().filter(|_| is_written).unwrap_or(HeaderValue::from_static("0"))
}

/// A `traceparent`.
#[derive(Debug, PartialEq, Eq)]
struct Trace {
    id: String,
    flags: String,
}

impl Trace {
    /// `None` for what the recommendation calls invalid: it is as if there were none.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, id, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_hexadecimal = |part: &str, length| {
            part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_some = |part: &str| part.bytes().any(|byte| byte != b'0');
        let is_known = is_hexadecimal(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
        let is_valid = is_known && is_hexadecimal(id, 32) && is_hexadecimal(span, 16) && is_hexadecimal(flags, 2);
        (is_valid && is_some(id) && is_some(span)).then(|| Self { id: id.to_owned(), flags: flags.to_owned() })
    }

    /// The same trace, with this server as the caller.
    fn continued(&self) -> HeaderValue {
        let span = random().max(1);
        let text = format!("00-{}-{span:016x}-{}", self.id, self.flags);
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn headers(pairs: &[(&HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).clone(), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn ids_of_clients_are_taken_where_they_are_one_word() {
        let long = "x".repeat(LONGEST_ID + 1);
        for (sent, is_taken) in
            [("a-1_B.c:/+=@~", true), ("", false), ("two words", false), ("a\"b", false), (&long, false)]
        {
            let mut sent_headers = headers(&[(&REQUEST_ID, sent)]);
            let identity = Identity::take(&mut sent_headers);
            assert_eq!((identity.is_given, identity.text() == sent), (is_taken, is_taken), "{sent}");
            assert_eq!(sent_headers.get(REQUEST_ID), Some(&identity.id));
        }
        let [one, other] = [(); 2].map(|()| Identity::take(&mut HeaderMap::new()));
        assert_ne!(one.id, other.id);
    }

    #[test]
    fn a_trace_is_continued_by_this_server() {
        let sent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let mut sent_headers = headers(&[(&TRACEPARENT, &sent), (&TRACESTATE, "a=b")]);
        assert_eq!(Identity::take(&mut sent_headers).trace_id, TRACE);
        let passed = passed_on(&sent_headers);
        let parent = &passed.iter().find(|(name, _)| name == TRACEPARENT).expect("it is passed on").1;
        assert!(parent.starts_with(&format!("00-{TRACE}-")) && parent.ends_with("-01") && *parent != sent, "{parent}");
        assert!(passed.contains(&(TRACESTATE, "a=b".to_owned())) && passed.len() == 3);
    }

    #[test]
    fn what_is_no_trace_is_not_passed_on() {
        let valid = "00f067aa0ba902b7-01";
        for (sent, is_trace) in [
            (format!("00-{TRACE}-{valid}"), true),
            (format!("01-{TRACE}-{valid}-more"), true),
            (format!("00-{TRACE}-{valid}-more"), false),
            (format!("ff-{TRACE}-{valid}"), false),
            (format!("00-{}-{valid}", TRACE.to_uppercase()), false),
            (format!("00-{}-{valid}", "0".repeat(32)), false),
            (format!("00-{TRACE}-0000000000000000-01"), false),
            (format!("00-{TRACE}"), false),
        ] {
            let mut sent_headers = headers(&[(&TRACEPARENT, &sent), (&TRACESTATE, "a=b")]);
            let identity = Identity::take(&mut sent_headers);
            assert_eq!(
                (!identity.trace_id.is_empty(), passed_on(&sent_headers).len()),
                (is_trace, if is_trace { 3 } else { 1 }),
                "{sent}"
            );
        }
    }
}
