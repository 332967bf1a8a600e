//! What pays on this machine for this network, measured when it is loaded. The same runs warm the network.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::neural::engine::{Array, EngineError, Session, Width};

/// What is worth doing with a network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::neural) struct Habit {
    /// Most rows that requests waiting together are joined into; also the largest batch of one run.
    pub(in crate::neural) rows_together: usize,
    /// Whether a lone request is faster on all threads.
    pub(in crate::neural) alone_on_all_threads: bool,
    /// Time of one row on one thread.
    pub(in crate::neural) row_time: Duration,
}

/// Runs shorter than this must save [`ALL_THREADS_SAVE`] of their time on all threads, or one thread is enough.
const LONG_RUN: Duration = Duration::from_millis(1);
/// See [`LONG_RUN`].
const ALL_THREADS_SAVE: f64 = 0.1;
/// A long run takes all threads unless that costs this share more: a busy machine at load time makes both look alike, and
/// an idle one later would leave a core unused for good.
const ALL_THREADS_COST: f64 = 0.05;
/// A batch must save this share of the time of its rows alone: below it, noise would decide.
const BATCH_SAVES: f64 = 0.03;
/// Time after which no further batch size is tried.
const BUDGET: Duration = Duration::from_millis(1200);

/// Warms a network and measures what pays. `batch(n)` makes an input of `n` rows; `sizes` are the batches to
/// try, ascending.
///
/// # Errors
/// [`EngineError`] of the first run that fails: the network cannot be used.
pub(in crate::neural) fn measure(
    session: &dyn Session,
    lanes: usize,
    threads: usize,
    sizes: &[usize],
    batch: &dyn Fn(usize) -> Result<Array, EngineError>,
) -> Result<Habit, EngineError> {
    let started = Instant::now();
    let single = batch(1)?;
    let row_time = best_of(session, &single, Width::One, 3)?;
    let mut habit = Habit { rows_together: 1, alone_on_all_threads: false, row_time };
    if threads > 1 {
        let all = best_of(session, &single, Width::All, 3)?;
        let limit = if row_time >= LONG_RUN { 1.0 + ALL_THREADS_COST } else { 1.0 - ALL_THREADS_SAVE };
        habit.alone_on_all_threads = all.as_secs_f64() < row_time.as_secs_f64() * limit;
    }
    let mut best = row_time.as_secs_f64();
    for &size in sizes {
        let expected = row_time.saturating_mul(3 * u32::try_from(size).unwrap_or(u32::MAX));
        if started.elapsed() + expected > BUDGET {
            break;
        }
        // A network whose batch is fixed in its file says so here; one row at a time is then right.
        let Ok(time) = best_of(session, &batch(size)?, Width::One, 2) else { break };
        let row = time.as_secs_f64() / size as f64;
        if row < best * (1.0 - BATCH_SAVES) {
            (best, habit.rows_together) = (row, size);
        }
    }
    warm_lanes(session, lanes, &single)?;
    Ok(habit)
}

/// The shortest of some runs, after one that warms.
fn best_of(session: &dyn Session, input: &Array, width: Width, runs: usize) -> Result<Duration, EngineError> {
    session.run(vec![input.clone()], width)?;
    let mut best = Duration::MAX;
    for _ in 0..runs {
        let input = vec![input.clone()];
        let started = Instant::now();
        session.run(input, width)?;
        best = best.min(started.elapsed());
    }
    Ok(best)
}

/// Runs on all lanes at once, so that none is cold at its first request.
fn warm_lanes(session: &dyn Session, lanes: usize, input: &Array) -> Result<(), EngineError> {
    let together = Barrier::new(lanes);
    std::thread::scope(|scope| {
        let run = || {
            together.wait();
            session.run(vec![input.clone()], Width::One).map(drop)
        };
        let others: Vec<_> = (1..lanes).map(|_| scope.spawn(run)).collect();
        let mut result = run();
        for other in others {
            result = result.and(other.join().unwrap_or_else(|_| Err(EngineError::new("warming up failed"))));
        }
        result
    })
}
