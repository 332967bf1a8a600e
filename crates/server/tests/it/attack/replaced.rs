//! Networks that were replaced while the server was down: tried before they are loaded, as those of new services.

use std::fs;

use super::honest::Honest;
use super::networks::{creation, networks};
use super::onnx_file::{model, node};
use crate::models::predict_body;
use crate::server::Server;

const BOUNDS: &[&str] = &["--engine", "rten", "--network-timeout", "3"];

#[test]
fn a_network_that_was_replaced_takes_no_restart_down() {
    let good = model(&[0, 4], &[node("Softmax", &["x"], &["y"], &[])]);
    let bad = networks().into_iter().filter(|(what, _)| ["a constant of 40 GB", "a loop of 2^31 turns"].contains(what));
    for (what, network) in bad {
        let server = Server::start(BOUNDS);
        let repository = |name: &str| server.path().join(name);
        for name in ["kept", "replaced", "another"] {
            fs::create_dir(repository(name)).unwrap();
            fs::write(repository(name).join("model.onnx"), &good).unwrap();
            assert_eq!(server.put(&format!("/services/{name}"), &creation("onnx", "csv", &repository(name))).0, 201);
        }
        let directory = server.stop();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("replaced/model.onnx"), &network).unwrap();
        // One of the same size that is sound.
        fs::write(path("another/new.onnx"), &good).unwrap();
        fs::rename(path("another/new.onnx"), path("another/model.onnx")).unwrap();
        let server = Server::start_in(directory, BOUNDS);
        let honest = Honest::beside(&server);
        let ask = |name: &str| server.post("/predict", &predict_body(name, "1,2,3,4"));
        assert_eq!((ask("kept").0, ask("another").0), (200, 200), "{what}");
        let (status, answer) = ask("replaced");
        assert!(status >= 400 && answer.to_string().contains("tried in a process"), "{what}: {status} {answer}");
        drop(honest);
        fs::write(server.path().join("replaced/model.onnx"), &good).unwrap();
        let server = Server::start_in(server.stop(), BOUNDS);
        assert_eq!(server.post("/predict", &predict_body("replaced", "1,2,3,4")).0, 200, "{what}: put right");
    }
}
