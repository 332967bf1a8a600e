//! Other faults: broken connections, full disks, and commands that are given twice.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::models::Size;
use super::world::{Kind, World, call};
use crate::proxy::{self, Fault};
use crate::server::eventually;

/// A whole move over a connection with a fault; the bytes that travelled, of how many, and what the target logged.
fn move_through(fault: Fault) -> (u64, u64, String) {
    let mut happened = None;
    let world = World::through(Kind::Service, Size::Large, |source| {
        let (url, flag) = proxy::start(source, fault);
        happened = Some(flag);
        url
    });
    world.allow_either();
    let command = world.start_move(&["--auto"], None);
    assert!(command.wait("the move ends").success(), "{:?}", world.info());
    assert!(happened.unwrap().load(Ordering::SeqCst), "the fault happened");
    let report = world.info().unwrap()["report"].clone();
    let log = world.target.log();
    world.check_end(None);
    (report["sent_bytes"].as_u64().unwrap(), report["total_bytes"].as_u64().unwrap(), log)
}

#[test]
fn a_corrupt_range_is_named_and_fetched_again_alone() {
    let (sent, total, log) = move_through(Fault::Corrupt);
    assert!(log.contains("arrived damaged and were fetched again"), "{log}");
    assert!(sent > total && sent < total * 3 / 2, "{sent} of {total}");
}

#[test]
fn a_cut_connection_is_gone_on_with_where_it_was() {
    let (sent, total, log) = move_through(Fault::Cut);
    assert!(sent <= total, "{sent} of {total}\n{log}");
}

#[test]
fn a_slow_source_is_waited_for() {
    let (sent, total, _) = move_through(Fault::Slow);
    assert_eq!(sent, total);
}

/// Writing the weights fails as on a full disk; nothing else does.
#[test]
fn a_full_disk_aborts_the_move_and_harms_nobody() {
    let mut world = World::new(Kind::Service, Size::Large);
    world.kill_target();
    world.target.largest_file = Some(400);
    world.restart_target();
    let command = world.start_move(&["--auto"], None);
    assert!(!command.wait("the move ends").success());
    assert_eq!(world.phase(), "aborted", "{:?}", world.info());
    let reason = world.info().unwrap()["error"].as_str().unwrap().to_owned();
    assert!(reason.contains("too large") || reason.contains("space"), "{reason}");
    world.check_end(None);
}

#[test]
fn one_of_two_requests_for_a_name_is_told_of_the_other() {
    let world = World::new(Kind::Alias, Size::Small);
    world.allow_either();
    world.target.hold.want("copying");
    let request = json!({"service": "service2", "source": "dev", "as": "service1", "auto": true, "shadow_for_s": 1, "watch_for_s": 0});
    let mut answers: Vec<(u16, Value)> = std::thread::scope(|scope| {
        let ask = || call(&world.target, "POST", "/moves", &request);
        let asked = [scope.spawn(ask), scope.spawn(ask)];
        asked.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    answers.sort_by_key(|(status, _)| *status);
    assert_eq!((answers[0].0, answers[1].0), (202, 409), "{answers:?}");
    assert!(answers[1].1.to_string().contains("m1"), "{}", answers[1].1);
    world.target.hold.release();
    world.wait_until_over();
    assert_eq!(world.phase(), "done");
    world.check_end(None);
}

#[test]
fn one_of_two_commands_for_a_name_is_told_of_the_other() {
    let world = World::new(Kind::Service, Size::Small);
    world.allow_either();
    world.target.hold.want("copying");
    let commands = [world.start_move(&["--auto"], None), world.start_move(&["--auto"], None)];
    let mut commands = commands.map(Some);
    let mut refused = None;
    eventually("one of them is refused", || {
        refused = commands.iter_mut().position(|command| command.as_mut().is_some_and(|command| command.has_ended()));
        refused.is_some()
    });
    let refused = commands[refused.unwrap()].take().unwrap().wait("it ended");
    assert!(!refused.success());
    let told = std::fs::read_to_string(world.path().join("operator/cli.log")).unwrap();
    assert!(told.contains("409") && told.contains("m1"), "{told}");
    world.target.hold.release();
    let other = commands.into_iter().flatten().next().unwrap();
    assert!(other.wait("the move ends").success());
    world.check_end(None);
}

#[test]
fn resuming_twice_runs_it_once() {
    let mut world = World::new(Kind::Alias, Size::Large);
    world.target.hold.want("chunk");
    let command = world.start_move(&["--auto"], None);
    eventually("chunks travel", || world.target.hold.is_reached());
    world.kill_target();
    drop(command);
    world.restart_target();
    assert_eq!(world.waits_for().as_deref(), Some("resume"));
    world.allow_either();
    let mut resumed = [(); 2].map(|()| world.cli(&["resume", "m1", "--on", "prod"], None)).into_iter();
    assert!(resumed.all(|command| command.wait("the move ends").success()));
    let (status, answer) = call(&world.target, "POST", "/moves/m1/resume", &Value::Null);
    assert_eq!(status, 409, "{answer}");
    world.check_end(None);
}

/// Shares of the traffic are temporary overrides, so that the alias has its former generation again.
#[test]
fn a_canary_ends_with_the_process_and_leaves_no_trace() {
    let mut world = World::new(Kind::Alias, Size::Small);
    world.allow_either();
    let command = world.start_move(&["--auto", "--canary", "50"], None);
    eventually("the new service answers some requests", || {
        world.info().is_some_and(|info| info["activity"].as_str().unwrap().starts_with("answers 50 %"))
    });
    assert_eq!(
        call(&world.target, "GET", "/aliases/service1", &Value::Null).1["body"]["canary"]["service"],
        "service2"
    );
    world.clients.wait_for(20);
    world.kill_target();
    drop(command);
    world.restart_target();
    world.clients.wait_for(20);
    assert!(world.cli(&["abort", "m1", "--on", "prod"], None).wait("it is aborted").success());
    assert_eq!(world.phase(), "aborted");
    world.check_end(None);
}

/// No request waits longer than was asked for, and the report says how many gave up.
#[test]
fn requests_that_wait_too_long_are_refused_and_counted() {
    let world = World::new(Kind::Service, Size::Small);
    // This test asks by itself.
    world.clients.going_down();
    world.target.hold.want("unloaded");
    let command = world.start_move(&["--auto", "--replace-first", "--hold-for", "1s"], None);
    eventually("the network has left memory", || world.target.hold.is_reached());
    let ask = || call(&world.target, "POST", "/predict", &json!({"service": "service1", "data": ["5,3,1,0.2"]}));
    for what in ["it waits in vain", "it comes too late"] {
        let (status, answer) = ask();
        assert!(status == 503 && answer.to_string().contains("longer than planned"), "{what}: {answer}");
    }
    world.target.hold.release();
    assert!(command.wait("the move is done").success());
    let exchange = &world.info().unwrap()["report"]["exchange"];
    let counts = (exchange["held_requests"].as_u64(), exchange["failed_requests"].as_u64());
    assert!(counts.0 >= Some(1) && counts.1 >= Some(2), "{exchange}");
    assert_eq!(ask().0, 200);
    world.clients.allow(&[1]);
    world.clients.up(world.target.address());
    world.check_end(None);
}

#[test]
fn a_command_aborts_a_move_that_waits() {
    let world = World::new(Kind::Service, Size::Small);
    let command = world.start_move(&[], None);
    eventually("it waits for a promotion", || world.waits_for().as_deref() == Some("promote"));
    assert!(world.cli(&["abort", "m1", "--on", "prod"], None).wait("it is aborted").success());
    assert!(!command.wait("the move ends").success());
    assert_eq!(world.phase(), "aborted");
    world.check_end(None);
}
