//! New services that refuse what the former one answers: found out on live requests, before the switch and after it.

use serde_json::json;

use super::world::{New, Traffic, Under, World};
use crate::models::predict_body;

/// Without requests before, what comes after the switch is all there is to find it out.
#[test]
fn one_that_refuses_everything_is_rolled_back() {
    for under in [Under::Service, Under::Alias] {
        let world = World::with(under, New::Refusing);
        let id = world.begin(json!({"auto": true, "shadow_for_s": 0, "watch_for_s": 60}));
        world.until_phase(&id, "watching");
        let traffic = Traffic::start(&world, &world.models.inputs[0]);
        let info = world.outcome(&id);
        assert_eq!(info["phase"], "rolled_back", "{info}");
        assert!(info["error"].as_str().unwrap().contains("turned out worse"), "{info}");
        assert!(info["report"]["watch"]["errors"]["new_only"].as_u64() > Some(0), "{info}");
        assert!(info["report"]["served"]["refused"].as_u64() > Some(0), "{info}");
        assert_eq!(world.certificate(&id), 404);
        let before = traffic.answers().get(&200).copied().unwrap_or(0);
        traffic.wait_for(200, before + 50);
        let refused = traffic.answers().get(&400).copied().unwrap_or(0);
        traffic.wait_for(200, before + 200);
        assert_eq!(traffic.stop().get(&400).copied().unwrap_or(0), refused, "none is refused any more");
    }
}

#[test]
fn what_both_refuse_is_neithers_fault() {
    let world = World::new(Under::Alias);
    let wrong = "5.1,3.5,1.4";
    let traffic = Traffic::start(&world, wrong);
    traffic.wait_for(400, 10);
    let id = world.begin(json!({"auto": true, "shadow_for_s": 1, "watch_for_s": 1}));
    let info = world.outcome(&id);
    assert_eq!(info["phase"], "done", "{info}");
    for part in ["shadow", "watch"] {
        let errors = &info["report"][part]["errors"];
        assert!(errors["both"].as_u64() > Some(0) && errors["new_only"] == 0, "{part}: {info}");
    }
    assert_eq!(traffic.stop().keys().copied().collect::<Vec<_>>(), [400]);
}

/// Recent requests warm the new service; those that it refuses are reason enough.
#[test]
fn one_that_refuses_what_was_answered_before_never_serves() {
    for replace_first in [false, true] {
        let world = World::with(Under::Alias, New::Refusing);
        assert_eq!(world.predict("service1"), 200);
        let id = world.begin(json!({"auto": true, "replace_first": replace_first}));
        let info = world.outcome(&id);
        assert_eq!(info["phase"], "aborted", "{info}");
        assert!(info["error"].as_str().unwrap().contains("it refuses 1 of the recent requests"), "{info}");
        assert_eq!((world.target_of("service1"), world.predict("service1")), (json!("old"), 200));
    }
}

/// The former one is not in memory and cannot be asked: the share of refused requests speaks.
#[test]
fn one_that_refuses_everything_in_place_of_the_former_is_rolled_back() {
    let world = World::with(Under::Alias, New::Refusing);
    let id = world.begin(json!({"auto": true, "replace_first": true, "watch_for_s": 60}));
    world.until_phase(&id, "watching");
    let traffic = Traffic::start(&world, &world.models.inputs[0]);
    let info = world.outcome(&id);
    assert_eq!(info["phase"], "rolled_back", "{info}");
    assert!(info["error"].as_str().unwrap().contains("it refused"), "{info}");
    traffic.stop();
    assert_eq!((world.target_of("service1"), world.predict("service1")), (json!("old"), 200));
}

/// Nothing came while it was compared; requests come while it waits for a person.
#[test]
fn one_that_turns_out_worse_while_it_waits_ends_by_itself_and_is_not_promoted() {
    let world = World::with(Under::Service, New::Refusing);
    let id = world.begin(json!({"shadow_for_s": 0}));
    world.until_it_waits(&id);
    let traffic = Traffic::start(&world, &world.models.inputs[0]);
    let info = world.outcome(&id);
    assert_eq!(info["phase"], "aborted", "{info}");
    assert!(info["error"].as_str().unwrap().contains("turned out worse"), "{info}");
    let (status, answer) = world.act(&id, "promote");
    assert!(status == 409 && answer.contains("turned out worse"), "{answer}");
    assert_eq!(traffic.stop().keys().copied().collect::<Vec<_>>(), [200], "no client noticed");
    assert_eq!(world.services(), ["service1"]);
}

#[test]
fn one_that_nothing_was_compared_with_says_so() {
    for under in [Under::Alias, Under::Nothing] {
        let world = World::new(under);
        let id = world.begin(json!({"auto": true, "shadow_for_s": 0, "watch_for_s": 0}));
        let info = world.outcome(&id);
        let said = info["report"]["unproved"].as_str().unwrap_or_default();
        assert!(info["phase"] == "done" && said.contains("compared"), "{info}");
        let certificate = world.target.send("GET", &format!("/moves/{id}/certificate"), "");
        let signed = certificate.json().unwrap();
        assert_eq!(signed["certificate"]["report"]["unproved"], said);
    }
    let world = World::new(Under::Alias);
    let traffic = Traffic::start(&world, &world.models.inputs[0]);
    let info = world.outcome(&world.begin(json!({"auto": true, "shadow_for_s": 1, "watch_for_s": 0})));
    assert!(info["phase"] == "done" && info["report"]["unproved"].is_null(), "{info}");
    traffic.stop();
}

/// A canary answers clients itself; requests that it refuses are put to the former service.
#[test]
fn a_canary_that_refuses_is_taken_away() {
    let world = World::with(Under::Alias, New::Refusing);
    let id = world.begin(json!({"auto": true, "shadow_for_s": 0, "canary": [50]}));
    crate::server::eventually("the canary answers", || {
        world.target.get("/aliases/service1").1["body"]["canary"]["percent"] == 50
    });
    let statuses: Vec<u16> =
        (0..4).map(|_| world.target.post("/predict", &predict_body("service1", &world.models.inputs[0])).0).collect();
    assert!(statuses.contains(&400), "{statuses:?}");
    let info = world.outcome(&id);
    assert_eq!(info["phase"], "aborted", "{info}");
    assert!(info["report"]["shadow"]["errors"]["new_only"].as_u64() > Some(0), "{info}");
}

/// A person who promotes early skips the wait, not the comparison during the shares.
#[test]
fn shares_are_compared_whenever_a_person_promotes() {
    let world = World::new(Under::Alias);
    let traffic = Traffic::start(&world, &world.models.inputs[0]);
    traffic.wait_for(200, 1);
    let id = world.begin(json!({"shadow_for_s": 60, "canary": [1, 50], "policy": {"expect": "same"}}));
    assert_eq!(world.act(&id, "promote").0, 200);
    let info = world.outcome(&id);
    let (error, compared) = (info["error"].as_str().unwrap_or_default(), &info["report"]["shadow"]["requests"]);
    assert!(info["phase"] == "aborted" && error.contains("the new service is worse"), "{info}");
    assert!(compared.as_u64() > Some(0), "{info}");
    assert_eq!(traffic.stop().keys().copied().collect::<Vec<_>>(), [200]);
}

/// Some requests are all that came while it was watched.
#[test]
fn one_that_refuses_the_few_requests_that_come_in_place_of_the_former_is_rolled_back() {
    let world = World::with(Under::Alias, New::Refusing);
    let id = world.begin(json!({"auto": true, "replace_first": true, "watch_for_s": 3}));
    world.until_phase(&id, "watching");
    assert_eq!([(); 3].map(|()| world.predict("service1")), [400; 3]);
    let info = world.outcome(&id);
    assert_eq!(info["phase"], "rolled_back", "{info}");
    assert!(info["error"].as_str().unwrap().contains("it refused all 3 requests"), "{info}");
}

/// A file that is gone when the copy is read, or that came after the client was refused, says nothing of a service.
#[test]
fn inputs_that_come_and_go_are_nobodys_fault() {
    let world = World::new(Under::Alias);
    let row = format!("sl,sw,pl,pw\n{}\n", world.models.inputs[0]);
    let ask =
        |path: &std::path::Path| world.target.post("/predict", &predict_body("service1", path.to_str().unwrap())).0;
    let changed = || {
        let metrics = String::from_utf8(world.target.send("GET", "/metrics", "").body).unwrap();
        let line = metrics.lines().find(|line| line.starts_with("dede_shadow_changed_total"));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
    };
    let id = world.begin(json!({"shadow_for_s": 0, "watch_for_s": 600}));
    world.until_it_waits(&id);
    let path = world.target.path().join("input.csv");
    crate::server::eventually("a file is gone when it is copied", || {
        std::fs::write(&path, &row).unwrap();
        assert_eq!(ask(&path), 200, "{}", world.info(&id));
        std::fs::remove_file(&path).unwrap();
        changed() > 0
    });
    assert_eq!(world.act(&id, "promote").0, 200);
    world.until_phase(&id, "watching");
    let before = changed();
    crate::server::eventually("a file is there when the former service is asked", || {
        let _ = std::fs::remove_file(&path);
        assert_eq!(ask(&path), 400);
        std::fs::write(&path, &row).unwrap();
        changed() > before
    });
    let info = world.info(&id);
    assert_eq!(info["phase"], "watching", "{info}");
    assert_eq!(info["report"]["shadow"]["errors"]["new_only"], 0, "{info}");
    assert!(info["report"]["shadow"]["changed"].as_u64() > Some(0), "{info}");
}
