//! Directories: a move touches what it made, and nothing else.

use std::path::Path;

use serde_json::json;

use super::world::{Under, World, content};

#[test]
fn two_moves_never_share_a_directory() {
    let world = World::new(Under::Alias);
    let directory = world.target.path().join("shared");
    let first = world.begin(json!({"name": "one", "repository": directory, "shadow_for_s": 0}));
    world.until_it_waits(&first);
    let before = content(&directory);
    std::os::unix::fs::symlink("shared", world.target.path().join("link")).unwrap();
    for place in ["shared", "shared/below", "link", "link/below", "."] {
        let place = world.target.path().join(place);
        let (status, answer) = world.refused(json!({"as": "other", "name": "two", "repository": place}));
        assert!(status == 409 && answer.contains("move m1"), "{}: {answer}", place.display());
    }
    assert_eq!(content(&directory), before);
    assert_eq!(world.act(&first, "abort").0, 200);
    assert_eq!(world.outcome(&first)["phase"], "aborted");
    assert!(!directory.exists());
}

#[test]
fn a_directory_of_a_service_is_no_place_for_a_move() {
    let world = World::new(Under::Alias);
    for place in ["old", "old/below", "."] {
        let place = world.target.path().join(place);
        let (status, answer) = world.refused(json!({"repository": place}));
        assert!(status == 409 && answer.contains("service old"), "{}: {answer}", place.display());
        let plan = world.plan(json!({"repository": place}));
        assert!(plan["obstacles"].to_string().contains("service old"), "{plan}");
    }
}

#[test]
fn a_service_is_not_created_on_the_directory_of_a_move() {
    let world = World::new(Under::Alias);
    let directory = world.target.path().join("moved");
    let id = world.begin(json!({"repository": directory, "shadow_for_s": 0}));
    world.until_it_waits(&id);
    for place in [directory.clone(), directory.join("runs"), world.target.path().to_owned()] {
        let body = json!({
            "mllib": "caffe", "parameters": {"input": {"connector": "csv"}, "mllib": {"nclasses": 3}},
            "model": {"repository": place, "create_repository": true},
        });
        let (status, answer) = world.target.put("/services/squatter", &body);
        assert!(status == 409 && answer.to_string().contains("move m1"), "{}: {answer}", place.display());
    }
    assert_eq!(world.act(&id, "abort").0, 200);
    assert_eq!(world.outcome(&id)["phase"], "aborted");
    assert!(!directory.exists());
    // What was made on the way to it went too.
    assert!(!world.target.path().join("state/repositories").exists());
}

/// A PUT that is refused makes nothing, also before the move has made its directory.
#[test]
fn a_service_that_is_refused_makes_no_directory() {
    let mut stalled = None;
    let world = World::through(Under::Alias, |source| {
        let (url, happened) = super::stalled::start(source, "/blobs/", super::stalled::Arrives::Nothing);
        stalled = Some(happened);
        vec![("silent".to_owned(), url)]
    });
    let directory = world.target.path().join("moved");
    let id = world.begin(json!({"source": "silent", "repository": directory, "shadow_for_s": 0}));
    let stalled = stalled.unwrap();
    crate::server::eventually("it copies", || stalled.load(std::sync::atomic::Ordering::SeqCst));
    for place in [directory.clone(), directory.join("below")] {
        let body = json!({
            "mllib": "caffe", "parameters": {"input": {"connector": "csv"}, "mllib": {"nclasses": 3}},
            "model": {"repository": place, "create_repository": true},
        });
        let (status, answer) = world.target.put("/services/squatter", &body);
        assert!(status == 409 && answer.to_string().contains("move m1"), "{}: {answer}", place.display());
    }
    assert!(!directory.exists());
    assert_eq!(world.act(&id, "abort").0, 200);
    assert_eq!(world.outcome(&id)["phase"], "aborted");
}

/// What the former service is loaded from is needed as it is, whatever else stands on it.
#[test]
fn files_of_the_former_service_are_changed_through_no_other() {
    let world = World::new(Under::Alias);
    let directory = world.target.path().join("old");
    let on_it = |name: &str| {
        let body = json!({
            "mllib": "caffe", "parameters": {"input": {"connector": "csv"}, "mllib": {"nclasses": 3}},
            "model": {"repository": directory},
        });
        world.target.put(&format!("/services/{name}"), &body)
    };
    assert_eq!(on_it("beside").0, 201);
    let before = content(&directory);
    let id = world.begin(json!({"shadow_for_s": 0}));
    world.until_it_waits(&id);
    let (status, answer) = on_it("late");
    assert!(status == 409 && answer.to_string().contains("move m1"), "{answer}");
    for clear in ["full", "lib", "dir"] {
        let (status, answer) = world.target.delete(&format!("/services/beside?clear={clear}"));
        assert!(status == 409 && answer.to_string().contains("move m1"), "{clear}: {answer}");
    }
    let data = [dede_testing::fixtures::data("iris_train.csv"), dede_testing::fixtures::data("iris_test.csv")];
    let train = json!({"service": "beside", "async": false, "data": data,
        "parameters": {"input": {"id": "id", "label": "target"}, "mllib": {"solver": {"iterations": 5}}}});
    let (status, answer) = world.target.post("/train", &train);
    assert!(status == 409 && answer.to_string().contains("move m1"), "{answer}");
    assert_eq!(content(&directory), before);
    assert_eq!(world.target.delete("/services/beside").0, 200, "no file is touched by that");
    assert_eq!(world.act(&id, "abort").0, 200);
    assert_eq!(world.outcome(&id)["phase"], "aborted");
    assert_eq!(on_it("late").0, 201);
}

/// Such moves cannot be carried out, and neither stay nor stand in the way of others.
#[test]
fn places_that_cannot_be_are_obstacles() {
    let world = World::new(Under::Alias);
    std::fs::write(world.target.path().join("file"), "x").unwrap();
    std::fs::create_dir(world.target.path().join("full")).unwrap();
    std::fs::write(world.target.path().join("full/other"), "x").unwrap();
    let long = "n".repeat(252);
    let longer = "n".repeat(300);
    for place in ["file", "file/below", "file/below/deep", &longer, "full", "up/../there"] {
        let place = world.target.path().join(place);
        let plan = world.plan(json!({"repository": place}));
        assert!(!plan["obstacles"].as_array().unwrap().is_empty(), "{}: {plan}", place.display());
        let info = world.outcome(&world.begin(json!({"repository": place})));
        assert_eq!(info["phase"], "aborted", "{info}");
    }
    for place in ["relative", "relative/../up"] {
        assert!(!world.plan(json!({"repository": place}))["obstacles"].as_array().unwrap().is_empty(), "{place}");
    }
    for number in 0..9 {
        let below = world.target.path().join(format!("file/{number}"));
        let id = world.begin(json!({"repository": below, "as": format!("a{number}"), "name": format!("s{number}")}));
        assert_eq!(world.outcome(&id)["phase"], "aborted");
    }
    assert_eq!(std::fs::read(world.target.path().join("full/other")).unwrap(), b"x");
    assert!(world.target.path().join("file").is_file());
    let fits = world.target.path().join(&long);
    let info =
        world.outcome(&world.begin(json!({"repository": fits, "auto": true, "shadow_for_s": 0, "watch_for_s": 0})));
    assert_eq!(info["phase"], "done", "{info}");
    assert!(fits.join("config.json").exists() && !fits.join(".dede-move").exists());
}

/// What is there already, or a part of it, is used; an abort leaves it as it was.
#[test]
fn a_directory_that_was_cleared_is_used_again() {
    for clear in ["full", "lib", "mem"] {
        let world = World::new(Under::Alias);
        let request = || json!({"as": null, "auto": true});
        let info = world.outcome(&world.begin(request()));
        assert_eq!(info["phase"], "done", "{info}");
        let directory = Path::new(info["report"]["repository"].as_str().unwrap()).to_owned();
        assert_eq!(world.target.delete(&format!("/services/service2?clear={clear}")).0, 200);
        let left = content(&directory);
        let id = world.begin(json!({"shadow_for_s": 0}));
        world.until_it_waits(&id);
        assert_eq!(world.act(&id, "abort").0, 200);
        assert_eq!(world.outcome(&id)["phase"], "aborted");
        assert!(directory.is_dir(), "{clear}");
        assert_eq!(content(&directory), left, "{clear}");
        let info = world.outcome(&world.begin(request()));
        assert_eq!(info["phase"], "done", "{clear}: {info}");
        assert_eq!(world.predict("service2"), 200);
    }
}

/// An empty directory that a person made stays one.
#[test]
fn an_empty_directory_is_used_and_stays_after_an_abort() {
    let world = World::new(Under::Alias);
    let directory = world.target.path().join("mine");
    std::fs::create_dir(&directory).unwrap();
    let id = world.begin(json!({"repository": directory, "shadow_for_s": 0}));
    world.until_it_waits(&id);
    std::fs::write(directory.join("note"), "mine too").unwrap();
    assert_eq!(world.act(&id, "abort").0, 200);
    assert_eq!(world.outcome(&id)["phase"], "aborted");
    let left: Vec<_> = content(&directory).into_keys().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(left, ["note"]);
}

/// Content of the store that is damaged is fetched again, as long as the source has it: one move is enough.
#[test]
fn damaged_content_of_the_store_is_fetched_again() {
    let world = World::new(Under::Nothing);
    let request = || json!({"as": null});
    assert_eq!(world.outcome(&world.begin(request()))["phase"], "done");
    assert_eq!(world.target.delete("/services/service2?clear=dir").0, 200);
    let blobs = content(&world.target.path().join("state/blobs"));
    let damaged = blobs.iter().filter(|(_, bytes)| !bytes.is_empty()).map(|(path, bytes)| {
        let mut bytes = bytes.clone();
        bytes[0] ^= 1;
        let mut permissions = std::fs::metadata(path).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
        std::fs::set_permissions(path, permissions).unwrap();
        std::fs::write(path, bytes).unwrap();
    });
    assert!(damaged.count() > 2, "{:?}", blobs.keys());
    let info = world.outcome(&world.begin(request()));
    assert_eq!(info["phase"], "done", "{info}");
    assert_eq!(world.predict("service2"), 200);
}

/// What a person puts into the directory of a move meanwhile is that person's.
#[test]
fn files_of_others_in_the_directory_of_a_move_stay() {
    let world = World::new(Under::Alias);
    let directory = world.target.path().join("moved");
    let id = world.begin(json!({"repository": directory, "shadow_for_s": 0}));
    world.until_it_waits(&id);
    std::fs::write(directory.join("NOTES.txt"), "mine").unwrap();
    std::fs::create_dir(directory.join("mine")).unwrap();
    std::fs::write(directory.join("mine/x"), "mine").unwrap();
    assert_eq!(world.act(&id, "abort").0, 200);
    let info = world.outcome(&id);
    assert_eq!(info["phase"], "aborted", "{info}");
    let reason = info["error"].as_str().unwrap();
    assert!(reason.contains("\"NOTES.txt\", \"mine\" in it are not of this move"), "{info}");
    let left: Vec<_> = content(&directory).into_keys().collect();
    assert_eq!(left, [directory.join("NOTES.txt"), directory.join("mine/x")]);
}

#[test]
fn directories_that_were_there_stay_and_a_record_that_was_added_goes() {
    let world = World::new(Under::Alias);
    let (whole, partly) = (world.target.path().join("whole"), world.target.path().join("partly"));
    let brought = world.outcome(&world.begin(json!({"as": null, "repository": whole})));
    assert_eq!(brought["phase"], "done", "{brought}");
    assert_eq!(world.target.delete("/services/service2?clear=mem").0, 200);
    std::fs::remove_file(whole.join("config.json")).unwrap();
    for name in ["runs/1", "mine"] {
        std::fs::create_dir_all(partly.join(name)).unwrap();
    }
    for directory in [&whole, &partly] {
        let before = content(directory);
        let id = world.begin(json!({"repository": directory, "shadow_for_s": 0}));
        world.until_it_waits(&id);
        assert!(directory.join("config.json").exists());
        assert_eq!(world.act(&id, "abort").0, 200);
        assert_eq!(world.outcome(&id)["phase"], "aborted");
        assert_eq!(content(directory), before);
    }
    assert!(partly.join("runs/1").is_dir() && partly.join("mine").is_dir());
}
