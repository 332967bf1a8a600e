//! A model of what people may expect, held against a server: random schedules of everything that people do while a move goes on, at
//! random moments of it. Whether an action is refused or done is the server's choice; what was answered must then hold.
//!
//! `DEDE_MEDDLING_SCHEDULES` schedules are played from the seed `DEDE_MEDDLING_SEED` on. One that fails is told with its seed and with all
//! that was done and seen.

mod actions;
mod answers;
mod asking;
mod begin;
mod cast;
mod diary;
mod ends;
mod ledger;
mod observation;
mod play;
mod remains;
mod schedule;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use cast::Cast;
use diary::Diary;

/// Schedules that are played at once: each waits more than it works.
const AT_ONCE: usize = 4;

#[test]
fn moves_that_people_meddle_with_end_as_they_say() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse::<u64>().unwrap());
    let (count, first) = (number("DEDE_MEDDLING_SCHEDULES", 300), number("DEDE_MEDDLING_SEED", 1));
    let (cast, started) = (Cast::start(), Instant::now());
    let (next, failed) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    if let Err(told) = one(&cast, seed) {
                        // At once, too: a long run may be ended by hand.
                        println!("{told}");
                        failed.lock().unwrap().push(seed);
                    }
                }
            });
        }
    });
    println!("meddling: {count} schedules in {:.0} s", started.elapsed().as_secs_f64());
    cast.end();
    let mut failed = failed.into_inner().unwrap();
    failed.sort_unstable();
    assert!(failed.is_empty(), "{} of {count} schedules failed, with the seeds {failed:?}", failed.len());
}

/// Plays the schedule of a seed; what is wrong, with everything that led there.
fn one(cast: &Cast, seed: u64) -> Result<(), String> {
    let (schedule, diary) = (schedule::of(seed), Diary::default());
    let outcome = catch_unwind(AssertUnwindSafe(|| play::play(cast, &schedule, &diary)));
    let wrong = outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        vec![text.unwrap_or_default()]
    });
    if wrong.is_empty() {
        return Ok(());
    }
    let wrong = wrong.join("\n    ");
    Err(format!("seed {seed} failed:\n    {wrong}\n  {schedule:?}\n    {}\n", diary.text()))
}
