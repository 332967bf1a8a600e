//! Answers as HTTP responses: JSON bytes, the status from the envelope, compression where the client asked for it.

use std::io::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use dede_api::answer::Answer;
use dede_model::request_memory::MemoryShare;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde::Serialize;

use super::error::{Failure, Outcome};
use super::memory;

/// Answers up to this size do not count until they are read: there is one of each connection, bytes.
const SMALL: usize = 16 << 10;
/// Smallest body worth compressing, bytes: below one network packet there is nothing to gain.
const WORTH_COMPRESSING: usize = 1400;

/// An answer whose HTTP status is the code in its envelope.
pub(crate) fn json<H: Serialize, B: Serialize>(answer: &Answer<H, B>) -> Response {
    let (code, bytes) = written(answer);
    with_bytes(code, bytes)
}

/// The same; it counts in `share` until the last byte was sent, or the connection is gone.
pub(crate) fn counted<H: Serialize, B: Serialize>(answer: &Answer<H, B>, share: MemoryShare) -> Response {
    let (code, bytes) = written(answer);
    counted_bytes(code, bytes, share)
}

/// As [`with_bytes`]; they count in `share` until the last of them was sent, or the connection is gone.
pub(crate) fn counted_bytes(code: StatusCode, bytes: Vec<u8>, share: MemoryShare) -> Response {
    if bytes.capacity() < SMALL {
        return with_bytes(code, bytes);
    }
    share.shrink_to(bytes.capacity() as u64);
    let share = Arc::new(share);
    let mut response = with_bytes(code, memory::counted(bytes, Arc::clone(&share)));
    response.extensions_mut().insert(share);
    response
}

fn written<H: Serialize, B: Serialize>(answer: &Answer<H, B>) -> (StatusCode, Vec<u8>) {
    match serde_json::to_vec(answer) {
        Ok(bytes) => {
            let code = StatusCode::from_u16(answer.status.code);
            (code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), bytes)
        }
        Err(error) => {
            tracing::error!(target: "api", "cannot write an answer: {error}");
            (StatusCode::INTERNAL_SERVER_ERROR, Vec::new())
        }
    }
}

/// Bytes with the content type every answer has, rendered templates included (contract.md 1.0).
pub(crate) fn with_bytes(code: StatusCode, bytes: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Body::from(bytes.into()));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Encodings of bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950, called `deflate` in HTTP.
    Deflate,
}

impl Encoding {
    /// The one a request's `Accept-Encoding` asks for; gzip where both are welcome.
    pub(crate) fn accepted(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(axum::http::header::ACCEPT_ENCODING)?.to_str().ok()?;
        let welcome = |name: &str| {
            text.split(',').any(|entry| {
                let (coding, parameters) = entry.split_once(';').unwrap_or((entry, ""));
                let refused = parameters.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse() == Ok(0.0_f32));
                coding.trim().eq_ignore_ascii_case(name) && !refused
            })
        };
        if welcome("gzip") { Some(Self::Gzip) } else { welcome("deflate").then_some(Self::Deflate) }
    }

    /// Its name in a header.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    fn compress(self, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        let out = Vec::with_capacity(bytes.len() / 4);
        match self {
            Self::Gzip => {
                let mut encoder = GzEncoder::new(out, Compression::fast());
                encoder.write_all(bytes)?;
                encoder.finish()
            }
            Self::Deflate => {
                let mut encoder = ZlibEncoder::new(out, Compression::fast());
                encoder.write_all(bytes)?;
                encoder.finish()
            }
        }
    }
}

/// Compresses the body of a finished response, off the threads that serve connections when it is large. Only what this server says
/// itself, in JSON: files and events go out as they come.
pub(crate) async fn compressed(response: Response, encoding: Encoding) -> Response {
    if response.headers().get(CONTENT_TYPE).is_none_or(|content| content != "application/json") {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await else {
        return Response::from_parts(parts, Body::empty());
    };
    if bytes.len() < WORTH_COMPRESSING || parts.headers.contains_key(CONTENT_ENCODING) {
        return Response::from_parts(parts, Body::from(bytes));
    }
    let plain = bytes.clone();
    let packed = match tokio::task::spawn_blocking(move || encoding.compress(&plain)).await {
        Ok(Ok(packed)) => packed,
        Ok(Err(_)) | Err(_) => return Response::from_parts(parts, Body::from(bytes)),
    };
    parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding.name()));
    parts.headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    let packed = match parts.extensions.get::<Arc<MemoryShare>>() {
        Some(share) => memory::counted(packed, Arc::clone(share)),
        None => packed.into(),
    };
    Response::from_parts(parts, Body::from(packed))
}

/// Turns what a handler came to into a response.
pub(crate) fn of(outcome: Outcome) -> Response {
    outcome.unwrap_or_else(|failure: Failure| axum::response::IntoResponse::into_response(failure))
}

#[cfg(test)]
mod tests {
    use axum::http::header::ACCEPT_ENCODING;

    use super::*;

    #[test]
    fn the_encoding_asked_for_is_chosen() {
        for (text, expected) in [
            ("gzip, deflate", Some(Encoding::Gzip)),
            ("deflate", Some(Encoding::Deflate)),
            ("GZIP;q=0.5", Some(Encoding::Gzip)),
            ("gzip;q=0, deflate;q=1", Some(Encoding::Deflate)),
            ("br", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(text));
            assert_eq!(Encoding::accepted(&headers), expected, "{text}");
        }
        assert_eq!(Encoding::accepted(&HeaderMap::new()), None);
    }
}
