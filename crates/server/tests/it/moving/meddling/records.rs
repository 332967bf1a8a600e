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
    assert!(status == 500 && answer.contains("certificate.key is damaged"), "{answer}");
    assert_eq!(world.services(), ["old"]);
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
