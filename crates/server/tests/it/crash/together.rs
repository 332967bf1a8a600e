//! Three services that move together, with the target killed at every step: after the restart all aliases are switched or none is, and so it
//! ends.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::models::{Models, Size};
use super::process::{CliProcess, ServerProcess};
use super::world::{call, put_service};
use super::{Ending, Play, When, play, schedules_asked_for};
use crate::chance::Chance;
use crate::clients::Clients;
use crate::right::Version;
use crate::server::{eventually, write_peers};
use crate::tree::{Tree, assert_same, tree};

const FIRST: Version = 0;
const SECOND: Version = 1;
const MOVES: [&str; 3] = ["m1", "m2", "m3"];
/// A plain service, an alias, and a name that is free.
const ALIASES: [&str; 3] = ["detector", "reader", "sorter"];
/// Those of them that clients ask for before, too.
const ASKED: usize = 2;

/// Where the target is held, and what is certain about the switch there. Steps that each member takes are held at one of them.
const PLACES: &[(&str, When)] = &[
    ("planned:2", When::Before),
    ("copying", When::Before),
    ("blob-stored", When::Before),
    ("file:1", When::Before),
    ("placed:1", When::Before),
    ("in-place:2", When::Before),
    ("loading:1", When::Before),
    ("written/state.json:1", When::Before),
    ("renamed/state.json:2", When::Before),
    ("warming:2", When::Before),
    ("verifying:1", When::Before),
    ("shadowing", When::Before),
    ("held:1", When::Before),
    ("switching", When::Before),
    ("switching:1", When::Before),
    ("switching:2", When::Before),
    ("switching-together", When::Before),
    // Three services are created and one name is taken over before.
    ("written/state.json:4", When::Before),
    ("renamed/state.json:4", When::Around),
    ("switched-together", When::Around),
    ("switched", When::Around),
    ("switched:1", When::Around),
    ("switched:2", When::Around),
    ("watching:1", When::Around),
    ("draining:2", When::Around),
    ("written/certificate.json:1", When::Around),
    ("ending", When::Around),
    ("ending:1", When::Around),
    ("ending:2", When::Around),
    ("done:1", When::Around),
    ("done:2", When::Around),
    ("undoing", When::Undoing),
    ("undoing:1", When::Undoing),
    ("let-go:1", When::Undoing),
    ("service-removed:2", When::Undoing),
    ("files-removed:1", When::Undoing),
    ("aborted", When::Undoing),
    ("aborted:1", When::Undoing),
    ("undoing:2", When::PointingBack),
    ("written/state.json:5", When::PointingBack),
    ("renamed/state.json:5", When::PointingBack),
    ("pointed-back", When::PointingBack),
    ("rolled_back", When::PointingBack),
    ("rolled_back:1", When::PointingBack),
];

#[derive(Debug)]
struct Scenario {
    place: &'static str,
    when: When,
    ending: Ending,
    /// Where the target is killed once more, while the moves go on.
    again: Option<&'static str>,
    is_drawn: bool,
}

/// A source with three services, a target with two, and clients of both.
struct World {
    _source: ServerProcess,
    target: ServerProcess,
    clients: Vec<Clients>,
    before: Tree,
    root: TempDir,
}

impl World {
    fn new() -> Self {
        let models = Models::trained();
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        let source = ServerProcess::start(&path.join("development"));
        write_peers(path, &[("dev", &source.url())]);
        let target = ServerProcess::start(&path.join("production"));
        write_peers(path, &[("dev", &source.url()), ("prod", &target.url())]);
        for alias in ALIASES {
            let model = models.second(Size::Small);
            put_service(&source, &format!("live-{alias}"), model, path.join("development").join(alias));
        }
        for name in ["detector", "old-reader"] {
            put_service(&target, name, &models.first, path.join("repositories").join(name));
        }
        assert_eq!(call(&target, "PUT", "/aliases/reader", &json!({"service": "old-reader"})).0, 200);
        let clients = ALIASES[..ASKED].iter().map(|alias| {
            let pace = std::time::Duration::from_millis(4);
            Clients::start_paced(target.address(), alias, 1, models.expected(alias, Size::Small), pace)
        });
        Self { clients: clients.collect(), before: tree(&target.state()), _source: source, target, root }
    }

    fn start_move(&self, is_auto: bool) -> CliProcess {
        let mut line = "move".to_owned();
        ALIASES.iter().for_each(|alias| line.push_str(&format!(" {alias}=live-{alias}")));
        line.push_str(" --from dev --to prod --shadow-for 1s --shadow-requests 40 --watch-for 1s --drain-for 5s");
        line.push_str(if is_auto { " --auto" } else { "" });
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        CliProcess::start(&self.root.path().join("operator"), &arguments, None)
    }

    /// `None` where it is not known.
    fn info(&self, id: &str) -> Option<Value> {
        let (status, answer) = call(&self.target, "GET", &format!("/moves/{id}"), &Value::Null);
        (status == 200).then(|| answer["body"].clone())
    }

    fn phases(&self) -> [String; 3] {
        let phase = |info: Value| info["phase"].as_str().unwrap().to_owned();
        MOVES.map(|id| self.info(id).map_or_else(|| "none".into(), phase))
    }

    fn are_over(&self) -> bool {
        self.phases().iter().all(|phase| ["none", "done", "aborted", "rolled_back"].contains(&phase.as_str()))
    }

    /// Whether the aliases lead to the new services: all of them, or none.
    fn is_switched(&self) -> bool {
        let switched = ALIASES.map(|alias| {
            let (status, answer) = call(&self.target, "GET", &format!("/aliases/{alias}"), &Value::Null);
            status == 200 && answer["body"]["service"] == format!("live-{alias}")
        });
        assert!(switched == [true; 3] || switched == [false; 3], "{switched:?}, {:?}", self.phases());
        switched[0]
    }

    fn allow(&self, versions: &[Version]) {
        self.clients.iter().for_each(|clients| clients.allow(versions));
    }

    fn wait_for(&self, answers: u64) {
        self.clients.iter().for_each(|clients| clients.wait_for(answers));
    }

    /// `kill -9`, and a start. What leads where is looked at before any move goes on that has to be told.
    fn restart_target(&mut self) {
        self.clients.iter().for_each(Clients::going_down);
        self.target.kill();
        self.target.restart();
        self.is_switched();
        self.allow(&[FIRST, SECOND]);
        self.clients.iter().for_each(|clients| clients.up(self.target.address()));
        self.wait_for(10);
    }

    /// Whether a move that is not over waits to be resumed; its number.
    fn waits(&self) -> Option<&'static str> {
        MOVES.into_iter().find(|id| self.info(id).is_some_and(|info| info["waits_for"] == "resume"))
    }

    /// All that must be so at the end.
    fn check_end(self) {
        let (phases, switched) = (self.phases(), self.is_switched());
        self.allow(&[if switched { SECOND } else { FIRST }]);
        self.wait_for(20);
        if switched {
            assert_eq!(phases, ["done"; 3]);
            for id in MOVES {
                assert_eq!(call(&self.target, "GET", &format!("/moves/{id}/certificate"), &Value::Null).0, 200);
            }
        } else if phases.iter().all(|phase| ["none", "aborted"].contains(&phase.as_str())) {
            assert_same(&self.before, &tree(&self.target.state()), "production");
        } else {
            // One whose alias was not there before may not know that it was switched.
            assert!(phases.iter().all(|phase| ["aborted", "rolled_back"].contains(&phase.as_str())), "{phases:?}");
        }
        for clients in self.clients {
            let seen = clients.stop();
            assert!(seen.failures.is_empty(), "{phases:?}, {:?}", seen.failures.first());
        }
    }
}

impl Play for Scenario {
    fn play(&self) -> bool {
        let mut world = World::new();
        world.wait_for(10);
        if self.is_drawn || matches!(self.when, When::Around | When::PointingBack) {
            world.allow(&[FIRST, SECOND]);
        }
        world.target.hold.want(self.place);
        let mut command = world.start_move(self.when != When::Undoing);
        self.begin_to_undo(&world);
        let mut reached = false;
        // The last of all places come after the command has seen the end; a drawn one may not come at all.
        eventually("the place is reached, or the command has ended", || {
            reached = world.target.hold.is_reached();
            reached || (self.is_drawn && command.has_ended())
        });
        world.restart_target();
        drop(command);
        if let Some(again) = self.again {
            world.target.hold.want(again);
            self.go_on(&world);
            eventually("the second place is reached, or all moves are over", || {
                world.target.hold.is_reached() || world.are_over()
            });
            world.restart_target();
        }
        self.go_on(&world);
        eventually("all moves are over", || world.are_over());
        let phases = world.phases();
        let right = match (self.when, self.ending) {
            // Whether a drawn place is reached before the end is chance.
            _ if self.is_drawn => true,
            (When::Before, Ending::Resume) | (When::Around, Ending::Resume | Ending::Abort) => phases == ["done"; 3],
            (When::Before, Ending::Abort) | (When::Undoing, _) => phases == ["aborted"; 3],
            (When::PointingBack, _) => !phases.contains(&"done".to_owned()),
        };
        assert!(right, "{phases:?}: {:?}", MOVES.map(|id| world.info(id)));
        world.check_end();
        reached
    }

    fn place(&self) -> &str {
        self.place
    }

    fn is_drawn(&self) -> bool {
        self.is_drawn
    }
}

impl Scenario {
    /// After a restart: what waits is resumed or aborted.
    fn go_on(&self, world: &World) {
        let Some(id) = world.waits() else { return };
        let action = if self.ending == Ending::Abort { "abort" } else { "resume" };
        let (status, answer) = call(&world.target, "POST", &format!("/moves/{id}/{action}"), &Value::Null);
        // It may go on by itself, and be over.
        assert!([200, 409].contains(&status), "{status} {answer}");
    }

    /// Begins what leads to places on the way back.
    fn begin_to_undo(&self, world: &World) {
        let is_there: fn(&Value) -> bool = match self.when {
            When::Before | When::Around => return,
            // One without a former service waits for the others.
            When::Undoing => |info| {
                info["waits_for"] == "promote" || info["activity"].as_str().unwrap().contains("waits for the others")
            },
            When::PointingBack => |info| ["watching", "draining"].contains(&info["phase"].as_str().unwrap()),
        };
        eventually("the moves can be aborted", || {
            MOVES.iter().all(|id| world.info(id).is_some_and(|info| is_there(&info)))
        });
        let (status, answer) = call(&world.target, "POST", "/moves/m2/abort", &Value::Null);
        assert_eq!(status, 200, "{answer}");
    }
}

fn everywhere(ending: Ending) -> Vec<Scenario> {
    let of =
        |(place, when): &(&'static str, When)| Scenario { place, when: *when, ending, again: None, is_drawn: false };
    PLACES.iter().map(of).collect()
}

#[test]
fn killed_and_resumed() {
    play("three together, killed and resumed", &everywhere(Ending::Resume));
}

#[test]
fn killed_and_aborted() {
    let before = everywhere(Ending::Abort).into_iter().filter(|scenario| scenario.when == When::Before);
    play("three together, killed and aborted", &before.collect::<Vec<_>>());
}

/// Random schedules, as those of single moves.
#[test]
fn schedules_of_several() {
    let (count, first) = schedules_asked_for(10);
    let drawn = |seed: u64| {
        let mut chance = Chance::new(seed);
        let (place, when) = *chance.one_of(PLACES);
        let again = chance.one_of(PLACES).0;
        let ending = *chance.one_of(&[Ending::Resume, Ending::Abort]);
        Scenario { place, when, ending, again: chance.one_in(2).then_some(again), is_drawn: true }
    };
    play("schedules of several", &(first..first + count).map(drawn).collect::<Vec<_>>());
}

/// The request is recorded move by move: what a crash leaves of it has not begun.
#[test]
fn a_request_that_is_recorded_in_part_has_not_begun() {
    for (place, known) in [("written/move.json", 0), ("written/move.json:1", 1), ("written/move.json:2", 2)] {
        let mut world = World::new();
        world.target.hold.want(place);
        let command = world.start_move(true);
        eventually("the place is reached", || world.target.hold.is_reached());
        world.restart_target();
        drop(command);
        eventually("what there is of it is over", || world.are_over());
        let phases = world.phases();
        assert_eq!(phases.iter().filter(|phase| *phase == "aborted").count(), known, "{place}: {phases:?}");
        if let Some(info) = world.info("m1") {
            assert!(info["error"].as_str().unwrap().contains("which was to switch with it, is not recorded"), "{info}");
        }
        world.check_end();
    }
}

/// A person goes back after the end; a crash on the way leaves all back or none.
#[test]
fn a_rollback_of_all_survives_a_crash() {
    for place in ["written/state.json", "renamed/state.json", "ending", "ending:1", "rolled_back:1"] {
        let mut world = World::new();
        world.allow(&[FIRST, SECOND]);
        assert!(world.start_move(true).wait("all are done").success(), "{:?}", MOVES.map(|id| world.info(id)));
        world.target.hold.want(place);
        let arguments = ["rollback", "detector", "--on", "prod"].map(str::to_owned);
        let command = CliProcess::start(&world.root.path().join("operator"), &arguments, None);
        eventually("the place is reached", || world.target.hold.is_reached());
        world.restart_target();
        drop(command);
        eventually("all moves are over", || world.are_over());
        if world.is_switched() {
            let (status, answer) = call(&world.target, "POST", "/moves/m3/rollback", &Value::Null);
            assert_eq!(status, 200, "{place}: {answer}");
        } else if world.phases().contains(&"done".to_owned()) {
            // Back, and not recorded: the next command sees that.
            let (status, answer) = call(&world.target, "POST", "/moves/m1/rollback", &Value::Null);
            assert_eq!(status, 200, "{place}: {answer}");
        }
        assert!(!world.is_switched(), "{place}");
        assert_eq!(world.phases(), ["rolled_back"; 3], "{place}");
        world.check_end();
    }
}
