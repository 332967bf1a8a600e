//! The configuration file, and peers over TLS with a token: the command that lists them.

use std::process::Command;

use super::tls;
use crate::server::{Server, binary};

fn peers(config: &std::path::Path, arguments: &[&str]) -> (bool, String) {
    let output =
        Command::new(binary()).args(["peers", "--config", config.to_str().unwrap()]).args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn peers_are_listed_with_what_they_say() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let token = write("token", "token-of-the-security-tests");
    write("wrong-token", "another-token-of-the-tests");
    let (guarded, certificate) = tls::start(&["--token-file", token.to_str().unwrap()]);
    write("ca.pem", &certificate);
    let open = Server::start(&[]);
    let url = format!("https://localhost:{}", guarded.address.port());
    let config = write(
        "dede.toml",
        &format!(
            "[peers.good]\nurl = \"{url}/\"\nca_file = \"ca.pem\"\ntoken_file = \"token\"\n\
             [peers.wrong]\nurl = \"{url}\"\nca_file = \"ca.pem\"\ntoken_file = \"wrong-token\"\n\
             [peers.without]\nurl = \"{url}\"\nca_file = \"ca.pem\"\n\
             [peers.distrusted]\nurl = \"{url}\"\n\
             [peers.open]\nurl = \"{}\"\n",
            open.url()
        ),
    );
    let (success, text) = peers(&config, &[]);
    assert!(success, "{text}");
    for (name, expected) in [
        ("good", "takes the token"),
        ("wrong", "refuses the token"),
        ("without", "wants a token"),
        ("distrusted", "certificate"),
        ("open", "0 services"),
    ] {
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_else(|| panic!("{text}"));
        assert!(line.contains(expected), "{line}");
    }
    assert!(!text.contains("of-the-"), "{text}");
    assert_eq!(peers(&config, &[&open.url()]).1.lines().count(), 1);
    let (success, text) = peers(&config, &["http://elsewhere.example"]);
    assert!(!success && text.contains("no peer of the configuration"), "{text}");
}

#[test]
fn a_server_reads_its_configuration_before_it_starts() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("dede.toml");
    std::fs::write(&config, "[peers.dev]\nurl = \"http://dev:8080\"\n").unwrap();
    let server = Server::start(&["--config", config.to_str().unwrap()]);
    assert!(server.log().contains("peer dev: http://dev:8080"), "{}", server.log());
    std::fs::write(&config, "[peers.dev]\nurl = \"http://dev:8080\"\ntokenfile = \"x\"\n").unwrap();
    let (mut child, log) = crate::server::spawn(directory.path(), &["--config", config.to_str().unwrap()]);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("dede.toml, line 3, tokenfile: unknown field"), "{log}");
}
