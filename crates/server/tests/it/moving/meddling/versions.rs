//! Files that change while no server runs: the version that was verified is the one that serves, or the move says that it is not.

use std::path::Path;

use serde_json::json;

use super::world::{Under, World};

/// Replaces what is in the directory of a service.
fn replace(world: &World, directory: &Path, version: Option<usize>) {
    std::fs::remove_dir_all(directory.join("runs")).unwrap();
    if let Some(version) = version {
        world.models.versions[version].write(directory);
    }
}

fn restart_with(world: World, directory: &Path, version: Option<usize>) -> World {
    // The models are known to the process, not to the servers.
    let models = world.models;
    world.restart_after(|_| {
        std::fs::remove_dir_all(directory.join("runs")).unwrap();
        if let Some(version) = version {
            models.versions[version].write(directory);
        }
    })
}

/// A move that has switched, and watches for as long as the test likes.
fn watching(under: Under, members: serde_json::Value) -> (World, String) {
    let world = World::new(under);
    let mut request = json!({"auto": true, "shadow_for_s": 0, "watch_for_s": 600});
    request.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let id = world.begin(request);
    world.until_phase(&id, "watching");
    (world, id)
}

#[test]
fn a_new_service_that_is_another_version_or_none_is_rolled_back() {
    for version in [Some(0), None] {
        let (world, id) = watching(Under::Alias, json!({}));
        let directory = world.info(&id)["report"]["repository"].as_str().unwrap().to_owned();
        let world = restart_with(world, Path::new(&directory), version);
        let info = world.outcome(&id);
        assert_eq!(info["phase"], "rolled_back", "{info}");
        let reason = info["error"].as_str().unwrap();
        let expected = if version.is_some() { "is another version by now" } else { "cannot answer any more" };
        assert!(reason.contains(expected), "{info}");
        assert_eq!((world.certificate(&id), world.target_of("service1")), (404, json!("old")));
        assert_eq!(world.predict("service1"), 200);
    }
}

/// The alias stays where clients are answered.
#[test]
fn a_former_service_that_is_another_version_or_none_is_not_gone_back_to() {
    for version in [Some(1), None] {
        let (world, id) = watching(Under::Alias, json!({}));
        let directory = world.target.path().join("old");
        let world = restart_with(world, &directory, version);
        for action in ["abort", "rollback"] {
            let (status, answer) = world.act(&id, action);
            let expected = if version.is_some() { "expected version" } else { "old cannot answer" };
            assert!(status == 409 && answer.contains(expected), "{action}: {answer}");
        }
        assert_eq!((world.target_of("service1"), world.predict("service1")), (json!("service2"), 200));
        world.until_phase(&id, "watching");
        let info = world.info(&id);
        assert!(info["error"].is_null(), "{info}");
    }
    // Of a move that is done.
    let world = World::new(Under::Alias);
    let id = world.begin(json!({"auto": true, "shadow_for_s": 0, "watch_for_s": 0}));
    assert_eq!(world.outcome(&id)["phase"], "done");
    let directory = world.target.path().join("old");
    let world = restart_with(world, &directory, Some(1));
    let (status, answer) = world.act(&id, "rollback");
    assert!(status == 409 && answer.contains("expected version"), "{answer}");
    assert_eq!((world.target_of("service1"), world.certificate(&id)), (json!("service2"), 200));
}

/// It is not in memory, so its version shows only when it is loaded.
#[test]
fn a_former_service_that_gave_up_its_place_comes_back_as_what_it_was_or_not_at_all() {
    let world = World::new(Under::Alias);
    let id = world.begin(json!({"auto": true, "replace_first": true, "watch_for_s": 0}));
    assert_eq!(world.outcome(&id)["phase"], "done");
    let directory = world.target.path().join("old");
    replace(&world, &directory, Some(1));
    let (status, answer) = world.act(&id, "rollback");
    assert!(status == 409 && answer.contains("expected version"), "{answer}");
    let info = world.info(&id);
    assert!(info["phase"] == "done" && info["error"].is_null(), "{info}");
    assert_eq!((world.target_of("service1"), world.predict("service1")), (json!("service2"), 200));
    replace(&world, &directory, Some(0));
    let (status, answer) = world.act(&id, "rollback");
    assert_eq!(status, 200, "{answer}");
    assert_eq!((world.target_of("service1"), world.predict("service1")), (json!("old"), 200));

    let (world, id) = watching(Under::Alias, json!({"replace_first": true}));
    let directory = world.target.path().join("old");
    let world = restart_with(world, &directory, Some(1));
    assert_eq!(world.act(&id, "abort").0, 200);
    crate::server::eventually("it cannot be undone", || world.info(&id)["waits_for"] == "abort");
    let activity = world.info(&id)["activity"].as_str().unwrap().to_owned();
    assert!(activity.contains("expected version"), "{activity}");
    assert_eq!((world.target_of("service1"), world.predict("service1")), (json!("service2"), 200));
    // The way out that the text names.
    replace(&world, &directory, Some(0));
    assert_eq!(world.act(&id, "abort").0, 200);
    assert_eq!(world.outcome(&id)["phase"], "rolled_back");
    assert_eq!((world.target_of("service1"), world.predict("service1")), (json!("old"), 200));
}

/// A service that a restart could not load is what a move is wanted for.
#[test]
fn a_service_that_cannot_answer_is_replaced() {
    let world = World::new(Under::Service);
    let directory = world.target.path().join("service1");
    let world = restart_with(world, &directory, None);
    assert_eq!(world.predict("service1"), 400);
    let id = world.begin(json!({"shadow_for_s": 0, "watch_for_s": 0}));
    world.until_it_waits(&id);
    assert_eq!(world.act(&id, "promote").0, 200);
    let info = world.outcome(&id);
    assert!(info["phase"] == "done" && info["report"]["unproved"].is_string(), "{info}");
    assert_eq!(world.predict("service1"), 200);
}
