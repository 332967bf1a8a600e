//! The relaying command, or the target, ends in the middle of a transfer.

use std::process::Child;
use std::sync::atomic::Ordering;

use super::stage::{Stage, State, text};
use crate::proxy::{self, Fault};
use crate::server::eventually;

/// A move whose transfer stalls half way, the command that relays it, and what the target had before.
fn half_way() -> (Stage, Child, State) {
    let mut stalled = None;
    let stage = Stage::through(|source| {
        let (url, happened) = proxy::start(source, Fault::Stall);
        stalled = Some(happened);
        url
    });
    let before = stage.state();
    let command = stage.spawn(&stage.bring());
    let stalled = stalled.unwrap();
    eventually("the transfer is half way", || stalled.load(Ordering::SeqCst));
    assert_eq!(stage.info("m1")["phase"], "copying");
    (stage, command, before)
}

fn kill(mut command: Child) {
    command.kill().unwrap();
    command.wait().unwrap();
}

const RESUME: [&str; 7] = ["resume", "m1", "--on", "prod", "--relay", "--from", "dev"];

#[test]
fn a_command_that_dies_is_waited_for_and_another_goes_on() {
    let (stage, command, _) = half_way();
    kill(command);
    stage.until_it_waits_for_the_source("m1");
    let alone = stage.dede(&["resume", "m1", "--on", "prod"]);
    assert!(!alone.status.success() && text(&alone).contains("--relay"), "{}", text(&alone));
    let resumed = stage.dede(&RESUME);
    assert!(resumed.status.success(), "{}\n{}", text(&resumed), stage.target.log());
    let info = stage.info("m1");
    assert_eq!(info["phase"], "done", "{info}");
    let (sent, total) = (&info["report"]["sent_bytes"], &info["report"]["total_bytes"]);
    assert!(sent.as_u64() <= total.as_u64(), "what was there already did not travel again: {info}");
}

#[test]
fn a_target_that_is_killed_is_gone_on_with() {
    let (stage, command, _) = half_way();
    let stage = stage.kill_target();
    kill(command);
    assert_eq!(stage.info("m1")["waits_for"], "resume");
    let resumed = stage.dede(&RESUME);
    assert!(resumed.status.success(), "{}\n{}", text(&resumed), stage.target.log());
    assert_eq!(stage.info("m1")["phase"], "done");
    assert_eq!(stage.target.get("/services/service2").0, 200);
}

#[test]
fn an_abort_after_either_died_leaves_nothing() {
    let (stage, command, before) = half_way();
    let stage = stage.kill_target();
    kill(command);
    let aborted = stage.dede(&["abort", "m1", "--on", "prod"]);
    assert!(aborted.status.success(), "{}", text(&aborted));
    assert_eq!(stage.info("m1")["phase"], "aborted");
    assert_eq!(stage.state(), before);

    let (stage, command, before) = half_way();
    kill(command);
    stage.until_it_waits_for_the_source("m1");
    let aborted = stage.dede(&["abort", "m1", "--on", "prod"]);
    assert!(aborted.status.success(), "{}", text(&aborted));
    assert_eq!(stage.state(), before);
}
