//! Records that are damaged or old: nothing is taken for what it is not.

use serde_json::json;

use super::world::{Under, World};

fn done(world: &World) -> String {
    let id = world.begin(json!({"as": null}));
    let info = world.outcome(&id);
    assert_eq!(info["phase"], "done", "{info}");
    assert_eq!(world.target.delete("/services/service2?clear=dir").0, 200);
    id
}

#[test]
fn the_number_of_a_damaged_record_is_not_used_again() {
    let world = World::new(Under::Nothing);
    let first = done(&world);
    assert_eq!(world.certificate(&first), 200);
    let damaged = b"{\"format\": 1, \"id\": \"m1\"";
    let world = world.restart_after(|state| std::fs::write(state.join("moves/m1/move.json"), damaged).unwrap());
    let listed = world.target.get("/moves").1["body"].clone();
    assert_eq!((&listed[0]["id"], &listed[0]["phase"]), (&json!("m1"), &json!("damaged")), "{listed}");
    assert!(listed[0]["error"].as_str().unwrap().contains("move.json is damaged"), "{listed}");
    for action in ["promote", "abort", "resume", "rollback"] {
        let (status, answer) = world.act(&first, action);
        assert!(status == 409 && answer.contains("damaged"), "{action}: {answer}");
    }
    assert_eq!(world.certificate(&first), 404, "nothing says that it is of this move");
    assert_eq!(done(&world), "m2");
    let state = world.target.path().join("state/moves/m1/move.json");
    assert_eq!(std::fs::read(state).unwrap(), damaged, "it stays for a person to look at");
}

#[test]
fn a_certificate_is_served_only_if_it_is_good_and_of_this_move() {
    let world = World::new(Under::Nothing);
    let (first, second) = (done(&world), done(&world));
    let path = |id: &str| world.target.path().join(format!("state/moves/{id}/certificate.json"));
    let (one, other) = (path(&first), path(&second));
    let good = std::fs::read_to_string(&one).unwrap();
    std::fs::write(&one, std::fs::read(&other).unwrap()).unwrap();
    assert_eq!((world.certificate(&first), world.certificate(&second)), (500, 200), "of another move");
    std::fs::write(&one, good.replace("\"who\"", "\"whom\"")).unwrap();
    assert_eq!(world.certificate(&first), 500, "changed");
    std::fs::write(&one, good).unwrap();
    assert_eq!(world.certificate(&first), 200);
}

#[test]
fn a_key_that_cannot_be_read_is_found_at_the_beginning() {
    let world = World::new(Under::Alias);
    std::fs::write(world.target.path().join("state/certificate.key"), "not a key").unwrap();
    let plan = world.plan(json!({}));
    assert!(plan["obstacles"].to_string().contains("certificate.key is damaged"), "{plan}");
    let (status, answer) = world.refused(json!({}));
    assert!(status == 409 && answer.contains("certificate.key is damaged"), "{answer}");
    assert_eq!(world.services(), ["old"]);
}

/// It is damaged while the move waits.
#[test]
fn a_move_that_could_not_be_certified_is_not_promoted() {
    let world = World::new(Under::Alias);
    let id = world.begin(json!({"shadow_for_s": 0}));
    world.until_it_waits(&id);
    let mut world = world;
    for restarted in [false, true] {
        if restarted {
            world = world.restart(&[]);
        }
        std::fs::write(world.target.path().join("state/certificate.key"), "short").unwrap();
        for action in ["promote", "resume"] {
            let (status, answer) = world.act(&id, action);
            assert!(status == 409 && answer.contains("certificate.key is damaged"), "{action}: {answer}");
        }
        assert_eq!(world.target_of("service1"), "old");
    }
    std::fs::remove_file(world.target.path().join("state/certificate.key")).unwrap();
    assert_eq!(world.act(&id, "abort").0, 200);
    assert_eq!(world.outcome(&id)["phase"], "aborted");
}

/// The manual says that a person may remove what is kept of a damaged move.
#[test]
fn a_number_is_not_used_again_for_what_the_catalogue_remembers() {
    let world = World::new(Under::Alias);
    let first = world.begin(json!({"auto": true, "shadow_for_s": 0, "watch_for_s": 0}));
    assert_eq!(world.outcome(&first)["phase"], "done");
    let unreachable = "moves/m999999999999999999";
    let world = world.restart_after(|state| {
        std::fs::remove_dir_all(state.join("moves/m1")).unwrap();
        std::fs::create_dir(state.join(unreachable)).unwrap();
    });
    let id = world.begin(json!({"name": "again", "shadow_for_s": 0}));
    let info = world.outcome(&id);
    assert_eq!((id.as_str(), &info["phase"]), ("m2", &json!("aborted")), "{info}");
    assert!(info["error"].as_str().unwrap().contains("answers with this very version already"), "{info}");
    assert_eq!((world.target_of("service1"), world.predict("service1")), (json!("service2"), 200));
    assert!(world.target.path().join("state").join(unreachable).is_dir());
}

/// They are kept once, and in no answer that has to be short.
#[test]
fn golden_cases_of_a_request_survive_a_restart_and_are_in_no_record() {
    let world = World::new(Under::Alias);
    let body = crate::models::predict_body("service2", &world.models.inputs[0]);
    let answer = world.source.post("/predict", &body).1;
    let golden = json!([{"request": {"data": body["data"], "parameters": body["parameters"]}, "predictions": answer["body"]["predictions"]}]);
    let id = world.begin(json!({"golden": golden, "shadow_for_s": 0}));
    world.until_it_waits(&id);
    let mut world = world.restart(&[]);
    let (status, answer) = world.act(&id, "promote");
    assert!(status == 409 && answer.contains("resume it first"), "{answer}");
    assert_eq!(world.act(&id, "resume").0, 200);
    world.until_it_waits(&id);
    assert_eq!(world.act(&id, "promote").0, 200);
    let info = world.outcome(&id);
    assert!(info["phase"] == "done" && info["report"]["golden"]["origin"] == "given", "{info}");
    let certificate = world.target.send("GET", &format!("/moves/{id}/certificate"), "").json().unwrap();
    for document in [&info, &certificate] {
        assert!(!document.to_string().contains(&world.models.inputs[0]), "{document}");
    }
    let state = world.target.path().join("state/moves").join(&id);
    assert!(!std::fs::read_to_string(state.join("move.json")).unwrap().contains(&world.models.inputs[0]));
    let long = "1,".repeat(9 << 20);
    let golden = json!([{"request": {"data": [long]}, "predictions": []}]);
    let (status, answer) = world.refused(json!({"as": "other", "name": "other", "golden": golden}));
    assert!(status == 400 && answer.contains("16 MB at most expected"), "{answer}");
    world = world.restart(&[]);
    assert_eq!(world.info(&id)["phase"], "done");
}

/// Of old moves only certificates stay, on the list and on the disk.
#[test]
fn old_moves_are_forgotten_except_for_their_certificates() {
    let mut world = World::new(Under::Nothing).restart(&["--keep-moves", "2"]);
    let aborted = world.begin(json!({"repository": "relative", "name": "none"}));
    assert_eq!(world.outcome(&aborted)["phase"], "aborted");
    for _ in 0..3 {
        done(&world);
    }
    for _ in 0..2 {
        let listed = world.target.get("/moves").1["body"].clone();
        let ids: Vec<_> = listed.as_array().unwrap().iter().map(|info| info["id"].clone()).collect();
        assert_eq!(ids, ["m3", "m4"], "{listed}");
        let kept = |id: &str| -> Vec<String> {
            let directory = world.target.path().join("state/moves").join(id);
            let entries = std::fs::read_dir(directory).into_iter().flatten();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        assert_eq!(kept("m1"), Vec::<String>::new());
        assert_eq!(kept("m2"), ["certificate.json"]);
        assert_eq!((world.certificate("m2"), world.certificate("m3")), (200, 200));
        assert_eq!(world.target.get("/moves/m2").0, 404);
        world = world.restart(&["--keep-moves", "2"]);
    }
    assert_eq!(done(&world), "m5");
}
