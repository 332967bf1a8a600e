//! What pays on this machine for this network, measured when it is loaded; and warming.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use dede_model::priority;

use crate::neural::engine::{EngineError, Parallelism, Session, Tensor};

/// What is worth doing with a network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::neural) struct ExecutionProfile {
    /// Most rows that requests waiting together are joined into.
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
const ALL_THREADS_COST: f64 = 0.25;
/// A batch must save this share of the time of its rows alone, in every round.
const BATCH_SAVES: f64 = 0.03;
/// Rounds in which a batch and its rows alone take turns: other work on the machine then slows both.
const ROUNDS: usize = 3;
/// Runs from this time on are measured once, after one that warms: what disturbs a short one does not double a long one, and a network is
/// not served before.
const LONG_ENOUGH: Duration = Duration::from_millis(100);
/// Time that no batch size is tried beyond.
const BUDGET: Duration = Duration::from_millis(2500);

/// Measures what pays. `batch(n)` makes an input of `n` rows; `sizes` are the batches to try, ascending.
///
/// # Errors
/// [`EngineError`] of the first run that fails: the network cannot be used.
pub(in crate::neural) fn measure(
    session: &dyn Session,
    threads: usize,
    sizes: &[usize],
    batch: &dyn Fn(usize) -> Result<Tensor, EngineError>,
) -> Result<ExecutionProfile, EngineError> {
    let started = Instant::now();
    let single = batch(1)?;
    let row_time = best_of(session, &single, Parallelism::One, ROUNDS)?;
    let mut profile = ExecutionProfile { rows_together: 1, alone_on_all_threads: false, row_time };
    if threads > 1 {
        let all = best_of(session, &single, Parallelism::All, ROUNDS)?;
        let limit = if row_time >= LONG_RUN { 1.0 + ALL_THREADS_COST } else { 1.0 - ALL_THREADS_SAVE };
        profile.alone_on_all_threads = all.as_secs_f64() < row_time.as_secs_f64() * limit;
    }
    for &size in sizes {
        let before = profile.rows_together;
        let runs = u32::try_from((2 * ROUNDS + 1) * size).unwrap_or(u32::MAX);
        // Rows in larger batches take less time than alone, which the last size tells.
        if started.elapsed() + row_time.saturating_mul(runs) / u32::try_from(before).unwrap_or(1) > BUDGET {
            break;
        }
        // A network that takes one row only says so here.
        if !saves(session, &batch(before)?, size.div_ceil(before), &batch(size)?).unwrap_or(false) {
            break;
        }
        profile.rows_together = size;
    }
    Ok(profile)
}

/// Whether the large batch beats the small one, run as often as gives as many rows, in every round.
fn saves(session: &dyn Session, small: &Tensor, repeats: usize, large: &Tensor) -> Result<bool, EngineError> {
    session.run(vec![large.clone()], Parallelism::One)?;
    for _ in 0..ROUNDS {
        let apart = time_of(session, small, Parallelism::One, repeats)?;
        let together = time_of(session, large, Parallelism::One, 1)?;
        if together.as_secs_f64() >= apart.as_secs_f64() * (1.0 - BATCH_SAVES) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The shortest of some runs, after one that warms.
fn best_of(
    session: &dyn Session,
    input: &Tensor,
    parallelism: Parallelism,
    runs: usize,
) -> Result<Duration, EngineError> {
    let warming = time_of(session, input, parallelism, 1)?;
    let mut best = Duration::MAX;
    for _ in 0..if warming < LONG_ENOUGH { runs } else { 1 } {
        best = best.min(time_of(session, input, parallelism, 1)?);
    }
    Ok(best)
}

fn time_of(
    session: &dyn Session,
    input: &Tensor,
    parallelism: Parallelism,
    runs: usize,
) -> Result<Duration, EngineError> {
    let inputs: Vec<_> = (0..runs).map(|_| vec![input.clone()]).collect();
    let started = Instant::now();
    for input in inputs {
        session.run(input, parallelism)?;
    }
    Ok(started.elapsed())
}

/// Runs on all lanes at once, so that none is cold at its first request, and on all threads where that is done. A network that computes
/// long has nothing cold left after measuring that would show.
///
/// # Errors
/// [`EngineError`] of a run.
pub(in crate::neural) fn warm(
    session: &dyn Session,
    lanes: usize,
    profile: ExecutionProfile,
    input: &Tensor,
) -> Result<(), EngineError> {
    if profile.row_time >= LONG_ENOUGH {
        return Ok(());
    }
    if profile.alone_on_all_threads {
        session.run(vec![input.clone()], Parallelism::All)?;
    }
    let together = Barrier::new(lanes);
    let gives_way = priority::gives_way();
    std::thread::scope(|scope| {
        let run = || {
            if gives_way {
                priority::give_way();
            }
            together.wait();
            session.run(vec![input.clone()], Parallelism::One).map(drop)
        };
        let others: Vec<_> = (1..lanes).map(|_| scope.spawn(run)).collect();
        let mut result = run();
        for other in others {
            result = result.and(other.join().unwrap_or_else(|_| Err(EngineError::new("warming up failed"))));
        }
        result
    })
}
