//! The sha256 of a file that is being assembled, computed on a thread of its own: hashing takes about as long as
//! fetching, and the two wait for different things.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::digest::{Digest, Hasher};

/// Chunks that may wait for the hash.
const WAITING: usize = 16;

/// A hash in the making. It takes whole buffers and gives used ones back, so that nothing is copied.
pub(super) struct SideHasher {
    sender: SyncSender<Vec<u8>>,
    used: Receiver<Vec<u8>>,
    thread: JoinHandle<Hasher>,
}

impl SideHasher {
    /// Starts the thread; it ends with this.
    pub(super) fn start() -> io::Result<Self> {
        let (sender, receiver) = sync_channel::<Vec<u8>>(WAITING);
        let (give_back, used) = sync_channel(WAITING);
        let work = move || {
            let mut hasher = Hasher::new();
            for bytes in receiver {
                hasher.update(&bytes);
                // Low priority alone does not free the core before the end of a time slice, some milliseconds.
                std::thread::yield_now();
                // When enough buffers are queued already, this one is freed.
                let _ = give_back.try_send(bytes);
            }
            hasher
        };
        let thread = std::thread::Builder::new().name("sha256".into()).spawn(work)?;
        Ok(Self { sender, used, thread })
    }

    /// Takes the next bytes; the buffer holds others afterwards.
    pub(super) fn take(&self, buffer: &mut Vec<u8>) -> io::Result<()> {
        let next = self.used.try_recv().unwrap_or_default();
        self.sender.send(std::mem::replace(buffer, next)).map_err(|_| ended())
    }

    /// Waits for the digest of all bytes taken.
    pub(super) fn digest(self) -> io::Result<Digest> {
        drop(self.sender);
        self.thread.join().map(Hasher::digest).map_err(|_| ended())
    }
}

fn ended() -> io::Error {
    io::Error::other("the thread that hashes has ended")
}
