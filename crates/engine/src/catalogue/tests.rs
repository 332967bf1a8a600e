use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::desired::{AliasCommand, DesiredState};
use super::store::memory::MemoryStore;
use super::*;
use crate::name::PeerName;
use crate::percent::Percent;
use crate::stage::{catalogue, catalogue_that_tries, create, environment, id};
use crate::trial::Trial;

fn share(catalogue: &Catalogue, name: &str, percent: u8) -> Option<Share> {
    Some(Share { service: id(catalogue, name), percent: Percent::new(percent).unwrap() })
}

/// The name and percentage of a canary or shadow, as clients see them.
fn shown(share: &ShareView) -> (&str, u8) {
    (share.service.as_ref().unwrap().as_str(), share.percent.get())
}

fn put(service: &str) -> AliasChange {
    AliasChange { service: service.into(), ..AliasChange::default() }
}

/// A catalogue with services, and an alias `stable` on the first.
fn stage(directory: &tempfile::TempDir, services: &[&str]) -> Arc<Catalogue> {
    let catalogue = catalogue(directory.path());
    for name in services {
        create(&catalogue, directory.path(), name, &json!({}));
    }
    catalogue.put_alias("stable", put(services[0])).unwrap();
    catalogue
}

fn answered_by(catalogue: &Catalogue, alias: &str) -> String {
    match catalogue.route(alias).unwrap() {
        Routed::Here(resolved) => resolved.name.to_string(),
        Routed::There { peer, service, .. } => format!("{peer}/{service}"),
    }
}

#[test]
fn the_canary_gets_its_part_and_the_target_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let catalogue = stage(&directory, &["a", "b"]);
    catalogue.set_canary("stable", share(&catalogue, "b", 7), None).unwrap();
    let answered = (0..200).filter(|_| answered_by(&catalogue, "stable") == "b").count();
    assert_eq!(answered, 14);
    assert_eq!(catalogue.resolve("stable").unwrap().name.as_str(), "a", "the alias still stands for its target");
}

#[test]
fn every_change_of_a_route_is_a_generation_and_can_be_compared_and_swapped() {
    let directory = tempfile::tempdir().unwrap();
    let catalogue = stage(&directory, &["a", "b"]);
    let expect = |generation| Some(Expected::Generation(generation));
    let shadowed = catalogue.set_shadow("stable", share(&catalogue, "b", 100), expect(1)).unwrap();
    assert_eq!((shadowed.generation, shadowed.history.len()), (2, 1));
    let again = catalogue.set_shadow("stable", share(&catalogue, "b", 100), expect(2)).unwrap();
    assert_eq!(again.generation, 2, "nothing changed");
    let late = SwitchRequest { expect: vec![Expected::Generation(1)], ..SwitchRequest::to(id(&catalogue, "b")) };
    let error = catalogue.switch("stable", late.clone()).unwrap_err();
    assert_eq!(error.to_string(), "expected generation 1 of stable, found 2");
    let reverse = share(&catalogue, "a", 50);
    let switched = catalogue
        .switch("stable", SwitchRequest { expect: vec![Expected::Generation(2)], shadow: reverse, ..late })
        .unwrap();
    assert_eq!((switched.generation, switched.service.as_str()), (3, "b"));
    assert_eq!(shown(&switched.shadow.unwrap().share).0, "a", "the former target shadows the new one");
    assert_eq!(switched.history.iter().map(|step| step.generation).collect::<Vec<_>>(), [1, 3]);
    let wrong = SwitchRequest {
        expect: vec![Expected::Service(id(&catalogue, "a"))],
        ..SwitchRequest::to(id(&catalogue, "a"))
    };
    assert!(matches!(catalogue.switch("stable", wrong), Err(Error::AliasConflict(_))));
    let fresh = SwitchRequest { expect: vec![Expected::Generation(0)], ..SwitchRequest::to(id(&catalogue, "a")) };
    assert_eq!(catalogue.switch("fresh", fresh.clone()).unwrap().generation, 1);
    assert!(catalogue.switch("fresh", fresh).is_err(), "it is there now");
}

#[test]
fn a_put_sets_the_whole_route_and_a_rollback_clears_it() {
    let directory = tempfile::tempdir().unwrap();
    let catalogue = stage(&directory, &["a", "b", "c"]);
    let part = |service: &str, percent| Some(ShareChange { service: service.into(), percent });
    let whole = AliasChange { canary: part("c", 5), shadow: part("a", 100), ..put("b") };
    let info = catalogue.put_alias("stable", whole.clone()).unwrap();
    assert_eq!(info.canary.as_ref().map(shown), Some(("c", 5)));
    for name in ["a", "b", "c"] {
        let error = catalogue.delete(name, Clear::Memory).unwrap_err().to_string();
        assert!(error.contains("stable"), "{error}");
    }
    catalogue.rename("c", "d").unwrap();
    assert_eq!(shown(&catalogue.alias("stable").unwrap().canary.unwrap()).0, "d", "shares follow renames");
    let back = catalogue.rollback_alias("stable", None).unwrap();
    assert_eq!((back.service.as_str(), back.canary, back.shadow), ("a", None, None));
    let whole = AliasChange { canary: part("d", 5), ..whole };
    catalogue.put_alias("stable", whole).unwrap();
    let plain = catalogue.put_alias("stable", put("b")).unwrap();
    assert_eq!((plain.canary, plain.shadow), (None, None));
}

#[test]
fn routes_that_cannot_be_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let catalogue = stage(&directory, &["a", "b"]);
    let part = |service: &str, percent| Some(ShareChange { service: service.into(), percent });
    for (request, complaint) in [
        (AliasChange { canary: part("a", 5), ..put("a") }, "the alias points to this service already (canary.service)"),
        (AliasChange { canary: part("none", 5), ..put("a") }, "no service none (canary.service)"),
        (AliasChange { shadow: part("stable", 5), ..put("a") }, "stable is an alias; an alias points to a service"),
        (AliasChange { shadow: part("b", 101), ..put("a") }, "0 to 100 expected, found 101 (shadow.service)"),
        (
            AliasChange { peer: Some("prod".into()), shadow: part("b", 5), ..put("a") },
            "answers of a peer cannot be compared (shadow)",
        ),
        (
            AliasChange { peer: Some("a/b".into()), ..put("a") },
            "invalid name: a peer's name of letters, digits, \"-\", \"_\" and \".\" expected, found \"a/b\" (peer)",
        ),
        (AliasChange { expect_generation: Some(7), ..put("b") }, "expected generation 7 of stable, found 1"),
        (AliasChange { expect: Some("prod/a".into()), ..put("b") }, "expected stable to point to prod/a, found a"),
    ] {
        assert_eq!(catalogue.put_alias("stable", request).unwrap_err().to_string(), complaint);
    }
    assert_eq!(catalogue.alias("stable").unwrap().generation, 1);
}

#[test]
fn an_alias_of_a_peer_forwards_and_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let catalogue = stage(&directory, &["a"]);
    let there = AliasChange { peer: Some("prod".into()), expect: Some("a".into()), ..put("Service1") };
    let info = catalogue.put_alias("stable", there).unwrap();
    assert_eq!((info.peer.as_ref().map(PeerName::as_str), info.service.as_str()), (Some("prod"), "service1"));
    assert_eq!(answered_by(&catalogue, "stable"), "prod/service1");
    assert!(matches!(catalogue.resolve("stable"), Err(Error::AliasConflict(_))));
    catalogue.delete("a", Clear::Memory).unwrap();
    assert!(catalogue.rollback_alias("stable", None).is_err(), "what it pointed to is gone");
    create(&catalogue, directory.path(), "a", &json!({}));
    let here = AliasChange { expect: Some("prod/service1".into()), ..put("a") };
    assert_eq!(catalogue.put_alias("stable", here).unwrap().peer, None);
    assert_eq!(catalogue.rollback_alias("stable", None).unwrap().peer.unwrap().as_str(), "prod");
}

#[test]
fn a_takeover_can_be_undone() {
    let directory = tempfile::tempdir().unwrap();
    let catalogue = stage(&directory, &["a"]);
    let service = id(&catalogue, "a");
    let takeover = SwitchRequest { takeover: true, ..SwitchRequest::to(service) };
    let info = catalogue.switch("a", takeover).unwrap();
    assert_ne!(info.service.as_str(), "a");
    catalogue.give_name_back("a", Some(Expected::Generation(1))).unwrap();
    assert_eq!(id(&catalogue, "a"), service);
    assert!(matches!(catalogue.alias("a"), Err(Error::AliasNotFound(_))));
    assert_eq!(catalogue.alias("stable").unwrap().service.as_str(), "a");
}

#[test]
fn routes_come_back_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let before = {
        let catalogue = stage(&directory, &["a", "b", "c"]);
        catalogue.set_canary("stable", share(&catalogue, "b", 5), None).unwrap();
        catalogue.set_shadow("stable", share(&catalogue, "c", 100), None).unwrap();
        catalogue.put_alias("elsewhere", AliasChange { peer: Some("prod".into()), ..put("x") }).unwrap();
        ["stable", "elsewhere"].map(|name| catalogue.alias(name).unwrap())
    };
    let catalogue = catalogue(directory.path());
    assert_eq!(["stable", "elsewhere"].map(|name| catalogue.alias(name).unwrap()), before);
    assert!(catalogue.delete("c", Clear::Memory).is_err());
}

/// Finds every network good, and counts them.
#[derive(Default)]
struct Counted(AtomicUsize);

impl Trial for Counted {
    fn attempt(&self, _: &CreationRequest, _: Patience) -> Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[test]
fn files_that_changed_are_tried_at_the_next_restart_and_not_at_each() {
    let directory = tempfile::tempdir().unwrap();
    let tried = Arc::new(Counted::default());
    let restart = || drop(catalogue_that_tries(directory.path(), Some(Arc::clone(&tried) as Arc<dyn Trial>)));
    create(&catalogue(directory.path()), directory.path(), "a", &json!({}));
    let tried_so_far = || tried.0.load(Ordering::Relaxed);
    for (written, expected) in [(None, 0), (Some("trained"), 1), (None, 1), (Some("trained again"), 2), (None, 2)] {
        if let Some(content) = written {
            std::fs::write(directory.path().join("model-a/weights"), content).unwrap();
        }
        restart();
        assert_eq!(tried_so_far(), expected, "{written:?}");
    }
}

#[test]
fn while_an_alias_goes_back_no_other_change_of_it_is_answered_with_success() {
    let directory = tempfile::tempdir().unwrap();
    let catalogue = stage(&directory, &["a", "b"]);
    let (former, new) = (catalogue.resolve("a").unwrap().service, catalogue.resolve("b").unwrap().service);
    former.unload();
    let request = SwitchRequest { replaces_in_memory: Some(former.id), ..SwitchRequest::to(new.id) };
    catalogue.switch("stable", request).unwrap();
    let in_flight = new.queue.admit().unwrap();
    std::thread::scope(|scope| {
        let going_back = scope.spawn(|| catalogue.rollback_alias("stable", None));
        let is_held = || matches!(new.queue.admit(), Err(crate::limiter::Refused::Held(_)));
        while !is_held() && !going_back.is_finished() {
            std::thread::yield_now();
        }
        let others = [
            ("the same target again", catalogue.put_alias("stable", put("b")).map(drop)),
            ("a shadow", catalogue.set_shadow("stable", share(&catalogue, "b", 5), None).map(drop)),
            ("a second way back", catalogue.rollback_alias("stable", None).map(drop)),
            ("deleting it", catalogue.delete_alias("stable")),
        ];
        for (what, outcome) in others {
            let error = outcome.expect_err(what).to_string();
            assert!(error.contains("stable is on its way back to another network"), "{what}: {error}");
        }
        drop(in_flight);
        assert_eq!(going_back.join().unwrap().unwrap().service.as_str(), "a");
    });
    assert_eq!(answered_by(&catalogue, "stable"), "a");
    catalogue.set_shadow("stable", share(&catalogue, "a", 5), None).unwrap();
    catalogue.delete_alias("stable").unwrap();
}

#[test]
fn while_a_move_is_undone_its_alias_is_changed_by_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let catalogue = stage(&directory, &["a", "b"]);
    let (former, new) = (id(&catalogue, "a"), catalogue.resolve("b").unwrap().service);
    let by = "m1".parse().unwrap();
    catalogue.claim_service(by, &new).unwrap();
    let switched = catalogue.switch("stable", SwitchRequest { by: Some(by), ..SwitchRequest::to(new.id) }).unwrap();
    catalogue.put_alias("stable", put("b")).unwrap();
    catalogue.claim_undoing(by, true);
    for outcome in [
        catalogue.put_alias("stable", put("b")).map(drop),
        catalogue.rollback_alias("stable", None).map(drop),
        catalogue.delete_alias("stable"),
    ] {
        assert!(outcome.unwrap_err().to_string().contains("as move m1 is being undone"));
    }
    let name = ServiceName::parse("stable").unwrap();
    catalogue.return_alias(&name, (switched.generation, new.id), former, None).unwrap();
    catalogue.put_alias("stable", put("b")).unwrap();
    catalogue.switch("stable", SwitchRequest { by: Some(by), ..SwitchRequest::to(former) }).unwrap();
    catalogue.claim_undoing(by, false);
    catalogue.put_alias("stable", put("b")).unwrap();
}

/// A catalogue with services `a` and `b` and an alias `stable` on `a`, recorded in memory, where other writers may be faster.
fn contended(directory: &tempfile::TempDir) -> (Arc<Catalogue>, MemoryStore) {
    let store = MemoryStore::default();
    let catalogue = Catalogue::start_with(environment(directory.path(), None), Box::new(store.clone())).unwrap();
    for name in ["a", "b"] {
        create(&catalogue, directory.path(), name, &json!({}));
    }
    catalogue.put_alias("stable", put("a")).unwrap();
    (catalogue, store)
}

/// What another writer does, who sees what this catalogue sees.
fn another(
    catalogue: &Catalogue,
    name: &str,
    command: AliasCommand,
) -> impl FnOnce(DesiredState) -> DesiredState + use<> {
    let (name, seen) = (ServiceName::parse(name).unwrap(), catalogue.snapshot());
    move |state| state.apply(&Command::Alias(name, command), &*seen).unwrap()
}

#[test]
fn a_change_that_loses_a_race_is_made_to_what_won() {
    let directory = tempfile::tempdir().unwrap();
    let (catalogue, mut store) = contended(&directory);
    store.lose_against(another(&catalogue, "other", AliasCommand::Set(put("b"))));
    store.lose_against(another(&catalogue, "third", AliasCommand::Set(put("a"))));
    catalogue.put_alias("stable", put("b")).unwrap();
    let found: Vec<_> =
        catalogue.snapshot().aliases().map(|alias| (alias.name.to_string(), alias.generation)).collect();
    assert_eq!(found, [("other".into(), 1), ("stable".into(), 2), ("third".into(), 1)]);
    assert_eq!(store.load().unwrap().1, catalogue.snapshot().desired, "what runs follows what is recorded");
    assert_eq!(answered_by(&catalogue, "other"), "b");
}

#[test]
fn a_condition_is_looked_at_again_after_a_lost_race() {
    let directory = tempfile::tempdir().unwrap();
    let (catalogue, store) = contended(&directory);
    store.lose_against(another(&catalogue, "stable", AliasCommand::Set(put("b"))));
    let shadow = share(&catalogue, "a", 100);
    let error = catalogue.set_shadow("stable", shadow, Some(Expected::Generation(1))).unwrap_err();
    assert_eq!(error.to_string(), "expected generation 1 of stable, found 2");
    assert_eq!(answered_by(&catalogue, "stable"), "b", "the change that won is followed");
    let asked = Arc::new(AtomicUsize::new(0));
    let allowed = {
        let asked = Arc::clone(&asked);
        move || match asked.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(()),
            _ => Err(Error::AliasConflict("not any more".into())),
        }
    };
    store.lose_against(another(&catalogue, "other", AliasCommand::Set(put("b"))));
    let request = SwitchRequest::to(id(&catalogue, "a"));
    assert_eq!(catalogue.switch_if("stable", request, allowed).unwrap_err().to_string(), "not any more");
    assert_eq!(answered_by(&catalogue, "stable"), "b");
}

#[test]
fn an_alias_that_another_writer_made_again_is_another_one() {
    let directory = tempfile::tempdir().unwrap();
    let (catalogue, store) = contended(&directory);
    catalogue.set_shadow("stable", share(&catalogue, "b", 100), None).unwrap();
    let before = catalogue.snapshot().alias(&ServiceName::parse("stable").unwrap()).unwrap().clone();
    store.lose_against(another(&catalogue, "stable", AliasCommand::Delete));
    catalogue.put_alias("stable", put("b")).unwrap();
    assert!(!catalogue.snapshot().is_there(&before), "it was deleted in between");
    assert_eq!(catalogue.alias("stable").unwrap().generation, 1);
}

#[test]
fn a_change_that_always_loses_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let (catalogue, store) = contended(&directory);
    for turn in 0..20 {
        store.lose_against(another(&catalogue, &format!("other{turn}"), AliasCommand::Set(put("b"))));
    }
    let error = catalogue.put_alias("stable", put("b")).unwrap_err().to_string();
    assert!(error.contains("other servers changed the same record"), "{error}");
    assert_eq!(answered_by(&catalogue, "stable"), "a");
    catalogue.put_alias("stable", put("b")).unwrap();
}
