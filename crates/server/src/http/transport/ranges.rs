//! Parts of a whole, as `Range` and `Content-Range` name them (RFC 9110, section 14).

use std::ops::Range;

use axum::http::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;

/// What a `Range` header asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) enum Wanted {
    /// The whole, also where the header asks for what is not understood, or for several parts.
    All,
    /// These bytes; at least one.
    Part(Range<u64>),
    /// Bytes that are not there.
    Outside,
}

/// What a request for content of that size asks for.
pub(in crate::http) fn wanted(headers: &HeaderMap, size: u64) -> Wanted {
    headers.get(RANGE).and_then(|range| range.to_str().ok()).map_or(Wanted::All, |range| part(range, size))
}

fn part(header: &str, size: u64) -> Wanted {
    let Some((first, last)) = header.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Wanted::All;
    };
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Ok(first), Err(_)) if last.is_empty() => first..size,
        (Err(_), Ok(suffix)) if first.is_empty() => size.saturating_sub(suffix)..size,
        _ => return Wanted::All,
    };
    if range.is_empty() { Wanted::Outside } else { Wanted::Part(range) }
}

/// `first-last`, both inclusive, as the distribution specification has `Content-Range` of an upload.
pub(in crate::http) fn uploaded(header: &str) -> Option<Range<u64>> {
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok())?;
    let (first, last) = header.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some(first..last.checked_add(1)?)
}

/// The value of `Content-Range` where nothing of the whole is sent.
pub(in crate::http) fn outside(size: u64) -> String {
    format!("bytes */{size}")
}

/// Says in a response which part of the whole it is: status and length, and its place where it is not all.
pub(in crate::http) fn describe(response: &mut Response, wanted: &Wanted, size: u64) {
    let (status, range) = match wanted {
        Wanted::All | Wanted::Outside => (StatusCode::OK, 0..size),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range.clone()),
    };
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    if status == StatusCode::PARTIAL_CONTENT
        && let Ok(place) = HeaderValue::from_str(&format!("bytes {}-{}/{size}", range.start, range.end - 1))
    {
        headers.insert(CONTENT_RANGE, place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_understood_as_http_has_them() {
        for (header, expected) in [
            ("bytes=0-3", Wanted::Part(0..4)),
            ("bytes=9-9", Wanted::Part(9..10)),
            ("bytes=4-", Wanted::Part(4..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-30", Wanted::Part(0..10)),
            ("bytes=4-18446744073709551615", Wanted::Part(4..10)),
            ("bytes=10-", Wanted::Outside),
            ("bytes=10-12", Wanted::Outside),
            ("bytes=-0", Wanted::Outside),
            ("bytes=3-2", Wanted::All),
            ("bytes=0-1,4-5", Wanted::All),
            ("bytes=a-b", Wanted::All),
            ("lines=0-3", Wanted::All),
            ("", Wanted::All),
        ] {
            assert_eq!(part(header, 10), expected, "{header}");
        }
        assert_eq!(part("bytes=0-", 0), Wanted::Outside);
    }

    #[test]
    fn parts_of_uploads_are_inclusive_on_both_ends() {
        for (text, expected) in [("0-0", 0..1), ("5-9", 5..10), ("0-18446744073709551614", 0..u64::MAX)] {
            assert_eq!(uploaded(text), Some(expected), "{text}");
        }
        for text in ["", "-", "0-", "-1", "5-4", "a-b", "bytes 0-1/2", "+1-2", "0-18446744073709551615"] {
            assert_eq!(uploaded(text), None, "{text}");
        }
    }
}
