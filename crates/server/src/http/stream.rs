//! Bodies whose pieces are made on a blocking thread: events of a move, files.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame};
use tokio::sync::mpsc;

/// Pieces that wait for a slow client.
const PIECES: usize = 8;

/// Where a blocking thread puts the pieces of a body.
pub(super) struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Pieces {
    /// Waits until there is room. False when nobody listens any more.
    pub(super) fn send(&self, piece: impl Into<Bytes>) -> bool {
        self.0.blocking_send(Ok(piece.into())).is_ok()
    }

    /// Breaks the body off, so that the client sees that it is not whole.
    pub(super) fn fail(&self, error: io::Error) {
        // Nobody listens: nobody is misled.
        let _ = self.0.blocking_send(Err(error));
    }
}

/// A body made by `work` on a blocking thread.
pub(super) fn body(work: impl FnOnce(&Pieces) + Send + 'static) -> Body {
    let (sender, receiver) = mpsc::channel(PIECES);
    tokio::task::spawn_blocking(move || work(&Pieces(sender)));
    Body::new(Arriving(receiver))
}

struct Arriving(mpsc::Receiver<io::Result<Bytes>>);

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
