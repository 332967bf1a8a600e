//! A request that no network can answer says nothing about the one that a move brings.

use serde_json::json;

use super::honest::Honest;
use crate::models::{Models, predict_body, put_service};
use crate::server::{Server, eventually};

/// Numbers that are finite, and beyond what single precision can compute with.
const BEYOND: &str = "3e38,3e38,3e38,3e38";

#[test]
fn numbers_beyond_the_range_of_a_network_are_the_clients_mistake_and_roll_no_move_back() {
    for replace_first in [false, true] {
        let (models, source) = (Models::get(), Server::start(&[]));
        let target = Server::start_with_peers(&[("dev", &source.url())], &[]);
        let _honest = Honest::beside(&target);
        for (server, name, version) in [(&source, "service2", 1), (&target, "service1", 0)] {
            let repository = server.path().join(name);
            models.versions[version].write(&repository);
            put_service(server, name, &repository);
        }
        let beyond = || {
            let mut body = predict_body("service1", BEYOND);
            body["data"] = json!([models.inputs[0], BEYOND]);
            let (status, answer) = target.post("/predict", &body);
            let text = answer.to_string();
            assert!(status == 400 && text.contains("item 2") && text.contains("NaN"), "{status}: {text}");
        };
        beyond();
        let request = json!({"service": "service2", "source": "dev", "as": "service1", "auto": true,
            "shadow_for_s": 1, "watch_for_s": 3, "replace_first": replace_first});
        let (status, answer) = target.post("/moves", &request);
        assert_eq!(status, 202, "{answer}");
        let info = || target.get("/moves/m1").1["body"].clone();
        eventually("the move is over", || {
            if info()["phase"] == "watching" {
                beyond();
                assert_eq!(target.post("/predict", &predict_body("service1", &models.inputs[0])).0, 200);
            }
            ["done", "aborted", "rolled_back"].contains(&info()["phase"].as_str().unwrap())
        });
        assert_eq!(info()["phase"], "done", "{}", info());
    }
}
