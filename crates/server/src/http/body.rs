//! Request bodies: received within bounds of size and time, inflated, and read as JSON whatever their content type says.

use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, EXPECT};
use bytes::{Bytes, BytesMut};
use dede_api::Object;
use dede_api::errors::ErrorKind;
use dede_api::json;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::{Failure, Outcome};
use super::reply::Encoding;

/// Longest pause between two pieces of a body.
const PAUSE: Duration = Duration::from_secs(30);
/// Time that any body may take, and bytes per second that a longer one must bring.
const PATIENCE: Duration = Duration::from_secs(60);
const LEAST_BYTES_S: u64 = 16 << 10;
/// More pieces than this must be longer than a few bytes on average: each costs about the same.
const MANY_PIECES: u64 = 65_536;
const SMALL_PIECE: u64 = 16;
/// Bodies beyond this size are counted against the memory that all of them share, in steps of as much, bytes.
const STEP: u64 = 1 << 20;
/// Most that is read of a refused body, bytes, and for how long.
const DRAIN_BYTES: usize = 64 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// As many bodies of the largest size may be in memory at once.
const LARGE_BODIES: u64 = 4;

/// A body as it was sent.
#[derive(Debug)]
pub(crate) struct Received {
    bytes: Bytes,
    encoding: Option<Encoding>,
    limit: u64,
    /// Its part of the shared memory, given back with it.
    _share: Option<OwnedSemaphorePermit>,
}

/// Bounds on bodies: of each, and of all large ones together.
#[derive(Debug)]
pub(crate) struct Bodies {
    limit: u64,
    memory: Arc<Semaphore>,
}

impl Bodies {
    /// For bodies of at most `limit` bytes.
    pub(crate) fn new(limit: u64) -> Self {
        let steps = usize::try_from(limit.saturating_mul(LARGE_BODIES) / STEP).unwrap_or(usize::MAX);
        Self { limit, memory: Arc::new(Semaphore::new(steps.clamp(1, Semaphore::MAX_PERMITS))) }
    }
}

/// Receives a body of at most the limit, before and after inflating.
///
/// # Errors
/// 413 when it is larger, 415 for another encoding than gzip and deflate, 400 when the client stops sending, 503 when there
/// are too many large ones.
pub(crate) async fn receive(headers: &HeaderMap, mut body: Body, bodies: &Bodies) -> Outcome<Received> {
    let outcome = collect(headers, &mut body, bodies).await;
    if outcome.is_err() {
        discard(headers, body).await;
    }
    outcome
}

/// Lets the body of a refused request pass.
pub(crate) async fn discard(headers: &HeaderMap, mut body: Body) {
    // A client that asks first has not sent anything yet, and need not.
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
    let (encoding, limit, started) = (encoding(headers)?, bodies.limit, Instant::now());
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let mut first: Option<Bytes> = None;
    let mut more = BytesMut::new();
    let mut received: u64 = 0;
    let mut pieces: u64 = 0;
    let mut share: Option<OwnedSemaphorePermit> = None;
    loop {
        let frame = tokio::time::timeout(PAUSE, body.frame())
            .await
            .map_err(|_| Failure::new(ErrorKind::NotJson, "the body stopped coming"))?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|error| Failure::new(ErrorKind::NotJson, error.to_string()))?;
        let Ok(piece) = frame.into_data() else { continue };
        received = received.saturating_add(piece.len() as u64);
        if received > limit {
            return Err(too_large(limit));
        }
        if started.elapsed() > PATIENCE + Duration::from_secs(received / LEAST_BYTES_S) {
            return Err(Failure::new(ErrorKind::NotJson, "the body comes too slowly"));
        }
        pieces += 1;
        if pieces > MANY_PIECES && received < pieces * SMALL_PIECE {
            return Err(not_json("it comes in too small pieces"));
        }
        grow(&mut share, received, bodies)?;
        match &first {
            None => first = Some(piece),
            Some(start) => {
                if more.is_empty() {
                    more.extend_from_slice(start);
                }
                more.extend_from_slice(&piece);
            }
        }
    }
    let bytes = if more.is_empty() { first.unwrap_or_default() } else { more.freeze() };
    Ok(Received { bytes, encoding, limit, _share: share })
}

/// Takes what `received` bytes need of the shared memory.
fn grow(share: &mut Option<OwnedSemaphorePermit>, received: u64, bodies: &Bodies) -> Outcome<()> {
    let wanted = usize::try_from(received / STEP).unwrap_or(usize::MAX);
    let had = share.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
    let Some(more) = wanted.checked_sub(had).and_then(|more| u32::try_from(more).ok()).filter(|more| *more > 0) else {
        return Ok(());
    };
    let taken = Arc::clone(&bodies.memory)
        .try_acquire_many_owned(more)
        .map_err(|_| Failure::new(ErrorKind::Overloaded, "too many large bodies at once"))?;
    match share {
        Some(share) => share.merge(taken),
        None => *share = Some(taken),
    }
    Ok(())
}

impl Received {
    /// Bytes received.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The text, inflated. Takes computing time: not for the threads that serve connections.
    ///
    /// # Errors
    /// 413 when it inflates to more than the limit, 400 when it does not inflate or is no UTF-8.
    pub(crate) fn text(&self) -> Outcome<String> {
        let bytes = match self.encoding {
            None => self.bytes.to_vec(),
            Some(Encoding::Gzip) => self.inflated(MultiGzDecoder::new(self.bytes.as_ref()))?,
            Some(Encoding::Deflate) if self.is_zlib() => self.inflated(ZlibDecoder::new(self.bytes.as_ref()))?,
            // Some clients send a bare deflate stream under this name.
            Some(Encoding::Deflate) => self.inflated(DeflateDecoder::new(self.bytes.as_ref()))?,
        };
        String::from_utf8(bytes).map_err(|error| not_json(&error.to_string()))
    }

    /// The JSON object in it, with the text it was read from.
    ///
    /// # Errors
    /// As [`Received::text`], and 400 when it is no JSON or no object.
    pub(crate) fn object(&self) -> Outcome<(Object, String)> {
        let text = self.text()?;
        let object = json::parse_object(&text).map_err(|error| not_json(&error.to_string()))??;
        Ok((object, text))
    }

    fn is_zlib(&self) -> bool {
        matches!(self.bytes.as_ref(), [first, second, ..]
            if first & 0x0f == 8 && (u16::from(*first) * 256 + u16::from(*second)) % 31 == 0)
    }

    fn inflated(&self, decoder: impl std::io::Read) -> Outcome<Vec<u8>> {
        let mut bytes = Vec::new();
        decoder
            .take(self.limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| not_json(&error.to_string()))?;
        if bytes.len() as u64 > self.limit { Err(too_large(self.limit)) } else { Ok(bytes) }
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

/// The answer has no room for the reason (contract.md 1.0), so it is logged.
fn not_json(reason: &str) -> Failure {
    tracing::warn!(target: "api", "body is not JSON: {reason}");
    Failure::new(ErrorKind::NotJson, reason)
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
        Received { bytes: bytes.into(), encoding, limit, _share: None }
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
            (zlib.finish().expect("finishes"), Some(Encoding::Deflate)),
            (bare.finish().expect("finishes"), Some(Encoding::Deflate)),
        ] {
            let (object, _) = received(bytes, encoding, 100).object().expect("good JSON");
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
    fn garbage_is_a_400() {
        for (bytes, encoding) in [
            (b"{".to_vec(), None),
            (b"\xff".to_vec(), None),
            (b"no gzip".to_vec(), Some(Encoding::Gzip)),
            (b"no deflate".to_vec(), Some(Encoding::Deflate)),
        ] {
            assert_eq!(received(bytes, encoding, 100).object().expect_err("garbage").status().code, 400);
        }
    }

    #[tokio::test]
    async fn large_bodies_share_a_bounded_memory() {
        let (bodies, headers) = (Bodies::new(2 << 20), HeaderMap::new());
        let body = || Body::from(vec![b' '; 2 << 20]);
        let mut held = Vec::new();
        for _ in 0..LARGE_BODIES {
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
