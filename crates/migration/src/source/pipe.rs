//! The body of an answer, carried from the thread that receives it to the move's own thread, which never waits for it longer than until
//! the move is undone.
//!
//! It knows nothing of what the bytes are. Buffers go round between the two threads, so a body of any size takes a few of them.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::handle::Move;

/// How often a thread that waits for the source looks whether the move is undone.
const LOOK: Duration = Duration::from_millis(50);
/// Size of a buffer, bytes.
const BUFFER: u64 = 256 << 10;
/// Buffers of one body: one is filled, one is read, one is on its way.
const BUFFERS: usize = 3;

/// Bytes of a body, as many as arrived together.
struct Piece {
    buffer: Vec<u8>,
    length: usize,
}

/// What came of waiting.
pub(crate) enum Received<T> {
    /// The next item.
    Item(T),
    /// The move is undone, for this reason.
    Undone(String),
    /// The sender is gone.
    Ended,
    /// Nothing came in time.
    Late,
}

/// Waits for the next item, until the move is undone or `until`.
pub(crate) fn receive<T>(items: &Receiver<T>, this: &Move, until: Option<Instant>) -> Received<T> {
    loop {
        match items.recv_timeout(LOOK) {
            Ok(item) => return Received::Item(item),
            Err(RecvTimeoutError::Disconnected) => return Received::Ended,
            Err(RecvTimeoutError::Timeout) => {
                if let Some(reason) = this.undoing() {
                    return Received::Undone(reason);
                }
                if until.is_some_and(|until| this.clock().now() >= until) {
                    return Received::Late;
                }
            }
        }
    }
}

/// Both ends of a pipe for `body`, of which at most `length` bytes are expected.
pub(crate) fn pipe(body: Box<dyn Read + Send>, length: u64, this: &Arc<Move>) -> (BodyReader, Pump) {
    let (full, pieces) = sync_channel(BUFFERS);
    let (spare, empty) = sync_channel(BUFFERS);
    let size = usize::try_from(length.clamp(1, BUFFER)).unwrap_or(1);
    let reader = BodyReader { this: Arc::clone(this), pieces, spare, piece: None, read: 0 };
    (reader, Pump { body, full, empty, size })
}

/// The end that receives.
pub(crate) struct Pump {
    body: Box<dyn Read + Send>,
    full: SyncSender<io::Result<Piece>>,
    empty: Receiver<Vec<u8>>,
    size: usize,
}

impl Pump {
    /// Carries the body to its end, or until the reader is dropped.
    pub(crate) fn run(mut self) {
        let mut made = 0;
        loop {
            let buffer = match self.empty.try_recv() {
                Ok(buffer) => buffer,
                Err(_) if made < BUFFERS => {
                    made += 1;
                    vec![0; self.size]
                }
                Err(_) => match self.empty.recv() {
                    Ok(buffer) => buffer,
                    Err(_) => return,
                },
            };
            let piece = self.fill(buffer);
            let is_last = piece.as_ref().map_or(true, |piece| piece.length == 0);
            if self.full.send(piece).is_err() || is_last {
                return;
            }
        }
    }

    fn fill(&mut self, mut buffer: Vec<u8>) -> io::Result<Piece> {
        loop {
            match self.body.read(&mut buffer) {
                Ok(length) => return Ok(Piece { buffer, length }),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The end that is read.
pub(crate) struct BodyReader {
    this: Arc<Move>,
    pieces: Receiver<io::Result<Piece>>,
    spare: SyncSender<Vec<u8>>,
    piece: Option<Piece>,
    /// Bytes of `piece` that were read.
    read: usize,
}

impl BodyReader {
    /// The bytes that arrived and were not read; none at the end of the body.
    fn arrived(&mut self) -> io::Result<&[u8]> {
        if self.piece.as_ref().is_some_and(|piece| self.read >= piece.length && piece.length > 0)
            && let Some(piece) = self.piece.take()
        {
            // Sending fails where the body has ended; then no buffer is needed.
            let _ = self.spare.send(piece.buffer);
        }
        if self.piece.is_none() {
            self.read = 0;
            self.piece = Some(match receive(&self.pieces, &self.this, None) {
                Received::Item(piece) => piece?,
                Received::Undone(reason) => return Err(io::Error::new(io::ErrorKind::ConnectionAborted, reason)),
                Received::Ended | Received::Late => {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the body was not carried to its end"));
                }
            });
        }
        Ok(self.piece.as_ref().map_or(&[], |piece| &piece.buffer[self.read.min(piece.length)..piece.length]))
    }
}

impl Read for BodyReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let arrived = self.arrived()?;
        let count = arrived.len().min(into.len());
        into[..count].copy_from_slice(&arrived[..count]);
        self.read += count;
        Ok(count)
    }
}
