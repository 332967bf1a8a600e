//! Bodies that are made piece by piece: files on a blocking thread, events of a move by a task.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Pieces that wait for a slow client.
const PIECES: usize = 8;
/// Events that wait for a slow client: what is newest says all.
const EVENTS: usize = 1;
/// Longest wait for a client that takes no piece: what makes it is needed elsewhere.
const PATIENCE: Duration = Duration::from_secs(60);
/// Piece of a file that is read at once, bytes.
const PIECE: usize = 256 << 10;

/// Where the pieces of a body are put.
pub(in crate::http) struct BodySender {
    sender: mpsc::Sender<io::Result<Bytes>>,
    patience: Duration,
}

impl BodySender {
    /// As [`BodySender::send_soon`], on a blocking thread.
    pub(in crate::http) fn send(&self, piece: impl Into<Bytes>) -> bool {
        Handle::current().block_on(self.send_soon(piece))
    }

    /// Waits until there is room. False when the client is gone, or stalls.
    pub(in crate::http) async fn send_soon(&self, piece: impl Into<Bytes>) -> bool {
        let sent = tokio::time::timeout(self.patience, self.sender.send(Ok(piece.into()))).await;
        matches!(sent, Ok(Ok(())))
    }

    /// Breaks the body off, so that the client sees that it is not whole.
    pub(in crate::http) fn fail(&self, error: io::Error) {
        // Sending fails when the client is gone; then no client can take the body for whole.
        let sent = async { tokio::time::timeout(self.patience, self.sender.send(Err(error))).await };
        let _ = Handle::current().block_on(sent);
    }
}

/// A body made by `work` on a blocking thread.
pub(in crate::http) fn body(work: impl FnOnce(&BodySender) + Send + 'static) -> Body {
    let (sender, receiver) = mpsc::channel(PIECES);
    tokio::task::spawn_blocking(move || work(&BodySender { sender, patience: PATIENCE }));
    Body::new(BodyReceiver(receiver))
}

/// A body made by a task, which holds no thread while it waits. It ends when the client goes away.
pub(in crate::http) fn events<W: Future<Output = ()> + Send + 'static>(work: impl FnOnce(BodySender) -> W) -> Body {
    let (sender, receiver) = mpsc::channel(EVENTS);
    let gone = sender.clone();
    let making = work(BodySender { sender, patience: PATIENCE });
    tokio::spawn(async move {
        tokio::select! {
            () = making => {}
            () = gone.closed() => {}
        }
    });
    Body::new(BodyReceiver(receiver))
}

/// A part of a file; what is `kept` is dropped when it has gone out.
pub(in crate::http) fn file(mut file: File, range: Range<u64>, kept: impl Send + 'static) -> Body {
    body(move |pieces| {
        let _kept = kept;
        let mut left = range.end.saturating_sub(range.start);
        let mut next = file.seek(SeekFrom::Start(range.start)).map(drop);
        while left > 0 {
            let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
            next = next.and_then(|()| file.read_exact(&mut piece));
            if let Err(error) = next {
                return pieces.fail(error);
            }
            left -= piece.len() as u64;
            dede_storage::failpoint("piece");
            if !pieces.send(piece) {
                return;
            }
        }
    })
}

struct BodyReceiver(mpsc::Receiver<io::Result<Bytes>>);

impl HttpBody for BodyReceiver {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_that_stalls_gives_the_thread_back() {
        let (sender, _receiver) = mpsc::channel(1);
        let pieces = BodySender { sender, patience: Duration::from_millis(1) };
        let sent = tokio::task::spawn_blocking(move || (0..3).map(|_| pieces.send("piece")).collect::<Vec<_>>());
        assert_eq!(sent.await.expect("no panic"), [true, false, false]);
    }

    #[tokio::test]
    async fn a_part_of_a_file_is_sent_and_one_that_is_cut_breaks_off() {
        let opened = || {
            let mut file = tempfile::tempfile().expect("a file");
            std::io::Write::write_all(&mut file, &[7; 1 << 20]).expect("written");
            file
        };
        let whole = axum::body::to_bytes(super::file(opened(), 1..(1 << 20), ()), usize::MAX).await;
        assert_eq!(whole.expect("a body").len(), (1 << 20) - 1);
        assert!(axum::body::to_bytes(super::file(opened(), 0..(1 << 21), ()), usize::MAX).await.is_err());
    }
}
