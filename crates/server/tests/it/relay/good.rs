//! Relayed moves that end as direct ones do: proved by the source's own answers, and sending little where little is new.

use serde_json::json;

use super::stage::{SHORT, Stage, text};
use crate::models::{classes, inputs, predict_body};

#[test]
fn a_target_without_peers_gets_the_service_and_the_sources_answers() {
    let stage = Stage::with_former();
    let direct = [&["move", "service2", "--from", "dev", "--to", "prod", "--as", "service1"][..], &SHORT].concat();
    let refused = stage.dede(&direct);
    assert!(!refused.status.success() && text(&refused).contains("--relay"), "{}", text(&refused));

    let before = stage.source.get("/services/service2").1["body"]["repository"].clone();
    let made = stage.dede(&[&direct[..], &["--relay"]].concat());
    assert!(made.status.success(), "{}\n{}", text(&made), stage.target.log());
    let said = text(&made);
    assert!(said.contains("relays service2 of dev (http://127.0.0.1:") && said.contains("to prod"), "{said}");
    let info = stage.info("m1");
    assert_eq!(info["phase"], "done", "{info}");
    let golden = &info["report"]["golden"];
    assert_eq!(golden["origin"], "generated inputs, answered by the source", "{golden}");
    assert_eq!((&golden["cases"], &golden["result"]["missed"]), (&json!(16), &json!(0)), "{golden}");
    let bytes = |member: &str| info["report"][member].as_u64().unwrap();
    assert!(bytes("sent_bytes") > 0 && bytes("sent_bytes") < bytes("total_bytes") / 3, "{info}");
    let certificate = stage.target.get("/moves/m1/certificate").1;
    let from = format!("http://{}, relayed", stage.source.address);
    assert_eq!(certificate["certificate"]["from"], from.as_str(), "{certificate}");
    assert_eq!(stage.source.get("/services/service2").1["body"]["repository"], before, "the source is as it was");

    let Stage { source, target, .. } = stage;
    let expected = classes(&source, "service2", &inputs()[0]);
    drop(source.stop());
    assert_eq!(classes(&target, "service1", &inputs()[0]), expected, "it needs nobody any more");
}

#[test]
fn a_relayed_plan_is_carried_out_with_requests_and_training_state() {
    let stage = Stage::with_former();
    for input in inputs().iter().take(5) {
        assert_eq!(stage.source.post("/predict", &predict_body("service2", input)).0, 200);
    }
    let (file, before) = (stage.file("plan.json"), stage.state());
    let plan = ["plan", "service2", "--from", "dev", "--to", "prod", "--as", "service1", "--relay", "--out", &file];
    let planned = stage.dede(&[&plan[..], &SHORT, &["--with-requests", "--with-training-state"]].concat());
    assert!(planned.status.success() && text(&planned).contains("recent requests"), "{}", text(&planned));
    assert_eq!(stage.state(), before, "a plan changes nothing");

    let direct = stage.dede(&["apply", &file, "--to", "prod"]);
    let applied = stage.dede(&["apply", &file, "--to", "prod", "--relay", "--from", "dev"]);
    assert!(applied.status.success(), "{}\n{}", text(&applied), stage.target.log());
    // The command of the plan may have counted as there for a moment; it answered nothing any more.
    assert!(!direct.status.success() && text(&direct).contains("--relay"), "{}", text(&direct));
    let moves = stage.target.get("/moves").1["body"].clone();
    let done = moves.as_array().unwrap().last().unwrap();
    assert_eq!(done["phase"], "done", "{done}");
    let golden = &done["report"]["golden"];
    assert_eq!(golden["origin"], "captured requests of the source", "{golden}");
    assert_eq!((&golden["cases"], &golden["result"]["missed"]), (&json!(5), &json!(0)), "{golden}");

    let not_relayed = std::fs::read_to_string(&file).unwrap().replace("relay:", "http:");
    std::fs::write(&file, not_relayed).unwrap();
    let refused = stage.dede(&["apply", &file, "--to", "prod", "--relay", "--from", "dev"]);
    assert!(!refused.status.success() && text(&refused).contains("not begun with --relay"), "{}", text(&refused));
}
