//! Ends of moves that switch together: all done or none, whatever one of them comes to, and over a restart.

use serde_json::{Value, json};

use super::world::World;
use crate::server::eventually;

/// Both phases and errors.
fn ends(outcomes: &[Value; 2]) -> [(&str, &str); 2] {
    [0, 1].map(|index| {
        let outcome = &outcomes[index];
        (outcome["phase"].as_str().unwrap(), outcome["error"].as_str().unwrap_or_default())
    })
}

const NEW: [&str; 2] = ["live-detector", "live-reader"];

/// Golden cases that no network answers so.
fn wrong_cases(world: &World) -> Value {
    let request = json!({"parameters": {"output": {"best": 3}}, "data": [world.models.inputs[0]]});
    json!([{"request": request, "predictions": [{"uri": "1", "classes": [
        {"cat": "Iris-setosa", "prob": 0.2}, {"cat": "Iris-versicolor", "prob": 0.5}, {"cat": "Iris-virginica", "prob": 0.3}
    ]}]}])
}

#[test]
fn one_that_is_not_verified_undoes_both() {
    let world = World::new();
    let before = world.state();
    let cases = wrong_cases(&world);
    let ids = world.begin(json!({"auto": true, "also": [{"service": "live-reader", "as": "reader", "golden": cases}]}));
    let outcomes = world.outcomes(&ids);
    let [(first, why), (second, failed)] = ends(&outcomes);
    assert_eq!([first, second], ["aborted"; 2], "{outcomes:?}");
    assert!(failed.contains("golden answers are not reproduced"), "{failed}");
    assert!(why.contains(&format!("{} (reader) is undone: {failed}", ids[1])), "{why}");
    assert_eq!(world.state(), before, "no alias was touched");
}

#[test]
fn both_wait_for_one_promotion_and_go_back_by_one_command() {
    let world = World::new();
    let ids = world.begin(json!({}));
    world.until_both_wait(&ids);
    assert_eq!(world.answer_now(), world.former());
    assert_eq!(world.act(&ids[1], "promote").0, 200);
    assert_eq!(ends(&world.outcomes(&ids)), [("done", ""); 2]);
    assert_eq!(world.answer_now(), NEW);
    let (back, said) = world.dede("rollback reader --on prod");
    assert!(back && said.contains("detector is detector-") && said.contains("reader is old-reader again"), "{said}");
    assert_eq!(world.answer_now(), world.former());
    assert_eq!(ends(&world.outcomes(&ids)), [("rolled_back", "rolled back on request"); 2]);
    let (forward, said) = world.dede("rollback reader --on prod");
    assert!(!forward && said.contains("one of them alone would mix new and former services"), "{said}");
    assert_eq!(world.act(&ids[0], "rollback").0, 409, "it was rolled back");
}

#[test]
fn an_abort_after_the_switch_brings_both_back() {
    let world = World::new();
    let ids = world.begin(json!({"auto": true, "watch_for_s": 600}));
    eventually("both are watched", || ids.iter().all(|id| world.info(id)["phase"] == "watching"));
    assert_eq!(world.answer_now(), NEW);
    let (aborted, said) = world.dede(&format!("abort {} --on prod", ids[1]));
    assert!(aborted, "{said}");
    assert_eq!(ends(&world.outcomes(&ids)), [("rolled_back", "aborted on request"); 2]);
    assert_eq!(world.answer_now(), world.former());
}

#[test]
fn a_person_who_changes_one_alias_ends_both() {
    let world = World::new();
    let ids = world.begin(json!({"auto": true, "watch_for_s": 600}));
    eventually("both are watched", || ids.iter().all(|id| world.info(id)["phase"] == "watching"));
    let (status, answer) = world.target.put("/aliases/reader", &json!({"service": "old-reader"}));
    assert_eq!(status, 200, "{answer}");
    let outcomes = world.outcomes(&ids);
    let [(first, why), (second, changed)] = ends(&outcomes);
    assert_eq!([first, second], ["rolled_back"; 2], "{outcomes:?}");
    assert!(changed.contains("reader was changed meanwhile by another"), "{changed}");
    assert!(why.contains(&format!("{} (reader) is undone", ids[1])), "{why}");
    assert_eq!(world.answer_now(), world.former());
}

/// Aliases that were not there are made by the switch, and are gone after the way back.
#[test]
fn aliases_that_are_made_together_go_together() {
    let world = World::new();
    let before = world.state();
    let names =
        json!({"as": "finder", "auto": true, "watch_for_s": 600, "also": [{"service": "live-reader", "as": "teller"}]});
    let (status, answer) = world.target.post("/moves", &World::request(names));
    assert_eq!(status, 202, "{answer}");
    let ids = ["m1", "m2"].map(str::to_owned);
    let aliases =
        |wanted: u16| ["finder", "teller"].iter().all(|name| world.target.get(&format!("/aliases/{name}")).0 == wanted);
    // Without a former service there is nothing to watch: they are done at once.
    assert_eq!(ends(&world.outcomes(&ids)), [("done", ""); 2]);
    assert!(aliases(200));
    let (status, answer) = world.act("m2", "rollback");
    assert_eq!(status, 200, "{answer}");
    assert!(aliases(404));
    assert_eq!(world.state()["aliases"], before["aliases"]);
}

#[test]
fn after_a_restart_both_are_resumed_or_aborted_by_one_command() {
    for action in ["resume", "abort"] {
        let world = World::new();
        let before = world.state();
        let ids = world.begin(json!({}));
        world.until_both_wait(&ids);
        let world = world.restart();
        for id in &ids {
            assert_eq!(world.info(id)["waits_for"], "resume", "{}", world.info(id));
        }
        let (status, answer) = world.act(&ids[1], "promote");
        assert_eq!(status, 409, "{answer}");
        assert_eq!(world.act(&ids[1], action).0, 200);
        if action == "resume" {
            world.until_both_wait(&ids);
            assert_eq!(world.act(&ids[0], "promote").0, 200);
            assert_eq!(ends(&world.outcomes(&ids)), [("done", ""); 2]);
            assert_eq!(world.answer_now(), NEW);
        } else {
            assert_eq!(ends(&world.outcomes(&ids)), [("aborted", "aborted on request"); 2]);
            assert_eq!(world.state(), before);
        }
    }
}
