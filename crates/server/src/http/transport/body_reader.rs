//! The bridge from a request body to a thread that reads it: pieces come over a short queue, so that little of the body
//! is in memory at once. A sender that stalls, or is slower than any usual network, is given up.
//!
//! It must not know what the body means. One that breaks off, or has another length than was announced, is an error to
//! its reader, and never looks whole.

use std::io::{self, Read};

use axum::body::Body;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::pace::Pace;

/// Pieces of a body that are queued for the reader; the connection makes none above half a megabyte.
const PIECES: usize = 4;

/// Where pieces are sent; `None` is the end of the body.
pub(in crate::http) type Sender = mpsc::Sender<io::Result<Option<Bytes>>>;

/// A body, read on a thread that may block.
pub(in crate::http) struct BodyReader {
    receiver: mpsc::Receiver<io::Result<Option<Bytes>>>,
    present: Bytes,
    /// Bytes that must still come, where that is known.
    expected: Option<u64>,
    ended: bool,
}

/// Both ends of a queue of pieces. `expected` is the length of the body where the client announced one that it has to
/// keep to.
pub(in crate::http) fn channel(expected: Option<u64>) -> (Sender, BodyReader) {
    let (sender, receiver) = mpsc::channel(PIECES);
    (sender, BodyReader { receiver, present: Bytes::new(), expected, ended: false })
}

/// Passes pieces on until the body ends or fails, or its reader is gone; gives back what has not come to its end.
pub(in crate::http) async fn pass_on(mut content: Body, sender: Sender) -> Option<Body> {
    let is_whole = pump(&mut content, sender, Pace::default()).await;
    (!is_whole).then_some(content)
}

/// Whether all of the body came.
async fn pump(content: &mut Body, sender: Sender, mut pace: Pace) -> bool {
    loop {
        let piece = tokio::select! {
            () = sender.closed() => return false,
            piece = pace.next(content) => piece,
        };
        let (is_whole, is_last) = (matches!(piece, Ok(None)), !matches!(piece, Ok(Some(_))));
        if sender.send(piece).await.is_err() || is_last {
            return is_whole;
        }
    }
}

impl BodyReader {
    /// The next piece; nothing at the end.
    fn next(&mut self) -> io::Result<Option<Bytes>> {
        // Where the sender is gone, its connection is too.
        let gone = || Err(io::ErrorKind::UnexpectedEof.into());
        let piece = self.receiver.blocking_recv().unwrap_or_else(gone)?;
        let Some(expected) = &mut self.expected else { return Ok(piece) };
        let differs = || io::Error::new(io::ErrorKind::InvalidData, "its length is not the one announced");
        match &piece {
            None if *expected > 0 => return Err(differs()),
            None => {}
            Some(data) => *expected = expected.checked_sub(data.len() as u64).ok_or_else(differs)?,
        }
        Ok(piece)
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.present.is_empty() && !self.ended {
            match self.next()? {
                Some(data) => self.present = data,
                None => self.ended = true,
            }
        }
        let count = buffer.len().min(self.present.len());
        buffer[..count].copy_from_slice(&self.present.split_to(count));
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use std::time::Duration;

    use hyper::body::Frame;

    use super::*;

    /// What a thread reads of a body, and whether some of the body is given back.
    async fn read(body: Body, expected: Option<u64>) -> (Result<Vec<u8>, io::ErrorKind>, bool) {
        let (sender, mut reader) = channel(expected);
        let work = move || {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).map(|_| bytes).map_err(|error| error.kind())
        };
        let (rest, outcome) = tokio::join!(pass_on(body, sender), tokio::task::spawn_blocking(work));
        (outcome.expect("no panic"), rest.is_some())
    }

    #[tokio::test]
    async fn bodies_are_read_to_their_end_and_no_further_than_announced() {
        let bytes = vec![7u8; 1 << 20];
        for (body, expected, outcome) in [
            (bytes.clone(), None, Ok(bytes.clone())),
            (bytes.clone(), Some(1 << 20), Ok(bytes.clone())),
            (Vec::new(), None, Ok(Vec::new())),
            (Vec::new(), Some(0), Ok(Vec::new())),
            (Vec::new(), Some(1), Err(io::ErrorKind::InvalidData)),
            (bytes.clone(), Some(1), Err(io::ErrorKind::InvalidData)),
            (bytes.clone(), Some(1 << 21), Err(io::ErrorKind::InvalidData)),
        ] {
            assert_eq!(read(Body::from(body), expected).await.0, outcome, "{expected:?}");
        }
        assert!(!read(Body::from(bytes), Some(1 << 20)).await.1, "nothing is left of what was read whole");
    }

    #[tokio::test]
    async fn a_sender_that_is_gone_is_no_end() {
        let (sender, mut reader) = channel(None);
        sender.send(Ok(Some(Bytes::from_static(b"half")))).await.expect("there is room");
        drop(sender);
        let outcome = tokio::task::spawn_blocking(move || reader.read_to_end(&mut Vec::new())).await;
        assert_eq!(outcome.expect("no panic").expect_err("not whole").kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn what_no_thread_reads_is_given_back() {
        let (sender, reader) = channel(None);
        drop(reader);
        assert!(pass_on(Body::from("content"), sender).await.is_some());
    }

    /// A body that never comes.
    struct Never;

    impl hyper::body::Body for Never {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_sender_that_stalls_is_given_up() {
        let (sender, mut reader) = channel(None);
        let pace = Pace::new(Duration::from_millis(1), Duration::MAX);
        assert!(!pump(&mut Body::new(Never), sender, pace).await);
        let outcome = tokio::task::spawn_blocking(move || reader.read_to_end(&mut Vec::new())).await;
        assert_eq!(outcome.expect("no panic").expect_err("stalled").kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_stalled_sender_is_listened_to_for_no_longer_than_its_reader() {
        let (sender, reader) = channel(None);
        drop(reader);
        assert!(!pump(&mut Body::new(Never), sender, Pace::new(Duration::MAX, Duration::MAX)).await);
    }
}
