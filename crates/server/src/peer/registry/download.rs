//! A blob of a registry as a reader that resumes after a broken connection: bytes that were read are not requested
//! again, where the registry serves ranges.
//!
//! Bytes are not checked here: the digest of the whole decides, and belongs to the caller. What is checked is that every answer is about
//! the same blob: its digest where it is named, its size, and the place of the part.

use std::io::{self, Read};

use dede_bundle::Blob;
use ureq::Body;
use ureq::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, HeaderName, RANGE};
use ureq::http::{Method, Response};

use super::Registry;
use super::attempts::Attempts;
use super::exchange::content_digest;
use super::failure::Failure;

/// Hops that the download of a blob may take: registries keep them elsewhere.
const REDIRECTS: usize = 3;
/// Bytes that are read at once where they are known already.
const BLOCK: u64 = 64 << 10;
const STEP: &str = "downloading";
/// Status of a part.
const PART: u16 = 206;
/// Status where there is no such part.
const NOT_SATISFIABLE: u16 = 416;

/// Reads a blob from an offset to its end, never beyond.
pub(crate) struct Download<'a> {
    registry: &'a Registry,
    blob: Blob,
    position: u64,
    body: Option<Box<dyn Read + Send>>,
    attempts: Attempts,
    /// Whether the registry may be asked for a range.
    knows_parts: bool,
}

impl<'a> Download<'a> {
    /// Nothing is asked before the first byte is wanted.
    pub(super) fn new(registry: &'a Registry, blob: Blob, offset: u64) -> Self {
        let attempts = Attempts::behind(offset, registry.retry.attempts);
        Self { registry, blob, position: offset, body: None, attempts, knows_parts: true }
    }

    /// The next bytes over the present connection, or a new one.
    fn next(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        let mut body = match self.body.take() {
            Some(body) => body,
            None => self.open()?,
        };
        let missing = usize::try_from(self.blob.size - self.position).unwrap_or(usize::MAX);
        let length = buffer.len().min(missing);
        let broke_off = || format!("broke off after {} of {} bytes", self.position, self.blob.size);
        match body.read(&mut buffer[..length]) {
            Ok(0) => Err(Failure::transient(broke_off())),
            Ok(count) => {
                self.body = Some(body);
                Ok(count)
            }
            Err(error) => Err(Failure::transient(format!("{}: {error}", broke_off()))),
        }
    }

    /// The blob from the present position on. A registry that gives no part of it, or another one, is asked for all of it from then on.
    fn open(&mut self) -> Result<Box<dyn Read + Send>, Failure> {
        let asks_for_part = self.position > 0 && self.knows_parts;
        match self.ask(asks_for_part) {
            Err(failure) if asks_for_part && matches!(failure.status, Some(NOT_SATISFIABLE | PART)) => {
                self.knows_parts = false;
                self.ask(false)
            }
            outcome => outcome,
        }
    }

    fn ask(&self, asks_for_part: bool) -> Result<Box<dyn Read + Send>, Failure> {
        let range = format!("bytes={}-", self.position);
        let mut headers = vec![("accept-encoding", "identity")];
        if asks_for_part {
            headers.push((RANGE.as_str(), &range));
        }
        let mut url = self.registry.of_repository(&format!("blobs/{}", self.blob.digest))?;
        for _ in 0..=REDIRECTS {
            let answer = self.registry.send(Method::GET, &url, &headers, ())?;
            if !answer.status().is_redirection() {
                return self.accept(self.registry.accepted(answer)?);
            }
            url = self.registry.location(&answer, &url)?;
            if !self.registry.is_own(&url) && url.scheme() != "https" {
                return Err(Failure::permanent("the registry keeps its blobs elsewhere without TLS"));
            }
        }
        Err(Failure::permanent("too many redirects"))
    }

    /// The body of an answer, at the present position.
    fn accept(&self, answer: Response<Body>) -> Result<Box<dyn Read + Send>, Failure> {
        if let Some(found) = content_digest(&answer).filter(|found| *found != self.blob.digest) {
            return Err(Failure::permanent(format!(
                "it is something else there: {found} instead of {}",
                self.blob.digest
            )));
        }
        let is_part = answer.status().as_u16() == PART;
        let is_coded = answer.headers().contains_key(CONTENT_ENCODING);
        if is_part {
            let range = header(&answer, &CONTENT_RANGE).unwrap_or_default();
            if is_coded || !is_rest(range, self.position, self.blob.size) {
                let reason = format!(
                    "bytes {}-{}/{} are wanted, and it answers 206 with Content-Range {range:?}",
                    self.position,
                    self.blob.size.saturating_sub(1),
                    self.blob.size
                );
                return Err(Failure { status: Some(PART), ..Failure::permanent(reason) });
            }
        } else if let Some(found) = header(&answer, &CONTENT_LENGTH).filter(|_| !is_coded)
            && found.parse() != Ok(self.blob.size)
        {
            return Err(Failure::permanent(format!(
                "it is something else there: {found} bytes instead of {}",
                self.blob.size
            )));
        }
        let mut body = answer.into_body().into_reader();
        if !is_part {
            skip(&mut body, self.position)?;
        }
        Ok(Box::new(body))
    }
}

impl Read for Download<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.position >= self.blob.size {
            return Ok(0);
        }
        loop {
            match self.next(buffer) {
                Ok(count) => {
                    self.position += count as u64;
                    self.attempts.reached(self.position);
                    return Ok(count);
                }
                Err(failure) => {
                    let what = format!("blob {}: {STEP}", self.blob.digest.short());
                    self.registry.wait(&mut self.attempts, &what, &failure).map_err(io::Error::other)?;
                }
            }
        }
    }
}

fn header<'a>(answer: &'a Response<Body>, name: &HeaderName) -> Option<&'a str> {
    answer.headers().get(name)?.to_str().ok()
}

/// Whether a `Content-Range` is one of a blob of this size that begins here.
fn is_rest(text: &str, start: u64, size: u64) -> bool {
    let parse = || {
        let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let is_size = total == "*" || total.parse() == Ok(size);
        Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?, is_size))
    };
    parse().is_some_and(|(first, last, is_size)| first == start && first <= last && last < size && is_size)
}

/// Passes over what is known already: a registry that does not answer with parts begins anew.
fn skip(body: &mut impl Read, count: u64) -> Result<(), Failure> {
    let mut block = vec![0; usize::try_from(BLOCK.min(count)).unwrap_or_default()];
    let mut left = count;
    while left > 0 {
        let length = block.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let broke_off = || format!("began anew, and broke off after {} bytes", count - left);
        match body.read(&mut block[..length]) {
            Ok(0) => return Err(Failure::transient(broke_off())),
            Ok(read) => left -= read as u64,
            Err(error) => return Err(Failure::transient(format!("{}: {error}", broke_off()))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_part_that_was_asked_for_is_taken() {
        for (text, expected) in [
            ("bytes 10-99/100", true),
            ("bytes 10-99/*", true),
            ("bytes 10-50/100", true),
            ("bytes 9-99/100", false),
            ("bytes 11-99/100", false),
            ("bytes 10-99/101", false),
            ("bytes 10-100/100", false),
            ("bytes 10-9/100", false),
            ("bytes */100", false),
            ("10-99/100", false),
            ("bytes 10-99", false),
            ("", false),
        ] {
            assert_eq!(is_rest(text, 10, 100), expected, "{text}");
        }
    }

    #[test]
    fn what_is_known_is_passed_over() {
        let bytes: Vec<u8> = (0..200_000).map(|number| (number % 251) as u8).collect();
        let mut body = &bytes[..];
        skip(&mut body, 150_000).expect("it is there");
        assert_eq!(body, &bytes[150_000..]);
        let reason = skip(&mut body, 50_001).expect_err("it ends").reason;
        assert_eq!(reason, "began anew, and broke off after 50000 bytes");
    }
}
