//! Runs calls on a new model until its latency is flat, so that the first clients do not pay for caches, pools and
//! code paths that were never used.
//!
//! It owns when to stop. It must not know where calls come from, nor what they are.

use std::time::{Duration, Instant};

use dede_model::error::Result;
use serde::{Deserialize, Serialize};

/// Calls of one window, unless they take [`WINDOW_TIME`] before.
const WINDOW: usize = 20;
/// A window ends after this time, with two calls at least: twenty calls of a network whose call takes half a second would say no more
/// than three do, since what is cold (caches, pools, pages never touched) is as warm after the first call of a long computation as
/// after many short ones.
const WINDOW_TIME: Duration = Duration::from_millis(500);
/// See [`WINDOW_TIME`]: one call alone has no other to be like.
const FEWEST_CALLS: usize = 2;
/// Windows whose p99 must be alike.
const FLAT_WINDOWS: usize = 3;
/// How much the longest of them may exceed the shortest.
const FLAT_RATIO: f64 = 1.1;
/// Differences below this are the scheduler's, not the model's, milliseconds.
const NOISE_MS: f64 = 0.1;

/// When to give up on a latency that does not become flat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WarmingLimits {
    /// Most calls.
    pub requests: usize,
    /// Longest time; a call that runs is waited for.
    pub time: Duration,
}

impl Default for WarmingLimits {
    /// A noisy machine may never be flat: 50 windows or 5 s are warm enough. A network whose call takes less than 5 ms makes all 1,000
    /// calls in that time, one of 30 ms more than 150 of them; one that computes for 400 ms makes 12, of which the first two differ from
    /// the others.
    fn default() -> Self {
        Self { requests: 1000, time: Duration::from_secs(5) }
    }
}

/// What warming did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Warmed {
    /// Calls made.
    pub requests: usize,
    /// Calls that failed; they are in no window.
    pub failed: usize,
    /// Complete windows: of 20 calls, or of half a second.
    pub windows: usize,
    /// The 99th percentile of each: its slowest call.
    pub p99_ms: Vec<f64>,
    /// The last three windows are alike.
    pub flat: bool,
    /// In all.
    pub took_ms: f64,
}

/// Runs `calls` in turn, again and again, within the usual limits. `run` says whether the call was answered: what fails warms nothing,
/// and when all calls fail there is nothing to warm with.
///
/// # Errors
/// What `run` answers, at once.
pub fn warm<T>(calls: &[T], run: impl FnMut(&T) -> Result<bool>) -> Result<Warmed> {
    let started = Instant::now();
    warm_within(WarmingLimits::default(), calls, run, || started.elapsed())
}

/// As [`warm`], within other limits and by another clock: `now` is the time since some moment.
///
/// # Errors
/// As [`warm`].
pub fn warm_within<T>(
    limits: WarmingLimits,
    calls: &[T],
    mut run: impl FnMut(&T) -> Result<bool>,
    mut now: impl FnMut() -> Duration,
) -> Result<Warmed> {
    let started = now();
    let mut warmed = Warmed { requests: 0, failed: 0, windows: 0, p99_ms: Vec::new(), flat: false, took_ms: 0.0 };
    let (mut in_window, mut slowest_ms, mut window_began) = (0, 0.0_f64, started);
    let mut before = started;
    for call in calls.iter().cycle().take(limits.requests) {
        let hopeless = warmed.failed >= calls.len() && warmed.failed == warmed.requests;
        if hopeless || before.saturating_sub(started) >= limits.time {
            break;
        }
        let answered = run(call)?;
        let after = now();
        warmed.requests += 1;
        if answered {
            in_window += 1;
            slowest_ms = slowest_ms.max(milliseconds(after.saturating_sub(before)));
        } else {
            warmed.failed += 1;
        }
        before = after;
        let long = in_window >= FEWEST_CALLS && after.saturating_sub(window_began) >= WINDOW_TIME;
        if in_window == WINDOW || long {
            warmed.p99_ms.push(slowest_ms);
            (in_window, slowest_ms, window_began) = (0, 0.0, after);
            warmed.flat = is_flat(&warmed.p99_ms);
            if warmed.flat {
                break;
            }
        }
    }
    warmed.windows = warmed.p99_ms.len();
    warmed.took_ms = milliseconds(before.saturating_sub(started));
    Ok(warmed)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn is_flat(windows_ms: &[f64]) -> bool {
    let Some(last) = windows_ms.len().checked_sub(FLAT_WINDOWS).map(|from| &windows_ms[from..]) else { return false };
    let shortest = last.iter().copied().fold(f64::INFINITY, f64::min);
    let longest = last.iter().copied().fold(0.0, f64::max);
    longest <= shortest * FLAT_RATIO || longest - shortest <= NOISE_MS
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use dede_model::error::Error;

    /// Warms with calls that take what `took_us` says of their number, by a clock that nothing else moves.
    fn simulate(limits: WarmingLimits, took_us: impl Fn(usize) -> u64, answered: impl Fn(usize) -> bool) -> Warmed {
        let (clock_us, number) = (Cell::new(5_u64), Cell::new(0));
        let run = |_: &()| {
            let this = number.replace(number.get() + 1);
            clock_us.set(clock_us.get() + took_us(this));
            Ok(answered(this))
        };
        warm_within(limits, &[(), ()], run, || Duration::from_micros(clock_us.get())).expect("no call ends it")
    }

    #[test]
    fn a_steady_model_is_warm_after_three_windows() {
        let warmed = simulate(WarmingLimits::default(), |_| 2000, |_| true);
        let expected = Warmed { requests: 60, failed: 0, windows: 3, p99_ms: vec![2.0; 3], flat: true, took_ms: 120.0 };
        assert_eq!(warmed, expected);
    }

    #[test]
    fn a_slow_beginning_is_waited_out() {
        // The first call compiles something, and the next hundred fill caches.
        let took_us = |number: usize| match number {
            0 => 500_000,
            1..100 => 10_000 - 50 * number as u64,
            _ => 4000 + (number as u64 * 7) % 300,
        };
        let warmed = simulate(WarmingLimits::default(), took_us, |_| true);
        assert!(warmed.flat && warmed.p99_ms[0] == 500.0, "{warmed:?}");
        // The first call ends its window after one more.
        assert_eq!((warmed.requests, warmed.windows), (162, 9), "{warmed:?}");
        let last = &warmed.p99_ms[6..];
        assert!(last.iter().all(|p99| (4.0..4.4).contains(p99)), "{last:?}");
    }

    #[test]
    fn a_network_that_computes_long_is_warm_after_a_few_calls() {
        let took_us = |number: usize| if number == 0 { 900_000 } else { 400_000 + (number as u64 * 7919) % 20_000 };
        let warmed = simulate(WarmingLimits::default(), took_us, |_| true);
        assert!(warmed.flat && warmed.requests == 8 && warmed.windows == 4, "{warmed:?}");
        let never = |number: usize| if number.is_multiple_of(3) { 800_000 } else { 400_000 };
        let warmed = simulate(WarmingLimits::default(), never, |_| true);
        assert!(warmed.took_ms < 6000.0 && warmed.requests <= 12, "{warmed:?}");
        let one_call = simulate(WarmingLimits::default(), |_| 20_000_000, |_| true);
        assert_eq!((one_call.requests, one_call.windows), (1, 0));
    }

    #[test]
    fn what_never_becomes_flat_ends_at_the_limits() {
        let noisy = |number: usize| if number.is_multiple_of(60) { 9000 } else { 1000 };
        let warmed = simulate(WarmingLimits::default(), noisy, |_| true);
        assert_eq!((warmed.requests, warmed.flat, warmed.windows), (1000, false, 50));
        let limits = WarmingLimits { requests: 1000, time: Duration::from_millis(100) };
        let warmed = simulate(limits, |_| 40_000, |_| true);
        assert_eq!((warmed.requests, warmed.flat, warmed.took_ms), (3, false, 120.0));
    }

    #[test]
    fn differences_below_a_tenth_of_a_millisecond_are_no_differences() {
        let warmed = simulate(WarmingLimits::default(), |number| if number < 20 { 90 } else { 20 }, |_| true);
        assert!(warmed.flat && warmed.requests == 60, "{warmed:?}");
    }

    #[test]
    fn failed_calls_are_in_no_window_and_nothing_but_failures_ends_it() {
        let warmed = simulate(WarmingLimits::default(), |_| 1000, |number| number.is_multiple_of(2));
        assert_eq!((warmed.requests, warmed.failed, warmed.flat), (119, 59, true));
        let warmed = simulate(WarmingLimits::default(), |_| 1000, |_| false);
        assert_eq!((warmed.requests, warmed.failed, warmed.flat), (2, 2, false));
        let nothing: [(); 0] = [];
        let warmed = warm(&nothing, |()| Ok(true)).expect("no calls");
        assert_eq!((warmed.requests, warmed.flat), (0, false));
    }

    #[test]
    fn an_error_ends_it_at_once() {
        let mut runs = 0;
        let ended = warm(&[1, 2, 3], |_| {
            runs += 1;
            if runs == 5 { Err(Error::Cancelled("aborted".into())) } else { Ok(true) }
        });
        assert!(matches!(ended, Err(Error::Cancelled(_))) && runs == 5);
    }
}
