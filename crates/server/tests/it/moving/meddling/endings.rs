//! What people read at the end of a move, for each way in which one can end: the list, the table, the answer of the API and the
//! certificate, compared with texts beside this file. `DEDE_UPDATE_GOLDEN=1` writes those anew.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::varying::Varying;
use super::world::{New, Traffic, Under, World, is_over};
use crate::server::{binary, eventually, write_peers};

/// Compares all that is said about a move that is over with the text of that name.
fn check(world: &World, id: &str, ending: &str) {
    assert!(is_over(&world.info(id)), "{}", world.info(id));
    let varying = Varying::of(world, world.info(id)["report"]["version"].as_str().unwrap_or_default());
    let home = tempfile::tempdir().unwrap();
    write_peers(home.path(), &[("dev", &world.source.url()), ("prod", &world.target.url())]);
    let mut found = String::new();
    for arguments in [&["moves", "--on", "prod"][..], &["moves", id, "--on", "prod"]] {
        let mut command = Command::new(binary());
        command.args(arguments).env("XDG_CONFIG_HOME", home.path().join("config")).stdin(Stdio::null());
        let output = command.output().unwrap();
        let said = varying.text(&String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()));
        let status = output.status.code().unwrap();
        writeln!(found, "$ dede {}\n{said}[status {status}]\n", arguments.join(" ")).unwrap();
    }
    writeln!(found, "GET /moves/{id}\n{}", varying.json(&world.info(id))).unwrap();
    let certificate = world.target.send("GET", &format!("/moves/{id}/certificate"), "");
    writeln!(found, "\nGET /moves/{id}/certificate: {}", certificate.status).unwrap();
    if certificate.status == 200 {
        let signed = certificate.json().unwrap();
        writeln!(found, "{}", varying.json(&without_copies(signed, &world.info(id)))).unwrap();
    }
    compare(ending, &found);
}

/// What a certificate repeats of the move, member by member, is left out of it.
fn without_copies(mut signed: Value, info: &Value) -> Value {
    let certificate = &mut signed["certificate"];
    let copies = [("/request", &info["request"]), ("/plan/request", &info["request"]), ("/report", &info["report"])];
    for (place, shown) in copies {
        let found = certificate.pointer_mut(place).unwrap();
        for (name, value) in found.as_object_mut().unwrap() {
            if *value == shown[name] {
                *value = "<as in the move>".into();
            }
        }
    }
    signed
}

fn compare(ending: &str, found: &str) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/moving/meddling/golden").join(format!("{ending}.txt"));
    if std::env::var_os("DEDE_UPDATE_GOLDEN").is_some() {
        return std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    if expected == found {
        return;
    }
    let (before, now): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    let same = before.iter().zip(&now).take_while(|(before, now)| before == now).count();
    let line = |lines: &[&str]| lines.get(same).map_or("the end", |line| line).to_owned();
    panic!(
        "{}, line {}\n  expected: {}\n  found:    {}\nDEDE_UPDATE_GOLDEN=1 writes it anew. All of it:\n{found}",
        path.display(),
        same + 1,
        line(&before),
        line(&now),
    );
}

/// A request with few comparisons and short times, so that an ending is reached soon.
fn quick(members: Value) -> Value {
    let mut request = json!({"who": "release-manager", "auto": true, "shadow_for_s": 0, "watch_for_s": 0});
    request.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    request
}

fn ends(world: &World, members: Value, phase: &str) -> String {
    let id = world.begin(quick(members));
    let info = world.outcome(&id);
    assert_eq!(info["phase"], phase, "{info}");
    id
}

/// Begins a move that waits for its promotion.
fn waits(world: &World, members: Value) -> String {
    let id = world.begin(quick(members));
    world.until_it_waits(&id);
    id
}

/// Begins a move that has switched and watches.
fn watches(world: &World) -> String {
    let id = world.begin(quick(json!({"watch_for_s": 600})));
    eventually("it watches", || {
        let info = world.info(&id);
        assert!(!is_over(&info), "{info}");
        info["phase"] == "watching" && info["activity"].as_str().unwrap().starts_with("compares")
    });
    id
}

fn act(world: &World, id: &str, action: &str, phase: &str) {
    let (status, answer) = world.act(id, action);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(world.outcome(id)["phase"], phase);
}

#[test]
fn done_with_requests_compared() {
    for (under, ending) in [(Under::Alias, "done_alias"), (Under::Service, "done_service")] {
        let world = World::new(under);
        let traffic = Traffic::start(&world, &world.models.inputs[0]);
        let members = json!({"shadow_for_s": 60, "watch_for_s": 3, "policy": {"requests": 100}});
        let id = ends(&world, members, "done");
        traffic.stop();
        check(&world, &id, ending);
    }
}

#[test]
fn done_with_nothing_to_compare() {
    let endings = [
        (Under::Alias, json!({}), "done_unproved"),
        (Under::Alias, json!({"keep_for_s": 3600 * 24 * 30}), "done_kept"),
        (Under::Nothing, json!({}), "done_free_name"),
        (Under::Nothing, json!({"as": null}), "done_brought"),
        (Under::Alias, json!({"replace_first": true}), "done_replace_first"),
    ];
    for (under, members, ending) in endings {
        let world = World::new(under);
        let id = ends(&world, members, "done");
        check(&world, &id, ending);
    }
}

#[test]
fn aborted() {
    let world = World::new(Under::Alias);
    let id = waits(&world, json!({"auto": false}));
    act(&world, &id, "abort", "aborted");
    check(&world, &id, "aborted_on_request");

    let world = World::new(Under::Nothing);
    let id = ends(&world, json!({"repository": "relative"}), "aborted");
    check(&world, &id, "aborted_obstacle");

    let world = World::new(Under::Alias);
    let answer = world.source.post("/predict", &json!({"service": "service2", "data": [world.models.inputs[0]]})).1;
    let mut predictions = answer["body"]["predictions"].clone();
    predictions[0]["classes"][0]["prob"] = json!(0.5);
    let golden = json!([{"request": {"data": [world.models.inputs[0]]}, "predictions": predictions}]);
    let id = ends(&world, json!({"golden": golden}), "aborted");
    check(&world, &id, "aborted_golden");

    let world = World::new(Under::Alias);
    let id = waits(&world, json!({"auto": false}));
    world.put("third", 0);
    world.point("service1", "third");
    assert_eq!(world.outcome(&id)["phase"], "aborted");
    check(&world, &id, "aborted_alias_changed");
}

#[test]
fn aborted_as_worse() {
    let world = World::with(Under::Alias, New::Refusing);
    let id = waits(&world, json!({"auto": false}));
    let traffic = Traffic::start(&world, &world.models.inputs[0]);
    assert_eq!(world.outcome(&id)["phase"], "aborted");
    traffic.stop();
    check(&world, &id, "aborted_worse");
}

#[test]
fn rolled_back_as_worse() {
    let world = World::with(Under::Alias, New::Refusing);
    let id = watches(&world);
    let traffic = Traffic::start(&world, &world.models.inputs[0]);
    assert_eq!(world.outcome(&id)["phase"], "rolled_back");
    traffic.stop();
    check(&world, &id, "rolled_back_worse");
}

#[test]
fn rolled_back_by_a_person() {
    let world = World::new(Under::Alias);
    let id = watches(&world);
    act(&world, &id, "abort", "rolled_back");
    check(&world, &id, "rolled_back_while_watching");

    let world = World::new(Under::Alias);
    let id = ends(&world, json!({}), "done");
    act(&world, &id, "rollback", "rolled_back");
    check(&world, &id, "rolled_back_when_done");

    let world = World::new(Under::Alias);
    let id = watches(&world);
    world.put("third", 0);
    world.point("service1", "third");
    assert_eq!(world.outcome(&id)["phase"], "rolled_back");
    check(&world, &id, "rolled_back_alias_changed");
}

#[test]
fn damaged() {
    let world = World::new(Under::Alias);
    let id = ends(&world, json!({}), "done");
    let world = world.restart_after(|state| std::fs::write(state.join("moves/m1/move.json"), "{").unwrap());
    eventually("the record is read", || is_over(&world.info(&id)));
    check(&world, &id, "damaged");
}
