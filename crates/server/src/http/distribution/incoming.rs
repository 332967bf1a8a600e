//! Bodies of any size as readers: pieces come from the connection over a short queue to the blocking thread that writes
//! them. A sender that stalls, or is slower than any usual network, is given up.

use std::io::{self, Read};

use axum::body::Body;
use axum::http::HeaderMap;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::blocking;
use super::refusal::Answer;
use crate::http::body;
use crate::http::transport::pace::Pace;

/// Pieces that wait for a slow disk; the connection makes none above half a megabyte.
const PIECES: usize = 4;

/// A body as it comes in. It ends with an error where the sender did not say that it is whole.
pub(super) struct Incoming {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
    /// Bytes that must still come, where that is known.
    expected: Option<u64>,
    is_over: bool,
}

/// Runs `work` on a blocking thread with the body as a reader; `expected` is its length where the client announced it. What is left of
/// a body that was refused passes, so that its client reads the answer.
pub(super) async fn with_body<T: Send + 'static>(
    headers: &HeaderMap,
    mut body: Body,
    expected: Option<u64>,
    work: impl FnOnce(Incoming) -> Answer<T> + Send + 'static,
) -> Answer<T> {
    let (sender, pieces) = mpsc::channel(PIECES);
    let incoming = Incoming { pieces, current: Bytes::new(), expected, is_over: false };
    let (outcome, ()) = tokio::join!(blocking(move || work(incoming)), pump(&mut body, sender, Pace::default()));
    if outcome.is_err() {
        body::discard(headers, body).await;
    }
    outcome
}

/// Passes pieces on until the body ends, fails, or its reader is gone. An empty piece is the end.
async fn pump(body: &mut Body, sender: mpsc::Sender<io::Result<Bytes>>, mut pace: Pace) {
    loop {
        let piece = tokio::select! {
            () = sender.closed() => return,
            piece = pace.next(body) => piece.map(Option::unwrap_or_default),
        };
        let is_last = piece.as_ref().map_or(true, Bytes::is_empty);
        if sender.send(piece).await.is_err() || is_last {
            return;
        }
    }
}

impl Incoming {
    /// The next piece, empty at the end.
    fn next(&mut self) -> io::Result<Bytes> {
        let gone = || Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the sender is gone"));
        let piece = self.pieces.blocking_recv().unwrap_or_else(gone)?;
        let Some(expected) = &mut self.expected else { return Ok(piece) };
        let differs = || io::Error::new(io::ErrorKind::InvalidData, "its length is not the one announced");
        if piece.is_empty() && *expected > 0 {
            return Err(differs());
        }
        *expected = expected.checked_sub(piece.len() as u64).ok_or_else(differs)?;
        Ok(piece)
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.current.is_empty() && !self.is_over {
            self.current = self.next()?;
            self.is_over = self.current.is_empty();
        }
        let count = self.current.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.current.split_to(count));
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

    async fn read(body: Body, expected: Option<u64>) -> Result<Vec<u8>, io::ErrorKind> {
        let work = move |mut incoming: Incoming| {
            let mut bytes = Vec::new();
            Ok(incoming.read_to_end(&mut bytes).map(|_| bytes).map_err(|error| error.kind()))
        };
        with_body(&HeaderMap::new(), body, expected, work).await.expect("work that refuses nothing")
    }

    #[tokio::test]
    async fn bodies_are_read_to_their_end() {
        let bytes = vec![7u8; 1 << 20];
        assert_eq!(read(Body::from(bytes.clone()), None).await, Ok(bytes.clone()));
        assert_eq!(read(Body::from(bytes.clone()), Some(1 << 20)).await, Ok(bytes.clone()));
        assert_eq!(read(Body::empty(), Some(0)).await, Ok(Vec::new()));
        assert_eq!(read(Body::from(bytes.clone()), Some(1)).await, Err(io::ErrorKind::InvalidData));
        assert_eq!(read(Body::from(bytes), Some(1 << 21)).await, Err(io::ErrorKind::InvalidData));
    }

    #[tokio::test]
    async fn a_sender_that_is_gone_is_no_end() {
        let (sender, pieces) = mpsc::channel(PIECES);
        sender.send(Ok(Bytes::from_static(b"half"))).await.expect("there is room");
        drop(sender);
        let mut incoming = Incoming { pieces, current: Bytes::new(), expected: None, is_over: false };
        let outcome = tokio::task::spawn_blocking(move || incoming.read_to_end(&mut Vec::new())).await;
        assert_eq!(outcome.expect("no panic").expect_err("not whole").kind(), io::ErrorKind::UnexpectedEof);
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
        let (sender, mut pieces) = mpsc::channel(PIECES);
        pump(&mut Body::new(Never), sender, Pace::new(Duration::from_millis(1), Duration::MAX)).await;
        let last = pieces.recv().await.expect("a reason");
        assert_eq!(last.expect_err("stalled").kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn nobody_listens_to_a_stalled_sender_for_longer_than_needed() {
        let (sender, pieces) = mpsc::channel(PIECES);
        drop(pieces);
        pump(&mut Body::new(Never), sender, Pace::new(Duration::MAX, Duration::MAX)).await;
    }
}
