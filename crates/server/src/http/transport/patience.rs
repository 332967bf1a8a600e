//! Timeouts for clients that do not read: an answer that is not taken is dropped, and its memory with it.
//!
//! It must not know what is written.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::connections::Activity;

/// How long a client may keep a server waiting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// In a single pause.
    pub(super) pause: Duration,
    /// In all; with a second more for each `bytes_s` bytes.
    pub(super) total: Duration,
    pub(super) bytes_s: u64,
}

/// What clients of this server get: as long as for sending, and 16 KiB in a second.
pub(super) const PATIENCE: Patience =
    Patience { pause: Duration::from_secs(30), total: Duration::from_secs(60), bytes_s: 16 << 10 };

/// A connection that ends where the client does not read.
pub(super) struct Patient<S> {
    stream: S,
    patience: Patience,
    activity: Arc<Activity>,
    written: u64,
    waited: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, patience: Patience, activity: Arc<Activity>) -> Self {
        Self { stream, patience, activity, written: 0, waited: Duration::ZERO, waiting: None }
    }

    /// Passes on what writing came to, unless it is pending for too long.
    fn pass<T>(&mut self, context: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            if let Some((since, _)) = self.waiting.take() {
                self.waited += since.elapsed();
                self.activity.set_stalled(false);
            }
            return outcome;
        }
        let (patience, written) = (self.patience, self.written);
        let left = patience.total + Duration::from_secs(written / patience.bytes_s.max(1));
        let left = left.saturating_sub(self.waited).min(patience.pause);
        self.activity.set_stalled(true);
        let (_, timer) = self.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(left))));
        match timer.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.count(&outcome);
        self.pass(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.count(&outcome);
        self.pass(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        self.pass(context, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(context);
        self.pass(context, outcome)
    }
}

impl<S> Patient<S> {
    fn count(&mut self, outcome: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(written)) = outcome {
            self.written += *written as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn a_client_that_does_not_read_is_given_up() {
        let patience = Patience { pause: Duration::from_millis(20), ..PATIENCE };
        let (client, server) = duplex(100);
        let mut server = Patient::new(server, patience, Arc::default());
        let error = server.write_all(&[0; 1000]).await.expect_err("no one reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(client);
    }

    /// However often it reads: what is too slow in all is given up.
    #[tokio::test]
    async fn a_client_that_reads_too_slowly_is_given_up() {
        let patience =
            Patience { pause: Duration::from_secs(60), total: Duration::from_millis(100), bytes_s: u64::MAX };
        let (mut client, server) = duplex(10);
        let mut server = Patient::new(server, patience, Arc::default());
        let reading = tokio::spawn(async move {
            let mut byte = [0];
            while client.read_exact(&mut byte).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let error = server.write_all(&[0; 1000]).await.expect_err("five milliseconds for each byte");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(server);
        reading.await.expect("it ends");
    }

    #[tokio::test]
    async fn a_client_that_reads_gets_everything() {
        let patience = Patience { pause: Duration::from_secs(60), total: Duration::from_millis(1), bytes_s: 1000 };
        let (mut client, server) = duplex(1000);
        let mut server = Patient::new(server, patience, Arc::default());
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            client.read_to_end(&mut all).await.map(|_| all.len())
        });
        server.write_all(&vec![0; 1 << 20]).await.expect("it reads");
        drop(server);
        assert_eq!(reading.await.expect("no panic").expect("everything"), 1 << 20);
    }
}
