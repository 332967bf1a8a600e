//! Uploading a blob to a registry. After a broken connection the registry is asked how much has come, and gets the
//! rest.
//!
//! The first attempt is one request with all of it, which every registry takes. After a connection broke the rest travels in chunks, so
//! that a registry that keeps nothing of a request that broke keeps the chunks before it. A registry that forgot the upload gets a new one.

use std::io::{self, Read};

use dede_bundle::Blob;
use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderName, LOCATION, RANGE};
use ureq::http::{HeaderMap, Method, Response};
use ureq::{Body, SendBody};
use url::Url;

use super::Registry;
use super::attempts::Attempts;
use super::failure::Failure;

/// Bytes of a chunk, where the registry does not want larger ones.
const CHUNK: u64 = 16 << 20;
/// Status for a chunk that does not begin where the last one ended.
const OUT_OF_ORDER: u16 = 416;
/// Status for what is there now.
pub(super) const CREATED: u16 = 201;
const LEAST_CHUNK: HeaderName = HeaderName::from_static("oci-chunk-min-length");
const BINARY: (&str, &str) = ("content-type", "application/octet-stream");

/// What is sent, as often as it has to be.
pub(crate) trait Source {
    /// The content from an offset on.
    fn content(&self, offset: u64) -> Box<dyn Read + '_>;

    /// So many bytes are on their way, or there.
    fn moved(&self, position: u64);
}

/// Where an upload stands.
enum Session {
    /// There is none.
    None,
    /// The registry has what is before the offset, and waits for the rest.
    Open(Place, u64),
    /// The connection broke: what the registry has must be asked for.
    Unknown(Place),
    /// A chunk that begins at the offset was refused as out of order, where the registry had said that it begins.
    Refused(Place, u64),
    /// The blob is there.
    Done,
}

/// What a registry says of an upload.
#[derive(Clone)]
struct Place {
    url: Url,
    /// Bytes of a chunk, the last one apart.
    chunk: u64,
}

/// One blob on its way.
pub(super) struct Upload<'a> {
    registry: &'a Registry,
    blob: Blob,
    source: &'a dyn Source,
    session: Session,
    is_first: bool,
    attempts: Attempts,
}

impl<'a> Upload<'a> {
    pub(super) fn new(registry: &'a Registry, blob: Blob, source: &'a dyn Source) -> Self {
        let attempts = Attempts::new(registry.retry.attempts);
        Self { registry, blob, source, session: Session::None, is_first: true, attempts }
    }

    /// Sends it.
    ///
    /// # Errors
    /// A sentence with the registry, the blob, the step and the number of attempts.
    pub(super) fn run(mut self) -> Result<(), String> {
        loop {
            let failure = match self.advance() {
                Ok(Session::Done) => return Ok(()),
                Ok(session) => {
                    self.session = session;
                    self.note_progress();
                    continue;
                }
                Err(failure) => failure,
            };
            let what = format!("blob {}: {}", self.blob.digest.short(), self.session.step(self.blob.size));
            self.registry.wait(&mut self.attempts, &what, &failure)?;
            self.session = match std::mem::replace(&mut self.session, Session::None) {
                Session::Open(place, offset) => {
                    self.is_first = false;
                    let is_refused = failure.status == Some(OUT_OF_ORDER);
                    if is_refused { Session::Refused(place, offset) } else { Session::Unknown(place) }
                }
                same @ (Session::None | Session::Unknown(_) | Session::Refused(..) | Session::Done) => same,
            };
        }
    }

    fn note_progress(&mut self) {
        if let Session::Open(_, offset) = self.session {
            self.source.moved(offset);
            self.attempts.reached(offset);
        }
    }

    /// One request, and where the upload stands then.
    fn advance(&self) -> Result<Session, Failure> {
        match &self.session {
            Session::None => self.begin(),
            Session::Open(place, 0) if self.is_first => self.send_all(place),
            Session::Open(place, offset) if *offset < self.blob.size => self.send_chunk(place, *offset),
            Session::Open(place, _) => self.finish(place),
            Session::Unknown(place) => self.ask(place, None),
            Session::Refused(place, offset) => self.ask(place, Some(*offset)),
            Session::Done => Ok(Session::Done),
        }
    }

    fn begin(&self) -> Result<Session, Failure> {
        let url = self.registry.of_repository("blobs/uploads/")?;
        let begun = self.registry.accepted(self.registry.send(Method::POST, &url, &[], &[][..])?)?;
        let least = number(begun.headers(), &LEAST_CHUNK).unwrap_or_default();
        let url = self.own(self.registry.location(&begun, &url)?)?;
        Ok(Session::Open(Place { url, chunk: CHUNK.max(least) }, 0))
    }

    fn send_all(&self, place: &Place) -> Result<Session, Failure> {
        let answer = self.send(Method::PUT, &self.closing(place), 0, self.blob.size, &[])?;
        self.finished(&answer)
    }

    fn send_chunk(&self, place: &Place, offset: u64) -> Result<Session, Failure> {
        let end = self.blob.size.min(offset.saturating_add(place.chunk));
        let range = format!("{offset}-{}", end - 1);
        let sent = self.send(Method::PATCH, &place.url, offset, end, &[(CONTENT_RANGE.as_str(), &range)]);
        let answer = sent.map_err(|failure| match failure.status {
            // Asking where it stands shows whether it can be gone on with.
            Some(OUT_OF_ORDER) => Failure { status: failure.status, ..Failure::transient(failure.reason) },
            _ => failure,
        })?;
        let now = match received(answer.headers())? {
            // What it says of a single byte.
            Some(0) if end == 1 => end,
            said => said.unwrap_or(end),
        };
        if now > end {
            return Err(Failure::permanent(format!("it says that it has {now} bytes, of which {end} were sent")));
        }
        if now < end {
            let taken = now.saturating_sub(offset);
            return Err(Failure::transient(format!("it took {taken} of the {} bytes {range}", end - offset)));
        }
        Ok(Session::Open(self.following(place, &answer)?, now))
    }

    fn finish(&self, place: &Place) -> Result<Session, Failure> {
        let answer = self.send(Method::PUT, &self.closing(place), self.blob.size, self.blob.size, &[])?;
        self.finished(&answer)
    }

    /// 201 says that the blob is there (OCI distribution specification, "Push"); what another success means is looked up.
    fn finished(&self, answer: &Response<Body>) -> Result<Session, Failure> {
        let status = answer.status().as_u16();
        if status == CREATED || self.registry.shows_blob(&self.blob.digest)? {
            return Ok(Session::Done);
        }
        Err(Failure::permanent(format!(
            "expected 201 to the end of the upload, found {status}, and the blob is not there"
        )))
    }

    /// How much came before the connection broke.
    fn ask(&self, place: &Place, refused: Option<u64>) -> Result<Session, Failure> {
        let answer = self.registry.send(Method::GET, &place.url, &[], ())?;
        match answer.status().as_u16() {
            200..300 => {}
            // It may have been finished, and the answer was lost.
            404 => {
                let is_there = self.registry.shows_blob(&self.blob.digest)?;
                return Ok(if is_there { Session::Done } else { Session::None });
            }
            401 | 403 | 408 | 429 | 500.. => return Err(self.registry.refusal(answer)),
            // The registry cannot go on with it.
            _ => return Ok(Session::None),
        }
        let offset = received(answer.headers())?.unwrap_or_default();
        if offset > self.blob.size || refused == Some(offset) {
            self.forget(place);
            return Ok(Session::None);
        }
        Ok(Session::Open(self.following(place, &answer)?, offset))
    }

    /// Ends an upload that cannot be gone on with, so that the registry need not keep it. One that it keeps costs nothing here.
    fn forget(&self, place: &Place) {
        let _ = self.registry.send(Method::DELETE, &place.url, &[], ());
    }

    /// Sends the content from `start` to `end`.
    fn send(
        &self,
        method: Method,
        url: &Url,
        start: u64,
        end: u64,
        headers: &[(&str, &str)],
    ) -> Result<Response<Body>, Failure> {
        let length = (end - start).to_string();
        let headers = [&[BINARY, (CONTENT_LENGTH.as_str(), &length)][..], headers].concat();
        if start == end {
            return self.registry.accepted(self.registry.send(method, url, &headers, &[][..])?);
        }
        let mut content = Outgoing {
            content: self.source.content(start).take(end - start),
            position: start,
            source: self.source,
            lost: None,
        };
        let sent = self.registry.send(method, url, &headers, SendBody::from_reader(&mut content));
        if let Some(reason) = content.lost {
            return Err(Failure::permanent(reason));
        }
        self.registry.accepted(sent?)
    }

    /// Where the upload goes on after an answer.
    fn following(&self, place: &Place, answer: &Response<Body>) -> Result<Place, Failure> {
        if !answer.headers().contains_key(LOCATION) {
            return Ok(place.clone());
        }
        Ok(Place { url: self.own(self.registry.location(answer, &place.url)?)?, ..*place })
    }

    fn own(&self, url: Url) -> Result<Url, Failure> {
        let elsewhere = || Failure::permanent("it takes uploads elsewhere, where its credentials do not go");
        self.registry.is_own(&url).then_some(url).ok_or_else(elsewhere)
    }

    fn closing(&self, place: &Place) -> Url {
        let mut url = place.url.clone();
        url.query_pairs_mut().append_pair("digest", &self.blob.digest.to_string());
        url
    }
}

impl Session {
    /// What is done next, for people.
    fn step(&self, size: u64) -> &'static str {
        match self {
            Self::None => "beginning the upload",
            Self::Open(_, offset) if *offset > 0 && *offset >= size => "finishing the upload",
            Self::Open(..) => "uploading",
            Self::Unknown(_) | Self::Refused(..) => "asking for the state of the upload",
            Self::Done => "done",
        }
    }
}

/// Content on its way; remembers when it was not the registry that failed.
struct Outgoing<'a> {
    content: io::Take<Box<dyn Read + 'a>>,
    position: u64,
    source: &'a dyn Source,
    lost: Option<String>,
}

impl Read for Outgoing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer);
        match &read {
            Ok(count) => {
                self.position += *count as u64;
                self.source.moved(self.position);
            }
            Err(error) => self.lost = Some(error.to_string()),
        }
        read
    }
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// How many bytes a registry has: the `0-<last>` of its `Range`, where it sends one. `0-0` is one byte or none, which the specification
/// does not tell apart; none is what can be gone on with either way, as a chunk that is refused shows.
fn received(headers: &HeaderMap) -> Result<Option<u64>, Failure> {
    let Some(value) = headers.get(RANGE) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let range = text.strip_prefix("bytes=").unwrap_or(text);
    match range.split_once('-').map(|(first, last)| (first.parse::<u64>(), last.parse::<u64>())) {
        Some((Ok(0), Ok(0))) => Ok(Some(0)),
        Some((Ok(0), Ok(last))) => Ok(Some(last.saturating_add(1))),
        _ => Err(Failure::permanent(format!("Range: 0-<last> expected in its answer, found {text:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use ureq::http::HeaderValue;

    use super::*;

    #[test]
    fn what_a_registry_has_is_read_from_its_range() {
        let found = |text| received(&HeaderMap::from_iter([(RANGE, HeaderValue::from_static(text))]));
        for (text, expected) in [
            ("0-0", 0),
            ("0-1", 2),
            ("0-149999", 150_000),
            ("bytes=0-9", 10),
            (" 0-9 ", 10),
            ("0-18446744073709551615", u64::MAX),
        ] {
            assert_eq!(found(text), Ok(Some(expected)), "{text}");
        }
        for text in ["", "-", "0-", "-9", "1-9", "9", "0-x", "0--1", "0-18446744073709551616"] {
            assert!(found(text).is_err(), "{text}");
        }
        assert_eq!(received(&HeaderMap::new()), Ok(None));
    }
}
