//! Threads whose work gives way to that of clients: shadows and moves. They run at the lowest priority, each on a
//! single thread; code that could spread work over further threads asks [`gives_way`] first.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::Duration;

use crate::error::{Error, Result};

thread_local! {
    static GIVES_WAY: Cell<bool> = const { Cell::new(false) };
}

/// A thread of ordinary priority. On Linux a thread inherits the priority of the one that starts it.
static ORDINARY: OnceLock<Option<rayon::ThreadPool>> = OnceLock::new();

/// Starts what all threads share while the caller is still an ordinary thread.
pub fn prepare() {
    ORDINARY.get_or_init(|| {
        rayon::ThreadPoolBuilder::new().num_threads(1).thread_name(|_| "ordinary".to_owned()).build().ok()
    });
    rayon::current_num_threads();
}

/// The calling thread gives way from now on, until it ends: a lowered priority cannot be raised again.
pub fn give_way() {
    prepare();
    GIVES_WAY.set(true);
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, 19) {
        tracing::warn!(%error, "work that should give way runs at ordinary priority");
    }
}

/// Whether the calling thread gives way.
pub fn gives_way() -> bool {
    GIVES_WAY.get()
}

/// Runs `work`, which starts threads that serve clients later, on a thread of ordinary priority.
pub fn ordinary<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if gives_way()
        && let Some(Some(pool)) = ORDINARY.get()
    {
        pool.install(work)
    } else {
        work()
    }
}

/// Runs `work` on a thread that gives way, and waits for it: for callers that serve clients again afterwards.
///
/// # Errors
/// [`Error::Io`] when no thread can be started; [`Error::Internal`] when the work met a bug.
pub fn giving_way<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
    let quiet = || {
        give_way();
        work()
    };
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("background".into());
        let started = builder.spawn_scoped(scope, quiet).map_err(Error::io("start a thread"))?;
        started.join().map_err(|_| {
            Error::Internal("work in the background ended in an internal error (panic); see the log".into())
        })
    })
}

/// What the calling thread has computed since it started.
pub fn computed() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    fn nice() -> i32 {
        rustix::process::getpriority_process(None).unwrap()
    }

    #[test]
    fn only_the_thread_itself_gives_way_and_its_helpers_do_not() {
        let before = nice();
        let seen = std::thread::spawn(|| {
            give_way();
            (gives_way(), nice(), std::thread::spawn(nice).join().unwrap(), ordinary(|| (gives_way(), nice())))
        });
        assert_eq!(seen.join().unwrap(), (true, 19, 19, (false, before)));
        assert_eq!(giving_way(|| (gives_way(), nice())).unwrap(), (true, 19));
        assert_eq!((gives_way(), nice()), (false, before));
    }
}
