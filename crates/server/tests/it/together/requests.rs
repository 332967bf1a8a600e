//! What is refused, and what is planned, shown and certified.

use serde_json::{Value, json};

use super::world::World;

#[test]
fn what_cannot_go_together_is_refused_with_its_place() {
    let world = World::new();
    let also = |members: Value| json!({"also": [members]});
    for (members, complaint) in [
        (also(json!({"service": "live-reader", "as": "detector"})), "(also[0].as)"),
        (also(json!({"service": "live-detector", "as": "reader"})), "(also[0].service)"),
        (also(json!({"service": "live-reader", "as": "a/b"})), "invalid name"),
        (json!({"as": null}), "(as)"),
        (json!({"replace_first": true}), "requests would wait until the last network is loaded (replace_first)"),
        (json!({"canary": [10]}), "clients would meet new and former services together (canary)"),
        (
            json!({"repository": "/srv/a", "also": [{"service": "live-reader", "as": "reader", "repository": "/srv/a"}]}),
            "(also[0].repository)",
        ),
        (also(json!({"service": "live-reader", "as": "reader", "auto": true})), "unknown field `auto`"),
        (also(json!({"service": "live-reader"})), "missing field `as`"),
    ] {
        let (status, text) = world.refused(members.clone());
        assert!(status == 400 && text.contains(complaint), "{members}: {status} {text}");
    }
    let many: Vec<Value> = (0..8).map(|n| json!({"service": format!("s{n}"), "as": format!("a{n}")})).collect();
    let (status, text) = world.refused(json!({"also": many}));
    assert!(status == 400 && text.contains("8 services together at most"), "{status} {text}");
}

#[test]
fn names_that_another_move_holds_are_refused() {
    let world = World::new();
    let before = world.state();
    let single = json!({"service": "live-reader", "source": "dev", "as": "reader", "shadow_for_s": 0});
    assert_eq!(world.target.post("/moves", &single).0, 202);
    let (status, text) = world.refused(json!({}));
    assert!(status == 409 && text.contains("move m1 to the same name"), "{status} {text}");
    assert_eq!(world.act("m1", "abort").0, 200);
    crate::server::eventually("it is aborted", || world.info("m1")["phase"] == "aborted");

    let ids = world.begin(json!({}));
    world.until_both_wait(&ids);
    let (status, answer) = world.target.post("/moves", &single);
    assert!(status == 409 && answer.to_string().contains(&format!("move {} to the same name", ids[1])), "{answer}");
    assert_eq!(world.act(&ids[1], "abort").0, 200);
    for (id, outcome) in ids.iter().zip(world.outcomes(&ids)) {
        assert_eq!((&outcome["phase"], &outcome["error"]), (&json!("aborted"), &json!("aborted on request")), "{id}");
    }
    assert_eq!(world.state(), before);
}

#[test]
fn a_plan_of_both_is_carried_out_or_refused() {
    let world = World::new();
    let before = world.state();
    let (planned, said) = world.dede(
        "plan detector=live-detector reader=live-reader --from dev --to prod --auto --shadow-for 0s --watch-for 0s --out plan.json",
    );
    for line in ["live-detector comes as live-detector", "live-reader comes as live-reader", "the alias takes over"] {
        assert!(planned && said.contains(line), "{line}: {said}");
    }
    assert_eq!(world.state(), before, "a plan changes nothing");
    // The alias of the second leads elsewhere now.
    let (status, answer) = world.target.put("/aliases/reader", &json!({"service": "detector"}));
    assert_eq!(status, 200, "{answer}");
    let (applied, said) = world.dede("apply plan.json --to prod");
    assert!(!applied && said.contains("m2 (reader) is undone: the plan") && said.contains("out of date"), "{said}");
    assert_eq!(world.target.put("/aliases/reader", &json!({"service": "old-reader"})).0, 200);
    let (applied, said) = world.dede("apply plan.json --to prod");
    assert!(applied, "{said}");
    assert_eq!(world.answer_now(), ["live-detector", "live-reader"]);
}

#[test]
fn both_are_listed_followed_and_certified() {
    let world = World::new();
    let line =
        "move detector=live-detector reader=live-reader --from dev --to prod --auto --shadow-for 0s --watch-for 0s";
    let (moved, said) = world.dede(line);
    for line in ["m1    detector", "m2    reader", "detector is live-detector now", "reader is live-reader now"] {
        assert!(moved && said.contains(line), "{line}: {said}");
    }
    let (listed, said) = world.dede("moves --on prod");
    assert!(listed && said.contains("with m2") && said.contains("with m1"), "{said}");
    let generation = |id: &str| world.info(id)["report"]["generation"].clone();
    for (id, other) in [("m1", "m2"), ("m2", "m1")] {
        let signed = world.target.send("GET", &format!("/moves/{id}/certificate"), "");
        std::fs::write(world.home().join("certificate.json"), &signed.body).unwrap();
        let (verified, said) = world.dede("verify certificate.json");
        assert!(verified && said.contains("together  m1 detector") && said.contains("together  m2 reader"), "{said}");
        let together = signed.json().unwrap()["certificate"]["together"].clone();
        let shown: Vec<_> = together.as_array().unwrap().iter().map(|of| (&of["move"], &of["generation"])).collect();
        assert_eq!(shown.len(), 2);
        assert!(shown.contains(&(&json!(id), &generation(id))) && shown.contains(&(&json!(other), &generation(other))));
    }
    // The states of one show what becomes of the other.
    let (followed, said) = world.dede("moves m1 --on prod --json");
    assert!(followed && said.contains("\"as\":\"reader\",\"phase\":\"done\""), "{said}");
}
