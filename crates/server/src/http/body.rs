//! Request bodies: received within bounds of size and time, inflated, and read as JSON whatever their content type says.

use std::io::{Cursor, Read};
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, EXPECT};
use bytes::Bytes;
use dede_api::Object;
use dede_api::errors::ErrorKind;
use dede_api::json::{self, NotJson};
use dede_model::request_memory::{MemoryShare, RequestMemory};
use flate2::bufread::GzDecoder;
use flate2::read::{DeflateDecoder, ZlibDecoder};
use http_body_util::BodyExt as _;

use super::error::{Failure, Outcome};
use super::memory::parsed_size;
use super::reply::Encoding;
use super::transport::pace::Pace;

/// More pieces than this must be longer than a few bytes on average: each costs about the same.
const MANY_PIECES: u64 = 65_536;
const SMALL_PIECE: u64 = 16;
/// Bodies up to this size are read where they were received; longer ones on a blocking thread, bytes.
const SHORT: usize = 64 << 10;
/// How much is inflated before it is counted, bytes.
const PIECE: u64 = 64 << 10;
/// Most that is read of a refused body, bytes, and for how long.
const DRAIN_BYTES: usize = 64 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// A body as it was sent, or inflated.
#[derive(Debug)]
pub(crate) struct Received {
    bytes: Bytes,
    encoding: Option<Encoding>,
    limit: u64,
    /// What its values take, once they were read, bytes.
    parsed: u64,
    /// Its part of the memory that all requests share, given back with it.
    share: MemoryShare,
}

/// Bounds on bodies: of each, and of all large ones together.
#[derive(Debug)]
pub(crate) struct Bodies {
    limit: u64,
    memory: RequestMemory,
}

impl Bodies {
    /// For bodies of at most `limit` bytes.
    pub(crate) fn new(limit: u64, memory: RequestMemory) -> Self {
        Self { limit, memory }
    }
}

/// Receives a body of at most the limit, before and after inflating.
///
/// # Errors
/// 413 when it is larger, 415 for another encoding than gzip and deflate, 400 when the client stops sending, 503 when others
/// have the memory that it needs.
pub(crate) async fn receive(headers: &HeaderMap, mut body: Body, bodies: &Bodies) -> Outcome<Received> {
    let outcome = collect(headers, &mut body, bodies).await;
    if outcome.is_err() {
        discard(headers, body).await;
    }
    outcome
}

/// Lets the body of a refused request pass.
pub(crate) async fn discard(headers: &HeaderMap, mut body: Body) {
    // A client that sent `Expect` has not sent the body yet, and need not.
    if !headers.contains_key(EXPECT) {
        // Past the time the connection is closed on the client; it has sent what it had to, or dawdled.
        let _ = tokio::time::timeout(DRAIN_TIME, drain(&mut body)).await;
    }
}

/// Drops what is still coming of a refused body, so that a client in the midst of sending gets to read the answer instead of a
/// broken pipe.
async fn drain(body: &mut Body) {
    let mut dropped = 0;
    while let Some(Ok(frame)) = body.frame().await {
        dropped += frame.data_ref().map_or(0, Bytes::len);
        if dropped > DRAIN_BYTES {
            return;
        }
    }
}

async fn collect(headers: &HeaderMap, body: &mut Body, bodies: &Bodies) -> Outcome<Received> {
    let (encoding, limit, mut pace) = (encoding(headers)?, bodies.limit, Pace::default());
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let mut first: Option<Bytes> = None;
    let mut more: Vec<u8> = Vec::new();
    let mut received: u64 = 0;
    let mut pieces: u64 = 0;
    let share = bodies.memory.share();
    loop {
        let piece = pace.next(body).await.map_err(|error| Failure::new(ErrorKind::NotJson, error.to_string()))?;
        let Some(piece) = piece else { break };
        received = received.saturating_add(piece.len() as u64);
        if received > limit {
            return Err(too_large(limit));
        }
        pieces += 1;
        if pieces > MANY_PIECES && received < pieces * SMALL_PIECE {
            return Err(not_json("the body comes in too small pieces"));
        }
        // Where the length is known there is room for all of it at once, which takes memory as it is filled; elsewhere it doubles.
        share.grow(piece.len() as u64 * if announced.is_some() { 1 } else { 2 })?;
        match &first {
            None => first = Some(piece),
            Some(start) => {
                if more.is_empty() {
                    let length = announced.and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
                    let full = |_| Failure::new(ErrorKind::Overloaded, "there is no memory for a body of this length");
                    more.try_reserve_exact(length).map_err(full)?;
                    more.extend_from_slice(start);
                }
                more.extend_from_slice(&piece);
            }
        }
    }
    more.shrink_to_fit();
    let bytes = if more.is_empty() { first.unwrap_or_default() } else { more.into() };
    share.shrink_to(bytes.len() as u64);
    Ok(Received { bytes, encoding, limit, parsed: 0, share })
}

impl Received {
    /// A body that is in memory as it is to be read, counted already.
    pub(crate) fn inflated(bytes: Vec<u8>, limit: u64, share: MemoryShare) -> Self {
        Self { bytes: bytes.into(), encoding: None, limit, parsed: 0, share }
    }

    /// Whether reading it takes no time. What is compressed may be of any size.
    pub(crate) fn is_short(&self) -> bool {
        self.bytes.len() <= SHORT && self.encoding.is_none()
    }

    /// The text. Takes computing time where it has to be inflated: not for the threads that serve connections.
    ///
    /// # Errors
    /// 413 when it inflates to more than the limit, 400 when it does not inflate or is no UTF-8, 503 when others have the memory.
    pub(crate) fn text(&mut self) -> Outcome<&str> {
        self.inflate_whole()?;
        as_text(&self.bytes)
    }

    /// The JSON object in it.
    ///
    /// # Errors
    /// As [`Received::text`], and 400 when it is no JSON or no object.
    pub(crate) fn object(&mut self) -> Outcome<Object> {
        self.inflate_whole()?;
        let text = as_text(&self.bytes)?;
        self.parsed = parsed_size(text.as_bytes());
        self.share.grow(self.parsed)?;
        Ok(json::parse_object(text).map_err(|error| not_json(&error.to_string()))??)
    }

    /// Its part of the memory, for what was read from it; the body itself goes.
    pub(crate) fn into_share(self) -> MemoryShare {
        let Self { bytes, share, parsed, .. } = self;
        drop(bytes);
        share.shrink_to(parsed);
        share
    }

    fn inflate_whole(&mut self) -> Outcome<()> {
        match self.encoding.take() {
            None => Ok(()),
            Some(Encoding::Gzip) => self.inflate(GzipMembers::new),
            Some(Encoding::Deflate) if self.is_zlib() => self.inflate(ZlibDecoder::new),
            // Some clients send a bare deflate stream under this name.
            Some(Encoding::Deflate) => self.inflate(DeflateDecoder::new),
        }
    }

    fn is_zlib(&self) -> bool {
        matches!(self.bytes.as_ref(), [first, second, ..]
            if first & 0x0f == 8 && (u16::from(*first) * 256 + u16::from(*second)) % 31 == 0)
    }

    /// Replaces the bytes by what they inflate to, counted as it grows.
    fn inflate<D: Read>(&mut self, decoder: impl FnOnce(Cursor<Bytes>) -> D) -> Outcome<()> {
        let mut decoder = decoder(Cursor::new(self.bytes.clone()));
        let mut bytes = Vec::new();
        loop {
            // What a vector that grows takes is twice as much at most.
            self.share.grow(2 * PIECE)?;
            let more = decoder
                .by_ref()
                .take(PIECE)
                .read_to_end(&mut bytes)
                .map_err(|error| not_json(&format!("the body does not inflate: {error}")))?;
            if bytes.len() as u64 > self.limit {
                return Err(too_large(self.limit));
            }
            if more == 0 {
                self.bytes = bytes.into();
                return Ok(());
            }
        }
    }
}

/// A gzip file: one member behind the other, and zeros that fill a block, which gzip passes over.
struct GzipMembers {
    member: GzDecoder<Cursor<Bytes>>,
    count: u64,
}

impl GzipMembers {
    fn new(bytes: Cursor<Bytes>) -> Self {
        Self { member: GzDecoder::new(bytes), count: 1 }
    }
}

impl Read for GzipMembers {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let read = self.member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let rest = self.member.get_ref().clone();
            if rest.get_ref().iter().skip(rest.position() as usize).all(|&byte| byte == 0) {
                return Ok(0);
            }
            self.count += 1;
            // Each takes time, also one that holds nothing.
            if self.count > MANY_PIECES {
                return Err(std::io::Error::other("too many members"));
            }
            self.member = GzDecoder::new(rest);
        }
    }
}

fn encoding(headers: &HeaderMap) -> Outcome<Option<Encoding>> {
    let Some(value) = headers.get(CONTENT_ENCODING) else { return Ok(None) };
    match value.to_str().unwrap_or("unreadable").to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(None),
        "gzip" | "x-gzip" => Ok(Some(Encoding::Gzip)),
        "deflate" => Ok(Some(Encoding::Deflate)),
        other => {
            let detail = format!("expected a body in gzip, deflate or as it is, found {other:?}");
            Err(Failure::new(ErrorKind::UnsupportedEncoding, detail))
        }
    }
}

fn not_json(reason: &str) -> Failure {
    tracing::warn!(target: "api", "{reason}");
    Failure::new(ErrorKind::NotJson, reason)
}

fn as_text(bytes: &[u8]) -> Outcome<&str> {
    let not_text = |error: std::str::Utf8Error| not_json(&NotJson::not_utf8(bytes, error.valid_up_to()).to_string());
    std::str::from_utf8(bytes).map_err(not_text)
}

fn too_large(limit: u64) -> Failure {
    Failure::new(ErrorKind::BodyTooLarge, format!("expected a body of at most {limit} bytes"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use axum::http::HeaderValue;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn received(bytes: Vec<u8>, encoding: Option<Encoding>, limit: u64) -> Received {
        Received { bytes: bytes.into(), encoding, limit, parsed: 0, share: RequestMemory::new(1 << 30).share() }
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).expect("a vector takes all");
        encoder.finish().expect("a vector takes all")
    }

    #[test]
    fn three_compressed_forms_are_inflated() {
        let text = br#"{"service":"a"}"#;
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(text).expect("a vector takes all");
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::fast());
        bare.write_all(text).expect("a vector takes all");
        for (bytes, encoding) in [
            (text.to_vec(), None),
            (gzip(text), Some(Encoding::Gzip)),
            ([gzip(&text[..5]), gzip(&text[5..]), vec![0; 512]].concat(), Some(Encoding::Gzip)),
            ([&b"\xef\xbb\xbf"[..], text].concat(), None),
            (zlib.finish().expect("finishes"), Some(Encoding::Deflate)),
            (bare.finish().expect("finishes"), Some(Encoding::Deflate)),
        ] {
            let object = received(bytes, encoding, 100).object().expect("good JSON");
            assert_eq!(object["service"], "a", "{encoding:?}");
        }
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let bomb = gzip(&vec![b' '; 1 << 20]);
        assert!(bomb.len() < 50_000);
        let failure = received(bomb, Some(Encoding::Gzip), 50_000).text().expect_err("too large");
        assert_eq!(failure.status().code, 413);
    }

    #[test]
    fn what_is_inflated_and_parsed_counts() {
        let small = |text: &[u8], total| {
            let share = RequestMemory::new(total).share();
            Received { bytes: gzip(text).into(), encoding: Some(Encoding::Gzip), limit: 64 << 20, parsed: 0, share }
        };
        let spaces = vec![b' '; 8 << 20];
        assert_eq!(small(&spaces, 4 << 20).text().expect_err("inflated").status().code, 413);
        let values = format!("{{\"data\": [{}0]}}", "0,".repeat(1 << 20));
        let mut body = small(values.as_bytes(), 32 << 20);
        body.text().expect("the text fits");
        assert_eq!(body.object().expect_err("its values do not").status().code, 413);
        small(values.as_bytes(), 256 << 20).object().expect("it fits");
    }

    #[test]
    fn garbage_is_a_400_that_says_where() {
        for (bytes, encoding, expected) in [
            (b"{\n1}".to_vec(), None, "the body is not JSON: key must be a string (line 2, column 1)"),
            (
                b"{\"\xff".to_vec(),
                None,
                "the body is not JSON: expected UTF-8, found another encoding (line 1, column 3)",
            ),
            ([gzip(b"{}"), vec![0, 0, 1]].concat(), Some(Encoding::Gzip), "the body does not inflate: "),
            (b"no gzip".to_vec(), Some(Encoding::Gzip), "the body does not inflate: "),
            (b"no deflate".to_vec(), Some(Encoding::Deflate), "the body does not inflate: "),
        ] {
            let status = received(bytes, encoding, 100).object().expect_err("garbage").status();
            assert_eq!((status.code, status.dd_code), (400, None));
            let found = status.dd_msg.expect("a reason");
            assert!(found.starts_with(expected), "{found}");
        }
    }

    #[tokio::test]
    async fn large_bodies_share_a_bounded_memory() {
        let bodies = Bodies::new(2 << 20, RequestMemory::new(8 << 20));
        let headers = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from(2 << 20))]);
        let body = || Body::from(vec![b' '; 2 << 20]);
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(receive(&headers, body(), &bodies).await.expect("there is room"));
        }
        assert_eq!(receive(&headers, body(), &bodies).await.expect_err("there is none").status().code, 503);
        assert!(receive(&headers, Body::from("{}"), &bodies).await.is_ok(), "small ones do not count");
        held.pop();
        assert!(receive(&headers, body(), &bodies).await.is_ok());
    }

    #[test]
    fn other_encodings_are_named() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("br"));
        assert_eq!(encoding(&headers).expect_err("not spoken").status().code, 415);
    }
}
