//! Crashes at every step of a move: source, target and command are killed with `kill -9`, singly and together, wherever something is
//! recorded and in the middle of transfers; afterwards `resume` ends in `done`, or `abort` restores the exact former state.

mod faults;
mod models;
mod people;
mod process;
mod relay;
mod scenario;
mod schedule;
mod together;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use models::Size;
use scenario::{Ending, Place, Scenario, When, Who};
use world::Kind;

/// Scenarios that run at once, per test: they wait more than they work.
const AT_ONCE: usize = 3;

const fn target(name: &'static str, when: When) -> Place {
    Place { who: Who::Target, name, when }
}

/// Where the target is held: around every record, in transfers, around the switch, on the way back.
const PLACES: &[Place] = &[
    target("written/move.json", When::Before),
    target("planned", When::Before),
    target("written/move.json:2", When::Before),
    target("copying", When::Before),
    target("blob-written", When::Before),
    target("blob-stored", When::Before),
    target("chunk", When::Before),
    target("chunk:1", When::Before),
    target("file", When::Before),
    target("drafted", When::Before),
    target("drafted:1", When::Before),
    target("placed", When::Before),
    target("in-place", When::Before),
    target("loading", When::Before),
    target("written/state.json", When::Before),
    target("renamed/state.json", When::Before),
    target("unloaded", When::Before),
    target("exchanged", When::Before),
    target("warming", When::Before),
    target("verifying", When::Before),
    target("shadowing", When::Before),
    target("held", When::Before),
    target("switching", When::Before),
    // The takeover is the second record of the catalogue where there was a service, the switch the last.
    target("written/state.json:1", When::Around),
    target("renamed/state.json:1", When::Around),
    target("written/state.json:2", When::Around),
    target("renamed/state.json:2", When::Around),
    target("switched", When::Around),
    target("watching", When::Around),
    target("draining", When::Around),
    target("written/certificate.json", When::Around),
    target("done", When::Around),
    target("undoing", When::Undoing),
    target("let-go", When::Undoing),
    target("service-removed", When::Undoing),
    target("files-removed", When::Undoing),
    target("aborted", When::Undoing),
    target("pointed-back", When::PointingBack),
    target("rolled_back", When::PointingBack),
    Place { who: Who::Source, name: "bundle", when: When::Before },
    Place { who: Who::Source, name: "chunks", when: When::Before },
    Place { who: Who::Source, name: "chunks:1", when: When::Before },
    Place { who: Who::Source, name: "piece", when: When::Before },
    Place { who: Who::Source, name: "piece:1", when: When::Before },
    Place { who: Who::Command, name: "asking", when: When::Before },
    Place { who: Who::Command, name: "begun", when: When::Around },
    Place { who: Who::Command, name: "followed:1", when: When::Around },
];

const KINDS: [Kind; 4] = [Kind::Service, Kind::Alias, Kind::Free, Kind::Exchanged];

/// One scenario per place; settings that do not matter there vary.
fn everywhere(killed: impl Fn(usize) -> (Vec<Who>, Ending)) -> Vec<Scenario> {
    let scenario = |(index, place): (usize, &Place)| {
        let (killed, ending) = killed(index);
        let size = if index % 2 == 0 { Size::Large } else { Size::Small };
        let outside = index % 4 == 1;
        Scenario {
            kind: KINDS[index % KINDS.len()],
            size,
            outside,
            place: *place,
            killed,
            ending,
            again: None,
            seed: None,
        }
        .fitting()
    };
    PLACES.iter().enumerate().map(scenario).collect()
}

/// What can be played.
trait Play: std::fmt::Debug + Sync {
    /// Plays it; whether its place was reached.
    fn play(&self) -> bool;

    /// Name of its place.
    fn place(&self) -> &str;

    /// Whether its place was drawn, and may not be passed at all.
    fn is_drawn(&self) -> bool {
        false
    }
}

impl Play for Scenario {
    fn play(&self) -> bool {
        Self::play(self)
    }

    fn place(&self) -> &str {
        self.place.name
    }

    fn is_drawn(&self) -> bool {
        self.seed.is_some()
    }
}

/// Plays scenarios side by side, and reports all that fail.
#[expect(clippy::print_stdout, reason = "how much was played, and how long it took, is a result")]
fn play<T: Play>(what: &str, scenarios: &[T]) {
    let only = std::env::var("DEDE_CRASH_ONLY").ok();
    let started = Instant::now();
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let played = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if only.as_deref().is_some_and(|only| only != scenario.place()) {
                        continue;
                    }
                    let outcome = catch_unwind(AssertUnwindSafe(|| scenario.play()));
                    played.fetch_add(1, Ordering::Relaxed);
                    let failure = match outcome {
                        Ok(true) => continue,
                        // Which places a schedule passes is chance.
                        Ok(false) if scenario.is_drawn() => continue,
                        Ok(false) => "its place was not reached".to_owned(),
                        Err(panic) => panic
                            .downcast_ref::<String>()
                            .cloned()
                            .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
                            .unwrap_or_default(),
                    };
                    let told = format!("{scenario:?}\n    {failure}");
                    // Printed at once, too: a long run may be ended by hand.
                    println!("failed: {told}");
                    failures.lock().unwrap().push(told);
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    eprintln!("{what}: {} scenarios in {:.0} s", played.into_inner(), started.elapsed().as_secs_f64());
    assert!(failures.is_empty(), "{} of {} failed:\n{}", failures.len(), scenarios.len(), failures.join("\n"));
}

#[test]
fn target_killed_and_resumed() {
    play("target killed, resumed", &everywhere(|_| (vec![Who::Target], Ending::Resume)));
}

#[test]
fn target_killed_and_aborted() {
    play("target killed, aborted", &everywhere(|_| (vec![Who::Target], Ending::Abort)));
}

#[test]
fn source_killed() {
    play("source killed", &everywhere(|_| (vec![Who::Source], Ending::Resume)));
}

#[test]
fn command_killed() {
    play("command killed", &everywhere(|_| (vec![Who::Command], Ending::Resume)));
}

#[test]
fn several_killed() {
    use Who::{Command, Source, Target};
    let together = [vec![Target, Source], vec![Target, Command], vec![Source, Command], vec![Target, Source, Command]];
    for shift in 0..together.len() {
        let ending = |index: usize| if (index / 4 + shift).is_multiple_of(2) { Ending::Resume } else { Ending::Abort };
        let scenarios = everywhere(|index| (together[(index + shift) % together.len()].clone(), ending(index)));
        play("several killed", &scenarios);
    }
}

/// No process is killed: the move is aborted while it is held.
#[test]
fn aborted_everywhere() {
    play("aborted", &everywhere(|_| (Vec::new(), Ending::Abort)));
}

/// How many schedules are played, and the seed of the first.
fn schedules_asked_for(default: u64) -> (u64, u64) {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse::<u64>().unwrap());
    (number("DEDE_CRASH_SCHEDULES", default), number("DEDE_CRASH_SEED", 1))
}

/// Random schedules: `DEDE_CRASH_SCHEDULES` of them from the seed `DEDE_CRASH_SEED` on.
#[test]
fn schedules() {
    let (count, first) = schedules_asked_for(50);
    let scenarios: Vec<Scenario> = (first..first + count).map(schedule::of).collect();
    play("schedules", &scenarios);
}
