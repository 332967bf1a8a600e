//! Changes by people at the very moments that only a held move shows: between two of its steps.

use serde_json::{Value, json};

use super::models::{Models, Size};
use super::world::{Kind, World, call};
use crate::server::eventually;
use crate::tree::tree;

/// A move of a new world that is held at a place; `further`: options of the command.
fn held(kind: Kind, place: &str, further: &[&str]) -> World {
    let world = World::new(kind, Size::Small);
    world.target.hold.want(place);
    let mut command = world.start_move(further, None);
    eventually("the place is reached", || world.target.hold.is_reached() || command.has_ended());
    assert!(world.target.hold.is_reached(), "{place}: {:?}", world.info());
    // The move goes on without it.
    drop(command);
    world
}

fn ended(world: &World) -> Value {
    world.target.hold.release();
    world.wait_until_over();
    world.info().unwrap()
}

/// The files are ready beside it when a person makes the directory, and loads a service there.
#[test]
fn a_directory_that_a_person_makes_while_files_are_placed_is_theirs() {
    for make in ["empty", "with a service"] {
        let world = World::new(Kind::Alias, Size::Small);
        let directory = world.path().join("repositories/moved");
        world.target.hold.want("placed");
        let command = world.start_move(&["--auto", "--repository", directory.to_str().unwrap()], None);
        eventually("the place is reached", || world.target.hold.is_reached());
        drop(command);
        std::fs::create_dir(&directory).unwrap();
        if make == "with a service" {
            Models::trained().first.write(&directory);
        }
        let before = tree(&directory);
        let info = ended(&world);
        assert_eq!(info["phase"], "aborted", "{make}: {info}");
        assert!(info["error"].as_str().unwrap().contains("was made by another meanwhile"), "{info}");
        assert_eq!(tree(&directory), before, "{make}");
        assert!(
            directory.is_dir()
                && !std::fs::read_dir(directory.parent().unwrap())
                    .unwrap()
                    .any(|entry| { entry.unwrap().file_name().to_string_lossy().ends_with(".partial") })
        );
    }
}

/// Everything is proved, and the alias is about to be switched.
#[test]
fn a_change_right_before_the_switch_is_not_overruled() {
    let changes = [
        ("PUT", "/aliases/service1", json!({"service": "other"}), json!("other")),
        ("DELETE", "/aliases/service1", Value::Null, Value::Null),
        (
            "PUT",
            "/aliases/service1",
            json!({"service": "first", "canary": {"service": "other", "percent": 5}}),
            json!("first"),
        ),
    ];
    for (method, path, body, leads_to) in changes {
        let world = held(Kind::Alias, "switching", &["--auto"]);
        world.put_first("other");
        world.clients.going_down();
        assert_eq!(call(&world.target, method, path, &body).0, 200);
        let info = ended(&world);
        assert_eq!(info["phase"], "aborted", "{method} {body}: {info}");
        let alias = call(&world.target, "GET", "/aliases/service1", &Value::Null).1;
        assert_eq!(alias["body"]["service"], leads_to, "{method} {body}: {info}");
    }
}

/// It is deleted, or trained, in the moment before it is switched to.
#[test]
fn the_new_service_cannot_change_right_before_the_switch() {
    let world = held(Kind::Alias, "switching", &["--auto"]);
    world.allow_either();
    for (method, path, body) in [
        ("DELETE", "/services/service2", Value::Null),
        ("DELETE", "/services/service2?clear=full", Value::Null),
        ("POST", "/train", json!({"service": "service2", "data": ["/nowhere"]})),
        ("POST", "/train", json!({"service": "first", "data": ["/nowhere"]})),
    ] {
        let (status, answer) = call(&world.target, method, path, &body);
        assert!(status == 409 && answer.to_string().contains("move m1"), "{method} {path}: {answer}");
    }
    let info = ended(&world);
    assert_eq!(info["phase"], "done", "{info}");
    world.check_end(None);
}

/// The end is recorded, and about to be seen.
#[test]
fn a_change_right_before_the_end_is_not_certified() {
    let changes = [
        ("DELETE", "/aliases/service1", Value::Null, Value::Null),
        ("PUT", "/aliases/service1", json!({"service": "other"}), json!("other")),
    ];
    for (method, path, body, leads_to) in changes {
        let world = held(Kind::Alias, "ending", &["--auto"]);
        world.put_first("other");
        world.clients.going_down();
        assert_eq!(call(&world.target, "GET", "/moves/m1", &Value::Null).1["body"]["phase"], "draining");
        assert_eq!(call(&world.target, method, path, &body).0, 200);
        let info = ended(&world);
        assert_eq!(info["phase"], "rolled_back", "{method} {body}: {info}");
        let error = info["error"].as_str().unwrap();
        assert!(error.contains("by another than this move") && error.ends_with("nothing more is done"), "{info}");
        assert_eq!(call(&world.target, "GET", "/moves/m1/certificate", &Value::Null).0, 404, "{info}");
        let alias = call(&world.target, "GET", "/aliases/service1", &Value::Null).1;
        assert_eq!(alias["body"]["service"], leads_to, "{method} {body}: {info}");
    }
}
