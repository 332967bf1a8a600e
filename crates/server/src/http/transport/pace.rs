//! The minimum speed of a body: no pause may be too long, and a body that takes a while must bring so many bytes a
//! second.
//!
//! Only the time spent waiting for the client counts. It must not know where the bytes go.

use std::io;
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt as _;

/// Longest pause between two pieces.
const PAUSE: Duration = Duration::from_secs(30);
/// Time that may be spent waiting for any body, and bytes per second that a longer one must bring.
const PATIENCE: Duration = Duration::from_secs(60);
const LEAST_BYTES_S: u64 = 16 << 10;

/// The pace of one body.
#[derive(Debug)]
pub(in crate::http) struct Pace {
    pause: Duration,
    patience: Duration,
    received: u64,
    waited: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self::new(PAUSE, PATIENCE)
    }
}

impl Pace {
    /// With bounds on a single pause, and on all of them together.
    pub(in crate::http) fn new(pause: Duration, patience: Duration) -> Self {
        Self { pause, patience, received: 0, waited: Duration::ZERO }
    }

    /// The next piece; nothing at the end.
    ///
    /// # Errors
    /// That it breaks off, stops coming, or comes too slowly.
    pub(in crate::http) async fn next(&mut self, body: &mut Body) -> io::Result<Option<Bytes>> {
        loop {
            let began = Instant::now();
            let frame = tokio::time::timeout(self.pause, body.frame()).await;
            self.waited += began.elapsed();
            let late = |text| Err(io::Error::new(io::ErrorKind::TimedOut, text));
            let data = match frame {
                Err(_) => return late("the body stopped coming"),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(io::Error::other(error)),
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            };
            self.received += data.len() as u64;
            if self.waited > self.patience.saturating_add(Duration::from_secs(self.received / LEAST_BYTES_S)) {
                return late("the body comes too slowly");
            }
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::transport::stream;

    #[tokio::test]
    async fn what_comes_too_slowly_is_given_up() {
        for (pause, patience, expected) in [(1, 60_000, "stopped coming"), (60_000, 1, "too slowly")] {
            let (stop, stopped) = std::sync::mpsc::channel::<()>();
            let mut body = stream::body(move |pieces| {
                while stopped
                    .recv_timeout(Duration::from_millis(20))
                    .is_err_and(|error| error == std::sync::mpsc::RecvTimeoutError::Timeout)
                    && pieces.send("x")
                {}
            });
            let mut pace = Pace::new(Duration::from_millis(pause), Duration::from_millis(patience));
            let error = loop {
                if let Err(error) = pace.next(&mut body).await {
                    break error;
                }
            };
            assert!(error.to_string().contains(expected), "{error}");
            drop(stop);
        }
    }

    #[tokio::test]
    async fn what_comes_fast_enough_comes_whole() {
        let mut body = Body::from(vec![7; 1 << 20]);
        let (mut pace, mut received) = (Pace::default(), 0);
        while let Some(piece) = pace.next(&mut body).await.expect("it comes") {
            received += piece.len();
        }
        assert_eq!(received, 1 << 20);
    }
}
