//! Calls as clients make them, through a door whose replies are numbers.

use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use serde_json::{Value, json};

use super::*;
use crate::catalogue::AliasChange;
use crate::environment::Environment;
use crate::stage::{FORWARDING_TAKES, Forwarding, Gate, NumberDoor, call, catalogue, create, environment, to};

fn stage(directory: &Path) -> (Arc<Catalogue>, Dispatcher) {
    let catalogue = catalogue(directory);
    create(&catalogue, directory, "one", &json!({"answer": 1}));
    (Arc::clone(&catalogue), Dispatcher::new(catalogue))
}

fn in_ms(ms: u64) -> Option<tokio::time::Instant> {
    Some(tokio::time::Instant::now() + Duration::from_millis(ms))
}

fn is_late(outcome: &Result<f32>) -> bool {
    matches!(outcome, Err(Error::DeadlineExceeded(_)))
}

#[tokio::test]
async fn calls_are_answered_and_recorded_with_who_answered() {
    let directory = tempfile::tempdir().unwrap();
    let (catalogue, dispatcher) = stage(directory.path());
    create(&catalogue, directory.path(), "bad", &json!({"behaviour": "fail"}));
    create(&catalogue, directory.path(), "refused", &json!({}));
    let remote = AliasChange { service: "there".into(), peer: Some("prod".into()), ..AliasChange::default() };
    catalogue.put_alias("remote", remote).unwrap();
    let door = NumberDoor::default();
    let records = Arc::clone(&door.records);
    let mut answers = Vec::new();
    for name in ["one", "remote", "bad", "refused", "nothing"] {
        answers.push(dispatcher.infer(door.clone(), to(name, 10.0)).await.ok());
    }
    assert_eq!(answers, [Some(11.0), Some(-1.0), None, None, None]);
    let refusal = |text: &str| Some(text.to_owned());
    let expected = [
        ("one".to_owned(), 1, None),
        ("prod/there".to_owned(), 0, None),
        ("bad".to_owned(), 0, refusal("told to fail")),
        ("refused".to_owned(), 0, refusal("not by this door")),
        ("unknown".to_owned(), 0, refusal("service not found: nothing")),
    ];
    assert_eq!(*records.lock().unwrap(), expected);
    assert_eq!(catalogue.limiter().inside(), 0);
}

/// What a forwarded call finds each time, what changes meanwhile, and what the client gets: the answer, where it was asked, and whom it
/// was counted for.
#[tokio::test(start_paused = true)]
async fn a_forwarded_call_whose_peer_is_gone_is_made_once_more_where_it_is_routed_by_then() {
    const GONE: &[(Option<f32>, bool)] = &[(None, true), (None, true), (Some(-9.0), false)];
    let away = "away".to_owned();
    let missing = "service not found: a".to_owned();
    let cases: [(&[_], _, _, _, &[&str], _); 9] = [
        // It answers, or refuses: nothing is asked twice.
        (&[(Some(-1.0), false)], None, None, Ok(-1.0), &["prod/s"], "prod/s"),
        (&[(None, false), (Some(-2.0), false)], None, None, Err(away.clone()), &["prod/s"], "prod/s"),
        (&[(Some(-1.0), true)], None, None, Ok(-1.0), &["prod/s"], "prod/s"),
        // It is gone, once or for good.
        (&[(None, true), (Some(-2.0), false)], None, None, Ok(-2.0), &["prod/s", "prod/s"], "prod/s"),
        (GONE, None, None, Err(away.clone()), &["prod/s", "prod/s"], "prod/s"),
        // The route changed meanwhile.
        (GONE, Some(("one", None)), None, Ok(11.0), &["prod/s"], "one"),
        (
            &[(None, true), (Some(-2.0), false)],
            Some(("t", Some("next"))),
            None,
            Ok(-2.0),
            &["prod/s", "next/t"],
            "next/t",
        ),
        (GONE, Some(("", None)), None, Err(missing), &["prod/s"], "prod/s"),
        // No time is left.
        (GONE, Some(("one", None)), Some(FORWARDING_TAKES / 2), Err(away), &["prod/s"], "prod/s"),
    ];
    for (number, (finds, meanwhile, time, expected, asked, counted)) in cases.into_iter().enumerate() {
        let directory = tempfile::tempdir().unwrap();
        let (catalogue, dispatcher) = stage(directory.path());
        let route = |service: &str, peer: Option<&str>| AliasChange {
            service: service.into(),
            peer: peer.map(Into::into),
            ..AliasChange::default()
        };
        catalogue.put_alias("a", route("s", Some("prod"))).unwrap();
        let (changed, seen) = (Arc::clone(&catalogue), Arc::new(std::sync::Mutex::new(Vec::new())));
        let (mut finds, noted) = (finds.iter(), Arc::clone(&seen));
        let deadline = time.map(|time| tokio::time::Instant::now() + time);
        let forwarding: Forwarding = Box::new(move |to| {
            noted.lock().unwrap().push(format!("{}/{}", to.peer, to.service));
            match meanwhile {
                Some(("", _)) => drop(changed.delete_alias("a")),
                Some((service, peer)) => drop(changed.put_alias("a", route(service, peer)).unwrap()),
                None => {}
            }
            let (reply, may_be_repeated) = finds.next().unwrap();
            (reply.ok_or_else(|| Error::PeerAway("away".into())), *may_be_repeated)
        });
        let door = NumberDoor::default();
        *door.forwarding.lock().unwrap() = Some(forwarding);
        let records = Arc::clone(&door.records);
        let outcome =
            dispatcher.infer(door, Call { deadline, ..to("a", 10.0) }).await.map_err(|error| error.to_string());
        assert_eq!(outcome, expected, "{number}");
        assert_eq!(*seen.lock().unwrap(), asked, "{number}");
        let records: Vec<_> = records.lock().unwrap().iter().map(|record| record.0.clone()).collect();
        assert_eq!(records, [counted], "{number}: counted once, for the one that was asked last");
        assert_eq!(catalogue.limiter().inside(), 0, "{number}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_rendered_is_no_answer() {
    let directory = tempfile::tempdir().unwrap();
    let (_catalogue, dispatcher) = stage(directory.path());
    let door = NumberDoor { unrendered: Some("no room"), ..NumberDoor::default() };
    let records = Arc::clone(&door.records);
    assert_eq!(dispatcher.infer(door, to("one", 10.0)).await.unwrap_err().to_string(), "no room");
    assert_eq!(*records.lock().unwrap(), [("one".to_owned(), 0, Some("no room".to_owned()))]);
}

#[test]
fn a_rehearsal_is_answered_as_a_client_is_and_leaves_no_trace() {
    let directory = tempfile::tempdir().unwrap();
    let environment = Environment { capture_bytes: 1 << 20, ..environment(directory.path(), None) };
    let catalogue = Catalogue::start(environment).unwrap();
    let create = |name: &str, mllib: Value| create(&catalogue, directory.path(), name, &mllib);
    let (good, bad, broken) = (
        create("good", json!({"answer": 1})),
        create("bad", json!({"behaviour": "fail"})),
        create("broken", json!({"behaviour": "panic"})),
    );
    let answer = rehearse(&good, &call(10.0)).unwrap();
    assert_eq!((answer.outputs.len(), answer.version), (1, good.version()));
    for (service, call, expected) in [
        (&good, PredictCall { data: vec!["x".into()], ..PredictCall::default() }, "no number: x"),
        (&bad, call(10.0), "told to fail"),
        (&broken, call(10.0), "the model ended in an internal error (panic); see the log"),
    ] {
        let error = rehearse(service, &call).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    for service in [&good, &bad, &broken] {
        let counted = service.statistics.snapshot();
        assert_eq!((counted.successes, counted.failures), (0, 0), "{}", service.name());
        assert!(service.captured().is_empty() && service.queue.inside() == 0, "{}", service.name());
    }
    good.predict(&call(10.0), &MemoryShare::unbounded()).unwrap();
    assert_eq!((good.statistics.snapshot().successes, good.captured().len()), (1, 1), "a client's call leaves one");
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_time_is_over_before_its_turn_computes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (_catalogue, dispatcher) = stage(directory.path());
    let late = Call { deadline: in_ms(0), ..to("one", 10.0) };
    assert!(is_late(&dispatcher.infer(NumberDoor::default(), late).await));
    let in_time = Call { deadline: in_ms(60_000), ..to("one", 10.0) };
    assert_eq!(dispatcher.infer(NumberDoor::default(), in_time).await.unwrap(), 11.0);
    let service = dispatcher.catalogue.resolve("one").unwrap().service;
    assert_eq!(service.statistics.snapshot().successes, 1);
    assert_eq!(service.statistics.snapshot().failures, 0);
}

#[tokio::test(start_paused = true)]
async fn a_paused_service_is_waited_for_until_the_pause_or_the_time_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let (_catalogue, dispatcher) = stage(directory.path());
    let service = dispatcher.catalogue.resolve("one").unwrap().service;
    let hold = service.queue.hold(Instant::now() + Duration::from_secs(3600)).unwrap();
    let late = Call { deadline: in_ms(500), ..to("one", 10.0) };
    let began = tokio::time::Instant::now();
    assert!(is_late(&dispatcher.infer(NumberDoor::default(), late).await));
    assert_eq!(began.elapsed().as_millis(), 500);
    let mut waiting = pin!(dispatcher.infer(NumberDoor::default(), to("one", 10.0)));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    service.queue.release(&hold);
    assert_eq!(waiting.await.unwrap(), 11.0);
}

#[tokio::test]
async fn a_call_whose_client_leaves_makes_room() {
    let directory = tempfile::tempdir().unwrap();
    let (catalogue, dispatcher) = stage(directory.path());
    let dispatcher = Arc::new(dispatcher);
    create(&catalogue, directory.path(), "slow", &json!({"behaviour": "block", "gate": "dispatch"}));
    let service = catalogue.resolve("slow").unwrap().service;
    // As many as there are slots for two threads.
    let computing: Vec<_> = (0..6)
        .map(|_| {
            let dispatcher = Arc::clone(&dispatcher);
            tokio::spawn(async move { dispatcher.infer(NumberDoor::default(), to("slow", 1.0)).await })
        })
        .collect();
    while service.queue.inside() < computing.len() {
        tokio::task::yield_now().await;
    }
    {
        let mut leaving = pin!(dispatcher.infer(NumberDoor::default(), to("slow", 1.0)));
        let polled = leaving.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Pending));
        assert_eq!(service.queue.inside(), 7);
    }
    assert_eq!(service.queue.inside(), 6);
    assert_eq!(dispatcher.infer(NumberDoor::default(), to("one", 1.0)).await.unwrap(), 2.0, "others do not wait");
    Gate::named("dispatch").open();
    for answered in computing {
        assert_eq!(answered.await.unwrap().unwrap(), 1.0);
    }
    assert_eq!(service.statistics.snapshot().successes, 6);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let (catalogue, dispatcher) = stage(directory.path());
    let service = catalogue.resolve("one").unwrap().service;
    let inside: Vec<_> = std::iter::from_fn(|| service.queue.admit().ok()).collect();
    assert_eq!(inside.len(), 16);
    let refused = dispatcher.infer(NumberDoor::default(), to("one", 1.0)).await;
    assert!(matches!(refused, Err(Error::Overloaded(_))));
}
