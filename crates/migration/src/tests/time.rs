//! What a move waits for, and how long: on a clock that is told what time it is, so that no test waits.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dede_engine::name::ServiceName;
use dede_model::error::Error;
use serde_json::{Value, json};

use crate::clock::controlled::BEGUN_MS;
use crate::moves::former_services;
use crate::phases::{drain, finish, shadow, switch, watch};
use crate::source::patient::patient;
use crate::stage::{AwaySource, Stage};

/// What measuring the noise of the former service takes at most, where no request comes.
const LEARNING: Duration = Duration::from_secs(2);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A stage whose alias is switched.
fn switched(request: Value) -> Stage {
    let stage = Stage::new(request);
    shadow::take_hold(&stage.run(), &ServiceName::parse("a").unwrap(), &stage.old).unwrap();
    switch::switch(&stage.run(), &stage.new, None, None).unwrap();
    assert_eq!(stage.context.catalogue.resolve("a").unwrap().service.id, stage.new.id);
    stage
}

#[test]
fn requests_are_compared_before_the_switch_until_the_time_is_over() {
    for shadow_for_s in [0, 10, 600] {
        let stage = Stage::new(json!({"shadow_for_s": shadow_for_s}));
        let shadowing = shadow::shadow(&stage.run(), &stage.new).unwrap();
        assert!(shadowing.is_some(), "there is a service to compare with");
        assert_eq!(stage.clock.passed(), LEARNING.min(seconds(shadow_for_s)) + seconds(shadow_for_s));
    }
}

#[test]
fn each_share_of_a_canary_has_its_time() {
    let stage = Stage::new(json!({"shadow_for_s": 0, "canary": [5, 50, 100]}));
    shadow::shadow(&stage.run(), &stage.new).unwrap();
    assert_eq!(stage.clock.passed(), LEARNING + 2 * crate::planning::CANARY_STEP);
}

#[test]
fn a_promotion_ends_the_comparison_before_its_time() {
    let stage = Stage::new(json!({"shadow_for_s": 3600, "auto": false}));
    let promoted = Arc::clone(&stage.this);
    stage.clock.at(seconds(600), move || promoted.promote().unwrap());
    shadow::shadow(&stage.run(), &stage.new).unwrap();
    assert!((seconds(600)..seconds(601)).contains(&stage.clock.passed()), "{:?}", stage.clock.passed());
}

#[test]
fn the_former_service_is_watched_until_the_time_is_over() {
    for watch_for_s in [0, 10, 600] {
        let stage = switched(json!({"watch_for_s": watch_for_s}));
        watch::watch(&stage.run()).unwrap();
        assert_eq!(stage.clock.passed(), seconds(watch_for_s));
    }
}

#[test]
fn an_abort_ends_the_watch_at_once() {
    let stage = switched(json!({"watch_for_s": 3600}));
    let aborted = Arc::clone(&stage.this);
    stage.clock.at(seconds(60), move || aborted.ask_to_undo("told to").unwrap());
    assert!(matches!(watch::watch(&stage.run()), Err(Error::Cancelled(_))));
    assert!((seconds(60)..seconds(61)).contains(&stage.clock.passed()), "{:?}", stage.clock.passed());
}

#[test]
fn requests_on_the_former_service_are_waited_for_until_the_time_is_over() {
    let stage = switched(json!({"drain_for_s": 30}));
    let (stays, leaves) = (stage.old.queue.admit().unwrap(), stage.old.queue.admit().unwrap());
    stage.clock.at(seconds(10), move || drop(leaves));
    drain::drain(&stage.run()).unwrap();
    assert_eq!(stage.clock.passed(), seconds(30));
    assert_eq!(stage.this.info().report.cut_requests, 1, "the one that stays");
    drop(stays);
}

#[test]
fn a_drain_ends_with_the_last_request() {
    let stage = switched(json!({"drain_for_s": 3600}));
    let leaves = stage.old.queue.admit().unwrap();
    stage.clock.at(seconds(10), move || drop(leaves));
    drain::drain(&stage.run()).unwrap();
    assert!((seconds(10)..seconds(11)).contains(&stage.clock.passed()), "{:?}", stage.clock.passed());
    assert_eq!(stage.this.info().report.cut_requests, 0);
}

#[test]
fn a_former_service_leaves_memory_once_its_time_is_over() {
    let stage = switched(json!({"keep_for_s": 100}));
    watch::watch(&stage.run()).unwrap();
    let watched = stage.clock.passed();
    finish::finish(&stage.run()).unwrap();
    stage.this.release();
    let kept = stage.this.info().report.kept.unwrap();
    assert_eq!(kept.until_ms, BEGUN_MS + (watched + seconds(100)).as_millis() as u64);
    let look = || former_services::look(&[Arc::clone(&stage.this)], &stage.context);
    let is_there = || stage.context.catalogue.resolve("old").is_ok();
    assert_eq!(look(), seconds(60), "clocks are set, so that it looks again before");
    stage.clock.advance(seconds(99));
    assert_eq!(look(), seconds(1));
    assert!(is_there());
    stage.clock.advance(seconds(1));
    look();
    assert!(!is_there());
    assert!(stage.this.info().report.kept.unwrap().outcome.unwrap().contains("left memory"));
}

#[test]
fn phases_are_timed_by_the_same_clock() {
    let stage = switched(json!({"watch_for_s": 7}));
    watch::watch(&stage.run()).unwrap();
    drain::drain(&stage.run()).unwrap();
    let phases = stage.this.info().report.phases;
    let times: Vec<_> =
        phases.iter().map(|time| (time.phase.as_str(), time.began_ms - BEGUN_MS, time.took_ms)).collect();
    assert_eq!(times, [("switching", 0, 0), ("watching", 0, 7000), ("draining", 7000, 0)]);
}

#[test]
fn a_source_that_is_away_is_asked_again_until_the_time_is_over() {
    for (back_after, expected) in [(seconds(10), Ok(seconds(10))), (seconds(3600), Err(seconds(60)))] {
        let stage = Stage::new(json!({}));
        let source = Arc::new(AwaySource::default());
        let back = Arc::clone(&source);
        stage.clock.at(back_after, move || back.is_back.store(true, Ordering::Relaxed));
        let answer = patient(source, &stage.this).describe();
        let passed = stage.clock.passed();
        assert_eq!(answer.map(|_| passed).map_err(|_| passed), expected);
    }
}
