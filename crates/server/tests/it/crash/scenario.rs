//! One move that is held still at a place, where processes are killed; afterwards it is resumed, or aborted.

use super::models::Size;
use super::process::Hold;
use super::world::{Kind, World, call};
use crate::server::eventually;
use serde_json::Value;

/// A process that can be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Source,
    Target,
    Command,
}

/// A place, and the process that passes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) who: Who,
    pub(super) name: &'static str,
    pub(super) when: When,
}

/// What is certain about the switch when a place is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// It did not happen.
    Before,
    /// It may have.
    Around,
    /// On the way back: the move is aborted first.
    Undoing,
    /// On the way back after the switch.
    PointingBack,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Resume,
    Abort,
}

#[derive(Debug, Clone)]
pub(super) struct Scenario {
    pub(super) kind: Kind,
    pub(super) size: Size,
    /// Files go to a directory outside of the state directory.
    pub(super) outside: bool,
    pub(super) place: Place,
    pub(super) killed: Vec<Who>,
    pub(super) ending: Ending,
    /// Where the target is killed once more, while the move goes on.
    pub(super) again: Option<&'static str>,
    /// What a schedule was made from.
    pub(super) seed: Option<u64>,
}

/// Places where the source may be needed for a plan that is not agreed yet: without it the move ends before it began.
const BEFORE_THE_PLAN: [&str; 8] =
    ["bundle", "chunks", "planned", "written/move.json", "written/move.json:2", "asking", "begun", "followed:1"];
/// Places that only a move has which replaces something.
const ONLY_REPLACING: [&str; 2] = ["shadowing", "held"];

impl Scenario {
    /// With something to replace, where its place needs that.
    pub(super) fn fitting(self) -> Self {
        let free = self.kind == Kind::Free;
        let wants_more =
            ONLY_REPLACING.contains(&self.place.name) || matches!(self.place.when, When::Undoing | When::PointingBack);
        let kind = match self.place.name {
            "written/state.json:2" | "renamed/state.json:2" => Kind::Service,
            "written/state.json:1" | "renamed/state.json:1" if free => Kind::Alias,
            "unloaded" | "exchanged" => Kind::Exchanged,
            "shadowing" => Kind::Alias,
            _ if free && wants_more => Kind::Alias,
            _ => self.kind,
        };
        let size = if self.place.name.starts_with("chunk") { Size::Large } else { self.size };
        Self { kind, size, ..self }
    }

    /// Plays it; whether its place was reached.
    pub(super) fn play(&self) -> bool {
        let mut world = World::new(self.kind, self.size);
        world.clients.wait_for(20);
        let outside = self.outside.then(|| world.path().join("repositories/moved"));
        let mut arguments: Vec<&str> = Vec::new();
        if let Some(directory) = &outside {
            arguments.extend(["--repository", directory.to_str().unwrap()]);
        }
        if self.place.when != When::Undoing {
            arguments.push("--auto");
        }
        let held_command = (self.place.who == Who::Command).then_some(self.place.name);
        match self.place.who {
            Who::Source => world.source.hold.want(self.place.name),
            Who::Target => world.target.hold.want(self.place.name),
            Who::Command => {}
        }
        if self.place.when != When::Before && self.place.when != When::Undoing {
            world.allow_either();
        }
        let mut command = world.start_move(&arguments, held_command);
        self.begin_to_undo(&world);
        let mut reached = false;
        eventually("the place is reached, or the command has ended", || {
            let hold: &Hold = match self.place.who {
                Who::Source => &world.source.hold,
                Who::Target => &world.target.hold,
                Who::Command => &command.hold,
            };
            reached = hold.is_reached();
            // The end is told to the command before its place is reached.
            reached || (command.has_ended() && !["done", "aborted", "rolled_back"].contains(&self.place.name))
        });

        let mut command = Some(command);
        if self.killed.contains(&Who::Target) {
            world.kill_target();
        }
        if self.killed.contains(&Who::Source) {
            world.source.kill();
        }
        if self.killed.contains(&Who::Command) {
            command = None;
        }
        self.end(&mut world);
        if let Some(command) = command {
            command.hold.release();
            let status = command.wait("the command ends");
            // One that saw its server die may have given up; one that says "done" must be right.
            assert!(!status.success() || world.phase() == "done");
        }
        world.check_end(outside.as_deref());
        reached
    }

    /// Begins what leads to places on the way back.
    fn begin_to_undo(&self, world: &World) {
        let wanted = match self.place.when {
            When::Before | When::Around => return,
            When::Undoing => "promote",
            When::PointingBack => "watching",
        };
        eventually("the move can be aborted", || {
            if wanted == "promote" {
                world.is_over() || world.waits_for().as_deref() == Some(wanted)
            } else {
                world.phase() == wanted
            }
        });
        let (status, answer) = call(&world.target, "POST", "/moves/m1/abort", &Value::Null);
        assert_eq!(status, 200, "{answer}");
    }

    /// Starts the killed processes again, and brings the move to its end.
    fn end(&self, world: &mut World) {
        let target_lived = world.target.is_up();
        if self.ending == Ending::Abort && target_lived {
            world.allow_either();
            abort(world);
        }
        world.allow_either();
        world.source.hold.release();
        if let (true, Some(place)) = (target_lived, self.again) {
            world.target.hold.release();
            world.target.hold.want(place);
        } else {
            world.target.hold.release();
        }
        if !world.source.is_up() {
            world.source.restart();
        }
        if !target_lived {
            world.restart_target();
            world.clients.wait_for(20);
            world.allow_either();
            if let Some(place) = self.again {
                world.target.hold.want(place);
            }
            self.go_on(world);
        }
        // Without a move there is no second place.
        if self.again.is_some() && world.info().is_some() {
            eventually("the second place is reached, or the move is over", || {
                world.target.hold.is_reached() || world.is_over()
            });
            if world.target.hold.is_reached() {
                world.kill_target();
                world.restart_target();
                world.allow_either();
                self.go_on(world);
            }
        }
        world.target.hold.release();
        if world.info().is_some() {
            world.wait_until_over();
        }
        let phase = world.phase();
        match self.ending {
            Ending::Resume => {
                // No source is waited for while clients wait for the network.
                let not_waited_for = self.kind == Kind::Exchanged || BEFORE_THE_PLAN.contains(&self.place.name);
                let may_abort = self.killed.contains(&Who::Source) && not_waited_for;
                let right = match self.place.when {
                    _ if phase == "aborted" && may_abort => true,
                    When::Before | When::Around => phase == "done" || phase == "none",
                    When::Undoing => phase == "aborted",
                    When::PointingBack => phase == "rolled_back",
                };
                assert!(right, "{phase}: {:?}", world.info());
            }
            Ending::Abort => assert!(
                ["aborted", "rolled_back", "done", "none"].contains(&phase.as_str())
                    && (phase != "done" || self.place.when == When::Around),
                "{phase}: {:?}",
                world.info()
            ),
        }
    }

    /// After a restart: what waits is resumed, or aborted.
    fn go_on(&self, world: &World) {
        if world.info().is_none() || world.is_over() {
            return;
        }
        match self.ending {
            Ending::Abort => abort(world),
            Ending::Resume if world.waits_for().as_deref() == Some("resume") => {
                // Through the API: the command would wait where this test holds the move.
                let (status, answer) = call(&world.target, "POST", "/moves/m1/resume", &Value::Null);
                assert_eq!(status, 200, "{answer}");
            }
            Ending::Resume => {}
        }
    }
}

/// Aborts the move, unless it is over meanwhile.
fn abort(world: &World) {
    let (status, answer) = call(&world.target, "POST", "/moves/m1/abort", &Value::Null);
    assert!(status == 200 || status == 404 || (status == 409 && world.is_over()), "{status} {answer}");
}
