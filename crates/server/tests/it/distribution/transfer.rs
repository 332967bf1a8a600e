//! `dede push` and `dede pull` between servers of ours.

use std::path::Path;
use std::process::Command;

use dede_bundle::Digest;
use serde_json::{Value, json};

use super::{get, services};
use crate::server::{Server, binary};

/// A command in a directory, which knows no configuration and no proxies but those of the test.
pub(super) fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.current_dir(directory).args(arguments).env("XDG_CONFIG_HOME", directory.join("config"));
    for proxy in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(proxy);
    }
    command
}

/// Runs a command in a directory; gives whether it succeeded and what it said.
pub(super) fn dede(directory: &Path, arguments: &[&str]) -> (bool, String) {
    let output = command(directory, arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

/// What a service answers to one row.
fn answer(server: &Server, service: &str) -> Value {
    let body = json!({"service": service, "data": ["5.1,3.5,1.4,0.2"], "parameters": {"output": {"best": 3}}});
    let (status, answer) = server.post("/predict", &body);
    assert_eq!(status, 200, "{answer}");
    answer["body"]["predictions"].clone()
}

#[test]
fn a_service_is_pushed_to_another_registry_pulled_and_created_again() {
    let (dev, registry, prod) = (Server::start(&[]), Server::start(&[]), Server::start(&[]));
    services::create(&dev, "iris");
    let reference = format!("{}/models/iris:v3", registry.address);
    let work = tempfile::tempdir().unwrap();
    let (success, text) = dede(work.path(), &["push", &reference, "--on", &dev.url()]);
    assert!(success, "{text}");
    let pushed = get(&registry, "/v2/models/iris/manifests/v3");
    assert!(pushed.body == get(&dev, "/v2/iris/manifests/latest").body, "byte for byte");
    let digest = Digest::of(&pushed.body);
    let about = get(&registry, &format!("/v2/models/iris/referrers/{digest}")).json().unwrap();
    assert_eq!(about["manifests"][0]["artifactType"], "application/vnd.dede.engine.v1+json", "{about}");

    let (success, text) = dede(work.path(), &["push", &reference, "--on", &dev.url(), "--service", "iris"]);
    assert!(success && text.contains(": 0 of "), "what is there is not sent again: {text}");

    for what in [reference.clone(), format!("{}/models/iris@{digest}", registry.address)] {
        let (success, text) = dede(work.path(), &["pull", &what, "pulled"]);
        assert!(success, "{text}");
        let creation: Value =
            serde_json::from_slice(&std::fs::read(work.path().join("pulled.put.json")).unwrap()).unwrap();
        let (status, created) = prod.put("/services/iris", &creation);
        assert_eq!(status, 201, "{created}");
        assert_eq!(answer(&prod, "iris"), answer(&dev, "iris"));
        let served = json!({"service": "iris", "data": ["5.1,3.5,1.4,0.2"]});
        assert_eq!(prod.served_by(&served), dev.served_by(&served), "the same version");
        assert_eq!(prod.delete("/services/iris").0, 200);
        let left: Vec<_> = std::fs::read_dir(work.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
        let (success, text) = dede(work.path(), &["pull", &what, "pulled"]);
        assert!(!success && text.contains("not empty"), "{text}");
        std::fs::remove_dir_all(work.path().join("pulled")).unwrap();
    }
}

#[test]
fn peers_of_the_configuration_get_their_token() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "token-of-the-registry-tests").unwrap();
    let server = Server::start_in(directory, &["--token-file", token.to_str().unwrap()]);
    let work = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(work.path().join("config/dede")).unwrap();
    let reference = format!("{}/nosuch:v1", server.address);
    let (success, text) = dede(work.path(), &["pull", &reference]);
    assert!(!success && text.contains("--user"), "{text}");
    let config = format!("[peers.prod]\nurl = \"{}\"\ntoken_file = \"{}\"\n", server.url(), token.display());
    std::fs::write(work.path().join("config/dede/dede.toml"), config).unwrap();
    let (success, text) = dede(work.path(), &["pull", &reference]);
    assert!(!success && text.contains("there is no"), "the token was taken: {text}");
    let given = ["--user", "oras", "--password-file", token.to_str().unwrap()];
    let (success, text) = dede(work.path(), &[&["pull", &reference, "--config", "/dev/null"][..], &given].concat());
    assert!(!success && text.contains("there is no"), "the password was taken: {text}");
}

#[test]
fn registries_beyond_this_machine_are_not_spoken_to_without_tls() {
    let work = tempfile::tempdir().unwrap();
    for reference in ["http://registry.example/iris", "ftp://registry.example/iris", "iris", "localhost:1/Iris"] {
        let (success, text) = dede(work.path(), &["pull", reference]);
        assert!(!success && (text.contains("--plain-http") || text.contains("expected")), "{reference}: {text}");
    }
}
