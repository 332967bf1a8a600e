//! Requests sharing one loaded network: who runs now, who waits, what runs together.
//!
//! As many runs go on at once as there are lanes, each on one thread. A run that is alone on the machine gets all threads,
//! and runs that have to wait anyway are joined into one batch, each only where a measurement at loading said that it pays.
//! Nobody ever waits for company. Runs of threads that give way use one thread, never the last free lane, and do not count as
//! company. It must not know samples or services.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dede_model::priority;

use super::engine::{EngineError, Parallelism, Session, Tensor, Values};

mod measurement;

pub(super) use measurement::{ExecutionProfile, measure, warm};

/// Runs going on in this process, of all networks: a lone one is alone on the machine, not only on its network.
static RUNNING: AtomicUsize = AtomicUsize::new(0);
/// When two runs last overlapped, milliseconds since [`EPOCH`]. Callers that alternate leave moments in which nobody runs;
/// a run of all threads started there would meet the next one.
static LAST_OVERLAP: AtomicU64 = AtomicU64::new(0);
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);
/// How long after an overlap nobody counts as alone.
const COMPANY_LASTS: Duration = Duration::from_millis(100);

/// A network with its queue.
pub(super) struct Runner {
    session: Box<dyn Session>,
    profile: ExecutionProfile,
    lanes: usize,
    queue: Mutex<Queue>,
    /// A lane came free that nobody waited for in turn.
    spare: Condvar,
}

struct Queue {
    free_lanes: usize,
    waiting: VecDeque<Arc<Ticket>>,
    /// Runs that give way and wait for a spare lane.
    giving_way: usize,
}

/// A run that waits for a lane.
struct Ticket {
    turn: Mutex<Turn>,
    called: Condvar,
    rows: usize,
}

enum Turn {
    Waiting(Tensor),
    /// Its lane is free: it runs, together with these.
    Leads(Tensor, Vec<Arc<Ticket>>),
    /// Somebody else runs it.
    Taken,
    Done(Result<Vec<Tensor>, EngineError>),
}

impl Runner {
    /// A network that at most `lanes` requests run on at once.
    pub(super) fn new(session: Box<dyn Session>, lanes: usize, profile: ExecutionProfile) -> Self {
        let lanes = lanes.max(1);
        let queue = Queue { free_lanes: lanes, waiting: VecDeque::new(), giving_way: 0 };
        Self { session, profile, lanes, queue: Mutex::new(queue), spare: Condvar::new() }
    }

    /// What was measured.
    pub(super) fn profile(&self) -> ExecutionProfile {
        self.profile
    }

    /// Runs one batch: `[rows, …]` in, one tensor per output back.
    ///
    /// # Errors
    /// [`EngineError`] of the engine.
    pub(super) fn run(&self, batch: Tensor) -> Result<Vec<Tensor>, EngineError> {
        if priority::gives_way() {
            let _lane = self.spare_lane();
            return self.session.run(vec![batch], Parallelism::One);
        }
        let mut queue = lock(&self.queue);
        if queue.free_lanes > 0 {
            queue.free_lanes -= 1;
            drop(queue);
            let _lane = RunPermit(self);
            return self.compute(batch);
        }
        let rows = batch.shape().first().copied().unwrap_or(0);
        let ticket = Arc::new(Ticket { turn: Mutex::new(Turn::Waiting(batch)), called: Condvar::new(), rows });
        queue.waiting.push_back(Arc::clone(&ticket));
        drop(queue);
        self.wait(&ticket)
    }

    /// Waits until a lane is free that nobody else may need at once: the only one, or not the last.
    fn spare_lane(&self) -> RunPermit<'_> {
        let mut queue = lock(&self.queue);
        while queue.free_lanes < self.lanes.min(2) {
            queue.giving_way += 1;
            queue = self.spare.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.giving_way -= 1;
        }
        queue.free_lanes -= 1;
        RunPermit(self)
    }

    fn wait(&self, ticket: &Ticket) -> Result<Vec<Tensor>, EngineError> {
        let mut turn = lock(&ticket.turn);
        loop {
            match std::mem::replace(&mut *turn, Turn::Taken) {
                Turn::Done(answer) => return answer,
                Turn::Leads(batch, followers) => {
                    drop(turn);
                    let _lane = RunPermit(self);
                    return self.lead(batch, &followers);
                }
                turn_of_others @ (Turn::Waiting(_) | Turn::Taken) => *turn = turn_of_others,
            }
            turn = ticket.called.wait(turn).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Runs the leader's batch joined with those of its followers, and gives each its rows.
    fn lead(&self, batch: Tensor, followers: &[Arc<Ticket>]) -> Result<Vec<Tensor>, EngineError> {
        if followers.is_empty() {
            return self.compute(batch);
        }
        let mut batches = vec![batch];
        for follower in followers {
            if let Turn::Waiting(batch) = std::mem::replace(&mut *lock(&follower.turn), Turn::Taken) {
                batches.push(batch);
            }
        }
        let mut answers = self.together(batches);
        for follower in followers.iter().rev() {
            let answer = answers.pop().unwrap_or_else(|| Err(EngineError::new("no answer for this request")));
            *lock(&follower.turn) = Turn::Done(answer);
            follower.called.notify_one();
        }
        answers.pop().unwrap_or_else(|| Err(EngineError::new("no answer for this request")))
    }

    /// One answer per batch. When the joined run fails, each runs alone: nobody suffers for a neighbour.
    fn together(&self, batches: Vec<Tensor>) -> Vec<Result<Vec<Tensor>, EngineError>> {
        let rows: Vec<usize> = batches.iter().map(|batch| batch.shape().first().copied().unwrap_or(0)).collect();
        match join(&batches).and_then(|joined| self.compute(joined)).and_then(|outputs| split(&outputs, &rows)) {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            Err(_) => batches.into_iter().map(|batch| self.compute(batch)).collect(),
        }
    }

    fn compute(&self, batch: Tensor) -> Result<Vec<Tensor>, EngineError> {
        let others = RUNNING.fetch_add(1, Ordering::AcqRel);
        let _running = Running;
        let alone = is_alone(others);
        let parallelism = if alone && self.profile.alone_on_all_threads { Parallelism::All } else { Parallelism::One };
        self.session.run(vec![batch], parallelism)
    }

    /// Passes a lane on: to whoever waits longest, with as many others as run well together.
    fn pass_on(&self) {
        let mut queue = lock(&self.queue);
        let Some(leader) = queue.waiting.pop_front() else {
            queue.free_lanes += 1;
            if queue.giving_way > 0 {
                self.spare.notify_one();
            }
            return;
        };
        let mut turn = lock(&leader.turn);
        let Turn::Waiting(batch) = std::mem::replace(&mut *turn, Turn::Taken) else {
            unreachable!("a ticket in the queue waits");
        };
        let mut rows = leader.rows;
        let mut followers = Vec::new();
        while let Some(next) = queue.waiting.front() {
            if rows + next.rows > self.profile.rows_together || !same_extents(&batch, next) {
                break;
            }
            rows += next.rows;
            followers.extend(queue.waiting.pop_front());
        }
        *turn = Turn::Leads(batch, followers);
        leader.called.notify_one();
    }
}

/// Whether a waiting batch differs from this one in the number of rows at most.
fn same_extents(batch: &Tensor, ticket: &Ticket) -> bool {
    match &*lock(&ticket.turn) {
        Turn::Waiting(other) => other.shape().get(1..) == batch.shape().get(1..),
        Turn::Leads(..) | Turn::Taken | Turn::Done(_) => false,
    }
}

/// The right to run; passed on when dropped, whatever happened.
struct RunPermit<'a>(&'a Runner);

impl Drop for RunPermit<'_> {
    fn drop(&mut self) {
        self.0.pass_on();
    }
}

/// Whether a run that finds `others` running is alone, now and for a while already.
fn is_alone(others: usize) -> bool {
    // The epoch lies in the past by as much as company lasts, so that the first run of a process is alone.
    let now = (EPOCH.elapsed() + COMPANY_LASTS).as_millis() as u64;
    if others > 0 {
        LAST_OVERLAP.store(now, Ordering::Relaxed);
        return false;
    }
    let since = now.saturating_sub(LAST_OVERLAP.load(Ordering::Relaxed));
    since >= COMPANY_LASTS.as_millis() as u64
}

/// Counts a run of this process.
struct Running;

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::AcqRel);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Batches below each other.
pub(super) fn join(batches: &[Tensor]) -> Result<Tensor, EngineError> {
    let mut shape = batches.first().map(|batch| batch.shape().to_vec()).unwrap_or_default();
    if let Some(rows) = shape.first_mut() {
        *rows = batches.iter().filter_map(|batch| batch.shape().first()).sum();
    }
    let floats = batches.iter().map(|batch| if let Values::F32(values) = batch.values() { Some(values) } else { None });
    if let Some(floats) = floats.collect::<Option<Vec<_>>>() {
        return Ok(Tensor::new(shape, Values::F32(floats.into_iter().flatten().copied().collect()))?);
    }
    let bytes = batches.iter().map(|batch| if let Values::U8(values) = batch.values() { Some(values) } else { None });
    match bytes.collect::<Option<Vec<_>>>() {
        Some(bytes) => Ok(Tensor::new(shape, Values::U8(bytes.into_iter().flatten().copied().collect()))?),
        None => Err(EngineError::new("inputs of different types cannot run together")),
    }
}

/// The rows of each batch, from outputs of all of them.
fn split(outputs: &[Tensor], rows: &[usize]) -> Result<Vec<Vec<Tensor>>, EngineError> {
    let total: usize = rows.iter().sum();
    let mut start = 0;
    let mut parts = Vec::with_capacity(rows.len());
    for &count in rows {
        parts.push(outputs.iter().map(|output| rows_of(output, start, count, total)).collect::<Result<_, _>>()?);
        start += count;
    }
    Ok(parts)
}

/// `count` rows of an output of `total` rows. Of one sample an output without an axis of rows is its row: networks that drop all axes of
/// extent 1 drop that of the rows, too.
pub(super) fn rows_of(output: &Tensor, start: usize, count: usize, total: usize) -> Result<Tensor, EngineError> {
    let shape = output.shape();
    if total == 1 && shape.first() != Some(&1) {
        let row = std::iter::once(1).chain(shape.iter().copied()).collect();
        return Ok(Tensor::new(row, output.values().clone())?);
    }
    if shape.first() != Some(&total) {
        let reason = format!("an output of shape {shape:?} cannot be told apart by its {total} samples");
        return Err(EngineError::new(reason));
    }
    let row: usize = shape.iter().skip(1).product();
    let range = start * row..(start + count) * row;
    let values = output.values().part(range);
    let shape = std::iter::once(count).chain(shape.iter().skip(1).copied()).collect();
    Ok(Tensor::new(shape, values)?)
}

/// A batch with as many rows as that, the new ones of zeros.
pub(super) fn padded(batch: Tensor, rows: usize) -> Result<Tensor, EngineError> {
    let (mut shape, mut values) = batch.into_parts();
    let row: usize = shape.iter().skip(1).product();
    if let Values::F32(values) = &mut values {
        values.resize(rows * row, 0.0);
    } else if let Values::U8(values) = &mut values {
        values.resize(rows * row, 0);
    }
    if let Some(count) = shape.first_mut() {
        *count = rows;
    }
    Ok(Tensor::new(shape, values)?)
}

#[cfg(test)]
mod tests;
