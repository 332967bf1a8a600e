//! Relayed moves where source or target are killed and come back: the command goes on relaying by itself.

use serde_json::Value;

use super::models::Size;
use super::process::CliProcess;
use super::world::{Kind, World, call};
use crate::server::eventually;

fn relayed(world: &World) -> CliProcess {
    world.start_move(&["--auto", "--relay"], None)
}

/// The move goes on to its end, which the command saw.
fn ends_done(world: World, command: CliProcess) {
    assert!(command.wait("the move ends").success(), "{:?}\n{}", world.info(), world.target.log());
    assert_eq!(world.phase(), "done");
    world.check_end(None);
}

#[test]
fn a_command_relays_to_a_target_that_came_back() {
    for place in ["copying", "chunk:1", "verifying", "shadowing"] {
        let mut world = World::new(Kind::Service, Size::Large);
        world.target.hold.want(place);
        let command = relayed(&world);
        eventually("the place is reached", || world.target.hold.is_reached());
        world.kill_target();
        world.restart_target();
        assert_eq!(world.waits_for().as_deref(), Some("resume"), "at {place}");
        world.allow_either();
        // Refused until the command has noticed, and relays again.
        eventually("the move is resumed", || call(&world.target, "POST", "/moves/m1/resume", &Value::Null).0 == 200);
        ends_done(world, command);
    }
}

#[test]
fn a_source_that_comes_back_is_relayed_again() {
    for place in ["piece", "piece:1"] {
        let mut world = World::new(Kind::Alias, Size::Large);
        world.source.hold.want(place);
        let command = relayed(&world);
        eventually("the place is reached", || world.source.hold.is_reached());
        world.source.kill();
        world.allow_either();
        eventually("the move waits for its source", || {
            world.info().is_some_and(|info| info["activity"].to_string().contains("waits for the source"))
        });
        world.source.restart();
        ends_done(world, command);
    }
}
