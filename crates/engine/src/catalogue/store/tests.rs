//! What every kind of store does, run for each.

use std::time::Duration;

use event_listener::Listener;

use super::memory::MemoryStore;
use super::*;
use crate::catalogue::desired::{Command, Facts, Served, ServiceEntry, Share};
use crate::move_id::MoveId;
use crate::name::ServiceName;
use crate::service::ServiceId;

/// Nothing runs.
struct Nothing;

impl Facts for Nothing {
    fn serving(&self, _: ServiceId) -> Option<Result<Served>> {
        None
    }

    fn is_being_deleted(&self, _: ServiceId) -> bool {
        false
    }

    fn is_returning(&self, _: &ServiceName) -> bool {
        false
    }

    fn is_being_undone(&self, _: MoveId) -> bool {
        false
    }

    fn canary_override(&self, _: &ServiceName) -> Option<Share> {
        None
    }

    fn now_s(&self) -> u64 {
        0
    }
}

fn with(state: &DesiredState, id: u64, name: &str) -> DesiredState {
    let name = ServiceName::parse(name).unwrap();
    let request = "{\"model\":\"ä\"}".to_owned();
    let entry = ServiceEntry { id: ServiceId(id), name, request, unloaded: id == 2, created_by: None, listing: None };
    state.apply(&Command::Create(entry), &Nothing).unwrap()
}

/// `again` opens the store anew, as a restart does.
fn conforms<S: StateStore>(mut store: S, again: impl FnOnce(S) -> S) {
    let (empty, state) = store.load().unwrap();
    assert_eq!(state, DesiredState::default(), "nothing was stored");

    let one = with(&state, 1, "one");
    let changed = store.watch();
    let Put::Stored(first) = store.compare_and_put(empty, &one).unwrap() else { panic!("no other writer") };
    assert_ne!(first, empty);
    assert!(changed.wait_timeout(Duration::from_secs(10)).is_some(), "a watcher is told");
    assert_eq!(store.load().unwrap(), (first, one.clone()));

    let unchanged = store.watch();
    let two = with(&one, 2, "two");
    assert_eq!(store.compare_and_put(empty, &two).unwrap(), Put::Lost, "the revision is an old one");
    assert_eq!(store.load().unwrap(), (first, one.clone()), "a loser changes nothing");
    assert!(unchanged.wait_timeout(Duration::ZERO).is_none(), "a watcher is not told of nothing");

    let Put::Stored(second) = store.compare_and_put(first, &two).unwrap() else { panic!("no other writer") };
    assert!(second != first && second != empty);
    let Put::Stored(third) = store.compare_and_put(second, &one).unwrap() else { panic!("no other writer") };
    assert!(third != first, "the same content again is another revision");

    let mut store = again(store);
    let (found, state) = store.load().unwrap();
    assert_eq!(state, one);
    assert!(matches!(store.compare_and_put(found, &two).unwrap(), Put::Stored(_)));
    assert_eq!(store.load().unwrap().1, two);
}

#[test]
fn a_file_conforms() {
    let directory = tempfile::tempdir().unwrap();
    conforms(FileStore::open(directory.path()).unwrap(), |store| {
        drop(store);
        FileStore::open(directory.path()).unwrap()
    });
}

#[test]
fn memory_conforms() {
    conforms(MemoryStore::default(), |store| store.clone());
}

#[test]
fn a_race_can_be_lost() {
    let mut store = MemoryStore::default();
    let (revision, state) = store.load().unwrap();
    store.lose_against(|state| with(&state, 7, "faster"));
    assert_eq!(store.compare_and_put(revision, &with(&state, 1, "slower")).unwrap(), Put::Lost);
    let (revision, state) = store.load().unwrap();
    assert_eq!(state, with(&DesiredState::default(), 7, "faster"));
    assert!(matches!(store.compare_and_put(revision, &with(&state, 1, "slower")).unwrap(), Put::Stored(_)));
}
