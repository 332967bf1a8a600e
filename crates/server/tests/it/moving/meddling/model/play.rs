//! One schedule from its beginning to its end: the move begins, people meddle, every move is brought to its end, then all is checked,
//! and again after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::cast::Cast;
use super::diary::Diary;
use super::observation::Since;
use super::schedule::{Ending, Schedule};
use super::world::World;
use super::{answers, ends, remains};

/// Longest time that a move takes to its end once it is told to go there.
const WAY_OUT: Duration = Duration::from_secs(30);
/// Times that a move is aborted before it counts as stuck.
const ABORTS: u32 = 5;
/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Plays a schedule; what is wrong.
pub(super) fn play(cast: &Cast, schedule: &Schedule, diary: &Diary) -> Vec<String> {
    let mut world = World::new(cast, schedule, diary);
    world.name_versions();
    world.asking.wait_for(5, WAY_OUT);
    world.begin();
    for (moment, action) in &schedule.steps {
        world.wait_for(*moment);
        world.act(action);
    }
    let mut wrong = world.end_all();
    world.asking.wait_for(20, WAY_OUT);
    let asked = world.asking.stop();
    world.observe(Since::Watching);
    wrong.append(&mut world.ledger.wrong);
    wrong.extend(answers::check(&world.ledger, cast, &asked));
    wrong.extend(ends::check(&world.ledger));
    wrong.extend(ends::check_certificates(&world.ledger, world.target()));
    wrong.extend(remains::check(&world.ledger));
    wrong.extend(remains::check_answers(&world.ledger, cast, world.target(), "before the restart"));
    let before = world.ledger.last().clone();
    world.restart(schedule.killed_last);
    wrong.extend(remains::check_restart(&world.ledger, &before));
    wrong.extend(remains::check(&world.ledger));
    wrong.extend(remains::check_answers(&world.ledger, cast, world.target(), "after the restart"));
    wrong.sort();
    wrong.dedup();
    if !wrong.is_empty() {
        world.note(&format!("the server logged last:\n    {}", world.log()));
    }
    wrong
}

impl World<'_> {
    /// Brings every move to its end; those that have none.
    fn end_all(&mut self) -> Vec<String> {
        self.note("-> to the end");
        let deadline = Instant::now() + WAY_OUT;
        let mut aborting = self.schedule.ending == Ending::Back;
        let mut aborts: BTreeMap<String, u32> = BTreeMap::new();
        let mut asked: BTreeSet<(String, &str)> = BTreeSet::new();
        loop {
            let seen = self.observe(Since::Watching).clone();
            let left: Vec<_> = seen.moves.iter().filter(|one| !one.is_over() || one.kept == Some(None)).collect();
            if left.is_empty() {
                return Vec::new();
            }
            let late = Instant::now() > deadline;
            let stuck = left.iter().filter(|one| late || aborts.get(&one.id).is_some_and(|count| *count > ABORTS));
            let stuck: Vec<_> = stuck.map(|one| format!("{} has no way out: {}", one.id, one.info)).collect();
            if !stuck.is_empty() {
                return stuck;
            }
            for one in left.into_iter().filter(|one| !one.is_over()) {
                let verb = match one.waits_for.as_deref() {
                    Some("abort") => "abort",
                    _ if aborting => "abort",
                    Some("promote") => "promote",
                    Some("resume") => "resume",
                    _ => continue,
                };
                // What it waits for is shown until it takes notice; only an undo that failed is asked for again.
                if !asked.insert((one.id.clone(), verb)) && one.waits_for.as_deref() != Some("abort") {
                    continue;
                }
                if verb == "abort" {
                    *aborts.entry(one.id.clone()).or_default() += 1;
                }
                let accepted = self.tell_move(&one.id, verb);
                // What cannot go forward must go back.
                aborting |= !accepted;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}
