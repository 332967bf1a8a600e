use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use dede_model::repository::Clear;
use dede_model::tensor::Floats;
use serde_json::json;

use super::*;
use crate::catalogue::{Catalogue, Expected, Share, SwitchRequest};
use crate::stage::{Gate, ask, catalogue, create, id};

/// Longest wait for a thread of ours.
const PATIENCE: Duration = Duration::from_secs(60);

/// A catalogue whose alias `stable` points to `old`, with `new` as its shadow.
fn stage(directory: &Path, new: &serde_json::Value) -> Arc<Catalogue> {
    let catalogue = catalogue(directory);
    create(&catalogue, directory, "old", &json!({"answer": 1}));
    create(&catalogue, directory, "new", new);
    catalogue.switch("stable", shadowed(&catalogue, "old", "new")).unwrap();
    catalogue
}

fn shadowed(catalogue: &Catalogue, target: &str, shadow: &str) -> SwitchRequest {
    let shadow = Some(Share { service: id(catalogue, shadow), percent: Percent::ALL });
    SwitchRequest { shadow, ..SwitchRequest::to(id(catalogue, target)) }
}

/// Asks `stable`.
fn answer(catalogue: &Arc<Catalogue>, number: f32) -> f32 {
    ask(catalogue, "stable", number).unwrap()
}

/// That many predicts, each answered right.
fn answer_many(catalogue: &Arc<Catalogue>, count: usize) {
    (0..count).map(|number| number as f32).for_each(|number| assert_eq!(answer(catalogue, number), number + 1.0));
}

/// As [`answer_many`], from several threads at once, all to the end while the shadow is behind its gate.
fn answer_beside(gate: &Gate, catalogue: &Arc<Catalogue>, threads: usize, count: usize) {
    let waited = std::thread::scope(|scope| {
        let primaries: Vec<_> = (0..threads).map(|_| scope.spawn(|| answer_many(catalogue, count))).collect();
        let deadline = Instant::now() + PATIENCE;
        while primaries.iter().any(|primary| !primary.is_finished()) && Instant::now() < deadline {
            std::thread::yield_now();
        }
        let waited = primaries.iter().any(|primary| !primary.is_finished());
        if waited {
            // Lets them end, so that the test can.
            gate.open();
        }
        waited
    });
    assert!(!waited, "a primary waits for the shadow");
}

fn counts(catalogue: &Catalogue) -> ShadowCounts {
    let snapshot = catalogue.snapshot();
    let alias = snapshot.aliases().find(|alias| alias.name.as_str() == "stable").unwrap();
    alias.shadow_counts()
}

fn until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::yield_now();
    }
}

/// Number of the copy, the shadow, the primary's value and the shadow's.
type Heard = (u64, ServiceId, f32, Result<f32, String>);

/// Remembers what it was told.
#[derive(Default)]
struct Listener(Mutex<Vec<Heard>>);

impl ShadowObserver for Listener {
    fn observe(&self, observation: &Observation<'_>) {
        let value = |outputs: &Outputs| {
            let Outputs::Regression(tensor) = outputs else { panic!("expected values, found {outputs:?}") };
            tensor.values()[0]
        };
        let shadowed = observation.shadowed.outputs.as_ref().map(value).map_err(ToString::to_string);
        let heard = (
            observation.id,
            observation.shadowed.service,
            value(observation.primary.outputs.as_ref().unwrap()),
            shadowed,
        );
        self.0.lock().unwrap().push(heard);
    }
}

#[test]
fn both_answers_reach_the_observer_and_only_the_primary_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let catalogue = stage(directory.path(), &json!({"answer": 2}));
    let listener = Arc::new(Listener::default());
    catalogue.observe_shadow("stable", Some(Arc::clone(&listener) as _)).unwrap();
    assert_eq!(answer(&catalogue, 10.0), 11.0);
    until("compared", || counts(&catalogue).compared == 1);
    let new = id(&catalogue, "new");
    assert_eq!(*listener.0.lock().unwrap(), [(0, new, 11.0, Ok(12.0))]);
    let successes = |name| catalogue.resolve(name).unwrap().service.statistics.snapshot().successes;
    assert_eq!((successes("old"), successes("new")), (1, 0));

    // In reverse: the former target shadows the new one, with the same observer.
    catalogue.switch("stable", shadowed(&catalogue, "new", "old")).unwrap();
    assert_eq!(answer(&catalogue, 10.0), 12.0);
    until("compared in reverse", || counts(&catalogue).compared == 2);
    assert_eq!(listener.0.lock().unwrap()[1], (1, id(&catalogue, "old"), 12.0, Ok(11.0)));
}

/// Refused requests are put to another service: those of the target to its shadow, those of a canary to the target.
#[test]
fn refused_requests_are_asked_and_go_first() {
    for (behaviour, canary) in [("fail", false), ("panic", false), ("fail", true)] {
        let directory = tempfile::tempdir().unwrap();
        let catalogue = catalogue(directory.path());
        let (bad, good) = (json!({"behaviour": behaviour}), json!({"answer": 1}));
        create(&catalogue, directory.path(), "old", if canary { &good } else { &bad });
        create(&catalogue, directory.path(), "new", if canary { &bad } else { &good });
        let listener = Arc::new(Refusals::default());
        if canary {
            catalogue.switch("stable", SwitchRequest::to(id(&catalogue, "old"))).unwrap();
            let share = Share { service: id(&catalogue, "new"), percent: Percent::ALL };
            catalogue.override_canary("stable", Some(share)).unwrap();
        } else {
            catalogue.switch("stable", shadowed(&catalogue, "old", "new")).unwrap();
        }
        catalogue.observe_shadow("stable", Some(Arc::clone(&listener) as _)).unwrap();
        let error = ask(&catalogue, "stable", 10.0).unwrap_err();
        let bad = catalogue.resolve(if canary { "new" } else { "old" }).unwrap().service;
        assert_eq!(bad.statistics.faults(), 1, "{behaviour}");
        until("asked", || counts(&catalogue).compared == 1);
        let asked = id(&catalogue, if canary { "old" } else { "new" });
        assert_eq!(*listener.0.lock().unwrap(), [(asked, error.to_string(), true)], "{behaviour}");
        catalogue.override_canary("stable", None).unwrap();
    }
}

/// Which service was asked, why the client was refused, and whether it would have been answered.
#[derive(Default)]
struct Refusals(Mutex<Vec<(ServiceId, String, bool)>>);

impl ShadowObserver for Refusals {
    fn observe(&self, observation: &Observation<'_>) {
        let Observation { primary, shadowed, .. } = observation;
        let reason = primary.outputs.as_ref().unwrap_err().reason.clone();
        self.0.lock().unwrap().push((shadowed.service, reason, shadowed.outputs.is_ok()));
    }
}

#[test]
fn a_shadow_that_fails_or_panics_is_counted_and_nothing_else() {
    for behaviour in ["fail", "panic"] {
        let directory = tempfile::tempdir().unwrap();
        let catalogue = stage(directory.path(), &json!({"behaviour": behaviour}));
        for number in 0..10 {
            assert_eq!(answer(&catalogue, number as f32), number as f32 + 1.0);
            until("failed", || counts(&catalogue).failed == number + 1);
        }
        assert_eq!(counts(&catalogue), ShadowCounts { offered: 10, failed: 10, ..ShadowCounts::default() });
    }
}

#[test]
fn no_primary_ever_waits_for_a_stalled_shadow() {
    let directory = tempfile::tempdir().unwrap();
    let catalogue = stage(directory.path(), &json!({"behaviour": "block", "gate": "stalled"}));
    let gate = Gate::named("stalled");
    answer(&catalogue, 0.0);
    gate.until_reached();
    answer_beside(&gate, &catalogue, 4, 250);
    let stalled = counts(&catalogue);
    assert_eq!((stalled.offered, stalled.compared, stalled.failed), (1001, 0, 0));
    let waiting = ShadowLimits::default().copies as u64;
    assert!(stalled.dropped >= 1000 - waiting, "{stalled:?}");
    gate.open();
    until("all that waited", || {
        let counts = counts(&catalogue);
        counts.compared + counts.dropped == 1001
    });
}

#[test]
fn a_shadow_goes_away_while_its_queue_is_full_and_its_model_blocks() {
    let directory = tempfile::tempdir().unwrap();
    let catalogue = stage(directory.path(), &json!({"behaviour": "block", "gate": "leaving"}));
    let gate = Gate::named("leaving");
    answer_beside(&gate, &catalogue, 1, 200);
    gate.until_reached();
    assert!(catalogue.delete("new", Clear::Memory).is_err(), "it shadows");
    let before = catalogue.alias("stable").unwrap();
    catalogue.set_shadow("stable", None, Some(Expected::Generation(before.generation))).unwrap();
    let left = counts(&catalogue);
    assert_eq!((left.offered, left.dropped), (200, 199), "all but the one that is being worked on");
    catalogue.delete("new", Clear::Directory).unwrap();
    assert_eq!(answer(&catalogue, 1.0), 2.0);
    assert_eq!(counts(&catalogue).offered, 200, "nothing is copied any more");
    gate.open();
    until("the last one", || counts(&catalogue).compared == 1);
}

#[test]
fn what_waits_is_bounded_in_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let service = create(&catalogue(directory.path()), directory.path(), "old", &json!({}));
    let queue = Queue::new(ShadowLimits { copies: 64, bytes: 1000 });
    let copied = |length: usize| {
        // Half of it is in a parameter of nested lists, which are as large as strings.
        let nested = json!([vec![0; length / 2 / size_of::<serde_json::Value>()]]);
        let mut call = PredictCall { data: vec!["x".repeat(length / 2)], ..PredictCall::default() };
        call.parameters.input.insert("unknown".into(), nested);
        let outputs = Arc::new(Outputs::Features(Floats::from_vec(Vec::new())));
        let service = Arc::clone(&service);
        let primary = Primary { service, version: "".into(), outputs: Ok(outputs), took: PATIENCE };
        Copied { id: 0, call, primary }
    };
    assert!(queue.push(copied(2000)).is_err());
    assert!(queue.push(copied(600)).is_ok());
    assert!(queue.push(copied(600)).is_err());
    queue.pop().unwrap();
    assert!(queue.push(copied(600)).is_ok());
    assert_eq!(queue.close(), 1);
    assert!(queue.push(copied(1)).is_err());
}

#[test]
fn part_of_the_requests_is_copied() {
    let directory = tempfile::tempdir().unwrap();
    let catalogue = stage(directory.path(), &json!({}));
    let shadow = Some(Share { service: id(&catalogue, "new"), percent: Percent::new(25).unwrap() });
    catalogue.set_shadow("stable", shadow, None).unwrap();
    answer_many(&catalogue, 100);
    assert_eq!(counts(&catalogue).offered, 25);
}
