//! Names that change while a move goes on, aliases that a person points elsewhere, services that a person wants to change: what a move
//! works on is told by identity, and what a person did stands.

use std::path::Path;

use serde_json::{Value, json};

use super::world::{Under, World};
use crate::server::eventually;

/// A move that waits for its promotion.
fn waiting(under: Under) -> (World, String) {
    let world = World::new(under);
    let id = world.begin(json!({"shadow_for_s": 0}));
    world.until_it_waits(&id);
    (world, id)
}

/// A move that has switched and watches.
fn watching(under: Under) -> (World, String) {
    let world = World::new(under);
    let id = world.begin(json!({"auto": true, "shadow_for_s": 0, "watch_for_s": 600}));
    world.until_phase(&id, "watching");
    (world, id)
}

fn rename(world: &World, from: &str, to: &str) {
    let (status, answer) = world.target.patch(&format!("/services/{from}"), &json!({"name": to}));
    assert_eq!(status, 200, "{answer}");
}

fn repository(world: &World, id: &str) -> String {
    world.info(id)["report"]["repository"].as_str().unwrap().to_owned()
}

#[test]
fn a_new_service_under_another_name_is_still_the_moves() {
    let (world, id) = waiting(Under::Service);
    let directory = repository(&world, &id);
    rename(&world, "service2", "renamed");
    world.put("service2", 1);
    assert_eq!(world.act(&id, "abort").0, 200);
    assert_eq!(world.outcome(&id)["phase"], "aborted");
    assert_eq!(world.services(), ["service1", "service2"], "the one of a person stays");
    assert!(!Path::new(&directory).exists());
    let world = world.restart(&[]);
    for service in ["service1", "service2"] {
        assert_eq!(world.predict(service), 200);
    }

    let id = world.begin(json!({"name": "moved", "auto": true, "shadow_for_s": 0, "watch_for_s": 600}));
    world.until_phase(&id, "watching");
    rename(&world, "moved", "renamed");
    assert_eq!(world.act(&id, "abort").0, 200);
    assert_eq!(world.outcome(&id)["phase"], "rolled_back");
    assert_eq!(world.target_of("service1"), world.info(&id)["report"]["former"]["service"]);
    assert!(world.services().contains(&"renamed".to_owned()), "it stays for those who look at it");
}

#[test]
fn a_move_that_is_done_is_rolled_back_whatever_its_services_are_called() {
    let world = World::new(Under::Service);
    let id = world.begin(json!({"auto": true, "shadow_for_s": 0, "watch_for_s": 0}));
    let info = world.outcome(&id);
    rename(&world, "service2", "present");
    rename(&world, info["report"]["former"]["service"].as_str().unwrap(), "past");
    let (status, answer) = world.act(&id, "rollback");
    assert_eq!(status, 200, "{answer}");
    assert_eq!((world.target_of("service1"), world.info(&id)["phase"].clone()), (json!("past"), json!("rolled_back")));
}

/// Forward and back by hand, and to a third service: a rollback goes to the former one, or says where the alias leads.
#[test]
fn a_rollback_never_leads_to_a_third_service() {
    let world = World::new(Under::Alias);
    let id = world.begin(json!({"auto": true, "shadow_for_s": 0, "watch_for_s": 0}));
    assert_eq!(world.outcome(&id)["phase"], "done");
    world.put("third", 0);
    world.point("service1", "third");
    let (status, answer) = world.act(&id, "rollback");
    assert!(status == 409 && answer.contains("leads to third"), "{answer}");
    world.point("service1", "service2");
    let (status, answer) = world.act(&id, "rollback");
    assert_eq!((status, world.target_of("service1")), (200, json!("old")), "{answer}");

    let world = World::new(Under::Alias);
    let id = world.begin(json!({"auto": true, "shadow_for_s": 0, "watch_for_s": 0}));
    assert_eq!(world.outcome(&id)["phase"], "done");
    assert_eq!(world.target.delete("/aliases/service1").0, 200);
    world.point("service1", "service2");
    let (status, answer) = world.act(&id, "rollback");
    assert!(status == 409 && answer.contains("was made again since"), "{answer}");
    assert_eq!(world.target_of("service1"), json!("service2"));
}

/// A training that began in time is a wish that the service stays.
#[test]
fn a_former_service_in_training_stays_when_its_time_is_over() {
    let world = World::new(Under::Alias);
    let id = world.begin(json!({"auto": true, "shadow_for_s": 0, "watch_for_s": 0, "keep_for_s": 3}));
    assert_eq!(world.outcome(&id)["phase"], "done");
    let data = [dede_testing::fixtures::data("iris_train.csv"), dede_testing::fixtures::data("iris_test.csv")];
    let train = json!({"service": "old", "async": true, "data": data, "parameters": {
        "input": {"id": "id", "label": "target"}, "mllib": {"solver": {"iterations": 100_000_000, "base_lr": 0.01}}}});
    let (status, answer) = world.target.post("/train", &train);
    assert_eq!(status, 201, "{answer}");
    eventually("its time is over", || world.info(&id)["report"]["kept"]["outcome"].is_string());
    assert_eq!(world.info(&id)["report"]["kept"]["outcome"], "it stays: it is in training");
    let (status, answer) = world.target.get("/train?service=old&job=1");
    assert!(status == 200 && answer["head"]["status"] == "running", "{answer}");
    assert_eq!(world.target.delete("/train?service=old&job=1").0, 200);
}

/// The alias stays where the move pointed it, and a third service has a share.
fn share(world: &World, role: &str) {
    let route = json!({"service": "service2", role: {"service": "third", "percent": 30}});
    let (status, answer) = world.target.put("/aliases/service1", &route);
    assert_eq!((status, &answer["body"][role]["service"]), (200, &json!("third")), "{answer}");
}

/// What a person does with the alias stands, and is what the move says.
#[test]
fn an_alias_that_a_person_changed_ends_the_move_with_the_truth() {
    type Change = fn(&World);
    let changes: [(&str, Change, Value); 6] = [
        ("pointed elsewhere", |world| world.point("service1", "third"), json!("third")),
        ("deleted", |world| assert_eq!(world.target.delete("/aliases/service1").0, 200), Value::Null),
        (
            "rolled back",
            |world| assert_eq!(world.target.post("/aliases/service1/rollback", &json!({})).0, 200),
            json!("old"),
        ),
        (
            "made again",
            |world| {
                assert_eq!(world.target.delete("/aliases/service1").0, 200);
                world.point("service1", "third");
            },
            json!("third"),
        ),
        ("given a canary", |world| share(world, "canary"), json!("service2")),
        ("given a shadow", |world| share(world, "shadow"), json!("service2")),
    ];
    for (what, change, leads_to) in changes {
        let (world, id) = watching(Under::Alias);
        world.put("third", 0);
        change(&world);
        let info = world.outcome(&id);
        assert_eq!(info["phase"], "rolled_back", "{what}: {info}");
        assert!(info["error"].as_str().unwrap().contains("nothing more is done"), "{what}: {info}");
        assert_eq!((world.target_of("service1"), world.certificate(&id)), (leads_to, 404), "{what}");
        if let Some(role) = what.strip_prefix("given a ") {
            let alias = world.target.get("/aliases/service1").1["body"].clone();
            assert_eq!(alias[role]["service"], "third", "{alias}");
        }
        assert!(world.services().contains(&"service2".to_owned()), "{what}");
    }
    for (what, under) in [("old", Under::Alias), ("service1-untouched", Under::Service)] {
        let (world, id) = waiting(under);
        let former = world.target_of("service1").as_str().unwrap().to_owned();
        assert_eq!(world.target.delete("/aliases/service1").0, 200);
        world.point("service1", &former);
        let info = world.outcome(&id);
        assert_eq!(info["phase"], "aborted", "{what}: {info}");
        assert!(info["error"].as_str().unwrap().contains("nothing more is done"), "{what}: {info}");
        assert_eq!((world.target_of("service1"), world.predict("service1")), (json!(former), 200));
        assert!(!world.services().contains(&"service2".to_owned()), "{info}");
    }
    for what in ["third", "service2", "deleted"] {
        let (world, id) = waiting(Under::Alias);
        world.put("third", 0);
        if what == "deleted" {
            assert_eq!(world.target.delete("/aliases/service1").0, 200);
        } else {
            world.point("service1", what);
        }
        let info = world.outcome(&id);
        assert_eq!(info["phase"], "aborted", "{what}: {info}");
        let leads_to = if what == "deleted" { Value::Null } else { json!(what) };
        assert_eq!(world.target_of("service1"), leads_to, "{what}: {info}");
        let stays = world.services().contains(&"service2".to_owned());
        assert_eq!(stays, what == "service2", "only what the alias leads to stays: {info}");
        if stays {
            assert!(info["error"].as_str().unwrap().contains("service2 stays"), "{info}");
            let world = world.restart(&[]);
            assert_eq!(world.predict("service1"), 200);
        }
    }
}

/// A name that is taken away before it is touched.
#[test]
fn a_former_service_under_another_name_ends_the_move() {
    let world = World::new(Under::Service);
    let id = world.begin(json!({"replace_first": true}));
    world.until_it_waits(&id);
    rename(&world, "service1", "elsewhere");
    let info = world.outcome(&id);
    assert_eq!(info["phase"], "aborted", "{info}");
    assert!(info["error"].as_str().unwrap().contains("there is no service1 any more"), "{info}");
    assert_eq!(world.services(), ["elsewhere"]);
}

/// Neither deleted nor trained while a move relies on them; both afterwards.
#[test]
fn what_a_move_needs_stays_as_it_is() {
    let refuses = |world: &World, id: &str, services: &[&str]| {
        let train = |service: &str| {
            let data = [dede_testing::fixtures::data("iris_train.csv"), dede_testing::fixtures::data("iris_test.csv")];
            json!({"service": service, "async": false, "data": data,
                "parameters": {"input": {"id": "id", "label": "target"}, "mllib": {"solver": {"iterations": 5}}}})
        };
        for service in services {
            for clear in ["", "?clear=full", "?clear=dir", "?clear=lib"] {
                let (status, answer) = world.target.delete(&format!("/services/{service}{clear}"));
                assert!(status == 409, "{service}{clear}: {answer}");
                let says = answer.to_string();
                assert!(
                    says.contains(&format!("move {id}")) || says.contains("of alias"),
                    "{service}{clear}: {answer}"
                );
            }
            let (status, answer) = world.target.post("/train", &train(service));
            assert!(status == 409 && answer.to_string().contains(&format!("move {id}")), "{service}: {answer}");
        }
    };
    let (world, id) = waiting(Under::Alias);
    refuses(&world, &id, &["service2", "old"]);
    let world = world.restart(&[]);
    eventually("it is interrupted", || world.info(&id)["waits_for"] == "resume");
    refuses(&world, &id, &["service2", "old"]);
    assert_eq!(world.act(&id, "abort").0, 200);
    world.outcome(&id);

    let id = world.begin(json!({"auto": true, "shadow_for_s": 0, "watch_for_s": 600}));
    world.until_phase(&id, "watching");
    refuses(&world, &id, &["service2", "old"]);
    assert_eq!(world.act(&id, "abort").0, 200);
    assert_eq!(world.outcome(&id)["phase"], "rolled_back");
    eventually("it may be deleted", || world.target.delete("/services/service2").0 == 200);
}

/// The service may come back under its name, from the same files: it is the same to the alias.
#[test]
fn a_former_service_that_was_created_again_is_gone_back_to() {
    let world = World::new(Under::Alias);
    let id = world.begin(json!({"auto": true, "shadow_for_s": 0, "watch_for_s": 0, "keep_for_s": 0}));
    assert_eq!(world.outcome(&id)["phase"], "done");
    eventually("its time is over", || !world.services().contains(&"old".to_owned()));
    assert_eq!(world.target.post("/aliases/service1/rollback", &json!({})).0, 409, "it is gone");
    // Another version under that name is not what the alias pointed to.
    world.put("old", 1);
    assert_eq!(world.target.post("/aliases/service1/rollback", &json!({})).0, 409, "another version");
    assert_eq!(world.target.delete("/services/old?clear=full").0, 200);
    world.put("old", 0);
    let world = world.restart(&[]);
    let (status, answer) = world.act(&id, "rollback");
    assert_eq!((status, world.target_of("service1")), (200, json!("old")), "{answer}");
    assert_eq!(world.predict("service1"), 200);
}

#[test]
fn an_alias_of_another_server_is_an_obstacle() {
    let world = World::new(Under::Nothing);
    let (status, answer) = world.target.put("/aliases/service1", &json!({"peer": "dev", "service": "service2"}));
    assert_eq!(status, 200, "{answer}");
    let plan = world.plan(json!({}));
    assert!(plan["obstacles"].to_string().contains("forwards to dev/service2"), "{plan}");
    let info = world.outcome(&world.begin(json!({"auto": true})));
    assert_eq!(info["phase"], "aborted", "{info}");
    assert_eq!(world.predict("service1"), 200);
}
