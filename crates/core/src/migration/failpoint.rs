//! Places where a test lets the process die, as `kill -9` would. Nothing without the feature `failpoints`.

/// The variable that names the place, and after a colon how many times it is passed before: `copying`, `chunk:7`.
#[cfg(feature = "failpoints")]
const VARIABLE: &str = "DEDE_FAILPOINT";

/// Dies here if the environment says so.
#[cfg(feature = "failpoints")]
pub fn failpoint(name: &str) {
    use std::sync::atomic::{AtomicU64, Ordering};
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let Ok(wanted) = std::env::var(VARIABLE) else { return };
    let (place, times) = wanted
        .split_once(':')
        .map_or((wanted.as_str(), 0), |(place, times)| (place, times.parse::<u64>().unwrap_or(0)));
    if place == name && PASSED.fetch_add(1, Ordering::SeqCst) == times {
        let process = rustix::process::getpid();
        // Nothing after this line runs, nothing is flushed: that is the point.
        let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
        std::thread::park();
    }
}

/// Nothing.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn failpoint(_name: &str) {}
