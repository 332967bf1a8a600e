//! Numbers and names that a move cannot work with: refused, or made to fit.

use dede_testing::fixtures;
use serde_json::json;

use super::world::{Under, World};

#[test]
fn numbers_are_applied_or_refused() {
    let world = World::new(Under::Alias);
    for canary in [json!([0]), json!([101]), json!([150]), json!([255]), json!([10, 0]), json!([100, 10])] {
        let (status, answer) = world.refused(json!({"canary": canary}));
        assert!(status == 400 && answer.contains("canary"), "{canary}: {answer}");
    }
    let most = u64::MAX;
    for time in ["shadow_for_s", "watch_for_s", "drain_for_s", "keep_for_s", "hold_for_s"] {
        let (status, answer) = world.refused(json!({time: most}));
        assert!(status == 400 && answer.contains(time), "{time}: {answer}");
    }
    let year = 366 * 24 * 3600;
    let id = world.begin(json!({"shadow_for_s": year, "watch_for_s": year, "drain_for_s": year, "keep_for_s": year}));
    world.until_phase(&id, "shadowing");
    assert_eq!(world.act(&id, "abort").0, 200);
    assert_eq!(world.outcome(&id)["phase"], "aborted");
}

/// The longest name there can be, where a part of the version is added to it.
#[test]
fn long_names_have_room_for_a_version() {
    let world = World::new(Under::Nothing);
    let long = "n".repeat(200);
    world.put("short", 0);
    assert_eq!(world.target.patch("/services/short", &json!({"name": long})).0, 200);
    // Taken on the target by the service that is replaced.
    let id = world.begin(json!({"as": long, "name": long, "auto": true, "shadow_for_s": 0, "watch_for_s": 0}));
    let info = world.outcome(&id);
    assert_eq!(info["phase"], "done", "{info}");
    for name in [&info["report"]["service"], &info["report"]["former"]["service"]] {
        let name = name.as_str().unwrap();
        assert!(name.len() == 200 && name.starts_with("nnn"), "{name}");
        assert_eq!(world.predict(name), 200);
    }
}

/// The source learns anew while its files are copied, or its answers asked for.
#[test]
fn a_source_that_changed_is_named_as_such() {
    let world = World::new(Under::Alias);
    // Answers of another version: what a source says that was trained since the files came.
    let golden = json!([{"request": {"data": [world.models.inputs[0]]}, "predictions": []}]);
    let id = world.begin(json!({"replace_first": true, "golden": golden}));
    world.until_it_waits(&id);
    let train = json!({
        "service": "service2", "async": false,
        "parameters": {
            "input": {"id": "id", "label": "target", "scale": true},
            "mllib": {"solver": {"iterations": 5, "base_lr": 0.05}, "net": {"batch_size": 30}, "seed": 2},
        },
        "data": [fixtures::data("iris_train.csv"), fixtures::data("iris_test.csv")],
    });
    let repository = world.source.path().join("new");
    let create = json!({
        "mllib": "caffe",
        "parameters": {"input": {"connector": "csv"}, "mllib": {"template": "lregression", "nclasses": 3}},
        "model": {"repository": repository, "create_repository": true},
    });
    assert_eq!(world.source.delete("/services/service2").0, 200);
    assert_eq!(world.source.put("/services/service2", &create).0, 201);
    let (status, answer) = world.source.post("/train", &train);
    assert_eq!(status, 201, "{answer}");
    assert_eq!(world.act(&id, "promote").0, 200);
    let info = world.outcome(&id);
    assert_eq!(info["phase"], "aborted", "{info}");
    assert!(info["error"].as_str().unwrap().contains("service2 changed on the source"), "{info}");
    assert_eq!(world.predict("service1"), 200);
}

/// As a person records it: a plain predict, of which the answer lists the best class only.
#[test]
fn golden_cases_are_compared_under_their_own_options() {
    let world = World::new(Under::Alias);
    let case = |parameters: serde_json::Value| {
        let body = json!({"service": "service2", "parameters": parameters, "data": [world.models.inputs[1]]});
        let (status, answer) = world.source.post("/predict", &body);
        assert_eq!(status, 200, "{answer}");
        json!({"request": body, "predictions": answer["body"]["predictions"]})
    };
    let cases = [
        json!({}),
        json!({"output": {"best": 2}}),
        json!({"output": {"best": -1}}),
        json!({"output": {"confidence_threshold": 0.3}}),
    ];
    let golden: Vec<_> = cases.into_iter().map(case).collect();
    let (status, answer) = world.refused(json!({"golden": vec![&golden[0]; 1001]}));
    assert!(status == 400 && answer.contains("at most 1000 cases expected, found 1001"), "{answer}");
    let info = world.outcome(&world.begin(json!({"as": null, "golden": golden})));
    assert_eq!(info["phase"], "done", "{info}");
    let result = &info["report"]["golden"]["result"];
    assert_eq!((&result["answers"], &result["bit_equal"]), (&json!(4), &json!(4)), "{info}");

    let mut wrong = golden[0].clone();
    wrong["predictions"][0]["classes"][0]["prob"] = json!(0.123);
    let info = world.outcome(&world.begin(json!({"as": null, "name": "other", "golden": [wrong]})));
    let error = info["error"].as_str().unwrap();
    assert!(
        error.contains("case 1: the same best class, ") || error.contains("case 1: another best class, "),
        "{error}"
    );
}

/// After a restart, and for a move that wants to take it along.
#[test]
fn a_service_without_its_directory_says_so() {
    let world = World::new(Under::Alias);
    let gone = world.target.path().join("old");
    let world = world.restart_after(|state| std::fs::remove_dir_all(state.parent().unwrap().join("old")).unwrap());
    let (status, answer) = world.target.post("/predict", &json!({"service": "old", "data": ["1,2,3,4"]}));
    let text = format!("the directory {} is not there", gone.display());
    assert!(status != 200 && answer.to_string().contains(&text), "{answer}");
}
