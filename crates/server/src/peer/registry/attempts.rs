//! Retries: how often something is attempted, and how long to wait in between. Pauses grow and have some jitter, so
//! that clients which failed together do not come back together. It must not know requests.

use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use super::failure::{Failure, FailureKind};

/// Longest pause before the second attempt; it doubles with each that follows.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest pause of this client's own accord.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Longest pause that a registry is granted.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);
/// Bytes that are progress. With less, a connection that carries a byte each time would be made as often as there are bytes.
pub(super) const PROGRESS: u64 = 64 << 10;

/// The attempts at one thing.
#[derive(Debug)]
pub(super) struct Attempts {
    most: u32,
    made: u32,
    without_progress: u32,
    /// Bytes that were there at the last progress.
    counted: u64,
}

impl Attempts {
    /// None yet, of at most so many in a row that bring nothing.
    pub(super) fn new(most: u32) -> Self {
        Self::behind(0, most)
    }

    /// The same, for content of which so many bytes are there.
    pub(super) fn behind(position: u64, most: u32) -> Self {
        Self { most, made: 0, without_progress: 0, counted: position }
    }

    /// So many bytes are there now; where they are [`PROGRESS`], failures are counted anew.
    pub(super) fn reached(&mut self, position: u64) {
        if position >= self.counted.saturating_add(PROGRESS) {
            self.counted = position;
            self.without_progress = 0;
        }
    }

    /// Counts one that failed; gives how long to wait before the next, nothing where there is to be none.
    pub(super) fn pause_after(&mut self, failure: &Failure) -> Option<Duration> {
        self.made = self.made.saturating_add(1);
        self.without_progress = self.without_progress.saturating_add(1);
        let retry_after = match failure.kind {
            FailureKind::Permanent => return None,
            FailureKind::Unreachable => None,
            FailureKind::Transient(retry_after) => retry_after,
        };
        (self.without_progress < self.most).then(|| pause(self.without_progress, retry_after, random()))
    }

    /// The number of the attempt that follows those that failed.
    pub(super) fn next(&self) -> u32 {
        self.made.saturating_add(1)
    }
}

impl fmt::Display for Attempts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.made, self.without_progress) {
            (1, _) => formatter.write_str("1 attempt"),
            (made, failed) if made == failed => write!(formatter, "{made} attempts"),
            (made, failed) => write!(formatter, "{made} attempts, the last {failed} without progress"),
        }
    }
}

/// After so many attempts in a row that brought nothing; `random` is from 0 to 1.
fn pause(failed: u32, retry_after: Option<Duration>, random: f64) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failed.saturating_sub(1).min(16));
    let own = doubled.min(LONGEST_PAUSE).mul_f64(0.5 + random / 2.0);
    own.max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER))
}

/// From 0 to 1.
fn random() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_respect_the_registry_up_to_another() {
        let ms = Duration::from_millis;
        for (failed, retry_after, random, expected) in [
            (1, None, 1.0, ms(250)),
            (1, None, 0.0, ms(125)),
            (2, None, 1.0, ms(500)),
            (5, None, 1.0, ms(4000)),
            (8, None, 1.0, LONGEST_PAUSE),
            (u32::MAX, None, 1.0, LONGEST_PAUSE),
            (u32::MAX, None, 0.0, LONGEST_PAUSE / 2),
            (1, Some(ms(3000)), 0.5, ms(3000)),
            (5, Some(ms(1000)), 1.0, ms(4000)),
            (1, Some(Duration::MAX), 1.0, LONGEST_RETRY_AFTER),
        ] {
            assert_eq!(pause(failed, retry_after, random), expected, "{failed} {retry_after:?} {random}");
        }
        assert!((0..100).all(|_| (0.0..=1.0).contains(&random())));
    }

    #[test]
    fn attempts_without_progress_are_bounded_and_progress_begins_a_new_count() {
        let broken = Failure::transient("broken");
        let mut attempts = Attempts::new(3);
        assert!(attempts.pause_after(&broken).is_some());
        assert!(attempts.pause_after(&broken).is_some());
        attempts.reached(PROGRESS);
        assert!(attempts.pause_after(&broken).is_some());
        assert!(attempts.pause_after(&broken).is_some());
        assert!(attempts.pause_after(&broken).is_none());
        assert_eq!(attempts.to_string(), "5 attempts, the last 3 without progress");
        assert!(Attempts::new(1).pause_after(&broken).is_none());
    }

    #[test]
    fn progress_is_a_block_that_may_come_in_several_attempts() {
        let broken = Failure::transient("broken");
        // Attempts of eight at most, each of which brings so many bytes behind those that are there.
        for (each, expected) in [(1, 8), (PROGRESS / 9, 8), (PROGRESS / 7 + 1, 100)] {
            for there in [0, 10 * PROGRESS + 1] {
                let mut attempts = Attempts::behind(there, 8);
                let mut position = there;
                let count = (1..100).find(|_| {
                    position += each;
                    attempts.reached(position);
                    attempts.pause_after(&broken).is_none()
                });
                assert_eq!(count.unwrap_or(100), expected, "{each} behind {there}");
            }
        }
    }

    #[test]
    fn what_cannot_change_is_tried_once() {
        let mut attempts = Attempts::new(10);
        assert_eq!(attempts.pause_after(&Failure::permanent("refused")), None);
        assert_eq!(attempts.to_string(), "1 attempt");
    }
}
