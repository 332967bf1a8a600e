//! A request body as a blocking reader: its pieces come over a short queue, so that little of it is in memory at once.
//!
//! It must not know what the body means. One that breaks off is an error to its reader, and never looks whole.

use std::io::{self, Read};

use axum::body::Body;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::pace::Pace;

/// Pieces of a body that are queued for the reader.
const PIECES: usize = 8;

/// Where pieces are sent; `None` is the end of the body.
pub(in crate::http) type Sender = mpsc::Sender<io::Result<Option<Bytes>>>;

/// A body, read on a thread that may block.
pub(in crate::http) struct BodyReader {
    receiver: mpsc::Receiver<io::Result<Option<Bytes>>>,
    present: Bytes,
    ended: bool,
}

/// Both ends of a queue of pieces.
pub(in crate::http) fn channel() -> (Sender, BodyReader) {
    let (sender, receiver) = mpsc::channel(PIECES);
    (sender, BodyReader { receiver, present: Bytes::new(), ended: false })
}

/// Passes pieces on until the body ends; gives the body back when its reader is gone.
pub(in crate::http) async fn pass_on(mut content: Body, sender: Sender) -> Option<Body> {
    let mut pace = Pace::default();
    loop {
        let piece = pace.next(&mut content).await;
        let is_last = !matches!(piece, Ok(Some(_)));
        if sender.send(piece).await.is_err() {
            return (!is_last).then_some(content);
        }
        if is_last {
            return None;
        }
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.present.is_empty() && !self.ended {
            match self.receiver.blocking_recv() {
                // The sender is gone, and its connection with it.
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(piece) => match piece? {
                    Some(data) => self.present = data,
                    None => self.ended = true,
                },
            }
        }
        let count = buffer.len().min(self.present.len());
        buffer[..count].copy_from_slice(&self.present.split_to(count));
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_is_read_whole_and_one_that_breaks_off_is_an_error() {
        let (sender, mut arriving) = channel();
        let read = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            arriving.read_to_string(&mut text).map(|_| text)
        });
        assert!(pass_on(Body::from("content"), sender).await.is_none());
        assert_eq!(read.await.expect("no panic").expect("whole"), "content");

        let (sender, mut arriving) = channel();
        sender.send(Ok(Some(Bytes::from_static(b"cont")))).await.expect("there is room");
        drop(sender);
        let read = tokio::task::spawn_blocking(move || arriving.read_to_end(&mut Vec::new()));
        let error = read.await.expect("no panic").expect_err("not whole");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn what_nobody_reads_is_given_back() {
        let (sender, arriving) = channel();
        drop(arriving);
        assert!(pass_on(Body::from("content"), sender).await.is_some());
    }
}
